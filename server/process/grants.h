/* SPDX-License-Identifier: BSD-2-Clause */
/* What is left open to a process that locks itself in: folders and files by path, as many as the configuration names. */
#ifndef WEIR_PROCESS_GRANTS_H
#define WEIR_PROCESS_GRANTS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/bytes.h"

struct granted {
	char *path;
	bool writable;
	dev_t device; /* what stood there when it was granted, for that is what is left open; 0 and 0: nothing */
	ino_t inode;
};

/* All zero is nothing. */
struct grants {
	struct granted *list; /* sorted by path, each once */
	unsigned count, room;
	bool local; /* streams to Unix sockets that have a file */
};

/* Opens up the folder that holds the path's last link and the one that holds what it leads to; never "/": then the path itself. What is
 * writable is opened up itself. */
void grants_add(struct grants *grants, const char *path, bool writable);
/* The path itself and nothing else, to be read. */
void grants_add_one(struct grants *grants, const char *path);
/* Does the path stand in the list, or a folder above it? By names alone: no link is followed. */
bool grants_cover(const struct grants *grants, const char *path);
/* Likewise, by one that is still what was granted. Looks at the disk. */
bool grants_hold(const struct grants *grants, const char *path);
/* Is what stands at its path still what was granted? Looks at the disk. */
bool granted_stands(const struct granted *granted);
/* Adds the list to `to` in the form that grants_unpack reads. */
void grants_pack(const struct grants *grants, struct buffer *to);
/* Reads a list into an empty one, and moves *from behind it. 0, or -1 where it is damaged. */
int grants_unpack(struct grants *grants, struct slice *from);
void grants_clear(struct grants *grants);

#endif
