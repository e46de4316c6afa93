/* SPDX-License-Identifier: BSD-2-Clause */
/* What is left open to a process that locks itself in: folders and files by path, as many as the configuration names. */
#ifndef WEIR_PROCESS_GRANTS_H
#define WEIR_PROCESS_GRANTS_H

#include <stdbool.h>

struct granted {
	char *path;
	bool writable;
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
void grants_clear(struct grants *grants);

#endif
