/* SPDX-License-Identifier: BSD-2-Clause */
/* The body of an HTTP/1 request: decoded from the connection's input when somebody pulls, in spans of the very memory that
 * it was read into. What nobody wants is passed over, up to a limit. */
#include "base/check.h"
#include "http/h1_syntax.h"
#include "wire/h1.h"

#define TRAILER_MAX (16 * 1024)
#define CRUMB_MAX                                                                                  \
	4096 /* pieces below this are copied: they would keep a whole block of input each */

/* A chunk counts from its head on: one that is announced too large is refused before it comes. */
static bool over_limit(struct h1_stream *s)
{
	int64_t limit = s->request.thread->snapshot->core.limits.body_size;
	return !s->raw && limit > 0 && s->request.received + s->chunked.left > (uint64_t)limit;
}

static void give_crumb(struct h1_stream *s, struct chunks *out, struct slice data)
{
	struct chunk_block *block = s->crumbs;
	if (!block || block->capacity - block->used < data.len) {
		if (block)
			ref_put(&block->ref);
		block = s->crumbs = chunk_block(CONN_READ_BLOCK);
	}
	char *to = block->bytes + block->used;
	memcpy(to, data.ptr, data.len);
	block->used += (uint32_t)data.len;
	ref_get(&block->ref);
	chunks_memory(out, &block->ref, to, data.len);
}

/* The octets go to `out` (NULL: nowhere) with the memory that they stand in. */
static void give(struct h1_stream *s, struct chunks *out, struct slice data)
{
	s->request.received += data.len;
	if (!out || data.len == 0)
		return;
	if (data.len < CRUMB_MAX) {
		give_crumb(s, out, data);
		return;
	}
	ref_get(&s->conn->input->ref);
	chunks_memory(out, &s->conn->input->ref, data.ptr, data.len);
}

static void decode_plain(struct h1_stream *s, struct slice input, struct chunks *out)
{
	size_t take = input.len;
	if (!s->raw && take > s->body_left)
		take = (size_t)s->body_left;
	give(s, out, (struct slice){input.ptr, take});
	conn_input_consume(s->conn, take);
	if (s->raw)
		return;
	s->body_left -= take;
	if (s->body_left == 0)
		s->body_state = H1_BODY_NONE;
}

static void decode_chunked(struct h1_stream *s, struct slice input, struct chunks *out)
{
	size_t used;
	struct slice data;
	switch (chunked_next(&s->chunked, input.ptr, input.len, &used, &data)) {
	case CHUNKED_DATA:
		give(s, out, data);
		break;
	case CHUNKED_MORE:
		break;
	case CHUNKED_TRAILERS:
		s->body_state = H1_BODY_TRAILER;
		s->trailer_seen = 0;
		break;
	case CHUNKED_ERROR:
		h1_body_fail(s, 400);
		return;
	}
	conn_input_consume(s->conn, used);
}

/* False: it is not whole yet. */
static bool decode_trailer(struct h1_stream *s, struct slice input)
{
	size_t length = h1_trailer_length(input.ptr, input.len, &s->trailer_seen);
	if (length == 0 || length > TRAILER_MAX) {
		if (length || input.len > TRAILER_MAX)
			h1_body_fail(s, 431);
		return length != 0;
	}
	char *copy = arena_alloc(&s->request.arena, length);
	memcpy(copy, input.ptr, length);
	if (h1_parse_trailers(copy, length, &s->request.arena, &s->trailers)) {
		h1_body_fail(s, 400);
		return true;
	}
	s->body.trailers = s->trailers.count ? &s->trailers : NULL;
	s->body_state = H1_BODY_NONE;
	conn_input_consume(s->conn, length);
	return true;
}

/* Decodes up to `room` octets of what waits. */
static void decode(struct h1_stream *s, struct chunks *out, size_t room)
{
	uint64_t before = s->request.received;
	if (s->request.upgrade.len && !s->raw)
		return; /* not before the tunnel was accepted */
	while (s->body_state == H1_BODY_DATA || s->body_state == H1_BODY_TRAILER) {
		struct slice input = conn_input(s->conn);
		uint64_t given = s->request.received - before;
		if (input.len == 0 || given >= room)
			return;
		if (s->body_state == H1_BODY_TRAILER) {
			if (!decode_trailer(s, input))
				return;
			continue;
		}
		if (input.len > room - given)
			input.len = (size_t)(room - given);
		if (s->raw || s->framing.kind == FRAMING_LENGTH)
			decode_plain(s, input, out);
		else
			decode_chunked(s, input, out);
		if (over_limit(s))
			h1_body_fail(s, 413);
	}
}

static void send_continue(struct h1_stream *s)
{
	s->request.expect_continue = false;
	if (s->request.output == OUTPUT_WAITING)
		s->request.carrier->send_info(&s->request, 100, NULL);
}

static void read_more(struct h1_stream *s)
{
	conn_resume(s->conn);
	ssize_t n = conn_input_read(
		s->conn, s->body_state == H1_BODY_TRAILER ? TRAILER_MAX + 1024 : CONN_READ_BLOCK);
	if (n == IO_EOF || n == IO_ERROR)
		s->conn->peer_eof = true;
}

static enum pull body_pull(struct source *source, struct chunks *out, size_t room)
{
	struct h1_stream *s = container_of(source, struct h1_stream, body);
	s->body_wanted = false;
	if (s->request.expect_continue)
		send_continue(s);
	decode(s, out, room);
	if (chunks_empty(out) && s->body_state <= H1_BODY_TRAILER &&
		s->body_state != H1_BODY_NONE && s->conn->read_full && !s->conn->peer_eof) {
		read_more(s);
		decode(s, out, room);
	}
	if (s->body_state == H1_BODY_FAILED) {
		chunks_clear(out);
		return PULL_FAILED;
	}
	if (s->body_state == H1_BODY_NONE) {
		s->request.input = INPUT_DONE;
		return PULL_END;
	}
	if (!chunks_empty(out))
		return PULL_MORE;
	if (s->conn->peer_eof) {
		if (s->raw) {
			s->body_state = H1_BODY_NONE;
			s->request.input = INPUT_DONE;
			return PULL_END;
		}
		s->request.end = END_CLIENT_GONE; /* if it only closed its half, it hears why */
		h1_body_fail(s, 400);
		return PULL_FAILED;
	}
	s->body_wanted = true;
	conn_resume(s->conn);
	conn_touch(s->conn);
	return PULL_PAUSED;
}

static void body_cancel(struct source *source)
{
	struct h1_stream *s = container_of(source, struct h1_stream, body);
	s->body_held = false;
	s->body_wanted = false;
	s->request.input = INPUT_DONE;
	conn_touch(s->conn);
}

static const struct source_ops body_ops = {body_pull, body_cancel};

void h1_body_init(struct h1_stream *s)
{
	s->body.ops = &body_ops;
	s->expecting = s->request.expect_continue;
	s->body_state =
		s->framing.kind == FRAMING_CHUNKED || s->body_left ? H1_BODY_DATA : H1_BODY_NONE;
	if (s->request.upgrade.len)
		s->body_state =
			H1_BODY_DATA; /* what follows belongs to the tunnel, once there is one */
	if (s->body_state == H1_BODY_NONE)
		return;
	s->body_held = true;
	s->request.body = &s->body;
}

void h1_body_drain(struct h1_stream *s)
{
	uint64_t before = s->request.received;
	decode(s, NULL, H1_DRAIN_MAX);
	s->drained += s->request.received - before;
}

void h1_body_fail(struct h1_stream *s, unsigned status)
{
	s->body_state = H1_BODY_FAILED;
	s->close = true;
	s->request.body_fault = status;
	if (!s->request.end)
		s->request.end = end_of_body(status);
	if (s->body_wanted) {
		s->body_wanted = false;
		source_wake(&s->body);
	}
}
