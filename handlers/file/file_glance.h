/* SPDX-License-Identifier: BSD-2-Clause */
/* A look that waits for nothing: from what is known of the directory, and what the kernel has in memory. It spares small files the way to an I/O
 * thread and back. */
#ifndef WEIR_FILE_FILE_GLANCE_H
#define WEIR_FILE_FILE_GLANCE_H

#include "handlers/file/folder.h"

/* As file_look, on a loop, for what is asked without a list and without an explanation. false: nothing was found out, and nothing is open; look.
 * It finds regular files of which the name tells the type: small ones that were not changed just now, and all that are known and are what they
 * were. *since_ms: when was seen what it relies on (struct clock, monotonic_ms). */
bool file_glance(
	struct file_look *look, struct folders *folders, uint32_t scope, uint64_t *since_ms);

#endif
