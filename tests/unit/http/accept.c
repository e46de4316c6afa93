/* SPDX-License-Identifier: BSD-2-Clause */
/* http/accept: quality values of codings and media types. */
#include "http/accept.h"

#include "http_test.h"

/* RFC 9110, 12.5.3 and 12.4.2. */
static void codings(void **state)
{
	(void)state;
	static const struct {
		const char *value, *coding;
		unsigned want;
	} rows[] = {
		{"gzip", "gzip", 1000},
		{"GZIP", "gzip", 1000},
		{"x-gzip;q=0.3", "gzip", 300},
		{"gzip, br", "br", 1000},
		{"gzip, br", "zstd", 0},
		{"gzip;q=0", "gzip", 0},
		{"gzip; q=0", "gzip", 0},
		{"gzip ;\tq=0", "gzip", 0},
		{"gzip;Q=0", "gzip", 0},
		{"gzip;q=0.000", "gzip", 0},
		{"gzip;q=0.", "gzip", 0},
		{"gzip;q=0.001", "gzip", 1},
		{"gzip;q=0.9, br;q=0.1", "gzip", 900},
		{"gzip;q=0.9, br;q=0.1", "br", 100},
		{"gzip;q=1.000", "gzip", 1000},
		{"gzip;q=1.", "gzip", 1000},
		{"gzip;q=1", "gzip", 1000},
		{"gzip;q=0.12", "gzip", 120},
		{"*", "br", 1000},
		{"*;q=0.5, gzip;q=0", "gzip", 0},
		{"*;q=0.5, gzip;q=0", "br", 500},
		{"gzip, *;q=0", "br", 0},
		{"gzip, *;q=0", "identity", 0},
		{"gzip, *;q=0, identity;q=0.5", "identity", 500},
		{"gzip", "identity", 1},
		{"gzip, identity;q=0", "identity", 0},
		{"", "identity", 1000},
		{"", "gzip", 0},
		{" , ", "identity", 1000},
		{"gzip, gzip;q=0", "gzip", 0},
		{"gzip;q=1.001", "gzip", 0},
		{"gzip;q=2", "gzip", 0},
		{"gzip;q=-1", "gzip", 0},
		{"gzip;q=0.1234", "gzip", 0},
		{"gzip;q=.5", "gzip", 0},
		{"gzip;q=00.5", "gzip", 0},
		{"gzip;q=a", "gzip", 0},
		{"gzip;q=", "gzip", 0},
		{"gzip;q", "gzip", 0},
		{"gzip;q = 1", "gzip", 0},
		{"gzip q=1", "gzip", 0},
		{"gzipped", "gzip", 0},
		{"\"gzip\"", "gzip", 0},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_number(
			accept_encoding_quality(slice_of(rows[i].value), slice_of(rows[i].coding)),
			rows[i].want, rows[i].value);
	struct slice absent = {NULL, 0};
	assert_int_equal(accept_encoding_quality(absent, SLICE("identity")), 1000);
	assert_int_equal(accept_encoding_quality(absent, SLICE("gzip")), 0);
}

/* RFC 9110, 12.5.1. */
static void types(void **state)
{
	(void)state;
	static const struct {
		const char *value, *type;
		unsigned with, without; /* wildcards */
	} rows[] = {
		{"image/avif", "image/avif", 1000, 1000},
		{"IMAGE/Avif", "image/avif", 1000, 1000},
		{"image/*", "image/avif", 1000, 0},
		{"*/*", "image/avif", 1000, 0},
		{"text/html, */*;q=0.1", "image/avif", 100, 0},
		{"image/*;q=0.5, image/avif;q=0.2, */*", "image/avif", 200, 200},
		{"image/avif;q=0, image/*", "image/avif", 0, 0},
		{"image/*;q=0, */*", "image/avif", 0, 0},
		{"image/avif;q=0, image/avif", "image/avif", 0, 0},
		{"*/*, image/*;q=0", "image/avif", 0, 0},
		{"text/*", "image/avif", 0, 0},
		{"image/a*", "image/avif", 0, 0},
		{"*/avif", "image/avif", 0, 0},
		{"*", "image/avif", 0, 0},
		{"image", "image/avif", 0, 0},
		{"image/", "image/avif", 0, 0},
		{"", "image/avif", 0, 0},
		{"text/html;level=1, text/html;q=0.4", "text/html", 400, 400},
		{"text/html;level=1", "text/html", 0, 0},
		{"text/html;q=0.7;ext=\"a,b\"", "text/html", 700, 700},
		{"a/b;x=\"text/html,\", text/html;q=0.3", "text/html", 300, 300},
		{"text/html;q=x", "text/html", 0, 0},
		{"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
			"image/avif", 1000, 1000},
		{"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
			"image/webp", 800, 0},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct slice value = slice_of(rows[i].value), type = slice_of(rows[i].type);
		assert_number(accept_quality(value, type, true), rows[i].with, rows[i].value);
		assert_number(accept_quality(value, type, false), rows[i].without, rows[i].value);
	}
	assert_int_equal(accept_quality((struct slice){NULL, 0}, SLICE("a/b"), true), 1000);
	assert_int_equal(accept_quality((struct slice){NULL, 0}, SLICE("a/b"), false), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codings),
		cmocka_unit_test(types),
	};
	return cmocka_run_group_tests_name("accept", tests, NULL, NULL);
}
