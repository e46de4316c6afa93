/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows are claimed by compare and exchange, for workers of two generations may claim at once; none is ever given back. */
#include "base/ledger.h"

#include <sched.h>

#include "base/check.h"

#define CLAIMED   UINT32_MAX /* somebody is writing the name */
#define PATIENCE  10000      /* looks at a name that is being written: its writer may have died */
#define OTHERS_AT (LEDGER_ROWS - LEDGER_KINDS)

size_t ledger_size(unsigned writers)
{
	return sizeof(struct ledger) + writers * sizeof(struct ledger_line[LEDGER_ROWS]);
}

static bool is_named(const struct ledger_name *row, enum ledger_kind kind, struct slice name)
{
	uint32_t length = atomic_load_explicit(&row->length, memory_order_relaxed);
	return atomic_load_explicit(&row->kind, memory_order_acquire) == (uint32_t)kind &&
	       length <= LEDGER_NAME_MAX && slice_equal((struct slice){row->text, length}, name);
}

static uint32_t settled_kind(struct ledger_name *row)
{
	uint32_t kind = atomic_load_explicit(&row->kind, memory_order_acquire);
	for (unsigned i = 0; kind == CLAIMED && i < PATIENCE; i++) {
		sched_yield();
		kind = atomic_load_explicit(&row->kind, memory_order_acquire);
	}
	return kind;
}

/* Makes the row this name's, unless it is somebody's. */
static bool claim(struct ledger_name *row, enum ledger_kind kind, struct slice name)
{
	uint32_t none = LEDGER_NONE;
	if (atomic_compare_exchange_strong(&row->kind, &none, CLAIMED)) {
		memcpy(row->text, name.ptr, name.len);
		atomic_store_explicit(&row->length, (uint32_t)name.len, memory_order_relaxed);
		atomic_store_explicit(&row->kind, (uint32_t)kind, memory_order_release);
		return true;
	}
	return settled_kind(row) == (uint32_t)kind && is_named(row, kind, name);
}

unsigned ledger_row(struct ledger *ledger, enum ledger_kind kind, struct slice name, unsigned place)
{
	check(kind > LEDGER_NONE && kind < LEDGER_KINDS && place < 32);
	if (name.len > LEDGER_NAME_MAX)
		name.len = LEDGER_NAME_MAX;
	unsigned row = 0;
	while (row < OTHERS_AT && !claim(&ledger->names[row], kind, name))
		row++;
	if (row == OTHERS_AT) {
		row += kind;
		claim(&ledger->names[row], kind, SLICE("(others)"));
	}
	atomic_fetch_or(&ledger->names[row].places, UINT32_C(1) << place);
	return row;
}

void ledger_leave(struct ledger *ledger, unsigned place)
{
	check(place < 32);
	for (unsigned i = 0; i < LEDGER_ROWS; i++)
		if (atomic_load(&ledger->names[i].places) >> place & 1)
			atomic_fetch_and(&ledger->names[i].places, ~(UINT32_C(1) << place));
}

const char *ledger_counter_name(enum ledger_counter which)
{
	static const char *const names[LEDGER_COUNTERS] = {
		[LEDGER_REQUESTS] = "requests",
		[LEDGER_OPEN] = "open",
		[LEDGER_2XX] = "status_2xx",
		[LEDGER_3XX] = "status_3xx",
		[LEDGER_4XX] = "status_4xx",
		[LEDGER_5XX] = "status_5xx",
		[LEDGER_BYTES] = "bytes_out",
		[LEDGER_FAILED] = "failed",
	};
	return names[which];
}
