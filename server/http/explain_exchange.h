/* SPDX-License-Identifier: BSD-2-Clause */
/* What an exchange tells of its way: site, routes, the handlers of the chain with their verdicts. Called only where somebody asks
 * (request->explanation). */
#ifndef WEIR_HTTP_EXPLAIN_EXCHANGE_H
#define WEIR_HTTP_EXPLAIN_EXCHANGE_H

#include "http/explain.h"
#include "http/handler.h"

/* `pattern`: as route_site found it. */
void explain_site(struct request *request, struct slice pattern);
/* A chain is about to be tried for request->target.path: the client's own (why NULL), or one that takes its place. */
void explain_step(struct request *request, const char *why);
/* A handler has taken a request whose host no site has: its notes go into a step of its own. */
void explain_stray(struct request *request, const struct handler *handler);
/* Asks one handler of the chain, whose name stands in request->handled_by; its notes go into a group of its own. */
enum verdict explain_ask(struct request *request, const struct handler *handler);
/* The handler that has the request has decided: "passes", "answers". Nothing where none has it. */
void explain_verdict(struct request *request, const char *verdict);
/* Nobody in the chain has answered. */
void explain_nobody(struct request *request);

#endif
