/* SPDX-License-Identifier: BSD-2-Clause */
/* Any octets as a configuration: read from a text, and as what an earlier load kept. Nothing here touches the disk, for an
 * `include` may name anything. */
#include <stdlib.h>

#include "base/check.h"
#include "settings/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifdef WEIR_SANITIZERS
/* What libfyaml has read of a text in quotes that nobody closes is lost to it. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libfyaml\n";
}
#endif

/* A row of each type, so that all readers are reached. */
struct values {
	bool boolean, group;
	int64_t integer, bytes, duration, level;
	int word;
	struct slice string, path, custom;
	struct option_list strings;
};

#define AT(member) offsetof(struct values, member)

static int read_custom(struct load *load, const struct node *node, void *target)
{
	struct slice *text = target;
	if (node_kind(node) == NODE_SCALAR) {
		*text = arena_slice(load_arena(load), node_text(node));
		return 0;
	}
	for (size_t i = 0; i < node_count(node); i++) {
		if (read_custom(load, node_item(node, i), target))
			return -1;
	}
	return node_count(node) > 3 ? load_error(load, node, "more than three") : 0;
}

static const char *const words[] = {"off", "inside", "anywhere", NULL};

static const struct option group_rows[] = {
	{.name = "level",
		.type = OPTION_INTEGER,
		.offset = AT(level),
		.min = 1,
		.max = 9,
		.preset = "6"},
	{0},
};

static const struct option rows[] = {
	{.name = "boolean", .type = OPTION_BOOL, .offset = AT(boolean), .preset = "on"},
	{.name = "integer", .type = OPTION_INTEGER, .offset = AT(integer), .flags = OPTION_AUTO},
	{.name = "bytes", .type = OPTION_SIZE, .offset = AT(bytes), .flags = OPTION_OFF},
	{.name = "duration", .type = OPTION_DURATION, .offset = AT(duration)},
	{.name = "word", .type = OPTION_ENUM, .offset = AT(word), .words = words},
	{.name = "string", .type = OPTION_STRING, .offset = AT(string)},
	{.name = "path", .type = OPTION_PATH, .offset = AT(path), .flags = OPTION_OFF},
	{.name = "strings", .type = OPTION_STRINGS, .offset = AT(strings), .preset = "[a, b]"},
	{.name = "group",
		.type = OPTION_GROUP,
		.flags = OPTION_ON | OPTION_OFF,
		.switch_offset = AT(group),
		.rows = group_rows},
	{.name = "custom", .type = OPTION_CUSTOM, .offset = AT(custom), .parse = read_custom},
	{0},
};

static const struct option_set site_set = {"fuzz", OPTION_SITE, sizeof(struct values), rows};
static const struct option_set top_set = {"fuzz", OPTION_TOP, sizeof(struct values), rows};
static const struct option_set *const list[] = {&site_set, &top_set, NULL};

/* A snapshot comes without errors told, or none with one; and what it kept leads to the same again. */
static void take(
	struct snapshot *snapshot, struct buffer *diagnostics, const struct option_sets *sets)
{
	check(snapshot || diagnostics->len > 0);
	if (snapshot) {
		struct snapshot *again =
			snapshot_load("none", snapshot->text, sets, true, diagnostics);
		check(again && again->site_count == snapshot->site_count &&
			again->scope_count == snapshot->scope_count &&
			again->listener_count == snapshot->listener_count &&
			slice_equal(again->text, snapshot->text));
		snapshot_free(again);
	}
	snapshot_free(snapshot);
	buffer_free(diagnostics);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct option_sets sets = {.sets = list};
	struct buffer diagnostics = {0}, kept = {0};
	struct slice text = {(const char *)data, size};

	buffer_format(&kept, "weir-kept 1\nM 1 %zu\nm\n", size);
	buffer_slice(&kept, text);
	buffer_format(&kept,
		"\nN 1 0\nn\n\nD 2 0\n/d\n\nF 4 16\n/d/f\n- listen: ['x']\n\nP 4 5\n/d/f\n/d/f");
	buffer_append(&kept, "\0\n", 2);
	take(snapshot_load("none", (struct slice){kept.ptr, kept.len}, &sets, true, &diagnostics),
		&diagnostics, &sets);
	buffer_free(&kept);
	if (size > 0)
		take(snapshot_load("none", text, &sets, false, &diagnostics), &diagnostics, &sets);
	if (size > 0 && !memmem(data, size, "include", 7))
		take(snapshot_load_text(text, "weir.yaml", "/etc", &sets, false, &diagnostics),
			&diagnostics, &sets);
	return 0;
}
