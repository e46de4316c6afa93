/* SPDX-License-Identifier: BSD-2-Clause */
/* One message is one packet of a SOCK_SEQPACKET socket: never half of one, never two in one. Every length is checked against what
 * was received, and no more descriptors are taken than a message may carry. */
#include "process/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"

#define CHANNEL_MAGIC 0x77656972u

struct envelope {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	uint32_t length;
};

union ancillary {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
};

int channel_pair(int ends[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}

int channel_send(int channel, enum channel_type type, const void *head, size_t head_length,
	const void *tail, size_t tail_length, const int *fds, unsigned fd_count, bool wait)
{
	check(head_length + tail_length <= CHANNEL_PAYLOAD_MAX && fd_count <= CHANNEL_FDS_MAX);
	struct envelope envelope = {CHANNEL_MAGIC, CHANNEL_VERSION, (uint16_t)type,
		(uint32_t)(head_length + tail_length)};
	struct iovec parts[3] = {
		{&envelope, sizeof(envelope)},
		{(void *)(uintptr_t)head, head_length},
		{(void *)(uintptr_t)tail, tail_length},
	};
	union ancillary ancillary;
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
	if (fd_count > 0) {
		memset(&ancillary, 0, sizeof(ancillary));
		message.msg_control = &ancillary;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
	}
	int flags = MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT);
	ssize_t sent;
	do
		sent = sendmsg(channel, &message, flags);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -1 : 0;
}

static void take_fds(struct msghdr *from, struct channel_message *message)
{
	for (struct cmsghdr *header = CMSG_FIRSTHDR(from); header;
		header = CMSG_NXTHDR(from, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		unsigned count = (unsigned)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		check(message->fd_count + count <= CHANNEL_FDS_MAX);
		memcpy(message->fds + message->fd_count, CMSG_DATA(header), sizeof(int) * count);
		message->fd_count += count;
	}
}

int channel_receive(int channel, struct channel_message *message, bool wait)
{
	struct envelope envelope;
	struct iovec parts[2] = {
		{&envelope, sizeof(envelope)},
		{message->payload, CHANNEL_PAYLOAD_MAX},
	};
	union ancillary ancillary;
	struct msghdr from = {.msg_iov = parts,
		.msg_iovlen = 2,
		.msg_control = &ancillary,
		.msg_controllen = sizeof(ancillary)};
	message->fd_count = 0;
	message->length = 0;
	ssize_t n;
	do
		n = recvmsg(channel, &from, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -1;
	if (n == 0)
		return 0;
	take_fds(&from, message);
	errno = EPROTO;
	bool whole = !(from.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
		     (size_t)n >= sizeof(envelope) && envelope.magic == CHANNEL_MAGIC;
	if (whole && envelope.version != CHANNEL_VERSION) {
		whole = false;
		errno = EPROTONOSUPPORT;
	}
	if (!whole || envelope.length != (size_t)n - sizeof(envelope) || envelope.type == 0 ||
		envelope.type >= CHANNEL_TYPE_END) {
		int error = errno;
		channel_drop(message);
		errno = error;
		return -1;
	}
	message->type = envelope.type;
	message->length = envelope.length;
	message->payload[message->length] = 0;
	return 1;
}

int channel_head(const struct channel_message *message, void *head, size_t length)
{
	if (message->length < length)
		return -1;
	memcpy(head, message->payload, length);
	return 0;
}

int channel_take(struct channel_message *message, unsigned index)
{
	check(index < message->fd_count);
	int fd = message->fds[index];
	message->fds[index] = -1;
	return fd;
}

void channel_drop(struct channel_message *message)
{
	for (unsigned i = 0; i < message->fd_count; i++) {
		if (message->fds[i] >= 0)
			close(message->fds[i]);
	}
	message->fd_count = 0;
}
