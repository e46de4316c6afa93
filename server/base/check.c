/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of a worker whose state cannot be trusted any more. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

/* Standard error is written to directly, since it may be the log that is broken. */
_Noreturn void check_failed(const char *condition, const char *file, int line)
{
	char text[512];
	int len = snprintf(
		text, sizeof(text), "broken invariant: %s (%s:%d)\n", condition, file, line);
	if (len > (int)sizeof(text) - 1)
		len = (int)sizeof(text) - 1;
	if (write(2, text, (size_t)len) < 0) {
		/* There is nobody left to tell. */
	}
	if (log_descriptor() != 2)
		log_error("broken invariant: %s (%s:%d)", condition, file, line);
	abort();
}
