/* SPDX-License-Identifier: BSD-2-Clause */
/* Heads: the scanners against each other, the search for the end over every split against a plain
 * one, and the parser against a plain one that knows no vectors, no hash and no sentinel. */
#include <stdlib.h>

#include "base/check.h"
#include "http/h1_framing.h"
#include "http/h1_syntax.h"

enum { SPLITS_MAX = 600 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_scanners(const char *bytes, size_t length)
{
	for (size_t from = 0; from <= length && from < 40; from++) {
		size_t want = h1_scan_value_scalar(bytes + from, length - from);
		check(h1_scan_value_swar(bytes + from, length - from) == want);
		check(h1_scan_value(bytes + from, length - from) == want);
	}
}

static size_t plain_length(const char *b, size_t length)
{
	bool empty_line = true;
	for (size_t i = 0; i < length; i++) {
		if (b[i] == '\n')
			return i + 1;
		if (b[i] != '\r') {
			empty_line = false;
			continue;
		}
		if (i + 1 == length)
			return 0;
		i++;
		if (b[i] != '\n' || empty_line)
			return i + 1;
		empty_line = true;
	}
	return 0;
}

/* The pieces lie in memory of exactly their size. */
static size_t length_in_two(const char *bytes, size_t length, size_t split)
{
	size_t seen = 0;
	char *first = malloc(split + 1);
	check(first);
	memcpy(first + 1, bytes, split);
	size_t n = h1_head_length(first + 1, split, &seen);
	free(first);
	check(n != 0 || seen == split);
	return n ? n : h1_head_length(bytes, length, &seen);
}

static size_t check_length(const char *bytes, size_t length)
{
	size_t want = plain_length(bytes, length), seen = 0;
	check(h1_head_length(bytes, length, &seen) == want);
	for (size_t split = 0; split <= length && split < SPLITS_MAX; split++)
		check(length_in_two(bytes, length, split) == want);
	seen = 0;
	check(h1_trailer_length(bytes, length, &seen) == want);
	return want;
}

static bool plain_crlf(const char *b, size_t length, size_t at)
{
	return length - at >= 2 && b[at] == '\r' && b[at + 1] == '\n';
}

/* Reads fields up to the end of the octets; 0, 400 or 431. `fields` holds H1_FIELDS_MAX. */
static unsigned plain_fields(
	const char *b, size_t length, size_t at, struct field *list, unsigned *count)
{
	*count = 0;
	while (at < length && !plain_crlf(b, length, at)) {
		size_t begin = at;
		while (at < length && (octet_class[(unsigned char)b[at]] & OCTET_TOKEN))
			at++;
		if (at == begin || at == length || b[at] != ':')
			return 400;
		struct slice name = {b + begin, at - begin};
		char dashed[32];
		for (size_t i = 0; i < name.len && i < sizeof(dashed); i++)
			dashed[i] = name.ptr[i] == '_' ? '-' : name.ptr[i];
		if (name.len < sizeof(dashed) && memchr(name.ptr, '_', name.len) &&
			(slice_equal_nocase(
				 (struct slice){dashed, name.len}, SLICE("content-length")) ||
				slice_equal_nocase((struct slice){dashed, name.len},
					SLICE("transfer-encoding"))))
			return 400;
		if (*count == H1_FIELDS_MAX)
			return 431;
		begin = ++at;
		while (at < length && (octet_class[(unsigned char)b[at]] & OCTET_VALUE))
			at++;
		if (!plain_crlf(b, length, at))
			return 400;
		struct field *field = &list[(*count)++];
		field->name = name;
		field->value = slice_trim((struct slice){b + begin, at - begin});
		field->id = FIELD_OTHER;
		for (unsigned id = 1; id < FIELD_COUNT; id++)
			if (slice_equal_nocase(field_known_name(id), name))
				field->id = id;
		at += 2;
	}
	return plain_crlf(b, length, at) && at + 2 == length ? 0 : 400;
}

static unsigned plain_request(
	const char *b, size_t length, struct h1_request *r, struct field *list, unsigned *count)
{
	size_t at = 0;
	while (at < length && (octet_class[(unsigned char)b[at]] & OCTET_TOKEN))
		at++;
	r->method = (struct slice){b, at};
	if (at == 0 || at > H1_METHOD_MAX || at == length || b[at++] != ' ')
		return 400;
	size_t begin = at;
	while (at < length && (unsigned char)b[at] > 0x20 && (unsigned char)b[at] < 0x7f)
		at++;
	r->target = (struct slice){b + begin, at - begin};
	if (at == begin || at == length || b[at++] != ' ' || length - at < 10)
		return 400;
	const char *v = b + at;
	if (memcmp(v, "HTTP/", 5) != 0 || v[5] < '0' || v[5] > '9' || v[6] != '.' || v[7] < '0' ||
		v[7] > '9' || !plain_crlf(b, length, at + 8))
		return 400;
	if (length < 4 || memcmp(b + length - 4, "\r\n\r\n", 4) != 0)
		return 400;
	if (v[5] != '1' || v[7] > '1')
		return 505;
	r->minor = (unsigned)(v[7] - '0');
	if (r->target.len > H1_TARGET_MAX)
		return 414;
	return plain_fields(b, length, at + 10, list, count);
}

static void check_fields(const struct fields *got, const struct field *want, unsigned count)
{
	check(got->count == count);
	for (unsigned i = 0; i < count; i++) {
		check(slice_equal(got->list[i].name, want[i].name));
		check(slice_equal(got->list[i].value, want[i].value));
		check(got->list[i].id == want[i].id);
	}
}

static void check_request(const char *bytes, size_t length, struct arena *arena)
{
	struct h1_request got, want = {.minor = 0};
	struct fields fields;
	struct field list[H1_FIELDS_MAX];
	struct body_framing framing;
	unsigned count;
	unsigned status = h1_parse_request(bytes, length, arena, &got, &fields);
	check(status == plain_request(bytes, length, &want, list, &count));
	struct h1_request line;
	bool sound = h1_sound_line(bytes, length, &line);
	check(line.method.len <= H1_METHOD_MAX && (line.target.len == 0 || line.method.len > 0));
	if (status != 0)
		return;
	check(sound && line.minor == got.minor && slice_equal(line.method, got.method) &&
		slice_equal(line.target, got.target));
	check(slice_equal(got.method, want.method) && slice_equal(got.target, want.target));
	check(got.minor == want.minor);
	check_fields(&fields, list, count);
	for (size_t n = 0; n <= length && n < SPLITS_MAX; n++)
		check(h1_check_begun(bytes, n) == 0);
	framing_request(&fields, got.minor, &framing);
	struct slice upgrade = framing_upgrade(&fields, arena);
	check(upgrade.len == 0 || framing_upgrade_among(upgrade, upgrade));
	framing_remove_hop(&fields, arena);
	check(!fields_find(&fields, FIELD_CONNECTION) && fields.count <= count);
}

static void check_others(const char *bytes, size_t length, struct arena *arena)
{
	struct h1_response response;
	struct fields fields;
	struct field list[H1_FIELDS_MAX];
	struct body_framing framing;
	unsigned count;
	h1_check_begun(bytes, length);
	check(h1_leading_empty(bytes, length) <= 8);
	if (h1_parse_response(bytes, length, arena, &response, &fields) == 0) {
		const char *line_end = memchr(bytes, '\n', length);
		check(line_end && response.status >= 100 && response.status <= 599);
		size_t at = (size_t)(line_end - bytes) + 1;
		check(plain_fields(bytes, length, at, list, &count) == 0);
		check_fields(&fields, list, count);
		framing_response(&fields, response.minor, response.status, METHOD_GET, &framing);
	}
	if (h1_parse_trailers(bytes, length, arena, &fields) == 0) {
		check(plain_fields(bytes, length, 0, list, &count) == 0);
		check(fields.count <= count);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	struct arena arena;
	arena_init(&arena, NULL, 0);
	check_scanners(bytes, size);
	size_t length = check_length(bytes, size);
	/* As the carrier gives it, in memory of its own; and whatever else came. */
	char *head = malloc(length + 1);
	check(head);
	if (length)
		memcpy(head + 1, bytes, length);
	check_request(head + 1, length, &arena);
	check_others(head + 1, length, &arena);
	free(head);
	check_request(bytes, size, &arena);
	check_others(bytes, size, &arena);
	arena_reset(&arena);
	return 0;
}
