/* SPDX-License-Identifier: BSD-2-Clause */
/* What an HTTP/2 head asks for, judged as strictly as HTTP/1's: it may be passed on as HTTP/1, and what another reader could understand
 * differently must not pass (RFC 9113, 8.1 to 8.5, 10.3; RFC 8441). */
#include <sys/random.h>

#include "base/check.h"
#include "http/h1_framing.h"
#include "http/h1_syntax.h"
#include "wire/h2_stream.h"
#include "wire/wire_priv.h"

#define FIELDS_RESERVED 24
#define FIELD_OVERHEAD  32 /* RFC 9113, 10.5.1 */

static struct slice keep(struct h2_stream *s, struct slice text)
{
	char *copy = arena_alloc(&s->request.arena, text.len);
	memcpy(copy, text.ptr, text.len);
	return (struct slice){copy, text.len};
}

/* A token without capitals (8.2.1). */
static bool name_valid(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] >= 'A' && name.ptr[i] <= 'Z')
			return false;
	return token_valid(name);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static bool value_valid(struct slice value)
{
	return value.len == 0 || (!is_space(value.ptr[0]) && !is_space(value.ptr[value.len - 1]) &&
					 field_value_valid(value));
}

/* 8.2.2 */
static bool is_of_hop(enum field_id id, struct slice value)
{
	return field_of_connection(id) ||
	       (id == FIELD_TE && !slice_equal_nocase(value, SLICE("trailers")));
}

static void take_pseudo(struct h2_stream *s, struct slice name, struct slice value)
{
	struct slice *to = slice_equal(name, SLICE(":method"))      ? &s->request.method_name
			   : slice_equal(name, SLICE(":scheme"))    ? &s->scheme
			   : slice_equal(name, SLICE(":path"))      ? &s->path
			   : slice_equal(name, SLICE(":authority")) ? &s->authority
			   : slice_equal(name, SLICE(":protocol"))  ? &s->protocol
								    : NULL;
	if (!to || to->ptr || s->fields_begun || s->head_whole)
		s->malformed = true;
	else
		*to = keep(s, value);
}

void h2_head_field(struct h2_stream *s, struct slice name, struct slice value, bool lasting)
{
	const struct core_settings *core = &s->request.thread->snapshot->core;
	struct fields *to = s->head_whole ? &s->trailers : &s->request.fields;
	s->list_size += name.len + value.len + FIELD_OVERHEAD;
	if (s->malformed || s->status == 431)
		return;
	if (s->list_size > (size_t)core->limits.header_size) {
		s->status = 431;
		return;
	}
	if (name.len && name.ptr[0] == ':') {
		take_pseudo(s, name, value);
		return;
	}
	s->fields_begun = true;
	enum field_id id = field_identify(name);
	if ((!lasting && !name_valid(name)) || !value_valid(value) || is_of_hop(id, value) ||
		(id == FIELD_OTHER && field_lookalike(name))) {
		s->malformed = true;
		return;
	}
	if (!to->capacity)
		fields_reserve(to, &s->request.arena, FIELDS_RESERVED);
	fields_reserve(to, &s->request.arena, 1);
	to->list[to->count++] = (struct field){
		.name = id != FIELD_OTHER ? field_known_name(id)
			: lasting         ? name
					  : keep(s, name),
		.value = keep(s, value),
		.id = id,
	};
}

/* Cookie crumbs are one field again (8.2.3). Others are counted: 431 where there are too many. */
static void join_cookies(struct h2_stream *s)
{
	struct fields *fields = &s->request.fields;
	unsigned crumbs = 0, kept = 0;
	size_t length = 0;
	struct field *first = NULL;
	for (unsigned i = 0; i < fields->count; i++) {
		struct field *f = &fields->list[i];
		if (f->id == FIELD_COOKIE) {
			crumbs++;
			length += f->value.len + 2;
		}
	}
	if (crumbs < 2)
		return;
	char *joined = arena_alloc(&s->request.arena, length), *to = joined;
	for (unsigned i = 0; i < fields->count; i++) {
		struct field *f = &fields->list[i];
		if (f->id != FIELD_COOKIE) {
			fields->list[kept++] = *f;
			continue;
		}
		if (to != joined) {
			memcpy(to, "; ", 2);
			to += 2;
		}
		memcpy(to, f->value.ptr, f->value.len);
		to += f->value.len;
		if (!first) {
			first = &fields->list[kept];
			fields->list[kept++] = *f;
		}
	}
	first->value = (struct slice){joined, (size_t)(to - joined)};
	fields->count = kept;
}

/* :authority is what Host is; where both are there they say the same (8.3.1). */
static unsigned read_host(struct h2_stream *s)
{
	struct request *r = &s->request;
	const struct field *host = fields_find(&r->fields, FIELD_HOST);
	if (fields_count(&r->fields, FIELD_HOST) > 1)
		return 400;
	struct slice text = s->authority;
	if (host) {
		if (text.ptr && !slice_equal_nocase(text, host->value))
			return 400;
		text = text.ptr ? text : host->value;
	}
	if (!text.ptr)
		return 400;
	unsigned status = host_parse(text, &r->arena, &r->host, &r->port);
	if (!status && !host)
		fields_add(&r->fields, &r->arena, FIELD_HOST, text);
	return status;
}

static unsigned read_target(struct h2_stream *s)
{
	struct request *r = &s->request;
	struct slice path = s->path;
	if (path.len > H1_TARGET_MAX)
		return 414;
	for (size_t i = 0; i < path.len; i++)
		if (path.ptr[i] <= ' ' || path.ptr[i] > '~')
			return 400;
	/* only the forms that :path has */
	if (path.len == 0 || (path.ptr[0] != '/' && !slice_equal(path, SLICE("*"))))
		return 400;
	return target_parse(path, r->method, &r->arena, &r->target);
}

static unsigned read_framing(struct h2_stream *s)
{
	struct request *r = &s->request;
	int64_t limit = r->thread->snapshot->core.limits.body_size;
	r->length = s->part.ended ? 0 : LENGTH_UNKNOWN;
	if (!fields_find(&r->fields, FIELD_CONTENT_LENGTH))
		return 0;
	struct body_framing framing;
	if (framing_request(&r->fields, 1, &framing) || (s->part.ended && framing.length != 0)) {
		s->malformed = true; /* 8.1.1 */
		return 400;
	}
	if (limit > 0 && framing.length > (uint64_t)limit)
		return 413;
	r->length = framing.length;
	return 0;
}

/* A key for a handshake with a backend of HTTP/1: over HTTP/2 there is none (RFC 8441, 5). */
static void add_websocket_key(struct request *r)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static const char last[] = "AQgw";
	unsigned char bits[22];
	if (fields_find_named(&r->fields, SLICE("Sec-WebSocket-Key")))
		return;
	check(getrandom(bits, sizeof bits, 0) == sizeof bits);
	char *key = arena_alloc(&r->arena, 24);
	for (size_t i = 0; i < 21; i++)
		key[i] = digits[bits[i] % 64];
	key[21] = last[bits[21] % 4];
	key[22] = key[23] = '=';
	fields_add_named(
		&r->fields, &r->arena, SLICE("Sec-WebSocket-Key"), (struct slice){key, 24});
}

/* CONNECT: a tunnel to a protocol (RFC 8441), or to a host, which is not offered. */
static unsigned read_connect(struct h2_stream *s)
{
	struct request *r = &s->request;
	if (!s->protocol.ptr) {
		s->malformed = s->scheme.ptr || s->path.ptr || !s->authority.ptr; /* 8.5 */
		return s->malformed ? 400 : 501;
	}
	if (!slice_equal_nocase(s->protocol, SLICE("websocket")))
		return 501;
	r->method = METHOD_GET;
	r->method_name = SLICE("GET");
	return 0;
}

static unsigned read_method(struct h2_stream *s)
{
	struct request *r = &s->request;
	if (!r->method_name.ptr || !token_valid(r->method_name)) {
		s->malformed = true;
		return 400;
	}
	if (r->method_name.len > H1_METHOD_MAX)
		return 400;
	r->method = method_identify(r->method_name);
	if (r->method == METHOD_CONNECT) {
		unsigned status = read_connect(s);
		if (status)
			return status;
	} else if (s->protocol.ptr) {
		s->malformed = true; /* RFC 8441, 4 */
		return 400;
	}
	/* Which of both is not held against the connection, and nothing is decided by it: proxies in front say what their own client had */
	bool known = slice_equal_nocase(s->scheme, SLICE("http")) ||
		     slice_equal_nocase(s->scheme, SLICE("https"));
	if (!s->scheme.ptr || !known || !s->path.ptr || s->path.len == 0) {
		s->malformed = true; /* 8.3.1 */
		return 400;
	}
	return 0;
}

static unsigned read_head(struct h2_stream *s)
{
	struct request *r = &s->request;
	r->major = 2;
	r->target_text = s->path;
	if (s->malformed)
		return 400;
	if (s->status)
		return s->status;
	unsigned status = read_method(s);
	if (status)
		return status;
	join_cookies(s);
	if (r->fields.count > H1_FIELDS_MAX)
		return 431;
	status = read_target(s);
	if (!status)
		status = read_host(s);
	if (!status)
		status = read_framing(s);
	if (!status && r->method == METHOD_TRACE && r->length != 0)
		status = 400; /* RFC 9110, 9.3.8 */
	if (!status && fields_find(&r->fields, FIELD_EXPECT))
		status = request_read_expect(r);
	if (!status && s->protocol.ptr) {
		r->upgrade = s->protocol;
		add_websocket_key(r);
	}
	return status;
}

bool h2_head_done(struct h2_stream *s)
{
	unsigned status = read_head(s);
	s->list_size = 0; /* of trailers, from here on */
	s->fields_begun = false;
	s->status = (uint16_t)status;
	check(status || !s->malformed);
	return status == 0;
}

bool h2_trailers_done(struct h2_stream *s)
{
	struct fields *t = &s->trailers;
	bool framing = false;
	unsigned kept = 0;
	for (unsigned i = 0; i < t->count; i++) {
		enum field_id id = t->list[i].id;
		framing = framing || id == FIELD_CONTENT_LENGTH || id == FIELD_HOST;
		if (!field_of_head(id))
			t->list[kept++] = t->list[i];
	}
	t->count = kept;
	if (s->malformed || framing || !s->part.ended) { /* RFC 9113, 8.1 */
		s->malformed = true;
		h2_session_reset(s->h2->session, &s->part, H2_PROTOCOL_ERROR);
		h2_body_fail(s, 400);
		return false;
	}
	if (s->status == 431 || kept > H1_FIELDS_MAX) {
		h2_body_fail(s, 431);
		return false;
	}
	s->body.trailers = kept ? t : NULL;
	return true;
}
