/* SPDX-License-Identifier: BSD-2-Clause */
/* Keepsakes (DESIGN §4): named, sealed, held. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/keepsake.h"

static void test_what_was_made_cannot_be_changed(void **state)
{
	(void)state;
	int fd = keepsake_make("test", SLICE("some text"));
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "X", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 1), -1);
	assert_int_equal(ftruncate(fd, 100), -1);
	assert_ptr_equal(mmap(NULL, 9, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	struct slice bytes = keepsake_map(fd);
	assert_true(slice_equal(bytes, SLICE("some text")));
	keepsake_unmap(bytes);
	close(fd);
}

static void test_an_empty_one_is_empty_and_no_error(void **state)
{
	(void)state;
	int fd = keepsake_make("test", SLICE(""));
	struct slice bytes = keepsake_map(fd);
	assert_non_null(bytes.ptr);
	assert_int_equal(bytes.len, 0);
	keepsake_unmap(bytes);
	close(fd);
	assert_null(keepsake_map(-1).ptr);
}

static void test_a_shared_one_is_written_but_keeps_its_size(void **state)
{
	(void)state;
	int fd = keepsake_share("test", 4096);
	assert_int_equal(pwrite(fd, "X", 1, 4095), 1);
	assert_int_equal(pwrite(fd, "X", 1, 4096), -1);
	assert_int_equal(ftruncate(fd, 1), -1);
	close(fd);
}

static void test_what_others_made_is_sound_or_not(void **state)
{
	(void)state;
	int fd = keepsake_make("test", SLICE("0123456789"));
	assert_true(keepsake_is_sound(fd, 10));
	assert_false(keepsake_is_sound(fd, 9));
	close(fd);
	fd = keepsake_share("test", 10); /* it can be written to */
	assert_false(keepsake_is_sound(fd, 10));
	close(fd);
	fd = memfd_create("test", MFD_ALLOW_SEALING); /* it holds more than it shows */
	assert_int_equal(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK), 0);
	assert_false(keepsake_is_sound(fd, 10));
	assert_true(keepsake_is_sound(fd, 1 << 20));
	close(fd);
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	assert_false(keepsake_is_sound(ends[0], 10));
	close(ends[0]);
	close(ends[1]);
}

static void test_one_of_the_same_name_replaces_the_other(void **state)
{
	struct keepsakes set = {0}, other = {0};
	(void)state;
	int first = keepsake_make("a", SLICE("1")), second = keepsake_make("a", SLICE("2"));
	assert_int_equal(keepsakes_put(&set, "a", first), 0);
	assert_int_equal(keepsakes_put(&other, "a", second), 0);
	assert_int_equal(keepsakes_find(&set, "a"), first);
	assert_int_equal(keepsakes_find(&set, "b"), -1);
	keepsakes_move(&set, &other);
	assert_int_equal(keepsakes_find(&set, "a"), second);
	assert_int_equal(keepsakes_find(&other, "a"), -1);
	assert_int_equal(fcntl(first, F_GETFD), -1);
	keepsakes_clear(&set);
	assert_int_equal(fcntl(second, F_GETFD), -1);
}

static void test_no_more_than_fit_and_no_name_too_long(void **state)
{
	struct keepsakes set = {0};
	char name[KEEPSAKE_NAME_MAX + 1];
	(void)state;
	memset(name, 'n', KEEPSAKE_NAME_MAX);
	name[KEEPSAKE_NAME_MAX] = 0;
	assert_int_equal(keepsakes_put(&set, name, dup(1)), -1);
	assert_int_equal(keepsakes_put(&set, "", dup(1)), -1);
	for (int i = 0; i < KEEPSAKES_MAX; i++) {
		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(keepsakes_put(&set, name, dup(1)), 0);
	}
	assert_int_equal(keepsakes_put(&set, "more", dup(1)), -1);
	assert_int_equal(keepsakes_put(&set, "0", dup(1)), 0);
	keepsakes_clear(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_made_cannot_be_changed),
		cmocka_unit_test(test_an_empty_one_is_empty_and_no_error),
		cmocka_unit_test(test_a_shared_one_is_written_but_keeps_its_size),
		cmocka_unit_test(test_what_others_made_is_sound_or_not),
		cmocka_unit_test(test_one_of_the_same_name_replaces_the_other),
		cmocka_unit_test(test_no_more_than_fit_and_no_name_too_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
