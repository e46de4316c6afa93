/* SPDX-License-Identifier: BSD-2-Clause */
/* Opens registered files. The child that does it holds nothing of the supervisor but its one end of a socket: stuck in a dead file
 * system it must keep neither a port nor a lock alive. */
#include "process/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/bytes.h"

#define NOBODY     ((uint32_t)-1)
#define LINKS_MAX  16
#define PROC_MAGIC 0x9fa0 /* of /proc, as statfs tells it */

static void make_room(struct registry *registry, unsigned number)
{
	unsigned count = registry->count > 0 ? registry->count : 4;
	if (number < registry->count)
		return;
	while (count <= number)
		count *= 2;
	registry->files = must_realloc(registry->files, count * sizeof(registry->files[0]));
	memset(registry->files + registry->count, 0,
		(count - registry->count) * sizeof(registry->files[0]));
	registry->count = count;
}

int registry_add(struct registry *registry, const struct channel_register *entry, const char *path)
{
	if (entry->number >= REGISTRY_FILES_MAX || path[0] != '/')
		return -1;
	make_room(registry, entry->number);
	free(registry->files[entry->number].path);
	registry->files[entry->number].path = must_strdup(path);
	registry->files[entry->number].entry = *entry;
	return 0;
}

const struct registered *registry_find(const struct registry *registry, unsigned number)
{
	bool there = number < registry->count && registry->files[number].path;
	return there ? &registry->files[number] : NULL;
}

void registry_clear(struct registry *registry)
{
	for (unsigned i = 0; i < registry->count; i++)
		free(registry->files[i].path);
	free(registry->files);
	*registry = (struct registry){NULL, 0};
}

/* The folder of a path. -1: there is none above it. */
static int parent_of(const char *path, char to[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	if (!slash || slash == path || slash - path >= PATH_MAX)
		return -1;
	memcpy(to, path, (size_t)(slash - path));
	to[slash - path] = 0;
	return 0;
}

/* The folder of a log is made where it is missing, as /var/log/weir is on a machine that starts weir for the first time;
 * the folders above it are not. */
static int make_parent(const char *path)
{
	char parent[PATH_MAX];
	if (parent_of(path, parent))
		return -1;
	return mkdir(parent, 0750) == 0 || errno == EEXIST
		       ? 0
		       : -1; /* both logs may be opened at once */
}

static bool is_ours(const struct stat *st)
{
	return st->st_uid == 0 || st->st_uid == geteuid();
}

/* The path of a link becomes that of what it names. */
static int replace_link(char path[PATH_MAX], const char *target)
{
	char folder[PATH_MAX] = "";
	bool relative = target[0] != '/';
	if (relative && parent_of(path, folder))
		folder[0] = 0; /* it stands in the top folder */
	if ((size_t)snprintf(path, PATH_MAX, "%s%s%s", folder, relative ? "/" : "", target) <
		PATH_MAX)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

/* Whose links are followed: root's, our own, and where a file is only read one other account's, whose file it has to be then. */
struct trust {
	bool reads;
	uid_t stranger; /* NOBODY: no such link was met */
};

static bool is_trusted(struct trust *trust, const struct stat *link)
{
	if (is_ours(link))
		return true;
	if (!trust->reads || (trust->stranger != NOBODY && trust->stranger != link->st_uid))
		return false;
	trust->stranger = link->st_uid;
	return true;
}

/* One step from a link to where it leads, in `path`. 1: done; 0: it is one of /proc, which only the kernel can follow (/dev/stdout);
 * -1: it is gone, or somebody else's. */
static int follow(char path[PATH_MAX], struct trust *trust)
{
	char target[PATH_MAX] = "";
	struct stat st;
	struct statfs system;
	int link = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (link < 0)
		return -1;
	bool known = readlinkat(link, "", target, sizeof(target) - 1) > 0 &&
		     fstat(link, &st) == 0 && fstatfs(link, &system) == 0;
	close(link);
	bool of_proc = known && system.f_type == PROC_MAGIC;
	if (!known || !(of_proc ? is_ours(&st) : is_trusted(trust, &st))) {
		errno = ELOOP;
		return -1;
	}
	if (of_proc)
		return 0;
	return replace_link(path, target) ? -1 : 1;
}

/* Whoever may write to the folder of a log, as its account often may, could put a link there to any file of root's. So links are
 * followed here, each only if it is trusted; `path` becomes what they lead to. */
static int open_followed(char path[PATH_MAX], int flags, struct trust *trust)
{
	for (int i = 0; i < LINKS_MAX; i++) {
		int fd = open(path, flags | O_NOFOLLOW);
		if (fd >= 0 || errno != ELOOP)
			return fd;
		int step = follow(path, trust);
		if (step == 0)
			return open(path, flags);
		if (step < 0)
			return -1;
	}
	errno = ELOOP;
	return -1;
}

/* A second name of a file is as good as a link to it. It is taken only where nobody else can have made it. */
static bool is_safe(int fd, const char *path, const struct trust *trust)
{
	char folder[PATH_MAX];
	struct stat st;
	if (fstat(fd, &st))
		return false;
	errno = ELOOP;
	if (trust->stranger != NOBODY && st.st_uid != trust->stranger)
		return false;
	if (!S_ISREG(st.st_mode) || st.st_nlink <= 1)
		return true;
	errno = EMLINK;
	return is_ours(&st) && parent_of(path, folder) == 0 && stat(folder, &st) == 0 &&
	       is_ours(&st) && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

static int close_failed(int fd)
{
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* Makes the file, with owner and mode. EEXIST: somebody was quicker. */
static int make_file(const struct channel_register *entry, const char *path, int flags)
{
	int fd = open(path, flags | O_EXCL, entry->mode & 0777);
	if (fd < 0 && errno == ENOENT && make_parent(path) == 0)
		fd = open(path, flags | O_EXCL, entry->mode & 0777);
	if (fd < 0)
		return -1;
	if ((entry->uid != NOBODY || entry->gid != NOBODY) && fchown(fd, entry->uid, entry->gid))
		return close_failed(fd);
	/* whatever the umask is: the mode was asked for */
	if (fchmod(fd, entry->mode & 0777)) {
		/* a file system without modes */
	}
	return fd;
}

/* O_NONBLOCK: a FIFO without a reader is an error and no wait. */
int registry_open_here(const struct channel_register *entry, const char *path)
{
	char real[PATH_MAX];
	int flags = entry->flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	if ((size_t)snprintf(real, sizeof(real), "%s", path) >= sizeof(real)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	struct trust trust = {(entry->flags & O_ACCMODE) == O_RDONLY, NOBODY};
	int fd = open_followed(real, flags & ~O_CREAT, &trust);
	if (fd < 0 && errno == ENOENT && (entry->flags & O_CREAT)) {
		fd = make_file(entry, real, flags);
		if (fd < 0 && errno == EEXIST)
			fd = open_followed(real, flags & ~O_CREAT, &trust);
	}
	if (fd < 0)
		return -1;
	if (!is_safe(fd, real, &trust))
		return close_failed(fd);
	fcntl(fd, F_SETFL, entry->flags & (O_APPEND | O_ACCMODE));
	return fd;
}

/* Signals stay blocked: those to the whole group are the supervisor's business. KILL ends it whenever it takes too long, or the supervisor
 * dies. */
static _Noreturn void child(const struct registry *registry, unsigned number, int channel)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
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
	if (!registry_find(registry, number)) {
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
