/* SPDX-License-Identifier: BSD-2-Clause */
/* Roots that move: a link on the way to a root may come to lead where the sandbox does not reach, or another folder may take the place of the
 * one that holds it. Only a new worker can follow. All of it looks at disks, which may hang. */
#ifndef WEIR_PROCESS_ROOTS_H
#define WEIR_PROCESS_ROOTS_H

#include "process/sandbox.h"

/* Calls `visit` for each name on the way to what a path leads to, links with their targets, and for the last one: a change of that name in the
 * folder may make the path lead to something else. */
typedef void roots_visit_fn(void *context, const char *folder, const char *name);
void roots_visit(const char *path, roots_visit_fn *visit, void *context);

/* Takes the events that came to an inotify descriptor (not blocking), watches the folders that hold links on the way to the roots, and all
 * above these, and then tells whether a root leads to what is not among the granted. `locked`: links that lead elsewhere count, too, for
 * nothing else is open; without, only folders in the place of those that were granted. */
bool roots_moved(int watch, const struct grants *roots, const struct grants *granted, bool locked);

#endif
