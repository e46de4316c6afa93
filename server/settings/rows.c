/* SPDX-License-Identifier: BSD-2-Clause */
/* Fills structs from mappings as the rows say, and tells what does not fit. */
#include <stdio.h>

#include "base/check.h"
#include "settings/core.h"

enum { PARTS_MAX = 80 };

bool node_is_off(const struct node *node)
{
	bool on = true;
	const char *expected;
	return node->kind == NODE_SCALAR && node->plain &&
	       !value_bool(node->text, &on, &expected) && !on;
}

bool node_is_on(const struct node *node)
{
	bool on = false;
	const char *expected;
	return node->kind == NODE_SCALAR && node->plain &&
	       !value_bool(node->text, &on, &expected) && on;
}

/* ", for example root: /srv/www", or nothing. */
static const char *example_of(struct load *load, const struct option *row)
{
	if (!row->example)
		return "";
	return arena_format(&load->scratch, "; for example %s: %s", row->name, row->example).ptr;
}

static const char *alternatives(const struct option *row)
{
	if (row->flags & OPTION_OFF)
		return row->flags & OPTION_AUTO ? ", or auto, or off" : ", or off";
	return row->flags & OPTION_AUTO ? ", or auto" : "";
}

/* The text of a value that is no list or mapping and not missing; or { NULL, 0 } after an error. */
static struct slice scalar_text(
	struct load *load, const struct option *row, const struct node *node)
{
	if (node_is_empty(node))
		load_error(load, node, "the value of \"%s\" is missing%s", row->name,
			example_of(load, row));
	else if (node->kind != NODE_SCALAR)
		load_error(load, node, "\"%s\" takes one value, not a %s%s", row->name,
			node->kind == NODE_LIST ? "list" : "mapping", example_of(load, row));
	else
		return node->text;
	return (struct slice){NULL, 0};
}

/* A number as somebody would write it: the largest unit that leaves none behind. */
static const char *number_text(struct load *load, enum option_type type, int64_t n)
{
	static const struct {
		enum option_type type;
		int64_t factor;
		const char *unit;
	} units[] = {{OPTION_SIZE, 1 << 30, "G"}, {OPTION_SIZE, 1 << 20, "M"},
		{OPTION_SIZE, 1 << 10, "k"}, {OPTION_DURATION, 24 * 3600 * 1000, "d"},
		{OPTION_DURATION, 3600 * 1000, "h"}, {OPTION_DURATION, 60 * 1000, "m"},
		{OPTION_DURATION, 1000, "s"}, {OPTION_DURATION, 1, "ms"}};
	for (size_t i = 0; i < COUNT_OF(units); i++) {
		if (units[i].type == type && n != 0 && n % units[i].factor == 0)
			return arena_format(&load->scratch, "%lld%s",
				(long long)(n / units[i].factor), units[i].unit)
				.ptr;
	}
	return arena_format(&load->scratch, "%lld", (long long)n).ptr;
}

static int number_range(
	struct load *load, const struct option *row, const struct node *node, int64_t n)
{
	int64_t max = row->max == 0 ? INT64_MAX : row->max;
	if (n >= row->min && n <= max)
		return 0;
	if (max == INT64_MAX)
		return load_error(load, node, "\"%s\" must be at least %s, not %s", row->name,
			number_text(load, row->type, row->min), node->text.ptr);
	return load_error(load, node, "\"%s\" must be from %s to %s, not %s", row->name,
		number_text(load, row->type, row->min), number_text(load, row->type, max),
		node->text.ptr);
}

static bool all_digits(struct slice text)
{
	uint64_t number;
	return slice_number(text, &number) == 0;
}

static int number_read(
	struct load *load, const struct option *row, const struct node *node, int64_t *to)
{
	const char *expected;
	int result;
	struct slice text = scalar_text(load, row, node);
	if (!text.ptr)
		return -1;
	if (row->type == OPTION_DURATION)
		result = value_duration(text, to, &expected);
	else if (row->type == OPTION_SIZE)
		result = value_size(text, to, &expected);
	else
		result = value_integer(text, to, &expected);
	if (result == 0)
		return number_range(load, row, node, *to);
	if (row->type == OPTION_DURATION && all_digits(text))
		return load_error(load, node,
			"\"%s\" wants %s%s, not \"%s\": a unit is missing, write %ss for seconds",
			row->name, expected, alternatives(row), text.ptr, text.ptr);
	return load_error(load, node, "\"%s\" wants %s%s, not \"%s\"", row->name, expected,
		alternatives(row), text.ptr);
}

static int bool_read(struct load *load, const struct option *row, const struct node *node, bool *to)
{
	const char *expected;
	struct slice text = scalar_text(load, row, node);
	if (!text.ptr)
		return -1;
	if (value_bool(text, to, &expected))
		return load_error(
			load, node, "\"%s\" wants %s, not \"%s\"", row->name, expected, text.ptr);
	return 0;
}

static int word_index(const char *const *words, struct slice text)
{
	for (int i = 0; words[i]; i++) {
		if (slice_equal(slice_of(words[i]), text))
			return i;
	}
	return -1;
}

static int enum_read(struct load *load, const struct option *row, const struct node *node, int *to)
{
	struct slice text = scalar_text(load, row, node);
	if (!text.ptr)
		return -1;
	*to = word_index(row->words, text);
	if (*to < 0 && (node_is_off(node) || node_is_on(node)))
		*to = word_index(row->words, node_is_on(node) ? SLICE("on") : SLICE("off"));
	if (*to >= 0)
		return 0;
	struct buffer list = {0};
	size_t count = 0;
	for (; row->words[count]; count++)
		buffer_format(&list, "%s%s", count > 0 ? ", " : "", row->words[count]);
	const char *near = value_nearest(text, row->words, count);
	load_error(load, node, "\"%s\" wants one of %.*s%s, not \"%s\"%s%s%s", row->name,
		(int)list.len, list.ptr, alternatives(row), text.ptr,
		near ? ": did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	buffer_free(&list);
	return -1;
}

static int string_read(
	struct load *load, const struct option *row, const struct node *node, struct slice *to)
{
	struct slice text = scalar_text(load, row, node);
	if (!text.ptr)
		return -1;
	if (row->type == OPTION_PATH) {
		if (text.len == 0)
			return load_error(load, node, "\"%s\" wants a path%s", row->name,
				example_of(load, row));
		*to = load_path(load, text);
		return 0;
	}
	*to = arena_slice(load_arena(load), text);
	return 0;
}

static int strings_read(struct load *load, const struct option *row, const struct node *node,
	struct option_list *to)
{
	bool list = node->kind == NODE_LIST;
	size_t count = list ? node->count : 1;
	struct slice *items = arena_alloc(load_arena(load), (count + 1) * sizeof(items[0]));
	int result = 0;
	for (size_t i = 0; i < count; i++) {
		struct slice text = scalar_text(load, row, list ? node->items[i] : node);
		if (!text.ptr)
			result = -1;
		items[i] = arena_slice(load_arena(load), text);
	}
	*to = (struct option_list){items, count};
	return result;
}

/* A value that is not a group. */
static int row_read(
	struct load *load, const struct option *row, const struct node *node, char *base)
{
	void *target = base + row->offset;
	bool number = row->type == OPTION_INTEGER || row->type == OPTION_SIZE ||
		      row->type == OPTION_DURATION;
	bool is_auto = (row->flags & OPTION_AUTO) && node->kind == NODE_SCALAR &&
		       slice_equal(node->text, SLICE("auto"));
	bool is_off = (row->flags & OPTION_OFF) && node_is_off(node);
	if (number && (is_auto || is_off)) {
		*(int64_t *)target = is_auto ? 0 : -1;
		return 0;
	}
	switch (row->type) {
	case OPTION_BOOL:
		return bool_read(load, row, node, target);
	case OPTION_INTEGER:
	case OPTION_SIZE:
	case OPTION_DURATION:
		return number_read(load, row, node, target);
	case OPTION_ENUM:
		if (is_off && word_index(row->words, SLICE("off")) < 0) {
			*(int *)target = -1;
			return 0;
		}
		return enum_read(load, row, node, target);
	case OPTION_STRING:
	case OPTION_PATH:
		if (!is_off)
			return string_read(load, row, node, target);
		*(struct slice *)target = (struct slice){NULL, 0};
		return 0;
	case OPTION_STRINGS:
		if (!is_off)
			return strings_read(load, row, node, target);
		*(struct option_list *)target = (struct option_list){NULL, 0};
		return 0;
	case OPTION_CUSTOM:
		return row->parse(load, node, target);
	case OPTION_GROUP:
		break;
	}
	check(!"a row without a type");
	return -1;
}

static const struct option *row_find(const struct option *rows, struct slice name)
{
	for (; rows->name; rows++) {
		if (slice_equal(slice_of(rows->name), name))
			return rows;
	}
	return NULL;
}

/* One key of a mapping that is a group, in all parts that have it: parts[i].rows is one row here. */
static int group_read(struct load *load, const struct node *node, const struct rows_part *parts,
	size_t count, bool inherited)
{
	struct rows_part inner[PARTS_MAX];
	const struct option *row = parts[0].rows;
	unsigned flags = row->flags;
	bool on = node_is_on(node) && (flags & OPTION_ON);
	bool off = node_is_off(node) && (flags & OPTION_OFF);
	if (node_is_empty(node) && !(flags & (OPTION_ON | OPTION_OFF)))
		return 0; /* all lines below it are commented out */
	if (node->kind != NODE_MAPPING && !on && !off)
		return load_error(load, node, "\"%s\" wants a mapping%s%s%s", row->name,
			flags & OPTION_ON ? ", or on" : "", flags & OPTION_OFF ? ", or off" : "",
			example_of(load, row));
	for (size_t i = 0; i < count; i++) {
		row = parts[i].rows;
		if (row->flags & (OPTION_ON | OPTION_OFF))
			*(bool *)(void *)(parts[i].base + row->switch_offset) = !off;
		inner[i] = (struct rows_part){row->rows, parts[i].base + row->offset};
	}
	return on || off ? 0 : rows_read(load, node, inner, count, inherited);
}

static int key_read(struct load *load, const struct node *key, const struct node *value,
	const struct rows_part *parts, size_t count, bool inherited)
{
	struct rows_part found[PARTS_MAX];
	size_t found_count = 0;
	for (size_t i = 0; i < count; i++) {
		const struct option *row = row_find(parts[i].rows, key->text);
		if (row)
			found[found_count++] = (struct rows_part){row, parts[i].base};
	}
	if (found_count == 0)
		return unknown_key(load, key, parts, count);
	if (found[0].rows->type == OPTION_GROUP)
		return group_read(load, value, found, found_count, inherited);
	check(found_count == 1);
	return row_read(load, found[0].rows, value, found[0].base);
}

static int not_a_mapping(struct load *load, const struct node *node)
{
	if (node->kind == NODE_LIST)
		return load_error(load, node, "a mapping (key: value) belongs here, not a list");
	if (node_is_empty(node))
		return load_error(load, node, "a mapping (key: value) is missing here");
	if (memchr(node->text.ptr, ':', node->text.len))
		return load_error(load, node,
			"a mapping (key: value) belongs here: a space is missing behind the colon");
	return load_error(
		load, node, "a mapping (key: value) belongs here, not \"%s\"", node->text.ptr);
}

int rows_read(struct load *load, const struct node *mapping, const struct rows_part *parts,
	size_t count, bool inherited)
{
	int result = 0;
	check(count <= PARTS_MAX);
	if (mapping->kind != NODE_MAPPING)
		return not_a_mapping(load, mapping);
	for (size_t i = 0; i < mapping->count; i++) {
		if (key_read(load, mapping->keys[i], mapping->items[i], parts, count, inherited))
			result = -1;
	}
	for (size_t i = 0; !inherited && i < count; i++) {
		for (const struct option *row = parts[i].rows; row->name; row++) {
			if ((row->flags & OPTION_REQUIRED) && !node_member(mapping, row->name))
				result = load_error(load, mapping, "\"%s\" is missing here%s",
					row->name, example_of(load, row));
		}
	}
	return result;
}

void rows_preset(struct load *load, const struct option *rows, void *base)
{
	for (const struct option *row = rows; row->name; row++) {
		if (row->type == OPTION_GROUP) {
			bool *on = (bool *)(void *)((char *)base + row->switch_offset);
			const char *expected;
			if (row->flags & (OPTION_ON | OPTION_OFF))
				*on = false;
			if ((row->flags & (OPTION_ON | OPTION_OFF)) && row->preset)
				check(value_bool(slice_of(row->preset), on, &expected) == 0);
			rows_preset(load, row->rows, (char *)base + row->offset);
		} else if (row->preset) {
			check(row_read(load, row, parse_preset(load, row->preset), base) == 0);
		}
	}
}

int load_rows(
	struct load *load, const struct node *mapping, const struct option *rows, void *target)
{
	struct rows_part part = {rows, target};
	rows_preset(load, rows, target);
	return rows_read(load, mapping, &part, 1, false);
}
