/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of this room share: cmocka's headers in their order, and assertions that name the
 * row that failed. */
#ifndef WEIR_TESTS_HTTP_TEST_H
#define WEIR_TESTS_HTTP_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/check.h"

/* A row's text with its length, so that it may hold NUL. */
#define TEXT(literal) (literal), sizeof(literal) - 1

#define assert_slice(got, text)                                                                    \
	do {                                                                                       \
		struct slice got_ = (got);                                                         \
		if (!slice_equal(got_, slice_of(text)))                                            \
			fail_msg("got \"%.*s\", not \"%s\"", (int)got_.len, got_.ptr, (text));     \
	} while (0)

#define assert_number(got, want, what)                                                             \
	do {                                                                                       \
		long long got_ = (long long)(got), want_ = (long long)(want);                      \
		if (got_ != want_)                                                                 \
			fail_msg("%s: %lld, not %lld", (what), got_, want_);                       \
	} while (0)

/* A copy that ends where its memory ends, so that a sanitizer sees any octet read behind it. */
static inline char *exact(const char *text, size_t length)
{
	char *copy = malloc(length ? length : 1);
	assert_non_null(copy);
	if (length)
		memcpy(copy, text, length);
	return copy;
}

#endif
