/* SPDX-License-Identifier: BSD-2-Clause */
/* Which fields pass through the proxy, and which it makes itself (RFC 9110, 7.6; RFC 7239). */
#ifndef WEIR_HANDLERS_PROXY_FORWARD_H
#define WEIR_HANDLERS_PROXY_FORWARD_H

#include "handlers/proxy/upstream.h"
#include "http/origin.h"

/* Fills a request to a backend from the client's, but for its body: method, target, fields, tunnel, what is asked for. All in
 * the request's arena. 0, or the status to answer with: 508 where it came round in a circle. */
unsigned forward_request(
	struct request *request, const struct upstream *upstream, struct origin_request *out);
/* Does Max-Forwards say that it ends here (RFC 9110, 7.6.2)? */
bool forward_ends_here(const struct request *request);
/* Puts a backend's head into request->response. */
void forward_response(
	struct request *request, const struct upstream *upstream, const struct origin_response *in);
/* Removes what tells of a backend's software. */
void forward_interim(struct fields *fields);
/* Likewise, and what may not stand in trailers: what is about framing, routing, identity. */
void forward_trailers(struct fields *fields);

#endif
