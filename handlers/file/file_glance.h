/* SPDX-License-Identifier: BSD-2-Clause */
/* A look that waits for nothing: from what is known of the directory, and what the kernel has in memory. It spares most files the way to an I/O
 * thread and back, which costs ten times as much. */
#ifndef WEIR_FILE_FILE_GLANCE_H
#define WEIR_FILE_FILE_GLANCE_H

#include "handlers/file/folder.h"

/* As file_look, on a loop, for what is asked without a list and without an explanation. false: nothing was found out, and nothing is open; look.
 * It finds regular files: small ones that were not changed just now, and all that are known and are what they were. */
bool file_glance(struct file_look *look, struct folders *folders, uint32_t scope);

#endif
