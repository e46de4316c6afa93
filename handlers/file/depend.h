/* SPDX-License-Identifier: BSD-2-Clause */
/* Which directories decide what a path beneath a root names, and whether one of them has changed since. */
#ifndef WEIR_FILE_DEPEND_H
#define WEIR_FILE_DEPEND_H

#include <limits.h>

#include "base/ref.h"
#include "io/watch.h"

#define DEPEND_MAX 6

/* The deepest directory of each way that was gone: the first begins at the directory that holds the root, each symbolic link
 * begins a new one. A watched directory's generation rises with those above it, so these few stand for all on the way. */
struct depend {
	struct watched *on[DEPEND_MAX];
	uint32_t generation[DEPEND_MAX];
	uint64_t names
		[DEPEND_MAX]; /* which of its names decide: what is written beside them does not count */
	uint8_t count;
	bool by_time; /* not all could be watched: look again after a second */
	bool disturbed; /* all changed again and again during the walk: look again at once (by_time is set as well) */
};

/* Walks from `root` (absolute) along `path` (relative, decoded), watches the directories that are passed, notes their
 * generations and adds them to *d, which begins as all zero. `inside`: the names that decide in a directory to which the path leads
 * (watch_set). To be called before the file itself is opened. On an I/O thread; watch may be NULL. `real` gets the path of that without links: as far as there was something, and then what is
 * missing; "" when that cannot be told. How many octets of `path` name what is missing, where there was no link: nothing is beneath that
 * either; else 0. */
size_t depend_add(struct depend *d, struct watch *watch, const char *root, const char *path,
	uint64_t inside, char real[PATH_MAX]);
/* Lets go of the directories; *d is empty then. */
void depend_release(struct depend *d, struct watch *watch);

/* One that an entry and the version it led to hold together. Lives on one thread. */
struct depend_shared {
	struct ref ref;
	struct watch *watch;
	struct depend depend;
};
/* Takes the directories over; *d is empty then. The reference is the caller's. */
struct depend_shared *depend_share(struct depend *d, struct watch *watch);

/* Has nothing changed since? One load of the epoch and one of the generation where no link was passed. */
static inline bool depend_holds(struct depend *d, struct watch *watch)
{
	for (unsigned i = 0; i < d->count; i++)
		if (!watch_unchanged(watch, d->on[i], d->names[i], &d->generation[i]))
			return false;
	return true;
}

#endif
