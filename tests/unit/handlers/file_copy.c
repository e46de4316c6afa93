/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies of files (handlers/file/file_copy.h): what is sent is one version, whatever happens to the file (DESIGN 3: "nothing is mixed"). */
#include "site.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define DAY   86400
#define MB    (1u << 20)
#define LARGE (FILE_DIGEST_MAX + 2 * MB)

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
	assert_all(site_get("/file.bin", 200, NULL), 100000, 'a');
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
	struct file_copy *copy = known("file.bin")->copy;
	struct file_entry *small = NULL;
	site_get("/small.txt", 200, NULL);
	small = container_of(
		site_cache()->shelves[SHELF_SMALL].entries.prev, struct file_entry, link);
	struct file *before = small->file;
	ref_get(&before->ref);
	assert_true(before->stamp.young);
	site_write("www/file.neighbour", "x", 1);
	site_write("www/small.neighbour", "x", 1);
	struct file *file = known("file.bin");
	assert_ptr_equal(file->copy, copy);
	assert_true(file->stamp.young);
	assert_false(site_at_once("/small.txt"));
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
	assert_null(known("too-large.bin")->copy);
	assert_non_null(known("least.bin")->copy);
	assert_non_null(known("most.bin")->copy);
	assert_non_null(known("large.bin")->copy);
	assert_non_null(known("old.bin")->copy);
	assert_non_null(known("old-large.bin")->copy);
	assert_non_null(known("future.bin")->copy);
}

/* The first time that it is written since long. */
static void old_one_written_while_sent(void **state)
{
	(void)state;
	site_fill("www/file.bin", MB, 'a');
	site_date("www/file.bin", 300 * DAY);
	site_start("root: www", true);
	struct exchange_seen *seen = site_begin_slowly("/file.bin");
	site_fill("www/file.bin", MB, 'b');
	loopback_await(seen);
	assert_all(seen, MB, 'a');
	loopback_free(seen);
	assert_all(site_get("/file.bin", 200, NULL), MB, 'b');
}

static void large_written_while_sent(void **state)
{
	(void)state;
	site_fill("www/file.bin", LARGE, 'a');
	site_start("root: www", true);
	struct exchange_seen *seen = site_begin_slowly("/file.bin");
	site_fill("www/file.bin", LARGE, 'b');
	loopback_await(seen);
	assert_all(seen, LARGE, 'a');
	loopback_free(seen);
	assert_all(site_get("/file.bin", 200, NULL), LARGE, 'b');
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
	struct file *file = known("file.bin");
	assert_non_null(file->copy);
	assert_true(file->stamp.young);
	assert_false(file->stamp.racy);
	map[LARGE - 1] = 'b';
	for (int i = 0; i < 3; i++) {
		file->copied_ms = site.loopback->loop.clock.monotonic_ms;
		site_write("www/file.neighbour", "x", 1); /* in the place of the event */
		file = known("file.bin");
		assert_null(file->copy);
		assert_int_equal(site_get("/file.bin", 200, NULL)->body.ptr[LARGE - 1], 'b');
	}
	assert_true(file->stamp.racy); /* so that it is looked at again though nothing happens */
	file->copied_ms = 1;
	site_sleep(1000);
	assert_non_null(known("file.bin")->copy);
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
	assert_null(known("file.bin")->copy);
	assert_non_null(known("other.bin")->copy);
}

/* What is to have no copy any more is not read again for one. */
static void becomes_small(void **state)
{
	(void)state;
	site_fill("www/file.bin", 40000, 'a');
	site_start("root: www", true);
	assert_non_null(known("file.bin")->copy);
	site_fill("www/file.new", 20000, 'b');
	site_rename("www/file.new", "www/file.bin");
	assert_all(site_get("/file.bin", 200, NULL), 20000, 'b');
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

/* And such a call, as a rule, is over before what was read is taken for a version. */
static void large_written_while_read(void **state)
{
	(void)state;
	site_start("root: www", true);
	bool late = true;
	for (int try = 0; late; try++) {
		struct timespec begin;
		assert_true(try < 100);
		site_fill("www/file.bin", LARGE, 'a');
		int fd = open(site_path("www/file.bin"), O_RDWR | O_CLOEXEC);
		char *map = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		assert_ptr_not_equal(map, MAP_FAILED);
		clock_gettime(CLOCK_MONOTONIC, &begin);
		map[0] = 'b';
		struct exchange_seen *seen =
			loopback_begin(site.loopback, "GET", "/file.bin", NULL);
		site_sleep(20);
		map[LARGE - 1] = 'b';
		site_write("www/file.neighbour", "x", 1); /* in the place of the event */
		late = ms_since(begin) > 40;
		loopback_await(seen);
		if (!late)
			assert_int_equal(seen->body.ptr[LARGE - 1], 'b');
		loopback_free(seen);
		munmap(map, LARGE);
		close(fd);
		site_remove("www/file.bin");
	}
}

/* To which is appended has no copy each time. */
static void large_written_all_the_time(void **state)
{
	(void)state;
	site_fill("www/file.bin", LARGE, 'a');
	site_start("root: www", true);
	struct file *file = known("file.bin");
	assert_non_null(file->copy);
	file->copied_ms = 1;
	site_fill("www/file.bin", LARGE, 'b');
	file = known("file.bin");
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
	struct file *file = known("file.bin");
	assert_int_equal(file->copy == NULL, cold);
	assert_true(file->copyable);
	assert_int_equal(memory_files_size(site_cache()->copies->memory) == 0, cold);
	assert_all(site_get("/file.bin", 200, NULL), LARGE, 'a');
	site_write("www/file.neighbour", "x", 1);
	assert_non_null(known("file.bin")->copy);
	close(fd);
}

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
	return known(name);
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
	struct file *guest = known("guest.bin");
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
	assert_all(seen, 3 * MB, 'b');
	loopback_free(seen);
	assert_all(site_get("/0.bin", 200, NULL), 3 * MB, 'a'); /* from the disk */
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
	struct file *other = known("other.bin");
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
		assert_all(seen[i], 3 * MB, 'a');
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
		size_t bytes, length;
	} of[] = {
		{1, 1000, 128 * MB, 16 * MB},
		{2, 32, 64 * MB, 16 * MB},
		{2, 31, 62 * MB, 62 * MB / 4},
		{6, 1000, 128 * MB / 6, 128 * MB / 24},
		{1000, 1000, FILE_DIGEST_MAX, FILE_DIGEST_MAX},
		{1, 1, FILE_DIGEST_MAX, FILE_DIGEST_MAX},
	};
	for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
		struct exchange_thread thread = {.threads = of[i].threads};
		struct file_copies *copies = file_copies_new(&thread, of[i].descriptors);
		assert_int_equal(copies->bytes_max, of[i].bytes);
		assert_int_equal(copies->length_max, of[i].length);
		ref_put(&copies->ref);
	}
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
	assert_all(seen, MB, 'a');
	loopback_free(seen);
	assert_all(site_get("/one.bin", 200, NULL), MB, 'b');
	assert_non_null(known("one.bin")->copy);
	assert_null(known("large.bin")->copy);
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
	struct file *file = known("file.bin");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	struct file *other = known("other.bin");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	struct file *next = known("next.bin");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, handler);
	assert_null(file->copy);
	assert_non_null(other->copy);
	assert_null(next->copy);
	assert_false(file_lacks_copy(site_cache()->copies, file));
	assert_false(file_lacks_copy(site_cache()->copies, next));
	assert_all(site_get("/file.bin", 200, NULL), 300000, 'a');
	assert_all(site_get("/other.bin", 200, NULL), 100000, 'b');
	assert_all(site_get("/next.bin", 200, NULL), 300000, 'c');
}

/* The cache, and its files, may go before what is sent of them. */
static void copy_is_the_last(void **state)
{
	(void)state;
	site_start("root: www", true);
	struct request *request = &site_ask("GET", "/", NULL)->request;
	struct file_copies *copies = file_copies_new(&site.loopback->thread, 1);
	struct file file = {.length = 3 * MB};
	struct memory_part part;
	assert_true(memory_take(copies->memory, 3 * MB, &part));
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
		SITE_TEST(large_written_while_read),
		SITE_TEST(large_written_all_the_time),
		SITE_TEST(large_and_not_in_memory),
		SITE_TEST(bounds),
		SITE_TEST(made_anew),
		SITE_TEST(refused),
		SITE_TEST(in_use),
		SITE_TEST(shares),
		SITE_TEST(given_back),
		SITE_TEST(several_names),
		SITE_TEST(no_room_for_a_copy),
		SITE_TEST(copy_is_the_last),
	};
	return cmocka_run_group_tests_name("handlers/file_copy", tests, NULL, NULL);
}
