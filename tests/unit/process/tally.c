/* SPDX-License-Identifier: BSD-2-Clause */
/* The shared counters (DESIGN §4): they never go back; what counts open things dies with its worker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/keepsake.h"
#include "process/tally.h"

static void test_sums_over_workers_that_live_and_died(void **state)
{
	(void)state;
	int fd = tally_make();
	struct tally *tally = tally_map(fd, true);
	assert_non_null(tally);
	counter_add(tally_slot(tally, 0, 1), COUNTER_REQUESTS, 5);
	counter_add(tally_slot(tally, 0, 1), COUNTER_OPEN, 2);
	counter_add(tally_slot(tally, 1, 2), COUNTER_REQUESTS, 7);
	counter_add(tally_slot(tally, 1, 2), COUNTER_OPEN, 3);
	assert_int_equal(tally_sum(tally, COUNTER_REQUESTS, 3), 12);
	assert_int_equal(tally_sum(tally, COUNTER_OPEN, 3), 5);
	assert_int_equal(tally_sum(tally, COUNTER_OPEN, 2), 3); /* the first one is dead */
	/* a new one takes its place, and touches nobody else's */
	tally_clear_open(tally, 0);
	assert_int_equal(tally_sum(tally, COUNTER_OPEN, 3), 3);
	assert_int_equal(tally_sum(tally, COUNTER_OPEN, 1), 0);
	assert_int_equal(tally_sum(tally, COUNTER_REQUESTS, 2), 12);
	tally_unmap(tally);
	struct tally *again = tally_map(fd, false);
	assert_int_equal(tally_sum(again, COUNTER_REQUESTS, 0), 12);
	tally_unmap(again);
	close(fd);
}

static void test_memory_of_another_form_is_refused(void **state)
{
	struct stat st;
	(void)state;
	int fd = tally_make();
	assert_int_equal(fstat(fd, &st), 0);
	uint64_t other = 1;
	assert_int_equal(pwrite(fd, &other, sizeof(other), 0), sizeof(other));
	assert_null(tally_map(fd, true));
	close(fd);
	fd = keepsake_share("test", (size_t)st.st_size);
	assert_null(tally_map(fd, true));
	close(fd);
	fd = keepsake_share("test", 64);
	assert_null(tally_map(fd, true));
	close(fd);
}

static void test_unused_slots_cost_no_memory(void **state)
{
	struct stat st;
	(void)state;
	int fd = tally_make();
	struct tally *tally = tally_map(fd, true);
	counter_add(tally_slot(tally, 0, 1), COUNTER_REQUESTS, 1);
	tally_clear_open(tally, 1);
	tally_clear_open(tally, 2);
	tally_sum(tally, COUNTER_REQUESTS, 1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_blocks * 512 <= 16384);
	assert_true(st.st_size > 1000000);
	tally_unmap(tally);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums_over_workers_that_live_and_died),
		cmocka_unit_test(test_memory_of_another_form_is_refused),
		cmocka_unit_test(test_unused_slots_cost_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
