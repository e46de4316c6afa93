/* SPDX-License-Identifier: BSD-2-Clause */
/* The time, read once a turn of the loop and kept. */
#ifndef WEIR_BASE_CLOCK_H
#define WEIR_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* One a thread; whoever runs the loop calls clock_update at the start of each turn. */
struct clock {
	uint64_t monotonic_ms;
	uint64_t monotonic_us;
	time_t wall;        /* seconds since the epoch */
	uint32_t wall_us;   /* and microseconds */
	char epoch[21];     /* `wall` in decimal digits, and a NUL */
	char http_date[30]; /* IMF-fixdate of `wall` (RFC 9110, 5.6.7), 29 octets and a NUL */
	char log_time[27];  /* 23/Nov/2026:22:51:27 +0000, local time, 26 octets and a NUL */
};

/* Reads the time; formats the texts again only when the second changed. */
void clock_update(struct clock *clock);
/* IMF-fixdate at `to`: exactly 29 octets and a NUL. Independent of locale and time zone. */
void clock_http_date(char to[30], time_t when);

#endif
