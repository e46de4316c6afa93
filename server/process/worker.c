/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a worker: its own thread hears the supervisor and waits for the end, the threads of its crew serve. */
#include "process/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/line_log.h"
#include "base/log.h"
#include "io/disk.h"
#include "io/watch.h"
#include "process/begin.h"
#include "process/bell.h"
#include "process/worker_priv.h"

#define LOOK_MS      30000 /* how often lost log lines are counted */
#define DISK_STOP_MS 500

uint64_t worker_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int hear_hello(struct worker *w)
{
	if (worker_answer(w, CHANNEL_HELLO) ||
		channel_head(&w->message, &w->hello, sizeof(w->hello)))
		return -1;
	w->file = must_strdup(w->message.payload + sizeof(w->hello));
	return w->hello.place < PLACES_MAX ? 0 : -1;
}

/* The new file takes the old one's number, so that whoever writes need not know. */
static void reopen(struct worker *w)
{
	struct channel_file file;
	if (channel_head(&w->message, &file, sizeof(file)))
		return;
	if (file.number >= WORKER_FILE_COUNT) {
		worker_renewal_file(w);
		return;
	}
	if (file.error != 0 || w->message.fd_count != 1)
		log_error("a log cannot be opened anew, the old one is kept: %s",
			strerror(file.error));
	else if (w->files[file.number] >= 0 &&
		 dup3(w->message.fds[0], w->files[file.number], O_CLOEXEC) < 0)
		log_error("a log cannot be opened anew: %m");
	else if (file.number == WORKER_ACCESS_LOG && w->crew.access)
		line_log_reopened(w->crew.access);
}

struct life {
	bool draining;
	bool let_go;       /* of the sockets, and the supervisor knows */
	uint64_t deadline; /* ms; of a drain */
};

/* Addresses that are to be emptied are named in the first order only; later ones only change the time. */
static void drain(struct worker *w, struct life *life, bool all, uint64_t ms, struct slice removed)
{
	life->deadline = worker_now() + ms;
	if (life->draining)
		return;
	life->draining = true;
	worker_acme_end(w);
	worker_renewal_end(w);
	worker_roots_end(w);
	struct buffer copy = {0};
	buffer_slice(&copy, removed);
	w->crew.order = (struct drain_order){all, {copy.ptr, copy.len}};
	if (ms > 0)
		crew_drain(&w->crew);
}

static void obey(struct worker *w, struct life *life)
{
	struct channel_drain order;
	if (w->message.type == CHANNEL_FILE)
		reopen(w);
	else if (w->message.type == CHANNEL_HELPER)
		worker_helper_again(w);
	else if (w->message.type == CHANNEL_DRAIN &&
		 channel_head(&w->message, &order, sizeof(order)) == 0)
		drain(w, life, order.all != 0, order.milliseconds,
			(struct slice){w->message.payload + sizeof(order),
				w->message.length - sizeof(order)});
	channel_drop(&w->message);
}

/* Returns whether somebody is still at the other end. */
static bool hear(struct worker *w, struct life *life)
{
	int got;
	while ((got = channel_receive(WORKER_CHANNEL, &w->message, false)) == 1)
		obey(w, life);
	if (got < 0)
		return true;
	log_warn("the supervisor is gone: what is under way is finished");
	drain(w, life, true, (uint64_t)w->snapshot->core.drain, (struct slice){NULL, 0});
	return false;
}

static void tell_lost_lines(struct worker *w, uint64_t lost)
{
	struct counters *own = tally_slot(w->crew.tally, w->crew.place, 0);
	counter_add(own, COUNTER_LOG_LINES_LOST, (int64_t)(lost - w->lost_lines));
	w->lost_lines = lost;
}

static void count_lost_lines(struct worker *w)
{
	if (w->crew.access)
		tell_lost_lines(w, line_log_lost(w->crew.access));
}

/* The time to drain is over, or there was none. Idle connections are nobody's loss. */
static void tell_cut(const struct worker *w)
{
	uint64_t cut =
		tally_sum(w->crew.tally, COUNTER_REQUESTS_OPEN, UINT32_C(1) << w->crew.place);
	if (cut > 0)
		log_warn("the time to drain is over: %llu request%s cut", (unsigned long long)cut,
			cut == 1 ? " is" : "s are");
}

static void serve(struct worker *w)
{
	struct life life = {0};
	struct pollfd polls[2] = {
		{.fd = WORKER_CHANNEL, .events = POLLIN},
		{.fd = w->crew.bell, .events = POLLIN},
	};
	for (;;) {
		int timeout = LOOK_MS;
		if (life.draining) {
			uint64_t now = worker_now();
			if (crew_empty(&w->crew))
				break;
			if (now >= life.deadline) {
				tell_cut(w);
				break;
			}
			if (life.deadline - now < LOOK_MS)
				timeout = (int)(life.deadline - now);
		}
		poll(polls, COUNT_OF(polls), timeout);
		if (polls[0].revents && !hear(w, &life))
			polls[0].fd = -1;
		if (polls[1].revents)
			bell_still(w->crew.bell);
		if (life.draining && !life.let_go && crew_let_go(&w->crew)) {
			life.let_go = true;
			if (channel_send(WORKER_CHANNEL, CHANNEL_LET_GO, NULL, 0, NULL, 0, NULL, 0,
				    false)) {
				/* it is gone, or will not wait for long */
			}
		}
		count_lost_lines(w);
	}
}

/* Memory goes with the process: a stuck I/O thread may still look at it. */
static void end(struct worker *w)
{
	crew_cut(&w->crew);
	disk_stop(w->crew.disk, DISK_STOP_MS);
	crew_end(&w->crew);
	if (w->crew.access)
		tell_lost_lines(w, line_log_stop(w->crew.access));
}

int worker_run(const struct program *program)
{
	static struct worker worker; /* one a process */
	struct worker *w = &worker;
	if (process_begin("worker", "weir"))
		return 2;
	w->program = program;
	if (hear_hello(w) || worker_start(w))
		return 1;
	crew_listen(&w->crew);
	worker_acme_begin(w);
	worker_renewal_begin(w);
	worker_roots_begin(w);
	serve(w);
	end(w);
	if (!worker_renewal_join(w, DISK_STOP_MS) || !worker_roots_join(w, DISK_STOP_MS))
		_exit(0); /* libraries that they are in the middle of do not clean up after themselves */
	return 0;
}
