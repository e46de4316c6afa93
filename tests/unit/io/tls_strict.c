/* SPDX-License-Identifier: BSD-2-Clause */
/* Hellos and records that break what RFC 8446 says, one rule each. */
#include "io/tls_strict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define VERSION_AND_RANDOM                                                                         \
	"\3\3"                                                                                     \
	"0123456789abcdef0123456789abcdef"
/* no session, one suite, the one compression method */
#define BEGIN      VERSION_AND_RANDOM "\0\0\2\x13\1\1\0"
#define GROUPS     "\0\x0a\0\4\0\2\0\x1d"
#define SIGNATURES "\0\x0d\0\4\0\2\4\3"
#define SHARES     "\0\x33\0\2\0\0"
#define MODES      "\0\x2d\0\2\1\1"
#define BINDER                                                                                     \
	"\x20"                                                                                     \
	"0123456789abcdef0123456789abcdef"

static int read_hello(struct strict_hello *hello, const char *begin, size_t begin_length,
	const char *extensions, size_t length)
{
	struct buffer body = {0};
	char size[2] = {(char)(length >> 8), (char)length};
	buffer_append(&body, begin, begin_length);
	buffer_append(&body, size, 2);
	buffer_append(&body, extensions, length);
	int alert = strict_hello_read(hello, (struct slice){body.ptr, body.len});
	buffer_free(&body);
	return alert;
}

#define assert_hello(extensions, alert)                                                            \
	assert_int_equal(read_hello(&(struct strict_hello){0}, BEGIN, sizeof(BEGIN) - 1,           \
				 extensions, sizeof(extensions) - 1),                              \
		alert)
#define assert_newest(begin, extensions, alert)                                                    \
	do {                                                                                       \
		struct strict_hello hello;                                                         \
		assert_int_equal(read_hello(&hello, begin, sizeof(begin) - 1, extensions,          \
					 sizeof(extensions) - 1),                                  \
			STRICT_GOOD);                                                              \
		assert_int_equal(strict_hello_newest(&hello), alert);                              \
	} while (0)

static void extensions(void **state)
{
	(void)state;
	assert_hello("", STRICT_GOOD);
	assert_hello(GROUPS SIGNATURES SHARES MODES, STRICT_GOOD);
	assert_hello("\xff\x01\0", STRICT_DECODE_ERROR);
	assert_hello("\xff\x01\0\2x", STRICT_DECODE_ERROR);
	assert_hello("\0\x0a\0\0", STRICT_DECODE_ERROR);
	assert_hello("\0\x0a\0\2\0\0", STRICT_DECODE_ERROR);
	assert_hello("\0\x0a\0\3\0\1\0", STRICT_DECODE_ERROR);
	assert_hello("\0\x0a\0\5\0\2\0\x1d\0", STRICT_DECODE_ERROR);
	assert_hello("\0\x0d\0\2\0\0", STRICT_DECODE_ERROR);
	assert_hello("\0\0\0\6\0\4\0\0\1a", STRICT_GOOD);
	assert_hello("\0\0\0\x0a\0\x08\0\0\1a\0\0\1b", STRICT_ILLEGAL_PARAMETER);
	assert_hello("\0\0\0\x0a\0\x08\0\0\1a\1\0\1b", STRICT_GOOD);
	assert_hello("\0\0\0\2\0\0", STRICT_DECODE_ERROR);
	assert_hello("\0\0\0\6\0\4\0\0\2a", STRICT_DECODE_ERROR);
}

static void keys_shared_before(void **state)
{
	(void)state;
	assert_hello(MODES "\0\x29\0\x2c\0\7\0\1i\0\0\0\0\0\x21" BINDER, STRICT_GOOD);
	assert_hello("\0\x29\0\x25\0\0\0\x21" BINDER, STRICT_DECODE_ERROR);
	assert_hello("\0\x29\0\x0b\0\7\0\1i\0\0\0\0\0\0", STRICT_ILLEGAL_PARAMETER);
	assert_hello("\0\x29\0\x4d\0\7\0\1i\0\0\0\0\0\x42" BINDER BINDER, STRICT_ILLEGAL_PARAMETER);
	assert_hello("\0\x29\0\x2b\0\6\0\0\0\0\0\0\0\x21" BINDER, STRICT_DECODE_ERROR);
	assert_hello("\0\x29\0\x0d\0\7\0\1i\0\0\0\0\0\2\1x", STRICT_DECODE_ERROR);
	assert_hello("\0\x29\0\x09\0\7\0\1i\0\0\0\0", STRICT_DECODE_ERROR);
	assert_hello("\0\x29\0\x2d\0\7\0\1i\0\0\0\0\0\x21" BINDER "x", STRICT_DECODE_ERROR);
}

static void newest(void **state)
{
	(void)state;
	assert_newest(BEGIN, GROUPS SIGNATURES SHARES, STRICT_GOOD);
	assert_newest(BEGIN, SIGNATURES SHARES, STRICT_MISSING_EXTENSION);
	assert_newest(BEGIN, GROUPS SIGNATURES, STRICT_MISSING_EXTENSION);
	assert_newest(BEGIN, GROUPS SHARES, STRICT_MISSING_EXTENSION);
	assert_newest(BEGIN, "", STRICT_MISSING_EXTENSION);
	assert_newest(
		BEGIN, "\0\x29\0\x2c\0\7\0\1i\0\0\0\0\0\x21" BINDER, STRICT_MISSING_EXTENSION);
	assert_newest(BEGIN, MODES "\0\x29\0\x2c\0\7\0\1i\0\0\0\0\0\x21" BINDER, STRICT_GOOD);
	assert_newest(VERSION_AND_RANDOM "\0\0\2\x13\1\2\1\0", GROUPS SIGNATURES SHARES,
		STRICT_ILLEGAL_PARAMETER);
	assert_newest(VERSION_AND_RANDOM "\0\0\2\x13\1\1\1", GROUPS SIGNATURES SHARES,
		STRICT_ILLEGAL_PARAMETER);
}

/* What is cut elsewhere is GnuTLS's to refuse; nothing is read behind it. */
static void cut(void **state)
{
	(void)state;
	static const char whole[] = BEGIN "\0\x08" GROUPS;
	for (size_t length = 0; length < sizeof(whole) - 1; length++) {
		struct strict_hello hello;
		char *copy = must_alloc(length + 1);
		memcpy(copy, whole, length);
		strict_hello_read(&hello, (struct slice){copy, length});
		assert_false(hello.groups);
		free(copy);
	}
}

static int records(enum strict_phase phase, struct slice bytes, size_t piece)
{
	struct strict_records r = {0};
	int alert = STRICT_GOOD;
	while (bytes.len > 0 && alert == STRICT_GOOD) {
		size_t length = piece < bytes.len ? piece : bytes.len;
		alert = strict_records_take(&r, phase, (struct slice){bytes.ptr, length});
		bytes = slice_from(bytes, length);
	}
	return alert;
}

static void headers(void **state)
{
	(void)state;
	static const char hello[] = "\x16\3\1\0\5hello";
	static const char parts[] = "\x16\3\1\0\5hello\x14\3\3\0\1\1\x16\3\1\0\1x";
	static const char changes[] = "\x14\3\3\0\2\1\1";
	static const char nothing[] = "\x15\3\3\0\x18"
				      "123456781234567812345678";
	static const char something[] = "\x15\3\3\0\x1a"
					"12345678123456781234567890";
	for (size_t piece = 1; piece < 12; piece++) {
		assert_int_equal(records(STRICT_HELLO, SLICE(hello), piece), STRICT_GOOD);
		assert_int_equal(
			records(STRICT_HELLO, SLICE(parts), piece), STRICT_UNEXPECTED_MESSAGE);
		assert_int_equal(records(STRICT_HANDSHAKE, SLICE(parts), piece), STRICT_GOOD);
		assert_int_equal(records(STRICT_HANDSHAKE, SLICE(changes), piece),
			STRICT_UNEXPECTED_MESSAGE);
		assert_int_equal(
			records(STRICT_DATA_1_2, SLICE(nothing), piece), STRICT_UNEXPECTED_MESSAGE);
		assert_int_equal(records(STRICT_DATA_1_2, SLICE(something), piece), STRICT_GOOD);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(extensions),
		cmocka_unit_test(keys_shared_before),
		cmocka_unit_test(newest),
		cmocka_unit_test(cut),
		cmocka_unit_test(headers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
