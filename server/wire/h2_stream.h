/* SPDX-License-Identifier: BSD-2-Clause */
/* One request on an HTTP/2 connection: the carrier of its exchange, its body's source. */
#ifndef WEIR_WIRE_H2_STREAM_H
#define WEIR_WIRE_H2_STREAM_H

#include "http/carrier.h"
#include "wire/h2.h"

#define H2_STREAM_MEMORY 3072

extern const struct carrier_ops h2_carrier;

struct h2_stream {
	struct h2_part part;
	struct request request;
	struct h2_conn *h2;
	struct priority priority;
	struct link link;                               /* in h2->streams */
	struct link hungry;                             /* in h2->hungry */
	struct link fed;                                /* in h2->fed */
	struct link whole;                              /* in h2->whole */
	struct slice scheme, authority, path, protocol; /* pseudo-fields; ptr NULL: did not come */
	struct source body;                             /* of the request, while somebody has it */
	struct chunks in; /* of it: what has come and was not pulled */
	struct fields trailers;
	size_t list_size;  /* of the header section, RFC 9113, 10.5.1 */
	uint64_t whole_at; /* h2->queued, behind its last octet */
	uint64_t waiting;  /* octets of memory in part.out, as h2->waiting counts them */
	uint32_t progress; /* when octets moved last, or were waited for first, in ms */
	uint64_t
		announced; /* of the request's body, or LENGTH_UNKNOWN: a reroute goes on without it, and it comes all the same */
	uint32_t allowed;  /* of the request's body: what may be under way or wait */
	uint32_t
		withheld; /* of what is pulled next the peer may not send as much again: it was allowed more */
	uint32_t window; /* begin of the span in which the rate is counted */
	uint32_t rate_bytes;
	uint8_t wait;      /* enum conn_wait, at the last sweep */
	uint16_t status;   /* to refuse the head with; 0: none */
	bool malformed;    /* it is answered by a reset */
	bool fields_begun; /* no pseudo-field may come any more */
	bool head_whole;   /* what comes now are trailers */
	bool begun;        /* the exchange has */
	bool body_held;    /* somebody may pull it */
	bool body_wanted;  /* a pull found nothing: wake when there is something */
	bool body_failed;
	bool raw; /* a tunnel */
	bool aborted;
	bool mute;     /* nothing of the answer is sent: a reset is */
	bool closed;   /* the session has forgotten it */
	bool finished; /* exchange_finish was called */
	enum exchange_end protocol_end;
	/* While it is in the pool, it begins with the next one there. */
	_Alignas(void *) char memory[H2_STREAM_MEMORY];
};

static inline struct h2_stream *h2_stream_of(struct request *request)
{
	return container_of(request, struct h2_stream, request);
}

/* Streams come from a pool of the wire. */
struct h2_stream *h2_stream_new(struct h2_conn *h2);
void h2_streams_drop(struct wire *wire);
/* Its place among others, by a Priority field; `ours`: of the answer. */
void h2_stream_prioritize(struct h2_stream *s, struct slice value, bool ours);
/* Ends its exchange, if that has not ended, and frees it when the session has forgotten it. */
void h2_stream_gone(struct h2_stream *s, enum exchange_end why);
/* Its last octet was handed to the kernel. */
void h2_stream_finish(struct h2_stream *s);

/* --- The head: h2_head.c --- */

/* A field of the header or trailer section; what is not good is noted. */
void h2_head_field(struct h2_stream *s, struct slice name, struct slice value, bool lasting);
/* The header section is whole: fills the request. False: it is malformed, or to be refused with s->status. */
bool h2_head_done(struct h2_stream *s);
/* Likewise the trailer section. */
bool h2_trailers_done(struct h2_stream *s);

/* --- The request's body: h2_body.c --- */

void h2_body_init(struct h2_stream *s);
void h2_body_take(struct h2_stream *s, const char *bytes, size_t length);
void h2_body_end(struct h2_stream *s);
/* FAILED to whoever pulls, `status` (0: the client is gone) for the answer. */
void h2_body_fail(struct h2_stream *s, unsigned status);
/* Drops what was not pulled; the peer may send as much again. */
void h2_body_drop(struct h2_stream *s);
void h2_body_wake(struct h2_stream *s);

#endif
