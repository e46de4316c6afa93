/* SPDX-License-Identifier: BSD-2-Clause */
/* How many threads can run at a time. */
#ifndef WEIR_PROCESS_CPUS_H
#define WEIR_PROCESS_CPUS_H

#include "base/bytes.h"

/* The CPUs that this process is bound to, but no more than the quota of its control group or of one above lets run (containers): at
 * least 1. */
unsigned cpus_usable(void);
/* The quota alone, in CPUs, rounded up; 0: there is none. `self` is the text of /proc/self/cgroup, `groups` the folder where control groups
 * are mounted, of either version. In a container their names may be those of outside: what is not found is looked for further up. */
unsigned cpus_of_quota(struct slice self, const char *groups);

#endif
