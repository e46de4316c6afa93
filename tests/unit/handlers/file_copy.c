/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies of files that were written of late (handlers/file/file_copy.h): what is sent is one version, whatever happens to the file
 * (DESIGN 3: "nothing is mixed"). */
#include "site.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define DAY 86400
#define MB  (1u << 20)

static struct file *known(const char *name)
{
	char path[64];
	snprintf(path, sizeof path, "/%s", name);
	site_get(path, 200, NULL);
	struct file_entry *entry = container_of(
		site_cache()->shelves[SHELF_OPEN].entries.prev, struct file_entry, link);
	return entry->file;
}

static void assert_all(const struct exchange_seen *seen, size_t length, char octet)
{
	assert_true(seen->ended);
	assert_int_equal(seen->body.len, length);
	for (size_t i = 0; i < length; i++)
		assert_int_equal(seen->body.ptr[i], octet);
}

static struct exchange_seen *begin_slowly(const char *target)
{
	struct exchange_seen *seen = loopback_begin(site.loopback, "GET", target, NULL);
	seen->quantum = 1;
	while (!seen->bodies && !seen->aborted)
		loopback_turn(site.loopback);
	return seen;
}

static void written_while_sent(void **state)
{
	(void)state;
	site_fill("www/file.bin", 3 * MB, 'a');
	site_start("root: www", true);
	for (int how = 0; how < 3; how++) {
		struct exchange_seen *seen = begin_slowly("/file.bin");
		char before = (char)('a' + how), next = (char)('b' + how);
		if (how < 2)
			site_fill("www/file.bin", 3 * MB, next);
		else
			assert_int_equal(truncate(site_path("www/file.bin"), 0), 0);
		watch_drain(site.loopback->thread.watch);
		loopback_await(seen);
		assert_all(seen, 3 * MB, before);
		loopback_free(seen);
		if (how < 2)
			assert_all(site_get("/file.bin", 200, NULL), 3 * MB, next);
	}
	assert_int_equal(site_get("/file.bin", 200, NULL)->body.len, 0);
}

static void parts_of_a_copy(void **state)
{
	(void)state;
	char content[40000];
	for (unsigned i = 0; i < sizeof content; i++)
		content[i] = (char)(i * 7 + i / 251);
	site_write("www/file.bin", content, sizeof content);
	site_start("root: www", true);
	assert_non_null(known("file.bin")->copy);
	struct exchange_seen *seen = site_ask("GET", "/file.bin", "Range: bytes=33333-39998\n");
	assert_int_equal(seen->body.len, 6666);
	assert_memory_equal(seen->body.ptr, content + 33333, 6666);
	seen = site_ask("GET", "/file.bin", "Range: bytes=-1\n");
	assert_int_equal(seen->body.len, 1);
	assert_int_equal(seen->body.ptr[0], content[39999]);
}

/* Small ones stand in memory, large ones are not read whole, old ones are not likely to be written. */
static void which_have_a_copy(void **state)
{
	(void)state;
	site_fill("www/least.bin", FILE_SMALL_MAX + 1, 'a');
	site_fill("www/most.bin", FILE_DIGEST_MAX, 'a');
	site_fill("www/large.bin", FILE_DIGEST_MAX + 1, 'a');
	site_fill("www/lately.bin", 100000, 'a');
	site_date("www/lately.bin", DAY - 60);
	site_fill("www/old.bin", 100000, 'a');
	site_date("www/old.bin", DAY + 60);
	site_fill("www/future.bin", 100000, 'a');
	site_date("www/future.bin", -10 * DAY);
	site_start("root: www", true);
	assert_non_null(known("least.bin")->copy);
	assert_non_null(known("most.bin")->copy);
	assert_null(known("large.bin")->copy);
	assert_non_null(known("lately.bin")->copy);
	assert_null(known("old.bin")->copy);
	assert_non_null(known("future.bin")->copy);
	assert_int_equal(site_cache()->copies.count, 4);
}

/* As rsync --inplace does it, which gives it the time that it has elsewhere. */
static void written_and_dated_back(void **state)
{
	(void)state;
	site_fill("www/file.bin", 100000, 'a');
	site_date("www/file.bin", 3 * DAY);
	site_start("root: www", true);
	assert_null(known("file.bin")->copy);
	site_fill("www/file.bin", 100000, 'b');
	site_date("www/file.bin", 2 * DAY);
	assert_non_null(known("file.bin")->copy);
}

/* The copies used longest ago make room; their files are sent from the disk, and what is being sent goes on. */
static void bounds(void **state)
{
	(void)state;
	char path[32];
	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof path, "www/%d.bin", i);
		site_fill(path, 3 * MB, (char)('a' + i));
	}
	site_start("root: www", true);
	struct file_copies *copies = &site_cache()->copies;
	copies->bytes_max = 9 * MB;
	struct file *file[4];
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%d.bin", i);
		file[i] = known(path);
	}
	assert_int_equal(copies->bytes, 9 * MB);
	site_get("/0.bin", 200, NULL);
	struct exchange_seen *seen = begin_slowly("/1.bin");
	site_get("/2.bin", 200, NULL);
	site_get("/0.bin", 200, NULL);
	file[3] = known("3.bin");
	assert_non_null(file[0]->copy);
	assert_null(file[1]->copy);
	assert_non_null(file[2]->copy);
	assert_non_null(file[3]->copy);
	assert_int_equal(copies->bytes, 9 * MB);
	assert_int_equal(copies->count, 3);
	site_fill("www/1.bin", 3 * MB, 'x');
	watch_drain(site.loopback->thread.watch);
	loopback_await(seen);
	assert_all(seen, 3 * MB, 'b');
	loopback_free(seen);
	copies->count_max = 2;
	site_fill("www/3.bin", 3 * MB, 'y');
	assert_all(site_get("/3.bin", 200, NULL), 3 * MB, 'y');
	assert_int_equal(copies->count, 2);
	assert_int_equal(copies->bytes, 6 * MB);
}

/* Each thread has its share, in which the largest has room. */
static void shares(void **state)
{
	(void)state;
	struct file_copies one = {0}, many = {0};
	file_copies_init(&one, 1, 4096);
	file_copies_init(&many, 1000, 8);
	assert_int_equal(one.bytes_max, 64 * MB);
	assert_int_equal(one.count_max, 1024);
	assert_int_equal(many.bytes_max, FILE_DIGEST_MAX);
	assert_int_equal(many.count_max, 2);
}

/* No memory for a copy: here no file may be written beyond so many octets. */
static void no_room_for_a_copy(void **state)
{
	(void)state;
	struct rlimit limit, before;
	site_fill("www/file.bin", 300000, 'a');
	site_start("root: www", true);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){100000, before.rlim_max};
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	struct file *file = known("file.bin");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, handler);
	assert_null(file->copy);
	assert_all(site_get("/file.bin", 200, NULL), 300000, 'a');
}

static void cache_goes_first(void **state)
{
	(void)state;
	site_fill("www/file.bin", MB, 'a');
	site_start("root: www", true);
	struct exchange_seen *seen = begin_slowly("/file.bin");
	loopback_free(seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SITE_TEST(written_while_sent),
		SITE_TEST(parts_of_a_copy),
		SITE_TEST(which_have_a_copy),
		SITE_TEST(written_and_dated_back),
		SITE_TEST(bounds),
		SITE_TEST(shares),
		SITE_TEST(no_room_for_a_copy),
		SITE_TEST(cache_goes_first),
	};
	return cmocka_run_group_tests_name("handlers/file_copy", tests, NULL, NULL);
}
