/* SPDX-License-Identifier: BSD-2-Clause */
/* The shared memory that all workers' counters stand in, so that they never go back. */
#ifndef WEIR_PROCESS_TALLY_H
#define WEIR_PROCESS_TALLY_H

#include <stdbool.h>

#include "base/counters.h"
#include "base/ledger.h"

#define PLACES_MAX  32                /* workers that live at the same time */
#define THREADS_MAX 256               /* of one worker */
#define TALLY_SLOTS (THREADS_MAX + 1) /* the first one is the worker's own, beside its threads */

struct tally;

/* A new one, all counters 0: a keepsake (see keepsake.h). A descriptor, or -1 with errno. */
int tally_make(void);
/* Maps one, NULL when it cannot be or has another form. `writable`: for workers. */
struct tally *tally_map(int fd, bool writable);
void tally_unmap(struct tally *tally);
/* A slot that nobody else writes to: 0 is the worker's own, 1 that of its first thread. */
struct counters *tally_slot(struct tally *tally, unsigned place, unsigned slot);
/* Sets what counts open things to 0 in a place: by its new worker, for whoever counted there before is gone. Other places are
 * others' business: who lives there may have changed since this worker was started. */
void tally_clear_open(struct tally *tally, unsigned place);
/* The rows of sites and upstreams, with a writer for each slot. */
struct ledger *tally_ledger(struct tally *tally);
/* A new worker comes to a place: nothing is open in its rows, and no names are its own yet. */
void tally_enter_ledger(struct tally *tally, unsigned place);
/* The lines of a slot in them. */
struct ledger_line *tally_lines(struct tally *tally, unsigned place, unsigned slot);
/* The sum of a row's counter, as tally_sum. */
uint64_t tally_row_sum(
	const struct tally *tally, unsigned row, enum ledger_counter which, uint32_t live);
/* The sum over all places; of what counts open things, only over those among `live`. */
uint64_t tally_sum(const struct tally *tally, enum counter which, uint32_t live);

#endif
