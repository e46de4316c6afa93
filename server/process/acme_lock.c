/* SPDX-License-Identifier: BSD-2-Clause */
/* Who works in the folder. A lock ends with its process, but some shared file systems keep locks to a machine; a lease is seen by all of
 * them, and outlives who took it until it counts as abandoned. Ages are told by the file system's clock alone. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process/acme_state.h"

#define LOCK  ACME_OWN "/lock"
#define LEASE ACME_OWN "/lease"

#define LEASE_SECONDS 300 /* without a touch: abandoned */
#define OWNER_MAX     160

/* This machine since it was started, and a process on it. */
static void describe_owner(char to[OWNER_MAX])
{
	char boot[40] = "", host[65] = "";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, boot, 36);
	if (fd >= 0)
		close(fd);
	boot[n > 0 ? n : 0] = 0;
	gethostname(host, sizeof(host) - 1);
	snprintf(to, OWNER_MAX, "%s %s %d\n", boot, host, (int)getpid());
}

static bool same_machine(const char *a, const char *b)
{
	size_t length = strcspn(a, " ");
	return length > 0 && strncmp(a, b, length + 1) == 0;
}

static int read_lease(int state, char owner[OWNER_MAX], struct stat *st)
{
	int fd = openat(state, LEASE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = read(fd, owner, OWNER_MAX - 1);
	int result = n < 0 || fstat(fd, st) ? -1 : 0;
	owner[n > 0 ? n : 0] = 0;
	close(fd);
	return result;
}

/* A file of this process's own, with its name in it; its time is the file system's now. */
static int write_mine(int state, const char *path, const char *owner, struct stat *st)
{
	unlinkat(state, path, 0);
	int fd = openat(state, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	size_t length = strlen(owner);
	int result = write(fd, owner, length) == (ssize_t)length && fstat(fd, st) == 0 ? 0 : -1;
	close(fd);
	return result;
}

/* Puts an abandoned lease aside: it is moved, and looked at there, for meanwhile another may have done the same and have his own in its
 * place, which is put back. */
static int put_aside(int state, const struct stat *judged, const char *aside)
{
	struct stat st;
	if (renameat(state, LEASE, state, aside))
		return errno == ENOENT ? 0 : -1;
	if (fstatat(state, aside, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == judged->st_ino &&
		st.st_mtime == judged->st_mtime) {
		unlinkat(state, aside, 0);
		return 0;
	}
	if (linkat(state, aside, state, LEASE, 0) == 0 || errno == EEXIST)
		unlinkat(state, aside, 0);
	errno = EEXIST;
	return -1;
}

static enum acme_locked take_lease(int state, bool locked)
{
	char owner[OWNER_MAX], theirs[OWNER_MAX], mine[OWNER_MAX + 16], aside[OWNER_MAX + 24];
	struct stat now, st;
	describe_owner(owner);
	/* unlike any other's: the machine's and the process's number */
	snprintf(mine, sizeof(mine), LEASE ".%.36s.%d", owner, (int)getpid());
	snprintf(aside, sizeof(aside), "%s.old", mine);
	if (write_mine(state, mine, owner, &now))
		return ACME_LOCK_FAILED;
	enum acme_locked result = ACME_BUSY;
	if (read_lease(state, theirs, &st) == 0) {
		bool dead = locked && same_machine(owner, theirs);
		bool abandoned = now.st_mtime - st.st_mtime > LEASE_SECONDS;
		if ((!dead && !abandoned) || put_aside(state, &st, aside))
			goto out;
	}
	if (linkat(state, mine, state, LEASE, 0) == 0)
		result = ACME_LOCKED;
	else if (errno != EEXIST)
		result = ACME_LOCK_FAILED;
out:;
	int error = errno;
	unlinkat(state, mine, 0);
	errno = error;
	return result;
}

enum acme_locked acme_lock_take(struct acme_lock *lock, int state)
{
	*lock = (struct acme_lock){state, -1};
	int file = openat(state, LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file < 0)
		return ACME_LOCK_FAILED;
	bool locked = flock(file, LOCK_EX | LOCK_NB) == 0;
	if (!locked && errno == EWOULDBLOCK) {
		close(file);
		return ACME_BUSY;
	}
	enum acme_locked result = take_lease(state, locked);
	if (result != ACME_LOCKED) {
		int error = errno;
		close(file);
		errno = error;
		return result;
	}
	lock->file = file;
	return ACME_LOCKED;
}

void acme_lock_touch(const struct acme_lock *lock)
{
	utimensat(lock->state, LEASE, NULL, AT_SYMLINK_NOFOLLOW);
}

void acme_lock_release(struct acme_lock *lock)
{
	unlinkat(lock->state, LEASE, 0);
	close(lock->file);
	lock->file = -1;
}
