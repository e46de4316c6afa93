/* SPDX-License-Identifier: BSD-2-Clause */
/* Helpers as the supervisor sees them: started for one worker, heard, started again while that lives, ended with it. Neither a helper
 * nor its worker is believed once it may have been taken over: see process/channel.h for what is decided when. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "process/supervisor_priv.h"

#define LOCK_MS       15000 /* one that is started again has given up its rights by then, or has failed */
#define HEAR_A_TURN   32
#define HEAR_AT_DEATH 1024
#define KEPT_MAX      (256 << 20) /* octets of a keepsake that outlives its worker */

static const struct {
	const char *name; /* also the command, and how the names of its keepsakes begin */
	bool keeps_later; /* it reads its keepsakes only when its rights are gone: they are taken at any time */
	bool opens_keys;
} kinds[HELPER_KINDS] = {
	[HELPER_SIGNER] = {"signer", true, true},
	[HELPER_ACME] = {"acme", false, false},
};

static const char *name_of(const struct helper *helper)
{
	return kinds[helper->want.kind].name;
}

struct helper *helper_find(struct supervisor *s, pid_t pid)
{
	list_each (link, &s->helpers) {
		struct helper *helper = container_of(link, struct helper, link);
		if (helper->pid == pid)
			return helper;
	}
	return NULL;
}

static struct helper *find_of(struct supervisor *s, const struct child *worker, unsigned kind)
{
	list_each (link, &s->helpers) {
		struct helper *helper = container_of(link, struct helper, link);
		if (helper->worker == worker && helper->want.kind == kind)
			return helper;
	}
	return NULL;
}

struct asker helper_asker(const struct helper *helper)
{
	return (struct asker){helper->pid, helper->channel, &helper->files};
}

void helper_kill(struct helper *helper)
{
	if (helper->pid == 0)
		return;
	if (!helper->killed)
		helper->deadline = supervisor_now() + DEATH_MS;
	helper->killed = true;
	kill(helper->pid, SIGKILL);
}

static void close_ends(int *ends, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (ends[i] >= 0)
			close(ends[i]);
		ends[i] = -1;
	}
}

static void close_channel(struct helper *helper)
{
	if (helper->channel >= 0)
		close(helper->channel);
	helper->channel = -1;
}

static void helper_free(struct helper *helper)
{
	list_remove(&helper->link);
	close_channel(helper);
	close_ends(helper->ends, helper->want.ends);
	registry_clear(&helper->files);
	keepsakes_clear(&helper->keepsakes);
	free(helper);
}

/* --- Start. --- */

static int send_ends(
	int channel, enum channel_type type, const struct channel_want *want, const int *ends)
{
	for (unsigned at = 0; at < want->ends;) {
		unsigned left = want->ends - at,
			 count = left < CHANNEL_FDS_MAX ? left : CHANNEL_FDS_MAX;
		struct channel_ends head = {want->kind, left - count};
		if (channel_send(
			    channel, type, &head, sizeof(head), NULL, 0, ends + at, count, false))
			return -1;
		at += count;
	}
	return 0;
}

static void give_ends(struct helper *helper)
{
	struct child *worker = helper->worker;
	if (worker->channel >= 0 &&
		send_ends(worker->channel, CHANNEL_HELPER, &helper->want, helper->ends))
		child_unheard(worker);
	close_ends(helper->ends, helper->want.ends);
}

static int make_pairs(struct helper *helper, int *far)
{
	for (unsigned i = 0; i < helper->want.ends; i++) {
		int pair[2];
		if (channel_pair(pair))
			return -1;
		helper->ends[i] = pair[0];
		far[i] = pair[1];
	}
	return 0;
}

/* 0, or -1 after a message. `again`: its worker serves. */
static int start(struct supervisor *s, struct helper *helper, bool again)
{
	struct child *worker = helper->worker;
	struct channel_helper_hello hello = {.want = helper->want,
		.start_kind = again ? START_CRASH : worker->kind,
		.again = again,
		.place = worker->place,
		.unprivileged = s->options->unprivileged};
	int far[HELPER_ENDS_MAX], pair[2] = {-1, -1};
	int log = worker->birth >= 0 ? worker->birth : log_descriptor();
	for (unsigned i = 0; i < HELPER_ENDS_MAX; i++)
		far[i] = -1;
	if (make_pairs(helper, far) || channel_pair(pair) ||
		channel_send(pair[0], CHANNEL_HELPER_HELLO, &hello, sizeof(hello), NULL, 0, NULL, 0,
			false) ||
		send_ends(pair[0], CHANNEL_ENDS, &helper->want, far))
		goto failed;
	helper->pid = child_spawn(name_of(helper), pair[1], log);
	if (helper->pid < 0)
		goto failed;
	close(pair[1]);
	close_ends(far, helper->want.ends);
	helper->channel = pair[0];
	helper->locked = helper->killed = false;
	helper->since = supervisor_now();
	helper->deadline = again ? helper->since + LOCK_MS : 0; /* until then the worker's counts */
	return 0;
failed:
	log_error("cannot start the %s: %m", name_of(helper));
	helper->pid = 0;
	close_ends(pair, 2);
	close_ends(far, helper->want.ends);
	close_ends(helper->ends, helper->want.ends);
	return -1;
}

int helper_want(struct supervisor *s, struct child *worker, const struct channel_want *want)
{
	if (want->kind >= HELPER_KINDS || want->ends == 0 || want->ends > HELPER_ENDS_MAX ||
		find_of(s, worker, want->kind))
		return -1;
	struct helper *helper = must_zalloc(sizeof(*helper));
	helper->worker = worker;
	helper->want = *want;
	helper->channel = -1;
	for (unsigned i = 0; i < HELPER_ENDS_MAX; i++)
		helper->ends[i] = -1;
	list_append(&s->helpers, &helper->link);
	if (start(s, helper, false)) {
		helper_free(helper);
		return -1;
	}
	give_ends(helper);
	return 0;
}

static void restart_later(struct helper *helper)
{
	helper->restart_at = supervisor_now() + helper->restart_delay;
	helper->restart_delay = helper->restart_delay == 0 ? 100
				: helper->restart_delay < RESTART_MAX / 2
					? helper->restart_delay * 2
					: RESTART_MAX;
}

/* --- What it says. --- */

bool helper_keeps(const char *name)
{
	for (unsigned i = 0; i < HELPER_KINDS; i++) {
		if (strncmp(name, kinds[i].name, strlen(kinds[i].name)) == 0)
			return true;
	}
	return false;
}

static bool is_own(const struct helper *helper, const char *name)
{
	return strncmp(name, name_of(helper), strlen(name_of(helper))) == 0;
}

/* Its own as far as there are any; else what the last READY worker's had kept, unless its own worker is READY already. */
static int send_keepsake(struct supervisor *s, struct helper *helper, const char *name)
{
	if (!is_own(helper, name))
		return -1;
	int fd = keepsakes_find(&helper->keepsakes, name);
	if (fd < 0 && helper->worker && helper->worker->state == WORKER_STARTING)
		fd = keepsakes_find(&s->keepsakes, name);
	return channel_send(
		helper->channel, CHANNEL_KEEPSAKE, NULL, 0, NULL, 0, &fd, fd >= 0, false);
}

/* What is kept while the worker serves is there for the next one's as well, should it die. */
static void show_successors(struct supervisor *s, const char *name, int fd)
{
	int copy = keepsake_is_sound(fd, KEPT_MAX) ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (copy >= 0)
		keepsakes_put(&s->keepsakes, name, copy);
}

static int take_keepsake(
	struct supervisor *s, struct helper *helper, struct channel_message *message)
{
	bool may = !helper->locked || kinds[helper->want.kind].keeps_later;
	if (message->fd_count != 1 || !may || !is_own(helper, message->payload))
		return -1;
	if (helper->worker && helper->worker == s->current)
		show_successors(s, message->payload, message->fds[0]);
	return keepsakes_put(&helper->keepsakes, message->payload, channel_take(message, 0));
}

/* Files are named while the worker starts, that may have any opened then. */
static int take_file(struct helper *helper, const struct channel_message *message)
{
	struct channel_register entry;
	if (helper->locked || !helper->worker || helper->worker->state != WORKER_STARTING ||
		!kinds[helper->want.kind].opens_keys ||
		channel_head(message, &entry, sizeof(entry)) || entry.role != FILE_KEY ||
		entry.flags != O_RDONLY)
		return -1;
	return registry_add(&helper->files, &entry, message->payload + sizeof(entry));
}

static int open_file(
	struct supervisor *s, struct helper *helper, const struct channel_message *message)
{
	struct channel_count number;
	if (channel_head(message, &number, sizeof(number)))
		return -1;
	struct asker asker = helper_asker(helper);
	opening_start(s, &asker, number.count);
	return 0;
}

/* One that was started again takes up its work. */
static int take_locked(struct helper *helper)
{
	if (helper->locked)
		return -1;
	helper->locked = true;
	helper->deadline = 0;
	if (helper->worker && helper->ends[0] >= 0)
		give_ends(helper);
	return 0;
}

static int hear(struct supervisor *s, struct helper *helper, struct channel_message *message)
{
	switch (message->type) {
	case CHANNEL_WANT_KEEPSAKE:
		return send_keepsake(s, helper, message->payload);
	case CHANNEL_KEEP_KEEPSAKE:
		return take_keepsake(s, helper, message);
	case CHANNEL_REGISTER:
		return take_file(helper, message);
	case CHANNEL_OPEN:
		return open_file(s, helper, message);
	case CHANNEL_LOCKED:
		return take_locked(helper);
	default:
		return -1;
	}
}

static void receive(struct supervisor *s, struct helper *helper, unsigned most)
{
	static struct channel_message message; /* one thread; too large for every stack */
	for (unsigned i = 0; i < most; i++) {
		int got = channel_receive(helper->channel, &message, false);
		if (got < 0 && errno == EAGAIN)
			return;
		if (got == 0) { /* it has ended, or is about to */
			close_channel(helper);
			helper->deadline = supervisor_now() + GRACE_MS;
			return;
		}
		int error = got < 0 ? -1 : hear(s, helper, &message);
		if (got == 1)
			channel_drop(&message);
		if (error) {
			log_error("%s %d broke the rules of its channel: it is killed",
				name_of(helper), (int)helper->pid);
			helper_kill(helper);
			return;
		}
	}
}

void helper_receive(struct supervisor *s, struct helper *helper)
{
	receive(s, helper, HEAR_A_TURN);
}

/* --- End. --- */

void helper_stuck(struct supervisor *s, struct child *worker, unsigned kind)
{
	struct helper *helper = find_of(s, worker, kind);
	if (!helper || !helper->locked || helper->killed)
		return;
	log_error("%s %d does not answer: it is killed", name_of(helper), (int)helper->pid);
	helper_kill(helper);
}

/* A worker that starts sees the end of its helper by itself, and fails. */
void helper_reap(struct supervisor *s, struct helper *helper, int status)
{
	char why[96];
	child_describe(why, status);
	if (helper->channel >= 0)
		receive(s, helper, HEAR_AT_DEATH);
	close_channel(helper);
	close_ends(helper->ends, helper->want.ends);
	helper->deadline = 0;
	if (!helper->worker || helper->worker->killed || s->stopping) {
		helper->pid = 0;
		if (!helper->worker)
			helper_free(helper);
		return;
	}
	bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (!clean)
		log_error("%s %d of worker %d %s", name_of(helper), (int)helper->pid,
			(int)helper->worker->pid, why);
	helper->pid = 0;
	if (helper->worker->state == WORKER_STARTING)
		return;
	if (clean && helper->restart_delay == 0)
		helper->restart_delay = 100; /* its worker ends just now, as far as can be seen */
	if (helper->locked && supervisor_now() - helper->since >= STEADY_MS)
		helper->restart_delay = 0;
	restart_later(helper);
}

void helpers_orphan(struct supervisor *s, const struct child *worker)
{
	list_each_safe (link, &s->helpers) {
		struct helper *helper = container_of(link, struct helper, link);
		if (helper->worker != worker)
			continue;
		helper->worker = NULL;
		helper->restart_at = 0;
		close_channel(helper);
		if (helper->pid == 0)
			helper_free(helper);
		else if (!helper->killed)
			helper->deadline = supervisor_now() + GRACE_MS;
	}
}

void helpers_kill(struct supervisor *s, const struct child *worker)
{
	list_each (link, &s->helpers) {
		struct helper *helper = container_of(link, struct helper, link);
		if (helper->worker == worker)
			helper_kill(helper);
	}
}

/* --- With the worker. --- */

void helpers_hear(struct supervisor *s, const struct child *worker)
{
	list_each_safe (link, &s->helpers) {
		struct helper *helper = container_of(link, struct helper, link);
		if (helper->worker == worker && helper->channel >= 0)
			receive(s, helper, HEAR_AT_DEATH);
	}
}

/* What was kept for workers that have no such helper any more is forgotten: keys that nobody uses are not held. */
void helpers_commit(struct supervisor *s, const struct child *worker)
{
	struct keepsakes kept = s->keepsakes;
	s->keepsakes.count = 0;
	for (unsigned i = 0; i < kept.count; i++) {
		if (helper_keeps(kept.list[i].name))
			close(kept.list[i].fd);
		else
			keepsakes_put(&s->keepsakes, kept.list[i].name, kept.list[i].fd);
	}
	list_each (link, &s->helpers) {
		struct helper *helper = container_of(link, struct helper, link);
		if (helper->worker != worker)
			continue;
		if (helper->pid == 0)
			restart_later(helper); /* it died early, and the worker does without */
		for (unsigned i = 0; i < helper->keepsakes.count; i++)
			show_successors(
				s, helper->keepsakes.list[i].name, helper->keepsakes.list[i].fd);
	}
}

void helpers_log_to(struct supervisor *s, int log)
{
	list_each (link, &s->helpers) {
		struct helper *helper = container_of(link, struct helper, link);
		if (helper->channel >= 0 && helper->worker->state != WORKER_STARTING &&
			channel_send(
				helper->channel, CHANNEL_LOG, NULL, 0, NULL, 0, &log, 1, false))
			helper_kill(helper);
	}
}

unsigned helpers_list(const struct supervisor *s, struct control_helper *to, unsigned most)
{
	unsigned count = 0;
	uint64_t now = supervisor_now();
	list_each (link, &s->helpers) {
		const struct helper *helper = container_of(link, struct helper, link);
		if (count == most)
			break;
		to[count++] = (struct control_helper){.pid = helper->pid,
			.since = (int64_t)((now - helper->since) / 1000),
			.worker = helper->worker ? helper->worker->pid : 0,
			.kind = helper->want.kind,
			.restarts = helper->restarts};
	}
	return count;
}

static void overdue(struct supervisor *s, struct helper *helper)
{
	if (!helper->killed) {
		helper_kill(helper);
		return;
	}
	if (!s->stopping)
		return;
	log_error("%s %d was killed and does not end: it is left behind", name_of(helper),
		(int)helper->pid);
	helper_free(helper);
}

static void restart(struct supervisor *s, struct helper *helper)
{
	helper->restart_at = 0;
	if (s->stopping)
		return;
	helper->restarts++;
	if (start(s, helper, true))
		restart_later(helper);
}

void helpers_due(struct supervisor *s, uint64_t now, uint64_t *next)
{
	list_each_safe (link, &s->helpers) {
		struct helper *helper = container_of(link, struct helper, link);
		if (helper->restart_at != 0 && helper->restart_at <= now)
			restart(s, helper);
		else if (helper->deadline != 0 && helper->deadline <= now && helper->pid != 0)
			overdue(s, helper);
	}
	list_each (link, &s->helpers) {
		const struct helper *helper = container_of(link, struct helper, link);
		if (helper->restart_at > now && helper->restart_at < *next)
			*next = helper->restart_at;
		if (helper->deadline > now && helper->deadline < *next)
			*next = helper->deadline;
	}
}
