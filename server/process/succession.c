/* SPDX-License-Identifier: BSD-2-Clause */
/* Which worker serves: one is READY and takes another's place, one has failed or died, a reload is asked for, a restart is due. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "process/supervisor_priv.h"
#include "process/tally.h"

/* --- The error log and the pid file. --- */

void supervisor_log_to(struct supervisor *s, struct child *child)
{
	if (child != s->current)
		return;
	int old = s->log;
	s->log = child->log;
	child->log = -1;
	log_open(s->log >= 0 ? s->log : STDERR_FILENO, (enum log_level)child->ready.log_level,
		"supervisor");
	helpers_log_to(s, log_descriptor());
	if (old >= 0)
		close(old);
}

/* What a file holds, at most 31 octets and a NUL; "": there is none. */
static void read_short(const char *path, char to[32])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? 0 : read(fd, to, 31);
	to[n > 0 ? n : 0] = 0;
	if (fd >= 0)
		close(fd);
}

/* The number in a pid file; 0: it is none. */
static long pid_in(const char *path)
{
	char text[32];
	read_short(path, text);
	return strtol(text, NULL, 10);
}

/* Every configuration has the same pid file unless it says otherwise. */
static void tell_other_pid(const char *path)
{
	long other = pid_in(path);
	char comm[64], name[32];
	snprintf(comm, sizeof(comm), "/proc/%ld/comm", other);
	read_short(comm, name);
	if (other > 0 && other != getpid() && strncmp(name, "weir", 4) == 0)
		log_warn("pid file %s: it was that of process %ld, a weir that runs as well; give "
			 "each a `pid_file` of its own",
			path, other);
}

void supervisor_remove_pid_file(struct supervisor *s)
{
	if (s->pid_file && pid_in(s->pid_file) == getpid()) /* another may have overwritten it */
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
	supervisor_remove_pid_file(s);
	if (!path ||
		(size_t)snprintf(temporary, sizeof(temporary), "%s.new", path) >= sizeof(temporary))
		return;
	tell_other_pid(path);
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

static void reload_again(struct supervisor *s)
{
	bool wanted = s->reload_again;
	s->reload_again = false;
	if (wanted)
		supervisor_reload(s);
}

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
	reload_again(s);
}

/* Workers that drain for long could take up all places: from a number on those that were hurried longest ago are ended. */
static void make_room(struct supervisor *s)
{
	unsigned living = 0;
	list_each (link, &s->children)
		living += !container_of(link, struct child, link)->killed;
	list_each (link, &s->children) {
		struct child *child = container_of(link, struct child, link);
		if (living < PLACES_MAX - PLACES_SPARE)
			return;
		if (!child->hurried || child->killed)
			continue;
		log_warn("too many workers are draining: worker %d is cut off", (int)child->pid);
		child_kill(child);
		living--;
	}
}

/* Whether all places but the last are taken, some of them by the dead who are not buried yet. */
static bool room_comes(const struct supervisor *s)
{
	unsigned taken = 0, killed = 0;
	list_each (link, &s->children) {
		taken++;
		killed += container_of(link, struct child, link)->killed;
	}
	return taken >= PLACES_MAX - 1 && killed > 0;
}

void supervisor_reload(struct supervisor *s)
{
	if (s->stopping)
		return;
	make_room(s);
	/* the one under way, or the first start, may have read the file already */
	if (s->reloading || !s->served || room_comes(s)) {
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
	make_room(s);
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

/* A worker drains, and empties the addresses that nobody accepts from any more; it has its own copies of their sockets. */
static void drain_and_empty(struct supervisor *s, struct child *child, uint64_t ms)
{
	struct buffer removed = {0};
	child->state = WORKER_DRAINING;
	child->since = supervisor_now();
	sockets_close_unused(&s->sockets, accepting_places(s), &removed);
	child_drain(s, child, ms, s->stopping, (struct slice){removed.ptr, removed.len});
	buffer_free(&removed);
}

static void close_unused(struct supervisor *s)
{
	struct buffer removed = {0};
	sockets_close_unused(&s->sockets, accepting_places(s), &removed);
	buffer_free(&removed);
}

/* Whether a worker starts in place of one that died: with the configuration that was served last. */
static bool is_being_replaced(const struct supervisor *s)
{
	list_each (link, &s->children) {
		const struct child *child = container_of(link, struct child, link);
		if (child->kind == START_CRASH && child->state == WORKER_STARTING)
			return true;
	}
	return false;
}

/* When the old worker is dead, its replacement, if one starts, is the one that can empty what the new configuration has removed. */
static void succeed(struct supervisor *s, struct child *old, struct child *child)
{
	if (old) {
		drain_and_empty(s, old, (uint64_t)child->ready.linger);
		hurry_oldest(s);
	} else if (!is_being_replaced(s)) {
		close_unused(s);
	}
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
	helpers_hear(s, child);
	sockets_commit(&s->sockets, child->place);
	child->since = supervisor_now();
	child->state = WORKER_SERVING;
	if (child->rotate)
		opening_rotate_of(s, child);
	if (s->stopping || (child->kind == START_CRASH && old)) {
		/* a reload was quicker: it has the newer configuration */
		drain_and_empty(s, child, (uint64_t)child->ready.drain);
		return;
	}
	struct buffer said = birth_text(child);
	keepsakes_move(&s->keepsakes, &child->keepsakes);
	helpers_commit(s, child);
	s->current = child;
	succeed(s, old, child);
	supervisor_log_to(s, child);
	log_lines(said.ptr, said.len);
	write_pid_file(s, child->pid_file);
	s->restart_at = 0;
	log_info("worker %d serves %s", (int)child->pid, child->serving);
	sockets_tell_idle(&s->sockets, child->place);
	if (!s->served) {
		s->served = true;
		notify_send(&s->notify, "READY=1\nMAINPID=%d\nSTATUS=%s\n", (int)getpid(),
			child->serving);
		if (s->options->ready)
			s->options->ready(child->serving, s->options->context);
	}
	if (s->reloading != child) {
		buffer_free(&said);
		if (!s->reloading)
			reload_again(s);
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
		log_lines(all.ptr, all.len);
	if (child == s->reloading) {
		reload_ended(s, false, all);
	} else if (s->stopping) {
		/* it was told to end */
	} else if (!s->served) {
		s->failed = true;
	} else if (child->kind == START_CRASH && !s->current) {
		restart_later(s);
	} else if (child->kind == START_CRASH && !is_being_replaced(s)) {
		close_unused(s); /* what was left to it */
	}
	buffer_free(&text);
}

static void serving_gone(struct supervisor *s, const struct child *child, const char *why)
{
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

void supervisor_child_gone(
	struct supervisor *s, struct child *child, const char *why, struct slice said)
{
	if (s->retiring && (child == s->retiring || child == s->reloading))
		retired(s);
	if (child->state == WORKER_STARTING)
		starting_gone(s, child, why, said);
	else
		serving_gone(s, child, why);
	if (s->served && !s->reloading)
		reload_again(s); /* it may have waited for the place */
}

void supervisor_due(struct supervisor *s, uint64_t now, uint64_t *next)
{
	if (s->restart_at != 0 && s->restart_at <= now)
		restart(s);
	if (s->restart_at != 0 && s->restart_at < *next)
		*next = s->restart_at;
	if (s->retiring && s->retiring_until <= now)
		retired(s);
	if (s->retiring && s->retiring_until < *next)
		*next = s->retiring_until;
	if (s->reload_at != 0 && s->reload_at <= now)
		reload_asked(s);
	if (s->reload_at != 0 && s->reload_at < *next)
		*next = s->reload_at;
}
