/* SPDX-License-Identifier: BSD-2-Clause */
/* What is weighed against a peer, and what is not: rates of honest and of other use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/h2_guard.h"

static void windows_are_told_of_what_was_sent(void **state)
{
	(void)state; /* a gigabyte in a moment, both windows told of each four kilobytes */
	struct h2_guard guard = {0};
	for (int i = 0; i < 1 << 16; i++) {
		h2_guard_sent(&guard, 16384, true);
		for (int n = 0; n < 8; n++)
			assert_false(h2_guard_waste(&guard, H2_COST_FRAME, 0));
	}
}

static void little_frames_are_told_of_too(void **state)
{
	(void)state; /* events of a few octets, each told of by two windows */
	struct h2_guard guard = {0};
	for (int i = 0; i < 100000; i++) {
		h2_guard_sent(&guard, 20, false);
		assert_false(h2_guard_waste(&guard, H2_COST_FRAME, 0));
		assert_false(h2_guard_waste(&guard, H2_COST_FRAME, 0));
	}
}

/* How many frames of so many octets does a peer let through that tells of two windows for each? */
static unsigned drip(uint64_t octets, unsigned most)
{
	struct h2_guard guard = {0};
	for (unsigned frames = 0; frames < most; frames++) {
		if (h2_guard_waste(&guard, H2_COST_FRAME, 0) ||
			h2_guard_waste(&guard, H2_COST_FRAME, 0))
			return frames;
		h2_guard_sent(&guard, octets, true);
	}
	return most;
}

static void small_windows_are_worth_what_they_let_through(void **state)
{
	(void)state;
	assert_int_equal(drip(1023, 100000), 100000);
	assert_int_equal(drip(H2_WORTH_FRAME * H2_WORTH_LITTLE, 100000), 100000);
	assert_in_range(drip(100, 100000), H2_DEBT_MOST, 4 * H2_DEBT_MOST);
	assert_in_range(drip(1, 100000), H2_DEBT_MOST / 2, H2_DEBT_MOST * 51 / 100);
}

static void time_pays(void **state)
{
	(void)state;
	struct h2_guard guard = {0};
	for (uint32_t ms = 0; ms < 100000; ms += 100) /* ten seconds, ten resets each */
		assert_false(h2_guard_waste(&guard, H2_COST_RESET, ms));
	struct h2_guard fast = {.looked = UINT32_MAX - 10}; /* the clock wraps */
	unsigned resets = 0;
	for (uint32_t ms = UINT32_MAX - 10; !h2_guard_waste(&fast, H2_COST_RESET, ms); ms++)
		resets++;
	assert_in_range(resets, H2_DEBT_MOST / H2_COST_RESET, 2 * H2_DEBT_MOST / H2_COST_RESET);
}

static void nothing_is_saved_up(void **state)
{
	(void)state;
	struct h2_guard guard = {0};
	h2_guard_sent(&guard, UINT32_MAX, false);
	unsigned resets = 0;
	while (!h2_guard_waste(&guard, H2_COST_RESET, 0))
		resets++;
	assert_int_equal(resets, H2_DEBT_MOST / H2_COST_RESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_are_told_of_what_was_sent),
		cmocka_unit_test(little_frames_are_told_of_too),
		cmocka_unit_test(small_windows_are_worth_what_they_let_through),
		cmocka_unit_test(time_pays),
		cmocka_unit_test(nothing_is_saved_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
