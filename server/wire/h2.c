/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/2 on a client's connection: takes octets to the session, its events to the streams, and frames to the connection's queue. Nothing
 * is sent while octets are taken in: what many streams have to say leaves at the end of the callback, by one call. */
#include "wire/h2.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/counters.h"
#include "wire/h2_stream.h"
#include "wire/wire_priv.h"

#define SWEEP_MS     1000
#define SETTLE_MS    300000 /* for an acknowledgment that stands behind 64 KB, at the least rate */
#define PONG_WAIT_MS 2000   /* how long a drain waits for the answer to its ping */
#define BOMB         4      /* times the limit of a header section: not a large head any more */
#define LATE_OCTETS  8192   /* a stream that brought so much was of use */

static uint32_t now_ms(const struct h2_conn *h2)
{
	return conn_now_ms(h2->conn);
}

static void waste(struct h2_conn *h2, uint32_t cost)
{
	if (h2_guard_waste(&h2->guard, cost, now_ms(h2)))
		h2_session_end(h2->session, H2_ENHANCE_YOUR_CALM);
}

/* --- Events of the session. --- */

static uint32_t cost_of(const struct h2_frame_head *head)
{
	switch (head->type) {
	case H2_HEADERS:
	case H2_DATA:
		return 0;
	case H2_CONTINUATION:
		return H2_COST_EMPTY;
	case H2_PING:
		return H2_COST_PING;
	case H2_SETTINGS:
		return head->flags & H2_FLAG_ACK ? H2_COST_FRAME : H2_COST_SETTINGS;
	default:
		return H2_COST_FRAME;
	}
}

static enum h2_code judge(struct h2_conn *h2, uint32_t cost)
{
	return h2_guard_waste(&h2->guard, cost, now_ms(h2)) ? H2_ENHANCE_YOUR_CALM : H2_NO_ERROR;
}

static enum h2_code on_frame(void *owner, const struct h2_frame_head *head)
{
	struct h2_conn *h2 = owner;
	uint32_t cost = cost_of(head);
	if (head->type != H2_HEADERS)
		conn_passed(h2->conn);
	if (head->type == H2_SETTINGS && head->flags & H2_FLAG_ACK)
		h2->settled = true;
	return cost ? judge(h2, cost) : H2_NO_ERROR;
}

static enum h2_code on_hollow(void *owner)
{
	return judge(owner, H2_COST_EMPTY);
}

static enum h2_code on_window(void *owner, uint32_t size)
{
	struct h2_conn *h2 = owner;
	list_each (link, &h2->streams) {
		struct h2_stream *s = container_of(link, struct h2_stream, link);
		if (!s->closed && !h2_session_window_fits(h2->session, &s->part, size))
			return H2_FLOW_CONTROL_ERROR;
	}
	return H2_NO_ERROR;
}

/* A stream that begins to wait just now is seen in time. */
static uint32_t sweep_ms(const struct h2_conn *h2)
{
	int64_t least = h2->conn->wire->thread->snapshot->core.limits.body_timeout;
	return least < SWEEP_MS ? (uint32_t)least : SWEEP_MS;
}

static void arm_sweep(struct h2_conn *h2)
{
	if (!h2->sweep.due)
		deadline_set(h2->conn->wire->loop, &h2->sweep, sweep_ms(h2));
}

static struct h2_part *on_open(void *owner, int32_t id)
{
	struct h2_conn *h2 = owner;
	(void)id;
	conn_hear(h2->conn);
	arm_sweep(h2);
	return &h2_stream_new(h2)->part;
}

static void on_refused(void *owner)
{
	waste(owner, H2_COST_FAULT);
}

static struct h2_stream *stream_of(struct h2_part *part)
{
	return container_of(part, struct h2_stream, part);
}

static void on_field(struct h2_part *part, struct slice name, struct slice value, bool lasting)
{
	h2_head_field(stream_of(part), name, value, lasting);
}

/* The request cannot be understood: its stream is reset, and the log says why. */
static void refuse(struct h2_stream *s)
{
	s->begun = true;
	s->announced = LENGTH_UNKNOWN; /* whatever comes of its body: the answer stands */
	exchange_refuse(&s->request, s->status ? s->status : 400);
}

static void on_section(struct h2_part *part)
{
	struct h2_stream *s = stream_of(part);
	struct h2_conn *h2 = s->h2;
	h2->block_begun = 0;
	if (s->list_size >
		BOMB * (size_t)h2->conn->wire->thread->snapshot->core.limits.header_size) {
		h2_session_end(h2->session, H2_ENHANCE_YOUR_CALM);
		return;
	}
	if (s->head_whole) {
		conn_passed(h2->conn);
		if (h2_trailers_done(s))
			h2_body_end(s);
		return;
	}
	s->head_whole = true;
	if (!h2_head_done(s)) {
		refuse(s);
		return;
	}
	const struct field *priority = fields_find(&s->request.fields, FIELD_PRIORITY);
	if (priority)
		h2_stream_prioritize(s, priority->value, false);
	s->begun = true;
	h2_body_init(s);
	exchange_begin(&s->request);
}

static void on_data(struct h2_part *part, const char *bytes, size_t length)
{
	h2_body_take(stream_of(part), bytes, length);
}

static void on_end(struct h2_part *part)
{
	h2_body_end(stream_of(part));
}

static void on_framed(struct h2_part *part, uint64_t length)
{
	struct h2_stream *s = stream_of(part);
	struct h2_conn *h2 = s->h2;
	if (length) {
		h2->waiting -= s->waiting - part->out.memory;
		s->waiting = part->out.memory;
		s->progress = now_ms(h2);
		s->rate_bytes += (uint32_t)length;
		h2->answers.octets += length;
		h2_guard_sent(&h2->guard, length, part->out.length > 0);
	}
	if (part->sent) {
		if (!link_listed(&s->whole)) {
			s->whole_at = h2->queued + h2->conn->out.length - h2->standing;
			s->progress = now_ms(h2);
			list_append(&h2->whole, &s->whole);
		}
	} else if (!part->out_end && !link_listed(&s->hungry) &&
		   part->out.memory < H2_STREAM_HIGH / 2) {
		list_append(&h2->hungry, &s->hungry);
	}
}

/* What the end of a stream says of its peer. */
static void weigh(struct h2_stream *s, enum h2_code code, bool by_peer)
{
	if (by_peer && !s->part.sent) {
		uint64_t framed = s->request.sent - s->part.out.length;
		waste(s->h2, framed >= LATE_OCTETS ? H2_COST_RESET_LATE : H2_COST_RESET);
	} else if (!by_peer && code != H2_NO_ERROR && code != H2_INTERNAL_ERROR) {
		waste(s->h2, H2_COST_FAULT);
	}
}

/* Why it ended, where nobody has said. */
static enum exchange_end end_of(const struct h2_stream *s, enum h2_code code, bool by_peer)
{
	if (s->part.stale)
		return END_FILE_CHANGED;
	if (by_peer)
		return END_CLIENT_GONE;
	return code == H2_INTERNAL_ERROR ? END_INTERNAL : END_BAD_BODY;
}

static void on_closed(struct h2_part *part, enum h2_code code, bool by_peer)
{
	struct h2_stream *s = stream_of(part);
	s->closed = true;
	weigh(s, code, by_peer);
	h2_body_drop(s);
	bool orderly = s->part.sent && (!s->raw || s->part.ended);
	if (s->finished || !orderly)
		h2_stream_gone(s, end_of(s, code, by_peer));
}

static void on_pong(void *owner)
{
	struct h2_conn *h2 = owner;
	if (h2->drain != H2_ANNOUNCED)
		return;
	h2->drain = H2_ENDING;
	h2_session_end_gently(h2->session);
}

static const struct h2_events events = {
	.frame = on_frame,
	.hollow = on_hollow,
	.window = on_window,
	.open = on_open,
	.refused = on_refused,
	.field = on_field,
	.section = on_section,
	.data = on_data,
	.end = on_end,
	.framed = on_framed,
	.closed = on_closed,
	.pong = on_pong,
};

/* --- Reading. --- */

/* Who pulls is told when all of the read was looked at: an end, and further frames, go on together with what came before. */
static void take(struct conn *c, const char *bytes, size_t length)
{
	struct h2_conn *h2 = c->state;
	h2_session_receive(h2->session, bytes, length);
	while (!list_empty(&h2->fed)) {
		struct h2_stream *s = container_of(h2->fed.next, struct h2_stream, fed);
		list_remove(&s->fed);
		h2_body_wake(s);
	}
}

static void h2_readable(struct conn *c)
{
	char *bytes;
	ssize_t n = conn_read(c, &bytes);
	if (n > 0)
		take(c, bytes, (size_t)n);
	if (n != IO_EOF)
		return;
	struct h2_conn *h2 = c->state;
	list_each_safe (link, &h2->streams)
		h2_body_wake(container_of(link, struct h2_stream, link));
}

/* --- Settling. --- */

/* Those whose last octet the kernel has. */
static void finish_sent(struct h2_conn *h2)
{
	uint64_t sent = h2->queued - h2->conn->out.length;
	while (!list_empty(&h2->whole)) {
		struct h2_stream *s = container_of(h2->whole.next, struct h2_stream, whole);
		if (s->whole_at > sent)
			return;
		list_remove(&s->whole);
		h2_stream_finish(s);
	}
}

static void feed(struct h2_conn *h2)
{
	struct link hungry;
	list_init(&hungry);
	list_move(&hungry, &h2->hungry);
	while (!list_empty(&hungry)) {
		struct h2_stream *s = container_of(hungry.next, struct h2_stream, hungry);
		list_remove(&s->hungry);
		if (!s->finished && s->request.output == OUTPUT_BODY)
			exchange_room(&s->request);
	}
}

/* Frames into the connection's queue. True: there were some. */
static bool give_out(struct h2_conn *h2)
{
	struct conn *c = h2->conn;
	h2->standing = c->out.length;
	if (!h2_session_send(h2->session, &c->out, CONN_HIGH_WATER, H2_FILES_HIGH))
		return false;
	h2->queued += c->out.length - h2->standing;
	return true;
}

static bool h2_settle(struct conn *c)
{
	struct h2_conn *h2 = c->state;
	bool sent = false, again;
	finish_sent(h2);
	/* what waits for the kernel need not wait twice; a little is not worth a call of its own */
	if (c->blocked && (c->transport.unsent || c->out.memory >= H2_QUEUED_LITTLE))
		return false;
	do {
		feed(h2);
		again = give_out(h2);
		sent = sent || again;
	} while (again && conn_room(c) > 0);
	if (!sent)
		finish_sent(h2);
	/* a peer that has closed its half can tell of no window any more: it has gone */
	if (chunks_empty(&c->out) && (h2_session_over(h2->session) || c->peer_eof)) {
		conn_close(c, !c->peer_eof);
		return true;
	}
	return sent && !c->blocked;
}

/* --- Waiting. --- */

static enum conn_wait h2_wait(const struct conn *c)
{
	const struct h2_conn *h2 = c->state;
	if (conn_unsent(c) || c->closing)
		return CONN_WAIT_SEND;
	if (!list_empty(&h2->streams))
		return CONN_WAIT_NONE; /* each waits for itself: see sweep */
	return c->requests == 0 || h2_session_amid(h2->session) ? CONN_WAIT_HEAD : CONN_WAIT_IDLE;
}

static void h2_expired(struct conn *c, enum conn_wait wait)
{
	struct h2_conn *h2 = c->state;
	switch (wait) {
	case CONN_WAIT_IDLE:
		h2_readable(c); /* what came just now is answered */
		if (list_empty(&h2->streams) && !h2_session_amid(h2->session))
			h2_session_end(h2->session, H2_NO_ERROR);
		break;
	case CONN_WAIT_HEAD:
		h2_session_end(h2->session, H2_ENHANCE_YOUR_CALM);
		break;
	case CONN_WAIT_SEND:
		list_each (link, &h2->streams) {
			struct h2_stream *s = container_of(link, struct h2_stream, link);
			s->protocol_end = c->too_slow ? END_CLIENT_RATE : END_CLIENT_SEND;
		}
		conn_break(c, true);
		break;
	default:
		conn_break(c, false);
	}
}

/* Its own window is open, and the peer takes from the connection: others are served first (RFC 9218, 10), and it waits for these. */
static bool is_behind_others(const struct h2_stream *s)
{
	return s->h2->answers.enough && h2_session_window_open(s->h2->session, &s->part);
}

/* What this stream waits for. */
static enum conn_wait stream_wait(const struct h2_stream *s)
{
	if (!s->begun || s->finished || s->raw)
		return CONN_WAIT_NONE;
	if (s->part.out.length && !conn_unsent(s->h2->conn) && !is_behind_others(s))
		return CONN_WAIT_SEND; /* no window: there would be room */
	return s->body_wanted && !s->h2->requests.enough ? CONN_WAIT_BODY : CONN_WAIT_NONE;
}

/* One alone waits for its peer and nobody else. */
static void judge_flow(struct h2_flow *flow, unsigned waiting, uint64_t least)
{
	flow->enough = waiting > 1 && flow->octets > 0 && flow->octets >= least * waiting;
	flow->octets = 0;
}

static void judge_flows(struct h2_conn *h2, uint32_t now)
{
	if (now - h2->judged < SWEEP_MS - LOOP_TICK_MS)
		return;
	h2->judged = now;
	const struct core_settings *core = &h2->conn->wire->thread->snapshot->core;
	uint64_t least = (uint64_t)core->limits.min_rate * SWEEP_MS / 1000;
	unsigned out = 0, in = 0;
	list_each (link, &h2->streams) {
		const struct h2_stream *s = container_of(link, struct h2_stream, link);
		out += s->part.out.length > 0;
		in += s->body_wanted;
	}
	judge_flow(&h2->answers, out, least);
	judge_flow(&h2->requests, in, least);
}

/* Does it keep the time between two octets, and the least rate? If so it is looked at again before that time is over. */
static enum exchange_end pace(
	struct h2_stream *s, enum conn_wait wait, uint32_t now, uint32_t *again)
{
	const struct core_settings *core = &s->h2->conn->wire->thread->snapshot->core;
	uint64_t most = (uint64_t)(wait == CONN_WAIT_BODY ? core->limits.body_timeout
							  : core->limits.send_timeout);
	if (now - s->progress >= most)
		return wait == CONN_WAIT_BODY ? END_CLIENT_BODY : END_CLIENT_SEND;
	if (most - (now - s->progress) < *again)
		*again = (uint32_t)most - (now - s->progress);
	uint32_t spent = now - s->window;
	if (spent < CONN_RATE_WINDOW_MS)
		return END_COMPLETE;
	uint64_t least = (uint64_t)core->limits.min_rate * spent / 1000;
	bool slow = s->rate_bytes < least;
	s->window = now;
	s->rate_bytes = 0;
	return slow ? END_CLIENT_RATE : END_COMPLETE;
}

/* A request that is not whole when its answer is has some time left, for there are clients that take a reset for a failure (RFC 9113, 8.1). */
static void sweep_stream(struct h2_stream *s, uint32_t now, uint32_t *again)
{
	if (s->finished && !s->closed) {
		if (now - s->progress >= CONN_LINGER_MS)
			h2_session_reset(s->h2->session, &s->part, H2_NO_ERROR);
		return;
	}
	enum conn_wait wait = stream_wait(s);
	if (wait != s->wait || wait == CONN_WAIT_NONE) {
		if (wait != CONN_WAIT_BODY || s->wait != CONN_WAIT_NONE)
			s->progress = now; /* else it is known since when: see body_pull */
		s->wait = (uint8_t)wait;
		s->window = now;
		s->rate_bytes = 0;
		if (wait == CONN_WAIT_NONE)
			return;
	}
	enum exchange_end end = pace(s, wait, now, again);
	if (!end)
		return;
	if (wait == CONN_WAIT_BODY) {
		s->request.end = end;
		h2_body_fail(s, 408);
	} else {
		s->protocol_end = end;
		h2_session_reset(s->h2->session, &s->part, H2_CANCEL);
	}
}

/* A header section that is not whole holds up all streams. */
static bool head_expired(struct h2_conn *h2, uint32_t now)
{
	uint64_t most = (uint64_t)h2->conn->wire->thread->snapshot->core.limits.header_timeout;
	if (!h2_session_in_head(h2->session))
		h2->block_begun = 0;
	else if (!h2->block_begun)
		h2->block_begun = now | 1;
	else
		return now - h2->block_begun >= most;
	return false;
}

static void sweep(struct deadline *deadline)
{
	struct h2_conn *h2 = container_of(deadline, struct h2_conn, sweep);
	struct conn *c = h2->conn;
	uint32_t now = now_ms(h2), again = sweep_ms(h2);
	judge_flows(h2, now);
	list_each_safe (link, &h2->streams)
		sweep_stream(container_of(link, struct h2_stream, link), now, &again);
	if (head_expired(h2, now))
		h2_session_end(h2->session, H2_ENHANCE_YOUR_CALM);
	if (!h2->settled && now - h2->begun >= SETTLE_MS)
		h2_session_end(h2->session, H2_SETTINGS_TIMEOUT);
	if (h2->drain == H2_ANNOUNCED && now - h2->announced >= PONG_WAIT_MS)
		on_pong(h2);
	if (!list_empty(&h2->streams) || h2->drain == H2_ANNOUNCED)
		deadline_set(c->wire->loop, deadline, again);
	conn_touch(c);
}

/* --- Begin and end. --- */

static void h2_drain(struct conn *c)
{
	struct h2_conn *h2 = c->state;
	if (h2->drain != H2_SERVING)
		return;
	h2->drain = H2_ANNOUNCED;
	h2->announced = now_ms(h2);
	h2_session_announce_end(h2->session);
	arm_sweep(h2);
	conn_touch(c);
}

static void h2_gone(struct conn *c, enum exchange_end why)
{
	struct h2_conn *h2 = c->state;
	finish_sent(h2); /* what left since then did so whole */
	list_each_safe (link, &h2->streams) {
		struct h2_stream *s = container_of(link, struct h2_stream, link);
		s->closed = true;
		h2_stream_gone(s, why);
	}
	deadline_clear(c->wire->loop, &h2->sweep);
	h2_session_free(h2->session);
	free(h2);
	c->state = NULL;
}

void h2_start(struct conn *c)
{
	const struct core_settings *core = &c->wire->thread->snapshot->core;
	struct h2_conn *h2 = must_zalloc(sizeof *h2);
	h2->conn = c;
	wire_peer(c, &h2->peer, &h2->address);
	list_init(&h2->streams);
	list_init(&h2->hungry);
	list_init(&h2->fed);
	list_init(&h2->whole);
	h2->sweep.expired = sweep;
	h2->begun = h2->judged = h2->guard.looked = now_ms(h2);
	h2->session = h2_session_server(&events, h2,
		&(struct h2_limits){
			.streams = H2_STREAMS,
			.header_list = (uint32_t)core->limits.header_size,
			.window = H2_WINDOW,
			.connection_window = H2_WINDOWS,
			.table = H2_TABLE,
		});
	transport_hold_little(&c->transport); /* priorities would not count in the kernel's queue */
	c->protocol = &h2_protocol;
	c->state = h2;
	if (c->wire->thread->draining)
		h2_drain(c);
}

void h2_start_with(struct conn *c, const char *bytes, size_t length)
{
	h2_start(c);
	take(c, bytes, length);
}

enum h2_claim h2_claims(struct slice octets)
{
	size_t length = octets.len < H2_PREFACE_LENGTH ? octets.len : H2_PREFACE_LENGTH;
	if (memcmp(octets.ptr, H2_PREFACE, length) != 0)
		return H2_NOT;
	return length == H2_PREFACE_LENGTH ? H2_SURELY : H2_MAYBE;
}

const struct protocol h2_protocol = {
	.name = "http/2",
	.readable = h2_readable,
	.settle = h2_settle,
	.wait = h2_wait,
	.expired = h2_expired,
	.drain = h2_drain,
	.gone = h2_gone,
};
