/* SPDX-License-Identifier: BSD-2-Clause */
/* A helper's side of its channel to the supervisor. One thread at a time speaks there. */
#include "process/helper_self.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "process/begin.h"

#define NOBODY ((uint32_t)-1)

/* The new log takes the old one's number. */
static void take_log(struct helper_self *self)
{
	if (self->message.fd_count == 1 && dup3(self->message.fds[0], HELPER_LOG, O_CLOEXEC) < 0)
		log_error("the log cannot be opened anew: %m");
}

/* Receives the answer to a question; another log may come before it. 0, or -1 with errno: the supervisor is gone. */
static int answer(struct helper_self *self, enum channel_type type)
{
	for (;;) {
		int got = channel_receive(WORKER_CHANNEL, &self->message, true);
		if (got == 1 && self->message.type == (uint32_t)type)
			return 0;
		if (got == 1 && self->message.type == CHANNEL_LOG)
			take_log(self);
		if (got == 1)
			channel_drop(&self->message);
		if (got <= 0) {
			errno = EPIPE;
			return -1;
		}
	}
}

static int send(enum channel_type type, const void *head, size_t length, const char *text,
	const int *fds, unsigned count)
{
	return channel_send(WORKER_CHANNEL, type, head, length, text, text ? strlen(text) : 0, fds,
		count, true);
}

static int hear_ends(struct helper_self *self)
{
	struct channel_ends head;
	unsigned count = 0;
	self->ends = must_alloc(sizeof(int) * self->hello.want.ends);
	do {
		if (answer(self, CHANNEL_ENDS) ||
			channel_head(&self->message, &head, sizeof(head)) ||
			count + self->message.fd_count > self->hello.want.ends)
			return -1;
		for (unsigned i = 0; i < self->message.fd_count; i++)
			self->ends[count++] = channel_take(&self->message, i);
	} while (head.left > 0);
	return count == self->hello.want.ends ? 0 : -1;
}

int helper_self_begin(struct helper_self *self, enum helper_kind kind, const char *command)
{
	char name[16];
	snprintf(name, sizeof(name), "weir-%s", command);
	if (process_begin(command, name))
		return 2;
	if (answer(self, CHANNEL_HELPER_HELLO) ||
		channel_head(&self->message, &self->hello, sizeof(self->hello)) ||
		self->hello.want.kind != (uint32_t)kind ||
		self->hello.want.ends > HELPER_ENDS_MAX || hear_ends(self)) {
		log_error("the supervisor does not tell what is to be done");
		return 1;
	}
	process_follow(
		false); /* its channel and its ends tell, and its worker may need it longer */
	log_open(HELPER_LOG, (enum log_level)self->hello.want.log_level, command);
	return 0;
}

int helper_self_account(struct helper_self *self)
{
	const struct channel_want *want = &self->hello.want;
	if (geteuid() != 0 || want->uid == NOBODY || want->uid == 0)
		return 0;
	if (setgroups(0, NULL) || setresgid(want->gid, want->gid, want->gid) ||
		setresuid(want->uid, want->uid, want->uid) || setuid(0) == 0 ||
		geteuid() != want->uid || getuid() != want->uid) {
		log_error("cannot give up root's rights: %m");
		return -1;
	}
	return 0;
}

int helper_self_locked(struct helper_self *self)
{
	(void)self;
	return send(CHANNEL_LOCKED, NULL, 0, NULL, NULL, 0);
}

int helper_self_keepsake(struct helper_self *self, const char *name)
{
	if (send(CHANNEL_WANT_KEEPSAKE, NULL, 0, name, NULL, 0) || answer(self, CHANNEL_KEEPSAKE))
		return -2;
	return self->message.fd_count > 0 ? channel_take(&self->message, 0) : -1;
}

int helper_self_keep(struct helper_self *self, const char *name, int fd)
{
	(void)self;
	return send(CHANNEL_KEEP_KEEPSAKE, NULL, 0, name, &fd, 1);
}

int helper_self_register(struct helper_self *self, unsigned number, const char *path)
{
	struct channel_register entry = {.number = number,
		.role = FILE_KEY,
		.flags = O_RDONLY,
		.uid = NOBODY,
		.gid = NOBODY};
	(void)self;
	if (strlen(path) + sizeof(entry) > CHANNEL_PAYLOAD_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return send(CHANNEL_REGISTER, &entry, sizeof(entry), path, NULL, 0);
}

int helper_self_open(struct helper_self *self, unsigned number)
{
	struct channel_count wanted = {number};
	struct channel_file file = {0};
	if (send(CHANNEL_OPEN, &wanted, sizeof(wanted), NULL, NULL, 0) ||
		answer(self, CHANNEL_FILE) || channel_head(&self->message, &file, sizeof(file)))
		return -1;
	if (file.error == 0 && file.number == number && self->message.fd_count == 1)
		return channel_take(&self->message, 0);
	channel_drop(&self->message);
	errno = file.error != 0 ? file.error : EIO;
	return -1;
}

bool helper_self_hear(struct helper_self *self)
{
	int got;
	while ((got = channel_receive(WORKER_CHANNEL, &self->message, false)) == 1) {
		if (self->message.type == CHANNEL_LOG)
			take_log(self);
		channel_drop(&self->message);
	}
	return got < 0;
}
