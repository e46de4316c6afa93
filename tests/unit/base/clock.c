/* SPDX-License-Identifier: BSD-2-Clause */
/* Dates as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* RFC 9110, 5.6.7: IMF-fixdate, whatever the locale. */
static void http_date_is_fixed_form(void **state)
{
	(void)state;
	static const struct {
		time_t when;
		const char *text;
	} cases[] = {
		{784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
		{0, "Thu, 01 Jan 1970 00:00:00 GMT"},
		{-1, "Wed, 31 Dec 1969 23:59:59 GMT"},
		{951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
		{4102444800, "Fri, 01 Jan 2100 00:00:00 GMT"},
		{253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
		{253402300800, "Fri, 31 Dec 9999 23:59:59 GMT"},
		{INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"},
		{INT64_MIN, "Mon, 01 Jan 0001 00:00:00 GMT"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[30];
		clock_http_date(text, cases[i].when);
		assert_string_equal(text, cases[i].text);
	}
}

static void texts_fit_the_time(void **state)
{
	(void)state;
	struct clock clock = {0};
	clock_update(&clock);
	char expected[64];
	clock_http_date(expected, clock.wall);
	assert_string_equal(clock.http_date, expected);
	struct tm tm;
	localtime_r(&clock.wall, &tm);
	assert_int_equal(strftime(expected, sizeof(expected), "%d/%b/%Y:%H:%M:%S %z", &tm), 26);
	assert_string_equal(clock.log_time, expected);
	assert_true(clock.monotonic_ms == clock.monotonic_us / 1000);
	assert_true(clock.wall_us < 1000000);
}

static void log_time_has_the_zone(void **state)
{
	(void)state;
	static const char *const zones[][2] = {
		{"XXX+3:30", "-0330"}, {"XXX-14", "+1400"}, {"UTC", "+0000"}};
	for (size_t i = 0; i < 3; i++) {
		setenv("TZ", zones[i][0], 1);
		tzset();
		struct clock clock = {0};
		clock_update(&clock);
		assert_string_equal(clock.log_time + 21, zones[i][1]);
	}
}

static void texts_are_made_once_a_second(void **state)
{
	(void)state;
	struct clock clock = {0};
	for (;;) { /* again when a second ended just here */
		clock_update(&clock);
		time_t second = clock.wall;
		memcpy(clock.http_date, "kept", 5);
		uint64_t before = clock.monotonic_us;
		clock_update(&clock);
		assert_true(clock.monotonic_us >= before);
		if (clock.wall == second)
			break;
	}
	assert_string_equal(clock.http_date, "kept");
	clock.wall--;
	clock_update(&clock);
	assert_int_equal(strlen(clock.http_date), 29);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(http_date_is_fixed_form),
		cmocka_unit_test(texts_fit_the_time),
		cmocka_unit_test(log_time_has_the_zone),
		cmocka_unit_test(texts_are_made_once_a_second),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
