/* SPDX-License-Identifier: BSD-2-Clause */
/* nghttp2's memory: pieces of all sizes, and the one that sessions share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "http/h2_memory.h"

static void pieces_hold_what_was_asked_for(void **state)
{
	struct h2_memory memory = {0};
	char *pieces[200];
	(void)state;
	for (size_t i = 0; i < 200; i++) {
		pieces[i] = h2_memory_alloc(i * 7, &memory);
		assert_int_equal((uintptr_t)pieces[i] % 8, 0);
		memset(pieces[i], (int)i, i * 7);
	}
	for (size_t i = 0; i < 200; i++) {
		for (size_t n = 0; n < i * 7; n++)
			assert_int_equal((unsigned char)pieces[i][n], i);
		h2_memory_free(pieces[i], &memory);
	}
	h2_memory_free(NULL, &memory);
	assert_null(h2_memory_alloc(SIZE_MAX, &memory));
	assert_null(h2_memory_zalloc(SIZE_MAX / 2, 3, &memory));
	h2_memory_trim();
}

static void pieces_grow_with_their_octets(void **state)
{
	struct h2_memory memory = {0};
	(void)state;
	char *zeros = h2_memory_zalloc(10, 10, &memory);
	for (int i = 0; i < 100; i++)
		assert_int_equal(zeros[i], 0);
	h2_memory_free(zeros, &memory);
	char *piece = h2_memory_realloc(NULL, 3, &memory);
	memcpy(piece, "abc", 3);
	for (size_t size = 4; size < 5000; size += 61) {
		piece = h2_memory_realloc(piece, size, &memory);
		assert_memory_equal(piece, "abc", 3);
		piece[size - 1] = 'z';
	}
	h2_memory_free(piece, &memory);
	h2_memory_trim();
}

static void one_size_is_shared(void **state)
{
	struct h2_memory a = {.shared_size = 1000}, b = {.shared_size = 1000}, none = {0};
	(void)state;
	char *first = h2_memory_alloc(1000, &a), *second = h2_memory_alloc(1000, &b);
	char *own = h2_memory_alloc(1000, &none), *other = h2_memory_alloc(999, &a);
	assert_ptr_equal(first, second);
	assert_ptr_not_equal(first, own);
	assert_ptr_not_equal(first, other);
	h2_memory_free(first, &a);
	memset(second, 1, 1000); /* it is still there */
	h2_memory_free(second, &b);
	h2_memory_free(own, &none);
	h2_memory_free(other, &a);
	h2_memory_trim();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_hold_what_was_asked_for),
		cmocka_unit_test(pieces_grow_with_their_octets),
		cmocka_unit_test(one_size_is_shared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
