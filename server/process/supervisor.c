/* SPDX-License-Identifier: BSD-2-Clause */
/* The supervisor's loop and its decisions: which worker serves, which one drains, when another is started. */
#include "process/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "process/supervisor_priv.h"
#include "process/tally.h"

#define POLL_MAX (2 + CONTROL_CLIENTS_MAX + PLACES_MAX + OPENINGS_MAX)

uint64_t supervisor_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- The error log and the pid file. --- */

static void write_out(struct supervisor *s, struct slice text)
{
	int fd = s->log >= 0 ? s->log : STDERR_FILENO;
	while (text.len > 0) {
		ssize_t n = write(fd, text.ptr, text.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		text = slice_from(text, (size_t)n);
	}
}

void supervisor_log_to(struct supervisor *s, struct child *child)
{
	if (child != s->current)
		return;
	int old = s->log;
	s->log = child->log;
	child->log = -1;
	log_open(s->log >= 0 ? s->log : STDERR_FILENO, (enum log_level)child->ready.log_level,
		"supervisor");
	if (old >= 0)
		close(old);
}

static void remove_pid_file(struct supervisor *s)
{
	if (s->pid_file)
		unlink(s->pid_file);
	free(s->pid_file);
	s->pid_file = NULL;
}

/* Written under another name and moved there, so that nobody reads half a number. */
static void write_pid_file(struct supervisor *s, const char *path)
{
	char temporary[4096];
	if (s->pid_file && path && strcmp(s->pid_file, path) == 0)
		return;
	remove_pid_file(s);
	if (!path ||
		(size_t)snprintf(temporary, sizeof(temporary), "%s.new", path) >= sizeof(temporary))
		return;
	unlink(temporary);
	int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0 || rename(temporary, path)) {
		log_warn("pid file %s: %m", path);
		unlink(temporary);
	} else {
		s->pid_file = must_strdup(path);
	}
	if (fd >= 0)
		close(fd);
}

/* --- Reload and restart. --- */

static void reload_ended(struct supervisor *s, bool good, struct slice said)
{
	s->reloading = NULL;
	s->reload_failed = !good;
	s->last_reload = time(NULL);
	control_reloaded(&s->control, good, said);
	if (s->stopping)
		return;
	if (!good)
		log_error("reload failed: the old configuration is served on");
	notify_send(&s->notify, "READY=1\nSTATUS=%s%s\n", good ? "" : "the last reload failed; ",
		s->current ? s->current->serving : "no worker");
	if (s->reload_again) {
		s->reload_again = false;
		supervisor_reload(s);
	}
}

void supervisor_reload(struct supervisor *s)
{
	if (s->stopping || !s->served)
		return;
	if (s->reloading) {
		s->reload_again = true;
		return;
	}
	s->control.reload++;
	log_info("reloading %s", s->options->file);
	notify_reloading(&s->notify);
	s->reloading = child_start(s, START_RELOAD);
	if (!s->reloading)
		reload_ended(s, false, SLICE("weir: cannot start a worker\n"));
}

/* The worker that a reload has replaced accepts no more, or is not waited for any longer. */
static void retired(struct supervisor *s)
{
	struct buffer said = s->said;
	s->said = (struct buffer){0};
	s->retiring = NULL;
	reload_ended(s, true, (struct slice){said.ptr, said.len});
	buffer_free(&said);
}

void supervisor_reload_soon(struct supervisor *s)
{
	uint64_t now = supervisor_now(), earliest = s->asked_reload + RELOAD_ASK_MS;
	if (s->reload_at == 0)
		s->reload_at = s->asked_reload != 0 && earliest > now ? earliest : now;
}

static void reload_asked(struct supervisor *s)
{
	s->reload_at = 0;
	s->asked_reload = supervisor_now();
	supervisor_reload(s);
}

static void restart_later(struct supervisor *s)
{
	if (s->stopping || s->restart_at != 0)
		return;
	s->restart_at = supervisor_now() + s->restart_delay;
	s->restart_delay = s->restart_delay == 0                ? 100
			   : s->restart_delay < RESTART_MAX / 2 ? s->restart_delay * 2
								: RESTART_MAX;
}

static void restart(struct supervisor *s)
{
	s->restart_at = 0;
	if (!s->current && !child_start(s, START_CRASH))
		restart_later(s);
}

/* At most LINGERING_MAX workers may go on for `linger`: the oldest beyond that are hurried. */
static void hurry_oldest(struct supervisor *s)
{
	unsigned lingering = 0;
	list_each (link, &s->children) {
		const struct child *child = container_of(link, struct child, link);
		lingering += child->state == WORKER_DRAINING && !child->hurried;
	}
	list_each (link, &s->children) {
		struct child *child = container_of(link, struct child, link);
		if (lingering <= LINGERING_MAX)
			return;
		if (child->state != WORKER_DRAINING || child->hurried)
			continue;
		child->hurried = true;
		child_drain(s, child, (uint64_t)child->ready.drain, false, (struct slice){NULL, 0});
		lingering--;
	}
}

/* Bits of the places whose workers accept, or are about to. */
static uint32_t accepting_places(const struct supervisor *s)
{
	uint32_t places = 0;
	list_each (link, &s->children) {
		const struct child *child = container_of(link, struct child, link);
		if (child->state != WORKER_DRAINING)
			places |= UINT32_C(1) << child->place;
	}
	return places;
}

/* The old worker empties the addresses that nobody accepts from any more; it has its own copies of their sockets. */
static void succeed(struct supervisor *s, struct child *old, struct child *child)
{
	struct buffer removed = {0};
	if (old) {
		old->state = WORKER_DRAINING;
		old->since = supervisor_now();
	}
	sockets_close_unused(&s->sockets, accepting_places(s), &removed);
	if (old) {
		child_drain(s, old, (uint64_t)child->ready.linger, false,
			(struct slice){removed.ptr, removed.len});
		hurry_oldest(s);
	}
	buffer_free(&removed);
}

/* What it said before it was READY: warnings, for whoever asked and for the log. */
static struct buffer birth_text(struct child *child)
{
	struct buffer said = {0};
	off_t size = lseek(child->birth, 0, SEEK_END);
	if (size > 0 && size < CHANNEL_PAYLOAD_MAX * 4) {
		buffer_reserve(&said, (size_t)size);
		ssize_t n = pread(child->birth, said.ptr, (size_t)size, 0);
		said.len = n > 0 ? (size_t)n : 0;
	}
	close(child->birth);
	child->birth = -1;
	return said;
}

void supervisor_child_ready(struct supervisor *s, struct child *child)
{
	struct child *old = s->current;
	sockets_commit(&s->sockets, child->place);
	child->since = supervisor_now();
	child->state = WORKER_SERVING;
	if (s->stopping || (child->kind == START_CRASH && old)) {
		/* a reload was quicker: it has the newer configuration */
		child_drain(s, child, (uint64_t)child->ready.drain, s->stopping,
			(struct slice){NULL, 0});
		return;
	}
	struct buffer said = birth_text(child);
	keepsakes_move(&s->keepsakes, &child->keepsakes);
	s->current = child;
	succeed(s, old, child);
	supervisor_log_to(s, child);
	write_out(s, (struct slice){said.ptr, said.len});
	write_pid_file(s, child->pid_file);
	s->restart_at = 0;
	log_info("worker %d serves %s", (int)child->pid, child->serving);
	if (!s->served) {
		s->served = true;
		notify_send(&s->notify, "READY=1\nMAINPID=%d\nSTATUS=%s\n", (int)getpid(),
			child->serving);
		if (s->options->ready)
			s->options->ready(child->serving, s->options->context);
	}
	if (s->reloading != child) {
		buffer_free(&said);
		return;
	}
	/* whoever asked is told when every new connection meets the new configuration */
	s->said = said;
	s->retiring = old;
	s->retiring_until = supervisor_now() + RETIRE_MS;
	if (!old)
		retired(s);
}

void supervisor_let_go(struct supervisor *s, const struct child *child)
{
	if (s->retiring == child)
		retired(s);
}

static void starting_gone(
	struct supervisor *s, struct child *child, const char *why, struct slice said)
{
	struct buffer text = {0};
	buffer_slice(&text, said);
	if (child->deadline != 0 && child->deadline <= supervisor_now())
		buffer_format(
			&text, "weir: the worker was not ready within %d s\n", START_MS / 1000);
	else if (said.len == 0 || strncmp(why, "ended", 5) != 0)
		buffer_format(&text, "weir: the worker %s before it was ready\n", why);
	struct slice all = {text.ptr, text.len};
	if (!s->stopping)
		write_out(s, all);
	if (child == s->reloading) {
		reload_ended(s, false, all);
	} else if (!s->served) {
		s->failed = true;
	} else if (child->kind == START_CRASH && !s->current) {
		restart_later(s);
	}
	buffer_free(&text);
}

void supervisor_child_gone(
	struct supervisor *s, struct child *child, const char *why, struct slice said)
{
	if (s->retiring && (child == s->retiring || child == s->reloading))
		retired(s);
	if (child->state == WORKER_STARTING) {
		starting_gone(s, child, why, said);
		return;
	}
	bool clean = strcmp(why, "ended with status 0") == 0;
	if (child->state == WORKER_DRAINING && (clean || child->killed)) {
		log_info("worker %d has %s", (int)child->pid, clean ? "drained" : "been cut off");
		return;
	}
	log_error("worker %d %s", (int)child->pid, why);
	if (child->state != WORKER_SERVING || s->stopping)
		return;
	s->restarts++;
	if (supervisor_now() - child->since >= STEADY_MS)
		s->restart_delay = 0;
	restart_later(s);
}

/* --- Stop. --- */

void supervisor_stop(struct supervisor *s, bool at_once)
{
	if (s->stopping && !at_once)
		return;
	if (!s->stopping)
		notify_send(&s->notify, "STOPPING=1\nSTATUS=stopping\n");
	log_info("stopping%s", at_once ? " at once" : "");
	s->stopping = true;
	s->restart_at = 0;
	sockets_close(&s->sockets);
	list_each (link, &s->children) {
		struct child *child = container_of(link, struct child, link);
		if (child->state == WORKER_STARTING)
			child_kill(child);
		else
			child_drain(s, child, at_once ? 0 : (uint64_t)child->ready.drain, true,
				(struct slice){NULL, 0});
	}
}

struct control_state supervisor_state(const struct supervisor *s)
{
	return (struct control_state){.pid = getpid(),
		.uptime = (int64_t)((supervisor_now() - s->started) / 1000),
		.last_reload = (int64_t)s->last_reload,
		.reload_failed = s->reload_failed,
		.restarts = s->restarts,
		.stopping = s->stopping};
}

/* --- The loop. --- */

static void reap(struct supervisor *s)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
		struct child *child = child_find(s, pid);
		if (child)
			child_reap(s, child, status);
	}
}

/* A second one means at once. Whoever signals a process and then its whole group (timeout(1), some shells) means one. */
static void on_stop_signal(struct supervisor *s)
{
	uint64_t now = supervisor_now();
	if (!s->stopping || now - s->stop_signal >= SAME_SIGNAL_MS)
		supervisor_stop(s, s->stopping);
	s->stop_signal = now;
}

static void on_signal(struct supervisor *s)
{
	struct signalfd_siginfo info;
	while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGCHLD:
			reap(s);
			break;
		case SIGHUP:
			supervisor_reload(s);
			break;
		case SIGUSR1:
			log_info("logs are opened anew");
			opening_rotate(s);
			break;
		case SIGINT:
			supervisor_stop(s, true);
			break;
		case SIGTERM:
		case SIGQUIT:
			on_stop_signal(s);
			break;
		}
	}
}

/* Kills and drops what is over its time. Returns ms until the next deadline, -1: there is none. */
static int deadlines(struct supervisor *s)
{
	uint64_t now = supervisor_now(), next = UINT64_MAX;
	list_each_safe (link, &s->openings) {
		struct opening *opening = container_of(link, struct opening, link);
		if (opening->deadline <= now)
			opening_give_up(s, opening);
		else if (opening->deadline < next)
			next = opening->deadline;
	}
	list_each (link, &s->children) {
		struct child *child = container_of(link, struct child, link);
		if (child->deadline == 0 || child->killed)
			continue;
		if (child->deadline <= now)
			child_kill(child);
		else if (child->deadline < next)
			next = child->deadline;
	}
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct control_client *client = &s->control.clients[i];
		if (client->fd < 0 || client->deadline == 0)
			continue;
		if (client->deadline <= now)
			control_drop(client);
		else if (client->deadline < next)
			next = client->deadline;
	}
	if (s->restart_at != 0 && s->restart_at <= now)
		restart(s);
	if (s->restart_at != 0 && s->restart_at < next)
		next = s->restart_at;
	if (s->retiring && s->retiring_until <= now)
		retired(s);
	if (s->retiring && s->retiring_until < next)
		next = s->retiring_until;
	if (s->reload_at != 0 && s->reload_at <= now)
		reload_asked(s);
	if (s->reload_at != 0 && s->reload_at < next)
		next = s->reload_at;
	if (next == UINT64_MAX)
		return -1;
	now = supervisor_now();
	return next <= now ? 0 : next - now < 60000 ? (int)(next - now) + 1 : 60000;
}

static void poll_add(struct pollfd *polls, void **owners, unsigned *count, int fd, void *owner)
{
	polls[*count] = (struct pollfd){.fd = fd, .events = POLLIN};
	owners[(*count)++] = owner;
}

/* Children and openings may come and go while events are handled: each is looked for again before it is touched. */
static void serve_openings(struct supervisor *s, const struct pollfd *poll, const void *owner)
{
	list_each_safe (link, &s->openings) {
		struct opening *opening = container_of(link, struct opening, link);
		if (opening == owner && opening->result == poll->fd)
			opening_finish(s, opening);
	}
}

static void serve_children(struct supervisor *s, const struct pollfd *poll, const void *owner)
{
	list_each_safe (link, &s->children) {
		struct child *child = container_of(link, struct child, link);
		if (child == owner && child->channel == poll->fd) {
			child_receive(s, child);
			return;
		}
	}
}

static void turn(struct supervisor *s)
{
	struct pollfd polls[POLL_MAX];
	void *owners[POLL_MAX];
	unsigned count = 0;
	int timeout = deadlines(s);
	poll_add(polls, owners, &count, s->signals, NULL);
	poll_add(polls, owners, &count, s->control.listener, NULL);
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		poll_add(polls, owners, &count, s->control.clients[i].fd, &s->control.clients[i]);
	unsigned first_child = count;
	list_each (link, &s->children) {
		struct child *child = container_of(link, struct child, link);
		poll_add(polls, owners, &count, child->channel, child);
	}
	unsigned first_opening = count;
	list_each (link, &s->openings) {
		struct opening *opening = container_of(link, struct opening, link);
		poll_add(polls, owners, &count, opening->result, opening);
	}
	if (poll(polls, count, timeout) <= 0)
		return;
	for (unsigned i = 2; i < first_child; i++) {
		if (polls[i].revents)
			control_hear(s, owners[i]);
	}
	for (unsigned i = first_child; i < count; i++) {
		if (!polls[i].revents)
			continue;
		if (i < first_opening)
			serve_children(s, &polls[i], owners[i]);
		else
			serve_openings(s, &polls[i], owners[i]);
	}
	if (polls[1].revents)
		control_accept(&s->control);
	if (polls[0].revents)
		on_signal(s);
}

static int open_signals(void)
{
	static const int taken[] = {SIGCHLD, SIGHUP, SIGTERM, SIGQUIT, SIGINT, SIGUSR1};
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < COUNT_OF(taken); i++) {
		signal(taken[i], SIG_DFL); /* what is ignored would not be seen at all */
		sigaddset(&set, taken[i]);
	}
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Every socket of every worker passes through here. */
static void raise_descriptors(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int keep_text(struct supervisor *s)
{
	struct buffer text = {0};
	buffer_append(&text, s->options->folder, strlen(s->options->folder) + 1);
	buffer_slice(&text, s->options->text);
	int fd = keepsake_make("weir-text", (struct slice){text.ptr, text.len});
	buffer_free(&text);
	return fd < 0 ? -1 : keepsakes_put(&s->keepsakes, KEEPSAKE_TEXT, fd);
}

int supervisor_run(const struct supervisor_options *options)
{
	struct supervisor s = {.options = options, .log = -1, .started = supervisor_now()};
	log_open(STDERR_FILENO, LOG_LEVEL_INFO, "supervisor");
	list_init(&s.children);
	list_init(&s.openings);
	sockets_init(&s.sockets);
	notify_open(&s.notify);
	unsigned adopted = sockets_adopt(&s.sockets);
	raise_descriptors();
	s.signals = open_signals();
	if (s.signals < 0 || control_open(&s.control, options->control ? options->file : NULL) ||
		(options->text.ptr && keep_text(&s))) {
		s.failed = true;
	} else {
		if (adopted > 0)
			log_info("%u sockets come from the service manager", adopted);
		s.failed = !child_start(&s, START_FRESH);
	}
	while (!list_empty(&s.children) || (!s.failed && !s.stopping))
		turn(&s);
	remove_pid_file(&s);
	sockets_close(&s.sockets);
	keepsakes_clear(&s.keepsakes);
	if (!s.failed)
		log_info("stopped");
	control_close(&s.control);
	return s.failed ? 1 : 0;
}
