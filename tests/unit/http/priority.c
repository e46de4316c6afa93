/* SPDX-License-Identifier: BSD-2-Clause */
/* The Priority field (RFC 9218, 4 and 5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "http/priority.h"

static void reads_what_is_known_and_keeps_the_rest(void **state)
{
	static const struct {
		const char *value;
		unsigned urgency;
		bool incremental;
	} cases[] = {
		{"", 3, false},
		{"u=0", 0, false},
		{"u=7, i", 7, true},
		{"i,u=1", 1, true},
		{"i=?1", 3, true},
		{"i=?0", 3, false},
		{"u=5;x=1, i;y", 5, true},
		{"x=1, u=2, z", 2, false},
		{"u=1, u=4", 4, false}, /* the last one counts: RFC 8941, 3.2 */
		/* of another type or beyond its bounds: as if it were not there */
		{"u=8, i", 3, true},
		{"u=-1", 3, false},
		{"u=3.5", 3, false},
		{"u", 3, false},
		{"u=?1", 3, false},
		{"i=1", 3, false},
		{"u=a", 3, false},
		/* no dictionary: nothing of it counts */
		{"u=1, =2", 3, false},
		{"u=1, \"x\"", 3, false},
		{"u=1, a b", 3, false},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct priority p = {.urgency = PRIORITY_URGENCY_USUAL};
		priority_read(slice_of(cases[i].value), &p);
		if (p.urgency != cases[i].urgency || p.incremental != cases[i].incremental)
			fail_msg("“%s” is read as u=%u, i=%d", cases[i].value, p.urgency,
				p.incremental);
	}
	struct priority p = {.urgency = 1, .incremental = true};
	priority_read(SLICE("i=?0"), &p);
	assert_int_equal(p.urgency, 1);
	assert_false(p.incremental);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_is_known_and_keeps_the_rest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
