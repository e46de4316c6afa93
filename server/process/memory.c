/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory by the machine and by the limits of control groups: a container sees all of the machine's, and is killed when it takes it. */
#include "process/memory.h"

#include <string.h>
#include <unistd.h>

#include "process/groups.h"

#define CONTROLLER SLICE("memory")
#define LIMIT_MOST (UINT64_C(1) << 60) /* "no limit" is nearly 2^63 in version 1, less by a page */

/* The limit that "FOLDER/NAME" says; 0: none, as for "max", and for a limit of nothing at all, with which nobody could live. */
static uint64_t read_limit(const char *folder, const char *name)
{
	struct buffer text = {0};
	uint64_t limit = 0;
	if (groups_read(folder, name, &text) ||
		slice_number((struct slice){text.ptr, strcspn(text.ptr, "\n")}, &limit) ||
		limit >= LIMIT_MOST)
		limit = 0;
	buffer_free(&text);
	return limit;
}

/* Above memory.high a group is slowed down until it gives memory back, above memory.max it is killed. */
static uint64_t of_folder(const char *folder, bool second)
{
	if (second)
		return groups_lower(
			read_limit(folder, "memory.max"), read_limit(folder, "memory.high"));
	return read_limit(folder, "memory.limit_in_bytes");
}

uint64_t memory_of_groups(struct slice self, const char *groups)
{
	return groups_least(self, groups, CONTROLLER, of_folder);
}

uint64_t memory_usable(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	uint64_t machine = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
	return groups_lower(machine, groups_least_here(CONTROLLER, of_folder));
}
