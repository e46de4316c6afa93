/* SPDX-License-Identifier: BSD-2-Clause */
/* Work for several clients or for none (cache fill, revalidation, auth subrequest): an exchange of its own on an internal carrier. */
#ifndef WEIR_HTTP_ERRAND_H
#define WEIR_HTTP_ERRAND_H

#include "http/exchange.h"

struct errand;

/* Told about an errand's answer, on its thread. */
struct errand_events {
	/* The head of the answer; `request->response` is whole. */
	void (*head)(void *owner, struct request *request);
	/* Spans of its body, taken over; at `end` it is whole. */
	void (*body)(void *owner, struct chunks *spans, bool end);
	/* It failed; nothing else follows. */
	void (*failed)(void *owner);
};

/* Runs a request without a client through the chain of a scope, behind the handler `after` (NULL: from its beginning). Copies what it needs
 * of `like`, and outlives it. Nothing is told from inside this call. */
struct errand *errand_start(const struct request *like, struct slice path,
	const struct handler *after, const struct errand_events *events, void *owner);
/* How many more bytes the owner takes; 0 holds the answer back. */
void errand_room(struct errand *errand, size_t room);
/* Nothing is told any more; frees. Also after `end` and `failed`. */
void errand_cancel(struct errand *errand);

#endif
