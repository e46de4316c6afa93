/* SPDX-License-Identifier: BSD-2-Clause */
/* One worker as the supervisor sees it: started by fork and exec of the supervisor's own binary, heard, told to drain, reaped. A
 * worker that has read from the network is not believed: what decides over the next privileged start (sockets, files, the kept
 * configuration) is taken only before READY. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "process/supervisor_priv.h"
#include "process/tally.h"

#define SAID_MAX      (256 * 1024) /* octets of what a starting worker said that are looked at */
#define HEAR_A_TURN   32           /* messages: no worker keeps the supervisor from the others */
#define HEAR_AT_DEATH 1024         /* more than a channel holds */

uint32_t child_places(const struct supervisor *s)
{
	uint32_t places = 0;
	list_each (link, &s->children)
		places |= UINT32_C(1) << container_of(link, struct child, link)->place;
	return places;
}

struct child *child_find(struct supervisor *s, pid_t pid)
{
	list_each (link, &s->children) {
		struct child *child = container_of(link, struct child, link);
		if (child->pid == pid)
			return child;
	}
	return NULL;
}

void child_kill(struct child *child)
{
	if (child->reaped)
		return;
	if (!child->killed)
		child->deadline = supervisor_now() + DEATH_MS;
	child->killed = true;
	kill(child->pid, SIGKILL);
}

void child_unheard(struct child *child)
{
	if (errno == EPIPE ||
		errno == ECONNRESET) /* it has ended, or is about to: SIGCHLD tells how */
		return;
	log_error("worker %d does not listen any more: it is killed", (int)child->pid);
	child_kill(child);
}

/* --- Start. --- */

/* The channel and the birth file go to fixed numbers; all else is close-on-exec. Signals stay blocked until the worker ignores them:
 * one to the whole group would end it here. */
static _Noreturn void become(const char *command, int channel, int birth)
{
	static char name[] = "weir";
	prctl(PR_SET_PDEATHSIG,
		SIGKILL); /* while its binary is looked for as well; see process_follow */
	char *const arguments[] = {name, (char *)(uintptr_t)command, NULL};
	int high_channel = fcntl(channel, F_DUPFD, WORKER_BIRTH + 1);
	int high_birth = fcntl(birth, F_DUPFD, WORKER_BIRTH + 1);
	if (dup2(high_channel, WORKER_CHANNEL) < 0 || dup2(high_birth, WORKER_BIRTH) < 0)
		_exit(1);
	close_range(WORKER_BIRTH + 1, ~0u, 0);
	execv("/proc/self/exe", arguments);
	dprintf(WORKER_BIRTH, "weir: cannot start its own binary: %s\n", strerror(errno));
	_exit(1);
}

/* vfork: the memory is not copied for one that is going to replace it at once, which a start would notice. */
pid_t child_spawn(const char *command, int channel, int birth)
{
	pid_t pid = vfork();
	if (pid == 0)
		become(command, channel, birth);
	return pid;
}

/* A reload leaves one for a crash. */
static int free_place(const struct supervisor *s, enum start_kind kind)
{
	uint32_t taken = child_places(s);
	if (kind == START_RELOAD && __builtin_popcount(taken) >= PLACES_MAX - 1)
		return -1;
	for (int place = 0; place < PLACES_MAX; place++) {
		if (!(taken >> place & 1))
			return place;
	}
	return -1;
}

static struct child *child_new(enum start_kind kind, unsigned place)
{
	struct child *child = must_zalloc(sizeof(*child));
	child->kind = kind;
	child->place = place;
	child->state = WORKER_STARTING;
	child->log = -1;
	child->channel = child->birth = -1;
	child->since = supervisor_now();
	child->deadline = child->since + START_MS;
	return child;
}

static void child_free(struct child *child)
{
	if (child->channel >= 0)
		close(child->channel);
	if (child->birth >= 0)
		close(child->birth);
	if (child->log >= 0)
		close(child->log);
	registry_clear(&child->files);
	keepsakes_clear(&child->keepsakes);
	free(child->pid_file);
	free(child->serving);
	free(child);
}

struct child *child_start(struct supervisor *s, enum start_kind kind)
{
	int place = free_place(s, kind), ends[2] = {-1, -1};
	if (place < 0) {
		log_error("%d workers are draining: no more can be started",
			__builtin_popcount(child_places(s)));
		return NULL;
	}
	struct child *child = child_new(kind, (unsigned)place);
	struct channel_hello hello = {.kind = (uint32_t)kind,
		.place = child->place,
		.unprivileged = s->options->unprivileged};
	const char *file = s->options->file;
	child->birth = memfd_create("weir-birth", MFD_CLOEXEC);
	if (child->birth < 0 || channel_pair(ends) ||
		channel_send(ends[0], CHANNEL_HELLO, &hello, sizeof(hello), file, strlen(file),
			NULL, 0, false))
		goto failed;
	child->channel = ends[0];
	child->pid = child_spawn("worker", ends[1], child->birth);
	if (child->pid < 0)
		goto failed;
	close(ends[1]);
	list_append(&s->children, &child->link);
	return child;
failed:
	log_error("cannot start a worker: %m");
	if (ends[1] >= 0)
		close(ends[1]);
	if (ends[0] >= 0 && child->channel < 0)
		close(ends[0]);
	child_free(child);
	return NULL;
}

/* --- What it says. --- */

static int answer(struct child *child, enum channel_type type, const void *head, size_t length,
	const int *fds, unsigned count)
{
	return channel_send(child->channel, type, head, length, NULL, 0, fds, count, false);
}

static int send_sockets(struct supervisor *s, struct child *child, const char *text)
{
	struct kept_address *address = sockets_use(&s->sockets, text, child->place);
	unsigned left = address ? address->count : 0, at = 0;
	do {
		int fds[CHANNEL_FDS_MAX];
		unsigned count = left < CHANNEL_FDS_MAX ? left : CHANNEL_FDS_MAX;
		for (unsigned i = 0; i < count; i++)
			fds[i] = address->sockets[at++].fd;
		left -= count;
		struct channel_count more = {left};
		if (answer(child, CHANNEL_SOCKETS, &more, sizeof(more), fds, count))
			return -1;
	} while (left > 0);
	return 0;
}

static int take_sockets(struct supervisor *s, struct child *child, struct channel_message *message)
{
	int fds[CHANNEL_FDS_MAX];
	unsigned count = message->fd_count;
	for (unsigned i = 0; i < count; i++)
		fds[i] = channel_take(message, i);
	return sockets_keep(&s->sockets, message->payload, fds, count, child->place);
}

static int take_file(struct supervisor *s, struct child *child, struct channel_message *message)
{
	struct channel_register entry;
	if (channel_head(message, &entry, sizeof(entry)))
		return -1;
	if (entry.role == FILE_KEY || (entry.role == FILE_CERTIFICATE && entry.flags != O_RDONLY))
		return -1; /* keys are the signer's */
	if (entry.role == FILE_ERROR_LOG && message->fd_count == 1)
		opening_take_log(s, child, channel_take(message, 0));
	return registry_add(&child->files, &entry, message->payload + sizeof(entry));
}

struct asker child_asker(const struct child *child)
{
	return (struct asker){child->pid, child->channel, &child->files};
}

/* Later than at its start a worker may read what it has named as certificates then, and nothing else. */
static int open_file(
	struct supervisor *s, struct child *child, const struct channel_message *message)
{
	struct channel_count number;
	if (channel_head(message, &number, sizeof(number)))
		return -1;
	const struct registered *file = registry_find(&child->files, number.count);
	if (child->state != WORKER_STARTING && (!file || file->entry.role != FILE_CERTIFICATE))
		return -1;
	struct asker asker = child_asker(child);
	opening_start(s, &asker, number.count);
	return 0;
}

static int want_helper(
	struct supervisor *s, struct child *child, const struct channel_message *message)
{
	struct channel_want want;
	if (channel_head(message, &want, sizeof(want)))
		return -1;
	return helper_want(s, child, &want);
}

static int replace_helper(
	struct supervisor *s, struct child *child, const struct channel_message *message)
{
	struct channel_count kind;
	if (channel_head(message, &kind, sizeof(kind)))
		return -1;
	helper_stuck(s, child, kind.count);
	return 0;
}

static int send_keepsake(struct supervisor *s, struct child *child, const char *name)
{
	if (helper_keeps(name))
		return -1;
	int fd = keepsakes_find(&s->keepsakes, name);
	return answer(child, CHANNEL_KEEPSAKE, NULL, 0, &fd, fd >= 0);
}

static int take_keepsake(struct child *child, struct channel_message *message)
{
	if (message->fd_count != 1 || helper_keeps(message->payload))
		return -1;
	return keepsakes_put(&child->keepsakes, message->payload, channel_take(message, 0));
}

/* A worker that serves may have been taken over: whoever starts looks at this as at what a stranger gave it. */
static int take_renewed(struct supervisor *s, struct child *child, struct channel_message *message)
{
	if (message->fd_count != 1 || strcmp(message->payload, KEEPSAKE_RENEWED) != 0 ||
		!keepsake_is_sound(message->fds[0], KEEPSAKE_RENEWED_MAX))
		return -1;
	if (child != s->current)
		return 0;
	return keepsakes_put(&s->keepsakes, KEEPSAKE_RENEWED, channel_take(message, 0));
}

static int take_ready(
	struct supervisor *s, struct child *child, const struct channel_message *message)
{
	if (channel_head(message, &child->ready, sizeof(child->ready)) || child->ready.drain < 0 ||
		child->ready.linger < 0)
		return -1;
	const char *pid_file = message->payload + sizeof(child->ready);
	const char *serving = pid_file + strlen(pid_file) + 1;
	if (serving > message->payload + message->length)
		return -1;
	child->pid_file = pid_file[0] ? must_strdup(pid_file) : NULL;
	child->serving = must_strdup(serving);
	child->deadline = 0;
	supervisor_child_ready(s, child);
	return 0;
}

/* What only a worker may say that has not read from the network yet. */
static int hear_starting(struct supervisor *s, struct child *child, struct channel_message *message)
{
	switch (message->type) {
	case CHANNEL_WANT_SOCKETS:
		return send_sockets(s, child, message->payload);
	case CHANNEL_KEEP_SOCKETS:
		return take_sockets(s, child, message);
	case CHANNEL_WANT_KEEPSAKE:
		return send_keepsake(s, child, message->payload);
	case CHANNEL_KEEP_KEEPSAKE:
		return take_keepsake(child, message);
	case CHANNEL_REGISTER:
		return take_file(s, child, message);
	case CHANNEL_WANT_HELPER:
		return want_helper(s, child, message);
	case CHANNEL_READY:
		return take_ready(s, child, message);
	default:
		return -1;
	}
}

static int hear(struct supervisor *s, struct child *child, struct channel_message *message)
{
	if (message->type == CHANNEL_RELOAD) {
		if (child == s->current)
			supervisor_reload_soon(s);
		return 0;
	}
	if (message->type == CHANNEL_LET_GO) {
		supervisor_let_go(s, child);
		return 0;
	}
	if (message->type == CHANNEL_OPEN)
		return open_file(s, child, message);
	if (message->type == CHANNEL_HELPER_STUCK)
		return replace_helper(s, child, message);
	if (message->type == CHANNEL_KEEP_KEEPSAKE && child->state != WORKER_STARTING)
		return take_renewed(s, child, message);
	return child->state == WORKER_STARTING ? hear_starting(s, child, message) : -1;
}

static void receive(struct supervisor *s, struct child *child, unsigned most)
{
	static struct channel_message message; /* one thread; too large for every stack */
	for (unsigned i = 0; i < most; i++) {
		int got = channel_receive(child->channel, &message, false);
		if (got < 0 && errno == EAGAIN)
			return;
		if (got == 0) { /* it has ended, or is about to: SIGCHLD tells how */
			close(child->channel);
			child->channel = -1;
			if (child->deadline == 0 || child->deadline > supervisor_now() + GRACE_MS)
				child->deadline = supervisor_now() + GRACE_MS;
			return;
		}
		int error = got < 0 ? -1 : hear(s, child, &message);
		if (got == 1)
			channel_drop(&message);
		if (error) {
			log_error("worker %d broke the rules of its channel: it is killed",
				(int)child->pid);
			child_kill(child);
			return;
		}
	}
}

void child_receive(struct supervisor *s, struct child *child)
{
	receive(s, child, HEAR_A_TURN);
}

/* --- Drain and end. --- */

void child_drain(
	struct supervisor *s, struct child *child, uint64_t ms, bool all, struct slice removed)
{
	struct channel_drain order = {
		.all = all, .milliseconds = ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX};
	uint64_t now = supervisor_now();
	if (s->current == child)
		s->current = NULL;
	if (child->state != WORKER_DRAINING)
		child->since = now;
	child->state = WORKER_DRAINING;
	child->deadline = now + order.milliseconds + (ms == 0 ? GRACE_MS / 2 : GRACE_MS);
	if (removed.len > CHANNEL_PAYLOAD_MAX - sizeof(order)) {
		order.all = 1;
		removed.len = 0;
	}
	if (child->channel >= 0 && channel_send(child->channel, CHANNEL_DRAIN, &order,
					   sizeof(order), removed.ptr, removed.len, NULL, 0, false))
		child_unheard(child);
}

/* What follows the end of a worker, however it is known. */
static void bury(struct supervisor *s, struct child *child, const char *why, struct slice said)
{
	if (s->current == child)
		s->current = NULL;
	list_remove(&child->link);
	sockets_forget(&s->sockets, child->place);
	helpers_orphan(s, child);
	supervisor_child_gone(s, child, why, said);
	child_free(child);
}

void child_abandon(struct supervisor *s, struct child *child)
{
	log_error("worker %d was killed and does not end: it is left behind", (int)child->pid);
	helpers_kill(s, child); /* its ends stay open: they would not see that it is gone */
	bury(s, child, "did not end", (struct slice){NULL, 0});
}

void child_describe(char to[96], int status)
{
	if (WIFSIGNALED(status))
		snprintf(to, 96, "died by signal %d (SIG%s)", WTERMSIG(status),
			sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?");
	else
		snprintf(to, 96, "ended with status %d", WEXITSTATUS(status));
}

void child_reap(struct supervisor *s, struct child *child, int status)
{
	char why[96];
	child->reaped = true;
	if (child->channel >= 0)
		receive(s, child, HEAR_AT_DEATH);
	child_describe(why, status);
	char *bytes = NULL;
	struct slice said = {NULL, 0};
	if (child->birth >= 0) {
		bytes = must_alloc(SAID_MAX);
		ssize_t n = pread(child->birth, bytes, SAID_MAX, 0);
		said = (struct slice){bytes, n > 0 ? (size_t)n : 0};
	}
	bury(s, child, why, said);
	free(bytes);
}
