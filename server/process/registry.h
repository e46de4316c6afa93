/* SPDX-License-Identifier: BSD-2-Clause */
/* The files that a worker may have opened again after it gave up its rights: known to the supervisor by number. */
#ifndef WEIR_PROCESS_REGISTRY_H
#define WEIR_PROCESS_REGISTRY_H

#include <sys/types.h>

#include "process/channel.h"

#define REGISTRY_FILES_MAX 65536
#define REGISTRY_OPENING_MS                                                                        \
	10000 /* how long one may take to be opened: a dead network file system must hold nobody up */

struct registered {
	struct channel_register entry;
	char *path; /* NULL: the number is free */
};

struct registry {
	struct registered *files;
	unsigned count;
};

/* Adds or replaces a file. 0, or -1: no such number, or the path is not absolute. */
int registry_add(struct registry *registry, const struct channel_register *entry, const char *path);
/* The file of a number, until the next is added; NULL: there is none. */
const struct registered *registry_find(const struct registry *registry, unsigned number);
void registry_clear(struct registry *registry);

/* Begins to open a file in a short-lived child, for opening may block. *result becomes readable with one CHANNEL_FILE message; the
 * child ends by itself. Returns its pid, or -1 with errno. */
pid_t registry_open(const struct registry *registry, unsigned number, int *result);

/* Opens as an entry says, in the calling process: a file that has to be made gets mode and owner. Links are followed only if root or
 * the process's own account made them, or, to read, the account whose file it is (ELOOP), and a file that has several names is taken
 * only where nobody else can have made one (EMLINK). A descriptor, or -1 with errno. */
int registry_open_here(const struct channel_register *entry, const char *path);

#endif
