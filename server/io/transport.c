/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes of files for transports that cannot send files themselves. */
#include "io/transport.h"

#include <errno.h>
#include <unistd.h>

/* A file system that cannot say whether it would block is read as it comes: asking for the pages first would never
 * change its answer. */
ssize_t transport_file_bytes(int fd, off_t offset, void *to, size_t size)
{
	struct iovec iov = {to, size};
	ssize_t got;
	do {
		got = preadv2(fd, &iov, 1, offset, RWF_NOWAIT);
		if (got < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL))
			got = pread(fd, to, size, offset);
	} while (got < 0 && errno == EINTR);
	if (got >= 0)
		return got;
	return errno == EAGAIN ? IO_AGAIN : IO_ERROR;
}
