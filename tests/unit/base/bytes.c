/* SPDX-License-Identifier: BSD-2-Clause */
/* Slices, numbers as text, buffers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/bytes.h"

static void trims_blanks_only(void **state)
{
	(void)state;
	assert_true(slice_equal(slice_trim(SLICE(" \t a b\t ")), SLICE("a b")));
	assert_int_equal(slice_trim(SLICE(" \t ")).len, 0);
	assert_true(slice_equal(slice_trim(SLICE("\ra\n")), SLICE("\ra\n")));
	assert_int_equal(slice_trim((struct slice){NULL, 0}).len, 0);
}

static void reads_numbers(void **state)
{
	(void)state;
	uint64_t n = 1;
	assert_int_equal(slice_number(SLICE("0"), &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(slice_number(SLICE("18446744073709551615"), &n), 0);
	assert_true(n == UINT64_MAX);
	n = 42;
	static const char *const bad[] = {"", "18446744073709551616", "99999999999999999999", "+1",
		"-1", " 1", "1 ", "0x1", "1.0", "1_0", "1,2", "\xd9\xa1"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(slice_number(slice_of(bad[i]), &n), -1);
	assert_int_equal(slice_number((struct slice){"1\0", 2}, &n), -1);
	assert_int_equal(n, 42);
}

static void writes_numbers(void **state)
{
	(void)state;
	char text[21] = {0};
	assert_int_equal(bytes_decimal(text, 0), 1);
	assert_string_equal(text, "0");
	assert_int_equal(bytes_decimal(text, UINT64_MAX), 20);
	assert_string_equal(text, "18446744073709551615");
	for (uint64_t power = 1, digits = 1; digits <= 20; digits++, power *= 10) {
		for (uint64_t n = power - 2; n != power + 2; n++) {
			char expected[21];
			snprintf(expected, sizeof(expected), "%llu", (unsigned long long)n);
			text[bytes_decimal(text, n)] = 0;
			assert_string_equal(text, expected);
		}
	}
	memset(text, 0, sizeof(text));
	bytes_decimal_fixed(text, 42, 6);
	assert_string_equal(text, "000042");
	bytes_decimal_fixed(text, 1234567, 5);
	assert_string_equal(text, "345672");
	memset(text, 0, sizeof(text));
	assert_int_equal(bytes_hex(text, 0xabc), 3);
	assert_string_equal(text, "abc");
	memset(text, 0, sizeof(text));
	assert_int_equal(bytes_hex(text, UINT64_MAX), 16);
	assert_string_equal(text, "ffffffffffffffff");
	for (int c = 0; c < 256; c++) {
		static const char digits[] = "0123456789abcdef";
		const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
		assert_int_equal(bytes_hex_digit((unsigned char)c), at ? at - digits : -1);
	}
}

static void compares(void **state)
{
	(void)state;
	assert_true(slice_equal_nocase(SLICE("Host"), SLICE("hOST")));
	assert_false(slice_equal_nocase(SLICE("Host"), SLICE("Hos")));
	assert_false(slice_equal_nocase(SLICE("a@"), SLICE("a`")));
	assert_true(slice_starts(SLICE("abc"), SLICE("ab")));
	assert_false(slice_starts(SLICE("a"), SLICE("ab")));
	assert_true(slice_ends(SLICE("abc"), SLICE("bc")));
	assert_true(slice_ends(SLICE("abc"), (struct slice){NULL, 0}));
	assert_int_equal(slice_from(SLICE("abc"), 5).len, 0);
	assert_true(slice_equal(slice_from(SLICE("abc"), 1), SLICE("bc")));
}

static void buffer_grows(void **state)
{
	(void)state;
	struct buffer b = {0};
	for (int i = 0; i < 1000; i++)
		buffer_format(&b, "%03d,", i);
	assert_int_equal(b.len, 4000);
	assert_memory_equal(b.ptr + 3996, "999,", 4);
	buffer_consume(&b, 3996);
	buffer_append(&b, "x", 1);
	buffer_slice(&b, (struct slice){NULL, 0});
	assert_int_equal(b.len, 5);
	assert_memory_equal(b.ptr, "999,x", 5);
	buffer_format(&b, "%0300d", 1);
	assert_int_equal(b.len, 305);
	assert_int_equal(b.ptr[304], '1');
	buffer_free(&b);
	assert_null(b.ptr);
	assert_int_equal(b.capacity, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trims_blanks_only),
		cmocka_unit_test(reads_numbers),
		cmocka_unit_test(writes_numbers),
		cmocka_unit_test(compares),
		cmocka_unit_test(buffer_grows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
