/* SPDX-License-Identifier: BSD-2-Clause */
/* Who changed what on disk: inotify, and a generation a directory that rises with each change beneath it. */
#ifndef WEIR_IO_WATCH_H
#define WEIR_IO_WATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/loop.h"

/* One inotify descriptor a worker. It stands in every loop at the highest priority and is drained under one lock; an epoch is odd
 * meanwhile. A request that sees it odd waits for the lock: so an event queued before a request's bytes is seen before them. */
struct watch;

/* A directory that is watched. Shared by the threads; lives as long as somebody holds it, and while the watch lives. */
struct watched {
	/* Rises when something changed in the directory or in one of its ancestors up to the top one that is watched.
	 * 0: cannot be watched (limit, network file system): check by time instead. */
	_Atomic uint32_t generation;
};

struct watch *watch_new(void); /* NULL with errno: no inotify at all; everything is checked by time then */
void watch_free(struct watch *watch);
/* Puts the descriptor into a loop: each loop thread once, from its own thread. */
void watch_attach(struct watch *watch, struct loop *loop);
void watch_detach(struct watch *watch, struct loop *loop);

/* Watches a directory, named by its absolute path and reached from `parent` (NULL for a root). From any thread; takes the lock; may block on slow
 * disks: call from an I/O thread. The same path gives the same object. Never NULL. One hold is the caller's. */
struct watched *watch_directory(struct watch *watch, struct watched *parent, const char *path);
void watch_release(struct watch *watch, struct watched *watched);

/* The current generation, to be read before the file is looked at and compared later. Waits while events are being drained.
 * 0: not watched. */
uint32_t watch_generation(struct watch *watch, const struct watched *watched);

#endif
