/* SPDX-License-Identifier: BSD-2-Clause */
/* Events of inotify in a loop. Each would wake all loops, also where nobody asks for anything: a loop to which they come one after the other
 * rests from them. It looks for them whenever it wakes, before all else, so that a request sees what happened before it as ever. */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "io/watch_priv.h"

#define REST_S 0.05 /* the kernel keeps 16,384 events, more than can come in that time */
#define OFTEN  8    /* so many in that time are too many to be woken by */

static void on_woken(struct ev_loop *ev, ev_check *check, int events)
{
	(void)ev, (void)events;
	watch_drain(container_of(check, struct attachment, woken)->watch);
}

static void begin_rest(struct ev_loop *ev, struct attachment *a)
{
	ev_io_stop(ev, &a->events);
	ev_check_start(ev, &a->woken);
	ev_timer_again(ev, &a->rest);
	a->epoch = atomic_load(&a->watch->epoch);
}

/* It goes on for as long as events come, whoever of the loops took them. */
static void on_rested(struct ev_loop *ev, ev_timer *timer, int events)
{
	(void)events;
	struct attachment *a = container_of(timer, struct attachment, rest);
	uint32_t epoch = atomic_load(&a->watch->epoch);
	if (epoch != a->epoch) {
		a->epoch = epoch;
		return;
	}
	ev_timer_stop(ev, timer);
	ev_check_stop(ev, &a->woken);
	ev_io_start(ev, &a->events);
}

static void on_events(struct ev_loop *ev, ev_io *io, int events)
{
	(void)events;
	struct attachment *a = container_of(io, struct attachment, events);
	watch_drain(a->watch);
	if (ev_now(ev) - a->since > REST_S) {
		a->since = ev_now(ev);
		a->count = 0;
	}
	if (++a->count == OFTEN)
		begin_rest(ev, a);
}

static void on_mounts(struct ev_loop *ev, ev_io *io, int events)
{
	(void)ev, (void)events;
	watch_forget(container_of(io, struct attachment, mounts)->watch);
}

void watch_follow_mounts(struct watch *watch, int fd)
{
	watch->mounts = fd;
}

void watch_attach(struct watch *watch, struct loop *loop)
{
	if (!watch)
		return;
	struct attachment *a = must_zalloc(sizeof(*a));
	a->watch = watch;
	ev_io_init(&a->events, on_events, watch->fd, EV_READ);
	ev_set_priority(&a->events, EV_MAXPRI);
	ev_check_init(&a->woken, on_woken);
	ev_set_priority(&a->woken, EV_MAXPRI);
	ev_timer_init(&a->rest, on_rested, 0., REST_S);
	ev_io_start(loop->ev, &a->events);
	/* it can always be read, and never be written: for who waits for that there is but the error that tells of a change, once */
	ev_io_init(&a->mounts, on_mounts, watch->mounts, EV_WRITE);
	ev_set_priority(&a->mounts, EV_MAXPRI);
	if (watch->mounts >= 0)
		ev_io_start(loop->ev, &a->mounts);
	loop->watch = watch;
	loop->attachment = a;
	atomic_fetch_add(&watch->attached, 1);
}

void watch_detach(struct watch *watch, struct loop *loop)
{
	struct attachment *a = loop->attachment;
	if (!watch || !a)
		return;
	ev_io_stop(loop->ev, &a->events);
	ev_io_stop(loop->ev, &a->mounts);
	ev_check_stop(loop->ev, &a->woken);
	ev_timer_stop(loop->ev, &a->rest);
	loop->watch = NULL;
	loop->attachment = NULL;
	free(a);
	atomic_fetch_sub(&watch->attached, 1);
}
