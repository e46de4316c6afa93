/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory files: several contents each, what is sent of them stays what it was, and all goes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory_file.h"
#include "base/whole.h"

#define MB   ((size_t)1 << 20)
#define PAGE ((size_t)4096)

static struct memory_files *files;

static int begin(void **state)
{
	(void)state;
	files = memory_files_new(100 * MB);
	return 0;
}

static int end(void **state)
{
	(void)state;
	assert_int_equal(memory_files_size(files), 0);
	memory_files_reap(files, 4);
	assert_false(memory_files_left(files));
	memory_files_let(files);
	return 0;
}

static struct memory_part taken(size_t length)
{
	struct memory_part part;
	assert_true(memory_take(files, length, false, &part));
	assert_non_null(part.file);
	assert_int_equal(part.length, length);
	assert_int_equal(part.offset % PAGE, 0);
	return part;
}

static void fill(const struct memory_part *part, char octet)
{
	char *bytes = malloc(part->length);
	memset(bytes, octet, part->length);
	assert_true(memory_fill(part, 0, (struct slice){bytes, part->length}));
	free(bytes);
}

static void assert_holds(const struct memory_part *part, char octet)
{
	char *bytes = malloc(part->length);
	ssize_t n = whole_read_at(part->file->fd, bytes, part->length, (off_t)part->offset);
	assert_int_equal(n, part->length);
	for (size_t i = 0; i < part->length; i++)
		assert_int_equal(bytes[i], octet);
	free(bytes);
}

static void parts_share_a_file(void **state)
{
	(void)state;
	struct memory_part part[6];
	for (int i = 0; i < 6; i++) {
		part[i] = taken(300000);
		fill(&part[i], (char)('a' + i));
	}
	for (int i = 0; i < 6; i++) {
		assert_ptr_equal(part[i].file, part[0].file);
		assert_holds(&part[i], (char)('a' + i));
	}
	assert_int_equal(memory_file_parts(part[0].file), 6);
	assert_int_equal(memory_files_size(files), MEMORY_FILE_SIZE);
	struct memory_part next = taken(300000);
	assert_ptr_not_equal(next.file, part[0].file);
	assert_int_equal(memory_files_size(files), 2 * MEMORY_FILE_SIZE);
	memory_give(&next);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(memory_files_size(files), MEMORY_FILE_SIZE);
		memory_give(&part[i]);
		assert_null(part[i].file);
	}
}

static void exactly_full(void **state)
{
	(void)state;
	struct memory_part first = taken(MEMORY_FILE_SIZE - PAGE), last = taken(PAGE),
			   next = taken(1);
	fill(&first, 'a');
	fill(&last, 'b');
	assert_ptr_equal(first.file, last.file);
	assert_ptr_not_equal(next.file, last.file);
	assert_holds(&first, 'a');
	assert_holds(&last, 'b');
	memory_give(&first);
	memory_give(&last);
	memory_give(&next);
}

/* What is larger than one has one of its own, whose rest is for others; the one with more room is filled. */
static void large_ones(void **state)
{
	(void)state;
	struct memory_part small = taken(MB / 2), large = taken(5 * MB), half = taken(MB),
			   quarter = taken(MB / 4);
	fill(&large, 'l');
	assert_holds(&large, 'l');
	assert_int_equal(large.file->size, 6 * MB);
	assert_ptr_equal(small.file, half.file);
	assert_ptr_equal(small.file, quarter.file);
	struct memory_part other = taken(5 * MB);
	assert_ptr_not_equal(other.file, large.file);
	struct memory_part rest = taken(MB);
	assert_ptr_equal(rest.file, other.file);
	memory_give(&small);
	memory_give(&large);
	memory_give(&half);
	memory_give(&quarter);
	memory_give(&other);
	memory_give(&rest);
}

/* The bound is for all, and where there is room nothing is wanted. */
static void no_more_than_may_be(void **state)
{
	(void)state;
	struct memory_files *before = files;
	struct memory_part one, two, three;
	files = memory_files_new(2 * MEMORY_FILE_SIZE);
	assert_false(memory_take(files, 2 * MEMORY_FILE_SIZE + 1, false, &one));
	assert_false(memory_take(files, SIZE_MAX, false, &one));
	one = taken(MEMORY_FILE_SIZE + 1);
	assert_false(memory_take(files, MEMORY_FILE_SIZE, false, &two));
	assert_null(two.file);
	two = taken(MB);
	assert_ptr_equal(two.file, one.file);
	assert_false(memory_take(files, 1, true, &three));
	memory_give(&one);
	memory_give(&two);
	memory_files_reap(files, 4);
	one = taken(2 * MEMORY_FILE_SIZE);
	memory_give(&one);
	memory_files_let(files);
	files = before;
}

/* What goes soon does not stand between what stays. */
static void brief_ones_stand_apart(void **state)
{
	(void)state;
	struct memory_part stays = taken(1000), brief, other;
	assert_true(memory_take(files, 1000, true, &brief));
	assert_true(memory_take(files, 1000, true, &other));
	assert_ptr_not_equal(brief.file, stays.file);
	assert_ptr_equal(brief.file, other.file);
	memory_give(&brief);
	memory_give(&other);
	assert_int_equal(memory_files_size(files), MEMORY_FILE_SIZE);
	memory_give(&stays);
}

/* An octet in a socket holds a page: until the peer has taken it the file counts. */
static void sockets_hold_it(void **state)
{
	(void)state;
	struct memory_files *before = files;
	int fds[2];
	char octet = 0;
	files = memory_files_new(MEMORY_FILE_SIZE);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	struct memory_part part = taken(50000);
	fill(&part, 'a');
	off_t offset = (off_t)part.offset + 49999;
	assert_int_equal(sendfile(fds[0], part.file->fd, &offset, 1), 1);
	memory_give(&part);
	assert_int_equal(memory_files_size(files), 0);
	assert_true(memory_files_left(files));
	memory_files_reap(files, 4);
	assert_true(memory_files_left(files));
	for (int i = 0; i < 20; i++) /* it is not waited for each time */
		assert_false(memory_take(files, 1, false, &part));
	assert_int_equal(recv(fds[1], &octet, 1, 0), 1);
	assert_int_equal(octet, 'a');
	memory_files_reap(files, 4);
	assert_false(memory_files_left(files));
	part = taken(1);
	memory_give(&part);
	memory_files_let(files);
	files = before;
	close(fds[0]);
	close(fds[1]);
}

/* Only what was never sent is filled anew: what was waits in sockets. */
static void room_is_not_filled_twice(void **state)
{
	(void)state;
	struct memory_part stays = taken(100), sent = taken(100), unsent;
	size_t offset = sent.offset;
	memory_give(&sent);
	unsent = taken(100);
	assert_true(unsent.offset > offset);
	offset = unsent.offset;
	memory_untake(&unsent);
	assert_null(unsent.file);
	unsent = taken(MB);
	assert_int_equal(unsent.offset, offset);
	/* not where something follows */
	struct memory_part behind = taken(100);
	memory_untake(&unsent);
	sent = taken(100);
	assert_true(sent.offset > behind.offset);
	memory_give(&sent);
	memory_give(&behind);
	memory_give(&stays);
}

static void none_is_given_back(void **state)
{
	(void)state;
	struct memory_part none = {0};
	memory_give(&none);
	memory_untake(&none);
	memory_files_let(NULL);
}

/* Who owns them may go first. */
static void parts_outlive_the_owner(void **state)
{
	(void)state;
	struct memory_files *other = memory_files_new(100 * MB);
	struct memory_part part;
	assert_ptr_equal(memory_files_hold(other), other);
	memory_files_let(other);
	assert_true(memory_take(other, 1000, true, &part));
	memory_files_let(other);
	fill(&part, 'x');
	assert_holds(&part, 'x');
	memory_give(&part);
}

static void nothing_to_take(void **state)
{
	(void)state;
	struct rlimit before, none;
	struct memory_part part;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){0, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	bool taken_one = memory_take(files, 100, false, &part);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_false(taken_one);
	assert_null(part.file);
	/* no more memory: here no file may be larger than so much */
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = (struct rlimit){MB, before.rlim_max};
	part = taken(MB + 1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	bool filled = memory_fill(&part, MB, slice_of("x"));
	struct memory_part other;
	bool other_taken = memory_take(files, MB, false, &other);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, handler);
	assert_false(filled);
	assert_false(other_taken);
	memory_untake(&part);
}

static void *take_and_give(void *context)
{
	char octet = *(char *)context;
	struct memory_part part[4] = {0};
	for (unsigned i = 0; i < 400; i++) {
		struct memory_part *p = &part[i % 4];
		if (p->file) {
			char seen = 0;
			(void)!pread(p->file->fd, &seen, 1, (off_t)(p->offset + p->length - 1));
			if (seen != octet)
				return context;
		}
		if (i % 2)
			memory_files_reap(files, 4);
		if (i % 3)
			memory_give(p);
		else
			memory_untake(p);
		if (!memory_take(files, 50000 + i * 97, i % 2, p) ||
			!memory_fill(p, p->length - 1, (struct slice){&octet, 1}))
			return context;
	}
	for (unsigned i = 0; i < 4; i++)
		memory_give(&part[i]);
	return NULL;
}

static void many_threads(void **state)
{
	(void)state;
	pthread_t thread[4];
	char octet[4] = {'a', 'b', 'c', 'd'};
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, take_and_give, &octet[i]), 0);
	for (int i = 0; i < 4; i++) {
		void *fault;
		assert_int_equal(pthread_join(thread[i], &fault), 0);
		assert_null(fault);
	}
}

static void *take_some(void *context)
{
	struct memory_part *part = context;
	for (int i = 0; i < 20; i++)
		if (!memory_take(files, 40000, false, &part[i]))
			return context;
	return NULL;
}

/* Who wants room at once wants it in the same one. */
static void no_two_at_once(void **state)
{
	(void)state;
	pthread_t thread[4];
	static struct memory_part part[4][20];
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, take_some, part[i]), 0);
	for (int i = 0; i < 4; i++) {
		void *fault;
		assert_int_equal(pthread_join(thread[i], &fault), 0);
		assert_null(fault);
	}
	assert_int_equal(memory_files_size(files), 2 * MEMORY_FILE_SIZE); /* 51 fit into one */
	for (int i = 0; i < 80; i++)
		memory_give(&part[i / 20][i % 20]);
}

/* Where the kernel makes none. */
static void without_huge_pages(void **state)
{
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	parts_share_a_file(state);
	large_ones(state);
	sockets_hold_it(state);
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
}

#define FILES_TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILES_TEST(parts_share_a_file),
		FILES_TEST(exactly_full),
		FILES_TEST(large_ones),
		FILES_TEST(no_more_than_may_be),
		FILES_TEST(brief_ones_stand_apart),
		FILES_TEST(sockets_hold_it),
		FILES_TEST(room_is_not_filled_twice),
		FILES_TEST(none_is_given_back),
		FILES_TEST(parts_outlive_the_owner),
		FILES_TEST(nothing_to_take),
		FILES_TEST(many_threads),
		FILES_TEST(no_two_at_once),
		FILES_TEST(without_huge_pages),
	};
	return cmocka_run_group_tests_name("base/memory_file", tests, NULL, NULL);
}
