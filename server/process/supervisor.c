/* SPDX-License-Identifier: BSD-2-Clause */
/* The supervisor's loop: signals, workers' and commands' messages, deadlines; start and stop. */
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

#define DESCRIPTORS_LEAST                                                                          \
	64 /* for itself, a worker with its helpers, and another beside it during a reload */
#define POLL_MAX (2 + CONTROL_CLIENTS_MAX + PLACES_MAX + PLACES_MAX * HELPER_KINDS + OPENINGS_MAX)

uint64_t supervisor_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- Stop. --- */

void supervisor_stop(struct supervisor *s, bool at_once)
{
	uint64_t now = supervisor_now(), last = now;
	bool begins = !s->stopping;
	if (s->stopping && !at_once)
		return;
	log_info("stopping%s", at_once ? " at once" : "");
	s->stopping = true;
	s->restart_at = 0;
	control_stopping(&s->control);
	sockets_close(&s->sockets);
	list_each (link, &s->children) {
		struct child *child = container_of(link, struct child, link);
		if (child->state == WORKER_STARTING)
			child_kill(child);
		else if (!child->killed)
			child_drain(s, child, at_once ? 0 : (uint64_t)child->ready.drain, true,
				(struct slice){NULL, 0});
		if (child->deadline > last)
			last = child->deadline;
	}
	/* `drain` may be longer than the service manager would wait */
	if (begins)
		notify_send(&s->notify, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu\nSTATUS=stopping\n",
			(unsigned long long)(last - now + EXTEND_MS) * 1000);
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
		struct helper *helper = child ? NULL : helper_find(s, pid);
		if (child)
			child_reap(s, child, status);
		else if (helper)
			helper_reap(s, helper, status);
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

/* Without a file there is nothing to read again: then it is the terminal that was closed. */
static void on_hangup(struct supervisor *s)
{
	if (s->options->text.ptr)
		on_stop_signal(s);
	else
		supervisor_reload(s);
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
			on_hangup(s);
			break;
		case SIGUSR1:
			log_info("logs are opened anew");
			opening_rotate(s);
			break;
		case SIGUSR2:
			log_warn("USR2: this version cannot replace its binary while it runs");
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

static void is_overdue(struct supervisor *s, struct child *child)
{
	if (!child->killed)
		child_kill(child);
	else if (s->stopping)
		child_abandon(s, child);
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
	list_each_safe (link, &s->children) {
		struct child *child = container_of(link, struct child, link);
		if (child->deadline <= now && child->deadline != 0)
			is_overdue(s, child);
	}
	list_each (link, &s->children) {
		const struct child *child = container_of(link, struct child, link);
		if (child->deadline > now && child->deadline < next)
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
	helpers_due(s, now, &next);
	supervisor_due(s, now, &next);
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

static void serve_helpers(struct supervisor *s, const struct pollfd *poll, const void *owner)
{
	list_each_safe (link, &s->helpers) {
		struct helper *helper = container_of(link, struct helper, link);
		if (helper == owner && helper->channel == poll->fd) {
			helper_receive(s, helper);
			return;
		}
	}
}

static bool is_over(const struct supervisor *s)
{
	return list_empty(&s->children) && list_empty(&s->helpers) && (s->failed || s->stopping);
}

static void turn(struct supervisor *s)
{
	struct pollfd polls[POLL_MAX];
	void *owners[POLL_MAX];
	unsigned count = 0;
	int timeout = deadlines(s);
	if (is_over(s)) /* the last one was left behind */
		return;
	poll_add(polls, owners, &count, s->signals, NULL);
	poll_add(polls, owners, &count, s->control.listener, NULL);
	/* none that is not there: poll takes no more entries than there may be descriptors */
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct control_client *client = &s->control.clients[i];
		if (client->fd >= 0)
			poll_add(polls, owners, &count, client->fd, client);
	}
	unsigned first_child = count;
	list_each (link, &s->children) {
		struct child *child = container_of(link, struct child, link);
		if (child->channel >= 0)
			poll_add(polls, owners, &count, child->channel, child);
	}
	unsigned first_helper = count;
	list_each (link, &s->helpers) {
		struct helper *helper = container_of(link, struct helper, link);
		if (helper->channel >= 0)
			poll_add(polls, owners, &count, helper->channel, helper);
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
		if (i < first_helper)
			serve_children(s, &polls[i], owners[i]);
		else if (i < first_opening)
			serve_helpers(s, &polls[i], owners[i]);
		else
			serve_openings(s, &polls[i], owners[i]);
	}
	if (polls[1].revents)
		control_accept(s);
	if (polls[0].revents)
		on_signal(s);
}

/* HUP stays ignored where it was and means the terminal: nohup(1). */
static int open_signals(const struct supervisor_options *options)
{
	static const int taken[] = {SIGCHLD, SIGHUP, SIGTERM, SIGQUIT, SIGINT, SIGUSR1, SIGUSR2};
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < COUNT_OF(taken); i++) {
		/* what is ignored would not be seen at all */
		if (signal(taken[i], SIG_DFL) == SIG_IGN && taken[i] == SIGHUP &&
			options->text.ptr) {
			signal(SIGHUP, SIG_IGN);
			continue;
		}
		sigaddset(&set, taken[i]);
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a log that may not grow costs its lines alone */
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Every socket of every worker passes through here. 0, or -1 after a message: whatever would be wanted first would fail, and who runs short
 * while it serves may not be able to say so. */
static int raise_descriptors(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur >= DESCRIPTORS_LEAST)
		return 0;
	log_error(
		"the limit of open files is %llu, and weir needs %d at least: raise it (`ulimit -n`, or "
		"LimitNOFILE= of systemd)",
		(unsigned long long)limit.rlim_cur, DESCRIPTORS_LEAST);
	return -1;
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
	if (raise_descriptors())
		return 1;
	list_init(&s.children);
	list_init(&s.helpers);
	list_init(&s.openings);
	sockets_init(&s.sockets);
	notify_open(&s.notify);
	unsigned adopted = sockets_adopt(&s.sockets);
	s.signals = open_signals(options);
	if (s.signals < 0 || control_open(&s.control, options->control ? options->file : NULL) ||
		(options->text.ptr && keep_text(&s))) {
		s.failed = true;
	} else {
		if (adopted > 0)
			log_info("%u socket%s from the service manager", adopted,
				adopted == 1 ? " comes" : "s come");
		s.failed = !child_start(&s, START_FRESH);
		control_sweep(&s.control); /* the worker has enough to do meanwhile */
	}
	while (!is_over(&s))
		turn(&s);
	supervisor_remove_pid_file(&s);
	sockets_close(&s.sockets);
	keepsakes_clear(&s.keepsakes);
	if (!s.failed)
		log_info("stopped");
	control_close(&s.control);
	return s.failed ? 1 : 0;
}
