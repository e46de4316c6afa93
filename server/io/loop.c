/* SPDX-License-Identifier: BSD-2-Clause */
/* One thread's event loop: libev's epoll, a wheel of coarse deadlines, tasks before each sleep, and the inbox. */
#include "io/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/chunk.h"

static struct link *slot_of(struct loop *loop, uint64_t tick)
{
	return &loop->wheel[tick % LOOP_WHEEL];
}

static uint64_t tick_now(const struct loop *loop)
{
	return loop->clock.monotonic_ms / LOOP_TICK_MS;
}

/* The timer is set to each tick's beginning anew, so that it does not drift into the middle of ticks. */
static void arm_wheel(struct loop *loop)
{
	uint64_t rest = LOOP_TICK_MS - loop->clock.monotonic_ms % LOOP_TICK_MS;
	ev_timer_set(&loop->wheel_timer, (double)rest / 1000.0, 0.);
	ev_timer_start(loop->ev, &loop->wheel_timer);
}

static void file_deadline(struct loop *loop, struct deadline *deadline)
{
	list_append(slot_of(loop, deadline->due), &deadline->link);
}

/* What is due expires; what was moved later, or stands more than one turn of the wheel ahead, is filed again. */
static void turn_slot(struct loop *loop, uint64_t tick)
{
	struct link came_up;
	list_init(&came_up);
	list_move(&came_up, slot_of(loop, tick));
	while (!list_empty(&came_up)) {
		struct deadline *deadline = container_of(came_up.next, struct deadline, link);
		list_remove(&deadline->link);
		if (deadline->due > loop->tick) {
			file_deadline(loop, deadline);
			continue;
		}
		deadline->due = 0;
		loop->filed--;
		deadline->expired(deadline);
	}
}

static void on_wheel(struct ev_loop *ev, ev_timer *timer, int events)
{
	(void)ev, (void)events;
	struct loop *loop = container_of(timer, struct loop, wheel_timer);
	uint64_t from = loop->tick + 1;
	loop->tick = tick_now(loop);
	if (loop->tick >= from + LOOP_WHEEL)
		from = loop->tick - LOOP_WHEEL + 1; /* the machine slept: once around is all */
	for (uint64_t tick = from; tick <= loop->tick; tick++)
		turn_slot(loop, tick);
	/* A deadline set by the last that expired has armed the timer already. */
	if (loop->filed > 0 && !ev_is_active(&loop->wheel_timer))
		arm_wheel(loop);
}

void deadline_set(struct loop *loop, struct deadline *deadline, uint64_t ms)
{
	if (ms == 0) {
		deadline_clear(loop, deadline);
		return;
	}
	uint64_t due = (loop->clock.monotonic_ms + ms + LOOP_TICK_MS - 1) / LOOP_TICK_MS;
	if (link_listed(&deadline->link)) {
		bool later = due >= deadline->due;
		deadline->due = due;
		if (later)
			return;
		list_remove(&deadline->link);
		file_deadline(loop, deadline);
		return;
	}
	deadline->due = due;
	if (loop->filed++ == 0 && !ev_is_active(&loop->wheel_timer)) {
		loop->tick = tick_now(loop);
		arm_wheel(loop);
	}
	file_deadline(loop, deadline);
}

void deadline_clear(struct loop *loop, struct deadline *deadline)
{
	deadline->due = 0;
	if (!link_listed(&deadline->link))
		return;
	list_remove(&deadline->link);
	loop->filed--;
}

void loop_defer(struct loop *loop, struct task *task)
{
	if (!link_listed(&task->link))
		list_append(&loop->tasks, &task->link);
}

void loop_postpone(struct loop *loop, struct task *task)
{
	if (!link_listed(&task->link))
		list_append(&loop->postponed, &task->link);
}

void loop_forget(struct task *task)
{
	list_remove(&task->link);
}

/* --- Answers that are awaited. --- */

#define LUCK_MAX (2 * LOOP_LUCK)
#define LUCK_LOST                                                                                  \
	(-4 * LOOP_LUCK) /* to look in vain takes time from others, the backend among them: not again soon */

void loop_await(struct loop *loop)
{
	struct awaited *a = &loop->awaited;
	bool alone = a->count++ == 0;
	a->since_us = alone ? loop->clock.monotonic_us : 0;
	a->looking = alone && a->luck >= LOOP_LUCK;
}

/* Of one that was slept for, twice the time counts as soon: to be woken takes some, too. */
void loop_await_end(struct loop *loop)
{
	struct awaited *a = &loop->awaited;
	a->count--;
	if (a->since_us != 0) {
		uint64_t took = loop->clock.monotonic_us - a->since_us;
		if (took > 2 * LOOP_LOOK_US)
			a->luck -= a->luck > 0;
		else if (a->luck < LUCK_MAX)
			a->luck++;
	}
	a->since_us = 0;
	a->looking = false;
}

/* Is an answer still to be looked for? */
static bool looks(struct loop *loop)
{
	struct awaited *a = &loop->awaited;
	if (!a->looking)
		return false;
	if (loop->clock.monotonic_us - a->since_us < LOOP_LOOK_US)
		return true;
	a->looking = false;
	a->luck = LUCK_LOST;
	return false;
}

/* --- Full sockets. --- */

#define TOLD_MOST 64 /* by one call; the others are next */

static void on_full(struct ev_loop *ev, ev_io *watch, int events)
{
	struct loop *loop = container_of(watch, struct loop, full_watch);
	struct epoll_event told[TOLD_MOST];
	(void)ev, (void)events;
	int count = epoll_wait(loop->full, told, TOLD_MOST, 0);
	for (int i = 0; i < count; i++)
		loop->on_room(told[i].data.ptr);
}

int loop_watch_room(struct loop *loop, int fd, void *who)
{
	struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data.ptr = who};
	return epoll_ctl(loop->full, EPOLL_CTL_ADD, fd, &event);
}

void loop_forget_room(struct loop *loop, int fd)
{
	epoll_ctl(loop->full, EPOLL_CTL_DEL, fd, NULL);
}

/* --- Turns. --- */

uint32_t loop_turn(const struct loop *loop)
{
	return ev_iteration(loop->ev);
}

static void on_before_sleep(struct ev_loop *ev, ev_prepare *prepare, int events)
{
	(void)events;
	struct loop *loop = container_of(prepare, struct loop, before_sleep);
	struct link now;
	list_init(&now);
	list_move(&now, &loop->tasks);
	while (!list_empty(&now)) {
		struct task *task = container_of(now.next, struct task, link);
		list_remove(&task->link);
		task->run(task);
	}
	list_move(&loop->tasks, &loop->postponed);
	if (list_empty(&loop->tasks) && !looks(loop))
		ev_idle_stop(ev, &loop->more);
	else
		ev_idle_start(ev, &loop->more);
}

static void on_after_sleep(struct ev_loop *ev, ev_check *watcher, int events)
{
	(void)ev, (void)events;
	clock_update(&container_of(watcher, struct loop, after_sleep)->clock);
}

/* An active idle watcher is all that is needed for the loop not to sleep. */
static void on_more(struct ev_loop *ev, ev_idle *idle, int events)
{
	(void)ev, (void)idle, (void)events;
}

static void on_inbox(struct ev_loop *ev, ev_async *async, int events)
{
	(void)ev, (void)events;
	inbox_drain(&container_of(async, struct loop, inbox_watch)->inbox);
}

static void wake(void *receiver)
{
	struct loop *loop = receiver;
	ev_async_send(loop->ev, &loop->inbox_watch);
}

int loop_init(struct loop *loop, unsigned index)
{
	memset(loop, 0, sizeof(*loop));
	/* The backend is named and the environment not asked, so that nobody chooses another one by LIBEV_FLAGS. */
	loop->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV | EVFLAG_NOTIMERFD);
	if (!loop->ev) {
		if (errno == 0)
			errno = ENOSYS;
		return -1;
	}
	loop->full = epoll_create1(EPOLL_CLOEXEC);
	if (loop->full < 0) {
		int error = errno;
		ev_loop_destroy(loop->ev);
		errno = error;
		return -1;
	}
	loop->index = index;
	loop->scratch = must_alloc(LOOP_SCRATCH);
	clock_update(&loop->clock);
	loop->tick = tick_now(loop);
	list_init(&loop->tasks);
	list_init(&loop->postponed);
	for (size_t i = 0; i < LOOP_WHEEL; i++)
		list_init(&loop->wheel[i]);
	inbox_init(&loop->inbox, wake, loop);

	ev_timer_init(&loop->wheel_timer, on_wheel, 0., 0.);
	ev_idle_init(&loop->more, on_more);
	ev_set_priority(&loop->more, EV_MINPRI);
	ev_prepare_init(&loop->before_sleep, on_before_sleep);
	ev_prepare_start(loop->ev, &loop->before_sleep);
	ev_check_init(&loop->after_sleep, on_after_sleep);
	/* Before everything else of the turn, which reads the clock. */
	ev_set_priority(&loop->after_sleep, EV_MAXPRI);
	ev_check_start(loop->ev, &loop->after_sleep);
	ev_async_init(&loop->inbox_watch, on_inbox);
	ev_async_start(loop->ev, &loop->inbox_watch);
	ev_io_init(&loop->full_watch, on_full, loop->full, EV_READ);
	ev_io_start(loop->ev, &loop->full_watch);
	return 0;
}

void loop_run(struct loop *loop)
{
	clock_update(&loop->clock);
	ev_run(loop->ev, 0);
}

void loop_stop(struct loop *loop)
{
	ev_break(loop->ev, EVBREAK_ALL);
}

void loop_done(struct loop *loop)
{
	ev_timer_stop(loop->ev, &loop->wheel_timer);
	ev_idle_stop(loop->ev, &loop->more);
	ev_prepare_stop(loop->ev, &loop->before_sleep);
	ev_check_stop(loop->ev, &loop->after_sleep);
	ev_async_stop(loop->ev, &loop->inbox_watch);
	ev_io_stop(loop->ev, &loop->full_watch);
	close(loop->full);
	ev_loop_destroy(loop->ev);
	loop->ev = NULL;
	free(loop->scratch);
	loop->scratch = NULL;
	chunk_trim();
}
