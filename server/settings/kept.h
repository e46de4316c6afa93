/* SPDX-License-Identifier: BSD-2-Clause */
/* What a loading reads from the disk, kept so that the same loading can be done again without it. */
#ifndef WEIR_SETTINGS_KEPT_H
#define WEIR_SETTINGS_KEPT_H

#include <sys/types.h>

#include "base/arena.h"
#include "base/bytes.h"

/* The form of the kept bytes: a line "weir-kept 1", then frames. A frame is a line "K N L" (kind, and two lengths in
 * decimal), a name of N octets, a line feed, L octets, a line feed. */
enum kept_kind {
	KEPT_MAIN = 'M',   /* path and contents of the main file */
	KEPT_NAME = 'N',   /* what diagnostics call it (no contents) */
	KEPT_FOLDER = 'D', /* what its relative paths count from (no contents) */
	KEPT_FILE = 'F',   /* path and contents of another file */
	KEPT_PATTERN =
		'P', /* a pattern of file names and the paths that it led to, a NUL behind each */
	KEPT_DEVICE = 'V', /* path of a folder, and the device that it lies on, in decimal */
};

enum { KEPT_FILE_MAX = 16 << 20, KEPT_MAX = 256 << 20 };

struct kept {
	struct buffer text;  /* what is kept of this loading */
	struct slice replay; /* what an earlier one kept, or { NULL, 0 } */
	struct slice
		rest; /* of it, behind what was found last: things are asked for in the order in which they were kept */
};

/* Begins. `replay`: bytes of an earlier loading, or { NULL, 0 }. 0, or -1 when those are damaged. */
int kept_begin(struct kept *kept, struct slice replay);
void kept_end(struct kept *kept);
/* Adds a frame (nothing in a replay). */
void kept_add(struct kept *kept, enum kept_kind kind, struct slice name, struct slice bytes);
/* Finds a frame in the replay, by kind and, unless it is { NULL, 0 }, by name. Results point into the replay. 0 or -1. */
int kept_find(struct kept *kept, enum kept_kind kind, struct slice wanted, struct slice *name,
	struct slice *bytes);
/* Reads a file from the disk or the replay, and keeps it as `kind`. The contents are in the arena, NUL behind them.
 * 0 or an errno. */
int kept_read(struct kept *kept, enum kept_kind kind, struct arena *arena, struct slice path,
	struct slice *contents);
/* The files that a pattern fits, sorted, a NUL behind each, in the arena. 0 or an errno; none is no error. */
int kept_glob(struct kept *kept, struct arena *arena, struct slice pattern, struct slice *paths);
/* Looks at a folder, or at what is kept of that: the disk may hang of which the worker before has died. 0 or an errno. */
int kept_device(struct kept *kept, struct slice path, dev_t *device);

#endif
