/* SPDX-License-Identifier: BSD-2-Clause */
/* base/dictionary: what was added is found, nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/dictionary.h"

#define MANY 1000

static void finds_what_was_added(void **state)
{
	static int values[MANY];
	struct dictionary d;
	struct arena arena;
	char text[32];
	(void)state;
	arena_init(&arena, NULL, 0);
	dictionary_init(&d, &arena, MANY);
	for (unsigned i = 0; i < MANY; i++) {
		struct slice name = arena_format(&arena, "name %u", i * 2);
		dictionary_add(&d, name, &values[i]);
		dictionary_add(&d, name, &values[0]); /* the first counts */
	}
	for (unsigned i = 0; i < MANY * 2; i++) {
		snprintf(text, sizeof text, "name %u", i);
		assert_ptr_equal(
			dictionary_find(&d, slice_of(text)), i % 2 ? NULL : &values[i / 2]);
	}
	assert_null(dictionary_find(&d, SLICE("")));
	assert_null(dictionary_find(&d, SLICE("name 00000000000000000000000")));
	arena_reset(&arena);
}

static void finds_nothing_where_nothing_is(void **state)
{
	struct dictionary d = {0};
	struct arena arena;
	(void)state;
	assert_null(dictionary_find(&d, SLICE("")));
	assert_null(dictionary_find(&d, SLICE("a")));
	arena_init(&arena, NULL, 0);
	dictionary_init(&d, &arena, 0);
	assert_null(dictionary_find(&d, SLICE("")));
	dictionary_add(&d, SLICE(""), &arena);
	assert_ptr_equal(dictionary_find(&d, SLICE("")), &arena);
	arena_reset(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_was_added),
		cmocka_unit_test(finds_nothing_where_nothing_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
