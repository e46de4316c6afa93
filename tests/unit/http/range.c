/* SPDX-License-Identifier: BSD-2-Clause */
/* http/range: byte ranges, clipped, joined and bounded. */
#include "http/range.h"

#include <stdio.h>

#include "http_test.h"

/* Reads and writes down: "first+length first+length", "416" or "-" for ignored. */
static void expect_range(struct slice value, uint64_t size, const char *want)
{
	struct byte_range r[RANGES_MAX];
	unsigned count;
	char got[RANGES_MAX * 42] = "";
	switch (range_parse(value, size, r, &count)) {
	case RANGE_IGNORE:
		memcpy(got, "-", 2);
		break;
	case RANGE_UNSATISFIABLE:
		memcpy(got, "416", 4);
		break;
	case RANGE_SATISFIABLE:
		assert_true(count > 0 && count <= RANGES_MAX);
		for (unsigned i = 0; i < count; i++) {
			size_t n = strlen(got);
			snprintf(got + n, sizeof(got) - n, "%s%llu+%llu", i ? " " : "",
				(unsigned long long)r[i].first, (unsigned long long)r[i].length);
		}
		break;
	}
	if (strcmp(got, want) != 0)
		fail_msg("%.*s: %s, not %s", (int)value.len, value.ptr, got, want);
}

/* RFC 9110, 14.1.2. */
static void good(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"bytes=0-499", "0+500"},
		{"bytes=500-999", "500+500"},
		{"bytes=-500", "9500+500"},
		{"bytes=9500-", "9500+500"},
		{"bytes=0-", "0+10000"},
		{"bytes=0-0,-1", "0+1 9999+1"},
		{"bytes=0-0 ,\t5-5", "0+1 5+1"},
		{"bytes=,0-0,,", "0+1"},
		{"Bytes=0-0", "0+1"},
		{"bytes=9999-10000", "9999+1"},
		{"bytes=0-99999999999999999999999999", "0+10000"},
		{"bytes=-99999999999999999999999999", "0+10000"},
		{"bytes=-10001", "0+10000"},
		{"bytes=000000000000000000000000-0000000000000000000000001", "0+2"},
		{"bytes=5-5,99999-", "5+1"},
		{"bytes=-0,1-1", "1+1"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		expect_range(slice_of(rows[i][0]), 10000, rows[i][1]);
}

/* RFC 9110, 14.1.1 and 14.2: what is invalid is as if it were not there. */
static void ignored(void **state)
{
	(void)state;
	static const char *const rows[] = {"", "bytes", "bytes=", "bytes=,", "bytes=-", "bytes=--1",
		"bytes=a-b", "bytes=1-a", "bytes=1", "bytes=1-2-3", "bytes=1--2", "bytes=2-1",
		"bytes=0-0,2-1", "bytes=0-0;5-5", "bytes=0 -0", "bytes=0- 0", "bytes=- 1",
		"bytes=+1-2", "bytes=0x0-1", "bytes=1.5-2", "bytes=\"0-1\"", "bytes 0-1",
		"bytes:0-1", "bytes =0-1", "bytes= 0-1", "bytes=\t,0-1", "items=0-1", "none", "0-1",
		" bytes=0-1", "bytes=*", "bytes=0-1/10", "bytes=99999999999999999999-1"};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		expect_range(slice_of(rows[i]), 10000, "-");
	expect_range(SLICE("bytes=0-\0"), 10000, "-");
}

/* RFC 9110, 15.5.17. */
static void unsatisfiable(void **state)
{
	(void)state;
	expect_range(SLICE("bytes=10000-"), 10000, "416");
	expect_range(SLICE("bytes=10000-10001,99999-"), 10000, "416");
	expect_range(SLICE("bytes=-0"), 10000, "416");
	expect_range(SLICE("bytes=99999999999999999999999-"), 10000, "416");
	expect_range(SLICE("bytes=0-0"), 0, "416");
	expect_range(SLICE("bytes=0-"), 0, "416");
	expect_range(SLICE("bytes=-1"), 0, "-");
	expect_range(SLICE("bytes=18446744073709551615-"), UINT64_MAX, "416");
	expect_range(SLICE("bytes=-1"), UINT64_MAX, "18446744073709551614+1");
	expect_range(SLICE("bytes=0-"), UINT64_MAX, "0+18446744073709551615");
}

/* RFC 9110, 14.2 and 17.15. */
static void joined(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"bytes=0-4,5-9", "0+10"},
		{"bytes=5-9,0-4", "0+10"},
		{"bytes=0-4,6-9", "0+5 6+4"},
		{"bytes=6-9,0-4", "6+4 0+5"},
		{"bytes=0-9,2-3", "0+10"},
		{"bytes=2-3,0-9", "0+10"},
		{"bytes=0-,0-,0-", "0+100"},
		{"bytes=0-1,10-11,20-21,1-20", "0+22"},
		{"bytes=40-41,0-1,10-11,20-21,1-10", "40+2 0+12 20+2"},
		{"bytes=0-49,-50", "0+100"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		expect_range(slice_of(rows[i][0]), 100, rows[i][1]);
}

/* CVE-2011-3192: their number is bounded, and all together they are never longer than the
 * representation. */
static void bounded(void **state)
{
	(void)state;
	static char value[65536];
	for (unsigned count = RANGES_MAX; count <= RANGES_MAX + 1; count++) {
		size_t n = (size_t)sprintf(value, "bytes=");
		for (unsigned i = 0; i < count; i++)
			n += (size_t)sprintf(value + n, "%s%u-%u", i ? "," : "", i * 2, i * 2);
		struct byte_range r[RANGES_MAX];
		unsigned got;
		enum range_result result = range_parse((struct slice){value, n}, 10000, r, &got);
		assert_int_equal(result, count <= RANGES_MAX ? RANGE_SATISFIABLE : RANGE_IGNORE);
		if (result == RANGE_SATISFIABLE)
			assert_int_equal(got, RANGES_MAX);
	}
	size_t n = (size_t)sprintf(value, "bytes=0-");
	for (unsigned i = 0; i < 1300; i++)
		n += (size_t)sprintf(value + n, ",5-%u", i);
	expect_range((struct slice){value, n}, 10000, "-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(ignored),
		cmocka_unit_test(unsatisfiable),
		cmocka_unit_test(joined),
		cmocka_unit_test(bounded),
	};
	return cmocka_run_group_tests_name("range", tests, NULL, NULL);
}
