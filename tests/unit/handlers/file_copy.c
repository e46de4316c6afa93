/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies of files (handlers/file/file_copy.h): what is sent is one version, whatever happens to the file (DESIGN 3: "nothing is mixed"). */
#include "site.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define DAY   86400
#define MB    (1u << 20)
#define LARGE (FILE_DIGEST_MAX + 2 * MB)

static void written_while_sent(void **state)
{
	(void)state;
	site_fill("www/file.bin", 3 * MB, 'a');
	site_start("root: www", true);
	for (int how = 0; how < 3; how++) {
		struct exchange_seen *seen = site_begin_slowly("/file.bin");
		char before = (char)('a' + how), next = (char)('b' + how);
		if (how < 2)
			site_fill("www/file.bin", 3 * MB, next);
		else
			assert_int_equal(truncate(site_path("www/file.bin"), 0), 0);
		watch_drain(site.loopback->thread.watch);
		loopback_await(seen);
		site_assert_all(seen, 3 * MB, before);
		loopback_free(seen);
		if (how < 2)
			site_assert_all(site_get("/file.bin", 200, NULL), 3 * MB, next);
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
	assert_non_null(site_file("file.bin")->copy);
	struct exchange_seen *seen = site_ask("GET", "/file.bin", "Range: bytes=33333-39998\n");
	assert_int_equal(seen->body.len, 6666);
	assert_memory_equal(seen->body.ptr, content + 33333, 6666);
	seen = site_ask("GET", "/file.bin", "Range: bytes=-1\n");
	assert_int_equal(seen->body.len, 1);
	assert_int_equal(seen->body.ptr[0], content[39999]);
}

/* A call that writes notes the file's time as it begins, and may last; here it is a mapping, of whose later writes no time tells. The event of
 * its end comes, and the file is read again. */
static void written_longer_than_read(void **state)
{
	(void)state;
	site_fill("www/file.bin", 100000, 'a');
	int fd = open(site_path("www/file.bin"), O_RDWR | O_CLOEXEC);
	char *map = mmap(NULL, 100000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	memset(map, 'a', 100000);
	site_start("root: www", true);
	site_sleep(100); /* so that its time would tell of another write */
	site_assert_all(site_get("/file.bin", 200, NULL), 100000, 'a');
	memset(map + 50000, 'b', 50000);
	site_write("www/file.neighbour", "x", 1); /* in the place of the event */
	struct exchange_seen *seen = site_get("/file.bin", 200, NULL);
	assert_int_equal(seen->body.ptr[49999], 'a');
	assert_int_equal(seen->body.ptr[50000], 'b');
	munmap(map, 100000);
	close(fd);
}

/* And where it is the same, what is known of it stands. */
static void young_and_the_same(void **state)
{
	(void)state;
	site_fill("www/file.bin", 100000, 'a');
	site_fill("www/small.txt", 100, 'a');
	site_start("root: www", true);
	site_sleep(100);
	struct file_copy *copy = site_file("file.bin")->copy;
	struct file_entry *small = NULL;
	site_get("/small.txt", 200, NULL);
	small = container_of(
		site_cache()->shelves[SHELF_SMALL].entries.prev, struct file_entry, link);
	struct file *before = small->file;
	ref_get(&before->ref);
	assert_true(before->stamp.young);
	site_write("www/file.neighbour", "x", 1);
	site_write("www/small.neighbour", "x", 1);
	struct file *file = site_file("file.bin");
	assert_ptr_equal(file->copy, copy);
	assert_true(file->stamp.young);
	assert_false(file_entry_fresh(site_cache(), small));
	site_get("/small.txt", 200, NULL);
	assert_true(file_entry_fresh(site_cache(), small));
	assert_ptr_equal(small->file, before);
	ref_put(&before->ref);
}

/* Small ones stand in memory, for the largest there is no room. */
static void which_have_a_copy(void **state)
{
	(void)state;
	site_fill("www/least.bin", FILE_SMALL_MAX + 1, 'a');
	site_fill("www/most.bin", FILE_DIGEST_MAX, 'a');
	site_fill("www/large.bin", FILE_DIGEST_MAX + 1, 'a');
	site_fill("www/old.bin", 100000, 'a');
	site_date("www/old.bin", 300 * DAY);
	site_fill("www/old-large.bin", FILE_DIGEST_MAX + 1, 'a');
	site_date("www/old-large.bin", 300 * DAY);
	site_fill("www/future.bin", 100000, 'a');
	site_date("www/future.bin", -10 * DAY);
	site_fill("www/too-large.bin", FILE_DIGEST_MAX + 2, 'a');
	site_start("root: www", true);
	site_cache()->copies->length_max = FILE_DIGEST_MAX + 1;
	assert_null(site_file("too-large.bin")->copy);
	assert_non_null(site_file("least.bin")->copy);
	assert_non_null(site_file("most.bin")->copy);
	assert_non_null(site_file("large.bin")->copy);
	assert_non_null(site_file("old.bin")->copy);
	assert_non_null(site_file("old-large.bin")->copy);
	assert_non_null(site_file("future.bin")->copy);
}

static void overwritten_while_sent(size_t length, long ago)
{
	site_fill("www/file.bin", length, 'a');
	site_date("www/file.bin", ago);
	site_start("root: www", true);
	struct exchange_seen *seen = site_begin_slowly("/file.bin");
	site_fill("www/file.bin", length, 'b');
	loopback_await(seen);
	site_assert_all(seen, length, 'a');
	loopback_free(seen);
	site_assert_all(site_get("/file.bin", 200, NULL), length, 'b');
}

/* The first time that it is written since long. */
static void old_one_written_while_sent(void **state)
{
	(void)state;
	overwritten_while_sent(MB, 300 * DAY);
}

static void large_written_while_sent(void **state)
{
	(void)state;
	overwritten_while_sent(LARGE, 0);
}

/* The tag of a large one does not tell what a call that lasts wrote behind the look: as long as there may be one it is read again. But it is not
 * copied each time that something happens nearby. */
static void large_written_longer_than_read(void **state)
{
	(void)state;
	site_fill("www/file.bin", LARGE, 'a');
	int fd = open(site_path("www/file.bin"), O_RDWR | O_CLOEXEC);
	char *map = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	memset(map, 'a', LARGE);
	site_start("root: www", true);
	site_sleep(1100); /* its tag is strong */
	struct file *file = site_file("file.bin");
	assert_non_null(file->copy);
	assert_true(file->stamp.young);
	assert_false(file->stamp.racy);
	map[LARGE - 1] = 'b';
	for (int i = 0; i < 3; i++) {
		file->copied_ms = site.loopback->loop.clock.monotonic_ms;
		site_write("www/file.neighbour", "x", 1); /* in the place of the event */
		file = site_file("file.bin");
		assert_null(file->copy);
		assert_int_equal(site_get("/file.bin", 200, NULL)->body.ptr[LARGE - 1], 'b');
	}
	assert_true(file->stamp.racy); /* so that it is looked at again though nothing happens */
	file->copied_ms = 1;
	site_sleep(1000);
	assert_non_null(site_file("file.bin")->copy);
	assert_int_equal(site_get("/file.bin", 200, NULL)->body.ptr[LARGE - 1], 'b');
	munmap(map, LARGE);
	close(fd);
}

/* Where no event would tell that such a call is over. */
static void large_and_by_time(void **state)
{
	(void)state;
	site_fill("www/file.bin", LARGE, 'a');
	site_fill("www/other.bin", FILE_DIGEST_MAX, 'a');
	site_start("root: www", false);
	site_sleep(100);
	assert_null(site_file("file.bin")->copy);
	assert_non_null(site_file("other.bin")->copy);
}

/* What is to have no copy any more is not read again for one. */
static void becomes_small(void **state)
{
	(void)state;
	site_fill("www/file.bin", 40000, 'a');
	site_start("root: www", true);
	assert_non_null(site_file("file.bin")->copy);
	site_fill("www/file.new", 20000, 'b');
	site_rename("www/file.new", "www/file.bin");
	site_assert_all(site_get("/file.bin", 200, NULL), 20000, 'b');
	struct file_entry *entry = container_of(
		site_cache()->shelves[SHELF_SMALL].entries.prev, struct file_entry, link);
	assert_false(file_lacks_copy(site_cache()->copies, entry->file));
}

static long ms_since(struct timespec then)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - then.tv_sec) * 1000 + (now.tv_nsec - then.tv_nsec) / 1000000;
}

/* And such a call, as a rule, is over before what was read is taken for a version: it is waited for longer where it may have more to write. */
static void write_while_it_is_read(size_t length, long lasts_ms, long waits_ms)
{
	bool late = true;
	for (int try = 0; late; try++) {
		struct timespec begin;
		char name[64], *target = name + strlen("www");
		snprintf(name, sizeof name, "www/%zu-%d.bin", length, try);
		assert_true(try < 100);
		site_fill(name, length, 'a');
		int fd = open(site_path(name), O_RDWR | O_CLOEXEC);
		char *map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		assert_ptr_not_equal(map, MAP_FAILED);
		clock_gettime(CLOCK_MONOTONIC, &begin);
		map[0] = 'b';
		struct exchange_seen *seen = loopback_begin(site.loopback, "GET", target, NULL);
		site_sleep(lasts_ms);
		map[length - 1] = 'b';
		char neighbour[80];
		snprintf(neighbour, sizeof neighbour, "www/%zu-%d.neighbour", length, try);
		site_write(neighbour, "x", 1); /* in the place of the event */
		late = ms_since(begin) >= waits_ms;
		loopback_await(seen);
		if (!late)
			assert_int_equal(seen->body.ptr[length - 1], 'b');
		loopback_free(seen);
		munmap(map, length);
		close(fd);
		site_remove(name);
	}
}

static void written_while_read(void **state)
{
	(void)state;
	site_start("root: www", true);
	write_while_it_is_read(100000, 3, 6);
	write_while_it_is_read(3 * MB, 8, 18);
	write_while_it_is_read(LARGE, 20, 31);
}

/* To which is appended has no copy each time. */
static void large_written_all_the_time(void **state)
{
	(void)state;
	site_fill("www/file.bin", LARGE, 'a');
	site_start("root: www", true);
	struct file *file = site_file("file.bin");
	assert_non_null(file->copy);
	file->copied_ms = 1;
	site_fill("www/file.bin", LARGE, 'b');
	file = site_file("file.bin");
	assert_null(file->copy);
	assert_true(file->guarded);
	assert_false(file->stamp.young);
}

/* No disk is read for a copy that no tag asks for: it is made when the file was looked at again, and is in memory. */
static void large_and_not_in_memory(void **state)
{
	(void)state;
	char octet;
	struct iovec iov = {&octet, 1};
	site_fill("www/file.bin", LARGE, 'a');
	site_date("www/file.bin", DAY);
	int fd = open(site_path("www/file.bin"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(fdatasync(fd), 0);
	site_start("root: www", true);
	site_sleep(1100); /* it is not looked at again for its tag */
	assert_int_equal(posix_fadvise(fd, LARGE / 2, 0, POSIX_FADV_DONTNEED), 0);
	bool cold = preadv2(fd, &iov, 1, LARGE - 1, RWF_NOWAIT) < 0 && errno == EAGAIN;
	struct file *file = site_file("file.bin");
	/* who asks for what is not in memory without a wait has it read ahead: then it may be there, after all */
	bool none = file->copy == NULL;
	assert_true(cold || !none);
	assert_true(file->copyable);
	assert_int_equal(memory_files_size(site_cache()->copies->memory) == 0, none);
	site_assert_all(site_get("/file.bin", 200, NULL), LARGE, 'a');
	site_write("www/file.neighbour", "x", 1);
	assert_non_null(site_file("file.bin")->copy);
	close(fd);
}

/* Who has other names is written without an event for the one that was asked for; the next request sees it all the same. A large one has no
 * copy: nothing would tell that a call which lasts is over. */
static void several_names(void **state)
{
	(void)state;
	site_fill("www/one.bin", MB, 'a');
	site_fill("www/large.bin", LARGE, 'a');
	site_folder("elsewhere");
	assert_int_equal(link(site_path("www/one.bin"), site_path("elsewhere/one.bin")), 0);
	assert_int_equal(link(site_path("www/large.bin"), site_path("elsewhere/large.bin")), 0);
	site_start("root: www", true);
	struct exchange_seen *seen = site_begin_slowly("/one.bin");
	site_fill("elsewhere/one.bin", MB, 'b');
	loopback_await(seen);
	site_assert_all(seen, MB, 'a');
	loopback_free(seen);
	site_assert_all(site_get("/one.bin", 200, NULL), MB, 'b');
	assert_non_null(site_file("one.bin")->copy);
	assert_null(site_file("large.bin")->copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SITE_TEST(written_while_sent),
		SITE_TEST(parts_of_a_copy),
		SITE_TEST(written_longer_than_read),
		SITE_TEST(young_and_the_same),
		SITE_TEST(which_have_a_copy),
		SITE_TEST(old_one_written_while_sent),
		SITE_TEST(large_written_while_sent),
		SITE_TEST(large_written_longer_than_read),
		SITE_TEST(large_and_by_time),
		SITE_TEST(becomes_small),
		SITE_TEST(written_while_read),
		SITE_TEST(large_written_all_the_time),
		SITE_TEST(large_and_not_in_memory),
		SITE_TEST(several_names),
	};
	return cmocka_run_group_tests_name("handlers/file_copy", tests, NULL, NULL);
}
