/* SPDX-License-Identifier: BSD-2-Clause */
/* What an HTTP/1 head asks for: method, target, host, framing and the connection's options, judged strictly, since what two
 * readers could understand differently must not pass (RFC 9112, 3, 6, 9; RFC 9110, 7 and 10.1.1). */
#include "http/h1_syntax.h"
#include "wire/h1.h"
#include "wire/wire_priv.h"

/* What one pass over the fields finds. */
struct head_notes {
	const struct field *host;
	unsigned hosts;
	bool connection, framed, expect, upgrade;
};

static struct head_notes note_fields(const struct fields *fields)
{
	struct head_notes notes = {0};
	for (unsigned i = 0; i < fields->count; i++) {
		switch (fields->list[i].id) {
		case FIELD_HOST:
			notes.host = &fields->list[i];
			notes.hosts++;
			break;
		case FIELD_CONNECTION:
			notes.connection = true;
			break;
		case FIELD_CONTENT_LENGTH:
		case FIELD_TRANSFER_ENCODING:
			notes.framed = true;
			break;
		case FIELD_EXPECT:
			notes.expect = true;
			break;
		case FIELD_UPGRADE:
			notes.upgrade = true;
			break;
		default:
			break;
		}
	}
	return notes;
}

/* The target's own authority wins over Host (RFC 9112, 3.2.2), which must be right all the same. */
static unsigned read_host(struct request *r, const struct head_notes *notes)
{
	if (notes->hosts > 1 || (notes->hosts == 0 && r->minor >= 1))
		return 400;
	struct slice text = notes->host ? notes->host->value : (struct slice){NULL, 0};
	r->port = -1;
	r->host = SLICE("");
	/* an empty Host is refused too: no http URI has an empty host (RFC 9110, 4.2.1) */
	if (notes->host) {
		unsigned status = host_parse(text, &r->arena, &r->host, &r->port);
		if (status)
			return status;
	}
	if (r->target.form != TARGET_ABSOLUTE && r->target.form != TARGET_AUTHORITY)
		return 0;
	fields_set(&r->fields, &r->arena, FIELD_HOST, r->target.authority);
	return host_parse(r->target.authority, &r->arena, &r->host, &r->port);
}

static void read_connection(struct h1_stream *s)
{
	const struct request *r = &s->request;
	s->close = fields_have_token(&r->fields, FIELD_CONNECTION, SLICE("close")) ||
		   (r->minor == 0 &&
			   !fields_have_token(&r->fields, FIELD_CONNECTION, SLICE("keep-alive")));
}

/* A tunnel may begin only where no body is in the way. */
static void read_upgrade(struct request *r)
{
	if (r->minor == 0 || r->method != METHOD_GET || r->length != 0 ||
		!fields_have_token(&r->fields, FIELD_CONNECTION, SLICE("upgrade")))
		return;
	r->upgrade = framing_upgrade(&r->fields, &r->arena);
}

static unsigned read_framing(struct h1_stream *s)
{
	struct request *r = &s->request;
	unsigned status = framing_request(&r->fields, r->minor, &s->framing);
	if (status)
		return status;
	const struct core_settings *core = &r->thread->snapshot->core;
	switch (s->framing.kind) {
	case FRAMING_LENGTH:
		if (core->limits.body_size > 0 &&
			s->framing.length > (uint64_t)core->limits.body_size)
			return 413;
		r->length = s->body_left = s->framing.length;
		break;
	case FRAMING_CHUNKED:
		r->length = LENGTH_UNKNOWN;
		break;
	default:
		break;
	}
	return 0;
}

unsigned request_read_expect(struct request *r)
{
	if (r->major == 1 && r->minor == 0)
		return 0; /* RFC 9110, 10.1.1: ignored */
	const struct field *field = fields_find(&r->fields, FIELD_EXPECT);
	if (fields_count(&r->fields, FIELD_EXPECT) != 1 ||
		!slice_equal_nocase(field->value, SLICE("100-continue")))
		return 417;
	r->expect_continue = r->length != 0;
	return 0;
}

static unsigned read_target(struct h1_stream *s, struct slice text)
{
	struct request *r = &s->request;
	unsigned status = target_parse(text, r->method, &r->arena, &r->target);
	if (status)
		return status;
	if (r->target.form == TARGET_ABSOLUTE &&
		!slice_equal(r->target.scheme,
			s->peer.scheme == SCHEME_HTTPS ? SLICE("https") : SLICE("http")))
		return 421; /* RFC 9110, 7.4 */
	return 0;
}

void h1_note_line(struct request *request, const char *bytes, size_t length)
{
	struct h1_request line;
	if (h1_sound_line(bytes, length, &line)) {
		request->major = 1;
		request->minor = (uint8_t)line.minor;
	}
	if (slice_equal(line.method, SLICE("HEAD")))
		request->method = METHOD_HEAD;
	request->method_name = line.method;
	request->target_text = line.target;
}

unsigned h1_read_head(struct h1_stream *s, const char *head, size_t length)
{
	struct request *r = &s->request;
	char *copy = arena_alloc(&r->arena, length);
	memcpy(copy, head, length);
	struct h1_request line;
	unsigned status = h1_parse_request(copy, length, &r->arena, &line, &r->fields);
	if (status) {
		h1_note_line(r, copy, length);
		r->fields.count = 0; /* some may have been read: nothing of it is believed */
		return status;
	}
	r->major = 1;
	r->minor = (uint8_t)line.minor;
	r->method_name = line.method;
	r->method = method_identify(line.method);
	r->target_text = line.target;
	/* what follows CONNECT may be a tunnel's, so the connection must end */
	status = r->method == METHOD_CONNECT ? 501 : read_target(s, line.target);
	if (status)
		return status;
	struct head_notes notes = note_fields(&r->fields);
	status = read_host(r, &notes);
	if (status)
		return status;
	if (notes.connection || r->minor == 0)
		read_connection(s);
	if (notes.framed || notes.connection)
		status = read_framing(s);
	if (!status && r->method == METHOD_TRACE && r->length != 0)
		status = 400; /* RFC 9110, 9.3.8 */
	if (!status && notes.expect)
		status = request_read_expect(r);
	if (notes.upgrade)
		read_upgrade(r);
	return status;
}
