/* SPDX-License-Identifier: BSD-2-Clause */
/* Looks at the disk (handlers/file/file_cache.h): one for many requests, none of them told what was so before it came; on a disk that hangs, or
 * without descriptors, nobody waits for ever, and nothing is left behind. */
#include "site.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "handlers/static/static.h"

/* --- One look for many. --- */

static void requests_share_a_look(void **state)
{
	(void)state;
	struct exchange_seen *seen[20];
	site_write("www/page.html", "shared", 6);
	site_start("root: www", true);
	for (int i = 0; i < 20; i++)
		seen[i] = loopback_begin(site.loopback, "GET", "/page.html", NULL);
	assert_false(list_empty(&site_cache()->jobs));
	assert_ptr_equal(site_cache()->jobs.next, site_cache()->jobs.prev);
	loopback_gone(seen[0]); /* the one that began it */
	loopback_gone(seen[7]);
	for (int i = 0; i < 20; i++) {
		if (i == 0 || i == 7)
			continue;
		loopback_await(seen[i]);
		assert_int_equal(seen[i]->request.response.status, 200);
		assert_memory_equal(seen[i]->body.ptr, "shared", 6);
	}
	for (int i = 0; i < 20; i++)
		loopback_free(seen[i]);
}

/* A request that comes while a look is under way sees what was changed before it came. */
static void late_requests_see_the_newer(void **state)
{
	(void)state;
	site_write("www/page.html", "0", 1);
	site_start("root: www", true);
	for (int i = 0; i < 100; i++) {
		char content[8];
		struct exchange_seen *first =
			loopback_begin(site.loopback, "GET", "/page.html", NULL);
		int length = snprintf(content, sizeof content, "%d", i);
		site_write("www/page.html", content, (size_t)length);
		watch_drain(site.loopback->thread.watch);
		struct exchange_seen *second =
			loopback_begin(site.loopback, "GET", "/page.html", NULL);
		loopback_await(second);
		assert_int_equal(second->body.len, length);
		assert_memory_equal(second->body.ptr, content, (size_t)length);
		loopback_await(first);
		loopback_free(first);
		loopback_free(second);
	}
}

static void stopped_while_looking(void **state)
{
	(void)state;
	site_write("www/page.html", "x", 1);
	site_start("root: www", true);
	struct exchange_seen *seen = loopback_begin(site.loopback, "GET", "/page.html", NULL);
	loopback_free(seen);
}

/* A job that ends when the test says so. */
struct stuck_job {
	struct disk_job job;
	int wait[2];
	bool done;
};

static void stuck_work(struct disk_job *job)
{
	char octet;
	ssize_t n = read(container_of(job, struct stuck_job, job)->wait[0], &octet, 1);
	(void)n;
}

static void stuck_done(struct disk_job *job)
{
	container_of(job, struct stuck_job, job)->done = true;
}

enum { STUCK = 2 }; /* as many as one lane may have */

static void stick(struct stuck_job stuck[STUCK], unsigned lane)
{
	for (int i = 0; i < STUCK; i++) {
		assert_int_equal(pipe(stuck[i].wait), 0);
		stuck[i].job.work = stuck_work;
		stuck[i].job.done = stuck_done;
		stuck[i].job.lane = lane;
		assert_true(disk_submit(
			site.loopback->thread.disk, &site.loopback->loop, &stuck[i].job));
	}
}

static void unstick(const struct stuck_job stuck[STUCK])
{
	for (int i = 0; i < STUCK; i++)
		assert_int_equal(write(stuck[i].wait[1], "x", 1), 1);
}

static void stuck_end(struct stuck_job stuck[STUCK])
{
	while (!list_empty(&site_cache()->jobs) || !stuck[0].done || !stuck[1].done)
		loopback_turn(site.loopback);
	for (int i = 0; i < STUCK; i++) {
		close(stuck[i].wait[0]);
		close(stuck[i].wait[1]);
	}
}

/* Is its answer there, and not taken yet? */
static bool has_arrived(const struct file_look_job *job)
{
	const struct message *message = atomic_load(&site.loopback->loop.inbox.newest);
	while (message && message != &job->job.message)
		message = message->next;
	return message != NULL;
}

/* A disk that hangs answers 503 within a bounded time, and the look is not lost. */
static void hung_disk(void **state)
{
	(void)state;
	site_write("www/page.html", "at last", 7);
	site_start("root: www", true);
	const struct static_settings *settings = handler_scope_settings(
		site.loopback->snapshot, &site.loopback->snapshot->sites[0].scope, &static_handler);
	struct stuck_job stuck[STUCK] = {0};
	stick(stuck, settings->root.lane);
	site_cache()->late_ms = 300;
	struct exchange_seen *waiting = loopback_begin(site.loopback, "GET", "/page.html", NULL);
	struct exchange_seen *late = loopback_begin(site.loopback, "GET", "/page.html", NULL);
	site_get("/page.html", 503, NULL);
	loopback_await(waiting);
	loopback_await(late);
	assert_int_equal(waiting->request.response.status, 503);
	assert_int_equal(late->request.response.status, 503);
	loopback_free(waiting);
	loopback_free(late);
	assert_true(site_at_once("/page.html")); /* 503 again, without a wait */
	unstick(stuck);
	stuck_end(stuck);
	assert_true(site_at_once("/page.html"));
	site_get("/page.html", 200, "at last");
}

/* A look that nobody waited for any more was not begun; somebody comes just then, and there is too much to do: nothing is left behind. */
static void given_up_and_asked_again(void **state)
{
	(void)state;
	site_folder("www/d");
	site_start("root: www\n    listing: on", true);
	site_get("/d/", 200, NULL);
	const struct static_settings *settings = handler_scope_settings(
		site.loopback->snapshot, &site.loopback->snapshot->sites[0].scope, &static_handler);
	size_t before = site_cache()->table.count;
	struct stuck_job stuck[STUCK] = {0};
	stick(stuck, ~settings->root.lane);
	struct exchange_seen *first = loopback_begin(site.loopback, "GET", "/d/?order=desc", NULL);
	assert_int_equal(site_cache()->table.count, before + 1);
	struct file_look_job *job =
		container_of(site_cache()->jobs.next, struct file_look_job, link);
	loopback_gone(first);
	unstick(stuck);
	while (!has_arrived(job))
		site_sleep(1);
	struct exchange_seen *second = loopback_begin(site.loopback, "GET", "/d/?order=desc", NULL);
	site_cache()->listings = 100;
	loopback_await(second);
	site_cache()->listings = 0;
	assert_int_equal(second->request.response.status, 503);
	assert_int_equal(site_cache()->table.count, before);
	loopback_free(first);
	loopback_free(second);
	stuck_end(stuck);
}

/* Out of descriptors: 503, and half of what is kept open is given back. */
static void out_of_descriptors(void **state)
{
	(void)state;
	char name[64];
	char *content = test_calloc(1, 40000);
	for (int i = 0; i < 12; i++) {
		snprintf(name, sizeof name, "www/%d.bin", i);
		site_write(name, content, 40000);
	}
	test_free(content);
	site_start("root: www", true);
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof name, "/%d.bin", i);
		site_get(name, 200, NULL);
	}
	assert_int_equal(site_known(SHELF_OPEN), 10);
	int taken[2000], count = 0;
	struct rlimit before, limit;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = 100;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while (count < 2000 && (taken[count] = dup(2)) >= 0)
		count++;
	site_get("/10.bin", 503, NULL);
	assert_true(site_known(SHELF_OPEN) <= 5);
	site_get("/10.bin", 200, NULL);
	site_get("/11.bin", 200, NULL);
	while (count > 0)
		close(taken[--count]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* What an application answers has ever new names beneath one that no folder has: that is known, and no look is needed. */
static void beneath_what_is_missing(void **state)
{
	(void)state;
	site_folder("www/app");
	site_link("www/link", "app");
	site_start("root: www", true);
	site_get("/api/items/1", 404, NULL);
	assert_true(site_at_once("/api/items/2"));
	assert_true(site_at_once("/api/other/x%20y/"));
	site_get("/api/%zz", 400, NULL);
	assert_false(site_at_once("/apis/items/2"));
	site_get("/app/users/1", 404, NULL);
	assert_true(site_at_once("/app/users/2"));
	assert_false(site_at_once("/app/groups/1"));
	/* not beyond so many names: a long path must not cost more than a look */
	site_get("/app/2/3/4/5/6/7/8/9", 404, NULL);
	assert_true(site_at_once("/app/2/3/4/5/6/7/8/10"));
	static const char deep[] = "www/2/3/4/5/6/7/8";
	char folder[sizeof(deep)];
	for (int length = 5; length < (int)sizeof(deep); length += 2) {
		snprintf(folder, sizeof(folder), "%.*s", length, deep);
		site_folder(folder);
	}
	site_get("/2/3/4/5/6/7/8/none/1", 404, NULL);
	assert_true(site_at_once("/2/3/4/5/6/7/8/none/2"));
	site_folder("www/2/3/4/5/6/7/8/9");
	site_get("/2/3/4/5/6/7/8/9/none/1", 404, NULL);
	assert_false(site_at_once("/2/3/4/5/6/7/8/9/none/2"));
	site_folder("www/api");
	site_folder("www/api/items");
	site_write("www/api/items/2", "two", 3);
	site_get("/api/items/2", 200, "two");
	site_folder("www/app/users");
	site_write("www/app/users/2", "two", 3);
	site_get("/app/users/2", 200, "two");
	site_get("/link/none/1", 404, NULL);
	site_folder("www/app/none");
	site_write("www/app/none/2", "two", 3);
	site_get("/link/none/2", 200, "two");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SITE_TEST(requests_share_a_look),
		SITE_TEST(late_requests_see_the_newer),
		SITE_TEST(stopped_while_looking),
		SITE_TEST(hung_disk),
		SITE_TEST(given_up_and_asked_again),
		SITE_TEST(out_of_descriptors),
		SITE_TEST(beneath_what_is_missing),
	};
	return cmocka_run_group_tests_name("handlers/file_looks", tests, NULL, NULL);
}
