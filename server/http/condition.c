/* SPDX-License-Identifier: BSD-2-Clause */
/* The preconditions (RFC 9110, 13) in the order of 13.2.2. */
#include "http/condition.h"

#include "http/date.h"

/* The length of the entity tag that s begins with (8.8.3), "W/" and quotes included; 0: there is
 * none. Unlike in a quoted string, a backslash is an octet like others. */
static size_t tag_length(struct slice s)
{
	size_t i = slice_starts(s, SLICE("W/")) ? 2 : 0;
	if (i >= s.len || s.ptr[i] != '"')
		return 0;
	for (i++; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		if (c == '"')
			return i + 1;
		if (c <= 0x20 || c == 0x7f)
			return 0;
	}
	return 0;
}

static bool is_weak(struct slice tag)
{
	return tag.len > 0 && tag.ptr[0] == 'W';
}

/* 8.8.3.2. An empty slice is no tag and equals none. */
static bool tag_equal(struct slice a, struct slice b, bool strong)
{
	if (a.len == 0 || b.len == 0 || (strong && (is_weak(a) || is_weak(b))))
		return false;
	return slice_equal(slice_from(a, is_weak(a) ? 2 : 0), slice_from(b, is_weak(b) ? 2 : 0));
}

/* Is what follows a member an end of it? */
static bool is_member_end(struct slice rest)
{
	rest = slice_trim(rest);
	return rest.len == 0 || rest.ptr[0] == ',';
}

bool etag_in_list(struct slice list, struct slice etag, bool strong)
{
	if (slice_equal(slice_trim(list), SLICE("*")))
		return true;
	while (list.len > 0) {
		size_t n = tag_length(list);
		if (n == 0) {
			/* OWS, a comma, or what is malformed: only what follows a comma can be a
			 * tag again. */
			char c = list.ptr[0];
			if (c != ' ' && c != '\t' && c != ',')
				return false;
			list = slice_from(list, 1);
			continue;
		}
		struct slice tag = {list.ptr, n};
		list = slice_from(list, n);
		if (!is_member_end(list))
			return false;
		if (tag_equal(tag, etag, strong))
			return true;
	}
	return false;
}

/* Does a line of that id hold the tag? "*" is true of whatever exists. */
static bool holds_tag(const struct fields *fields, enum field_id id, const struct validators *v,
	bool exists, bool strong)
{
	if (!exists)
		return false;
	for (unsigned i = 0; i < fields->count; i++)
		if (fields->list[i].id == id &&
			etag_in_list(fields->list[i].value, v->etag, strong))
			return true;
	return false;
}

/* The date of a field that stands there once and is one. 0 or -1. */
static int read_date(const struct fields *fields, enum field_id id, time_t now, time_t *when)
{
	if (fields_count(fields, id) != 1)
		return -1;
	return date_parse(fields_find(fields, id)->value, now, when);
}

/* Steps 1 and 2: has what the client knows been changed by somebody else? */
static bool is_lost_update(
	const struct fields *fields, const struct validators *v, bool exists, time_t now)
{
	time_t when;
	if (fields_find(fields, FIELD_IF_MATCH))
		return !holds_tag(fields, FIELD_IF_MATCH, v, exists, true);
	if (!exists || v->last_modified == 0 ||
		read_date(fields, FIELD_IF_UNMODIFIED_SINCE, now, &when))
		return false;
	return v->last_modified > when;
}

enum condition_result condition_evaluate(const struct fields *fields, enum method method,
	const struct validators *v, bool exists, time_t now)
{
	time_t when;
	bool reads = method == METHOD_GET || method == METHOD_HEAD;
	if (is_lost_update(fields, v, exists, now))
		return CONDITION_FAILED;
	if (fields_find(fields, FIELD_IF_NONE_MATCH)) {
		if (!holds_tag(fields, FIELD_IF_NONE_MATCH, v, exists, false))
			return CONDITION_TRUE;
		return reads ? CONDITION_NOT_MODIFIED : CONDITION_FAILED;
	}
	if (!reads || !exists || v->last_modified == 0 ||
		read_date(fields, FIELD_IF_MODIFIED_SINCE, now, &when))
		return CONDITION_TRUE;
	return v->last_modified <= when ? CONDITION_NOT_MODIFIED : CONDITION_TRUE;
}

bool condition_range(const struct fields *fields, const struct validators *v, time_t now)
{
	time_t when;
	const struct field *field = fields_find(fields, FIELD_IF_RANGE);
	if (!field)
		return true;
	if (fields_count(fields, FIELD_IF_RANGE) > 1)
		return false;
	if (tag_length(field->value) == field->value.len)
		return tag_equal(field->value, v->etag, true);
	/* A date tells versions apart only when its second is over (8.8.2.2). */
	return v->last_modified != 0 && v->last_modified < now &&
	       date_parse(field->value, now, &when) == 0 && when == v->last_modified;
}
