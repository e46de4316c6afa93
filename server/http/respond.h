/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers that weir makes itself: statuses with their pages, redirects, fields of the site. */
#ifndef WEIR_HTTP_RESPOND_H
#define WEIR_HTTP_RESPOND_H

#include "http/exchange.h"

/* Answers with a status: the site's own page for it (by reroute) or the built-in one. Fields that stand in request->response.fields
 * (Allow, Retry-After, WWW-Authenticate) are kept. */
void respond_status(struct request *request, unsigned status);
/* Is a backend's own answer with that status to be replaced by a page of the site (`errors`, intercept)? */
bool respond_intercepts(const struct request *request, unsigned status);
/* Replaces it: its head stands in request->response and was not sent, its body is gone. The status stays, and what its fields say of more
 * than its body. */
void respond_intercepted(struct request *request);
/* The built-in page, never a reroute. */
void respond_builtin(struct request *request, unsigned status);
/* A redirect: Location is `location` (absolute path or URI, in the arena or static), without control octets. Where an error page is
 * looked for, the built-in one. */
void respond_redirect(struct request *request, unsigned status, struct slice location);
/* 404, or 405 with Allow when a resource is there that does not take this method; 204 with Allow to OPTIONS. */
void respond_nothing(struct request *request);
/* The method is not one that is handled here: 405 with Allow (request->x.allow, else GET and HEAD), 204 with Allow to OPTIONS, 501 to CONNECT. */
void respond_method(struct request *request);
/* Adds a field to the answer that is being made. */
void respond_field(struct request *request, enum field_id id, struct slice value);
/* A body of memory: a source over a copy of the bytes. */
struct source *respond_memory(struct request *request, const void *bytes, size_t length);

/* A body of memory that has an owner, of which the source takes a reference of its own. */
struct source *respond_spans(
	struct request *request, struct ref *owner, const char *bytes, size_t length);

/* Applies the scope's `headers` to a list of fields: exchange_respond does it for every answer, makers of ready answers call it. */
void respond_decorate(
	const struct scope *scope, struct fields *fields, struct arena *arena, bool encrypted);
/* Takes out of what somebody says beside the answer's head, in trailers and interim answers, what the scope's `headers` remove, or say
 * themselves. */
void respond_strip(const struct scope *scope, struct fields *beside);

#endif
