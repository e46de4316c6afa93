/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters that survive workers: one shared array with a slot a thread of each worker. */
#ifndef WEIR_BASE_COUNTERS_H
#define WEIR_BASE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

enum counter {
	COUNTER_CONNECTIONS, /* accepted */
	COUNTER_OPEN,        /* open now: the only one that goes down */
	COUNTER_REQUESTS,
	COUNTER_REQUESTS_OPEN,
	COUNTER_BYTES_IN,
	COUNTER_BYTES_OUT,
	COUNTER_STATUS_1XX,
	COUNTER_STATUS_2XX,
	COUNTER_STATUS_3XX,
	COUNTER_STATUS_4XX,
	COUNTER_STATUS_5XX,
	COUNTER_LOG_LINES_LOST,
	COUNTER_SIGNATURES_FAILED, /* handshakes that the signer did not answer */
	COUNTER_HANDSHAKES_FAILED, /* TLS was begun by a client, and not agreed on */
	COUNTER_COUNT
};

/* A slot has one writer, its thread, and any readers. */
struct counters {
	_Atomic uint64_t value[COUNTER_COUNT];
} __attribute__((aligned(64)));

/* Adds without a locked instruction: the thread is the only writer. */
static inline void counter_add(struct counters *c, enum counter which, int64_t n)
{
	uint64_t old = atomic_load_explicit(&c->value[which], memory_order_relaxed);
	atomic_store_explicit(&c->value[which], old + (uint64_t)n, memory_order_relaxed);
}

static inline uint64_t counter_read(const struct counters *c, enum counter which)
{
	return atomic_load_explicit(&c->value[which], memory_order_relaxed);
}

/* The counter's name as in status and metrics: "requests". */
const char *counter_name(enum counter which);

#endif
