/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds and reads the files that `include` names. */
#include <errno.h>
#include <unistd.h>

#include "settings/sites.h"

typedef int take_fn(struct sites *sites, const struct node *list);

static const char WILDCARDS[] = "*?[";

static bool has_wildcard(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (strchr(WILDCARDS, text.ptr[i]))
			return true;
	}
	return false;
}

/* The pattern as glob() wants it: the folder's own stars and brackets mean themselves. */
static struct slice absolute_pattern(struct load *load, struct slice written)
{
	struct slice folder = load->file->folder;
	struct buffer pattern = {0};
	while (slice_starts(written, SLICE("./")))
		written = slice_from(written, 2);
	if (written.len > 0 && written.ptr[0] != '/') {
		for (size_t i = 0; i < folder.len; i++) {
			if (folder.ptr[i] == '\\' || strchr(WILDCARDS, folder.ptr[i]))
				buffer_append(&pattern, "\\", 1);
			buffer_append(&pattern, folder.ptr + i, 1);
		}
		buffer_append(&pattern, "/", 1);
	}
	buffer_slice(&pattern, written);
	struct slice result = arena_slice(&load->scratch, (struct slice){pattern.ptr, pattern.len});
	buffer_free(&pattern);
	return result;
}

static struct slice folder_of(struct slice path)
{
	const char *slash = path.len > 0 ? memrchr(path.ptr, '/', path.len) : NULL;
	return (struct slice){path.ptr, slash ? (size_t)(slash - path.ptr) : 0};
}

/* What diagnostics call an included file: as the including one is called, if it lies beside or below that. */
static struct slice shown_name(struct load *load, struct slice path)
{
	struct slice folder = load->file->folder, beside = folder_of(load->file->name);
	if (!slice_starts(path, folder) || path.len <= folder.len || path.ptr[folder.len] != '/')
		return path;
	struct slice below = slice_from(path, folder.len + 1);
	if (beside.len == 0)
		return arena_slice(&load->scratch, below);
	return arena_format(&load->scratch, "%.*s/%.*s", (int)beside.len, beside.ptr,
		(int)below.len, below.ptr);
}

/* A file that is read twice would have its sites twice: that is a loop, or two patterns that overlap. */
static int check_new(
	struct load *load, const struct node *node, struct slice path, struct slice name)
{
	unsigned depth = 0;
	for (const struct config_file *f = load->file; f; f = f->includer) {
		if (slice_equal(f->path, path))
			return load_error(load, node, "%s would include itself", name.ptr);
		depth++;
	}
	if (depth > LOAD_INCLUDE_DEPTH_MAX)
		return load_error(load, node, "files include each other more than %d deep",
			LOAD_INCLUDE_DEPTH_MAX);
	for (size_t i = 0; i < load->file_count; i++) {
		if (slice_equal(load->files[i]->path, path))
			return load_error(load, node, "%s is included already", name.ptr);
	}
	if (load->file_count >= LOAD_FILES_MAX)
		return load_error(load, node, "more than %d files are included", LOAD_FILES_MAX);
	return 0;
}

static int take_file(struct sites *sites, const struct config_file *file, take_fn *take)
{
	struct load *load = sites->load;
	const struct config_file *outer = load->file;
	bool failed;
	const struct node *root = parse_file(load, file, &failed);
	if (failed)
		return -1;
	if (!root || node_is_empty(root))
		return 0;
	if (root->kind == NODE_MAPPING && node_member(root, "sites"))
		return load_error(load, root,
			"an included file is a list of sites and nothing else: leave out \"sites:\" "
			"and begin each with a dash, - host: example.com");
	if (root->kind != NODE_LIST)
		return load_error(load, root,
			"an included file is a list of sites: begin each with a dash, - host: "
			"example.com");
	load->file = file;
	int result = take(sites, root);
	load->file = outer;
	return result;
}

static int include_file(
	struct sites *sites, const struct node *node, struct slice path, take_fn *take)
{
	struct load *load = sites->load;
	struct config_file *file = arena_zalloc(&load->scratch, sizeof(*file));
	file->path = path;
	file->name = shown_name(load, path);
	file->folder = arena_slice(&load->scratch, folder_of(path));
	file->includer = load->file;
	if (check_new(load, node, path, file->name))
		return -1;
	int error = kept_read(&load->kept, KEPT_FILE, &load->scratch, path, &file->text);
	if (error)
		return load_error(
			load, node, "cannot read %s: %s", file->name.ptr, strerror(error));
	file->order = (unsigned)load->file_count;
	load->files[load->file_count++] = file;
	return take_file(sites, file, take);
}

static int include_pattern(struct sites *sites, const struct node *node, take_fn *take)
{
	struct load *load = sites->load;
	struct slice paths;
	if (node->kind != NODE_SCALAR || node->text.len == 0)
		return load_error(load, node,
			"the name of a file or a pattern belongs here; for example include: "
			"[sites/*.yaml]");
	struct slice pattern = absolute_pattern(load, node->text);
	int error = kept_glob(&load->kept, &load->scratch, pattern, &paths);
	if (error)
		return load_error(
			load, node, "cannot look for %s: %s", node->text.ptr, strerror(error));
	if (paths.len == 0 && !has_wildcard(node->text))
		return load_error(
			load, node, "cannot read %s: %s", node->text.ptr, strerror(ENOENT));
	struct slice folder = folder_of(load_path(load, node->text));
	if (paths.len == 0 && !load->kept.replay.ptr && !has_wildcard(folder) &&
		access(arena_slice(&load->scratch, folder).ptr, X_OK))
		return load_error(load, node, "cannot look into %.*s: %s", (int)folder.len,
			folder.ptr, strerror(errno));
	int result = 0;
	while (paths.len > 0) {
		struct slice path = {paths.ptr, strnlen(paths.ptr, paths.len)};
		if (include_file(sites, node, path, take))
			result = -1;
		paths = slice_from(paths, path.len + 1);
	}
	return result;
}

int include_read(struct sites *sites, const struct node *node, take_fn *take)
{
	int result = 0;
	if (node_is_empty(node))
		return 0;
	if (node->kind != NODE_LIST)
		return include_pattern(sites, node, take);
	for (size_t i = 0; i < node->count; i++) {
		if (include_pattern(sites, node->items[i], take))
			result = -1;
	}
	return result;
}
