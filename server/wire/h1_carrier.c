/* SPDX-License-Identifier: BSD-2-Clause */
/* What HTTP/1 offers an exchange: heads and bodies into the connection's queue (RFC 9112, 6 and 7). */
#include "base/check.h"
#include "base/clock.h"
#include "http/h1_head.h"
#include "http/ready.h"
#include "wire/h1.h"
#include "wire/wire_priv.h"

static struct h1_stream *stream_of(struct request *request)
{
	return container_of(request, struct h1_stream, request);
}

static void put(struct conn *c, struct slice literal)
{
	chunks_memory(&c->out, NULL, literal.ptr, literal.len);
}

/* How the answer's body ends is told: by length, in chunks, or by closing. */
static char *write_framing(struct h1_stream *s, char *to)
{
	const struct request *r = &s->request;
	unsigned status = r->response.status;
	if (status / 100 == 1 || status == 204)
		return to;
	if (r->response.length != LENGTH_UNKNOWN) {
		if (status == 304)
			return to;
		to = h1_put(to, SLICE("Content-Length: "));
		to += bytes_decimal(to, r->response.length);
		return h1_put(to, SLICE("\r\n"));
	}
	if (status == 304)
		return to;
	if (r->minor >= 1) {
		s->chunked_out = r->method != METHOD_HEAD;
		return h1_put(to, SLICE("Transfer-Encoding: chunked\r\n"));
	}
	if (r->method != METHOD_HEAD)
		s->close = true; /* HTTP/1.0 knows no other end */
	return to;
}

/* A body that nobody will read in time ends the connection, and the answer says so. */
static void judge_unread_body(struct h1_stream *s)
{
	if (s->body_state != H1_BODY_DATA && s->body_state != H1_BODY_TRAILER)
		return;
	bool read_on = s->body_held && !s->request.body;
	if (s->expecting ||
		(!read_on && s->framing.kind == FRAMING_LENGTH && s->body_left > H1_DRAIN_MAX))
		s->close = true; /* after a refusal the client may or may not send it */
}

static char *write_connection(struct h1_stream *s, char *to)
{
	struct slice upgrade = s->request.response.upgrade;
	if (upgrade.len && s->request.minor >= 1) {
		to = h1_put(to, s->close && !s->raw ? SLICE("Connection: close, upgrade\r\n")
						    : SLICE("Connection: upgrade\r\n"));
		return h1_field_write(to, SLICE("Upgrade"), upgrade);
	}
	if (s->close)
		return h1_put(to, SLICE("Connection: close\r\n"));
	if (s->request.minor == 0)
		return h1_put(to, SLICE("Connection: keep-alive\r\n"));
	return to;
}

static void begin_tunnel(struct h1_stream *s)
{
	if (!s->request.upgrade.len)
		return;
	if (s->request.response.status == 101) {
		s->raw = true;
	} else {
		s->body_state = H1_BODY_NONE; /* what follows is the next request */
		s->request.upgrade.len = 0;
	}
}

static void h1_send_head(struct request *request, bool end)
{
	struct h1_stream *s = stream_of(request);
	const struct response *response = &request->response;
	judge_unread_body(s);
	if (conn_last(s->conn))
		s->close = true;
	size_t size =
		h1_head_size(&response->fields, response->reason) + response->upgrade.len + 160;
	begin_tunnel(s);
	struct chunk_block *block = chunk_block(size);
	char *to = h1_head_write(block->bytes, response->status, response->reason,
		fields_find(&response->fields, FIELD_DATE) ? NULL
							   : request->thread->clock->http_date,
		&response->fields, NULL);
	to = write_framing(s, to);
	to = write_connection(s, to);
	to = h1_put(to, SLICE("\r\n"));
	size_t length = (size_t)(to - block->bytes);
	check(length <= size);
	chunks_memory(&s->conn->out, &block->ref, block->bytes, length);
	if (end)
		s->out_end = true;
	conn_touch(s->conn);
}

static void h1_send_info(struct request *request, unsigned status, const struct fields *fields)
{
	static const struct fields none;
	struct h1_stream *s = stream_of(request);
	if (request->minor == 0)
		return;
	if (status == 100)
		s->expecting = false;
	if (!fields)
		fields = &none;
	struct buffer head = {0};
	buffer_format(&head, "HTTP/1.1 %u %s\r\n", status, status_reason(status));
	for (unsigned i = 0; i < fields->count; i++)
		buffer_format(&head, "%.*s: %.*s\r\n", (int)fields->list[i].name.len,
			fields->list[i].name.ptr, (int)fields->list[i].value.len,
			fields->list[i].value.ptr);
	buffer_slice(&head, SLICE("\r\n"));
	chunks_copy(&s->conn->out, head.ptr, head.len);
	buffer_free(&head);
	conn_touch(s->conn);
}

/* A client that does not read must not cost more than what waits for it. */
static void put_spans(struct conn *c, struct chunks *spans)
{
	if (c->blocked)
		chunks_gather(&c->out, spans, CONN_READ_BLOCK);
	else
		chunks_move(&c->out, spans);
}

/* Trailers go to whoever reads chunks, as others send them: TE tells that nothing on the way drops them (RFC 9110, 6.5.1), and
 * few say it. */
static void send_last_chunk(struct h1_stream *s, const struct fields *trailers)
{
	struct conn *c = s->conn;
	if (!trailers) {
		put(c, SLICE("0\r\n\r\n"));
		return;
	}
	struct buffer lines = {0};
	buffer_slice(&lines, SLICE("0\r\n"));
	for (unsigned i = 0; i < trailers->count; i++)
		buffer_format(&lines, "%.*s: %.*s\r\n", (int)trailers->list[i].name.len,
			trailers->list[i].name.ptr, (int)trailers->list[i].value.len,
			trailers->list[i].value.ptr);
	buffer_slice(&lines, SLICE("\r\n"));
	chunks_copy(&c->out, lines.ptr, lines.len);
	buffer_free(&lines);
}

static void h1_send_body(
	struct request *request, struct chunks *body, bool end, const struct fields *trailers)
{
	struct h1_stream *s = stream_of(request);
	struct conn *c = s->conn;
	if (s->chunked_out && body->length) {
		char head[18];
		chunks_copy(&c->out, head, chunked_head(head, body->length));
		put_spans(c, body);
		chunks_copy(&c->out, "\r\n", 2);
	} else {
		put_spans(c, body);
	}
	if (end && s->chunked_out)
		send_last_chunk(s, trailers);
	c->more = !end;
	if (end)
		s->out_end = true;
	conn_touch(c);
}

static size_t h1_room(struct request *request)
{
	return conn_room(stream_of(request)->conn);
}

/* Writes this second's date into the block, unless another connection is sending it just now. True: the date is right. */
static bool ready_dated(struct ready *ready, const struct clock *clock)
{
	if (ready->dated == clock->wall)
		return true;
	if (ready->ref.count > 1)
		return false;
	memcpy(ready->block + ready->date_offset, clock->http_date, 29);
	ready->dated = clock->wall;
	return true;
}

static void put_block(struct conn *c, struct ready *ready, size_t offset, size_t length)
{
	if (length == 0)
		return;
	ref_get(&ready->ref);
	chunks_memory(&c->out, &ready->ref, ready->block + offset, length);
}

static void put_dated_copy(struct conn *c, const struct ready *ready, size_t length)
{
	struct chunk_block *copy = chunk_block(length);
	memcpy(copy->bytes, ready->block, length);
	memcpy(copy->bytes + ready->date_offset, c->wire->thread->clock->http_date, 29);
	chunks_memory(&c->out, &copy->ref, copy->bytes, length);
}

static void h1_send_ready(struct request *request, struct ready *ready, bool head_only)
{
	struct h1_stream *s = stream_of(request);
	struct conn *c = s->conn;
	judge_unread_body(s);
	begin_tunnel(s);
	if (conn_last(c))
		s->close = true;
	s->out_end = true;
	size_t body = head_only ? 0 : ready->body_length;
	size_t head = ready->head_length;
	const char *connection = s->close              ? "Connection: close\r\n\r\n"
				 : request->minor == 0 ? "Connection: keep-alive\r\n\r\n"
						       : NULL;
	bool dated = ready_dated(ready, c->wire->thread->clock);
	if (dated && !connection) {
		put_block(c, ready, 0, head + body); /* the usual way: one span, one send */
		conn_touch(c);
		return;
	}
	if (connection)
		head -= 2; /* the empty line comes behind one more field */
	if (dated)
		put_block(c, ready, 0, head);
	else
		put_dated_copy(c, ready, head);
	if (connection)
		put(c, slice_of(connection));
	put_block(c, ready, ready->head_length, body);
	conn_touch(c);
}

static void h1_abort(struct request *request)
{
	struct h1_stream *s = stream_of(request);
	s->aborted = true;
	s->close = true;
	conn_touch(s->conn);
}

const struct carrier_ops h1_carrier = {
	.name = "http/1.1",
	.send_head = h1_send_head,
	.send_info = h1_send_info,
	.send_body = h1_send_body,
	.room = h1_room,
	.send_ready = h1_send_ready,
	.abort = h1_abort,
};
