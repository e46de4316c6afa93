/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of paths: of thousands, where each of many sites has a root of its own. */
#include "process/grants.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* Compares the first `length` octets of a path, as a path of its own, with an entry's. */
static int compare(const char *path, size_t length, const char *entry)
{
	int order = strncmp(path, entry, length);
	return order ? order : -(entry[length] != 0);
}

/* Where it stands, or where it belongs. */
static unsigned place(const struct grants *grants, const char *path, size_t length, bool *there)
{
	unsigned low = 0, high = grants->count;
	*there = false;
	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		int order = compare(path, length, grants->list[middle].path);
		if (order == 0) {
			*there = true;
			return middle;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void grant(struct grants *grants, const char *path, bool writable)
{
	bool there;
	unsigned at = place(grants, path, strlen(path), &there);
	if (there) {
		grants->list[at].writable |= writable;
		return;
	}
	if (grants->count == grants->room) {
		grants->room = grants->room ? grants->room * 2 : 16;
		grants->list = must_realloc(grants->list, grants->room * sizeof(grants->list[0]));
	}
	memmove(grants->list + at + 1, grants->list + at,
		(grants->count - at) * sizeof(grants->list[0]));
	grants->list[at] = (struct granted){must_strdup(path), writable};
	grants->count++;
}

static void grant_folder_of(struct grants *grants, const char *path)
{
	char *folder = must_strdup(path);
	char *slash = strrchr(folder, '/');
	bool top = !slash || slash == folder;
	if (!top)
		*slash = 0;
	grant(grants, top ? path : folder, false);
	free(folder);
}

void grants_add(struct grants *grants, const char *path, bool writable)
{
	char target[PATH_MAX];
	if (writable) {
		grant(grants, path, true);
		return;
	}
	grant_folder_of(grants, path);
	if (realpath(path, target) && strcmp(target, path) != 0)
		grant_folder_of(grants, target);
}

void grants_add_one(struct grants *grants, const char *path)
{
	grant(grants, path, false);
}

bool grants_cover(const struct grants *grants, const char *path)
{
	bool there = false;
	place(grants, "/", 1, &there);
	for (size_t length = 1; !there && path[length - 1]; length++) {
		if (path[length] == '/' || path[length] == 0)
			place(grants, path, length, &there);
	}
	return there;
}

void grants_clear(struct grants *grants)
{
	for (unsigned i = 0; i < grants->count; i++)
		free(grants->list[i].path);
	free(grants->list);
	grants->list = NULL;
	grants->count = grants->room = 0;
}
