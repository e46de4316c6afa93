/* SPDX-License-Identifier: BSD-2-Clause */
/* Watched directories: what raises a generation, what ends an object, and that no change is missed between threads. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "io/watch.h"
#include "io_test.h"

static struct watch *watch;
static char root[64];

static const char *in_root(const char *name)
{
	static char paths[4][256];
	static unsigned turn;
	char *path = paths[turn++ % 4];
	snprintf(path, sizeof(paths[0]), "%s/%s", root, name);
	return path;
}

static void put(const char *name, const char *text)
{
	int fd = open(in_root(name), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void make(const char *name)
{
	assert_int_equal(mkdir(in_root(name), 0755), 0);
}

static uint32_t now(const struct watched *watched)
{
	watch_drain(watch);
	return watch_generation(watch, watched);
}

static int start(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "%s", new_folder());
	watch = watch_new();
	return watch ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	watch_free(watch);
	remove_folder(root);
	return 0;
}

static void changes_in_the_directory_show(void **state)
{
	(void)state;
	struct watched *top = watch_directory(watch, NULL, root);
	uint32_t before = now(top), after;
	assert_true(before != 0);
	assert_int_equal(now(top), before); /* looking changes nothing */
	int fd = open(in_root("f"), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_not_equal(after = now(top), before);
	before = after;
	assert_int_equal(write(fd, "text", 4), 4);
	assert_int_not_equal(after = now(top), before);
	before = after;
	assert_int_equal(ftruncate(fd, 2), 0);
	assert_int_not_equal(after = now(top), before);
	before = after;
	assert_int_equal(fchmod(fd, 0600), 0);
	assert_int_not_equal(after = now(top), before);
	before = after;
	char byte;
	assert_int_equal(pread(fd, &byte, 1, 0), 1); /* reading does not */
	assert_int_equal(now(top), before);
	close(fd); /* after writing: a shared mapping shows only here */
	assert_int_not_equal(after = now(top), before);
	before = after;
	assert_int_equal(rename(in_root("f"), in_root("g")), 0);
	assert_int_not_equal(after = now(top), before);
	before = after;
	assert_int_equal(unlink(in_root("g")), 0);
	assert_int_not_equal(after = now(top), before);
	assert_true(after != 0);
	watch_release(watch, top);
	assert_int_equal(watch_count(watch), 0);
}

static void same_path_is_the_same_object(void **state)
{
	(void)state;
	make("a");
	struct watched *top = watch_directory(watch, NULL, root);
	struct watched *a = watch_directory(watch, top, in_root("a"));
	struct watched *again = watch_directory(watch, top, in_root("a/"));
	assert_ptr_equal(a, again);
	assert_int_equal(watch_count(watch), 2);
	watch_release(watch, a);
	assert_int_equal(watch_count(watch), 2);
	/* The child holds its parent. */
	watch_release(watch, top);
	uint32_t before = now(again);
	assert_int_equal(rename(in_root("a"), in_root("b")), 0);
	assert_true(before != 0);
	assert_int_equal(now(again), 0);
	watch_release(watch, again);
	assert_int_equal(watch_count(watch), 0);
}

/* What happens beside a directory does not disturb what stands beneath it. */
static void siblings_do_not_matter(void **state)
{
	(void)state;
	make("a");
	make("b");
	struct watched *top = watch_directory(watch, NULL, root);
	struct watched *a = watch_directory(watch, top, in_root("a"));
	struct watched *b = watch_directory(watch, top, in_root("b"));
	uint32_t of_a = now(a), of_b = now(b), of_top = now(top);
	put("b/f", "x");
	put("f", "x");
	make("ab"); /* a name that begins like a's */
	assert_int_equal(rename(in_root("ab"), in_root("abc")), 0);
	assert_int_equal(rmdir(in_root("abc")), 0);
	assert_int_equal(now(a), of_a);
	assert_int_not_equal(now(b), of_b);
	assert_int_not_equal(now(top), of_top);
	watch_release(watch, a);
	watch_release(watch, b);
	watch_release(watch, top);
}

/* A name that goes or is replaced may have been a link by which one came: those beneath rise, and stay valid. */
static void replaced_links_raise_what_is_beneath(void **state)
{
	(void)state;
	make("v1");
	make("v1/img");
	assert_int_equal(symlink("v1", in_root("now")), 0);
	struct watched *top = watch_directory(watch, NULL, root);
	struct watched *v1 = watch_directory(watch, top, in_root("v1"));
	struct watched *img = watch_directory(watch, v1, in_root("v1/img"));
	uint32_t before = now(img), after;
	assert_int_equal(symlink("v2", in_root("next")), 0);
	assert_int_equal(now(img), before);
	assert_int_equal(rename(in_root("next"), in_root("now")), 0);
	assert_int_not_equal(after = now(img), before);
	assert_true(after != 0);
	assert_int_equal(unlink(in_root("now")), 0);
	assert_int_not_equal(now(img), after);
	assert_true(now(img) != 0);
	watch_release(watch, img);
	watch_release(watch, v1);
	watch_release(watch, top);
}

/* Rights of an ancestor decide about all beneath: they rise, and stay valid. */
static void rights_of_ancestors_matter(void **state)
{
	(void)state;
	make("a");
	make("a/b");
	struct watched *top = watch_directory(watch, NULL, root);
	struct watched *a = watch_directory(watch, top, in_root("a"));
	struct watched *b = watch_directory(watch, a, in_root("a/b"));
	uint32_t of_b = now(b);
	assert_int_equal(chmod(in_root("a"), 0700), 0);
	uint32_t after = now(b);
	assert_int_not_equal(after, of_b);
	assert_int_equal(chmod(root, 0711), 0);
	assert_int_not_equal(now(b), after);
	assert_true(now(b) != 0);
	watch_release(watch, a);
	watch_release(watch, b);
	watch_release(watch, top);
}

/* A directory that is moved takes its watches with it: the old path's objects end, at any depth. */
static void moved_directories_end(void **state)
{
	(void)state;
	make("a");
	make("a/b");
	make("a/b/c");
	struct watched *top = watch_directory(watch, NULL, root);
	struct watched *a = watch_directory(watch, top, in_root("a"));
	struct watched *b = watch_directory(watch, a, in_root("a/b"));
	struct watched *c = watch_directory(watch, b, in_root("a/b/c"));
	assert_true(now(c) != 0);
	assert_int_equal(rename(in_root("a"), in_root("x")), 0);
	make("a");
	make("a/b");
	make("a/b/c");
	assert_int_equal(now(a), 0);
	assert_int_equal(now(b), 0);
	assert_int_equal(now(c), 0);
	assert_true(now(top) != 0);
	assert_int_equal(watch_count(watch), 1);
	/* Never valid again for those who hold it, while new ones see the new directory. */
	put("a/b/c/f", "new");
	assert_int_equal(now(c), 0);
	/* What is reached through a dead one cannot be relied upon. */
	struct watched *under_dead = watch_directory(watch, b, in_root("a/b/c"));
	assert_int_equal(now(under_dead), 0);
	watch_release(watch, under_dead);
	struct watched *new_a = watch_directory(watch, top, in_root("a"));
	struct watched *new_b = watch_directory(watch, new_a, in_root("a/b"));
	struct watched *new_c = watch_directory(watch, new_b, in_root("a/b/c"));
	assert_ptr_not_equal(new_c, c);
	uint32_t before = now(new_c);
	assert_true(before != 0);
	put("x/b/c/f", "old");
	assert_int_equal(now(new_c), before);
	put("a/b/c/f", "newer");
	assert_int_not_equal(now(new_c), before);
	struct watched *all[] = {a, b, c, new_a, new_b, new_c, top};
	for (size_t i = 0; i < COUNT_OF(all); i++)
		watch_release(watch, all[i]);
	assert_int_equal(watch_count(watch), 0);
}

/* The same inode under its new path: one watch of the kernel, and the old object stays dead. */
static void moved_directory_can_be_watched_anew(void **state)
{
	(void)state;
	make("a");
	struct watched *top = watch_directory(watch, NULL, root);
	struct watched *a = watch_directory(watch, top, in_root("a"));
	assert_int_equal(rename(in_root("a"), in_root("x")), 0);
	struct watched *x =
		watch_directory(watch, top, in_root("x")); /* before the events were seen */
	assert_int_equal(now(a), 0);
	assert_int_equal(now(x), 0); /* the move was an event of its own inode as well */
	struct watched *again = watch_directory(watch, top, in_root("x"));
	uint32_t before = now(again);
	assert_true(before != 0);
	put("x/f", "text");
	assert_int_not_equal(now(again), before);
	assert_int_equal(now(a), 0);
	watch_release(watch, a);
	watch_release(watch, x);
	watch_release(watch, again);
	watch_release(watch, top);
	assert_int_equal(watch_count(watch), 0);
}

static void deleted_directories_end(void **state)
{
	(void)state;
	make("a");
	make("a/b");
	struct watched *top = watch_directory(watch, NULL, root);
	struct watched *a = watch_directory(watch, top, in_root("a"));
	struct watched *b = watch_directory(watch, a, in_root("a/b"));
	int held = open(in_root("a"), O_PATH | O_DIRECTORY | O_CLOEXEC); /* the inode stays */
	assert_int_equal(rmdir(in_root("a/b")), 0);
	assert_int_equal(now(b), 0);
	assert_true(now(a) != 0);
	assert_int_equal(rmdir(in_root("a")), 0);
	assert_int_equal(now(a), 0);
	assert_true(now(top) != 0);
	close(held);
	assert_true(now(top) != 0);
	watch_release(watch, a);
	watch_release(watch, b);
	watch_release(watch, top);
	assert_int_equal(watch_count(watch), 0);
}

/* A deploy switches a link by renaming over it; what was reached through it ends, its old target is untouched. */
static void switched_links_end_what_was_behind(void **state)
{
	(void)state;
	make("v1");
	make("v1/img");
	make("v2");
	make("v2/img");
	assert_int_equal(symlink("v1", in_root("now")), 0);
	struct watched *top = watch_directory(watch, NULL, root);
	struct watched *link = watch_directory(watch, top, in_root("now"));
	struct watched *img = watch_directory(watch, link, in_root("now/img"));
	struct watched *real = watch_directory(watch, top, in_root("v1/img"));
	assert_int_equal(watch_count(watch), 3); /* img and real are one inode */
	uint32_t of_img = now(img), of_real = now(real);
	put("v1/img/f", "x");
	assert_int_not_equal(now(img), of_img);
	assert_int_not_equal(now(real), of_real);
	assert_int_equal(symlink("v2", in_root("next")), 0);
	assert_int_equal(rename(in_root("next"), in_root("now")), 0);
	assert_int_equal(now(link), 0);
	assert_int_equal(now(img), 0);
	assert_true(now(real) != 0);
	struct watched *new_link = watch_directory(watch, top, in_root("now"));
	uint32_t before = now(new_link);
	put("v2/f", "x");
	assert_int_not_equal(now(new_link), before);
	struct watched *all[] = {link, img, real, new_link, top};
	for (size_t i = 0; i < COUNT_OF(all); i++)
		watch_release(watch, all[i]);
	assert_int_equal(watch_count(watch), 0);
}

/* A child whose path does not continue its parent's: any change of a name there may be about it. */
static void links_that_lead_elsewhere(void **state)
{
	(void)state;
	make("a");
	make("b");
	struct watched *a = watch_directory(watch, NULL, in_root("a"));
	struct watched *b = watch_directory(watch, a, in_root("b"));
	struct watched *ring = watch_directory(watch, b, in_root("a")); /* a ring is left open */
	assert_ptr_equal(ring, a);
	assert_true(now(b) != 0);
	put("a/new", "x");
	assert_int_equal(now(b), 0);
	assert_true(now(a) != 0);
	watch_release(watch, ring);
	watch_release(watch, b);
	watch_release(watch, a);
	assert_int_equal(watch_count(watch), 0);
}

static void what_cannot_be_watched_has_no_generation(void **state)
{
	(void)state;
	put("file", "x");
	const char *paths[] = {
		in_root("missing"), in_root("file"), "/proc/self", "/sys/kernel", "relative"};
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		struct watched *w = watch_directory(watch, NULL, paths[i]);
		assert_non_null(w);
		assert_int_equal(now(w), 0);
		/* And nothing beneath it. */
		struct watched *beneath = watch_directory(watch, w, root);
		assert_int_equal(now(beneath), 0);
		watch_release(watch, beneath);
		watch_release(watch, w);
	}
	static char deep[5000];
	memset(deep, '/', sizeof(deep) - 1);
	deep[4998] = 'x';
	assert_int_equal(now(watch_directory(watch, NULL, deep)), 0);
	assert_int_equal(watch_count(watch), 0);
}

static void without_inotify_all_is_unwatched(void **state)
{
	(void)state;
	struct watched *w = watch_directory(NULL, NULL, "/tmp");
	assert_non_null(w);
	assert_int_equal(watch_generation(NULL, w), 0);
	watch_release(NULL, w);
	watch_drain(NULL);
	watch_free(NULL);
}

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

/* DESIGN 4, A thread's world: who looks while somebody drains waits for the end of it. The drain is held up by its own
 * message about lost events, which goes into a pipe that is full. */
static void who_looks_waits_for_who_drains(void **state)
{
	(void)state;
	struct looker looker = {.top = watch_directory(watch, NULL, root)};
	assert_true(watch_generation(watch, looker.top) != 0);
	lose_events();
	int ends[2];
	static char page[4096];
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	while (write(ends[1], page, sizeof(page)) > 0)
		;
	assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
	log_open(ends[1], LOG_LEVEL_INFO, NULL);
	pthread_t drainer, looking;
	assert_int_equal(pthread_create(&drainer, NULL, drain, NULL), 0);
	while (!(atomic_load(&watch->epoch) & 1))
		sched_yield();
	assert_int_equal(pthread_create(&looking, NULL, look, &looker), 0);
	while (!atomic_load(&looker.begun))
		sched_yield();
	struct timespec moment = {0, 30000000}; /* for one that would not wait to show it */
	nanosleep(&moment, NULL);
	while (read(ends[0], page, sizeof(page)) > 0)
		;
	pthread_join(drainer, NULL);
	pthread_join(looking, NULL);
	log_open(2, LOG_LEVEL_INFO, NULL);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(looker.seen, 0);
	watch_release(watch, looker.top);
}

static void held_objects_end_with_the_watch(void **state)
{
	(void)state;
	make("a");
	struct watch *own = watch_new();
	struct watched *top = watch_directory(own, NULL, root);
	struct watched *a = watch_directory(own, top, in_root("a"));
	assert_true(watch_generation(own, a) != 0);
	assert_int_equal(rename(in_root("a"), in_root("b")), 0);
	watch_drain(own);
	watch_free(own); /* the leak checker looks */
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

#define EACH(test) cmocka_unit_test_setup_teardown(test, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(changes_in_the_directory_show),
		EACH(same_path_is_the_same_object),
		EACH(siblings_do_not_matter),
		EACH(replaced_links_raise_what_is_beneath),
		EACH(rights_of_ancestors_matter),
		EACH(moved_directories_end),
		EACH(moved_directory_can_be_watched_anew),
		EACH(deleted_directories_end),
		EACH(switched_links_end_what_was_behind),
		EACH(links_that_lead_elsewhere),
		EACH(what_cannot_be_watched_has_no_generation),
		EACH(without_inotify_all_is_unwatched),
		EACH(overflow_ends_all),
		EACH(who_looks_waits_for_who_drains),
		EACH(held_objects_end_with_the_watch),
		EACH(no_loop_answers_stale),
		EACH(moves_while_watching),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
