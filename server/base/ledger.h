/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters by name, one row for each site and upstream. They stand in shared memory and outlive workers, like those of counters.h. */
#ifndef WEIR_BASE_LEDGER_H
#define WEIR_BASE_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define LEDGER_ROWS     256
#define LEDGER_NAME_MAX 112 /* octets; longer names are cut */

enum ledger_kind { LEDGER_NONE, LEDGER_SITE, LEDGER_UPSTREAM, LEDGER_KINDS };

enum ledger_counter {
	LEDGER_REQUESTS, /* that have ended */
	LEDGER_OPEN,     /* now under way: the only one that goes down */
	LEDGER_2XX,
	LEDGER_3XX,
	LEDGER_4XX,
	LEDGER_5XX,
	LEDGER_BYTES,  /* of bodies sent to clients */
	LEDGER_FAILED, /* upstreams: requests that got no answer of theirs, or not the whole of it */
	LEDGER_COUNTERS
};

/* One row of one writer, in a cache line of its own. */
struct ledger_line {
	_Atomic uint64_t value[LEDGER_COUNTERS];
} __attribute__((aligned(64)));

/* Whose row it is. Written once, by whoever claims it: `kind` last. */
struct ledger_name {
	_Atomic uint32_t kind;   /* enum ledger_kind */
	_Atomic uint32_t places; /* bits of the workers that have it in their configuration */
	_Atomic uint32_t length;
	char text[LEDGER_NAME_MAX];
};

/* All zero is an empty one. The first row of each kind that finds no place of its own is the one of all the rest: "(others)". */
struct ledger {
	struct ledger_name names[LEDGER_ROWS];
	struct ledger_line lines[][LEDGER_ROWS]; /* by writer: a thread of a worker */
};

/* How many bytes one for so many writers takes. Sparse: only what is written to is ever touched. */
size_t ledger_size(unsigned writers);
/* The row of a name, made where there is none yet; noted as in use by the worker at `place` (0 to 31). From any process. */
unsigned ledger_row(
	struct ledger *ledger, enum ledger_kind kind, struct slice name, unsigned place);
/* The worker at `place` is gone, or new: it has no names yet. */
void ledger_leave(struct ledger *ledger, unsigned place);

/* Adds without a locked instruction: a line has one writer. */
static inline void ledger_add(
	struct ledger_line *lines, unsigned row, enum ledger_counter which, int64_t n)
{
	_Atomic uint64_t *value = &lines[row].value[which];
	uint64_t old = atomic_load_explicit(value, memory_order_relaxed);
	atomic_store_explicit(value, old + (uint64_t)n, memory_order_relaxed);
}

/* The counter's name as in status and metrics: "requests". */
const char *ledger_counter_name(enum ledger_counter which);

#endif
