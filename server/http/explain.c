/* SPDX-License-Identifier: BSD-2-Clause */
/* Entries in order, and their two forms. */
#include "http/explain.h"

#include <stdio.h>

#include "base/check.h"

/* --- Writing. --- */

void explain_init(struct explanation *e)
{
	*e = (struct explanation){.root = {.kind = EXPLAIN_GROUP}};
	arena_init(&e->arena, NULL, 0);
	e->at = &e->root;
}

void explain_free(struct explanation *e)
{
	arena_reset(&e->arena);
	e->at = NULL;
}

struct explain_entry *explain_find(const struct explain_entry *group, const char *name)
{
	if (!group || group->kind != EXPLAIN_GROUP)
		return NULL;
	for (struct explain_entry *entry = group->first; entry; entry = entry->next)
		if (strcmp(entry->name, name) == 0)
			return entry;
	return NULL;
}

struct slice explain_told(const struct explain_entry *group, const char *name)
{
	const struct explain_entry *entry = explain_find(group, name);
	return entry ? entry->text : SLICE("");
}

static struct explain_entry *put(struct explanation *e, const char *name, enum explain_kind kind)
{
	check((name == NULL) == (e->at->kind == EXPLAIN_LIST));
	struct explain_entry *entry = name ? explain_find(e->at, name) : NULL;
	if (!entry) {
		entry = arena_zalloc(&e->arena, sizeof *entry);
		entry->name = name;
		entry->parent = e->at;
		if (e->at->last)
			e->at->last->next = entry;
		else
			e->at->first = entry;
		e->at->last = entry;
	}
	entry->kind = kind;
	return entry;
}

void explain_text(struct explanation *e, const char *name, struct slice text)
{
	if (e)
		put(e, name, EXPLAIN_TEXT)->text = arena_slice(&e->arena, text);
}

void explain_format(struct explanation *e, const char *name, const char *format, ...)
{
	if (!e)
		return;
	va_list arguments, again;
	va_start(arguments, format);
	va_copy(again, arguments);
	int length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	check(length >= 0);
	char *text = arena_alloc(&e->arena, (size_t)length + 1);
	vsnprintf(text, (size_t)length + 1, format, arguments);
	va_end(arguments);
	put(e, name, EXPLAIN_TEXT)->text = (struct slice){text, (size_t)length};
}

void explain_number(struct explanation *e, const char *name, uint64_t number)
{
	if (e)
		put(e, name, EXPLAIN_NUMBER)->number = number;
}

void explain_flag(struct explanation *e, const char *name, bool flag)
{
	if (e)
		put(e, name, EXPLAIN_FLAG)->number = flag;
}

void explain_nothing(struct explanation *e, const char *name)
{
	if (e)
		put(e, name, EXPLAIN_NOTHING);
}

void explain_group(struct explanation *e, const char *name)
{
	if (e)
		e->at = put(e, name, EXPLAIN_GROUP);
}

void explain_list(struct explanation *e, const char *name)
{
	if (e)
		e->at = put(e, name, EXPLAIN_LIST);
}

void explain_close(struct explanation *e)
{
	if (!e)
		return;
	check(e->at->parent);
	e->at = e->at->parent;
}

struct explain_entry *explain_enter(struct explanation *e, struct explain_entry *entry)
{
	struct explain_entry *before = e->at;
	e->at = entry;
	return before;
}

/* No deeper than the code that wrote them. */
static void copy_entries(struct explanation *e, const struct explain_entry *entry)
{
	for (; entry; entry = entry->next) {
		switch (entry->kind) {
		case EXPLAIN_TEXT:
			explain_text(e, entry->name, entry->text);
			break;
		case EXPLAIN_NUMBER:
			explain_number(e, entry->name, entry->number);
			break;
		case EXPLAIN_FLAG:
			explain_flag(e, entry->name, entry->number);
			break;
		case EXPLAIN_NOTHING:
			explain_nothing(e, entry->name);
			break;
		case EXPLAIN_GROUP:
		case EXPLAIN_LIST:
			e->at = put(e, entry->name, entry->kind);
			copy_entries(e, entry->first);
			explain_close(e);
			break;
		}
	}
}

void explain_copy(struct explanation *e, const struct explanation *from)
{
	copy_entries(e, from->root.first);
}

/* --- Octets. --- */

/* The length of the sequence of UTF-8 at the beginning, without overlong forms and surrogates; 0: there is none. */
static size_t utf8_length(struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.ptr;
	if (p[0] < 0x80)
		return 1;
	size_t length = p[0] >= 0xc2 && p[0] < 0xe0   ? 2
			: p[0] >= 0xe0 && p[0] < 0xf0 ? 3
			: p[0] >= 0xf0 && p[0] < 0xf5 ? 4
						      : 0;
	if (!length || s.len < length)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	bool bad = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) ||
		   (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90);
	return bad ? 0 : length;
}

/* Writes a text. What is no UTF-8, or a control, is written as the octet that it is: "\u001b", which JSON wants, or "\x1b". The controls of C1
 * are such too: terminals obey them. */
static void put_text(struct buffer *to, struct slice text, bool json)
{
	for (size_t i = 0; i < text.len;) {
		size_t length = utf8_length(slice_from(text, i));
		unsigned char octet = (unsigned char)text.ptr[i];
		bool plain = length > 0 && octet >= 0x20 && octet != 0x7f &&
			     (json || octet != 0xc2 || (unsigned char)text.ptr[i + 1] >= 0xa0);
		if (json && (octet == '"' || octet == '\\'))
			buffer_append(to, "\\", 1);
		if (plain) {
			buffer_append(to, text.ptr + i, length);
			i += length;
			continue;
		}
		if (json)
			buffer_format(to, "\\u%04x", octet);
		else
			buffer_format(to, "\\x%02x", octet);
		i++;
	}
}

/* --- JSON. --- */

static void json_string(struct buffer *to, struct slice text)
{
	buffer_append(to, "\"", 1);
	put_text(to, text, true);
	buffer_append(to, "\"", 1);
}

/* The next entry of a walk through all: from `entry` (whose own entries are done with) to the one behind it or behind what it stands
 * in, whose ends are written on the way. NULL: `top` was closed. */
static const struct explain_entry *json_next(
	const struct explain_entry *top, const struct explain_entry *entry, struct buffer *to)
{
	while (!entry->next) {
		entry = entry->parent;
		buffer_slice(to, entry->kind == EXPLAIN_LIST ? SLICE("]") : SLICE("}"));
		if (entry == top)
			return NULL;
	}
	buffer_append(to, ",", 1);
	return entry->next;
}

/* The value of an entry, or its beginning. */
static void json_value(struct buffer *to, const struct explain_entry *entry)
{
	switch (entry->kind) {
	case EXPLAIN_TEXT:
		json_string(to, entry->text);
		break;
	case EXPLAIN_NUMBER:
		buffer_format(to, "%llu", (unsigned long long)entry->number);
		break;
	case EXPLAIN_FLAG:
		buffer_slice(to, entry->number ? SLICE("true") : SLICE("false"));
		break;
	case EXPLAIN_NOTHING:
		buffer_slice(to, SLICE("null"));
		break;
	case EXPLAIN_GROUP:
		buffer_slice(to, entry->first ? SLICE("{") : SLICE("{}"));
		break;
	case EXPLAIN_LIST:
		buffer_slice(to, entry->first ? SLICE("[") : SLICE("[]"));
		break;
	}
}

static bool has_entries(const struct explain_entry *entry)
{
	return (entry->kind == EXPLAIN_GROUP || entry->kind == EXPLAIN_LIST) && entry->first;
}

void explain_json(const struct explanation *e, struct buffer *to)
{
	const struct explain_entry *entry = &e->root;
	while (entry) {
		if (entry->name) {
			json_string(to, slice_of(entry->name));
			buffer_append(to, ":", 1);
		}
		json_value(to, entry);
		if (has_entries(entry))
			entry = entry->first;
		else
			entry = entry == &e->root ? NULL : json_next(&e->root, entry, to);
	}
	buffer_append(to, "\n", 1);
}

/* --- Lines. --- */

/* One entry as a line: what it is called, what it says, which of its entries are said with that. */
struct line {
	struct slice name;
	const struct explain_entry *value; /* NULL: none */
	const struct explain_entry *why;   /* NULL: none */
	const struct explain_entry *rest;  /* the first that is to be told below; NULL: none */
};

static bool is_plain(const struct explain_entry *entry)
{
	return entry && entry->kind != EXPLAIN_GROUP && entry->kind != EXPLAIN_LIST;
}

static struct line line_of(const struct explain_entry *entry)
{
	struct line line = {.name = slice_of(entry->name)};
	if (is_plain(entry)) {
		line.value = entry;
		return line;
	}
	const struct explain_entry *next = entry->first;
	if (entry->kind == EXPLAIN_GROUP) {
		if (!entry->name && next && next->kind == EXPLAIN_TEXT) {
			line.name = next->text;
			next = next->next;
		}
		if (is_plain(next) && strcmp(next->name, "why") != 0) {
			line.value = next;
			next = next->next;
		}
		line.why = explain_find(entry, "why");
	}
	line.rest = next;
	return line;
}

/* Columns that a text takes, an octet of a sequence beyond its first taking none. */
static size_t width_of(struct slice text)
{
	size_t width = 0;
	for (size_t i = 0; i < text.len; i++)
		width += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
	return width;
}

#define WIDTH_MAX 48

static size_t widest(const struct explain_entry *entry, const struct explain_entry *without)
{
	size_t most = 0;
	for (; entry; entry = entry->next) {
		size_t width = width_of(line_of(entry).name);
		if (entry != without && width > most && width <= WIDTH_MAX)
			most = width;
	}
	return most;
}

static void put_value(struct buffer *to, const struct explain_entry *value)
{
	switch (value->kind) {
	case EXPLAIN_TEXT:
		put_text(to, value->text, false);
		break;
	case EXPLAIN_FLAG:
		buffer_slice(to, value->number ? SLICE("yes") : SLICE("no"));
		break;
	case EXPLAIN_NUMBER:
		buffer_format(to, "%llu", (unsigned long long)value->number);
		break;
	default:
		buffer_slice(to, SLICE("none"));
		break;
	}
}

static void put_line(struct buffer *to, const struct line *line, int indent, size_t column)
{
	size_t width = width_of(line->name);
	buffer_format(to, "%*s", indent, "");
	put_text(to, line->name, false);
	if (line->value || line->why)
		buffer_format(to, "%*s",
			line->name.len ? (int)(width < column ? column - width : 0) + 2 : 0, "");
	if (line->value)
		put_value(to, line->value);
	if (line->why) {
		if (line->value)
			buffer_slice(to, SLICE(": "));
		put_value(to, line->why);
	}
	buffer_append(to, "\n", 1);
}

/* Those from `entry` on, but for `without`. No deeper than the code that writes them: some five levels. */
static void put_lines(struct buffer *to, const struct explain_entry *entry,
	const struct explain_entry *without, int indent)
{
	size_t column = widest(entry, without);
	for (; entry; entry = entry->next) {
		if (entry == without)
			continue;
		struct line line = line_of(entry);
		put_line(to, &line, indent, column);
		if (line.rest)
			put_lines(to, line.rest, line.why, indent + 2);
	}
}

void explain_lines(const struct explanation *e, struct buffer *to)
{
	put_lines(to, e->root.first, NULL, 0);
}
