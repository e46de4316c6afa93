/* SPDX-License-Identifier: BSD-2-Clause */
/* How much memory the process may have. */
#ifndef WEIR_PROCESS_MEMORY_H
#define WEIR_PROCESS_MEMORY_H

#include "base/bytes.h"

/* Octets: the machine's memory, but no more than the limits of its control group or of one above (containers), where the process would
 * be slowed down or killed. 0: not known. Files outside of what a worker's sandbox lets it see are read. */
uint64_t memory_usable(void);
/* The limits of control groups alone; 0: there is none. `self` is the text of /proc/self/cgroup, `groups` the folder where control groups are
 * mounted, as in cpus.h. */
uint64_t memory_of_groups(struct slice self, const char *groups);

#endif
