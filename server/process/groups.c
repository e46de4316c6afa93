/* SPDX-License-Identifier: BSD-2-Clause */
/* Control groups: a process is bound by its own and by all above it, so that every one of them is looked at. */
#include "process/groups.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/whole.h"

#define FOLDER_SELF "/proc/self"
#define GROUPS      "/sys/fs/cgroup"
#define FILE_MOST   65536

int groups_read(const char *folder, const char *name, struct buffer *to)
{
	char path[PATH_MAX];
	int length = snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (length <= 0 || (size_t)length >= sizeof(path))
		return -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -1;
	int error = whole_read(fd, to, FILE_MOST);
	close(fd);
	buffer_append(to, "", 1);
	return error ? -1 : 0;
}

uint64_t groups_lower(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The group and all above it, beneath the folder of its hierarchy. */
static uint64_t of_group(const char *top, struct slice group, bool second, group_limit_fn *limit)
{
	char folder[PATH_MAX];
	uint64_t least = 0;
	for (;;) {
		while (group.len > 0 && group.ptr[group.len - 1] == '/')
			group.len--;
		int length =
			snprintf(folder, sizeof(folder), "%s%.*s", top, (int)group.len, group.ptr);
		if (length > 0 && (size_t)length < sizeof(folder))
			least = groups_lower(least, limit(folder, second));
		if (group.len == 0)
			return least;
		while (group.len > 0 && group.ptr[group.len - 1] != '/')
			group.len--;
	}
}

/* Does a list like "cpu,cpuacct" name the controller? */
static bool has_controller(struct slice list, struct slice controller)
{
	while (list.len > 0) {
		const char *comma = memchr(list.ptr, ',', list.len);
		struct slice one = {list.ptr, comma ? (size_t)(comma - list.ptr) : list.len};
		if (slice_equal(one, controller))
			return true;
		list = slice_from(list, comma ? one.len + 1 : one.len);
	}
	return false;
}

/* A line is "NUMBER:CONTROLLERS:GROUP"; of version 2 the controllers are empty. */
static uint64_t of_line(
	struct slice line, const char *groups, struct slice controller, group_limit_fn *limit)
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
		return of_group(groups, group, true, limit);
	if (!has_controller(list, controller))
		return 0;
	int length = snprintf(top, sizeof(top), "%s/%.*s", groups, (int)list.len, list.ptr);
	return length > 0 && (size_t)length < sizeof(top) ? of_group(top, group, false, limit) : 0;
}

uint64_t groups_least(
	struct slice self, const char *groups, struct slice controller, group_limit_fn *limit)
{
	uint64_t least = 0;
	while (self.len > 0) {
		const char *end = memchr(self.ptr, '\n', self.len);
		struct slice line = {self.ptr, end ? (size_t)(end - self.ptr) : self.len};
		least = groups_lower(least, of_line(line, groups, controller, limit));
		self = slice_from(self, end ? line.len + 1 : line.len);
	}
	return least;
}

uint64_t groups_least_here(struct slice controller, group_limit_fn *limit)
{
	struct buffer self = {0};
	uint64_t least = 0;
	if (groups_read(FOLDER_SELF, "cgroup", &self) == 0)
		least = groups_least(
			(struct slice){self.ptr, self.len - 1}, GROUPS, controller, limit);
	buffer_free(&self);
	return least;
}
