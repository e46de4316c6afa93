/* SPDX-License-Identifier: BSD-2-Clause */
/* Who changed what on disk: inotify, and a generation a directory that rises with each change beneath it. */
#ifndef WEIR_IO_WATCH_H
#define WEIR_IO_WATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/loop.h"

#define WATCH_SETS 64
#define WATCH_ALL  UINT64_MAX /* all names */

/* One inotify descriptor a worker. It stands in every loop at the highest priority and is drained under one lock; the epoch is odd
 * meanwhile. A request that sees it odd waits for the lock: so an event queued before the bytes that woke the loop is seen before them.
 * In all functions NULL is allowed: nothing is watched then. */
struct watch {
	_Atomic uint32_t epoch;
	_Atomic unsigned attached; /* loops */
	int fd;
	int mounts; /* -1: not followed */
};

/* A directory that is watched. Shared by the threads; lives as long as somebody holds it, and while the watch lives. */
struct watched {
	/* Rises when something changed in the directory, or when in one of its ancestors, up to the top one that is watched, something
	 * changed that leads here: a name, rights. 0: cannot be watched (limit, network file system), or not any more (it was moved, deleted or replaced, or
	 * events were lost): check by time instead, and ask for the path anew when checking. Once 0 it stays 0. */
	_Atomic uint32_t generation;
	/* What the generation became when it rose last by a name of that set, or by all: who knows for which names he is here need not heed
	 * what is written beside them. */
	_Atomic uint32_t risen[WATCH_SETS];
};

/* The set, as a bit, that a name in a directory belongs to. Names that are equal up to their first dot are in one: a file, and what stands
 * beside it and may answer for it, like `app.js.gz`. */
uint64_t watch_set(const char *name, size_t length);

struct watch *watch_new(
	void); /* NULL with errno: no inotify at all; everything is checked by time then */
/* /proc/self/mountinfo, opened for reading, which now is the watch's: of another file system in the place of a directory no event tells but
 * this one. Before the first loop is attached. */
void watch_follow_mounts(struct watch *watch, int fd);
/* After all loops detached. Objects that are still held go as well. */
void watch_free(struct watch *watch);
/* Puts the descriptor into a loop: each loop thread once, from its own thread. Where events come one after the other, as from a log that
 * is written in a watched directory, the loop is woken by them no more than now and then: it drains each time that it is woken by others. */
void watch_attach(struct watch *watch, struct loop *loop);
void watch_detach(struct watch *watch, struct loop *loop);

/* Watches a directory, named by its absolute path and reached from `parent` (NULL for a root). From any thread; takes the lock; may block on slow
 * disks: call from an I/O thread. The same path gives the same object, while it is valid. Never NULL. One hold is the caller's.
 * What is reached through a directory that is not watched is not watched either. Parents come first, and the generation is read before
 * the file is looked at: then no change is missed. */
struct watched *watch_directory(struct watch *watch, struct watched *parent, const char *path);
/* Likewise, where only what stands in it counts, and rights: the directory that holds a root may hold a database as well, whose every
 * write would wake all loops. What is written into its files counts from when it is asked for by watch_directory. */
struct watched *watch_names(struct watch *watch, struct watched *parent, const char *path);
/* Of one whose generation is 0: could it not be watched at all? Else it was, but is not any more what its path leads to. */
bool watch_cannot(const struct watched *watched);
/* One more hold of what the caller holds already. From any thread; takes the lock. */
void watch_hold(struct watch *watch, struct watched *watched);
/* Gives one hold back; may free it. From any thread; takes the lock. */
void watch_release(struct watch *watch, struct watched *watched);

/* Takes up what is queued now: for who reads bytes that did not wake the loop, as from a connection just accepted.
 * One system call when there is nothing. */
void watch_drain(struct watch *watch);
/* Waits until whoever drains is done. */
void watch_wait(struct watch *watch);

/* The current generation, to be read before the file is looked at and compared later. Waits while events are being drained.
 * 0: not watched. Differs from the one of before: look again. */
static inline uint32_t watch_generation(struct watch *watch, const struct watched *watched)
{
	if (!watch)
		return 0;
	if (__builtin_expect(atomic_load_explicit(&watch->epoch, memory_order_acquire) & 1, 0))
		watch_wait(watch);
	return atomic_load_explicit(&watched->generation, memory_order_acquire);
}

/* For watch_unchanged, where something has changed. */
bool watch_unchanged_for(
	const struct watched *watched, uint32_t now, uint64_t names, uint32_t *generation);

/* Has nothing happened to the names of these sets since the generation was *generation? Then *generation becomes the current one. One load
 * where nothing happened at all. */
static inline bool watch_unchanged(
	struct watch *watch, const struct watched *watched, uint64_t names, uint32_t *generation)
{
	uint32_t now = watch_generation(watch, watched);
	return now == *generation || watch_unchanged_for(watched, now, names, generation);
}

/* How many directories the kernel watches now. */
size_t watch_count(struct watch *watch);

#endif
