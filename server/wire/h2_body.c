/* SPDX-License-Identifier: BSD-2-Clause */
/* The body of an HTTP/2 request: what comes waits until somebody pulls it, and only then may the peer send as much again. */
#include "base/check.h"
#include "wire/h2_stream.h"
#include "wire/wire_priv.h"

/* How much of a body may be under way or wait: where there are many, and nobody takes them, it is that which they cost. */
static uint32_t share(unsigned bodies)
{
	if (bodies <= H2_BODIES)
		return H2_WINDOW;
	return bodies <= 2 * H2_BODIES ? H2_WINDOW / 2 : H2_WINDOW / 4;
}

static void narrow(struct h2_stream *s, uint32_t window)
{
	s->withheld += s->allowed - window;
	s->allowed = window;
	h2_session_narrow(s->h2->session, &s->part, window);
}

/* What was not withheld yet need not be; the rest is given back. */
static void widen(struct h2_stream *s, uint32_t window)
{
	uint32_t more = window - s->allowed, spared = more < s->withheld ? more : s->withheld;
	s->withheld -= spared;
	s->allowed = window;
	h2_session_widen(s->h2->session, &s->part, window, more - spared);
}

/* One more or one less makes no windows go to and fro. */
static void fit(struct h2_stream *s)
{
	unsigned bodies = s->h2->conn->wire->h2_bodies;
	if (share(bodies) < s->allowed && s->h2->settled)
		narrow(s, share(bodies));
	else if (share(bodies + H2_BODIES_SPARE) > s->allowed)
		widen(s, share(bodies + H2_BODIES_SPARE));
}

static void consume(struct h2_stream *s, uint64_t length)
{
	struct h2_session *session = s->h2->session;
	if (s->closed) {
		h2_session_consume(session, NULL, (size_t)length);
		return;
	}
	fit(s);
	uint64_t kept = length < s->withheld ? length : s->withheld;
	s->withheld -= (uint32_t)kept;
	h2_session_consume(session, NULL, (size_t)kept);
	h2_session_consume(session, &s->part, (size_t)(length - kept));
}

void h2_body_wake(struct h2_stream *s)
{
	if (!s->body_wanted)
		return;
	s->body_wanted = false;
	source_wake(&s->body);
}

/* Something came: see h2_conn.fed. */
static void note_fed(struct h2_stream *s)
{
	if (!link_listed(&s->fed))
		list_append(&s->h2->fed, &s->fed);
}

static enum pull finished(struct h2_stream *s)
{
	s->request.input = INPUT_DONE;
	return PULL_END;
}

static void send_continue(struct h2_stream *s)
{
	s->request.expect_continue = false;
	if (s->request.output == OUTPUT_WAITING)
		s->request.carrier->send_info(&s->request, 100, NULL);
}

/* `anew`: until now nobody waited for the peer. */
static enum pull wait_for_more(struct h2_stream *s, bool anew)
{
	if (s->h2->conn->peer_eof) {
		if (s->raw)
			return finished(s);
		s->request.end = END_CLIENT_GONE;
		h2_body_fail(s, 400);
		return PULL_FAILED;
	}
	if (anew)
		s->progress = conn_now_ms(s->h2->conn);
	s->body_wanted = true;
	return PULL_PAUSED;
}

static enum pull body_pull(struct source *source, struct chunks *out, size_t room)
{
	struct h2_stream *s = container_of(source, struct h2_stream, body);
	bool anew = !s->body_wanted;
	s->body_wanted = false;
	if (s->request.expect_continue)
		send_continue(s);
	if (s->body_failed)
		return PULL_FAILED;
	if (s->request.upgrade.len && !s->raw)
		return wait_for_more(s, anew); /* not before the tunnel was accepted */
	uint64_t take = s->in.length < room ? s->in.length : room;
	if (take) {
		chunks_move_some(out, &s->in, take);
		consume(s, take);
		conn_touch(s->h2->conn);
	}
	if (chunks_empty(&s->in) && s->part.ended)
		return finished(s);
	return take ? PULL_MORE : wait_for_more(s, anew);
}

static void body_cancel(struct source *source)
{
	struct h2_stream *s = container_of(source, struct h2_stream, body);
	if (s->body_held)
		s->h2->conn->wire->h2_bodies--;
	s->body_held = false;
	s->body_wanted = false;
	s->request.input = INPUT_DONE;
	h2_body_drop(s);
	if (s->raw && s->part.sent && !s->finished) { /* both directions have ended */
		if (!s->closed && !s->part.ended)
			h2_session_reset(s->h2->session, &s->part, H2_CANCEL);
		if (!link_listed(&s->whole))
			list_append(&s->h2->whole, &s->whole);
	}
	conn_touch(s->h2->conn);
}

static const struct source_ops body_ops = {body_pull, body_cancel};

void h2_body_init(struct h2_stream *s)
{
	s->body.ops = &body_ops;
	s->announced = s->request.length;
	if (s->part.ended || (s->request.length == 0 && !s->request.upgrade.len))
		return;
	s->body_held = true;
	s->allowed = H2_WINDOW;
	s->h2->conn->wire->h2_bodies++;
	s->request.body = &s->body;
}

/* More or less than was announced: RFC 9113, 8.1.1. */
static void break_off(struct h2_stream *s)
{
	s->malformed = true;
	h2_session_reset(s->h2->session, &s->part, H2_PROTOCOL_ERROR);
	h2_body_fail(s, 400);
}

void h2_body_take(struct h2_stream *s, const char *bytes, size_t length)
{
	struct request *r = &s->request;
	int64_t limit = r->thread->snapshot->core.limits.body_size;
	r->received += length;
	if (!s->finished) /* what is left behind an answer has its time, and no more */
		s->progress = conn_now_ms(s->h2->conn);
	s->rate_bytes += (uint32_t)length;
	bool counted = s->begun && !r->upgrade.len && !s->raw;
	if (counted && s->announced != LENGTH_UNKNOWN && r->received > s->announced) {
		consume(s, length);
		break_off(s);
		return;
	}
	if (counted && limit > 0 && r->received > (uint64_t)limit && !s->body_failed)
		h2_body_fail(s, 413);
	if (!s->body_held || s->body_failed) { /* nobody wants it: the stream's window stays shut */
		h2_session_consume(s->h2->session, NULL, length);
		return;
	}
	s->h2->requests.octets += length;
	chunks_copy(&s->in, bytes, length);
	note_fed(s);
}

void h2_body_end(struct h2_stream *s)
{
	const struct request *r = &s->request;
	if (s->begun && !s->malformed && !r->upgrade.len && !s->raw &&
		s->announced != LENGTH_UNKNOWN && r->received != s->announced)
		break_off(s);
	else
		note_fed(s);
}

void h2_body_fail(struct h2_stream *s, unsigned status)
{
	if (s->body_failed)
		return;
	s->body_failed = true;
	s->request.body_fault = status;
	if (!s->request.end)
		s->request.end = end_of_body(status);
	h2_body_drop(s);
	h2_body_wake(s);
}

void h2_body_drop(struct h2_stream *s)
{
	if (chunks_empty(&s->in))
		return;
	h2_session_consume(s->h2->session, NULL, (size_t)s->in.length);
	chunks_clear(&s->in);
}
