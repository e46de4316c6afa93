/* SPDX-License-Identifier: BSD-2-Clause */
/* Registered files on their way from the child that opens them to the worker that asked. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "process/supervisor_priv.h"

/* A worker or a helper that lives. */
static bool find_asker(struct supervisor *s, pid_t pid, struct asker *asker)
{
	const struct child *child = child_find(s, pid);
	const struct helper *helper = child ? NULL : helper_find(s, pid);
	if (child)
		*asker = child_asker(child);
	else if (helper)
		*asker = helper_asker(helper);
	return child || helper;
}

static void answer(struct supervisor *s, const struct asker *asker, const struct channel_file *file,
	const int *fds, unsigned count)
{
	if (asker->channel < 0 || /* it ends just now */
		channel_send(asker->channel, CHANNEL_FILE, file, sizeof(*file), NULL, 0, fds, count,
			false) == 0)
		return;
	struct child *child = child_find(s, asker->pid);
	struct helper *helper = helper_find(s, asker->pid);
	if (child)
		child_kill(child);
	else if (helper)
		helper_kill(helper);
}

static void refuse(struct supervisor *s, const struct asker *asker, unsigned number, int error)
{
	answer(s, asker, &(struct channel_file){.number = number, .error = error}, NULL, 0);
}

void opening_start(struct supervisor *s, const struct asker *asker, unsigned number)
{
	int result;
	if (s->opening_count == OPENINGS_MAX) {
		refuse(s, asker, number, EAGAIN);
		return;
	}
	pid_t pid = registry_open(asker->files, number, &result);
	if (pid < 0) {
		refuse(s, asker, number, errno);
		return;
	}
	struct opening *opening = must_zalloc(sizeof(*opening));
	opening->pid = pid;
	opening->number = number;
	opening->asker = asker->pid;
	opening->result = result;
	opening->role = (enum file_role)asker->files->files[number].entry.role;
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

void opening_take_log(struct supervisor *s, struct child *child, int log)
{
	if (child->log >= 0)
		close(child->log);
	child->log = log;
	supervisor_log_to(s, child);
}

void opening_finish(struct supervisor *s, struct opening *opening)
{
	struct channel_message message;
	struct channel_file file;
	struct asker asker;
	bool asked = find_asker(s, opening->asker, &asker);
	int got = channel_receive(opening->result, &message, false);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got == 1 && asked && message.type == CHANNEL_FILE &&
		channel_head(&message, &file, sizeof(file)) == 0) {
		answer(s, &asker, &file, message.fds, message.fd_count);
		struct child *child = child_find(s, opening->asker);
		if (child && message.fd_count == 1 && opening->role == FILE_ERROR_LOG)
			opening_take_log(s, child, channel_take(&message, 0));
	} else if (asked) { /* whoever should have opened it was killed */
		refuse(s, &asker, opening->number, EIO);
	}
	if (got == 1)
		channel_drop(&message);
	drop(s, opening);
}

void opening_give_up(struct supervisor *s, struct opening *opening)
{
	struct asker asker;
	kill(opening->pid, SIGKILL);
	log_error("a registered file could not be opened within %d s", REGISTRY_OPENING_MS / 1000);
	if (find_asker(s, opening->asker, &asker))
		refuse(s, &asker, opening->number, ETIMEDOUT);
	drop(s, opening);
}

void opening_rotate_of(struct supervisor *s, struct child *child)
{
	struct asker asker = child_asker(child);
	child->rotate = false;
	for (unsigned i = 0; i < child->files.count; i++) {
		unsigned role = child->files.files[i].entry.role;
		if (child->files.files[i].path &&
			(role == FILE_ERROR_LOG || role == FILE_ACCESS_LOG))
			opening_start(s, &asker, i);
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
