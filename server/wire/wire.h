/* SPDX-License-Identifier: BSD-2-Clause */
/* All connections of one loop thread: taken from the listeners, drained, ended. */
#ifndef WEIR_WIRE_WIRE_H
#define WEIR_WIRE_WIRE_H

#include <stdatomic.h>

#include "http/handler.h"
#include "io/listen.h"

/* What all threads of a worker share: one a worker, made by process/worker, all zero at first. */
struct wire_shared {
	_Atomic int64_t connections; /* open now */
	_Atomic uint64_t numbers;    /* the last number given to a connection */
};

struct wire;

/* On the loop's thread. `empty` (may be NULL) is called when the last connection of a draining wire is gone. */
struct wire *wire_start(struct exchange_thread *thread, struct wire_shared *shared,
	void (*empty)(void *context), void *context);
/* A listener's accept function; its context is the struct wire. */
bool wire_accept(struct listener *listener, int fd, const struct address *peer, void *context);
/* Finish what is under way: answers say Connection: close, idle connections are closed once they were idle for 2 s.
 * thread->draining is set. */
void wire_drain(struct wire *wire);
/* How many connections are open. */
unsigned wire_open(const struct wire *wire);
/* Cuts all connections and frees; `empty` is not called. */
void wire_stop(struct wire *wire);

#endif
