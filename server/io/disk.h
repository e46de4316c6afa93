/* SPDX-License-Identifier: BSD-2-Clause */
/* The I/O threads: whatever may block is done there, the answer comes back through the loop's inbox. */
#ifndef WEIR_IO_DISK_H
#define WEIR_IO_DISK_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/inbox.h"
#include "io/loop.h"

struct disk; /* the pool; one a worker, shared by the loops */

/* One thing to do. First member of the caller's own struct, which must outlive both calls. */
struct disk_job {
	struct message message; /* disk's own */
	struct disk_job *next;  /* disk's own */
	void (*work)(
		struct disk_job *job); /* on an I/O thread; may block; touches nothing of a loop */
	void (*done)(struct disk_job *job); /* on the loop's thread, exactly once; frees */
	struct loop *loop;                  /* disk's own */
	unsigned
		lane; /* jobs of one lane (a root) take at most half of the threads; from 256 on lanes share */
};

/* The lane of what lies on a device: roots on one disk hang together. */
unsigned disk_lane(dev_t device);
/* `threads` I/O threads, each stuck one (longer than 10 s) replaced, up to 32 in all. NULL with errno. */
struct disk *disk_start(unsigned threads);
/* The same with another time, in ms, after which a thread counts as stuck. */
struct disk *disk_start_with(unsigned threads, unsigned stuck_ms);
/* From the loop that wants the answer. false: the queue is full (4096 jobs, 2048 of one lane), nothing will be called. */
bool disk_submit(struct disk *disk, struct loop *loop, struct disk_job *job);
/* Closes a descriptor there: what is flushed, or given back, may take its time. false: the queue is full; it is open still. */
bool disk_close(struct disk *disk, struct loop *loop, unsigned lane, int fd);
/* No more jobs; waits for those that run, up to `ms`; their answers are in the loops' inboxes then. Jobs that were never begun are
 * dropped without `done`, and so are those that run longer. Before loop_done; from one thread. */
void disk_stop(struct disk *disk, uint64_t ms);

#endif
