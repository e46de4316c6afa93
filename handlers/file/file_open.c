/* SPDX-License-Identifier: BSD-2-Clause */
/* Opens what a path names beneath a root: the kernel holds it there, and nothing that is opened can hang. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "handlers/file/file.h"

#define TRIES   8 /* EAGAIN: something was renamed while the kernel looked */
#define READING (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static int open_how(int root_fd, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {.flags = flags, .resolve = resolve | RESOLVE_NO_MAGICLINKS};
	for (int try = 0;; try++) {
		long fd = syscall(SYS_openat2, root_fd, path, &how, sizeof how);
		bool again = errno == EINTR || (errno == EAGAIN && !(resolve & RESOLVE_CACHED));
		if (fd >= 0 || try == TRIES || !again)
			return (int)fd;
	}
}

int file_open_root_cached(const struct file_root *root)
{
	return open_how(AT_FDCWD, root->path.ptr, O_PATH | O_DIRECTORY | O_CLOEXEC, RESOLVE_CACHED);
}

int file_open_cached(int root_fd, const struct file_root *root, const char *path)
{
	uint64_t resolve = RESOLVE_CACHED | RESOLVE_NO_XDEV;
	if (root->symlinks != SYMLINKS_ANYWHERE)
		resolve |= RESOLVE_BENEATH;
	if (root->symlinks == SYMLINKS_OFF)
		resolve |= RESOLVE_NO_SYMLINKS;
	return open_how(root_fd, path, READING | O_NOFOLLOW, resolve);
}

/* A link that names its target absolutely may still lead to a place inside of the root. */
static int open_real(int root_fd, const struct file_root *root, const char *real, uint64_t flags)
{
	char *root_real = realpath(root->path.ptr, NULL);
	size_t length = root_real ? strlen(root_real) : 0;
	int fd = -1;
	bool within = length > 1 && strncmp(real, root_real, length) == 0;
	if (within && (real[length] == '/' || real[length] == '\0'))
		fd = open_how(root_fd, real[length] ? real + length + 1 : ".", flags,
			RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	else
		errno = EXDEV;
	int error = errno;
	free(root_real);
	errno = error;
	return fd;
}

int file_open(int root_fd, const struct file_root *root, const char *path, const char *real)
{
	uint64_t flags = READING;
	switch (root->symlinks) {
	case SYMLINKS_OFF:
		return open_how(root_fd, path, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	case SYMLINKS_ANYWHERE:
		return open_how(root_fd, path, flags, 0);
	default: {
		int fd = open_how(root_fd, path, flags, RESOLVE_BENEATH);
		return fd < 0 && errno == EXDEV && real[0] ? open_real(root_fd, root, real, flags)
							   : fd;
	}
	}
}
