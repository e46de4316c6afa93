/* SPDX-License-Identifier: BSD-2-Clause */
/* Conditional requests (RFC 9110, 13): the five preconditions in their order. */
#ifndef WEIR_HTTP_CONDITION_H
#define WEIR_HTTP_CONDITION_H

#include <stdbool.h>
#include <time.h>

#include "http/field.h"
#include "http/token.h"

/* What tells versions of a representation apart. */
struct validators {
	struct slice etag;    /* with its quotes, "W/" before it when weak; len 0: none */
	time_t last_modified; /* 0: none */
};

enum condition_result {
	CONDITION_TRUE,         /* go on */
	CONDITION_NOT_MODIFIED, /* 304 */
	CONDITION_FAILED,       /* 412 */
};

/* Evaluates If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since (13.2.2, steps 1 to 4). `exists`: there is a current
 * representation. Dates that are none, or that stand there twice, are ignored; a malformed list of tags holds no tag behind that place. */
enum condition_result condition_evaluate(const struct fields *fields, enum method method,
	const struct validators *v, bool exists, time_t now);
/* Step 5: may Range be obeyed? True without If-Range; with one only when it fits by strong comparison (13.1.5); a
 * date fits when it equals last_modified and that second is over. */
bool condition_range(const struct fields *fields, const struct validators *v, time_t now);

/* Is the tag in the list (or is the list "*")? strong: by strong comparison (8.8.3.2). */
bool etag_in_list(struct slice list, struct slice etag, bool strong);

#endif
