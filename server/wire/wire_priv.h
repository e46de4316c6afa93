/* SPDX-License-Identifier: BSD-2-Clause */
/* The wire's own state, for the files of this room. */
#ifndef WEIR_WIRE_PRIV_H
#define WEIR_WIRE_PRIV_H

#include "wire/conn.h"

struct h1_stream;

struct wire {
	struct exchange_thread *thread;
	struct loop *loop;
	struct wire_shared *shared;
	void (*empty)(void *context);
	void *context;
	struct link conns; /* oldest first */
	unsigned open;
	struct conn *free_conns; /* linked by `state` */
	struct conn_slab *slabs;
	struct h1_stream *free_streams;
	unsigned free_stream_count;
	bool stopping;
};

/* The connection's memory goes back to the pool; the last act on it. */
void wire_recycle(struct wire *wire, struct conn *c);
/* The client's address. */
void wire_peer(const struct conn *c, struct address *address);
/* A connection has ended: the counts. */
void wire_closed(struct wire *wire, struct conn *c);

#endif
