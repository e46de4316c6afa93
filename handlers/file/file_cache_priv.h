/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the file cache share: file_cache.c has the entries, file_looks.c looks, file_versions.c keeps what the looks found. */
#ifndef WEIR_FILE_FILE_CACHE_PRIV_H
#define WEIR_FILE_FILE_CACHE_PRIV_H

#include <stdatomic.h>

#include "handlers/file/file_cache.h"
#include "io/disk.h"

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

/* --- Entries. --- */

/* NULL: there is none. `hash` is the table's, of the path with the scope. */
struct file_entry *file_entry_find(
	struct file_cache *cache, uint32_t scope, struct slice path, uint64_t hash);
/* Of which nothing is known, and on no shelf. */
struct file_entry *file_entry_new(
	struct file_cache *cache, uint32_t scope, struct slice path, uint64_t hash);
void file_entry_free(struct file_cache *cache, struct file_entry *entry);

/* Puts an entry on the shelf where what it holds belongs, and counts it; takes it down before that changes. */
void shelf_add(struct file_cache *cache, struct file_entry *entry);
void shelf_take(struct file_cache *cache, struct file_entry *entry);
/* Makes a shelf keep its bounds: who was used since it was last considered gets a second chance. */
void shelf_evict(struct file_cache *cache, enum file_shelf which);

/* --- Versions. --- */

/* Makes the entry's versions those that a look found. */
void versions_take(struct file_cache *cache, struct file_entry *entry, const struct scope *scope,
	struct file_look *look);
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
