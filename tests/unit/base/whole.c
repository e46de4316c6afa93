/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading and writing to the end: pipes that give pieces, files, limits, faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/whole.h"

#define MUCH ((size_t)300000) /* more than a pipe holds */

static char octet(size_t at)
{
	return (char)(at * 7 + at / 256);
}

static struct buffer pattern(size_t length)
{
	struct buffer text = {0};
	buffer_reserve(&text, length);
	for (; text.len < length; text.len++)
		text.ptr[text.len] = octet(text.len);
	return text;
}

static int file_with(size_t length)
{
	struct buffer text = pattern(length);
	int fd = memfd_create("whole", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(whole_write(fd, (struct slice){text.ptr, text.len}), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	buffer_free(&text);
	return fd;
}

static void assert_pattern(const char *bytes, size_t from, size_t length)
{
	for (size_t i = 0; i < length; i++)
		assert_int_equal(bytes[i], octet(from + i));
}

static void *write_much(void *context)
{
	int *fd = context;
	struct buffer text = pattern(MUCH);
	int error = whole_write(*fd, (struct slice){text.ptr, text.len});
	close(*fd);
	buffer_free(&text);
	return (void *)(intptr_t)error;
}

static void pipe_is_written_and_read_in_pieces(void **state)
{
	int ends[2];
	pthread_t writer;
	void *error;
	struct buffer text = {0};
	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(pthread_create(&writer, NULL, write_much, &ends[1]), 0);
	buffer_append(&text, "before", 6);
	assert_int_equal(whole_read(ends[0], &text, MUCH), 0);
	pthread_join(writer, &error);
	assert_int_equal((intptr_t)error, 0);
	assert_int_equal(text.len, 6 + MUCH);
	assert_memory_equal(text.ptr, "before", 6);
	assert_pattern(text.ptr + 6, 0, MUCH);
	buffer_free(&text);
	close(ends[0]);
}

static void file_may_have_just_the_limit(void **state)
{
	static const size_t lengths[] = {0, 1, 64, 16383, 16384, 16385, 100000};
	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct buffer text = {0};
		int fd = file_with(lengths[i]);
		assert_int_equal(whole_read(fd, &text, lengths[i]), 0);
		assert_int_equal(text.len, lengths[i]);
		assert_pattern(text.ptr, 0, lengths[i]);
		buffer_free(&text);
		if (lengths[i] > 0) {
			assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
			assert_int_equal(whole_read(fd, &text, lengths[i] - 1), EFBIG);
			assert_int_equal(text.len, lengths[i]);
			buffer_free(&text);
		}
		close(fd);
	}
}

/* What grows leaves copies behind: a key is read into room that was made before. */
static void room_that_suffices_does_not_move(void **state)
{
	struct buffer text = {0};
	int fd = file_with(5000);
	(void)state;
	buffer_reserve(&text, 5001);
	const char *at = text.ptr;
	assert_int_equal(whole_read(fd, &text, 5000), 0);
	assert_ptr_equal(text.ptr, at);
	assert_int_equal(text.len, 5000);
	buffer_free(&text);
	close(fd);
}

static void part_of_a_file_ends_with_the_file(void **state)
{
	char part[64];
	int fd = file_with(100);
	(void)state;
	assert_int_equal(whole_read_at(fd, part, 64, 10), 64);
	assert_pattern(part, 10, 64);
	assert_int_equal(whole_read_at(fd, part, 64, 60), 40);
	assert_pattern(part, 60, 40);
	assert_int_equal(whole_read_at(fd, part, 64, 100), 0);
	close(fd);
}

static void faults_are_told(void **state)
{
	struct buffer text = {0};
	char part[4];
	int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)state;
	assert_true(folder >= 0);
	assert_int_equal(whole_read(folder, &text, 10), EISDIR);
	assert_int_equal(whole_read_at(folder, part, sizeof(part), 0), -1);
	assert_int_equal(errno, EISDIR);
	assert_int_equal(whole_write(folder, SLICE("text")), EBADF);
	assert_int_equal(whole_write(folder, SLICE("")), 0);
	buffer_free(&text);
	close(folder);
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(full >= 0);
	assert_int_equal(whole_write(full, SLICE("text")), ENOSPC);
	close(full);
}

static void assert_file(int folder, const char *path, const char *text)
{
	struct buffer found = {0};
	int fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(whole_read(fd, &found, 100), 0);
	assert_int_equal(found.len, strlen(text));
	assert_memory_equal(found.ptr, text, found.len);
	buffer_free(&found);
	close(fd);
}

static void file_is_replaced_in_one_step_or_not_at_all(void **state)
{
	char path[] = "/tmp/weir-whole-XXXXXX";
	(void)state;
	assert_non_null(mkdtemp(path));
	int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(folder >= 0);
	assert_int_equal(whole_replace(folder, "a", "a.new", SLICE("one"), 0600), 0);
	assert_file(folder, "a", "one");
	/* what was left half written is in nobody's way, and a link leads nowhere */
	assert_int_equal(symlinkat("a", folder, "a.new"), 0);
	int old = openat(folder, "a", O_RDONLY | O_CLOEXEC);
	assert_int_equal(whole_replace(folder, "a", "a.new", SLICE("two"), 0600), 0);
	assert_file(folder, "a", "two");
	struct buffer text = {0};
	assert_int_equal(whole_read(old, &text, 100), 0);
	assert_int_equal(text.len, 3);
	assert_memory_equal(text.ptr, "one", 3);
	buffer_free(&text);
	close(old);
	/* a folder cannot be replaced by a file: nothing is left of that */
	assert_int_equal(mkdirat(folder, "b", 0700), 0);
	assert_int_equal(whole_replace(folder, "b", "b.new", SLICE("three"), 0600), EISDIR);
	assert_int_equal(faccessat(folder, "b.new", F_OK, 0), -1);
	assert_int_equal(whole_replace(folder, "no/a", "no/a.new", SLICE("four"), 0600), ENOENT);
	unlinkat(folder, "a", 0);
	unlinkat(folder, "b", AT_REMOVEDIR);
	close(folder);
	assert_int_equal(rmdir(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pipe_is_written_and_read_in_pieces),
		cmocka_unit_test(file_may_have_just_the_limit),
		cmocka_unit_test(room_that_suffices_does_not_move),
		cmocka_unit_test(part_of_a_file_ends_with_the_file),
		cmocka_unit_test(faults_are_told),
		cmocka_unit_test(file_is_replaced_in_one_step_or_not_at_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
