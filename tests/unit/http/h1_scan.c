/* SPDX-License-Identifier: BSD-2-Clause */
/* http/h1_scan: where a head ends, over any split, and the scanners that must agree. */
#include <stdlib.h>

#include "http/h1_framing.h"
#include "http/h1_syntax.h"
#include "http_test.h"

struct row {
	const char *text;
	size_t length;
};

/* Where a head ends, octet by octet, from the words of h1_syntax.h. */
static size_t reference_length(const char *b, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		bool after_cr = i > 0 && b[i - 1] == '\r';
		if (b[i] == '\n' && !after_cr)
			return i + 1;
		if (b[i] != '\n' && after_cr)
			return i + 1;
		if (b[i] == '\n' && i == 1)
			return 2;
		if (b[i] == '\n' && i >= 3 && b[i - 2] == '\n' && b[i - 3] == '\r')
			return i + 1;
	}
	return 0;
}

static void expect_length(const char *text, size_t length)
{
	size_t want = reference_length(text, length);
	/* Each split in two, and one octet at a time. */
	for (size_t split = 0; split <= length; split++) {
		size_t seen = 0, got;
		char *first = exact(text, split), *whole = exact(text, length);
		got = h1_head_length(first, split, &seen);
		if (got == 0)
			got = h1_head_length(whole, length, &seen);
		free(first);
		free(whole);
		assert_number(got, want, text);
	}
	size_t seen = 0, got = 0;
	for (size_t n = 0; n <= length && got == 0; n++) {
		got = h1_trailer_length(text, n, &seen);
		assert_true(got == 0 || got == n);
		assert_true(got != 0 || seen == n);
	}
	assert_number(got, want, text);
}

/* RFC 9112, 2.2: only CRLF ends lines. The same answer for any split. */
static void head_length(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{TEXT("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: something\r\n\r\nGET /2")},
		{TEXT("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: something")},
		{TEXT("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: something\r")},
		{TEXT("GET / HTTP/1.1\nHost: a\n\n")},
		{TEXT("GET / HTTP/1.1\r\nHost: a\n\r\n")},
		{TEXT("GET / HTTP/1.1\r\nHost: a\r\n\n")},
		{TEXT("GET / HTTP/1.1\rHost: a\r\r")},
		{TEXT("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n")},
		{TEXT("\r\nGET / HTTP/1.1\r\n\r\n")},
		{TEXT("\nGET / HTTP/1.1\r\n\r\n")},
		{TEXT("\r\r\n\r\n")},
		{TEXT("\r\n")},
		{TEXT("")},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		expect_length(rows[i].text, rows[i].length);
	unsigned seed = 7;
	for (int i = 0; i < 2000; i++) {
		char text[80];
		size_t length = (size_t)rand_r(&seed) % sizeof(text);
		for (size_t k = 0; k < length; k++)
			text[k] = 'a';
		for (int k = 0; k < 3 && length > 2; k++)
			memcpy(text + (size_t)rand_r(&seed) % (length - 1), "\r\n", 2);
		if (length > 0)
			text[(size_t)rand_r(&seed) % length] = "a\r\n"[rand_r(&seed) % 3];
		expect_length(text, length);
	}
}

/* TECHNIQUES 3: SSE2, SWAR and the reference say the same of the same octets, wherever these
 * lie. */
static void scanners(void **state)
{
	(void)state;
	unsigned seed = 3;
	for (int i = 0; i < 20000; i++) {
		char text[64];
		size_t length = (size_t)rand_r(&seed) % sizeof(text);
		for (size_t k = 0; k < length; k++)
			text[k] = (char)(rand_r(&seed) % 64 ? 0x20 + rand_r(&seed) % 95
							    : rand_r(&seed));
		char *copy = exact(text, length);
		size_t want = h1_scan_value_scalar(copy, length);
		assert_int_equal(h1_scan_value_swar(copy, length), want);
		assert_int_equal(h1_scan_value(copy, length), want);
		free(copy);
	}
	for (unsigned c = 0; c < 256; c++) {
		char text[33];
		for (size_t at = 0; at < sizeof(text); at++) {
			memset(text, 'v', sizeof(text));
			text[at] = (char)c;
			size_t want = octet_class[c] & OCTET_VALUE ? sizeof(text) : at;
			assert_int_equal(h1_scan_value_scalar(text, sizeof(text)), want);
			assert_int_equal(h1_scan_value_swar(text, sizeof(text)), want);
			assert_int_equal(h1_scan_value(text, sizeof(text)), want);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(head_length),
		cmocka_unit_test(scanners),
	};
	return cmocka_run_group_tests_name("h1_scan", tests, NULL, NULL);
}
