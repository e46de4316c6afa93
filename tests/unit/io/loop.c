/* SPDX-License-Identifier: BSD-2-Clause */
/* The loop: deadlines (never early, kept to within a tick, moved lazily), tasks, the inbox, full sockets. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "io_test.h"

static struct loop loop;

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int start(void **state)
{
	(void)state;
	return loop_init(&loop, 3);
}

static int end(void **state)
{
	(void)state;
	loop_done(&loop);
	return 0;
}

struct timed {
	struct deadline deadline;
	uint64_t wanted; /* not before, by the loop's clock */
	uint64_t happened;
	unsigned times;
};

static unsigned left;

static void on_expired(struct deadline *deadline)
{
	struct timed *timed = container_of(deadline, struct timed, deadline);
	assert_int_equal(deadline->due, 0);
	timed->happened = now_ms();
	timed->times++;
	if (--left == 0)
		loop_stop(&loop);
}

static void set(struct timed *timed, uint64_t ms)
{
	timed->deadline.expired = on_expired;
	timed->wanted = loop.clock.monotonic_ms + ms;
	deadline_set(&loop, &timed->deadline, ms);
}

static void deadlines_are_never_early(void **state)
{
	(void)state;
	static struct timed timed[60];
	clock_update(&loop.clock);
	for (unsigned i = 0; i < 60; i++)
		set(&timed[i], 1 + i * 17); /* to about a second, at all places within a tick */
	left = 60;
	assert_int_equal(run_loop(&loop), 0);
	for (unsigned i = 0; i < 60; i++) {
		assert_int_equal(timed[i].times, 1);
		assert_true(timed[i].happened >= timed[i].wanted);
	}
	assert_int_equal(loop.filed, 0);
}

/* Kept to within one tick: with a loop whose time is our own, so that a busy machine does not matter. */
static void deadlines_are_kept_to_a_tick(void **state)
{
	(void)state;
	static struct timed timed[4];
	clock_update(&loop.clock);
	for (unsigned i = 0; i < 4; i++) {
		set(&timed[i], 1 + i * 83);
		uint64_t due_ms = timed[i].deadline.due * LOOP_TICK_MS;
		assert_true(due_ms >= timed[i].wanted && due_ms < timed[i].wanted + LOOP_TICK_MS);
	}
	/* The timer stands at the beginning of the next tick. */
	double remaining = ev_timer_remaining(loop.ev, &loop.wheel_timer);
	assert_true(remaining <= LOOP_TICK_MS / 1000.0 + 0.001);
	left = 4;
	assert_int_equal(run_loop(&loop), 0);
}

static void moved_deadlines(void **state)
{
	(void)state;
	static struct timed later, earlier, cleared, far;
	clock_update(&loop.clock);
	set(&later, 1);
	struct link *place = later.deadline.link.prev;
	set(&later, 700); /* only noted: its place in the wheel stays */
	assert_ptr_equal(later.deadline.link.prev, place);
	set(&earlier, 100000);
	set(&earlier, 300);
	set(&cleared, 1);
	deadline_clear(&loop, &cleared.deadline);
	deadline_clear(&loop, &cleared.deadline);
	set(&far, 1000000); /* several turns of the wheel */
	assert_int_equal(loop.filed, 3);
	left = 2;
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(later.times, 1);
	assert_true(later.happened >= later.wanted);
	assert_int_equal(earlier.times, 1);
	assert_true(earlier.happened >= earlier.wanted);
	assert_true(earlier.happened <= later.happened);
	assert_int_equal(cleared.times, 0);
	assert_int_equal(far.times, 0);
	deadline_set(&loop, &far.deadline, 0); /* takes it back */
	assert_int_equal(loop.filed, 0);
	assert_int_equal(far.deadline.due, 0);
}

/* A deadline more than one turn of the wheel ahead does not come up with the slot it shares. */
static void wheel_goes_round(void **state)
{
	(void)state;
	static struct timed near, far;
	near.times = far.times = 0;
	clock_update(&loop.clock);
	set(&near, 250);
	set(&far, 250 + (uint64_t)LOOP_WHEEL * LOOP_TICK_MS);
	left = 1;
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(near.times, 1);
	assert_int_equal(far.times, 0);
	assert_int_equal(loop.filed, 1);
	/* The machine slept for three turns of the wheel: it expires once, at the next tick. */
	loop.tick -= 3 * LOOP_WHEEL;
	far.deadline.due = loop.clock.monotonic_ms / LOOP_TICK_MS;
	left = 1;
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(far.times, 1);
}

static struct timed other;

static void clears_other(struct deadline *deadline)
{
	(void)deadline;
	deadline_clear(&loop, &other.deadline);
	set(&other, 1);
}

static void deadline_changes_another_of_its_slot(void **state)
{
	(void)state;
	static struct deadline first;
	other.times = 0;
	clock_update(&loop.clock);
	first.expired = clears_other;
	deadline_set(&loop, &first, 1);
	set(&other, 1);
	left = 1;
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(other.times, 1);
	assert_true(other.happened >= other.wanted);
}

/* Without deadlines the timer does not run: an idle server does not wake. */
static void idle_wheel_stands(void **state)
{
	(void)state;
	static struct timed timed;
	clock_update(&loop.clock);
	assert_false(ev_is_active(&loop.wheel_timer));
	set(&timed, 1);
	assert_true(ev_is_active(&loop.wheel_timer));
	left = 1;
	assert_int_equal(run_loop(&loop), 0);
	assert_false(ev_is_active(&loop.wheel_timer));
}

struct work {
	struct task task;
	unsigned turn; /* of the loop, when it ran */
	unsigned ran;
	unsigned again;
	struct work *drops;
};

static unsigned turns;

static void on_turn(struct ev_loop *ev, ev_check *check, int events)
{
	(void)ev, (void)check, (void)events;
	turns++;
}

static void run_work(struct task *task)
{
	struct work *work = container_of(task, struct work, task);
	if (work->ran++ > 0)
		assert_true(turns > work->turn); /* events were looked for in between */
	work->turn = turns;
	if (work->drops)
		loop_forget(&work->drops->task);
	if (work->again > 0) {
		work->again--;
		loop_defer(&loop, task);
	} else {
		loop_stop(&loop);
	}
}

static void tasks_run_once_and_do_not_starve(void **state)
{
	(void)state;
	ev_check watch;
	ev_check_init(&watch, on_turn);
	ev_check_start(loop.ev, &watch);
	struct work dropped = {.task.run = run_work}, forgotten = {.task.run = run_work};
	struct work work = {.task.run = run_work, .again = 5, .drops = &dropped};
	loop_defer(&loop, &work.task);
	loop_defer(&loop, &work.task);
	loop_defer(&loop, &dropped.task);
	loop_defer(&loop, &forgotten.task);
	loop_forget(&forgotten.task);
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(work.ran, 6);
	assert_int_equal(dropped.ran, 0);
	assert_int_equal(forgotten.ran, 0);
	ev_check_stop(loop.ev, &watch);
}

struct note {
	struct message message;
	unsigned *count;
};

static void on_note(struct message *message, void *receiver)
{
	struct note *note = container_of(message, struct note, message);
	assert_ptr_equal(receiver, &loop);
	if (++*note->count == 3000)
		loop_stop(&loop);
	free(note);
}

static void *post_notes(void *context)
{
	for (int i = 0; i < 1000; i++) {
		struct note *note = malloc(sizeof(*note));
		*note = (struct note){{.deliver = on_note}, context};
		inbox_post(&loop.inbox, &note->message);
	}
	return NULL;
}

static void inbox_wakes_a_sleeping_loop(void **state)
{
	(void)state;
	unsigned count = 0;
	pthread_t threads[3];
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, post_notes, &count), 0);
	assert_int_equal(run_loop(&loop), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(count, 3000);
}

static void loop_is_as_asked(void **state)
{
	(void)state;
	assert_int_equal(ev_backend(loop.ev), EVBACKEND_EPOLL);
	assert_int_equal(loop.index, 3);
	assert_true(loop.clock.monotonic_ms > 0);
	memset(loop.scratch, 0, LOOP_SCRATCH);
}

/* --- Answers that are awaited. --- */

/* As if it had come so long after the request. */
static void answered_after(uint64_t us)
{
	clock_update(&loop.clock);
	loop_await(&loop);
	loop.clock.monotonic_us = loop.awaited.since_us + us;
	loop_await_end(&loop);
}

struct look {
	struct ev_prepare watch;
	unsigned turns; /* in which the loop would not have slept */
};

/* The loop stops where it would sleep. */
static void on_look(struct ev_loop *ev, ev_prepare *watch, int events)
{
	(void)events;
	struct look *look = container_of(watch, struct look, watch);
	if (ev_is_active(&loop.more))
		look->turns++;
	else
		ev_break(ev, EVBREAK_ALL);
}

static void on_idle(struct ev_loop *ev, ev_idle *idle, int events)
{
	(void)ev, (void)idle, (void)events;
}

static unsigned turns_without_sleep(void)
{
	struct look look = {.turns = 0};
	ev_prepare_init(&look.watch, on_look);
	ev_set_priority(&look.watch, EV_MINPRI); /* behind the loop's own */
	ev_prepare_start(loop.ev, &look.watch);
	ev_idle bound; /* would it sleep all the same, the test fails and does not hang */
	ev_idle_init(&bound, on_idle);
	ev_set_priority(&bound, EV_MINPRI);
	ev_idle_start(loop.ev, &bound);
	loop_run(&loop);
	ev_idle_stop(loop.ev, &bound);
	ev_prepare_stop(loop.ev, &look.watch);
	return look.turns;
}

static void answers_are_looked_for_where_they_are_quick(void **state)
{
	(void)state;
	loop.awaited = (struct awaited){.count = 0};
	for (unsigned i = 0; i < LOOP_LUCK; i++) {
		assert_false(loop.awaited.looking);
		answered_after(LOOP_LOOK_US);
	}
	unsigned looked = 0;
	/* others may have the CPU for so long that there was nothing to be looked for any more */
	for (unsigned tries = 0; looked == 0 && tries < 1000; tries++) {
		loop.awaited.luck = LOOP_LUCK;
		clock_update(&loop.clock);
		loop_await(&loop);
		assert_true(loop.awaited.looking);
		looked = turns_without_sleep();
		if (looked == 0)
			loop_await_end(&loop);
	}
	assert_true(looked > 0);
	/* in vain: the loop sleeps after all, and looks no more for long */
	assert_false(loop.awaited.looking);
	loop_await_end(&loop);
	for (unsigned i = 0; i < LOOP_LUCK; i++)
		answered_after(1);
	clock_update(&loop.clock);
	loop_await(&loop);
	assert_int_equal(turns_without_sleep(), 0);
	loop_await_end(&loop);
	assert_int_equal(loop.awaited.count, 0);
}

static void answers_are_slept_for_where_they_are_slow(void **state)
{
	(void)state;
	loop.awaited = (struct awaited){.count = 0};
	for (unsigned i = 0; i < 3 * LOOP_LUCK; i++)
		answered_after(2 * LOOP_LOOK_US + 1);
	loop_await(&loop);
	assert_false(loop.awaited.looking);
	loop_await_end(&loop);
}

static void an_answer_among_others_is_slept_for(void **state)
{
	(void)state;
	loop.awaited = (struct awaited){.count = 0};
	for (unsigned i = 0; i < 2 * LOOP_LUCK; i++)
		answered_after(1);
	loop_await(&loop);
	assert_true(loop.awaited.looking);
	loop_await(&loop);
	assert_false(loop.awaited.looking);
	loop_await_end(&loop);
	loop_await_end(&loop);
	assert_int_equal(loop.awaited.count, 0);
	/* such a one says nothing of how quick they are */
	assert_int_equal(loop.awaited.luck, 2 * LOOP_LUCK);
}

struct full {
	int fds[2];
	unsigned told;
};

static bool has_events(int set)
{
	struct pollfd one = {.fd = set, .events = POLLIN};
	return poll(&one, 1, 0) > 0;
}

static void fill(int fd)
{
	char bytes[4096] = {0};
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	assert_int_equal(errno, EAGAIN);
}

static void *take_all(void *arg)
{
	const struct full *full = arg;
	char bytes[4096];
	while (recv(full->fds[1], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	return NULL;
}

static void on_room(void *who)
{
	struct full *full = who;
	full->told++;
	loop_stop(&loop);
}

/* What is left over of edges. */
static void take_edges(void)
{
	while (has_events(loop.full))
		ev_run(loop.ev, EVRUN_NOWAIT);
}

/* It is told each time, though asked for once, and that the peer has gone; until it is forgotten, or closed. */
static void full_sockets_tell_of_room(void **state)
{
	(void)state;
	struct full full = {.told = 0};
	pthread_t reader;
	loop.on_room = on_room;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, full.fds), 0);
	assert_int_equal(loop_watch_room(&loop, full.fds[0], &full), 0);
	take_edges();
	for (unsigned i = 0; i < 3; i++) {
		unsigned before = full.told;
		fill(full.fds[0]);
		assert_int_equal(pthread_create(&reader, NULL, take_all, &full), 0);
		assert_int_equal(run_loop(&loop), 0);
		assert_int_equal(pthread_join(reader, NULL), 0);
		assert_true(full.told > before);
		take_edges();
	}
	unsigned before = full.told;
	loop_forget_room(&loop, full.fds[0]);
	fill(full.fds[0]);
	take_all(&full);
	take_edges();
	assert_int_equal(full.told, before);
	assert_int_equal(loop_watch_room(&loop, full.fds[0], &full), 0);
	take_edges();
	fill(full.fds[0]);
	before = full.told;
	close(full.fds[1]);
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(full.told, before + 1);
	close(full.fds[0]);
	take_edges();
	assert_int_equal(full.told, before + 1);
	assert_int_equal(loop_watch_room(&loop, full.fds[0], &full), -1);
	assert_int_equal(errno, EBADF);
}

/* A task, and a descriptor that is readable from the moment on in which the task was postponed. */
struct postponed {
	struct task task, deferred;
	uint32_t turn;
	ev_io watch;
	int ends[2];
	bool heard;
	bool ran;
};

static void on_heard(struct ev_loop *ev, ev_io *watch, int events)
{
	(void)events;
	struct postponed *p = container_of(watch, struct postponed, watch);
	assert_false(p->ran);
	p->heard = true;
	ev_io_stop(ev, watch);
}

static void run_postponed(struct task *task)
{
	struct postponed *p = container_of(task, struct postponed, task);
	assert_true(p->heard);
	assert_int_equal(loop_turn(&loop), p->turn + 1);
	p->ran = true;
	loop_stop(&loop);
}

static void run_deferred(struct task *task)
{
	const struct postponed *p = container_of(task, struct postponed, deferred);
	assert_false(p->heard);
	assert_int_equal(loop_turn(&loop), p->turn);
}

static void postpone(struct ev_loop *ev, ev_timer *timer, int events)
{
	(void)ev, (void)events;
	struct postponed *p = timer->data;
	assert_int_equal(write(p->ends[1], "x", 1), 1);
	p->turn = loop_turn(&loop);
	loop_defer(&loop, &p->deferred);
	loop_postpone(&loop, &p->task);
	loop_postpone(&loop, &p->task);
}

/* What is deferred by a callback runs before new events are looked for; what is postponed behind them. */
static void postponed_tasks_run_behind_new_events(void **state)
{
	(void)state;
	struct postponed p = {.task.run = run_postponed, .deferred.run = run_deferred};
	ev_timer timer;
	assert_int_equal(pipe(p.ends), 0);
	ev_io_init(&p.watch, on_heard, p.ends[0], EV_READ);
	ev_io_start(loop.ev, &p.watch);
	ev_timer_init(&timer, postpone, 0.001, 0.);
	timer.data = &p;
	ev_timer_start(loop.ev, &timer);
	assert_int_equal(run_loop(&loop), 0);
	assert_true(p.ran);
	close(p.ends[0]);
	close(p.ends[1]);
}

int main(void)
{
	/* Must not matter: EVFLAG_NOENV. */
	setenv("LIBEV_FLAGS", "1", 1);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loop_is_as_asked),
		cmocka_unit_test(deadlines_are_never_early),
		cmocka_unit_test(deadlines_are_kept_to_a_tick),
		cmocka_unit_test(moved_deadlines),
		cmocka_unit_test(wheel_goes_round),
		cmocka_unit_test(deadline_changes_another_of_its_slot),
		cmocka_unit_test(idle_wheel_stands),
		cmocka_unit_test(tasks_run_once_and_do_not_starve),
		cmocka_unit_test(inbox_wakes_a_sleeping_loop),
		cmocka_unit_test(answers_are_looked_for_where_they_are_quick),
		cmocka_unit_test(answers_are_slept_for_where_they_are_slow),
		cmocka_unit_test(an_answer_among_others_is_slept_for),
		cmocka_unit_test(full_sockets_tell_of_room),
		cmocka_unit_test(postponed_tasks_run_behind_new_events),
	};
	return cmocka_run_group_tests(tests, start, end);
}
