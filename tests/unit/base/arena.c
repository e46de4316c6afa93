/* SPDX-License-Identifier: BSD-2-Clause */
/* Arenas: first memory, growth, large pieces, reset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"

static void uses_first_memory(void **state)
{
	(void)state;
	char memory[256];
	struct arena a;
	arena_init(&a, memory + 1, sizeof(memory) - 1);
	char *first = arena_alloc(&a, 10);
	char *second = arena_alloc(&a, 1);
	assert_true(first >= memory && second < memory + sizeof(memory));
	assert_int_equal((uintptr_t)first % 8, 0);
	assert_int_equal(second - first, 16);
	assert_null(a.blocks);
	arena_reset(&a);
	assert_ptr_equal(arena_alloc(&a, 10), first);
	arena_reset(&a);
}

static void grows(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, NULL, 0);
	unsigned char *pieces[500];
	size_t sizes[500];
	for (unsigned i = 0; i < 500; i++) {
		sizes[i] = i % 7 == 0 ? 9000 + i : i % 50;
		pieces[i] = arena_zalloc(&a, sizes[i]);
		assert_non_null(pieces[i]);
		assert_int_equal((uintptr_t)pieces[i] % 8, 0);
		memset(pieces[i], (int)(i & 0xff), sizes[i]);
	}
	for (unsigned i = 0; i < 500; i++) {
		for (size_t j = 0; j < sizes[i]; j++)
			assert_int_equal(pieces[i][j], i & 0xff);
	}
	arena_reset(&a);
	assert_null(a.blocks);
}

/* A large piece does not waste what is left of the small ones' block. */
static void large_piece_keeps_block(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, NULL, 0);
	char *before = arena_alloc(&a, 8);
	memset(arena_alloc(&a, 1000000), 1, 1000000);
	assert_ptr_equal(arena_alloc(&a, 8), before + 8);
	arena_reset(&a);

	char memory[64];
	arena_init(&a, memory, sizeof(memory));
	before = arena_alloc(&a, 8);
	memset(arena_alloc(&a, 1000000), 1, 1000000);
	assert_ptr_equal(arena_alloc(&a, 8), before + 8);
	arena_reset(&a);
}

static void copies_and_formats(void **state)
{
	(void)state;
	char memory[32];
	struct arena a;
	arena_init(&a, memory, sizeof(memory));
	struct slice copy = arena_slice(&a, SLICE("abc"));
	assert_int_equal(copy.len, 3);
	assert_string_equal(copy.ptr, "abc");
	copy = arena_slice(&a, (struct slice){NULL, 0});
	assert_string_equal(copy.ptr, "");
	struct slice text = arena_format(&a, "%s-%d", "x", 7);
	assert_string_equal(text.ptr, "x-7");
	assert_int_equal(text.len, 3);
	/* Longer than what is left of the block. */
	text = arena_format(&a, "%0100d", 5);
	assert_int_equal(text.len, 100);
	assert_int_equal(strlen(text.ptr), 100);
	/* And in one that has no memory at all. */
	arena_reset(&a);
	arena_init(&a, NULL, 0);
	text = arena_format(&a, "%d", 12);
	assert_string_equal(text.ptr, "12");
	arena_reset(&a);
	arena_trim();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uses_first_memory),
		cmocka_unit_test(grows),
		cmocka_unit_test(large_piece_keeps_block),
		cmocka_unit_test(copies_and_formats),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
