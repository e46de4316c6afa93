/* SPDX-License-Identifier: BSD-2-Clause */
/* A request on its way to an HTTP/1.1 backend: one head, one framing, the body pulled only as fast as the backend reads. */
#include "base/check.h"
#include "handlers/proxy/origin_h1_priv.h"
#include "http/h1_head.h"

#define SPANS_A_WRITE      64
#define WRITES_A_TURN      8   /* before others have their turn */
#define FRAMING_LENGTH_MAX 160 /* what write_framing takes at most, the name of a tunnel apart */

/* --- The head. --- */

static bool takes_content(enum method method)
{
	return method == METHOD_POST || method == METHOD_PUT || method == METHOD_PATCH;
}

static char *write_framing(const struct origin *o, char *to)
{
	const struct origin_request *r = o->request;
	bool close = o->backend->upstream->keepalive <= 0;
	if (r->upgrade.len) {
		to = h1_put(to, SLICE("Connection: upgrade\r\n"));
		return h1_field_write(to, SLICE("Upgrade"), r->upgrade);
	}
	if (r->want_trailers)
		to = h1_put(to, close ? SLICE("Connection: close, TE\r\nTE: trailers\r\n")
				      : SLICE("Connection: TE\r\nTE: trailers\r\n"));
	else if (close)
		to = h1_put(to, SLICE("Connection: close\r\n"));
	if (!o->body)
		return takes_content(r->method_id) ? h1_put(to, SLICE("Content-Length: 0\r\n"))
						   : to;
	if (r->expect_continue)
		to = h1_put(to, SLICE("Expect: 100-continue\r\n"));
	if (r->length == LENGTH_UNKNOWN)
		return h1_put(to, SLICE("Transfer-Encoding: chunked\r\n"));
	to = h1_put(to, SLICE("Content-Length: "));
	to += bytes_decimal(to, r->length);
	return h1_put(to, SLICE("\r\n"));
}

static void write_head(struct origin *o)
{
	const struct origin_request *r = o->request;
	size_t size = r->method.len + r->target.len + sizeof("  HTTP/1.1\r\n\r\n") +
		      FRAMING_LENGTH_MAX + r->upgrade.len;
	for (unsigned i = 0; i < r->fields.count; i++)
		size += r->fields.list[i].name.len + r->fields.list[i].value.len + 4;
	struct chunk_block *block = chunk_block(size);
	char *to = h1_put(block->bytes, r->method);
	*to++ = ' ';
	to = h1_put(to, r->target);
	to = h1_put(to, SLICE(" HTTP/1.1\r\n"));
	for (unsigned i = 0; i < r->fields.count; i++)
		to = h1_field_write(to, r->fields.list[i].name, r->fields.list[i].value);
	to = write_framing(o, to);
	to = h1_put(to, SLICE("\r\n"));
	size_t length = (size_t)(to - block->bytes);
	check(length <= size);
	chunks_memory(&o->out, &block->ref, block->bytes, length);
}

static void body_woken(struct source *source)
{
	struct origin *o = source->taker;
	origin_enter(o);
	o->body_paused = false;
	if (!o->dead)
		origin_send_more(o);
	origin_leave(o);
}

void origin_send_head(struct origin *o)
{
	if (o->sending != SENDING_NOTHING)
		return; /* the same bytes on another connection */
	const struct origin_request *r = o->request;
	if (o->body && r->length == 0 && !r->upgrade.len)
		source_cancel(&o->body);
	write_head(o);
	o->body_left = r->length;
	if (!o->body) {
		o->sending = SENDING_WHOLE;
		return;
	}
	o->body->taker = o;
	o->body->wake = body_woken;
	o->sending = r->expect_continue || r->upgrade.len ? SENDING_HELD : SENDING_BODY;
}

/* --- The body. --- */

/* One pull's spans as they stand on the wire. -1: more, or less, than was announced. */
static int frame(struct origin *o, struct chunks *spans, bool end)
{
	if (o->tunnel) {
		chunks_move(&o->out, spans);
		return 0;
	}
	if (o->body_left != LENGTH_UNKNOWN) {
		if (spans->length > o->body_left || (end && spans->length != o->body_left))
			return -1;
		o->body_left -= spans->length;
		chunks_move(&o->out, spans);
		return 0;
	}
	if (spans->length) {
		char head[18];
		chunks_copy(&o->out, head, chunked_head(head, spans->length));
		chunks_move(&o->out, spans);
		chunks_memory(&o->out, NULL, "\r\n", 2);
	}
	if (!end)
		return 0;
	chunks_memory(&o->out, NULL, "0\r\n", 3);
	const struct fields *trailers = o->body->trailers;
	for (unsigned i = 0; trailers && i < trailers->count; i++) {
		const struct field *field = &trailers->list[i];
		struct chunk_block *line = chunk_block(field->name.len + field->value.len + 4);
		char *to = h1_field_write(line->bytes, field->name, field->value);
		chunks_memory(&o->out, &line->ref, line->bytes, (size_t)(to - line->bytes));
	}
	chunks_memory(&o->out, NULL, "\r\n", 2);
	return 0;
}

static void pull_body(struct origin *o)
{
	while (o->sending == SENDING_BODY && !o->body_paused && o->out.length < ORIGIN_WINDOW) {
		struct chunks spans;
		chunks_init(&spans);
		o->body_pulled = true;
		enum pull verdict =
			o->body->ops->pull(o->body, &spans, ORIGIN_WINDOW - o->out.length);
		if (verdict == PULL_FAILED || frame(o, &spans, verdict == PULL_END)) {
			chunks_clear(&spans);
			origin_fail(o, ORIGIN_BODY);
			return;
		}
		if (verdict == PULL_PAUSED)
			o->body_paused = true;
		if (verdict == PULL_END) {
			o->sending = SENDING_WHOLE;
			source_cancel(&o->body);
		}
	}
}

void origin_release_body(struct origin *o)
{
	if (o->sending != SENDING_HELD)
		return;
	o->sending = SENDING_BODY;
	origin_expect(o);
	origin_send_more(o);
}

void origin_send_let_go(struct origin *o)
{
	o->holding = false;
	chunks_clear(&o->held);
}

void origin_send_stop(struct origin *o)
{
	origin_send_let_go(o);
	chunks_clear(&o->out);
	source_cancel(&o->body);
	o->sending = SENDING_STOPPED;
}

/* --- Writing. --- */

static ssize_t write_some(struct origin *o)
{
	struct transport *t = &o->conn->transport;
	const struct chunk *first = o->out.first;
	if (!first->ptr) {
		ssize_t n = t->ops->send_file(t, first->fd, first->offset,
			chunk_piece(first, CHUNK_QUANTUM_PACED), false);
		return n == IO_EOF ? IO_ERROR : n;
	}
	struct iovec iov[SPANS_A_WRITE];
	int count = 0;
	for (const struct chunk *c = first; c && c->ptr && count < SPANS_A_WRITE; c = c->next)
		iov[count++] = (struct iovec){
			.iov_base = (void *)(uintptr_t)c->ptr, .iov_len = (size_t)c->length};
	return t->ops->write(t, iov, count, false);
}

/* The backend reads no more. What it may have answered before is still to be read: the end of the connection tells. A kept
 * connection that took nothing at all was closed before: so even a POST may go on a new one. */
static void refused_bytes(struct origin *o)
{
	if (o->kept && o->sent == 0 && o->receiving == RECEIVING_HEAD && o->to == 0)
		origin_reconnect(o);
	else if (o->holding)
		o->unwritable = true;
	else
		origin_send_stop(o);
}

static void sent_some(struct origin *o, uint64_t n)
{
	if (o->sent > 0 || o->tunnel)
		origin_expect(o);
	o->sent += n;
	if (o->holding && o->sent <= ORIGIN_WINDOW) {
		chunks_move_some(&o->held, &o->out, n);
		return;
	}
	if (o->holding)
		origin_send_let_go(o);
	chunks_consume(&o->out, n);
}

static void finish_tunnel(struct origin *o)
{
	if (!o->tunnel || o->half_closed || o->sending != SENDING_WHOLE || !chunks_empty(&o->out))
		return;
	o->half_closed = true;
	if (o->conn)
		o->conn->transport.ops->finish(&o->conn->transport);
}

/* It is the backend's turn. */
static void await_answer(struct origin *o)
{
	if (o->awaited || o->tunnel || !o->conn || o->sending != SENDING_WHOLE ||
		!chunks_empty(&o->out) || o->receiving != RECEIVING_HEAD)
		return;
	o->awaited = true;
	loop_await(o->backend->backends->thread->loop);
}

void origin_send_more(struct origin *o)
{
	if (!o->conn || o->conn->transport.fd < 0 || o->unwritable)
		return;
	for (unsigned writes = 0;; writes++) {
		pull_body(o);
		if (!o->conn || chunks_empty(&o->out))
			break;
		if (writes == WRITES_A_TURN) {
			loop_defer(o->backend->backends->thread->loop, &o->task);
			return;
		}
		ssize_t n = write_some(o);
		if (n == IO_AGAIN)
			break;
		if (n < 0) {
			refused_bytes(o);
			break;
		}
		sent_some(o, (uint64_t)n);
	}
	finish_tunnel(o);
	origin_watch(o);
	await_answer(o);
}

void origin_send_first(struct origin *o)
{
	pull_body(o);
	if (o->conn && o->sending == SENDING_BODY && o->body_paused)
		loop_defer(o->backend->backends->thread->loop, &o->task);
	else
		origin_send_more(o);
}
