/* SPDX-License-Identifier: BSD-2-Clause */
/* The wire's own state, for the files of this room. */
#ifndef WEIR_WIRE_PRIV_H
#define WEIR_WIRE_PRIV_H

#include "wire/conn.h"

struct h1_stream;
struct h2_stream;

struct wire {
	struct exchange_thread *thread;
	struct loop *loop;
	struct wire_shared *shared;
	void (*empty)(void *context);
	void *context;
	struct link conns;
	unsigned open;
	struct conn *free_conns; /* linked by `state` */
	struct conn_slab *slabs;
	struct h1_stream *free_streams;
	unsigned free_stream_count;
	struct h2_stream *free_h2_streams;
	unsigned free_h2_stream_count;
	unsigned h2_bodies; /* of requests, that somebody may still pull */
	bool stopping;
};

static inline uint32_t conn_now_ms(const struct conn *c)
{
	return (uint32_t)c->wire->loop->clock.monotonic_ms;
}

/* What is under way is to be the last of this connection. */
static inline bool conn_last(const struct conn *c)
{
	return c->wire->thread->draining || c->transport.worn;
}

/* --- conn_write.c --- */

/* Takes from what this connection may do before others have their turn. False: it goes on in the loop's next turn. */
bool conn_spend(struct conn *c, size_t *budget, size_t cost);
/* Sends what is queued, as far as the budget goes. True: all of it is sent. */
bool conn_flush(struct conn *c, size_t *budget);
/* Nobody waits for pages of a file any more. */
void conn_cold_forget(struct conn *c);

/* --- conn.c --- */

/* There is room again in the socket of a connection: see loop_watch_room. */
void conn_has_room(void *who);
/* The transport gave IO_ERROR, errno says which. */
void conn_fail(struct conn *c);

/* --- handshake.c --- */

/* Until there is a version of HTTP. */
extern const struct protocol handshake_protocol;

/* --- wire.c --- */

/* The connection's memory goes back to the pool; the last act on it. */
void wire_recycle(struct wire *wire, struct conn *c);
/* What is known of the client; `address`, which becomes the peer's, lives as long. */
void wire_peer(const struct conn *c, struct peer *peer, struct address *address);
/* What Expect asks for: 0, or the status to refuse the head with. */
unsigned request_read_expect(struct request *r);
/* A connection has ended: the counts. */
void wire_closed(struct wire *wire, struct conn *c);

#endif
