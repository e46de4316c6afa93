/* SPDX-License-Identifier: BSD-2-Clause */
/* Watched directories with several threads: no change is missed between them, nor when events are lost. */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <time.h>

#include "io/watch_priv.h"
#include "watch_test.h"

static unsigned long queue_limit(void)
{
	unsigned long limit = 0;
	FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
	if (file && fscanf(file, "%lu", &limit) != 1)
		limit = 0;
	if (file)
		fclose(file);
	return limit;
}

static void lose_events(void)
{
	unsigned long limit = queue_limit();
	assert_true(limit > 0 && limit < 1000000);
	/* Two names in turn, since equal events that follow each other are one. */
	put("f", "x");
	put("g", "x");
	for (unsigned long i = 0; i <= limit / 2 + 10; i++) {
		assert_int_equal(chmod(in_root("f"), 0600), 0);
		assert_int_equal(chmod(in_root("g"), 0600), 0);
	}
}

/* Events were lost: a move may be among them, so nothing stays valid. */
static void overflow_ends_all(void **state)
{
	(void)state;
	make("a");
	struct watched *top = watch_directory(watch, NULL, root);
	struct watched *a = watch_directory(watch, top, in_root("a"));
	lose_events();
	assert_int_equal(now(top), 0);
	assert_int_equal(now(a), 0);
	assert_int_equal(watch_count(watch), 0);
	watch_release(watch, a);
	watch_release(watch, top);
	top = watch_directory(watch, NULL, root);
	uint32_t before = now(top);
	put("f", "y");
	assert_int_not_equal(now(top), before);
	watch_release(watch, top);
}

struct looker {
	struct watched *top;
	_Atomic bool begun;
	uint32_t seen;
};

static void *look(void *context)
{
	struct looker *looker = context;
	atomic_store(&looker->begun, true);
	looker->seen = watch_generation(watch, looker->top);
	return NULL;
}

static void *drain(void *context)
{
	(void)context;
	watch_drain(watch);
	return NULL;
}

/* The log asks poll() before it writes; this one stands in for the library's and, where a test wants so, holds up who asks. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool closed;
	bool waited_for;
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false};

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	pthread_mutex_lock(&gate.lock);
	while (gate.closed) {
		gate.waited_for = true;
		pthread_cond_broadcast(&gate.changed);
		pthread_cond_wait(&gate.changed, &gate.lock);
	}
	pthread_mutex_unlock(&gate.lock);
	struct timespec time = {timeout / 1000, timeout % 1000 * 1000000L};
	return ppoll(fds, count, timeout < 0 ? NULL : &time, NULL);
}

static void close_gate(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.closed = true;
	gate.waited_for = false;
	pthread_mutex_unlock(&gate.lock);
}

static void await_gate(void)
{
	pthread_mutex_lock(&gate.lock);
	while (!gate.waited_for)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static void open_gate(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.closed = false;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

/* DESIGN 4, A thread's world: who looks while somebody drains waits for the end of it. The drain is held up by its own
 * message about lost events. */
static void who_looks_waits_for_who_drains(void **state)
{
	(void)state;
	struct looker looker = {.top = watch_directory(watch, NULL, root)};
	assert_true(watch_generation(watch, looker.top) != 0);
	lose_events();
	close_gate();
	pthread_t drainer, looking;
	assert_int_equal(pthread_create(&drainer, NULL, drain, NULL), 0);
	await_gate();
	assert_true(atomic_load(&watch->epoch) & 1);
	assert_int_equal(pthread_create(&looking, NULL, look, &looker), 0);
	while (!atomic_load(&looker.begun))
		sched_yield();
	struct timespec moment = {0, 30000000}; /* for one that would not wait to show it */
	nanosleep(&moment, NULL);
	open_gate();
	pthread_join(drainer, NULL);
	pthread_join(looking, NULL);
	assert_int_equal(looker.seen, 0);
	watch_release(watch, looker.top);
}

/* Who sees a request after a change was made sees the generation of after it, whichever loop drains. */
#define ROUNDS   2000
#define CHILDREN 1000 /* make an event in their parent slow, so that somebody is still at it */

struct member {
	struct loop loop;
	pthread_t thread;
	struct watched *top;
	_Atomic uint32_t answered; /* rounds */
	uint32_t last;
	unsigned stale;
	struct message leave;
	int request[2];
	ev_io requests;
};

static void on_request(struct ev_loop *ev, ev_io *io, int events)
{
	(void)ev, (void)events;
	struct member *member = container_of(io, struct member, requests);
	char byte;
	if (read(member->request[0], &byte, 1) != 1)
		return;
	uint32_t generation = watch_generation(watch, member->top);
	if (generation == member->last)
		member->stale++;
	member->last = generation;
	atomic_fetch_add(&member->answered, 1);
}

static void on_leave(struct message *message, void *receiver)
{
	(void)message;
	struct loop *loop = receiver;
	loop_stop(loop);
}

static void *run_member(void *context)
{
	struct member *member = context;
	watch_attach(watch, &member->loop);
	loop_run(&member->loop);
	watch_detach(watch, &member->loop);
	ev_io_stop(member->loop.ev, &member->requests);
	loop_done(&member->loop);
	return NULL;
}

static void no_loop_answers_stale(void **state)
{
	(void)state;
	static struct member members[3];
	static struct watched *children[CHILDREN];
	unsigned stale = 0;
	struct watched *top = watch_directory(watch, NULL, root);
	for (unsigned i = 0; i < CHILDREN; i++) {
		char name[32];
		snprintf(name, sizeof(name), "child-%u", i);
		make(name);
		watch_drain(watch); /* its making would end what is watched too early */
		children[i] = watch_directory(watch, top, in_root(name));
	}
	put("busy-1", "x");
	put("busy-2", "x");
	watch_drain(watch);
	assert_true(watch_generation(watch, children[0]) != 0);
	for (size_t i = 0; i < 3; i++) {
		struct member *member = &members[i];
		member->answered = 0;
		check(loop_init(&member->loop, (unsigned)i) == 0);
		member->top = children[0];
		assert_int_equal(pipe2(member->request, O_CLOEXEC | O_NONBLOCK), 0);
		ev_io_init(&member->requests, on_request, member->request[0], EV_READ);
		ev_io_start(member->loop.ev, &member->requests);
		assert_int_equal(pthread_create(&member->thread, NULL, run_member, member), 0);
	}
	int fd = open(in_root("child-0/f"), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		struct member *asked = &members[round % 3];
		for (unsigned i = 0; i < 4; i++) {
			assert_int_equal(chmod(in_root("busy-1"), 0600), 0);
			assert_int_equal(chmod(in_root("busy-2"), 0600), 0);
		}
		assert_int_equal(pwrite(fd, "x", 1, 0), 1);
		assert_int_equal(write(asked->request[1], "?", 1), 1);
		uint32_t before = round / 3;
		while (atomic_load(&asked->answered) == before)
			sched_yield();
	}
	close(fd);
	for (size_t i = 0; i < 3; i++) {
		members[i].leave.deliver = on_leave;
		inbox_post(&members[i].loop.inbox, &members[i].leave);
		pthread_join(members[i].thread, NULL);
		stale += members[i].stale;
		close(members[i].request[0]);
		close(members[i].request[1]);
	}
	assert_int_equal(stale, 0);
	for (unsigned i = 0; i < CHILDREN; i++)
		watch_release(watch, children[i]);
	watch_release(watch, top);
}

/* Writes to a file: does that wake the loop? Whether or not, what is done next sees it. */
static bool write_wakes(struct loop *loop, const struct watched *top)
{
	bool wakes = ev_is_active(&loop->attachment->events);
	uint32_t before = watch_generation(watch, top);
	put("log", "x");
	ev_run(loop->ev, EVRUN_NOWAIT);
	assert_int_not_equal(watch_generation(watch, top), before);
	return wakes;
}

/* Somebody writes all the time where nobody asks for anything: a loop that has nothing to do sleeps, until that is over. */
static void loop_rests_from_many_events(void **state)
{
	(void)state;
	struct loop loop;
	assert_int_equal(loop_init(&loop, 0), 0);
	watch_attach(watch, &loop);
	struct watched *top = watch_directory(watch, NULL, root);
	ev_run(loop.ev, EVRUN_NOWAIT);
	assert_true(write_wakes(&loop, top));
	unsigned writes = 0;
	while (write_wakes(&loop, top))
		assert_true(++writes < 1000);
	for (unsigned i = 0; i < 3; i++) { /* the time that it rests */
		poll(NULL, 0, 60);
		ev_run(loop.ev, EVRUN_NOWAIT);
	}
	assert_true(write_wakes(&loop, top));
	watch_release(watch, top);
	watch_detach(watch, &loop);
	loop_done(&loop);
}

/* Another file system takes the place of a directory, and goes again: only the table of mounts tells. */
static void mounts_end_all(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		skip(); /* it takes root's rights */
	struct loop loop;
	make("a");
	assert_int_equal(loop_init(&loop, 0), 0);
	watch_follow_mounts(watch, open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
	watch_attach(watch, &loop);
	for (unsigned i = 0; i < 3; i++)
		ev_run(loop.ev, EVRUN_NOWAIT); /* the first look at the table may be news */
	struct watched *a = watch_directory(watch, NULL, in_root("a"));
	ev_run(loop.ev, EVRUN_NOWAIT);
	assert_int_not_equal(watch_generation(watch, a), 0);
	assert_int_equal(mount("none", in_root("a"), "tmpfs", 0, NULL), 0);
	ev_run(loop.ev, EVRUN_NOWAIT);
	assert_int_equal(watch_generation(watch, a), 0);
	struct watched *other = watch_directory(watch, NULL, in_root("a"));
	uint32_t before = watch_generation(watch, other);
	put("a/f", "x");
	ev_run(loop.ev, EVRUN_NOWAIT);
	assert_int_not_equal(before, 0);
	assert_int_not_equal(watch_generation(watch, other), before);
	watch_release(watch, a);
	watch_release(watch, other);
	watch_detach(watch, &loop);
	assert_int_equal(umount(in_root("a")), 0);
	loop_done(&loop);
}

/* Threads that watch, release and move at once: no object is valid for a path that leads elsewhere. */
static _Atomic bool moving;

static void *watch_and_release(void *context)
{
	(void)context;
	char a_path[128], b_path[128];
	snprintf(a_path, sizeof(a_path), "%s/a", root);
	snprintf(b_path, sizeof(b_path), "%s/a/b", root);
	struct watched *top = watch_directory(watch, NULL, root);
	while (atomic_load(&moving)) {
		struct watched *a = watch_directory(watch, top, a_path);
		struct watched *b = watch_directory(watch, a, b_path);
		watch_drain(watch);
		(void)watch_generation(watch, b);
		watch_release(watch, a);
		watch_release(watch, b);
	}
	watch_release(watch, top);
	return NULL;
}

static void moves_while_watching(void **state)
{
	(void)state;
	make("a");
	make("a/b");
	make("x");
	make("x/b");
	atomic_store(&moving, true);
	pthread_t threads[2];
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, watch_and_release, NULL), 0);
	struct watched *top = watch_directory(watch, NULL, root);
	for (int i = 0; i < 300; i++) {
		assert_int_equal(rename(in_root("a"), in_root("t")), 0);
		assert_int_equal(rename(in_root("x"), in_root("a")), 0);
		assert_int_equal(rename(in_root("t"), in_root("x")), 0);
		struct watched *a = watch_directory(watch, top, in_root("a"));
		struct watched *b = watch_directory(watch, a, in_root("a/b"));
		uint32_t before = now(b);
		put("a/b/f", "x");
		/* Either it never was valid, or the change shows. */
		if (before != 0)
			assert_int_not_equal(now(b), before);
		watch_release(watch, a);
		watch_release(watch, b);
	}
	atomic_store(&moving, false);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	watch_release(watch, top);
	assert_int_equal(watch_count(watch), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(overflow_ends_all),
		EACH(who_looks_waits_for_who_drains),
		EACH(no_loop_answers_stale),
		EACH(loop_rests_from_many_events),
		EACH(mounts_end_all),
		EACH(moves_while_watching),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
