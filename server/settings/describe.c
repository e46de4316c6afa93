/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes the JSON Schema of the configuration and the reference in its manual, from the rows that the loader obeys. */
#include "settings/describe.h"

#include "base/check.h"
#include "settings/core.h"

enum { LISTS_MAX = 80 };

/* Lists of rows whose keys stand in one mapping. */
struct lists {
	const struct option *rows[LISTS_MAX];
	size_t count;
};

static void lists_add(struct lists *lists, const struct option *rows)
{
	check(lists->count < LISTS_MAX);
	lists->rows[lists->count++] = rows;
}

static void lists_add_sets(
	struct lists *lists, const struct option_sets *sets, enum option_place place)
{
	for (size_t i = 0; sets->sets && sets->sets[i]; i++) {
		if (sets->sets[i]->place == place)
			lists_add(lists, sets->sets[i]->rows);
	}
}

/* The rows of the groups of this name in all lists. False where a list before `from` had the name: it is done then. */
static bool lists_inner(
	const struct lists *lists, size_t from, const char *name, struct lists *inner)
{
	inner->count = 0;
	for (size_t i = 0; i < lists->count; i++) {
		for (const struct option *row = lists->rows[i]; row->name; row++) {
			if (strcmp(row->name, name) != 0)
				continue;
			if (i < from)
				return false;
			if (row->rows)
				lists_add(inner, row->rows);
		}
	}
	return true;
}

static void indent(struct buffer *to, unsigned depth)
{
	buffer_append(to, "\n", 1);
	for (unsigned i = 0; i < depth; i++)
		buffer_append(to, "  ", 2);
}

static void json_string(struct buffer *to, const char *text)
{
	buffer_append(to, "\"", 1);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buffer_append(to, "\\", 1);
		buffer_append(to, text, 1);
	}
	buffer_append(to, "\"", 1);
}

static void schema_words(struct buffer *to, const struct option *row)
{
	static const char on_words[] = ", true, \"true\", \"yes\"";
	static const char off_words[] = ", false, \"false\", \"no\"";
	buffer_format(to, "\"enum\": [");
	for (size_t i = 0; row->words[i]; i++) {
		buffer_format(to, "%s\"%s\"", i > 0 ? ", " : "", row->words[i]);
		/* 308 is a number to an editor */
		if (strspn(row->words[i], "0123456789.") == strlen(row->words[i]))
			buffer_format(to, ", %s", row->words[i]);
		if (strcmp(row->words[i], "on") == 0)
			buffer_format(to, "%s", on_words);
		if (strcmp(row->words[i], "off") == 0)
			buffer_format(to, "%s", off_words);
	}
	buffer_format(to, "]");
}

/* Numbers may be written as texts too: what an editor takes for one differs. */
static void schema_number(struct buffer *to, const struct option *row)
{
	const char *pattern = row->type == OPTION_SIZE       ? "^[0-9]+[kKmMgGT]?$"
			      : row->type == OPTION_DURATION ? "^([0-9]+(ms|s|m|h|d)|0)$"
			      : row->min < 0                 ? "^-?[0-9]+$"
							     : "^[0-9]+$";
	buffer_format(to, "\"type\": [\"integer\", \"string\"], \"pattern\": \"%s\"", pattern);
	if (row->type == OPTION_DURATION) {
		buffer_format(to, ", \"minimum\": 0, \"maximum\": 0");
		return;
	}
	buffer_format(to, ", \"minimum\": %lld", (long long)row->min);
	if (row->max != 0)
		buffer_format(to, ", \"maximum\": %lld", (long long)row->max);
}

static void schema_lists(struct buffer *to, const struct lists *lists, unsigned depth);

/* A mapping of names that the user chooses to mappings with these rows. */
static void schema_members(struct buffer *to, const struct lists *inner, unsigned depth)
{
	buffer_format(to, "\"type\": \"object\",");
	indent(to, depth);
	buffer_format(to, "\"additionalProperties\": {");
	indent(to, depth + 1);
	schema_lists(to, inner, depth + 1);
	indent(to, depth);
	buffer_append(to, "}", 1);
}

/* One mapping with these rows, or a list of them. */
static void schema_items(struct buffer *to, const struct lists *inner, unsigned depth)
{
	buffer_format(to, "\"anyOf\": [{ ");
	schema_lists(to, inner, depth + 1);
	buffer_format(to, " }, { \"type\": \"array\", \"items\": { ");
	schema_lists(to, inner, depth + 1);
	buffer_format(to, " } }]");
}

/* The members of a schema that say what the value is, without braces. */
static void schema_type(
	struct buffer *to, const struct option *row, const struct lists *inner, unsigned depth)
{
	switch (row->type) {
	case OPTION_BOOL:
		buffer_format(to, "\"enum\": [true, false, \"on\", \"off\", \"true\", \"false\", "
				  "\"yes\", \"no\"]");
		break;
	case OPTION_INTEGER:
	case OPTION_SIZE:
	case OPTION_DURATION:
		schema_number(to, row);
		break;
	case OPTION_STRING:
		buffer_format(to, "\"type\": [\"string\", \"number\"]");
		break;
	case OPTION_PATH:
		buffer_format(to, "\"type\": \"string\", \"minLength\": 1");
		break;
	case OPTION_ENUM:
		schema_words(to, row);
		break;
	case OPTION_STRINGS:
		buffer_format(to, "\"type\": [\"string\", \"array\"], \"items\": { \"type\": "
				  "\"string\" }");
		break;
	case OPTION_GROUP:
		schema_lists(to, inner, depth);
		break;
	case OPTION_CUSTOM:
		if (!row->schema && row->rows) {
			if (row->flags & OPTION_ITEMS)
				schema_items(to, inner, depth);
			else
				schema_members(to, inner, depth);
			break;
		}
		check(row->schema && row->schema[0] == '{');
		buffer_append(to, row->schema + 1, strlen(row->schema) - 2);
		break;
	}
}

/* One property: `"name": { … }`. */
static void schema_row(
	struct buffer *to, const struct option *row, const struct lists *inner, unsigned depth)
{
	bool off = (row->flags & OPTION_OFF) && row->type != OPTION_CUSTOM;
	bool on = (row->flags & OPTION_ON) && row->type == OPTION_GROUP;
	bool any = off || on || (row->flags & OPTION_AUTO);
	indent(to, depth);
	buffer_format(to, "\"%s\": {", row->name);
	if (row->prose) {
		indent(to, depth + 1);
		buffer_format(to, "\"description\": ");
		json_string(to, row->prose);
		buffer_append(to, ",", 1);
	}
	if (row->preset) {
		indent(to, depth + 1);
		buffer_format(to, "\"default\": ");
		json_string(to, row->preset);
		buffer_append(to, ",", 1);
	}
	indent(to, depth + 1);
	if (any) {
		buffer_format(to, "\"anyOf\": [");
		if (off)
			buffer_format(to, "{ \"enum\": [false, \"off\", \"false\", \"no\"] }, ");
		if (on)
			buffer_format(to, "{ \"enum\": [true, \"on\", \"true\", \"yes\"] }, ");
		if (row->flags & OPTION_AUTO)
			buffer_format(to, "{ \"const\": \"auto\" }, ");
		buffer_format(to, "{ ");
	}
	schema_type(to, row, inner, depth + 1);
	if (any)
		buffer_format(to, " }]");
	indent(to, depth);
	buffer_append(to, "}", 1);
}

/* The members of an object's schema, without braces. */
static void schema_lists(struct buffer *to, const struct lists *lists, unsigned depth)
{
	struct buffer required = {0};
	struct lists inner;
	bool first = true;
	buffer_format(to, "\"type\": \"object\",");
	indent(to, depth);
	buffer_format(to, "\"properties\": {");
	for (size_t i = 0; i < lists->count; i++) {
		for (const struct option *row = lists->rows[i]; row->name; row++) {
			if (!lists_inner(lists, i, row->name, &inner))
				continue;
			if (!first)
				buffer_append(to, ",", 1);
			first = false;
			schema_row(to, row, &inner, depth + 1);
			if (row->flags & OPTION_REQUIRED)
				buffer_format(&required, "%s\"%s\"", required.len > 0 ? ", " : "",
					row->name);
		}
	}
	indent(to, depth);
	buffer_format(to, "},");
	indent(to, depth);
	if (required.len > 0) {
		buffer_format(to, "\"required\": [%.*s],", (int)required.len, required.ptr);
		indent(to, depth);
	}
	buffer_format(to, "\"additionalProperties\": false");
	buffer_free(&required);
}

static void schema_definition(struct buffer *to, const char *name, const struct lists *lists)
{
	indent(to, 2);
	buffer_format(to, "\"%s\": {", name);
	indent(to, 3);
	schema_lists(to, lists, 3);
	indent(to, 2);
	buffer_append(to, "}", 1);
}

void describe_schema(struct buffer *to, const struct option_sets *sets)
{
	struct lists top = {.count = 0}, site = top, route = top, listen = top;
	lists_add(&top, core_top_rows);
	lists_add_sets(&top, sets, OPTION_TOP);
	lists_add(&top, core_file_rows);
	lists_add(&site, core_site_rows);
	lists_add_sets(&site, sets, OPTION_SITE);
	lists_add(&site, core_scope_rows);
	lists_add_sets(&route, sets, OPTION_SITE);
	lists_add(&route, core_scope_rows);
	lists_add(&listen, core_listen_rows);
	buffer_format(to, "{\n  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n"
			  "  \"title\": \"weir.yaml\",\n  ");
	schema_lists(to, &top, 1);
	buffer_format(to, ",\n  \"$defs\": {");
	schema_definition(to, "site", &site);
	buffer_append(to, ",", 1);
	schema_definition(to, "route", &route);
	buffer_format(to, ",\n    \"listen\": {\n      \"anyOf\": [{ \"type\": \"string\" }, {\n"
			  "        ");
	schema_lists(to, &listen, 4);
	buffer_format(to, "\n      }]\n    }\n  }\n}\n");
}

/* Text that stands in a line of its own or between quotes in a line of macros. */
static void manual_text(struct buffer *to, const char *text)
{
	if (*text == '.' || *text == '\'')
		buffer_append(to, "\\&", 2);
	for (; *text; text++) {
		if (*text == '\\')
			buffer_append(to, "\\e", 2);
		else if (*text == '"')
			buffer_append(to, "\\(dq", 4);
		else if (*text == '-')
			buffer_append(to, "\\-", 2);
		else
			buffer_append(to, text, 1);
	}
}

/* What the value is, in a few words. */
static void manual_type(struct buffer *to, const struct option *row)
{
	static const char *const words[] = {
		[OPTION_BOOL] = "on or off",
		[OPTION_INTEGER] = "a number",
		[OPTION_SIZE] = "a size",
		[OPTION_DURATION] = "a duration",
		[OPTION_STRING] = "a text",
		[OPTION_PATH] = "a path",
		[OPTION_ENUM] = "one of ",
		[OPTION_STRINGS] = "a text or a list of them",
		[OPTION_GROUP] = "a mapping",
		[OPTION_CUSTOM] = "",
	};
	buffer_format(to, "%s", words[row->type]);
	for (size_t i = 0; row->type == OPTION_ENUM && row->words[i]; i++)
		buffer_format(to, "%s%s", i > 0 ? ", " : "", row->words[i]);
	if (row->type == OPTION_CUSTOM)
		return;
	if ((row->flags & OPTION_ON) && row->type == OPTION_GROUP)
		buffer_format(to, ", or on");
	if (row->flags & OPTION_AUTO)
		buffer_format(to, ", or auto");
	if (row->flags & OPTION_OFF)
		buffer_format(to, ", or off");
}

static void manual_row(struct buffer *to, const struct option *row, const char *prefix)
{
	struct buffer facts = {0};
	buffer_format(to, ".It Ic %s%s\n", prefix, row->name);
	if (row->prose) {
		manual_text(to, row->prose);
		buffer_append(to, "\n", 1);
	}
	manual_type(&facts, row);
	if (row->preset)
		buffer_format(&facts, "%sby default %s", facts.len > 0 ? "; " : "", row->preset);
	if (row->flags & OPTION_REQUIRED)
		buffer_format(&facts, "%smust be given", facts.len > 0 ? "; " : "");
	if (facts.len > 0) {
		buffer_append(&facts, "", 1);
		buffer_append(to, "(", 1);
		manual_text(to, facts.ptr);
		buffer_format(to, ")\n");
	}
	if (row->example) {
		buffer_format(to, ".Dl \"%s: ", row->name);
		manual_text(to, row->example);
		buffer_format(to, "\"\n");
	}
	buffer_free(&facts);
}

static void manual_lists(struct buffer *to, const struct lists *lists, const char *prefix)
{
	struct lists inner;
	for (size_t i = 0; i < lists->count; i++) {
		for (const struct option *row = lists->rows[i]; row->name; row++) {
			if (!lists_inner(lists, i, row->name, &inner))
				continue;
			manual_row(to, row, prefix);
			if (!row->rows)
				continue;
			struct buffer path = {0};
			buffer_format(&path, "%s%s%s.", prefix, row->name,
				row->type != OPTION_CUSTOM  ? ""
				: row->flags & OPTION_ITEMS ? "[]"
							    : ".NAME");
			buffer_append(&path, "", 1);
			manual_lists(to, &inner, path.ptr);
			buffer_free(&path);
		}
	}
}

static void manual_section(struct buffer *to, const char *title, const struct lists *lists)
{
	buffer_format(to, ".Ss %s\n.Bl -tag -width Ds\n", title);
	manual_lists(to, lists, "");
	buffer_format(to, ".El\n");
}

void describe_manual(struct buffer *to, const struct option_sets *sets)
{
	struct lists top = {.count = 0}, site = top, scope = top, listen = top;
	lists_add(&top, core_top_rows);
	lists_add_sets(&top, sets, OPTION_TOP);
	lists_add(&top, core_file_rows);
	lists_add(&site, core_site_rows);
	lists_add_sets(&scope, sets, OPTION_SITE);
	lists_add(&scope, core_scope_rows);
	lists_add(&listen, core_listen_rows);
	manual_section(to, "Keys of the file", &top);
	manual_section(to, "Keys of a site", &site);
	manual_section(to, "Keys of an item of listen that is a mapping", &listen);
	manual_section(to, "Keys of a site or a route", &scope);
}
