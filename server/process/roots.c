/* SPDX-License-Identifier: BSD-2-Clause */
/* Looks where roots lead. Looking is not opening: Landlock leaves it free, so that a worker sees what it cannot follow. */
#include "process/roots.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 16 /* links that lead to links are followed as far as this */

/* The folder of a path: everything before the last slash. */
static void folder_of(const char *path, char to[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	size_t length = slash && slash > path ? (size_t)(slash - path) : 1;
	snprintf(to, PATH_MAX, "%.*s", (int)length, path);
}

static void watch_folder_of(int watch, const char *path)
{
	char folder[PATH_MAX];
	folder_of(path, folder);
	inotify_add_watch(watch, folder,
		IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF |
			IN_MOVE_SELF | IN_ONLYDIR);
}

/* Where the first `length` octets of the path lead by one link, or an empty text. */
static void follow(const char *part, char to[PATH_MAX])
{
	char target[PATH_MAX], folder[PATH_MAX];
	ssize_t length = readlink(part, target, sizeof(target) - 1);
	to[0] = 0;
	if (length <= 0)
		return;
	target[length] = 0;
	folder_of(part, folder);
	int written = target[0] == '/' ? snprintf(to, PATH_MAX, "%s", target)
				       : snprintf(to, PATH_MAX, "%s/%s", folder, target);
	if (written >= PATH_MAX)
		to[0] = 0;
}

/* Each part of the path that is a link is watched where it stands, and so is what it leads to. */
static void watch_path(int watch, const char *path, unsigned depth)
{
	char part[PATH_MAX], target[PATH_MAX];
	for (const char *at = path; *at;) {
		at += strspn(at, "/");
		at += strcspn(at, "/");
		if ((size_t)snprintf(part, sizeof(part), "%.*s", (int)(at - path), path) >=
			sizeof(part))
			return;
		follow(part, target);
		if (!target[0])
			continue;
		watch_folder_of(watch, part);
		if (depth < LINKS_MAX)
			watch_path(watch, target, depth + 1);
	}
	watch_folder_of(watch, path);
}

int roots_watch(const struct grants *roots)
{
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	for (unsigned i = 0; watch >= 0 && i < roots->count; i++)
		watch_path(watch, roots->list[i].path, 0);
	return watch;
}

static bool is_within(const char *path, const char *folder)
{
	size_t length = strlen(folder);
	if (length > 0 && folder[length - 1] == '/')
		length--;
	return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static bool is_granted(const char *path, const struct grants *granted)
{
	for (unsigned i = 0; i < granted->count; i++) {
		char real[PATH_MAX];
		if (is_within(path, granted->list[i].path) ||
			(realpath(granted->list[i].path, real) && is_within(path, real)))
			return true;
	}
	return false;
}

bool roots_moved(int watch, const struct grants *roots, const struct grants *granted)
{
	char events[4096] __attribute__((aligned(8)));
	char target[PATH_MAX];
	while (read(watch, events, sizeof(events)) > 0)
		;
	for (unsigned i = 0; i < roots->count; i++) {
		watch_path(watch, roots->list[i].path, 0);
		if (realpath(roots->list[i].path, target) && !is_granted(target, granted))
			return true;
	}
	return false;
}
