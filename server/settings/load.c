/* SPDX-License-Identifier: BSD-2-Clause */
/* What custom values and handlers may ask of a loading: nodes, memory, paths, files. */
#include "settings/load.h"

#include "base/check.h"

enum node_kind node_kind(const struct node *node)
{
	return node->kind;
}

struct slice node_text(const struct node *node)
{
	check(node->kind == NODE_SCALAR);
	return node->text;
}

size_t node_count(const struct node *node)
{
	return node->count;
}

const struct node *node_item(const struct node *node, size_t index)
{
	check(index < node->count);
	return node->items[index];
}

const struct node *node_key(const struct node *node, size_t index)
{
	check(node->kind == NODE_MAPPING && index < node->count);
	return node->keys[index];
}

const struct node *node_member(const struct node *node, const char *key)
{
	struct slice name = slice_of(key);
	if (node->kind != NODE_MAPPING)
		return NULL;
	for (size_t i = 0; i < node->count; i++) {
		if (slice_equal(node->keys[i]->text, name))
			return node->items[i];
	}
	return NULL;
}

const struct node *load_root(const struct load *load)
{
	return load->root;
}

struct arena *load_arena(struct load *load)
{
	return &load->snapshot->arena;
}

bool load_is_replay(const struct load *load)
{
	return load->kept.replay.ptr != NULL;
}

struct slice load_path(struct load *load, struct slice written)
{
	struct slice folder = load->file->folder;
	while (slice_starts(written, SLICE("./")))
		written = slice_from(written, 2);
	while (written.len > 1 && written.ptr[written.len - 1] == '/')
		written.len--;
	if (written.len > 0 && written.ptr[0] == '/')
		return arena_slice(load_arena(load), written);
	if (written.len == 0 || slice_equal(written, SLICE(".")))
		return arena_slice(load_arena(load), folder);
	return arena_format(load_arena(load), "%s%s%.*s", folder.ptr,
		slice_equal(folder, SLICE("/")) ? "" : "/", (int)written.len, written.ptr);
}

struct slice load_file(struct load *load, const struct node *node, struct slice path)
{
	struct slice contents;
	int error = kept_read(&load->kept, KEPT_FILE, load_arena(load), path, &contents);
	if (!error)
		return contents;
	load_error(load, node, "cannot read %.*s: %s", (int)path.len, path.ptr, strerror(error));
	return (struct slice){NULL, 0};
}

int load_device(struct load *load, struct slice path, dev_t *device)
{
	return kept_device(&load->kept, path, device);
}
