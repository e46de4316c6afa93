/* SPDX-License-Identifier: BSD-2-Clause */
/* The sockets that the supervisor keeps (DESIGN §4): those of a worker that failed leave no trace, unused ones are closed. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/sockets.h"

static int two_fds(int fds[2])
{
	fds[0] = dup(1);
	fds[1] = dup(1);
	return fds[0];
}

static int is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

static void test_a_failed_worker_leaves_nothing(void **state)
{
	struct sockets set;
	int fds[2];
	(void)state;
	sockets_init(&set);
	two_fds(fds);
	assert_int_equal(sockets_keep(&set, "a", fds, 2, 3), 0);
	assert_non_null(sockets_use(&set, "a", 3));
	sockets_forget(&set, 3);
	assert_null(sockets_use(&set, "a", 4));
	assert_false(is_open(fds[0]) || is_open(fds[1]));
}

static void test_a_ready_worker_leaves_its_sockets_when_it_dies(void **state)
{
	struct sockets set;
	int fds[2];
	(void)state;
	sockets_init(&set);
	two_fds(fds);
	sockets_keep(&set, "a", fds, 2, 3);
	sockets_commit(&set, 3);
	sockets_forget(&set, 3);
	struct kept_address *address = sockets_use(&set, "a", 4);
	assert_non_null(address);
	assert_int_equal(address->count, 2);
	assert_int_equal(address->sockets[1].fd, fds[1]);
	sockets_close(&set);
	assert_false(is_open(fds[0]) || is_open(fds[1]));
}

static void test_what_a_failed_worker_added_to_a_kept_address_goes(void **state)
{
	struct sockets set;
	int first[2], more[2];
	(void)state;
	sockets_init(&set);
	two_fds(first);
	two_fds(more);
	sockets_keep(&set, "a", first, 2, 0);
	sockets_commit(&set, 0);
	sockets_keep(&set, "a", more, 2, 1);
	sockets_forget(&set, 1);
	assert_int_equal(sockets_use(&set, "a", 2)->count, 2);
	assert_true(is_open(first[0]));
	assert_false(is_open(more[0]));
	sockets_close(&set);
}

static void test_unused_addresses_are_closed_and_named(void **state)
{
	struct sockets set;
	struct buffer removed = {0};
	int a[2], b[2], c[2];
	(void)state;
	sockets_init(&set);
	sockets_keep(&set, "a", (two_fds(a), a), 2, 0);
	sockets_keep(&set, "b", (two_fds(b), b), 2, 0);
	sockets_keep(&set, "c", (two_fds(c), c), 2, 0);
	sockets_commit(&set, 0);
	sockets_use(&set, "b", 1);
	sockets_close_unused(&set, 1u << 1, &removed);
	assert_true(slice_equal((struct slice){removed.ptr, removed.len}, SLICE("a\0c\0")));
	assert_false(is_open(a[0]) || is_open(c[1]));
	assert_true(is_open(b[0]));
	buffer_free(&removed);
	sockets_close(&set);
}

static void test_too_many_are_refused(void **state)
{
	struct sockets set;
	int fds[2];
	(void)state;
	sockets_init(&set);
	for (int i = 0; i < SOCKETS_EACH_MAX / 2; i++)
		assert_int_equal(sockets_keep(&set, "a", (two_fds(fds), fds), 2, 0), 0);
	assert_int_equal(sockets_keep(&set, "a", (two_fds(fds), fds), 2, 0), -1);
	assert_false(is_open(fds[0]) || is_open(fds[1]));
	sockets_close(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_failed_worker_leaves_nothing),
		cmocka_unit_test(test_a_ready_worker_leaves_its_sockets_when_it_dies),
		cmocka_unit_test(test_what_a_failed_worker_added_to_a_kept_address_goes),
		cmocka_unit_test(test_unused_addresses_are_closed_and_named),
		cmocka_unit_test(test_too_many_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
