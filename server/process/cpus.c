/* SPDX-License-Identifier: BSD-2-Clause */
/* CPUs by affinity and by quota: a container that may use two of sixty-four sees all of them. */
#include "process/cpus.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/whole.h"

#define SELF       "/proc/self/cgroup"
#define GROUPS     "/sys/fs/cgroup"
#define FILE_MOST  65536
#define QUOTA_MOST 4096 /* CPUs */

/* Reads a small file into `to`, a NUL behind it. 0 or -1. */
static int read_file(const char *path, struct buffer *to)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -1;
	int error = whole_read(fd, to, FILE_MOST);
	close(fd);
	buffer_append(to, "", 1);
	return error ? -1 : 0;
}

/* The one or two numbers that "FOLDER/NAME" says. What is none (a quota of "max") stays as it is. */
static void read_numbers(const char *folder, const char *name, long *first, long *second)
{
	char path[PATH_MAX];
	struct buffer text = {0};
	int length = snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (length > 0 && (size_t)length < sizeof(path) && read_file(path, &text) == 0)
		sscanf(text.ptr, "%ld %ld", first, second);
	buffer_free(&text);
}

static unsigned in_cpus(long quota, long period)
{
	if (quota <= 0 || period <= 0 || quota / period >= QUOTA_MOST)
		return 0;
	return (unsigned)((quota + period - 1) / period);
}

static unsigned of_folder(const char *folder, bool second)
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

static unsigned lower(unsigned a, unsigned b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The group and all above it, beneath the folder of its hierarchy. */
static unsigned of_group(const char *top, struct slice group, bool second)
{
	char folder[PATH_MAX];
	unsigned least = 0;
	for (;;) {
		while (group.len > 0 && group.ptr[group.len - 1] == '/')
			group.len--;
		int length =
			snprintf(folder, sizeof(folder), "%s%.*s", top, (int)group.len, group.ptr);
		if (length > 0 && (size_t)length < sizeof(folder))
			least = lower(least, of_folder(folder, second));
		if (group.len == 0)
			return least;
		while (group.len > 0 && group.ptr[group.len - 1] != '/')
			group.len--;
	}
}

/* Does a list like "cpu,cpuacct" name the controller? */
static bool has_cpu(struct slice list)
{
	while (list.len > 0) {
		const char *comma = memchr(list.ptr, ',', list.len);
		struct slice one = {list.ptr, comma ? (size_t)(comma - list.ptr) : list.len};
		if (slice_equal(one, SLICE("cpu")))
			return true;
		list = slice_from(list, comma ? one.len + 1 : one.len);
	}
	return false;
}

/* A line is "NUMBER:CONTROLLERS:GROUP"; of version 2 the controllers are empty. */
static unsigned of_line(struct slice line, const char *groups)
{
	char top[PATH_MAX];
	const char *first = memchr(line.ptr, ':', line.len);
	if (!first)
		return 0;
	struct slice list = slice_from(line, (size_t)(first - line.ptr) + 1);
	const char *end = memchr(list.ptr, ':', list.len);
	if (!end)
		return 0;
	struct slice group = slice_from(list, (size_t)(end - list.ptr) + 1);
	list.len = (size_t)(end - list.ptr);
	if (list.len == 0)
		return of_group(groups, group, true);
	if (!has_cpu(list))
		return 0;
	int length = snprintf(top, sizeof(top), "%s/%.*s", groups, (int)list.len, list.ptr);
	return length > 0 && (size_t)length < sizeof(top) ? of_group(top, group, false) : 0;
}

unsigned cpus_of_quota(struct slice self, const char *groups)
{
	unsigned least = 0;
	while (self.len > 0) {
		const char *end = memchr(self.ptr, '\n', self.len);
		struct slice line = {self.ptr, end ? (size_t)(end - self.ptr) : self.len};
		least = lower(least, of_line(line, groups));
		self = slice_from(self, end ? line.len + 1 : line.len);
	}
	return least;
}

unsigned cpus_usable(void)
{
	cpu_set_t set;
	struct buffer self = {0};
	unsigned bound =
		sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
	if (read_file(SELF, &self) == 0)
		bound = lower(bound, cpus_of_quota((struct slice){self.ptr, self.len - 1}, GROUPS));
	buffer_free(&self);
	return bound;
}
