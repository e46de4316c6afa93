/* SPDX-License-Identifier: BSD-2-Clause */
/* The digest behind entity tags (DESIGN 3: from content, equal on every machine), and what it says of text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "handlers/file/digest.h"

static struct digest digest_of(const void *bytes, size_t length)
{
	struct digest d;
	digest_begin(&d);
	digest_update(&d, bytes, length);
	digest_end(&d);
	return d;
}

/* XXH64 with seed 0, as its specification gives it. */
static void first_half_is_xxh64(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t hash;
	} known[] = {
		{"", 0xef46db3751d8e999u},
		{"a", 0xd24ec4f1a98c6e5bu},
		{"abc", 0x44bc2cf5ad770999u},
		{"Nobody inspects the spammish repetition", 0xfbcea83c8a378bf1u},
	};
	for (size_t i = 0; i < COUNT_OF(known); i++)
		assert_int_equal(
			digest_of(known[i].text, strlen(known[i].text)).result[0], known[i].hash);
}

static void pieces_make_the_same(void **state)
{
	(void)state;
	unsigned char bytes[4096];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 31 + (i >> 5));
	for (size_t length = 0; length < sizeof bytes; length += 13) {
		struct digest whole = digest_of(bytes, length), d;
		for (size_t cut = 0; cut <= length; cut += 512) {
			digest_begin(&d);
			digest_update(&d, bytes, cut);
			digest_update(&d, bytes + cut, length - cut);
			digest_end(&d);
			assert_memory_equal(d.result, whole.result, sizeof d.result);
		}
	}
}

static void each_octet_counts_in_both_halves(void **state)
{
	(void)state;
	unsigned char bytes[100] = {0};
	struct digest before = digest_of(bytes, sizeof bytes);
	for (size_t i = 0; i < sizeof bytes; i++) {
		bytes[i] ^= 1;
		struct digest after = digest_of(bytes, sizeof bytes);
		assert_true(after.result[0] != before.result[0]);
		assert_true(after.result[1] != before.result[1]);
		bytes[i] ^= 1;
	}
	assert_true(before.result[0] != before.result[1]);
}

/* RFC 3629, 4. */
static void tells_utf8(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool utf8;
	} rows[] = {
		{"plain", true},
		{"na\xc3\xafve \xe2\x82\xac \xf0\x9f\x8c\x8a", true},
		{"\xef\xbb\xbf with a mark", true},
		{"\xf4\x8f\xbf\xbf", true},
		{"latin \xe9t\xe9", false},
		{"\xc0\xaf", false},
		{"\xe0\x80\xaf", false},
		{"\xed\xa0\x80", false},
		{"\xf4\x90\x80\x80", false},
		{"\xf8\x88\x80\x80\x80", false},
		{"\x80", false},
		{"cut \xe2\x82", false},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		/* at each place of a block, and across its end */
		for (size_t at = 0; at < 40; at++) {
			char bytes[128];
			memset(bytes, 'x', sizeof bytes);
			size_t length = strlen(rows[i].text);
			memcpy(bytes + at, rows[i].text, length);
			struct digest d;
			digest_begin(&d);
			digest_update(&d, bytes, 32);
			digest_update(&d, bytes + 32, at + length > 32 ? at + length - 32 : 0);
			digest_end(&d);
			assert_int_equal(digest_is_utf8(&d), rows[i].utf8);
		}
	}
}

static void tells_text(void **state)
{
	(void)state;
	struct digest text = digest_of("a\tb\r\nc\f\x1b[0m", 10);
	struct digest zero = digest_of("a\0b", 3);
	struct digest control = digest_of("12345678\x01", 9);
	assert_true(digest_is_text(&text));
	assert_false(digest_is_text(&zero));
	assert_true(digest_is_utf8(&zero));
	assert_false(digest_is_text(&control));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_half_is_xxh64),
		cmocka_unit_test(pieces_make_the_same),
		cmocka_unit_test(each_octet_counts_in_both_halves),
		cmocka_unit_test(tells_utf8),
		cmocka_unit_test(tells_text),
	};
	return cmocka_run_group_tests_name("handlers/digest", tests, NULL, NULL);
}
