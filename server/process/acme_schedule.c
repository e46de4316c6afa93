/* SPDX-License-Identifier: BSD-2-Clause */
/* When certificates are asked for. Let's Encrypt allows five failed validations an hour, a name and account: attempts 0, 1, 4, 13 and 40 minutes
 * after the first stay below that. */
#include "process/acme_schedule.h"

#include <stdio.h>
#include <string.h>

time_t acme_renewal(time_t begins, time_t ends, uint64_t seed)
{
	if (ends <= begins)
		return begins;
	uint64_t lifetime = (uint64_t)ends - (uint64_t)begins;
	uint64_t spread = lifetime / 20 + 1;
	return begins + (time_t)((lifetime * 2 + 2) / 3 + seed % spread);
}

time_t acme_retry(time_t now, unsigned failures, time_t not_before, uint64_t seed)
{
	int64_t wait = ACME_RETRY_FIRST;
	for (unsigned i = 1; i < failures && wait < ACME_RETRY_MOST; i++)
		wait *= 3;
	if (wait > ACME_RETRY_MOST)
		wait = ACME_RETRY_MOST;
	wait += (int64_t)(seed % (uint64_t)(wait / 4 + 1));
	if (not_before > now + ACME_PAUSE_MOST)
		not_before = now + ACME_PAUSE_MOST;
	return not_before > now + wait ? not_before : now + wait;
}

/* FNV-1a, and the finish of MurmurHash3: texts that differ in one octet are far apart. */
uint64_t acme_seed(struct slice text, uint64_t more)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ more;
	for (size_t i = 0; i < text.len; i++)
		hash = (hash ^ (unsigned char)text.ptr[i]) * UINT64_C(0x100000001b3);
	hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
	hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return hash ^ hash >> 33;
}

time_t acme_retry_after(struct slice text)
{
	static const char words[] = "retry after ";
	char copy[24] = "";
	struct tm tm = {0};
	const char *at = memmem(text.ptr, text.len, words, sizeof(words) - 1);
	if (!at)
		return 0;
	struct slice rest = slice_from(text, (size_t)(at - text.ptr) + sizeof(words) - 1);
	memcpy(copy, rest.ptr, rest.len < 20 ? rest.len : 20);
	if (sscanf(copy, "%4d-%2d-%2d%*1[ T]%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		    &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
		return 0;
	if (tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	time_t when = timegm(&tm);
	return when < 0 ? 0 : when;
}
