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

/* The folder of a path: everything before the last slash. `to` may be the path itself. */
static void folder_of(const char *path, char to[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	size_t length = slash && slash > path ? (size_t)(slash - path) : 1;
	if (length >= PATH_MAX)
		length = PATH_MAX - 1;
	memmove(to, path, length);
	to[length] = 0;
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

static void visit_folder_of(const char *path, roots_visit_fn *visit, void *context)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	folder_of(path, folder);
	visit(context, folder, slash ? slash + 1 : path);
}

/* Each part of the path that is a link, where it stands, and what it leads to. */
static void visit_path(const char *path, unsigned depth, roots_visit_fn *visit, void *context)
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
		visit_folder_of(part, visit, context);
		if (depth < LINKS_MAX)
			visit_path(target, depth + 1, visit, context);
	}
	visit_folder_of(path, visit, context);
}

void roots_visit(const char *path, roots_visit_fn *visit, void *context)
{
	visit_path(path, 0, visit, context);
}

/* And all above it: another may take the place of any. */
static void watch_folder(void *context, const char *folder, const char *name)
{
	const uint32_t mask =
		IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_ONLYDIR;
	char above[PATH_MAX];
	(void)name;
	snprintf(above, sizeof(above), "%s", folder);
	inotify_add_watch(*(int *)context, above, mask);
	while (above[1]) {
		folder_of(above, above);
		inotify_add_watch(*(int *)context, above, mask);
	}
}

static bool is_within(const char *path, const char *folder)
{
	size_t length = strlen(folder);
	if (length > 0 && folder[length - 1] == '/')
		length--;
	return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

/* By names, and where these are not enough by where they lead. What was put in the place of a granted folder is not granted. */
static bool is_granted(const char *path, const struct grants *granted, bool locked)
{
	if (grants_hold(granted, path) || (!locked && !grants_cover(granted, path)))
		return true;
	for (unsigned i = 0; i < granted->count; i++) {
		const struct granted *one = &granted->list[i];
		char real[PATH_MAX];
		if (realpath(one->path, real) && is_within(path, real) && granted_stands(one))
			return true;
	}
	return false;
}

bool roots_moved(int watch, const struct grants *roots, const struct grants *granted, bool locked)
{
	char events[4096] __attribute__((aligned(8)));
	char target[PATH_MAX];
	while (read(watch, events, sizeof(events)) > 0)
		;
	for (unsigned i = 0; i < roots->count; i++) {
		roots_visit(roots->list[i].path, watch_folder, &watch);
		if (realpath(roots->list[i].path, target) && !is_granted(target, granted, locked))
			return true;
	}
	return false;
}
