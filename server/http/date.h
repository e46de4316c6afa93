/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP dates (RFC 9110, 5.6.7). Writing them is base/clock's clock_http_date. */
#ifndef WEIR_HTTP_DATE_H
#define WEIR_HTTP_DATE_H

#include <time.h>

#include "base/bytes.h"

/* Reads IMF-fixdate, RFC 850 and asctime forms. `now` places two-digit years. 0, or -1 when it is no date. */
int date_parse(struct slice text, time_t now, time_t *when);

#endif
