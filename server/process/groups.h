/* SPDX-License-Identifier: BSD-2-Clause */
/* What the control groups of a process allow, of either version: the least of its own group and of all above it. */
#ifndef WEIR_PROCESS_GROUPS_H
#define WEIR_PROCESS_GROUPS_H

#include "base/bytes.h"

/* What one group allows, by the files in its folder, which need not be there; `second`: as version 2 names them. 0: no limit. */
typedef uint64_t group_limit_fn(const char *folder, bool second);

/* The least that the groups in `self`, the text of /proc/self/cgroup, and all above them allow; 0: no limit. `groups` is the folder where
 * control groups are mounted. Of version 1 only the hierarchy of `controller` counts. In a container the names may be those of outside: what
 * is not found is looked for further up. */
uint64_t groups_least(
	struct slice self, const char *groups, struct slice controller, group_limit_fn *limit);
/* Likewise, for this process. */
uint64_t groups_least_here(struct slice controller, group_limit_fn *limit);

/* The lower one of two limits, 0 being none. */
uint64_t groups_lower(uint64_t a, uint64_t b);

/* Appends the text of "FOLDER/NAME", a small file, and a NUL. 0, or -1 where it cannot be had; the caller frees the buffer in any case. */
int groups_read(const char *folder, const char *name, struct buffer *to);

#endif
