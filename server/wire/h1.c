/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/1 on a client's connection: finds heads, begins exchanges, ends them, and goes on with the next request. One request
 * at a time: what is pipelined behind it waits. A head that comes whole is read from the loop's scratch, so that an idle
 * connection owns no memory but its own struct. */
#include "wire/h1.h"

#include <stdlib.h>

#include "base/check.h"
#include "http/h1_syntax.h"
#include "wire/h2.h"
#include "wire/wire_priv.h"

#define STREAMS_KEPT 64
#define SOUND_MAX                                                                                  \
	(H1_METHOD_MAX + H1_TARGET_MAX +                                                           \
		sizeof(" HTTP/1.1\r\n")) /* octets of a request line that can be sound */
#define SIGNS 2                          /* one is sent, then its effect is looked at */

/* --- Streams. --- */

/* Everything before `memory` is cleared: so nothing of the last request is seen by the next. */
struct h1_stream *h1_stream_new(struct conn *c)
{
	struct wire *wire = c->wire;
	struct h1_stream *s = wire->free_streams;
	if (s) {
		wire->free_streams = *(struct h1_stream **)(void *)s->memory;
		wire->free_stream_count--;
	} else {
		s = must_alloc(sizeof *s);
	}
	memset(s, 0, offsetof(struct h1_stream, memory));
	s->conn = c;
	c->state = s;
	c->head_seen = 0;
	struct request *r = &s->request;
	arena_init(&r->arena, s->memory, sizeof s->memory);
	r->carrier = &h1_carrier;
	r->thread = wire->thread;
	r->peer = &s->peer;
	r->number = ++c->requests;
	r->begun_us = wire->loop->clock.monotonic_us;
	r->port = -1;
	wire_peer(c, &s->peer, &s->address);
	return s;
}

void h1_stream_free(struct h1_stream *s)
{
	struct wire *wire = s->conn->wire;
	s->conn->state = NULL;
	arena_reset(&s->request.arena);
	if (s->crumbs)
		ref_put(&s->crumbs->ref);
	if (wire->free_stream_count >= STREAMS_KEPT) {
		free(s);
		return;
	}
	*(struct h1_stream **)(void *)s->memory = wire->free_streams;
	wire->free_streams = s;
	wire->free_stream_count++;
}

void h1_streams_drop(struct wire *wire)
{
	while (wire->free_streams) {
		struct h1_stream *s = wire->free_streams;
		wire->free_streams = *(struct h1_stream **)(void *)s->memory;
		free(s);
	}
	wire->free_stream_count = 0;
}

/* --- Heads. --- */

static void refuse(struct h1_stream *s, unsigned status)
{
	s->close = true;
	s->refused = true;
	s->framing = (struct body_framing){0};
	s->body_state = H1_BODY_NONE;
	if (s->request.major == 0)
		s->request.minor = 1; /* what cannot be read is answered as HTTP/1.1 */
	exchange_refuse(&s->request, status);
}

/* Begins a request: a whole head, which is copied. */
static void begin(struct conn *c, const char *head, size_t length)
{
	struct h1_stream *s = h1_stream_new(c);
	conn_hear(c);
	unsigned status = h1_read_head(s, head, length);
	if (conn_last(c))
		s->close = true;
	if (status) {
		refuse(s, status);
		return;
	}
	h1_body_init(s);
	exchange_begin(&s->request);
}

/* Answers a head that will never be whole or is too large. */
static void refuse_head(struct conn *c, const char *bytes, size_t length, unsigned status)
{
	struct h1_stream *s = h1_stream_new(c);
	struct slice begun = {bytes, length < SOUND_MAX ? length : SOUND_MAX};
	begun = arena_slice(&s->request.arena, begun);
	h1_note_line(&s->request, begun.ptr, begun.len);
	/* a head of which the first line alone is too long, however much of it was read at once */
	const char *line = memchr(bytes, '\n', begun.len);
	if (status == 431 && !line)
		status = 414;
	refuse(s, status);
}

/* The length of the head that begins behind *empty octets of the input (CRLFs, which are passed over). 0: it is not whole
 * yet, or was refused (there is a stream then). */
static size_t find_head(struct conn *c, struct slice input, size_t *empty)
{
	size_t limit = (size_t)c->wire->thread->snapshot->core.limits.header_size;
	size_t seen = c->head_seen;
	*empty = seen ? 0 : h1_leading_empty(input.ptr, input.len);
	input = slice_from(input, *empty);
	size_t head = h1_head_length(input.ptr, input.len, &seen);
	unsigned status = head > limit || (head == 0 && input.len > limit) ? 431
			  : head == 0 ? h1_check_begun(input.ptr, input.len)
				      : 0;
	if (status) {
		refuse_head(c, input.ptr, input.len, status);
		return 0;
	}
	/* A lone CR may be half of one more empty line: nothing of the head was seen. */
	bool half = input.len == 1 && input.ptr[0] == '\r';
	c->head_seen = half ? 0 : (uint32_t)seen;
	return head;
}

/* Is it HTTP/2, told by its preface (RFC 9113, 3.4)? True: it is, or may be when there is more of it. */
static bool is_h2(struct conn *c, struct slice octets, bool *keep)
{
	*keep = false;
	if (c->requests || c->listener->scheme != SCHEME_HTTP)
		return false;
	enum h2_claim claim = h2_claims(octets);
	*keep = claim == H2_MAYBE;
	return claim != H2_NOT;
}

/* The first head of what was read into the scratch. What is behind it is kept: a body, or what is pipelined. */
static void heads_from_scratch(struct conn *c, const char *bytes, size_t length)
{
	size_t empty;
	bool keep;
	if (is_h2(c, (struct slice){bytes, length}, &keep)) {
		if (keep)
			conn_input_keep(c, bytes, length);
		else
			h2_start_with(c, bytes, length);
		return;
	}
	size_t head = find_head(c, (struct slice){bytes, length}, &empty);
	if (!c->state)
		conn_input_keep(c, bytes + empty + head, length - empty - head);
	if (empty)
		conn_passed(c);
	if (head)
		begin(c, bytes + empty, head);
}

/* A head that waits in the input block. The block is consumed before the exchange begins, which may pull what is behind the
 * head; it stays until the head was copied. */
static void heads_from_input(struct conn *c)
{
	struct slice input = conn_input(c);
	if (input.len == 0)
		return;
	bool keep, h2 = is_h2(c, input, &keep);
	if (keep)
		return;
	struct ref *block = &c->input->ref;
	ref_get(block);
	size_t empty = 0;
	size_t head = h2 ? input.len : find_head(c, input, &empty);
	conn_input_consume(c, empty + head);
	if (h2)
		h2_start_with(c, input.ptr, input.len);
	else if (head)
		begin(c, input.ptr + empty, head);
	ref_put(block);
}

/* --- Reading. --- */

static void read_heads(struct conn *c)
{
	ssize_t n;
	if (!c->input) {
		char *bytes;
		n = conn_read(c, &bytes);
		if (n > 0)
			heads_from_scratch(c, bytes, (size_t)n);
	} else {
		size_t limit = (size_t)c->wire->thread->snapshot->core.limits.header_size;
		n = conn_input_read(c, limit + H1_PIPELINE_MAX);
		if (n > 0)
			heads_from_input(c);
	}
	if (n == IO_EOF)
		conn_break(c, false); /* idle, or in the middle of a head: nobody to answer */
}

/* A request is under way: its body, or what is pipelined, or the end. */
static void read_more(struct conn *c, struct h1_stream *s)
{
	bool body = s->body_state == H1_BODY_DATA || s->body_state == H1_BODY_TRAILER;
	if (body && !s->body_wanted && !s->finished && conn_input(c).len >= CONN_READ_BLOCK) {
		conn_pause(c);
		return;
	}
	ssize_t n = conn_input_read(c, body ? CONN_READ_BLOCK + 1024 : H1_PIPELINE_MAX);
	conn_passed(c); /* a head may be behind it */
	if (n == IO_AGAIN || c->broken)
		return;
	if (s->body_wanted) {
		s->body_wanted = false;
		source_wake(&s->body);
	}
}

static void h1_readable(struct conn *c)
{
	struct h1_stream *s = c->state;
	if (s)
		read_more(c, s);
	else
		read_heads(c);
}

/* --- Settling. --- */

/* The answer has left: what is unread of the body decides whether the connection goes on. True: the stream is done with. */
static bool body_left_over(struct h1_stream *s)
{
	struct conn *c = s->conn;
	if (s->raw || s->refused)
		return true;
	if (s->body_state == H1_BODY_DATA || s->body_state == H1_BODY_TRAILER) {
		if (!s->close)
			h1_body_drain(s);
		if (s->body_state == H1_BODY_NONE)
			return true;
		if (s->close || c->peer_eof || s->drained > H1_DRAIN_MAX ||
			s->body_state == H1_BODY_FAILED) {
			s->close = true;
			c->linger = true;
			return true;
		}
		conn_resume(c);
		return false;
	}
	return true;
}

/* The stream is done with: the next request, or the end. */
static bool next_request(struct conn *c, struct h1_stream *s)
{
	bool close = s->close;
	bool linger = c->linger || s->refused || s->body_state == H1_BODY_FAILED ||
		      conn_input(c).len > 0 || (conn_last(c) && s->request.minor == 1);
	h1_stream_free(s);
	if (close) {
		conn_close(c, linger);
		return true;
	}
	conn_resume(c);
	heads_from_input(c);
	if (c->state)
		return true;
	if (c->peer_eof)
		conn_close(c, false);
	return c->peer_eof;
}

static bool settle_tunnel(struct conn *c, struct h1_stream *s)
{
	if (!s->half_closed) {
		s->half_closed = true;
		if (conn_finish(c) == IO_ERROR)
			conn_break(c, true);
	}
	if (s->body_held)
		return false; /* the other direction goes on */
	s->close = true;
	return true;
}

static bool h1_settle(struct conn *c)
{
	struct h1_stream *s = c->state;
	if (!s)
		return false;
	if (s->raw && s->body_wanted && conn_input(c).len) {
		s->body_wanted =
			false; /* what came with the head of the request, before there was a tunnel */
		source_wake(&s->body);
	}
	if (conn_unsent(c))
		return false;
	if (s->aborted) {
		conn_break(c, !s->chunked_out);
		return false;
	}
	if (!s->out_end) {
		if (s->request.output != OUTPUT_BODY || conn_room(c) == 0)
			return false;
		exchange_room(&s->request);
		return !chunks_empty(&c->out) || s->out_end || s->aborted;
	}
	if (s->raw && !settle_tunnel(c, s))
		return false;
	if (!s->finished) {
		check(!s->body_held || s->request.body);
		source_cancel(&s->request.body);
		s->finished = true;
		exchange_finish(&s->request);
	}
	return body_left_over(s) && next_request(c, s);
}

/* --- Waiting. --- */

/* A client that has ended its half may wait for its answer, or have closed: TCP does not tell which. */
static bool maybe_gone(const struct h1_stream *s)
{
	return s->conn->peer_eof && s->request.output == OUTPUT_WAITING && s->request.minor == 1 &&
	       s->signs < SIGNS;
}

/* Sends it what clients must be able to pass over (RFC 9110, 15.2), 100 of all the best known: one that has closed answers with
 * a reset, and nobody need work for it any more. */
static void look_for_client(struct conn *c, struct h1_stream *s)
{
	if (s->signs++ == 0)
		h1_carrier.send_info(&s->request, 100, NULL);
	else if (transport_lost(&c->transport))
		conn_break(c, true);
}

static enum conn_wait h1_wait(const struct conn *c)
{
	const struct h1_stream *s = c->state;
	if (s && s->raw && s->body_held)
		return CONN_WAIT_NONE; /* whoever holds the tunnel's other end says how long it may be silent */
	if (conn_unsent(c) || c->closing)
		return CONN_WAIT_SEND;
	if (!s)
		return c->input || c->requests == 0 ? CONN_WAIT_HEAD : CONN_WAIT_IDLE;
	if (s->finished)
		return CONN_WAIT_LINGER; /* the rest of a body that nobody wants */
	if (s->body_wanted)
		return CONN_WAIT_BODY;
	return maybe_gone(s) ? CONN_WAIT_SIGN : CONN_WAIT_NONE;
}

/* Before an idle connection is closed it is looked at once more: a request that came just now, or begins, is answered. */
static void expired_idle(struct conn *c)
{
	read_heads(c);
	if (!c->state && !c->input && !c->broken)
		conn_close(c, false);
}

static void h1_expired(struct conn *c, enum conn_wait wait)
{
	struct h1_stream *s = c->state;
	switch (wait) {
	case CONN_WAIT_IDLE:
		expired_idle(c);
		break;
	case CONN_WAIT_HEAD:
		if (c->input)
			refuse_head(c, conn_input(c).ptr, conn_input(c).len, 408);
		else
			conn_close(c, false);
		break;
	case CONN_WAIT_BODY:
		s->request.end = c->too_slow ? END_CLIENT_RATE : END_CLIENT_BODY;
		h1_body_fail(s, 408);
		break;
	case CONN_WAIT_SIGN:
		look_for_client(c, s);
		break;
	case CONN_WAIT_SEND:
		if (s && !s->finished)
			s->protocol_end = c->too_slow ? END_CLIENT_RATE : END_CLIENT_SEND;
		conn_break(c, true);
		break;
	default:
		conn_break(c, false);
	}
}

static void h1_gone(struct conn *c, enum exchange_end why)
{
	struct h1_stream *s = c->state;
	if (!s)
		return;
	if (!s->finished) {
		s->finished = true;
		s->body_wanted = false;
		uint64_t unsent = c->out.length < s->request.sent ? c->out.length : s->request.sent;
		s->request.sent -= unsent;
		if (!s->aborted)
			exchange_gone(&s->request, s->protocol_end ? s->protocol_end : why);
		source_cancel(&s->request.body);
		exchange_finish(&s->request);
	}
	h1_stream_free(s);
}

const struct protocol h1_protocol = {
	.name = "http/1.1",
	.readable = h1_readable,
	.settle = h1_settle,
	.wait = h1_wait,
	.expired = h1_expired,
	.gone = h1_gone,
};
