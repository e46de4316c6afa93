/* SPDX-License-Identifier: BSD-2-Clause */
/* One request to a backend in HTTP/1.1: what its sending and its receiving half share. */
#ifndef WEIR_HANDLERS_PROXY_ORIGIN_H1_PRIV_H
#define WEIR_HANDLERS_PROXY_ORIGIN_H1_PRIV_H

#include "handlers/proxy/origin_h1.h"
#include "http/h1_framing.h"

#define ORIGIN_WINDOW 65536 /* bytes of a body in memory, each way */

enum origin_sending {
	SENDING_NOTHING, /* no connection yet */
	SENDING_HELD,    /* the head is on its way; the body waits for 100, a tunnel for 101 */
	SENDING_BODY,    /* the body is pulled as it goes out */
	SENDING_WHOLE,   /* nothing more comes: what is left stands in `out` */
	SENDING_STOPPED, /* nothing more is sent, whole or not */
};

enum origin_receiving {
	RECEIVING_HEAD,
	RECEIVING_BODY,
	RECEIVING_TRAILERS,
	RECEIVING_DONE,
	RECEIVING_FAILED,
};

struct origin {
	struct origin *next_spare;
	struct backend *backend;
	struct server_conn *conn;             /* NULL: not any more */
	const struct origin_request *request; /* NULL once head or failed was told */
	const struct origin_events *events;
	void *owner;
	struct arena *arena;
	struct task task; /* a failure to be told, or a body to go on with, from the loop */
	unsigned server;  /* of the backend's */
	unsigned tries;   /* servers that could not be connected to, or are down */
	unsigned depth;   /* callbacks under way: it is freed when the outermost returns */
	bool dead;        /* cancelled */
	bool starting;    /* inside origin_send: nothing may be told */
	bool kept;        /* the connection had another request before */
	bool repeated;    /* sent again, after a connection that ended without an answer */
	bool tunnel;
	bool failed_later; /* `failure` is to be told by the task */
	enum origin_failure failure;
	enum origin_failure refusal; /* what it is when there is no server left */
	struct server_waiter waiter; /* for names to be looked up */
	struct deadline patience;    /* with that */

	/* The request's way. */
	enum origin_sending sending;
	struct source *body;
	uint64_t body_left; /* LENGTH_UNKNOWN: in chunks */
	bool body_pulled;
	bool body_paused; /* `wake` is awaited */
	bool half_closed;
	struct chunks out;
	struct chunks held; /* what went out of it while it may have to be sent again */
	bool holding;       /* everything that went out stands in `held` */
	bool unwritable;    /* writing failed; what the backend said before is still to be read */
	uint64_t sent;      /* bytes that went out on this connection */
	bool awaited;       /* all is sent, and nothing came yet: loop_await */

	/* The answer's way. */
	enum origin_receiving receiving;
	struct chunk_block *block;
	uint32_t from, to; /* what is unread in the block */
	size_t seen;       /* of a head or of trailers */
	uint64_t heads;    /* bytes of heads read */
	bool told_continue;
	bool keep;    /* the connection may be kept behind the answer */
	bool extra;   /* bytes came behind the answer */
	bool quiet;   /* silence is no fault: server-sent events */
	bool stalled; /* not watched for reading: the taker has no room */
	bool readable;
	bool answer_paused; /* the taker waits for source_wake */
	size_t burst;       /* bytes read since the loop's last event */
	uint64_t idle_ms;   /* what Keep-Alive says; 0: nothing */
	struct body_framing framing;
	struct chunked chunked;
	struct chunks ready; /* body read with the head */
	struct source answer;
	struct fields trailers;
	struct origin_response response;
};

/* --- origin_h1.c --- */

/* Around each callback in which the owner may cancel: the origin is freed when the outermost one returns. */
void origin_enter(struct origin *o);
void origin_leave(struct origin *o);

/* The way the failure is told depends on how far the answer is: `failed`, or the body's PULL_FAILED. The connection is closed. */
void origin_fail(struct origin *o, enum origin_failure why);
/* The connection ended before any octet of an answer: sends the request again where that is allowed, else fails. */
void origin_lost(struct origin *o);
/* The answer is whole: gives the connection back, or closes it. */
void origin_settle(struct origin *o);
/* The kept connection took nothing of the request, which stands in `out` whole: goes on with a new one. */
void origin_reconnect(struct origin *o);
/* What the connection waits for, anew. */
void origin_watch(struct origin *o);
/* Sets the deadline for the backend's next sign of life. */
void origin_expect(struct origin *o);

/* --- origin_h1_send.c --- */

/* Writes the head into `out` and begins with the body where it need not wait. */
void origin_send_head(struct origin *o);
/* The body need not wait any more. */
void origin_release_body(struct origin *o);
/* Pulls and writes as much as goes now. */
void origin_send_more(struct origin *o);
/* The same for a head. Where nothing of the body is there, it waits until this turn of the loop ends: in HTTP/2 what was read often has the
 * body as well, and both leave by one call. */
void origin_send_first(struct origin *o);
/* No more is sent; the body is given back. */
void origin_send_stop(struct origin *o);
/* The backend has begun to answer: nothing is sent again. */
void origin_send_let_go(struct origin *o);

/* --- origin_h1_receive.c --- */

/* The connection is readable. */
void origin_receive(struct origin *o);
/* Drops what was read and not taken. */
void origin_receive_drop(struct origin *o);
extern const struct source_ops origin_answer_ops;

#endif
