/* SPDX-License-Identifier: BSD-2-Clause */
/* The counters' names. */
#include "base/counters.h"

#include "base/check.h"

const char *counter_name(enum counter which)
{
	static const char *const names[COUNTER_COUNT] = {
		[COUNTER_CONNECTIONS] = "connections",
		[COUNTER_OPEN] = "open",
		[COUNTER_REQUESTS] = "requests",
		[COUNTER_REQUESTS_OPEN] = "requests_open",
		[COUNTER_BYTES_IN] = "bytes_in",
		[COUNTER_BYTES_OUT] = "bytes_out",
		[COUNTER_STATUS_1XX] = "status_1xx",
		[COUNTER_STATUS_2XX] = "status_2xx",
		[COUNTER_STATUS_3XX] = "status_3xx",
		[COUNTER_STATUS_4XX] = "status_4xx",
		[COUNTER_STATUS_5XX] = "status_5xx",
		[COUNTER_LOG_LINES_LOST] = "log_lines_lost",
		[COUNTER_SIGNATURES_FAILED] = "signatures_failed",
		[COUNTER_HANDSHAKES_FAILED] = "handshakes_failed",
	};
	check((unsigned)which < COUNTER_COUNT && names[which]);
	return names[which];
}
