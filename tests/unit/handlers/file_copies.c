/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies of files (handlers/file/file_copy.h): how much memory they have, and who has it. */
#include "site.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define DAY 86400
#define MB  (1u << 20)

static void make(int number)
{
	char path[32];
	snprintf(path, sizeof path, "www/%d.bin", number);
	site_fill(path, 3 * MB, (char)('a' + number));
}

static struct file *asked_for(int number)
{
	char name[32];
	snprintf(name, sizeof name, "%d.bin", number);
	return site_file(name);
}

/* The memory files of which something was sent longest ago make room, but for those of which something is being sent. */
static void bounds(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		make(i);
	site_fill("www/guest.bin", 100000, 'x');
	site_start("root: www", true);
	site_sleep(100); /* so that none is looked at twice */
	struct file_copies *copies = site_cache()->copies;
	copies->bytes_max = 12 * MB;
	struct file *file[5];
	for (int i = 0; i < 3; i++)
		file[i] = asked_for(i); /* 4 MB each, with the rest */
	struct file *guest = site_file("guest.bin");
	assert_non_null(guest->copy);
	assert_int_equal(memory_files_size(copies->memory), 12 * MB);
	struct exchange_seen *seen = site_begin_slowly("/1.bin");
	site_get("/2.bin", 200, NULL);
	site_get("/guest.bin", 200, NULL); /* with it the first one is used */
	file[3] = asked_for(3);
	assert_non_null(file[0]->copy);
	assert_non_null(guest->copy);
	assert_non_null(file[1]->copy);
	assert_null(file[2]->copy);
	assert_non_null(file[3]->copy);
	copies->bytes_max = 8 * MB;
	file[4] = asked_for(4);
	assert_null(file[0]->copy);
	assert_null(guest->copy);
	assert_null(file[3]->copy);
	assert_non_null(file[4]->copy);
	assert_int_equal(memory_files_size(copies->memory), 8 * MB);
	loopback_await(seen);
	site_assert_all(seen, 3 * MB, 'b');
	loopback_free(seen);
	site_assert_all(site_get("/0.bin", 200, NULL), 3 * MB, 'a'); /* from the disk */
}

/* Who lost his copy, or got none, has one made when he is looked at again and there is room. */
static void made_anew(void **state)
{
	(void)state;
	make(0);
	site_start("root: www", true);
	site_sleep(100);
	struct file_copies *copies = site_cache()->copies;
	copies->bytes_max = MB;
	assert_null(asked_for(0)->copy);
	copies->bytes_max = 4 * MB;
	assert_null(asked_for(0)->copy);
	site_write("www/0.neighbour", "x", 1);
	assert_non_null(asked_for(0)->copy);
}

/* Where all that could make room would not be enough it stays. */
static void refused(void **state)
{
	(void)state;
	make(0);
	make(1);
	site_fill("www/other.bin", 100000, 'x');
	site_start("root: www", true);
	site_sleep(100);
	struct file_copies *copies = site_cache()->copies;
	copies->bytes_max = 6 * MB;
	struct file *other = site_file("other.bin");
	assert_non_null(asked_for(0)->copy);
	struct exchange_seen *seen = site_begin_slowly("/0.bin");
	assert_null(asked_for(1)->copy);
	assert_non_null(other->copy);
	loopback_await(seen);
	loopback_free(seen);
}

/* What is being sent counts until it is sent, also of versions that are no more: slow readers of many do not fill the memory. */
static void in_use(void **state)
{
	(void)state;
	site_start("root: www", true);
	struct file_copies *copies = site_cache()->copies;
	copies->bytes_max = 8 * MB;
	struct exchange_seen *seen[3];
	for (int i = 0; i < 3; i++) {
		make(0);
		struct file *file = asked_for(0);
		assert_int_equal(file->copy != NULL, i < 2);
		assert_int_equal(memory_files_size(copies->memory), (i < 2 ? i + 1 : 2) * 4 * MB);
		seen[i] = site_begin_slowly("/0.bin");
	}
	for (int i = 0; i < 3; i++) {
		loopback_await(seen[i]);
		site_assert_all(seen[i], 3 * MB, 'a');
		loopback_free(seen[i]);
	}
	assert_int_equal(memory_files_size(copies->memory), 0);
	make(0);
	assert_non_null(asked_for(0)->copy);
}

/* Each thread has its share, in which the largest that is read for its tag has room. */
static void shares(void **state)
{
	(void)state;
	static const struct {
		unsigned threads, descriptors;
		uint64_t memory;
		size_t bytes, length;
	} of[] = {
		{1, 1000, 0, 128 * MB, 16 * MB},
		{1, 1000, 1ull << 50, 128 * MB, 16 * MB},
		{1, 1000, 800 * MB, 100 * MB, 16 * MB},
		{2, 1000, 100 * MB, 100 * MB / 16, FILE_DIGEST_MAX},
		{1, 1000, 10 * MB, FILE_DIGEST_MAX, FILE_DIGEST_MAX},
		{2, 32, 0, 64 * MB, 16 * MB},
		{2, 31, 0, 62 * MB, 62 * MB / 4},
		{6, 1000, 0, 128 * MB / 6, 128 * MB / 24},
		{1000, 1000, 0, FILE_DIGEST_MAX, FILE_DIGEST_MAX},
		{1, 1, 0, FILE_DIGEST_MAX, FILE_DIGEST_MAX},
	};
	for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
		struct exchange_thread thread = {.threads = of[i].threads};
		struct file_copies *copies =
			file_copies_new(&thread, of[i].descriptors, of[i].memory);
		assert_int_equal(copies->bytes_max, of[i].bytes);
		assert_int_equal(copies->length_max, of[i].length);
		ref_put(&copies->ref);
	}
}

/* Let nothing have been used for so long. */
static void let_pass(uint64_t ms)
{
	list_each (link, &site_cache()->copies->list)
		container_of(link, struct memory_file, link)->again_ms -= ms;
}

/* What was not written of late takes no room from what was used just now, be it only once: a crawler must not undo what others need. Who lost a
 * copy has it back when others are not used any more. */
static void old_ones_wait_for_room(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		make(i);
	site_date("www/2.bin", 300 * DAY);
	site_date("www/3.bin", 300 * DAY);
	site_start("root: www", true);
	site_sleep(100);
	site_cache()->copies->bytes_max = 8 * MB;
	struct file *file[4];
	for (int i = 0; i < 2; i++)
		file[i] = asked_for(i);
	for (int i = 0; i < 2; i++)
		site_get(i ? "/1.bin" : "/0.bin", 200, NULL);
	file[2] = asked_for(2);
	assert_non_null(file[0]->copy);
	assert_non_null(file[1]->copy);
	assert_null(file[2]->copy);
	assert_true(file[2]->copyable);
	assert_false(file_lacks_copy(site_cache()->copies, file[2]));
	let_pass(10000);
	site_get("/1.bin", 200, NULL);
	file[3] = asked_for(3);
	assert_null(file[0]->copy);
	assert_non_null(file[1]->copy);
	assert_non_null(file[3]->copy);
	/* what was written of late need not wait */
	site_write("www/0.neighbour", "x", 1);
	file[0] = asked_for(0);
	assert_non_null(file[0]->copy);
	assert_null(file[1]->copy);
	assert_non_null(file[3]->copy);
	let_pass(10000);
	site_write("www/2.neighbour", "x", 1);
	assert_non_null(asked_for(2)->copy);
}

/* What changes again and again does not keep the room of its versions with what stays. */
static void changing_ones_stand_apart(void **state)
{
	(void)state;
	site_start("root: www", true);
	for (int i = 0; i < 60; i++) {
		char name[32];
		snprintf(name, sizeof name, "www/%d.bin", i);
		site_fill(name, 40000, 'x');
		site_file(name + 4);
		for (int version = 0; version < 4; version++) {
			site_fill("www/changes.new", 100000, (char)('a' + version));
			site_rename("www/changes.new", "www/changes.bin");
			site_file("changes.bin");
		}
	}
	assert_true(memory_files_size(site_cache()->copies->memory) <= 8 * MB);
}

/* What nobody asks for, and what a worker has that takes no more connections, goes back to the system. */
static void given_back(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		make(i);
	site_start("root: www", true);
	site_sleep(100);
	struct file_cache *cache = site_cache();
	cache->sweep_s = 0.02;
	assert_non_null(asked_for(0)->copy);
	cache->idle_ms = 100;
	while (memory_files_size(cache->copies->memory) > 0)
		loopback_turn(site.loopback);
	assert_int_equal(site_known(SHELF_OPEN), 0);
	cache->idle_ms = 60000;
	assert_non_null(asked_for(1)->copy);
	site.loopback->thread.draining = true;
	while (memory_files_size(cache->copies->memory) > 0)
		loopback_turn(site.loopback);
	assert_null(asked_for(2)->copy);
	assert_false(file_lacks_copy(cache->copies, asked_for(1)));
}

/* No memory for a copy, or not for all of it: here no file may be written beyond so many octets. */
static void no_room_for_a_copy(void **state)
{
	(void)state;
	struct rlimit limit, before;
	site_fill("www/file.bin", 300000, 'a');
	site_fill("www/other.bin", 100000, 'b');
	site_fill("www/next.bin", 300000, 'c');
	site_start("root: www", true);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){250000, before.rlim_max};
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	struct file *file = site_file("file.bin");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	struct file *other = site_file("other.bin");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	struct file *next = site_file("next.bin");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, handler);
	assert_null(file->copy);
	assert_non_null(other->copy);
	assert_null(next->copy);
	assert_true(next->copyable);
	assert_true(file_lacks_copy(site_cache()->copies, file));
	site_assert_all(site_get("/file.bin", 200, NULL), 300000, 'a');
	site_assert_all(site_get("/other.bin", 200, NULL), 100000, 'b');
	site_assert_all(site_get("/next.bin", 200, NULL), 300000, 'c');
}

/* The cache, and its files, may go before what is sent of them. */
static void copy_is_the_last(void **state)
{
	(void)state;
	site_start("root: www", true);
	struct request *request = &site_ask("GET", "/", NULL)->request;
	struct file_copies *copies = file_copies_new(&site.loopback->thread, 1, 0);
	struct file file = {.length = 3 * MB};
	struct memory_part part;
	assert_true(memory_take(copies->memory, 3 * MB, false, &part));
	file_copies_add(copies, &file, &part);
	assert_null(part.file);
	struct source *body = file_copy_body(request, &file, 0, 3 * MB);
	struct chunks queue;
	chunks_init(&queue);
	assert_int_equal(body->ops->pull(body, &queue, 1), PULL_MORE);
	file_copies_clear(copies);
	assert_null(file.copy);
	ref_put(&copies->ref);
	assert_int_equal(body->ops->pull(body, &queue, 1), PULL_END);
	source_cancel(&body);
	char octet;
	assert_int_equal(pread(queue.first->fd, &octet, 1, 0), 1);
	assert_int_equal(queue.length, 3 * MB);
	chunks_clear(&queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SITE_TEST(bounds),
		SITE_TEST(made_anew),
		SITE_TEST(refused),
		SITE_TEST(in_use),
		SITE_TEST(shares),
		SITE_TEST(old_ones_wait_for_room),
		SITE_TEST(changing_ones_stand_apart),
		SITE_TEST(given_back),
		SITE_TEST(no_room_for_a_copy),
		SITE_TEST(copy_is_the_last),
	};
	return cmocka_run_group_tests_name("handlers/file_copies", tests, NULL, NULL);
}
