/* SPDX-License-Identifier: BSD-2-Clause */
/* A look that waits for nothing (file_glance.h). Whatever is not plain is left to a look. */
#include "handlers/file/file_glance.h"

#include <stdio.h>
#include <unistd.h>

#include "base/check.h"

/* What is asked for, and where. */
struct glance {
	struct file_look *look;
	struct folder *folder;
	struct slice directory; /* with its final stroke, or "" */
	struct slice name;
	int root_fd;
};

/* The first name of an index that is there; empty: there is none. */
static struct slice find_index(const struct file_root *root, const struct folder *folder)
{
	for (size_t i = 0; i < root->index.count; i++)
		if (folder_may_have(folder, root->index.items[i]))
			return root->index.items[i];
	return (struct slice){NULL, 0};
}

/* Where the name is, and on what that depends. */
static bool place(struct glance *g, struct folders *folders, uint32_t scope)
{
	struct file_look *look = g->look;
	struct slice path = slice_of(look->path);
	g->directory = folder_of(path);
	g->name = slice_from(path, g->directory.len);
	uint64_t sets = folder_sets(look->root, g->name);
	g->folder = folders_find(folders, scope, g->directory, sets);
	if (!g->folder || !folder_is_quick(g->folder))
		return false;
	if (g->name.len == 0)
		g->name = look->index = find_index(look->root, g->folder);
	if (g->name.len == 0 || g->name.len > NAME_MAX || !folder_may_have(g->folder, g->name))
		return false;
	folder_depend(g->folder, look->watch, sets, &look->depend);
	return true;
}

/* Opens the file itself or what is beside it. */
static bool open_version(struct glance *g, enum variant variant, mode_t *mode)
{
	struct stat s;
	char path[PATH_MAX];
	struct file_version *v = &g->look->found[variant];
	int length = snprintf(path, sizeof path, "%.*s%.*s%s", (int)g->directory.len,
		g->directory.ptr, (int)g->name.len, g->name.ptr, variant_row(variant)->suffix);
	if (length < 0 || (size_t)length >= sizeof path)
		return false;
	v->fd = file_open_cached(g->root_fd, g->look->root, path);
	if (v->fd < 0 || fstat(v->fd, &s))
		return false;
	file_stamp(&v->stamp, &s);
	*mode = s.st_mode & S_IFMT;
	return true;
}

/* What stands beside the file and may answer for it. */
static bool open_variants(struct glance *g, struct slice type)
{
	unsigned possible = variant_possible(type);
	for (unsigned v = VARIANT_SELF + 1; v < VARIANT_COUNT; v++) {
		char name[NAME_MAX + 8];
		mode_t mode;
		struct file_version *version = &g->look->found[v];
		int length = snprintf(name, sizeof name, "%.*s%s", (int)g->name.len, g->name.ptr,
			variant_row(v)->suffix);
		if (!(possible & 1u << v) || length < 0 || length > NAME_MAX ||
			!folder_may_have(g->folder, (struct slice){name, (size_t)length}))
			continue;
		if (!open_version(g, v, &mode))
			return false;
		if (file_no_variant(g->look, version, mode)) {
			close(version->fd);
			*version = (struct file_version){.fd = -1};
		} else {
			g->look->variants |= 1u << v;
		}
	}
	return true;
}

/* Takes in what is open. `stand`: heads that were made stand, if what they are of does. What is known and was not changed for a while need not be read;
 * of one that is young the content tells. */
static bool take_version(struct file_look *look, enum variant variant, bool stand)
{
	struct file_version *version = &look->found[variant];
	const struct file_known *known = &look->known[variant];
	bool same = stand && !known->again && file_is_known(look, variant);
	if (same && !known->stamp.young) {
		file_keep(version);
		return true;
	}
	if (!file_read_cached(look, variant))
		return false;
	version->unchanged = same && version->etag_length == known->etag_length &&
			     memcmp(version->etag, known->etag, known->etag_length) == 0;
	if (version->unchanged)
		file_unread(version);
	return true;
}

static bool take_versions(struct file_look *look)
{
	bool stand = file_same_fields(look);
	for (unsigned v = VARIANT_SELF; v < VARIANT_COUNT; v++) {
		if (v != VARIANT_SELF && !(look->variants & 1u << v))
			continue;
		if (!take_version(look, v, stand))
			return false;
		stand = stand && look->found[VARIANT_SELF].unchanged;
	}
	return true;
}

static bool glance(struct glance *g)
{
	mode_t mode;
	struct file_look *look = g->look;
	struct slice type = look->root->mime ? mime_find(look->root->mime, g->name) : SLICE("");
	if (type.len == 0) /* its content would have to tell */
		return false;
	if (!open_version(g, VARIANT_SELF, &mode) || mode != S_IFREG)
		return false;
	if (look->found[VARIANT_SELF].stamp.size > (off_t)FILE_SMALL_MAX &&
		!file_is_known(look, VARIANT_SELF))
		return false;
	return open_variants(g, type) && take_versions(look);
}

bool file_glance(
	struct file_look *look, struct folders *folders, uint32_t scope, uint64_t *since_ms)
{
	struct glance g = {.look = look};
	file_look_begin(look);
	look->depend = (struct depend){0};
	look->index = (struct slice){NULL, 0};
	look->lacks = 0;
	look->kind = FILE_REGULAR;
	check(!look->list && !look->explanation);
	if (!place(&g, folders, scope))
		return false;
	*since_ms = folder_read_ms(g.folder);
	g.root_fd = file_open_root_cached(look->root);
	bool found = g.root_fd >= 0 && glance(&g);
	if (g.root_fd >= 0)
		close(g.root_fd);
	if (!found)
		file_look_done(look);
	return found;
}
