/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams of HTTP/2: what they offer an exchange, and their end. */
#include "wire/h2_stream.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "http/h2_memory.h"
#include "http/ready.h"
#include "wire/wire_priv.h"

#define STREAMS_KEPT 128
#define REST         2048 /* octets left of a block that are dear where they wait */

/* --- Memory. --- */

/* Everything before `memory` is cleared: so nothing of the last request is seen by the next. */
struct h2_stream *h2_stream_new(struct h2_conn *h2)
{
	struct wire *wire = h2->conn->wire;
	struct h2_stream *s = wire->free_h2_streams;
	if (s) {
		wire->free_h2_streams = *(struct h2_stream **)(void *)s->memory;
		wire->free_h2_stream_count--;
	} else {
		s = must_alloc(sizeof *s);
	}
	memset(s, 0, offsetof(struct h2_stream, memory));
	s->h2 = h2;
	list_append(&h2->streams, &s->link);
	chunks_init(&s->in);
	struct request *r = &s->request;
	arena_init(&r->arena, s->memory, sizeof s->memory);
	r->carrier = &h2_carrier;
	r->thread = wire->thread;
	r->peer = &h2->peer;
	r->number = ++h2->conn->requests;
	r->begun_us = wire->loop->clock.monotonic_us;
	r->port = -1;
	s->priority.urgency = PRIORITY_URGENCY_USUAL;
	return s;
}

static void stream_free(struct h2_stream *s)
{
	struct wire *wire = s->h2->conn->wire;
	list_remove(&s->link);
	list_remove(&s->hungry);
	list_remove(&s->fed);
	list_remove(&s->whole);
	s->h2->waiting -= s->waiting;
	chunks_clear(&s->in);
	chunks_clear(&s->part.out);
	arena_reset(&s->request.arena);
	if (wire->free_h2_stream_count >= STREAMS_KEPT) {
		free(s);
		return;
	}
	*(struct h2_stream **)(void *)s->memory = wire->free_h2_streams;
	wire->free_h2_streams = s;
	wire->free_h2_stream_count++;
}

void h2_streams_drop(struct wire *wire)
{
	while (wire->free_h2_streams) {
		struct h2_stream *s = wire->free_h2_streams;
		wire->free_h2_streams = *(struct h2_stream **)(void *)s->memory;
		free(s);
	}
	wire->free_h2_stream_count = 0;
	h2_memory_trim();
}

/* --- The end. --- */

void h2_stream_finish(struct h2_stream *s)
{
	if (!s->finished) {
		if (s->raw && s->body_held)
			return; /* the other direction of a tunnel goes on */
		source_cancel(&s->request.body);
		s->finished = true;
		exchange_finish(&s->request);
	}
	if (s->closed)
		stream_free(s);
}

void h2_stream_gone(struct h2_stream *s, enum exchange_end why)
{
	if (s->begun && !s->finished) {
		s->finished = true;
		s->body_wanted = false;
		uint64_t unsent = s->mute ? s->request.sent : s->part.out.length;
		s->request.sent -= unsent < s->request.sent ? unsent : s->request.sent;
		if (!s->aborted || s->request.output != OUTPUT_DONE)
			exchange_gone(&s->request, s->protocol_end ? s->protocol_end : why);
		source_cancel(&s->request.body);
		exchange_finish(&s->request);
	}
	if (s->closed)
		stream_free(s);
}

void h2_stream_prioritize(struct h2_stream *s, struct slice value, bool ours)
{
	struct priority before = s->priority;
	priority_read(value, &s->priority);
	if (ours || s->priority.urgency != before.urgency ||
		s->priority.incremental != before.incremental)
		h2_session_prioritize(s->h2->session, &s->part, &s->priority, ours);
}

static void touch(struct h2_stream *s)
{
	conn_touch(s->h2->conn);
}

/* --- The head of the answer. --- */

static struct slice lower_case(struct arena *arena, struct slice name)
{
	char *copy = arena_alloc(arena, name.len);
	for (size_t i = 0; i < name.len; i++)
		copy[i] = name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? (char)(name.ptr[i] | 0x20)
								   : name.ptr[i];
	return (struct slice){copy, name.len};
}

/* Names in lower case, and none that means something on one connection only (RFC 9113, 8.2). */
static struct fields lower_fields(struct arena *arena, const struct fields *from, bool tunnel)
{
	struct fields to = {0};
	fields_reserve(&to, arena, from->count);
	for (unsigned i = 0; i < from->count; i++) {
		struct field field = from->list[i];
		if (field_of_connection(field.id) || field.id == FIELD_CONTENT_LENGTH ||
			(tunnel && slice_equal_nocase(field.name, SLICE("Sec-WebSocket-Accept"))))
			continue; /* the last one: RFC 8441, 5 */
		field.name = field.id == FIELD_OTHER ? lower_case(arena, field.name)
						     : field_lower_name(field.id);
		to.list[to.count++] = field;
	}
	return to;
}

static void reset(struct h2_stream *s, enum h2_code code)
{
	if (!s->closed)
		h2_session_reset(s->h2->session, &s->part, code);
	touch(s);
}

/* Does the answer begin the tunnel that was asked for? False: it says that it does, and cannot. */
static bool begin_tunnel(struct h2_stream *s)
{
	struct request *r = &s->request;
	if (!r->upgrade.len)
		return true;
	if (r->response.status == 101) {
		s->raw = true;
		r->response.status = 200; /* RFC 8441, 5 */
		r->response.length = LENGTH_UNKNOWN;
		return true;
	}
	r->upgrade.len = 0;
	return r->response.status / 100 != 2;
}

static void refuse_tunnel(struct h2_stream *s)
{
	s->mute = true;
	s->protocol_end = END_UNSUPPORTED;
	reset(s, H2_CONNECT_ERROR);
}

static void h2_send_head(struct request *request, bool end)
{
	struct h2_stream *s = h2_stream_of(request);
	struct response *response = &request->response;
	if (s->malformed) { /* RFC 9113, 8.1.1 */
		s->aborted = s->mute = true;
		reset(s, H2_PROTOCOL_ERROR);
		return;
	}
	bool tunnel = request->upgrade.len && response->status == 101;
	if (!begin_tunnel(s)) {
		refuse_tunnel(s);
		return;
	}
	const struct field *priority = fields_find(&response->fields, FIELD_PRIORITY);
	if (priority) /* who answers knows best (RFC 9218, 8) */
		h2_stream_prioritize(s, priority->value, true);
	struct fields *lower = arena_alloc(&request->arena, sizeof *lower);
	*lower = lower_fields(&request->arena, &response->fields, tunnel);
	bool lengthless =
		response->status / 100 == 1 || response->status == 204 || response->status == 304;
	h2_session_respond(s->h2->session, &s->part, response->status,
		fields_find(&response->fields, FIELD_DATE) ? NULL
							   : request->thread->clock->http_date,
		lower, lengthless ? LENGTH_UNKNOWN : response->length, end);
	touch(s);
}

static void h2_send_info(struct request *request, unsigned status, const struct fields *fields)
{
	static const struct fields none;
	struct h2_stream *s = h2_stream_of(request);
	if (s->mute || status == 101)
		return;
	struct fields lower = lower_fields(&request->arena, fields ? fields : &none, false);
	h2_session_inform(s->h2->session, &s->part, status, &lower);
	touch(s);
}

/* --- Its body. --- */

static void note_waiting(struct h2_stream *s)
{
	s->h2->waiting += s->part.out.memory - s->waiting;
	s->waiting = s->part.out.memory;
}

/* A peer that does not read must not cost more than what waits for it: neither pieces nor what is left of one may keep a block each. */
static void put_spans(struct h2_stream *s, struct chunks *body)
{
	const struct conn *c = s->h2->conn;
	struct chunks *out = &s->part.out, rest;
	bool waits = c->blocked || (out->length && s->progress != conn_now_ms(c));
	if (out->length && out->length <= REST && body->length >= CONN_READ_BLOCK) {
		chunks_init(&rest);
		chunks_move(&rest, out);
		chunks_gather(out, &rest, CONN_READ_BLOCK);
	}
	if (waits)
		chunks_gather(out, body, CONN_READ_BLOCK);
	else
		chunks_move(out, body);
}

static void h2_send_body(
	struct request *request, struct chunks *body, bool end, const struct fields *trailers)
{
	struct h2_stream *s = h2_stream_of(request);
	if (s->closed || s->mute) {
		chunks_clear(body);
		return;
	}
	put_spans(s, body);
	note_waiting(s);
	if (end) {
		s->part.out_end = true;
		if (trailers) {
			struct fields *lower = arena_alloc(&request->arena, sizeof *lower);
			*lower = lower_fields(&request->arena, trailers, false);
			s->part.trailers = lower;
		}
	}
	h2_session_resume(s->h2->session, &s->part);
	touch(s);
}

/* A peer that takes one of many answers holds back the others only when there is much of them. */
static size_t h2_room(struct request *request)
{
	const struct h2_stream *s = h2_stream_of(request);
	const struct chunks *out = &s->part.out;
	if (s->closed || s->h2->conn->broken)
		return 0;
	size_t high = s->h2->waiting < H2_QUEUED_HIGH ? H2_STREAM_HIGH : H2_QUEUED_LITTLE;
	if (out->length - out->memory >= CHUNK_SPAN || out->memory >= high)
		return 0;
	return high - (size_t)out->memory;
}

static void h2_send_ready(struct request *request, struct ready *ready, bool head_only)
{
	struct h2_stream *s = h2_stream_of(request);
	if (!begin_tunnel(s)) {
		refuse_tunnel(s);
		return;
	}
	const struct field *priority = fields_find(&ready->fields, FIELD_PRIORITY);
	if (priority)
		h2_stream_prioritize(s, priority->value, true);
	bool lengthless = ready->status == 204 || ready->status == 304;
	h2_session_respond(s->h2->session, &s->part, ready->status,
		request->thread->clock->http_date, &ready->lower,
		lengthless ? LENGTH_UNKNOWN : ready->length, head_only || ready->length == 0);
	if (!head_only && ready->body_length) {
		ref_get(&ready->ref);
		chunks_memory(&s->part.out, &ready->ref, ready->block + ready->head_length,
			ready->body_length);
		note_waiting(s);
		s->part.out_end = true;
	}
	touch(s);
}

static void h2_abort(struct request *request)
{
	struct h2_stream *s = h2_stream_of(request);
	s->aborted = true;
	reset(s, H2_INTERNAL_ERROR);
}

const struct carrier_ops h2_carrier = {
	.name = "http/2",
	.send_head = h2_send_head,
	.send_info = h2_send_info,
	.send_body = h2_send_body,
	.room = h2_room,
	.send_ready = h2_send_ready,
	.abort = h2_abort,
};
