/* SPDX-License-Identifier: BSD-2-Clause */
/* What transports have in common: bytes of files where files cannot be sent, what the peer has acknowledged. */
#include "io/transport.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLOSED 7 /* TCP_CLOSE of netinet/tcp.h, which does not go together with linux/tcp.h */

#define HELD_LITTLE (128 * 1024)

void transport_cork(struct transport *t, bool on)
{
	int value = on;
	if (t->corked != on)
		setsockopt(t->fd, IPPROTO_TCP, TCP_CORK, &value, sizeof(value));
	t->corked = on;
}

/* sendfile cannot be told to spare SIGPIPE: the process ignores that signal. */
ssize_t transport_send_file(struct transport *t, int fd, off_t offset, size_t length, bool more)
{
	ssize_t sent;
	if (more)
		transport_cork(t, true);
	do {
		off_t at = offset;
		sent = sendfile(t->fd, fd, &at, length);
	} while (sent < 0 && errno == EINTR);
	if (!more && sent == (ssize_t)length)
		transport_cork(t, false);
	if (sent >= 0)
		return sent;
	t->wants = TRANSPORT_WRITE;
	return errno == EAGAIN || errno == EWOULDBLOCK ? IO_AGAIN : IO_ERROR;
}

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

void transport_hold_little(const struct transport *t)
{
	int value = HELD_LITTLE;
	setsockopt(t->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, sizeof(value));
}

bool transport_lost(const struct transport *t)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);
	return getsockopt(t->fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
	       size > offsetof(struct tcp_info, tcpi_state) && info.tcpi_state == CLOSED;
}

uint32_t transport_acked(const struct transport *t)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);
	if (getsockopt(t->fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
		size < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked))
		return 0;
	return (uint32_t)info.tcpi_bytes_acked;
}
