/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of paths: of thousands, where each of many sites has a root of its own. */
#include "process/grants.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

/* The new entry, or NULL: it was there. */
static struct granted *put(struct grants *grants, const char *path, bool writable)
{
	bool there;
	unsigned at = place(grants, path, strlen(path), &there);
	if (there) {
		grants->list[at].writable |= writable;
		return NULL;
	}
	if (grants->count == grants->room) {
		grants->room = grants->room ? grants->room * 2 : 16;
		grants->list = must_realloc(grants->list, grants->room * sizeof(grants->list[0]));
	}
	memmove(grants->list + at + 1, grants->list + at,
		(grants->count - at) * sizeof(grants->list[0]));
	grants->list[at] = (struct granted){.path = must_strdup(path), .writable = writable};
	grants->count++;
	return &grants->list[at];
}

static void grant(struct grants *grants, const char *path, bool writable)
{
	struct stat s;
	struct granted *granted = put(grants, path, writable);
	if (granted && stat(path, &s) == 0) {
		granted->device = s.st_dev;
		granted->inode = s.st_ino;
	}
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

bool granted_stands(const struct granted *granted)
{
	struct stat s;
	return stat(granted->path, &s) == 0 && s.st_dev == granted->device &&
	       s.st_ino == granted->inode;
}

static bool cover(const struct grants *grants, const char *path, bool standing)
{
	bool there;
	unsigned at = place(grants, "/", 1, &there);
	bool found = there && (!standing || granted_stands(&grants->list[at]));
	for (size_t length = 1; !found && path[length - 1]; length++) {
		if (path[length] != '/' && path[length] != 0)
			continue;
		at = place(grants, path, length, &there);
		found = there && (!standing || granted_stands(&grants->list[at]));
	}
	return found;
}

bool grants_cover(const struct grants *grants, const char *path)
{
	return cover(grants, path, false);
}

bool grants_hold(const struct grants *grants, const char *path)
{
	return cover(grants, path, true);
}

/* Each as "r DEVICE INODE PATH" or "w …" and a NUL; a NUL ends the list. */
void grants_pack(const struct grants *grants, struct buffer *to)
{
	for (unsigned i = 0; i < grants->count; i++) {
		const struct granted *one = &grants->list[i];
		buffer_format(to, "%c %ju %ju ", one->writable ? 'w' : 'r', (uintmax_t)one->device,
			(uintmax_t)one->inode);
		buffer_append(to, one->path, strlen(one->path) + 1);
	}
	buffer_append(to, "", 1);
}

/* A text up to the NUL. */
static int unpack_one(struct grants *grants, const char *text)
{
	uintmax_t device, inode;
	char kind;
	int length = 0;
	if (sscanf(text, "%c %ju %ju %n", &kind, &device, &inode, &length) != 3 ||
		(kind != 'r' && kind != 'w') || text[length] != '/')
		return -1;
	struct granted *granted = put(grants, text + length, kind == 'w');
	if (granted) {
		granted->device = (dev_t)device;
		granted->inode = (ino_t)inode;
	}
	return 0;
}

int grants_unpack(struct grants *grants, struct slice *from)
{
	while (from->len > 0 && from->ptr[0]) {
		size_t length = strnlen(from->ptr, from->len);
		if (length == from->len || unpack_one(grants, from->ptr))
			return -1;
		*from = slice_from(*from, length + 1);
	}
	if (from->len == 0)
		return -1;
	*from = slice_from(*from, 1);
	return 0;
}

void grants_clear(struct grants *grants)
{
	for (unsigned i = 0; i < grants->count; i++)
		free(grants->list[i].path);
	free(grants->list);
	grants->list = NULL;
	grants->count = grants->room = 0;
}
