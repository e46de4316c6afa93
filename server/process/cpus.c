/* SPDX-License-Identifier: BSD-2-Clause */
/* CPUs by affinity and by quota: a container that may use two of sixty-four sees all of them. */
#include "process/cpus.h"

#include <sched.h>
#include <stdio.h>

#include "process/groups.h"

#define CONTROLLER SLICE("cpu")
#define QUOTA_MOST 4096 /* CPUs */

/* The one or two numbers that "FOLDER/NAME" says. What is none (a quota of "max") stays as it is. */
static void read_numbers(const char *folder, const char *name, long *first, long *second)
{
	struct buffer text = {0};
	if (groups_read(folder, name, &text) == 0)
		sscanf(text.ptr, "%ld %ld", first, second);
	buffer_free(&text);
}

static unsigned in_cpus(long quota, long period)
{
	if (quota <= 0 || period <= 0 || quota / period >= QUOTA_MOST)
		return 0;
	return (unsigned)((quota + period - 1) / period);
}

static uint64_t of_folder(const char *folder, bool second)
{
	long quota = -1, period = -1, none;
	if (second) {
		read_numbers(folder, "cpu.max", &quota, &period);
	} else {
		read_numbers(folder, "cpu.cfs_quota_us", &quota, &none);
		read_numbers(folder, "cpu.cfs_period_us", &period, &none);
	}
	return in_cpus(quota, period);
}

unsigned cpus_of_quota(struct slice self, const char *groups)
{
	return (unsigned)groups_least(self, groups, CONTROLLER, of_folder);
}

unsigned cpus_usable(void)
{
	cpu_set_t set;
	unsigned bound =
		sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
	return (unsigned)groups_lower(bound, groups_least_here(CONTROLLER, of_folder));
}
