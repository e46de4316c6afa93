/* SPDX-License-Identifier: BSD-2-Clause */
/* The time, and its two texts, which are made once a second. */
#include "base/clock.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* The range in which a year has four digits: 0001-01-01 to 9999-12-31. */
#define EARLIEST (-62135596800)
#define LATEST   253402300799

static char *two_digits(char *to, int n)
{
	to[0] = (char)('0' + n / 10 % 10);
	to[1] = (char)('0' + n % 10);
	return to + 2;
}

static char *time_of_day(char *to, const struct tm *tm)
{
	to = two_digits(to, tm->tm_hour);
	*to++ = ':';
	to = two_digits(to, tm->tm_min);
	*to++ = ':';
	return two_digits(to, tm->tm_sec);
}

static char *year(char *to, const struct tm *tm)
{
	to = two_digits(to, (tm->tm_year + 1900) / 100);
	return two_digits(to, (tm->tm_year + 1900) % 100);
}

static char *three_letters(char *to, const char *name)
{
	memcpy(to, name, 3);
	return to + 3;
}

void clock_http_date(char to[30], time_t when)
{
	if (when < EARLIEST)
		when = EARLIEST;
	if (when > LATEST)
		when = LATEST;
	struct tm tm;
	check(gmtime_r(&when, &tm));
	char *at = three_letters(to, days[tm.tm_wday]);
	*at++ = ',';
	*at++ = ' ';
	at = two_digits(at, tm.tm_mday);
	*at++ = ' ';
	at = three_letters(at, months[tm.tm_mon]);
	*at++ = ' ';
	at = year(at, &tm);
	*at++ = ' ';
	at = time_of_day(at, &tm);
	memcpy(at, " GMT", 5);
}

static void log_time(char to[27], time_t when)
{
	struct tm tm;
	if (!localtime_r(&when, &tm))
		check(gmtime_r(&when, &tm));
	char *at = two_digits(to, tm.tm_mday);
	*at++ = '/';
	at = three_letters(at, months[tm.tm_mon]);
	*at++ = '/';
	at = year(at, &tm);
	*at++ = ':';
	at = time_of_day(at, &tm);
	*at++ = ' ';
	long minutes = tm.tm_gmtoff / 60;
	*at++ = minutes < 0 ? '-' : '+';
	if (minutes < 0)
		minutes = -minutes;
	at = two_digits(at, (int)(minutes / 60));
	at = two_digits(at, (int)(minutes % 60));
	*at = '\0';
}

void clock_update(struct clock *clock)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	clock->monotonic_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	clock->monotonic_ms = clock->monotonic_us / 1000;
	clock_gettime(CLOCK_REALTIME, &now);
	clock->wall_us = (uint32_t)(now.tv_nsec / 1000);
	if (now.tv_sec == clock->wall && clock->http_date[0])
		return;
	clock->wall = now.tv_sec;
	clock->epoch[bytes_decimal(clock->epoch, (uint64_t)now.tv_sec)] = 0;
	clock_http_date(clock->http_date, now.tv_sec);
	log_time(clock->log_time, now.tv_sec);
}
