/* SPDX-License-Identifier: BSD-2-Clause */
/* One event loop a thread, on libev's epoll, with what every connection needs: coarse deadlines, tasks for the end of the
 * turn, an inbox, scratch memory. */
#ifndef WEIR_IO_LOOP_H
#define WEIR_IO_LOOP_H

#define EV_MULTIPLICITY 1
#include <ev.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/inbox.h"
#include "base/list.h"

#define LOOP_SCRATCH 131072 /* bytes of scratch */
#define LOOP_WHEEL   512    /* slots */
#define LOOP_TICK_MS 250    /* a deadline is kept to within one tick, never early */
#define LOOP_LOOK_US 120    /* how long the loop looks for an answer before it sleeps */
#define LOOP_LUCK    4

/* A deadline that is moved often and seldom reached. Moving it later only writes `due`; the wheel re-files it when its old slot comes up. */
struct deadline {
	struct link link;
	uint64_t due;                               /* in ticks; 0: not set */
	void (*expired)(struct deadline *deadline); /* not set any more when called */
};

/* Something to do once before the loop sleeps again. */
struct task {
	struct link link;
	void (*run)(struct task *task);
};

/* Answers of others that are under way. On many machines to fall asleep and be woken takes longer than a backend next door takes to answer. */
struct awaited {
	unsigned count;
	bool looking;      /* the loop looks for events and does not sleep */
	int luck;          /* of late, in answers that came so soon; from LOOP_LUCK on it pays */
	uint64_t since_us; /* of the only one; 0: there were others */
};

struct loop {
	struct ev_loop *ev;
	struct clock clock; /* updated each time the loop wakes */
	struct inbox inbox;
	ev_async inbox_watch;
	ev_prepare before_sleep;
	ev_check after_sleep;
	ev_idle more; /* keeps the loop from sleeping while tasks wait, or an answer is looked for */
	ev_timer wheel_timer;
	struct link tasks;
	struct link postponed;
	struct awaited awaited;
	int full; /* an epoll set of its own, for edges: libev knows levels only */
	ev_io full_watch;
	void (*on_room)(void *who); /* see loop_watch_room */
	struct link wheel[LOOP_WHEEL];
	uint64_t tick;       /* now, in ticks */
	unsigned filed;      /* deadlines in the wheel: the timer runs only while there are some */
	unsigned index;      /* of the thread, from 0 */
	struct watch *watch; /* what watch_attach put into this loop, or NULL */
	struct attachment *attachment; /* and how; of io/watch */
	char *scratch;                 /* LOOP_SCRATCH bytes, valid only within one callback */
};

/* Makes the loop on the calling thread. 0, or -1 with errno. */
int loop_init(struct loop *loop, unsigned index);
/* Runs until loop_stop. */
void loop_run(struct loop *loop);
/* Ends loop_run after the present turn; on the loop's thread. */
void loop_stop(struct loop *loop);
/* Gives all back, with the thread's pools; on the loop's thread. All watchers of others are stopped, and nobody posts any more. */
void loop_done(struct loop *loop);

/* Sets or moves a deadline to `ms` from now (0: takes it back, like deadline_clear). An earlier one is filed anew; a later one is only noted. */
void deadline_set(struct loop *loop, struct deadline *deadline, uint64_t ms);
/* Must be called before the deadline's memory goes. */
void deadline_clear(struct loop *loop, struct deadline *deadline);

/* An answer is awaited from somebody who may be quick. While it is the only one, nothing else is to be done, and lately most were there
 * within LOOP_LOOK_US, the loop does not sleep for that long. */
void loop_await(struct loop *loop);
/* It is there, or nobody waits for it any more: once for each loop_await. */
void loop_await_end(struct loop *loop);

/* From now on `on_room` of the loop is called with `who` whenever the socket was full (a write that failed with EAGAIN, or took less than it
 * was given) and is not any more, or has failed; at times also for nothing. It is asked for once a descriptor: where writing is watched for
 * by levels, each answer that fills the socket costs two calls more. Closing the descriptor, of which there must be no copy, ends it, but in
 * the same turn `on_room` may still be called. 0, or -1 with errno. */
int loop_watch_room(struct loop *loop, int fd, void *who);
/* Ends it: for who is told again and again for nothing, as of a Unix socket, which tells of all that is taken. */
void loop_forget_room(struct loop *loop, int fd);

/* The number of this turn of the loop (wraps): events were looked for as it began. */
uint32_t loop_turn(const struct loop *loop);
/* Runs the task once, at the end of this turn of the loop; one that is already waiting stays where it is. A task that is
 * deferred by a task runs in the next turn, after new events were looked for, so that nobody is starved. */
void loop_defer(struct loop *loop, struct task *task);
/* Likewise, but at the end of the next turn: behind events that have not been looked for yet. */
void loop_postpone(struct loop *loop, struct task *task);
/* A waiting task is forgotten; before its memory goes. */
void loop_forget(struct task *task);

#endif
