/* SPDX-License-Identifier: BSD-2-Clause */
/* The I/O threads: answers come home, lanes share, a stuck thread is replaced, the queue is bounded, the end is clean. */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "io/disk.h"
#include "io_test.h"

static struct loop loop;
static pthread_t home;
static unsigned answered, expected;

struct job {
	struct disk_job job;
	unsigned number;
	pthread_t worked_on;
	bool worked;
};

static void work(struct disk_job *base)
{
	struct job *job = container_of(base, struct job, job);
	job->worked = true;
	job->worked_on = pthread_self();
}

static void done(struct disk_job *base)
{
	struct job *job = container_of(base, struct job, job);
	assert_true(job->worked);
	assert_true(pthread_equal(pthread_self(), home));
	assert_false(pthread_equal(job->worked_on, home));
	free(job);
	if (++answered == expected)
		loop_stop(&loop);
}

static void submit(struct disk *disk, unsigned lane)
{
	struct job *job = calloc(1, sizeof(*job));
	job->job.work = work;
	job->job.done = done;
	job->job.lane = lane;
	assert_true(disk_submit(disk, &loop, &job->job));
}

static void closes(void **state)
{
	(void)state;
	struct disk *disk = disk_start(1);
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_true(disk_close(disk, &loop, 7, ends[0]));
	assert_true(disk_close(disk, &loop, 7, ends[1]));
	answered = 0;
	expected = 1;
	submit(disk, 7); /* behind these, by the one thread */
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(fcntl(ends[0], F_GETFD), -1);
	assert_int_equal(fcntl(ends[1], F_GETFD), -1);
	disk_stop(disk, 5000);
}

static void answers_come_home(void **state)
{
	(void)state;
	struct disk *disk = disk_start(4);
	assert_non_null(disk);
	answered = 0;
	expected = 2000;
	for (unsigned i = 0; i < expected; i++)
		submit(disk, i % 5);
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(answered, expected);
	disk_stop(disk, 5000);
}

/* A job that waits to be let go; it counts how many of its kind run at once. */
static struct gate {
	sem_t begun;
	sem_t go_on;
	_Atomic unsigned running;
	_Atomic unsigned most;
} gate;

static void wait_at_gate(struct disk_job *base)
{
	struct job *job = container_of(base, struct job, job);
	unsigned now = atomic_fetch_add(&gate.running, 1) + 1;
	unsigned most = atomic_load(&gate.most);
	while (now > most && !atomic_compare_exchange_weak(&gate.most, &most, now))
		;
	sem_post(&gate.begun);
	while (sem_wait(&gate.go_on) != 0)
		;
	atomic_fetch_sub(&gate.running, 1);
	job->worked = true;
	job->worked_on = pthread_self();
}

static void submit_waiting(struct disk *disk, unsigned lane)
{
	struct job *job = calloc(1, sizeof(*job));
	job->job.work = wait_at_gate;
	job->job.done = done;
	job->job.lane = lane;
	assert_true(disk_submit(disk, &loop, &job->job));
}

static void open_gate(unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		sem_post(&gate.go_on);
}

static void init_gate(void)
{
	sem_init(&gate.begun, 0, 0);
	sem_init(&gate.go_on, 0, 0);
	atomic_store(&gate.running, 0);
	atomic_store(&gate.most, 0);
}

/* DESIGN 4: at most half of the I/O threads for one root. The other roots go on. */
static void one_lane_has_half(void **state)
{
	(void)state;
	init_gate();
	struct disk *disk = disk_start(4);
	for (unsigned i = 0; i < 10; i++)
		submit_waiting(disk, 1);
	sem_wait(&gate.begun);
	sem_wait(&gate.begun);
	answered = 0;
	expected = 20;
	for (unsigned i = 0; i < 20; i++)
		submit(disk, 2);
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(answered, 20);
	assert_int_equal(atomic_load(&gate.running), 2);
	answered = 0;
	expected = 10;
	open_gate(10);
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(answered, 10);
	assert_int_equal(atomic_load(&gate.most), 2);
	disk_stop(disk, 5000);
}

/* DESIGN 4: a stuck one is replaced, and is one of them again when it comes back. */
static void stuck_threads_are_replaced(void **state)
{
	(void)state;
	init_gate();
	struct disk *disk = disk_start_with(1, 30);
	submit_waiting(disk, 1);
	sem_wait(&gate.begun);
	answered = 0;
	expected = 50;
	for (unsigned i = 0; i < 50; i++)
		submit(disk, i % 2); /* of the same lane as well */
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(answered, 50);
	assert_int_equal(atomic_load(&gate.running), 1);
	answered = 0;
	expected = 1;
	open_gate(1);
	assert_int_equal(run_loop(&loop), 0);
	expected = 51;
	for (unsigned i = 0; i < 50; i++)
		submit(disk, 1);
	assert_int_equal(run_loop(&loop), 0);
	disk_stop(disk, 5000);
}

/* All 32 places: one lane that is dead for good has half of them, and others are still served. */
static void dead_lane_leaves_half_of_all(void **state)
{
	(void)state;
	init_gate();
	struct disk *disk = disk_start_with(4, 10);
	for (unsigned i = 0; i < 40; i++)
		submit_waiting(disk, 1);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(sem_wait(&gate.begun), 0);
	answered = 0;
	expected = 20;
	for (unsigned i = 0; i < 20; i++)
		submit(disk, 2);
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(atomic_load(&gate.most), 16);
	answered = 0;
	expected = 40;
	open_gate(40);
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(answered, 40);
	disk_stop(disk, 5000);
}

static void never_done(struct disk_job *job)
{
	(void)job;
	fail_msg("a job was told that never began");
}

static void *stop_disk(void *disk)
{
	disk_stop(disk, 20000);
	return NULL;
}

static void queue_is_bounded(void **state)
{
	(void)state;
	init_gate();
	struct disk *disk = disk_start(1);
	submit_waiting(disk, 0);
	sem_wait(&gate.begun);
	static struct job jobs[5000];
	unsigned taken = 0, of_other = 0;
	for (unsigned i = 0; i < 5000; i++) {
		jobs[i].job.work = work;
		jobs[i].job.done = never_done;
		jobs[i].job.lane = i < 3000 ? 1 : 2;
		bool submitted = disk_submit(disk, &loop, &jobs[i].job);
		taken += submitted;
		of_other += submitted && i >= 3000;
	}
	assert_int_equal(taken - of_other, 2048); /* a lane: half of the queue */
	assert_int_equal(of_other, 2000);
	static struct job probes[40];
	pthread_t stopper;
	assert_int_equal(pthread_create(&stopper, NULL, stop_disk, disk), 0);
	/* Refused although there is room: it is stopping, and what waits is dropped, but what runs is told. */
	unsigned probe = 0;
	do {
		assert_true(probe < 40);
		struct timespec moment = {0, 50000000};
		nanosleep(&moment, NULL);
		probes[probe].job.work = work;
		probes[probe].job.done = never_done;
		probes[probe].job.lane = 3;
	} while (disk_submit(disk, &loop, &probes[probe++].job));
	answered = 0;
	expected = 1;
	open_gate(1);
	pthread_join(stopper, NULL);
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(answered, 1);
}

/* A thread that never comes back does not hold the end up, and tells nobody after it. */
static void stop_leaves_the_stuck(void **state)
{
	(void)state;
	init_gate();
	struct disk *disk = disk_start(2);
	static struct job stuck;
	stuck.job.work = wait_at_gate;
	stuck.job.done = never_done;
	assert_true(disk_submit(disk, &loop, &stuck.job));
	sem_wait(&gate.begun);
	struct timespec begun, now;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	disk_stop(disk, 50);
	clock_gettime(CLOCK_MONOTONIC, &now);
	assert_true(now.tv_sec - begun.tv_sec < 10);
	assert_int_equal(atomic_load(&gate.running), 1);
	open_gate(1);
	while (atomic_load(&gate.running) > 0)
		sched_yield();
	struct timespec moment = {0, 20000000};
	nanosleep(&moment, NULL);
	inbox_drain(&loop.inbox);
}

int main(void)
{
	home = pthread_self();
	check(loop_init(&loop, 0) == 0);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_come_home),
		cmocka_unit_test(closes),
		cmocka_unit_test(one_lane_has_half),
		cmocka_unit_test(stuck_threads_are_replaced),
		cmocka_unit_test(dead_lane_leaves_half_of_all),
		cmocka_unit_test(queue_is_bounded),
		cmocka_unit_test(stop_leaves_the_stuck),
	};
	int result = cmocka_run_group_tests(tests, NULL, NULL);
	loop_done(&loop);
	return result;
}
