/* SPDX-License-Identifier: BSD-2-Clause */
/* What a version of HTTP offers an exchange: h1, h2, what explains, and the tests' loopback. */
#ifndef WEIR_HTTP_CARRIER_H
#define WEIR_HTTP_CARRIER_H

#include "http/request.h"

struct ready;

/* All are called on the request's thread, never after exchange_gone. None of them calls back into the exchange before it returns. */
struct carrier_ops {
	const char *name; /* "http/1.1" */
	/* Sends request->response. `end`: no body octets follow (HEAD, 204, 304, empty ones). */
	void (*send_head)(struct request *request, bool end);
	/* An interim response (100, 102, 103). Nothing is sent to HTTP/1.0. */
	void (*send_info)(struct request *request, unsigned status, const struct fields *fields);
	/* Takes all spans of `body` over. `end`: it is whole with these; trailers may be NULL. */
	void (*send_body)(struct request *request, struct chunks *body, bool end,
		const struct fields *trailers);
	/* How many more bytes of memory it takes before the peer must read some; 0: exchange_room is called when there is room. */
	size_t (*room)(struct request *request);
	/* Sends an answer that stands ready (head and body at once; `head_only` for HEAD). The carrier takes a reference of its own
	 * where it cannot send at once. NULL: the exchange sends it by the other calls. */
	void (*send_ready)(struct request *request, struct ready *ready, bool head_only);
	/* The answer cannot be completed: the peer must not take it for whole. The connection (h2: the stream) ends. */
	void (*abort)(struct request *request);
};

/* --- What a carrier calls. --- */

/* The head is whole and checked: finds site and route, and runs the chain. The answer may be sent before this returns. */
void exchange_begin(struct request *request);
/* Answers a request whose head is not usable (400, 414, 431, 501, 505 …) with the built-in page; the carrier then closes. */
void exchange_refuse(struct request *request, unsigned status);
/* A connection was refused before anything was read of it, by an answer without a body that the carrier has sent by itself: it is counted and
 * observed as a request without a head. Done with when this returns. */
void exchange_unread(struct request *request, unsigned status, enum exchange_end why);
/* There is room again. */
void exchange_room(struct request *request);
/* The peer is gone or gave up: whatever is under way is cancelled. No carrier call follows. The carrier then calls exchange_finish. */
void exchange_gone(struct request *request, enum exchange_end why);
/* The last byte was handed to the kernel, or the exchange died: observers run, everything but the arena is given back.
 * The carrier may reset the arena and reuse the request's memory afterwards. */
void exchange_finish(struct request *request);

#endif
