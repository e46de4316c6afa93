/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of renewed certificates that a worker leaves behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "process/keepsake.h"
#include "process/renewed.h"

static struct slice all(const struct buffer *list)
{
	return (struct slice){list->ptr, list->len};
}

static void test_what_was_added_is_found(void **state)
{
	struct buffer list = {0}, second = {0};
	struct renewed renewed;
	(void)state;
	assert_int_equal(renewed_read(all(&list), &renewed), 0);
	assert_int_equal(renewed.count, 0);
	renewed_join(&list, all(&second));
	assert_int_equal(list.len, 0);
	assert_int_equal(renewed_add(&second, SLICE("/a"), SLICE("one")), 0);
	assert_int_equal(renewed_add(&second, SLICE("/b"), SLICE("")), 0);
	renewed_join(&list, all(&second));
	buffer_free(&second);
	second = (struct buffer){0};
	assert_int_equal(renewed_add(&second, SLICE("/c"), SLICE("three")), 0);
	renewed_join(&list, all(&second));
	assert_int_equal(renewed_read(all(&list), &renewed), 0);
	assert_int_equal(renewed.count, 3);
	assert_true(slice_equal(renewed_find(&renewed, SLICE("/a"))->bytes, SLICE("one")));
	assert_int_equal(renewed_find(&renewed, SLICE("/b"))->bytes.len, 0);
	assert_true(slice_equal(renewed_find(&renewed, SLICE("/c"))->bytes, SLICE("three")));
	assert_null(renewed_find(&renewed, SLICE("/d")));
	assert_null(renewed_find(&renewed, (struct slice){NULL, 0}));
	renewed_free(&renewed);
	buffer_free(&list);
	buffer_free(&second);
}

static void test_what_is_none_is_refused(void **state)
{
	struct buffer list = {0};
	struct renewed renewed;
	unsigned whole = 0;
	(void)state;
	renewed_add(&list, SLICE("/a"), SLICE("one"));
	renewed_add(&list, SLICE("/b"), SLICE("two"));
	for (size_t length = 0; length <= list.len; length++) {
		char *part = malloc(length + 1); /* so that a reader beyond it is seen */
		memcpy(part, list.ptr, length);
		whole += renewed_read((struct slice){part, length}, &renewed) == 0;
		renewed_free(&renewed);
		free(part);
	}
	assert_int_equal(whole, 4);          /* nothing, no entry, and behind each */
	for (size_t at = 0; at < 12; at++) { /* another magic, or lengths beyond the end */
		list.ptr[at] = (char)~list.ptr[at];
		assert_int_equal(renewed_read(all(&list), &renewed), -1);
		assert_int_equal(renewed.count, 0);
		list.ptr[at] = (char)~list.ptr[at];
	}
	buffer_free(&list);
}

static void test_it_is_bounded(void **state)
{
	struct buffer list = {0}, big = {0};
	struct renewed renewed;
	(void)state;
	buffer_reserve(&big, KEEPSAKE_RENEWED_MAX);
	memset(big.ptr, 'x', KEEPSAKE_RENEWED_MAX);
	struct slice half = {big.ptr, KEEPSAKE_RENEWED_MAX / 2};
	assert_int_equal(renewed_add(&list, SLICE("/a"), half), 0);
	assert_int_equal(renewed_add(&list, SLICE("/b"), half), -1);
	assert_int_equal(renewed_add(&list, SLICE("/c"), SLICE("small")), 0);
	renewed_join(&list, all(&list));
	assert_int_equal(renewed_read(all(&list), &renewed), 0);
	assert_int_equal(renewed.count, 2);
	renewed_free(&renewed);
	buffer_free(&list);
	buffer_free(&big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_added_is_found),
		cmocka_unit_test(test_what_is_none_is_refused),
		cmocka_unit_test(test_it_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
