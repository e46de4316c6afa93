/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of one request: chain of handlers, answer, body, end. What handlers call; what carriers call is in carrier.h. */
#ifndef WEIR_HTTP_EXCHANGE_H
#define WEIR_HTTP_EXCHANGE_H

#include "http/carrier.h"
#include "http/handler.h"
#include "http/ready.h"

/* A handler that returns TAKEN without having answered says how it is stopped when the client goes away: `cancel` is called at most
 * once, and not after the handler answered or passed. `state` is the handler's own: request_state. */
void exchange_hold(struct request *request, void (*cancel)(struct request *request), void *state);
static inline void *request_state(const struct request *request)
{
	return request->x.state;
}

/* Later, after TAKEN: the handler has no answer; the next one is tried. */
void exchange_pass(struct request *request);

/* Sends request->response; `body` (taken over; NULL: none) is pulled as the carrier has room. For HEAD, 204 and 304 the body
 * is cancelled unread. `body` may end before `response.length` only by FAILED. */
void exchange_respond(struct request *request, struct source *body);
/* Sends an answer that stands ready; keeps no reference beyond what the queue needs. */
void exchange_ready(struct request *request, struct ready *ready);
/* The answer, whoever makes it, depends on these fields of the request (RFC 9110, 12.5.5): they are added to its Vary. Once a request; the
 * names are static. */
void exchange_vary(struct request *request, struct slice names);
/* Interim responses: 102 and 103 of a backend, 100. */
void exchange_info(struct request *request, unsigned status, const struct fields *fields);
/* The answer under way cannot be completed. Also from a handler before it has answered: the client sees a closed connection. */
void exchange_abort(struct request *request, enum exchange_end why);

/* Discards an answer that was not sent and runs the chain anew for `path` (normalized, with an optional "?query"), as GET (HEAD stays
 * HEAD), with the status kept when it is not 0. At most 10 times, then 500. A reroute does not enter a route with a policy of its
 * own unless that is marked internal. `why` is for the log. */
void exchange_reroute(struct request *request, struct slice path, unsigned status, const char *why);

/* Sorts observers and stages out of thread->table; once a thread, before its first request. */
void exchange_thread_prepare(struct exchange_thread *thread);

#endif
