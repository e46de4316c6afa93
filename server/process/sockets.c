/* SPDX-License-Identifier: BSD-2-Clause */
/* Holds listening sockets across workers. What a worker made that did not become READY must leave no trace: a failed reload would
 * otherwise leave sockets behind that nobody accepts from. */
#include "process/sockets.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "settings/value.h"

#define LISTEN_FDS_START 3

void sockets_init(struct sockets *set)
{
	list_init(&set->addresses);
	set->count = 0;
}

static struct kept_address *find(struct sockets *set, const char *text)
{
	list_each (link, &set->addresses) {
		struct kept_address *address = container_of(link, struct kept_address, link);
		if (strcmp(address->text, text) == 0)
			return address;
	}
	return NULL;
}

static struct kept_address *add(struct sockets *set, const char *text)
{
	if (set->count == SOCKETS_ADDRESSES_MAX)
		return NULL;
	struct kept_address *address = must_zalloc(sizeof(*address));
	address->text = must_strdup(text);
	list_append(&set->addresses, &address->link);
	set->count++;
	return address;
}

/* A Unix socket's file goes with it: whoever connects is to see that nobody is there. */
static void remove_file(const struct kept_address *address)
{
	if (!address->system && strncmp(address->text, "unix:", 5) == 0)
		unlink(address->text + 5);
}

static void drop(struct sockets *set, struct kept_address *address)
{
	remove_file(address);
	for (unsigned i = 0; i < address->count; i++)
		close(address->sockets[i].fd);
	list_remove(&address->link);
	set->count--;
	free(address->text);
	free(address);
}

struct kept_address *sockets_use(struct sockets *set, const char *text, unsigned place)
{
	struct kept_address *address = find(set, text);
	if (address)
		address->users |= UINT32_C(1) << place;
	return address;
}

int sockets_keep(
	struct sockets *set, const char *text, const int *fds, unsigned count, unsigned place)
{
	struct kept_address *address = find(set, text);
	if (!address)
		address = add(set, text);
	if (!address || address->count + count > SOCKETS_EACH_MAX) {
		for (unsigned i = 0; i < count; i++)
			close(fds[i]);
		return -1;
	}
	address->users |= UINT32_C(1) << place;
	for (unsigned i = 0; i < count; i++)
		address->sockets[address->count++] = (struct kept_socket){fds[i], (int)place};
	return 0;
}

void sockets_commit(struct sockets *set, unsigned place)
{
	list_each (link, &set->addresses) {
		struct kept_address *address = container_of(link, struct kept_address, link);
		for (unsigned i = 0; i < address->count; i++) {
			if (address->sockets[i].owner == (int)place)
				address->sockets[i].owner = -1;
		}
	}
}

void sockets_forget(struct sockets *set, unsigned place)
{
	list_each_safe (link, &set->addresses) {
		struct kept_address *address = container_of(link, struct kept_address, link);
		unsigned left = 0;
		for (unsigned i = 0; i < address->count; i++) {
			if (address->sockets[i].owner != (int)place) {
				address->sockets[left++] = address->sockets[i];
				continue;
			}
			close(address->sockets[i].fd);
			remove_file(address);
		}
		address->count = left;
		address->users &= ~(UINT32_C(1) << place);
		if (left == 0)
			drop(set, address);
	}
}

void sockets_close_unused(struct sockets *set, uint32_t places, struct buffer *removed)
{
	list_each_safe (link, &set->addresses) {
		struct kept_address *address = container_of(link, struct kept_address, link);
		if ((address->users & places) != 0)
			continue;
		buffer_append(removed, address->text, strlen(address->text) + 1);
		if (!address->system)
			drop(set, address);
	}
}

void sockets_tell_idle(const struct sockets *set, unsigned place)
{
	list_each (link, &set->addresses) {
		const struct kept_address *address = container_of(link, struct kept_address, link);
		if (address->system && !(address->users & UINT32_C(1) << place))
			log_warn(
				"the service manager listens at %s, where no site does: who connects "
				"there is not answered",
				address->text);
	}
}

void sockets_close(struct sockets *set)
{
	list_each_safe (link, &set->addresses)
		drop(set, container_of(link, struct kept_address, link));
}

/* The text under which a worker looks for the socket: as settings/value writes it, ":80" for IPv6 and IPv4 on one socket. */
static int socket_text(int fd, char to[128])
{
	struct address address = {.length = sizeof(address.local)};
	int listening = 0, v6only = 1;
	socklen_t length = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) || !listening ||
		getsockname(fd, &address.any, &address.length))
		return -1;
	size_t text_length = address_text(&address, to);
	length = sizeof(int);
	if (address.any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&address.v6.sin6_addr) &&
		getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &length) == 0 && !v6only)
		memmove(to, to + strlen("[::]"), text_length - strlen("[::]") + 1);
	return 0;
}

unsigned sockets_adopt(struct sockets *set)
{
	uint64_t pid = 0, count = 0;
	unsigned taken = 0;
	bool ours = slice_number(slice_of(getenv("LISTEN_PID")), &pid) == 0 &&
		    slice_number(slice_of(getenv("LISTEN_FDS")), &count) == 0 &&
		    pid == (uint64_t)getpid();
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (!ours || count > SOCKETS_ADDRESSES_MAX)
		return 0;
	for (int fd = LISTEN_FDS_START; fd < LISTEN_FDS_START + (int)count; fd++) {
		char text[128];
		int flags = fcntl(fd, F_GETFL);
		if (flags < 0 || socket_text(fd, text) || !(find(set, text) || add(set, text)))
			continue;
		struct kept_address *address = find(set, text);
		if (address->count == SOCKETS_EACH_MAX)
			continue;
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
		address->system = true;
		address->sockets[address->count++] = (struct kept_socket){fd, -1};
		taken++;
	}
	return taken;
}
