/* SPDX-License-Identifier: BSD-2-Clause */
/* When a certificate is to be asked for: pure functions of times. All times are seconds since 1970. */
#ifndef WEIR_PROCESS_ACME_SCHEDULE_H
#define WEIR_PROCESS_ACME_SCHEDULE_H

#include <stdint.h>
#include <time.h>

#include "base/bytes.h"

#define ACME_RETRY_FIRST 60    /* seconds after the first failure */
#define ACME_RETRY_MOST  86400 /* between two attempts, whatever failed how often */
#define ACME_PAUSE_MOST                                                                            \
	(8 * 86400) /* that an authority may ask for: its longest limits count a week */

/* When one that is valid from `begins` to `ends` is to be renewed: at two thirds of that, and up to a twentieth later by `seed`, so that
 * what was made at one time is not renewed at one time, by everybody. */
time_t acme_renewal(time_t begins, time_t ends, uint64_t seed);

/* When to try again at the earliest, after `failures` (at least 1) in a row: a minute, then three times as long each time, a day at most, and
 * up to a quarter longer by `seed`. Not before `not_before` (0: nothing was asked for), which is believed as far as ACME_PAUSE_MOST. */
time_t acme_retry(time_t now, unsigned failures, time_t not_before, uint64_t seed);

/* A seed that is the same on every machine and after every start. */
uint64_t acme_seed(struct slice text, uint64_t more);

/* Reads "2026-11-27 19:30:00 UTC" or "2026-11-27T19:30:00Z" where it stands behind the words "retry after". 0: it does not. */
time_t acme_retry_after(struct slice text);

#endif
