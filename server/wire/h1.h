/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/1.0 and 1.1 on a client's connection (RFC 9112): one request at a time, the carrier of its exchange. */
#ifndef WEIR_WIRE_H1_H
#define WEIR_WIRE_H1_H

#include "http/carrier.h"
#include "http/h1_framing.h"
#include "wire/conn.h"

#define H1_STREAM_MEMORY 4096
#define H1_DRAIN_MAX                                                                               \
	(64 * 1024) /* octets of an unread body that are passed over to keep the connection */
#define H1_PIPELINE_MAX (16 * 1024) /* octets that are read ahead while a request is under way */

extern const struct protocol h1_protocol;
extern const struct carrier_ops h1_carrier;

/* How far the request's body was read off the connection. */
enum h1_body_state {
	H1_BODY_NONE,    /* there is none, or it was read to its end */
	H1_BODY_DATA,    /* its octets, or chunks, are next */
	H1_BODY_TRAILER, /* the last chunk was read, the trailer section is next */
	H1_BODY_FAILED,  /* malformed, too long, too slow, or cut: the connection cannot go on */
};

/* A request under way. Only connections that have one pay for it. */
struct h1_stream {
	struct request request;
	struct conn *conn;
	struct peer peer;
	struct address address;
	struct source body; /* of the request, while somebody has it */
	enum h1_body_state body_state;
	struct body_framing framing;
	struct chunked chunked;
	uint64_t body_left;         /* FRAMING_LENGTH */
	struct chunk_block *crumbs; /* where its small pieces are gathered */
	size_t trailer_seen;
	struct fields trailers;
	uint64_t drained; /* octets passed over after the answer */
	bool body_held;   /* somebody may pull it */
	bool body_wanted; /* a pull found nothing: wake when there is something */
	bool expecting; /* the client may wait for 100 before it sends the body, or never send it */
	bool close;     /* the connection ends with this answer */
	bool refused;   /* the head was not usable: what follows it means nothing */
	bool chunked_out; /* the answer is framed in chunks */
	bool raw;         /* a tunnel */
	bool half_closed; /* and its answering side has ended */
	bool out_end;     /* the answer is whole in the queue */
	bool aborted;     /* the answer cannot be completed */
	bool finished;    /* exchange_finish was called */
	uint8_t signs;    /* how often a client that has ended its half was looked for */
	enum exchange_end
		protocol_end; /* why it was broken off, when it was not the client's going */
	/* While it is in the pool, it begins with the next one there. */
	_Alignas(void *) char memory[H1_STREAM_MEMORY];
};

/* --- Between the files of h1. --- */

/* Reads the head into the request: method, target, host, framing, what the connection's fields say. 0 or the status to refuse it with. */
unsigned h1_read_head(struct h1_stream *s, const char *head, size_t length);
/* Of a head that cannot be parsed: the request line as far as it is sound, for the log, and so that the refusal has no body where HEAD was
 * asked for. `bytes` live as long as the request. */
void h1_note_line(struct request *request, const char *bytes, size_t length);
/* The request's body as its exchange sees it. */
void h1_body_init(struct h1_stream *s);
/* Passes over what came of a body that nobody wants. */
void h1_body_drain(struct h1_stream *s);
/* The body cannot be had: FAILED to whoever pulls, `status` (0: the client is gone) for the answer. */
void h1_body_fail(struct h1_stream *s, unsigned status);

/* Streams come from a pool of the wire. */
struct h1_stream *h1_stream_new(struct conn *c);
void h1_stream_free(struct h1_stream *s);
void h1_streams_drop(struct wire *wire);

#endif
