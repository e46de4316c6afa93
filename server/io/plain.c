/* SPDX-License-Identifier: BSD-2-Clause */
/* The transport on bare sockets. */
#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "io/transport.h"

/* What a call that gave -1 means to the caller. */
static ssize_t failed(struct transport *t, uint8_t wants)
{
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		return IO_ERROR;
	t->wants = wants;
	return IO_AGAIN;
}

static int plain_start(struct transport *t)
{
	(void)t;
	return 1;
}

static ssize_t plain_read(struct transport *t, void *to, size_t size)
{
	ssize_t got;
	do {
		got = recv(t->fd, to, size, 0);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? failed(t, TRANSPORT_READ) : got;
}

static ssize_t plain_write(struct transport *t, const struct iovec *iov, int count, bool more)
{
	int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
	ssize_t sent;
	if (count == 1) {
		do {
			sent = send(t->fd, iov->iov_base, iov->iov_len, flags);
		} while (sent < 0 && errno == EINTR);
	} else {
		struct msghdr message = {0};
		/* sendmsg only reads the vector. */
		message.msg_iov = (struct iovec *)(uintptr_t)iov;
		message.msg_iovlen = count > IOV_MAX ? IOV_MAX : (size_t)count;
		do {
			sent = sendmsg(t->fd, &message, flags);
		} while (sent < 0 && errno == EINTR);
	}
	if (!more && sent > 0)
		transport_cork(t, false);
	return sent < 0 ? failed(t, TRANSPORT_WRITE) : sent;
}

static int plain_finish(struct transport *t)
{
	return shutdown(t->fd, SHUT_WR) == 0 ? 1 : IO_ERROR;
}

static void plain_close(struct transport *t, bool reset)
{
	if (reset) {
		struct linger linger = {.l_onoff = 1, .l_linger = 0};
		setsockopt(t->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	}
	close(t->fd);
	t->fd = -1;
}

void plain_init(struct transport *t, int fd, bool paced)
{
	static const struct transport_ops ops = {
		.start = plain_start,
		.read = plain_read,
		.write = plain_write,
		.send_file = transport_send_file,
		.finish = plain_finish,
		.close = plain_close,
	};
	check(fd >= 0);
	*t = (struct transport){.ops = &ops, .fd = fd, .caps = TRANSPORT_SEND_FILE};
	if (paced)
		t->caps |= TRANSPORT_PACED;
}
