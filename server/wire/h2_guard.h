/* SPDX-License-Identifier: BSD-2-Clause */
/* What a peer may waste of HTTP/2: work is weighed, not frames counted. What brings nothing adds to a debt, which what is useful, and time,
 * pay off; beyond a limit the connection ends (CVE-2023-44487, CVE-2025-8671, CVE-2019-9511 to 9518). */
#ifndef WEIR_WIRE_H2_GUARD_H
#define WEIR_WIRE_H2_GUARD_H

#include <stdbool.h>
#include <stdint.h>

/* In units of about a microsecond's work. */
enum {
	H2_COST_FRAME = 1, /* one that says little: WINDOW_UPDATE, PRIORITY, an unknown type */
	H2_COST_PING = 2,
	H2_COST_EMPTY = 10,     /* DATA without octets, CONTINUATION */
	H2_COST_SETTINGS = 20,  /* windows of all streams may change */
	H2_COST_RESET = 15,     /* a stream that was given up before it brought anything */
	H2_COST_RESET_LATE = 5, /* that had brought something: a film that is sought in */
	H2_COST_FAULT = 100,    /* that had to be reset for what was sent on it */
	H2_WORTH_FRAME = 2,     /* a frame of a body that was sent: windows are told of it */
	H2_WORTH_OCTETS = 1024, /* octets of it that pay off a unit */
	H2_WORTH_LITTLE = 64,   /* likewise, where the window cuts a frame short */
	H2_PAID_A_SECOND = 500,
	H2_DEBT_MOST = 10000,
};

/* All zero begins. */
struct h2_guard {
	uint32_t debt;
	uint32_t looked; /* when time has paid last, in ms */
	uint32_t octets; /* sent, not yet counted: parts of H2_WORTH_OCTETS of a unit */
};

/* True: it is too much. */
bool h2_guard_waste(struct h2_guard *guard, uint32_t cost, uint32_t now_ms);
/* A frame with octets of an answer was sent; `cut`: more was there, but no window for it. */
void h2_guard_sent(struct h2_guard *guard, uint64_t octets, bool cut);

#endif
