/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading and writing to the end. */
#include "base/whole.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/check.h"

#define PIECE ((size_t)16384)

int whole_read(int fd, struct buffer *to, size_t most)
{
	size_t left;
	check(!__builtin_add_overflow(most, 1, &left)); /* the one that is too many tells of it */
	for (;;) {
		if (to->len == to->capacity)
			buffer_reserve(to, left < PIECE ? left : PIECE);
		size_t room = to->capacity - to->len;
		ssize_t n = read(fd, to->ptr + to->len, room < left ? room : left);
		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		to->len += (size_t)n;
		left -= (size_t)n;
		if (left == 0)
			return EFBIG;
	}
}

ssize_t whole_read_at(int fd, void *to, size_t size, off_t offset)
{
	size_t done = 0;
	while (done < size) {
		ssize_t n = pread(fd, (char *)to + done, size - done, offset + (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int whole_write(int fd, struct slice bytes)
{
	while (bytes.len > 0) {
		ssize_t n = write(fd, bytes.ptr, bytes.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		bytes = slice_from(bytes, (size_t)n);
	}
	return 0;
}

int whole_replace(int folder, const char *path, const char *new, struct slice bytes, mode_t mode)
{
	unlinkat(folder, new, 0);
	int fd = openat(folder, new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return errno;
	int error = whole_write(fd, bytes);
	if (!error && fsync(fd))
		error = errno;
	if (close(fd) && !error)
		error = errno;
	if (!error && renameat(folder, new, folder, path))
		error = errno;
	if (error)
		unlinkat(folder, new, 0);
	return error;
}
