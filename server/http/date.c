/* SPDX-License-Identifier: BSD-2-Clause */
/* The three forms of HTTP dates (RFC 9110, 5.6.7), read octet for octet. */
#include "http/date.h"

#include "base/check.h"

struct date_parts {
	int year, month, day, hour, minute, second; /* month from 1 */
};

static const char days[7][10] = {
	"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Matches `text` with a pattern: "d" is a digit of a number, "_" the same or a space, "m" a month's
 * name, "w" a day's short one; all else stands for itself. A run of digits is one number, of 5. 0
 * or -1. */
static int match(const char *text, const char *pattern, int numbers[5], int *month)
{
	int count = 0;
	for (const char *p = pattern; *p; p++, text++) {
		if (*p == 'd' || *p == '_') {
			bool blank = *p == '_' && *text == ' ';
			if (!blank && (*text < '0' || *text > '9'))
				return -1;
			if (p == pattern || (p[-1] != 'd' && p[-1] != '_')) {
				check(count < 5);
				numbers[count++] = 0;
			}
			numbers[count - 1] = numbers[count - 1] * 10 + (blank ? 0 : *text - '0');
		} else if (*p == 'm') {
			const char *m = months;
			while (*m && memcmp(m, text, 3) != 0)
				m += 3;
			if (!*m)
				return -1;
			*month = (int)(m - months) / 3 + 1;
			text += 2;
		} else if (*p == 'w') {
			size_t i = 0;
			while (i < COUNT_OF(days) && memcmp(days[i], text, 3) != 0)
				i++;
			if (i == COUNT_OF(days))
				return -1;
			text += 2;
		} else if (*p != *text) {
			return -1;
		}
	}
	return 0;
}

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Seconds since the epoch. 0, or -1 for a date that never was. A leap second is the next minute's
 * first. */
static int to_time(const struct date_parts *d, time_t *when)
{
	static const unsigned char lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int length = lengths[d->month - 1] + (d->month == 2 && is_leap(d->year));
	if (d->day < 1 || d->day > length || d->hour > 23 || d->minute > 59 || d->second > 60)
		return -1;
	/* Days of the Gregorian calendar, years beginning with March. */
	int64_t year = d->year - (d->month <= 2);
	int64_t era = (year + 400) / 400 - 1;
	int64_t of_era = year - era * 400;
	int64_t of_year = (153 * (d->month + (d->month > 2 ? -3 : 9)) + 2) / 5 + d->day - 1;
	int64_t day = era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
	*when = (time_t)(((day * 24 + d->hour) * 60 + d->minute) * 60 + d->second);
	return 0;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static int parse_fixdate(struct slice text, time_t *when)
{
	struct date_parts d;
	int n[5];
	if (text.len != 29 || match(text.ptr, "w, dd m dddd dd:dd:dd GMT", n, &d.month))
		return -1;
	d = (struct date_parts){n[1], d.month, n[0], n[2], n[3], n[4]};
	return to_time(&d, when);
}

/* "Sun Nov  6 08:49:37 1994" */
static int parse_asctime(struct slice text, time_t *when)
{
	struct date_parts d;
	int n[5];
	if (text.len != 24 || match(text.ptr, "w m _d dd:dd:dd dddd", n, &d.month))
		return -1;
	d = (struct date_parts){n[4], d.month, n[0], n[1], n[2], n[3]};
	return to_time(&d, when);
}

static int year_of(time_t now)
{
	struct tm tm;
	return gmtime_r(&now, &tm) ? tm.tm_year + 1900 : 1970;
}

/* "Sunday, 06-Nov-94 08:49:37 GMT": a year that seems more than 50 years ahead was the last one
 * that ended so. */
static int parse_rfc850(struct slice text, time_t now, time_t *when)
{
	struct date_parts d;
	int n[5];
	size_t i = 0;
	while (i < COUNT_OF(days) && !slice_starts(text, slice_of(days[i])))
		i++;
	if (i == COUNT_OF(days))
		return -1;
	text = slice_from(text, strlen(days[i]));
	if (text.len != 24 || match(text.ptr, ", dd-m-dd dd:dd:dd GMT", n, &d.month))
		return -1;
	int this_year = year_of(now);
	int year = this_year - this_year % 100 + n[1];
	if (year > this_year + 50)
		year -= 100;
	d = (struct date_parts){year, d.month, n[0], n[2], n[3], n[4]};
	return to_time(&d, when);
}

int date_parse(struct slice text, time_t now, time_t *when)
{
	if (parse_fixdate(text, when) == 0 || parse_asctime(text, when) == 0)
		return 0;
	return parse_rfc850(text, now, when);
}
