/* SPDX-License-Identifier: BSD-2-Clause */
/* http/date: the three forms, and what is none of them. */
#include "http/date.h"

#include "base/clock.h"
#include "http_test.h"

enum { NOW = 1795478400 }; /* 2026-11-23 */

/* RFC 9110, 5.6.7: one moment in each form. */
static void forms(void **state)
{
	(void)state;
	static const char *const rows[] = {"Sun, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
		"Sun Nov 06 08:49:37 1994"};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		time_t when = 0;
		assert_number(date_parse(slice_of(rows[i]), NOW, &when), 0, rows[i]);
		assert_number(when, 784111777, rows[i]);
	}
}

static void refused(void **state)
{
	(void)state;
	static const char *const rows[] = {"", "0", "784111777", "Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 +0000",
		"Sun, 06 Nov 1994 08:49:37 gmt", "sun, 06 Nov 1994 08:49:37 GMT",
		"Sun, 06 nov 1994 08:49:37 GMT", "Sun, 6 Nov 1994 08:49:37 GMT",
		"Sun,  6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT",
		"Sun 06 Nov 1994 08:49:37 GMT", "Sun, 06-Nov-1994 08:49:37 GMT",
		" Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT ",
		"Xyz, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Xyz 1994 08:49:37 GMT",
		"Sun, 06 ovN 1994 08:49:37 GMT", "Sun, 06 Nov 1994 8:49:37 GMT",
		"Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
		"Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
		"Sun, 31 Nov 1994 08:49:37 GMT", "Sun, 29 Feb 1994 08:49:37 GMT",
		"Sun, 29 Feb 1900 08:49:37 GMT", "Sun, -6 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov +994 08:49:37 GMT", "Sun, 06-Nov-94 08:49:37 GMT",
		"Sundy, 06-Nov-94 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37",
		"Sunday, 6-Nov-94 08:49:37 GMT", "Sun Nov 6 08:49:37 1994",
		"Sun Nov  6 08:49:37 1994 ", "Sun Nov  6 08:49:37 94", "Sun Nov   08:49:37 1994",
		"Sun Nov  0 08:49:37 1994"};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		time_t when;
		assert_number(date_parse(slice_of(rows[i]), NOW, &when), -1, rows[i]);
	}
	time_t when;
	assert_int_equal(date_parse(SLICE("Sun, 06 Nov 1994 08:49:3\0 GMT"), NOW, &when), -1);
	assert_int_equal(date_parse((struct slice){NULL, 0}, NOW, &when), -1);
}

/* A two-digit year more than 50 years ahead is one that has passed. */
static void two_digits(void **state)
{
	(void)state;
	static const struct {
		const char *text, *same;
	} rows[] = {
		{"Monday, 01-Jan-26 00:00:00 GMT", "Mon, 01 Jan 2026 00:00:00 GMT"},
		{"Monday, 01-Jan-76 00:00:00 GMT", "Mon, 01 Jan 2076 00:00:00 GMT"},
		{"Monday, 01-Jan-77 00:00:00 GMT", "Mon, 01 Jan 1977 00:00:00 GMT"},
		{"Monday, 01-Jan-99 00:00:00 GMT", "Mon, 01 Jan 1999 00:00:00 GMT"},
		{"Monday, 01-Jan-00 00:00:00 GMT", "Mon, 01 Jan 2000 00:00:00 GMT"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		time_t a = 1, b = 2;
		assert_int_equal(date_parse(slice_of(rows[i].text), NOW, &a), 0);
		assert_int_equal(date_parse(slice_of(rows[i].same), NOW, &b), 0);
		assert_number(a, b, rows[i].text);
	}
}

/* What base/clock writes is read back as the same second. */
static void round_trip(void **state)
{
	(void)state;
	for (time_t t = -86400; t < (time_t)4000000000; t += 86400 * 3 + 12347) {
		char text[30];
		time_t when = -1;
		clock_http_date(text, t);
		assert_number(date_parse((struct slice){text, 29}, NOW, &when), 0, text);
		assert_number(when, t, text);
	}
	time_t when;
	assert_int_equal(date_parse(SLICE("Thu, 29 Feb 2024 23:59:60 GMT"), NOW, &when), 0);
	assert_int_equal(when, 1709251200);
	assert_int_equal(date_parse(SLICE("Fri, 31 Dec 9999 23:59:59 GMT"), NOW, &when), 0);
	assert_true(when == 253402300799);
	assert_int_equal(date_parse(SLICE("Sat, 01 Jan 0000 00:00:00 GMT"), NOW, &when), 0);
	assert_true(when == -62167219200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(refused),
		cmocka_unit_test(two_digits),
		cmocka_unit_test(round_trip),
	};
	return cmocka_run_group_tests_name("date", tests, NULL, NULL);
}
