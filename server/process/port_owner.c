/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds the owner of a port by /proc: the socket's inode among the listening ones, then the process that holds it. Only asked when a
 * start has failed. */
#include "process/port_owner.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"

#define TCP_LISTENING 0x0a

/* The next socket of a table that listens on the port; 0: there is none. */
static unsigned long next_inode(FILE *table, unsigned port)
{
	char line[512];
	while (fgets(line, sizeof(line), table)) {
		unsigned local, state;
		unsigned long inode;
		if (sscanf(line,
			    " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*d %*d %lu",
			    &local, &state, &inode) == 3 &&
			local == port && state == TCP_LISTENING)
			return inode;
	}
	return 0;
}

static unsigned long find_inode(const char *table, unsigned port)
{
	FILE *file = fopen(table, "re");
	unsigned long found = file ? next_inode(file, port) : 0;
	if (file)
		fclose(file);
	return found;
}

static unsigned port_of(const struct address *address)
{
	return ntohs(
		address->any.sa_family == AF_INET ? address->v4.sin_port : address->v6.sin6_port);
}

static int holds(const char *pid, const char *socket)
{
	char path[300], target[64];
	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	DIR *folder = opendir(path);
	int found = 0;
	if (!folder)
		return 0;
	for (const struct dirent *entry; !found && (entry = readdir(folder));) {
		ssize_t length =
			readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);
		if (length < 0)
			continue;
		target[length] = 0;
		found = strcmp(target, socket) == 0;
	}
	closedir(folder);
	return found;
}

static void describe(const char *pid, char *to, size_t size)
{
	char path[300], name[64] = "?";
	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	FILE *file = fopen(path, "re");
	if (file) {
		if (fgets(name, sizeof(name), file))
			name[strcspn(name, "\n")] = 0;
		fclose(file);
	}
	snprintf(to, size, "process %s (%s)", pid, name);
}

void port_owner(const struct address *address, char *to, size_t size)
{
	char socket[64];
	to[0] = 0;
	if (address->any.sa_family != AF_INET && address->any.sa_family != AF_INET6)
		return;
	unsigned port = port_of(address);
	unsigned long inode = find_inode("/proc/net/tcp", port);
	if (!inode)
		inode = find_inode("/proc/net/tcp6", port);
	DIR *processes = inode ? opendir("/proc") : NULL;
	if (!processes)
		return;
	snprintf(socket, sizeof(socket), "socket:[%lu]", inode);
	for (const struct dirent *entry; to[0] == 0 && (entry = readdir(processes));) {
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
			holds(entry->d_name, socket))
			describe(entry->d_name, to, size);
	}
	closedir(processes);
}

bool port_is_held_by(const struct address *address, pid_t pid)
{
	static const char *const tables[] = {"/proc/net/tcp", "/proc/net/tcp6"};
	char process[32], socket[64];
	unsigned held = 0;
	bool others = false;
	if (address->any.sa_family != AF_INET && address->any.sa_family != AF_INET6)
		return false;
	snprintf(process, sizeof(process), "%d", (int)pid);
	for (size_t i = 0; i < COUNT_OF(tables); i++) {
		FILE *table = fopen(tables[i], "re");
		unsigned long inode;
		while (table && !others && (inode = next_inode(table, port_of(address)))) {
			snprintf(socket, sizeof(socket), "socket:[%lu]", inode);
			if (holds(process, socket))
				held++;
			else
				others = true;
		}
		if (table)
			fclose(table);
	}
	return held > 0 && !others;
}
