/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two halves of the file cache share: file_cache.c finds entries and looks, file_versions.c keeps what the looks found. */
#ifndef WEIR_FILE_FILE_CACHE_PRIV_H
#define WEIR_FILE_FILE_CACHE_PRIV_H

#include <stdatomic.h>

#include "handlers/file/file_cache.h"
#include "io/disk.h"

#define TTL_WATCHED_MS 60000 /* writes through mappings raise no event */
#define TTL_BY_TIME_MS 1000

/* A look on its way to an I/O thread and back. Outlives the cache if it must. */
struct file_look_job {
	struct disk_job job;
	struct file_look look;
	struct link link;         /* in cache->jobs */
	struct file_cache *cache; /* NULL: the cache is gone */
	struct file_entry *entry;
	const struct scope *scope;
	struct deadline deadline; /* how long requests wait for it */
	uint64_t begun_ms;
	bool overdue;
	atomic_bool abandoned; /* nobody waits for it any more: not worth beginning */
	bool skipped;          /* it was not begun */
	struct explanation
		notes; /* what the look tells, on its own thread; where somebody asks why */
	char path[];   /* then the query */
};

/* Makes the entry's versions those that a look found. */
void versions_take(struct file_cache *cache, struct file_entry *entry, struct file_look_job *job);
void versions_drop(struct file_entry *entry);
/* Is there one that has no name any more, so that its descriptor alone keeps it on the disk? Of one that no loop may look at it is not known:
 * then whether nobody has asked for long. */
bool versions_deleted(const struct file_cache *cache, const struct file_entry *entry);
/* Has one a copy in memory (file_copy.h)? */
bool versions_copied(const struct file_entry *entry);
/* All versions of an entry stand or fall with what it depends on. How long they may be believed without a sign of change: one that is so young
 * that it cannot be told from the next, or that a call by another name may still write, not as long as others. */
uint32_t versions_depend(struct file_entry *entry);

#endif
