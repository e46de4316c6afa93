/* SPDX-License-Identifier: BSD-2-Clause */
/* What an answer's place among others is (RFC 9218). */
#ifndef WEIR_HTTP_PRIORITY_H
#define WEIR_HTTP_PRIORITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define PRIORITY_URGENCY_USUAL 3
#define PRIORITY_URGENCY_LEAST 7

struct priority {
	uint8_t urgency;  /* 0: the most urgent, to 7 */
	bool incremental; /* useful in part: takes turns with others of its urgency */
};

/* Reads a Priority field; what it does not say stays as it is, and so does all where it is malformed. */
void priority_read(struct slice value, struct priority *priority);

#endif
