/* SPDX-License-Identifier: BSD-2-Clause */
/* Header fields: names to numbers by a perfect hash, and lists of fields. */
#include "http/field.h"

#include "base/check.h"
#include "http/token.h"

enum { FIELDS_FIRST = 8, NAME_LONGEST = 24 };

/* Padded to 24 octets, so that names are compared by whole words. */
struct known_name {
	char text[NAME_LONGEST];
	unsigned char length;
};

#define FIELD_NAME(id, name, lower) [FIELD_##id] = {name, sizeof(name) - 1},
static const struct known_name known[FIELD_COUNT] = {FIELD_LIST(FIELD_NAME)};
#undef FIELD_NAME
#define FIELD_LOWER(id, name, lower) [FIELD_##id] = lower,
static const char lower_names[FIELD_COUNT][NAME_LONGEST] = {FIELD_LIST(FIELD_LOWER)};
#undef FIELD_LOWER

/* A name's slot is the top octet of the product of its length and three of its letters with this
 * number, which was found by trying. tests/unit/http/field tries for a new one, and prints the
 * table, when the list of fields has changed. */
#define HASH_MULTIPLIER 0x55afc8dbu
static const unsigned char slots[256] = {
	[6] = FIELD_USER_AGENT,
	[19] = FIELD_X_CONTENT_TYPE_OPTIONS,
	[20] = FIELD_SERVER,
	[23] = FIELD_ACCEPT,
	[26] = FIELD_CONNECTION,
	[36] = FIELD_ORIGIN,
	[37] = FIELD_LAST_MODIFIED,
	[44] = FIELD_CONTENT_LOCATION,
	[54] = FIELD_HOST,
	[72] = FIELD_IF_RANGE,
	[81] = FIELD_VARY,
	[83] = FIELD_KEEP_ALIVE,
	[86] = FIELD_LINK,
	[87] = FIELD_COOKIE,
	[94] = FIELD_X_POWERED_BY,
	[98] = FIELD_X_FORWARDED_FOR,
	[99] = FIELD_REFERER,
	[100] = FIELD_VIA,
	[101] = FIELD_CACHE_CONTROL,
	[105] = FIELD_CONTENT_TYPE,
	[107] = FIELD_DATE,
	[110] = FIELD_X_ACCEL_REDIRECT,
	[112] = FIELD_AUTHORIZATION,
	[114] = FIELD_X_FORWARDED_HOST,
	[116] = FIELD_EXPIRES,
	[129] = FIELD_X_FORWARDED_PROTO,
	[135] = FIELD_UPGRADE,
	[137] = FIELD_PRIORITY,
	[143] = FIELD_SEC_FETCH_DEST,
	[146] = FIELD_IF_MODIFIED_SINCE,
	[164] = FIELD_ACCEPT_RANGES,
	[168] = FIELD_RANGE,
	[169] = FIELD_IF_NONE_MATCH,
	[170] = FIELD_PROXY_CONNECTION,
	[175] = FIELD_MAX_FORWARDS,
	[177] = FIELD_CONTENT_ENCODING,
	[180] = FIELD_FORWARDED,
	[181] = FIELD_PRAGMA,
	[182] = FIELD_WWW_AUTHENTICATE,
	[184] = FIELD_HTTP2_SETTINGS,
	[190] = FIELD_CONTENT_RANGE,
	[195] = FIELD_TRANSFER_ENCODING,
	[202] = FIELD_RETRY_AFTER,
	[206] = FIELD_SET_COOKIE,
	[208] = FIELD_ALLOW,
	[211] = FIELD_AGE,
	[214] = FIELD_EXPECT,
	[217] = FIELD_IF_MATCH,
	[227] = FIELD_IF_UNMODIFIED_SINCE,
	[230] = FIELD_TRAILER,
	[232] = FIELD_ETAG,
	[238] = FIELD_PROXY_AUTHENTICATE,
	[240] = FIELD_CONTENT_LENGTH,
	[243] = FIELD_LOCATION,
	[246] = FIELD_PROXY_AUTHORIZATION,
	[247] = FIELD_TE,
	[251] = FIELD_ACCEPT_ENCODING,
};

static inline unsigned letter(char c)
{
	return (unsigned char)c | 0x20u;
}

static inline unsigned slot_of(struct slice name)
{
	uint32_t key = (uint32_t)name.len | letter(name.ptr[0]) << 8 |
		       letter(name.ptr[name.len / 2]) << 16 | letter(name.ptr[name.len - 1]) << 24;
	return key * HASH_MULTIPLIER >> 24;
}

static inline uint64_t load(const char *from)
{
	uint64_t word;
	memcpy(&word, from, sizeof(word));
	return word;
}

/* Zero when eight octets are those of a known name, in any case. Known names consist of letters,
 * digits and "-": only letters have 0x40 set, and only for them is 0x20 ignored, so that the
 * comparison is exact. */
static inline uint64_t differs(const char *name, const char *text)
{
	uint64_t k = load(text);
	uint64_t fold = (k & 0x4040404040404040u) >> 1;
	return (load(name) | fold) ^ (k | fold);
}

/* Likewise for four octets. */
static inline uint32_t differs4(const char *name, const char *text)
{
	uint32_t n, k;
	memcpy(&n, name, sizeof(n));
	memcpy(&k, text, sizeof(k));
	uint32_t fold = (k & 0x40404040u) >> 1;
	return (n | fold) ^ (k | fold);
}

/* Octets overlap where the length is no multiple of a word's. */
static inline bool same_name(const char *name, const char *text, size_t length)
{
	if (length < 4)
		return strncasecmp(name, text, length) == 0;
	if (length < 8)
		return (differs4(name, text) | differs4(name + length - 4, text + length - 4)) == 0;
	uint64_t difference = differs(name, text) | differs(name + length - 8, text + length - 8);
	if (length > 16)
		difference |= differs(name + 8, text + 8);
	return difference == 0;
}

enum field_id field_identify(struct slice name)
{
	if (name.len == 0 || name.len > NAME_LONGEST)
		return FIELD_OTHER;
	unsigned id = slots[slot_of(name)];
	const struct known_name *k = &known[id];
	return k->length == name.len && same_name(name.ptr, k->text, name.len) ? (enum field_id)id
									       : FIELD_OTHER;
}

struct slice field_known_name(enum field_id id)
{
	check(id > FIELD_OTHER && id < FIELD_COUNT);
	return (struct slice){known[id].text, known[id].length};
}

struct slice field_lower_name(enum field_id id)
{
	check(id > FIELD_OTHER && id < FIELD_COUNT);
	return (struct slice){lower_names[id], known[id].length};
}

bool field_lookalike(struct slice name)
{
	char dashed[sizeof("Transfer-Encoding") - 1];
	if ((name.len != sizeof("Content-Length") - 1 && name.len != sizeof(dashed)) ||
		!memchr(name.ptr, '_', name.len))
		return false;
	for (size_t i = 0; i < name.len; i++)
		dashed[i] = name.ptr[i] == '_' ? '-' : name.ptr[i];
	enum field_id id = field_identify((struct slice){dashed, name.len});
	return id == FIELD_CONTENT_LENGTH || id == FIELD_TRANSFER_ENCODING;
}

bool field_of_connection(enum field_id id)
{
	switch (id) {
	case FIELD_CONNECTION:
	case FIELD_KEEP_ALIVE:
	case FIELD_PROXY_CONNECTION:
	case FIELD_TRANSFER_ENCODING:
	case FIELD_UPGRADE:
		return true;
	default:
		return false;
	}
}

bool field_of_head(enum field_id id)
{
	switch (id) {
	case FIELD_AGE:
	case FIELD_AUTHORIZATION:
	case FIELD_CACHE_CONTROL:
	case FIELD_CONNECTION:
	case FIELD_CONTENT_ENCODING:
	case FIELD_CONTENT_LOCATION:
	case FIELD_CONTENT_RANGE:
	case FIELD_CONTENT_TYPE:
	case FIELD_COOKIE:
	case FIELD_DATE:
	case FIELD_EXPECT:
	case FIELD_EXPIRES:
	case FIELD_FORWARDED:
	case FIELD_HTTP2_SETTINGS:
	case FIELD_IF_MATCH:
	case FIELD_IF_MODIFIED_SINCE:
	case FIELD_IF_NONE_MATCH:
	case FIELD_IF_RANGE:
	case FIELD_IF_UNMODIFIED_SINCE:
	case FIELD_KEEP_ALIVE:
	case FIELD_LOCATION:
	case FIELD_MAX_FORWARDS:
	case FIELD_ORIGIN:
	case FIELD_PRAGMA:
	case FIELD_PROXY_AUTHENTICATE:
	case FIELD_PROXY_AUTHORIZATION:
	case FIELD_PROXY_CONNECTION:
	case FIELD_RANGE:
	case FIELD_RETRY_AFTER:
	case FIELD_SET_COOKIE:
	case FIELD_TE:
	case FIELD_TRAILER:
	case FIELD_UPGRADE:
	case FIELD_VARY:
	case FIELD_VIA:
	case FIELD_WWW_AUTHENTICATE:
	case FIELD_X_ACCEL_REDIRECT:
	case FIELD_X_CONTENT_TYPE_OPTIONS:
	case FIELD_X_FORWARDED_FOR:
	case FIELD_X_FORWARDED_HOST:
	case FIELD_X_FORWARDED_PROTO:
		return true;
	default:
		return false;
	}
}

void fields_reserve(struct fields *fields, struct arena *arena, unsigned more)
{
	if (fields->capacity - fields->count >= more)
		return;
	unsigned capacity = fields->capacity ? fields->capacity * 2 : FIELDS_FIRST;
	if (capacity < fields->count + more)
		capacity = fields->count + more;
	struct field *list = arena_alloc(arena, capacity * sizeof(*list));
	if (fields->count)
		memcpy(list, fields->list, fields->count * sizeof(*list));
	fields->list = list;
	fields->capacity = capacity;
}

void fields_add(struct fields *fields, struct arena *arena, enum field_id id, struct slice value)
{
	fields_reserve(fields, arena, 1);
	fields->list[fields->count++] = (struct field){field_known_name(id), value, id};
}

void fields_add_named(
	struct fields *fields, struct arena *arena, struct slice name, struct slice value)
{
	fields_reserve(fields, arena, 1);
	fields->list[fields->count++] = (struct field){name, value, field_identify(name)};
}

void fields_set(struct fields *fields, struct arena *arena, enum field_id id, struct slice value)
{
	fields_remove(fields, id);
	fields_add(fields, arena, id, value);
}

const struct field *fields_find(const struct fields *fields, enum field_id id)
{
	for (unsigned i = 0; i < fields->count; i++)
		if (fields->list[i].id == id)
			return &fields->list[i];
	return NULL;
}

const struct field *fields_find_named(const struct fields *fields, struct slice name)
{
	for (unsigned i = 0; i < fields->count; i++)
		if (slice_equal_nocase(fields->list[i].name, name))
			return &fields->list[i];
	return NULL;
}

unsigned fields_count(const struct fields *fields, enum field_id id)
{
	unsigned n = 0;
	for (unsigned i = 0; i < fields->count; i++)
		n += fields->list[i].id == id;
	return n;
}

void fields_remove(struct fields *fields, enum field_id id)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < fields->count; i++)
		if (fields->list[i].id != id)
			fields->list[kept++] = fields->list[i];
	fields->count = kept;
}

void fields_remove_named(struct fields *fields, struct slice name)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < fields->count; i++)
		if (!slice_equal_nocase(fields->list[i].name, name))
			fields->list[kept++] = fields->list[i];
	fields->count = kept;
}

struct slice fields_joined(const struct fields *fields, struct arena *arena, enum field_id id)
{
	size_t length = 0;
	unsigned lines = 0;
	struct slice only = {NULL, 0};
	for (unsigned i = 0; i < fields->count; i++) {
		if (fields->list[i].id == id) {
			only = fields->list[i].value;
			length += only.len + 2;
			lines++;
		}
	}
	if (lines <= 1)
		return only;
	char *joined = arena_alloc(arena, length), *to = joined;
	for (unsigned i = 0; i < fields->count; i++) {
		const struct field *f = &fields->list[i];
		if (f->id != id)
			continue;
		if (to != joined) {
			memcpy(to, ", ", 2);
			to += 2;
		}
		if (f->value.len)
			memcpy(to, f->value.ptr, f->value.len);
		to += f->value.len;
	}
	return (struct slice){joined, (size_t)(to - joined)};
}

bool fields_have_token(const struct fields *fields, enum field_id id, struct slice token)
{
	for (unsigned i = 0; i < fields->count; i++) {
		if (fields->list[i].id != id)
			continue;
		struct slice list = fields->list[i].value, member;
		while (list_next(&list, &member))
			if (slice_equal_nocase(member, token))
				return true;
	}
	return false;
}

void fields_vary(struct fields *fields, struct arena *arena, struct slice names)
{
	struct slice name;
	while (list_next(&names, &name)) {
		struct slice others = fields_joined(fields, arena, FIELD_VARY);
		if (fields_have_token(fields, FIELD_VARY, name) ||
			fields_have_token(fields, FIELD_VARY, SLICE("*")))
			continue;
		fields_set(fields, arena, FIELD_VARY,
			others.len ? arena_format(arena, "%.*s, %.*s", (int)others.len, others.ptr,
					     (int)name.len, name.ptr)
				   : arena_slice(arena, name));
	}
}
