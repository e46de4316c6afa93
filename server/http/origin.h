/* SPDX-License-Identifier: BSD-2-Clause */
/* What HTTP/1.1, HTTP/2 and FastCGI offer whoever asks a backend: proxy, cache fetch, auth subrequest, health check. */
#ifndef WEIR_HTTP_ORIGIN_H
#define WEIR_HTTP_ORIGIN_H

#include "http/request.h"

struct origin;

/* The head of a request to a backend, as it goes out but for framing; lives until `head` or `failed` was reported. */
struct origin_request {
	struct arena *
		arena; /* heads and trailers of the answer are kept there: lives longer than the origin */
	struct slice method;
	enum method method_id;
	struct slice target;       /* "/path?query", or "*" */
	struct fields fields;      /* with Host, without hop-by-hop fields and framing */
	uint64_t length;           /* of the body: 0, a number, LENGTH_UNKNOWN */
	struct source *body;       /* NULL: none; taken over by origin_send */
	struct slice upgrade;      /* asks for a tunnel to one of the list */
	bool want_trailers;        /* TE: trailers is said */
	struct backend_seen *seen; /* filled as it happens; NULL: nobody asks */
	bool expect_continue; /* Expect is said, and the body not pulled before 100 came; after 1 s without any answer a 100 is told as if it came */
};

struct origin_response {
	unsigned status;
	struct slice reason;
	struct fields fields; /* without hop-by-hop fields */
	uint64_t length;      /* LENGTH_UNKNOWN: by framing */
	struct source *body;  /* taken over by who is told; NULL: none */
	struct slice upgrade; /* as in struct response */
	bool upgraded;        /* 101 or 2xx to CONNECT: body and request body go on unframed */
};

/* Why there is no answer. */
enum origin_failure {
	ORIGIN_CONNECT,   /* no server could be connected to */
	ORIGIN_CLOSED,    /* it closed before its head was whole */
	ORIGIN_TIMEOUT,   /* no connection, or no answer, in time */
	ORIGIN_MALFORMED, /* the answer is malformed or ambiguous */
	ORIGIN_BUSY,
	ORIGIN_DOWN, /* it is known of all servers that they are down: none was asked */
	ORIGIN_BODY, /* the request's own body was broken off */
};

/* What logs call it; END_COMPLETE: the request's carrier knows better. */
static inline enum exchange_end origin_failure_end(enum origin_failure why)
{
	switch (why) {
	case ORIGIN_CONNECT:
		return END_BACKEND_CONNECT;
	case ORIGIN_CLOSED:
		return END_BACKEND_CLOSED;
	case ORIGIN_TIMEOUT:
		return END_BACKEND_TIMEOUT;
	case ORIGIN_MALFORMED:
		return END_BACKEND_MALFORMED;
	case ORIGIN_BUSY:
		return END_BACKEND_BUSY;
	case ORIGIN_DOWN:
		return END_BACKEND_DOWN;
	case ORIGIN_BODY:
		break;
	}
	return END_COMPLETE;
}

/* Told on the caller's thread, never from inside origin_send. */
struct origin_events {
	void (*info)(void *owner, unsigned status,
		const struct fields *fields); /* 1xx but 101; any number */
	void (*head)(void *owner,
		struct origin_response *response); /* once; memory valid until origin_done */
	void (*failed)(void *owner, enum origin_failure why,
		bool repeatable); /* instead of head; nothing else follows */
};

struct origin_ops {
	/* Sends a request on a connection of its own choice (kept or new). Never NULL; failures are told later. */
	struct origin *(*send)(void *backend, struct exchange_thread *thread,
		struct origin_request *request, const struct origin_events *events, void *owner);
	/* The caller is done with it, in any state: after the body's END the connection may be kept, else it is closed.
	 * No event is told afterwards; the response's body must have been cancelled. */
	void (*cancel)(struct origin *origin);
};

#endif
