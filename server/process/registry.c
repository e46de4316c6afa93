/* SPDX-License-Identifier: BSD-2-Clause */
/* Opens registered files. The child that does it holds nothing of the supervisor but its one end of a socket: stuck in a dead file
 * system it must keep neither a port nor a lock alive. */
#include "process/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"

#define NOBODY ((uint32_t)-1)

int registry_add(struct registry *registry, const struct channel_register *entry, const char *path)
{
	if (entry->number >= REGISTRY_FILES_MAX || path[0] != '/')
		return -1;
	free(registry->files[entry->number].path);
	registry->files[entry->number].path = must_strdup(path);
	registry->files[entry->number].entry = *entry;
	return 0;
}

void registry_clear(struct registry *registry)
{
	for (unsigned i = 0; i < REGISTRY_FILES_MAX; i++) {
		free(registry->files[i].path);
		registry->files[i].path = NULL;
	}
}

/* O_NONBLOCK: a FIFO without a reader is an error and no wait. */
/* The folder of a log is made where it is missing, as /var/log/weir is on a machine that starts weir for the first time;
 * the folders above it are not. */
static int make_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX];
	if (!slash || slash == path || (size_t)(slash - path) >= sizeof(parent))
		return -1;
	memcpy(parent, path, (size_t)(slash - path));
	parent[slash - path] = 0;
	return mkdir(parent, 0750);
}

int registry_open_here(const struct channel_register *entry, const char *path)
{
	int flags = entry->flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd = open(path, flags & ~O_CREAT);
	if (fd < 0 && errno == ENOENT && (entry->flags & O_CREAT)) {
		fd = open(path, flags | O_EXCL, entry->mode & 0777);
		if (fd < 0 && errno == ENOENT && make_parent(path) == 0)
			fd = open(path, flags | O_EXCL, entry->mode & 0777);
		if (fd < 0 && errno == EEXIST)
			return open(path, flags & ~O_CREAT);
		if (fd >= 0 && (entry->uid != NOBODY || entry->gid != NOBODY) &&
			fchown(fd, entry->uid, entry->gid)) {
			int error = errno;
			close(fd);
			errno = error;
			return -1;
		}
		/* whatever the umask is: the mode was asked for */
		if (fd >= 0 && fchmod(fd, entry->mode & 0777)) {
			/* a file system without modes */
		}
	}
	if (fd >= 0)
		fcntl(fd, F_SETFL, entry->flags & (O_APPEND | O_ACCMODE));
	return fd;
}

static _Noreturn void child(const struct registry *registry, unsigned number, int channel)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (channel != 3)
		dup2(channel, 3);
	close_range(4, ~0u, 0);
	struct channel_file answer = {.number = number};
	int fd = registry_open_here(&registry->files[number].entry, registry->files[number].path);
	if (fd < 0)
		answer.error = errno;
	channel_send(3, CHANNEL_FILE, &answer, sizeof(answer), NULL, 0, &fd, fd >= 0, true);
	_exit(0);
}

pid_t registry_open(const struct registry *registry, unsigned number, int *result)
{
	int ends[2];
	if (number >= REGISTRY_FILES_MAX || !registry->files[number].path) {
		errno = ENOENT;
		return -1;
	}
	if (channel_pair(ends))
		return -1;
	pid_t pid = fork();
	if (pid == 0)
		child(registry, number, ends[1]);
	int error = errno;
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		errno = error;
		return -1;
	}
	*result = ends[0];
	return pid;
}
