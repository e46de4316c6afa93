/* SPDX-License-Identifier: BSD-2-Clause */
/* Which octets are a message's body (RFC 9112, 6 and 7). What two readers could frame differently
 * is refused, never repaired. */
#include "http/h1_framing.h"

#include "base/check.h"
#include "http/h1_head.h"
#include "http/h1_scan.h"
#include "http/h1_syntax.h"

enum { LENGTH_DIGITS_MAX = 19, EXTENSION_MAX = 1024, EXTENSIONS_MAX = 16384, SIZE_DIGITS_MAX = 16 };
enum { PROTOCOLS_MAX = 32 }; /* in Upgrade */

/* What the fields of a head say about framing. */
struct framing_fields {
	const struct field *length;
	const struct field *coding;
	unsigned lengths;
	unsigned codings;
	unsigned options; /* members of Connection */
	bool doubtful;    /* named in Connection, or too many options there */
};

static void read_connection(struct slice list, struct framing_fields *found)
{
	struct slice option;
	while (found->options <= CONNECTION_OPTIONS_MAX && list_next(&list, &option)) {
		found->options++;
		enum field_id id = field_identify(option);
		if (id == FIELD_CONTENT_LENGTH || id == FIELD_TRANSFER_ENCODING)
			found->doubtful = true;
	}
}

static void read_fields(const struct fields *fields, struct framing_fields *found)
{
	for (unsigned i = 0; i < fields->count; i++) {
		const struct field *f = &fields->list[i];
		switch (f->id) {
		case FIELD_CONTENT_LENGTH:
			found->length = f;
			found->lengths++;
			break;
		case FIELD_TRANSFER_ENCODING:
			found->coding = f;
			found->codings++;
			break;
		case FIELD_CONNECTION:
			read_connection(f->value, found);
			break;
		default:
			break;
		}
	}
	found->doubtful |= found->options > CONNECTION_OPTIONS_MAX;
}

static int read_length(struct slice value, uint64_t *length)
{
	if (value.len == 0 || value.len > LENGTH_DIGITS_MAX)
		return -1;
	uint64_t n = 0;
	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] < '0' || value.ptr[i] > '9')
			return -1;
		n = n * 10 + (uint64_t)(value.ptr[i] - '0');
	}
	if (n > INT64_MAX)
		return -1;
	*length = n;
	return 0;
}

/* 0 for "chunked" alone; 501 for another coding alone, and for a list of tokens in which chunked is
 * the last and nowhere else; 400. */
static unsigned read_coding(struct slice value)
{
	const struct slice chunked = SLICE("chunked");
	if (slice_equal_nocase(value, chunked))
		return 0;
	unsigned codings = 0, chunks = 0;
	struct slice list = value, member = {NULL, 0};
	bool is_last = false;
	while (list.len > 0) {
		/* Not list_next: an empty member is malformed here, and so is white space that a
		 * list may have. */
		const char *comma = memchr(list.ptr, ',', list.len);
		size_t length = comma ? (size_t)(comma - list.ptr) : list.len;
		member = slice_trim((struct slice){list.ptr, length});
		if (!token_valid(member) || (comma && length + 1 == list.len))
			return 400;
		list = slice_from(list, length + 1);
		is_last = slice_equal_nocase(member, chunked);
		chunks += is_last;
		codings++;
	}
	if (codings == 1 || (chunks == 1 && is_last))
		return 501;
	return 400;
}

/* Framing by fields alone; FRAMING_NONE when there are none. 0, 400 or 501. */
static unsigned read_framing(
	const struct fields *fields, unsigned minor, struct body_framing *framing)
{
	struct framing_fields found = {0};
	*framing = (struct body_framing){0};
	read_fields(fields, &found);
	if (found.doubtful || found.lengths > 1 || found.codings > 1)
		return 400;
	if (found.coding) {
		if (found.length || minor == 0)
			return 400;
		framing->kind = FRAMING_CHUNKED;
		return read_coding(found.coding->value);
	}
	if (found.length) {
		framing->kind = FRAMING_LENGTH;
		if (read_length(found.length->value, &framing->length))
			return 400;
	}
	return 0;
}

unsigned framing_request(const struct fields *fields, unsigned minor, struct body_framing *framing)
{
	return read_framing(fields, minor, framing);
}

unsigned framing_response(const struct fields *fields, unsigned minor, unsigned status,
	enum method method, struct body_framing *framing)
{
	const struct body_framing none = {0};
	if (read_framing(fields, minor, framing) != 0)
		return 502;
	bool announced = framing->kind == FRAMING_CHUNKED || framing->length > 0;
	if (status < 200) {
		*framing = none;
		return announced ? 502 : 0;
	}
	if (method == METHOD_CONNECT && status < 300) {
		*framing = none;
		framing->last = true;
	} else if (status == 204) {
		*framing = none;
		framing->last = announced;
	} else if (method == METHOD_HEAD || status == 304) {
		*framing = none;
	} else if (framing->kind == FRAMING_NONE) {
		framing->kind = FRAMING_CLOSE;
		framing->last = true;
	}
	return 0;
}

enum chunked_state {
	CHUNK_SIZE,              /* begins: all zero */
	CHUNK_EXTENSION_AWAITED, /* behind white space: one must follow */
	CHUNK_EXTENSION_BEGIN,
	CHUNK_EXTENSION_NAME,
	CHUNK_EXTENSION_NAME_END, /* behind white space: its value, or the next one, must follow */
	CHUNK_EXTENSION_VALUE_BEGIN,
	CHUNK_EXTENSION_VALUE,
	CHUNK_EXTENSION_QUOTED,
	CHUNK_EXTENSION_QUOTED_PAIR,
	CHUNK_EXTENSION_END, /* behind a quoted value */
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILERS,
	CHUNK_BROKEN,
};

/* White space has no meaning around the ";" and "=" of extensions, and must be taken there (RFC 9112, 7.1.1; RFC 9110, 5.6.3). Elsewhere it is none. */
static bool is_bad_space(unsigned char octet)
{
	return octet == ' ' || octet == '\t';
}

/* What may follow the size, or an extension that is whole. */
static enum chunked_state next_of_end(unsigned char octet)
{
	if (octet == '\r')
		return CHUNK_SIZE_LF;
	if (is_bad_space(octet))
		return CHUNK_EXTENSION_AWAITED;
	return octet == ';' ? CHUNK_EXTENSION_BEGIN : CHUNK_BROKEN;
}

static enum chunked_state next_of_size(struct chunked *c, unsigned char octet)
{
	int digit = bytes_hex_digit(octet);
	if (digit < 0)
		return c->digits > 0 ? next_of_end(octet) : CHUNK_BROKEN;
	if (c->digits == SIZE_DIGITS_MAX || c->left > INT64_MAX >> 4)
		return CHUNK_BROKEN;
	c->digits++;
	c->left = c->left << 4 | (unsigned)digit;
	return CHUNK_SIZE;
}

static enum chunked_state next_of_extension_name(enum chunked_state state, unsigned char octet)
{
	if (octet == '=')
		return CHUNK_EXTENSION_VALUE_BEGIN;
	if (is_bad_space(octet))
		return CHUNK_EXTENSION_NAME_END;
	if (state == CHUNK_EXTENSION_NAME_END)
		return octet == ';' ? CHUNK_EXTENSION_BEGIN : CHUNK_BROKEN;
	return octet_class[octet] & OCTET_TOKEN ? state : next_of_end(octet);
}

static enum chunked_state next_of_extension(enum chunked_state state, unsigned char octet)
{
	bool token = (octet_class[octet] & OCTET_TOKEN) != 0;
	bool text = (octet_class[octet] & OCTET_VALUE) != 0;
	switch (state) {
	case CHUNK_EXTENSION_AWAITED:
		return octet == '\r' ? CHUNK_BROKEN : next_of_end(octet);
	case CHUNK_EXTENSION_BEGIN:
		if (is_bad_space(octet))
			return state;
		return token ? CHUNK_EXTENSION_NAME : CHUNK_BROKEN;
	case CHUNK_EXTENSION_NAME:
	case CHUNK_EXTENSION_NAME_END:
		return next_of_extension_name(state, octet);
	case CHUNK_EXTENSION_VALUE_BEGIN:
		if (is_bad_space(octet))
			return state;
		if (octet == '"')
			return CHUNK_EXTENSION_QUOTED;
		return token ? CHUNK_EXTENSION_VALUE : CHUNK_BROKEN;
	case CHUNK_EXTENSION_VALUE:
		return token ? state : next_of_end(octet);
	case CHUNK_EXTENSION_QUOTED:
		if (octet == '"')
			return CHUNK_EXTENSION_END;
		if (octet == '\\')
			return CHUNK_EXTENSION_QUOTED_PAIR;
		return text ? state : CHUNK_BROKEN;
	case CHUNK_EXTENSION_QUOTED_PAIR:
		return text ? CHUNK_EXTENSION_QUOTED : CHUNK_BROKEN;
	default:
		return next_of_end(octet);
	}
}

/* One octet of what stands around the data. */
static enum chunked_state next_state(struct chunked *c, unsigned char octet)
{
	switch (c->state) {
	case CHUNK_SIZE:
		return next_of_size(c, octet);
	case CHUNK_SIZE_LF:
		if (octet != '\n')
			return CHUNK_BROKEN;
		c->digits = 0;
		c->extension = 0;
		return c->left > 0 ? CHUNK_DATA : CHUNK_TRAILERS;
	case CHUNK_DATA_CR:
		return octet == '\r' ? CHUNK_DATA_LF : CHUNK_BROKEN;
	case CHUNK_DATA_LF:
		return octet == '\n' ? CHUNK_SIZE : CHUNK_BROKEN;
	case CHUNK_BROKEN:
		return CHUNK_BROKEN;
	default:
		break;
	}
	if (octet != '\r' && (++c->extension > EXTENSION_MAX || ++c->extensions > EXTENSIONS_MAX))
		return CHUNK_BROKEN;
	return next_of_extension((enum chunked_state)c->state, octet);
}

enum chunked_event chunked_next(
	struct chunked *c, const char *bytes, size_t length, size_t *used, struct slice *data)
{
	check(c->state != CHUNK_TRAILERS);
	for (size_t i = 0; i < length; i++) {
		if (c->state == CHUNK_DATA) {
			size_t n = length - i < c->left ? length - i : (size_t)c->left;
			*data = (struct slice){bytes + i, n};
			*used = i + n;
			c->left -= n;
			if (c->left == 0)
				c->state = CHUNK_DATA_CR;
			return CHUNKED_DATA;
		}
		c->state = (uint8_t)next_state(c, (unsigned char)bytes[i]);
		if (c->state == CHUNK_BROKEN || c->state == CHUNK_TRAILERS) {
			*used = i + 1;
			return c->state == CHUNK_BROKEN ? CHUNKED_ERROR : CHUNKED_TRAILERS;
		}
	}
	*used = length;
	return c->state == CHUNK_BROKEN ? CHUNKED_ERROR : CHUNKED_MORE;
}

size_t chunked_head(char *to, uint64_t size)
{
	size_t n = bytes_hex(to, size);
	to[n] = '\r';
	to[n + 1] = '\n';
	return n + 2;
}

static bool is_of_one_hop(enum field_id id)
{
	return field_of_connection(id) || id == FIELD_HTTP2_SETTINGS || id == FIELD_TE;
}

/* Marks what one option names; a mark is a name of no length, which no field has. */
static void mark_option(struct fields *fields, struct slice option)
{
	enum field_id id = field_identify(option);
	if (id == FIELD_HOST || is_of_one_hop(id))
		return;
	for (unsigned i = 0; i < fields->count; i++)
		if (slice_equal_nocase(fields->list[i].name, option))
			fields->list[i].name.len = 0;
}

void framing_remove_hop(struct fields *fields, struct arena *arena)
{
	(void)arena;
	unsigned kept = 0;
	for (unsigned i = 0; i < fields->count; i++) {
		struct slice list = fields->list[i].value, option;
		if (fields->list[i].id != FIELD_CONNECTION)
			continue;
		while (list_next(&list, &option))
			if (!slice_equal_nocase(option, SLICE("close")))
				mark_option(fields, option);
	}
	for (unsigned i = 0; i < fields->count; i++)
		if (fields->list[i].name.len > 0 && !is_of_one_hop(fields->list[i].id))
			fields->list[kept++] = fields->list[i];
	fields->count = kept;
}

/* protocol = name ["/" version] */
static bool is_protocol(struct slice value)
{
	const char *slash = value.len ? memchr(value.ptr, '/', value.len) : NULL;
	if (!slash)
		return token_valid(value);
	size_t name = (size_t)(slash - value.ptr);
	return token_valid((struct slice){value.ptr, name}) &&
	       token_valid(slice_from(value, name + 1));
}

static bool is_h2(struct slice protocol)
{
	return slice_equal_nocase(protocol, SLICE("h2c")) ||
	       slice_equal_nocase(protocol, SLICE("h2"));
}

struct slice framing_upgrade(const struct fields *fields, struct arena *arena)
{
	struct slice list = fields_joined(fields, arena, FIELD_UPGRADE), member, rest = list;
	struct slice kept = {NULL, 0};
	char *to = NULL;
	for (unsigned count = 1; list_next(&rest, &member); count++) {
		if (!is_protocol(member) || count > PROTOCOLS_MAX)
			return (struct slice){NULL, 0};
		if (is_h2(member))
			continue;
		if (!to)
			kept.ptr = to = arena_alloc(arena, 2 * list.len);
		else
			to = h1_put(to, SLICE(", "));
		to = h1_put(to, member);
		kept.len = (size_t)(to - kept.ptr);
	}
	return kept;
}

bool framing_upgrade_among(struct slice chosen, struct slice offered)
{
	struct slice member, other;
	bool any = false;
	while (list_next(&chosen, &member)) {
		struct slice list = offered;
		bool found = false;
		while (!found && list_next(&list, &other))
			found = slice_equal_nocase(member, other);
		if (!found)
			return false;
		any = true;
	}
	return any;
}
