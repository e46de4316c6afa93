/* SPDX-License-Identifier: BSD-2-Clause */
/* Registered files on their way from the child that opens them to the worker that asked. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "process/supervisor_priv.h"

static void refuse(struct child *child, unsigned number, int error)
{
	struct channel_file answer = {.number = number, .error = error};
	if (child->channel < 0)
		return; /* it ends just now */
	if (channel_send(
		    child->channel, CHANNEL_FILE, &answer, sizeof(answer), NULL, 0, NULL, 0, false))
		child_kill(child);
}

void opening_start(struct supervisor *s, struct child *child, unsigned number)
{
	int result;
	if (s->opening_count == OPENINGS_MAX) {
		refuse(child, number, EAGAIN);
		return;
	}
	pid_t pid = registry_open(&child->files, number, &result);
	if (pid < 0) {
		refuse(child, number, errno);
		return;
	}
	struct opening *opening = must_zalloc(sizeof(*opening));
	opening->pid = pid;
	opening->number = number;
	opening->asker = child->pid;
	opening->result = result;
	opening->role = (enum file_role)child->files.files[number].entry.role;
	opening->deadline = supervisor_now() + REGISTRY_OPENING_MS;
	list_append(&s->openings, &opening->link);
	s->opening_count++;
}

static void drop(struct supervisor *s, struct opening *opening)
{
	list_remove(&opening->link);
	s->opening_count--;
	close(opening->result);
	free(opening);
}

void opening_finish(struct supervisor *s, struct opening *opening)
{
	struct channel_message message;
	struct channel_file answer;
	struct child *child = child_find(s, opening->asker);
	int got = channel_receive(opening->result, &message, false);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got == 1 && child && message.type == CHANNEL_FILE &&
		channel_head(&message, &answer, sizeof(answer)) == 0) {
		if (child->channel >= 0 &&
			channel_send(child->channel, CHANNEL_FILE, &answer, sizeof(answer), NULL, 0,
				message.fds, message.fd_count, false))
			child_kill(child);
		if (message.fd_count == 1 && opening->role == FILE_ERROR_LOG) {
			if (child->log >= 0)
				close(child->log);
			child->log = channel_take(&message, 0);
			supervisor_log_to(s, child);
		}
	} else if (child) { /* whoever should have opened it was killed */
		refuse(child, opening->number, EIO);
	}
	if (got == 1)
		channel_drop(&message);
	drop(s, opening);
}

void opening_give_up(struct supervisor *s, struct opening *opening)
{
	struct child *child = child_find(s, opening->asker);
	kill(opening->pid, SIGKILL);
	log_error("a registered file could not be opened within %d s", REGISTRY_OPENING_MS / 1000);
	if (child)
		refuse(child, opening->number, ETIMEDOUT);
	drop(s, opening);
}

void opening_rotate_of(struct supervisor *s, struct child *child)
{
	child->rotate = false;
	for (unsigned i = 0; i < REGISTRY_FILES_MAX; i++) {
		unsigned role = child->files.files[i].entry.role;
		if (child->files.files[i].path &&
			(role == FILE_ERROR_LOG || role == FILE_ACCESS_LOG))
			opening_start(s, child, i);
	}
}

void opening_rotate(struct supervisor *s)
{
	list_each (link, &s->children) {
		struct child *child = container_of(link, struct child, link);
		if (child->state == WORKER_STARTING)
			child->rotate = true; /* it may have the old ones: once it is READY */
		else
			opening_rotate_of(s, child);
	}
}
