/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys such as handlers declare, for the tests of this room. */
#include "sample.h"

#define AT(member) offsetof(struct sample, member)

static int read_proxy(struct load *load, const struct node *node, void *target)
{
	static const char *const names[] = {"api", "application"};
	struct slice *proxy = target;
	if (node_kind(node) != NODE_SCALAR)
		return load_error(load, node, "a name belongs here");
	const char *near = value_nearest(node_text(node), names, 2);
	if (!slice_equal(node_text(node), SLICE("api")) &&
		!slice_equal(node_text(node), SLICE("application")))
		return load_error(load, node, "there is no upstream \"%s\": did you mean \"%s\"?",
			node_text(node).ptr, near ? near : "nothing");
	*proxy = arena_slice(load_arena(load), node_text(node));
	return 0;
}

static int read_list(struct load *load, const struct node *node, void *target)
{
	struct slice *list = target;
	*list = load_file(load, node, load_path(load, node_text(node)));
	return list->ptr ? 0 : -1;
}

static const char *const symlink_words[] = {"inside", "off", "anywhere", NULL};

static const struct option deep_rows[] = {
	{.name = "age",
		.type = OPTION_DURATION,
		.offset = AT(compress.deep.age),
		.preset = "1h",
		.min = 1000,
		.max = 86400000,
		.flags = OPTION_OFF},
	{0},
};

static const struct option compress_rows[] = {
	{.name = "level",
		.type = OPTION_INTEGER,
		.offset = AT(compress.level),
		.min = 1,
		.max = 9,
		.preset = "6"},
	{.name = "deep", .type = OPTION_GROUP, .rows = deep_rows},
	{0},
};

static const struct option rows[] = {
	{.name = "root",
		.type = OPTION_PATH,
		.flags = OPTION_OFF,
		.offset = AT(root),
		.example = "/srv/www",
		.prose = "Where the files are."},
	{.name = "index",
		.type = OPTION_STRINGS,
		.flags = OPTION_OFF,
		.offset = AT(index),
		.preset = "[index.html, index.htm]"},
	{.name = "listing", .type = OPTION_BOOL, .offset = AT(listing), .preset = "off"},
	{.name = "symlinks",
		.type = OPTION_ENUM,
		.offset = AT(symlinks),
		.words = symlink_words,
		.preset = "inside"},
	{.name = "min_size",
		.type = OPTION_SIZE,
		.offset = AT(min_size),
		.preset = "1k",
		.min = 16,
		.max = 1 << 20},
	{.name = "compress",
		.type = OPTION_GROUP,
		.flags = OPTION_ON | OPTION_OFF,
		.preset = "on",
		.switch_offset = AT(compress.on),
		.rows = compress_rows,
		.example = "{ level: 6 }"},
	{.name = "proxy",
		.type = OPTION_CUSTOM,
		.offset = AT(proxy),
		.parse = read_proxy,
		.schema = "{\"type\":\"string\"}"},
	{0},
};

static const struct option limit_rows[] = {
	{.name = "share",
		.type = OPTION_INTEGER,
		.offset = offsetof(struct sample_top, share),
		.preset = "7"},
	{0},
};

static const struct option member_rows[] = {
	{.name = "weight",
		.type = OPTION_INTEGER,
		.offset = 0,
		.preset = "1",
		.flags = OPTION_REQUIRED},
	{0},
};

/* A mapping of names that the user chooses; the weights are added up. */
static int read_members(struct load *load, const struct node *node, void *target)
{
	int64_t *sum = target, weight;
	if (node_kind(node) != NODE_MAPPING)
		return load_error(load, node, "a mapping of names belongs here");
	for (size_t i = 0; i < node_count(node); i++) {
		if (load_rows(load, node_item(node, i), member_rows, &weight))
			return -1;
		*sum += weight;
	}
	return 0;
}

static const struct option top_rows[] = {
	{.name = "burst",
		.type = OPTION_INTEGER,
		.flags = OPTION_OFF | OPTION_AUTO,
		.offset = offsetof(struct sample_top, burst),
		.preset = "9"},
	{.name = "list",
		.type = OPTION_CUSTOM,
		.offset = offsetof(struct sample_top, list),
		.parse = read_list,
		.schema = "{\"type\":\"string\"}"},
	{.name = "limits", .type = OPTION_GROUP, .rows = limit_rows},
	{.name = "members",
		.type = OPTION_CUSTOM,
		.rows = member_rows,
		.parse = read_members,
		.offset = offsetof(struct sample_top, weights),
		.prose = ".a \\ \"b\""},
	{0},
};

const struct option_set sample_site = {"sample", OPTION_SITE, sizeof(struct sample), rows};
const struct option_set sample_top = {"sample", OPTION_TOP, sizeof(struct sample_top), top_rows};
const struct option_set *const sample_list[] = {&sample_top, &sample_site, NULL};

struct snapshot *sample_load(const char *text, struct buffer *diagnostics)
{
	struct option_sets sets = {.sets = sample_list};
	return snapshot_load_text(
		slice_of(text), "weir.yaml", "/etc/weir", &sets, false, diagnostics);
}

const struct sample *sample_of(const struct snapshot *snapshot, const struct scope *scope)
{
	return scope_settings(snapshot, scope, &sample_site);
}
