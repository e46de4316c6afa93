/* SPDX-License-Identifier: BSD-2-Clause */
/* One connection of a client: reads, queues, flushes, waits, ends. Libraries and handlers call back from inside their own
 * calls, so that a connection is only marked as ended while one of its callbacks runs; its memory goes in the next turn. */
#include "wire/conn.h"

#include <errno.h>

#include "base/check.h"
#include "base/counters.h"
#include "base/log.h"
#include "io/watch.h"
#include "wire/wire_priv.h"

/* --- Watching. --- */

#define TOLD_IN_VAIN                                                                               \
	8 /* times one after the other: that is a Unix socket; TCP does it once in a while */

/* What is to be read is watched for by libev (whose errors count as that), room in the socket by its edge. */
static void watch_events(struct conn *c)
{
	bool reads = !c->reading_paused && !c->peer_eof;
	if (reads != ev_is_active(&c->watch)) {
		if (reads)
			ev_io_start(c->wire->loop->ev, &c->watch);
		else
			ev_io_stop(c->wire->loop->ev, &c->watch);
	}
	if (!c->blocked || c->room_watched)
		return;
	c->room_watched = loop_watch_room(c->wire->loop, c->transport.fd, c) == 0;
	c->told_in_vain = 0;
	if (!c->room_watched) {
		log_error("a connection cannot be watched: %m");
		c->fault = END_INTERNAL;
		conn_break(c, true);
		loop_defer(c->wire->loop, &c->task);
	}
}

void conn_pause(struct conn *c)
{
	c->reading_paused = true;
}

void conn_resume(struct conn *c)
{
	c->reading_paused = false;
}

/* --- Reading. --- */

/* Octets stand in the transport, of which no event will tell. */
static bool conn_pending(const struct conn *c)
{
	return c->transport.pending && !c->reading_paused && !c->peer_eof && !c->dead;
}

/* Who is to take octets does not get more time by sending some. */
static ssize_t account_read(struct conn *c, ssize_t n, size_t asked)
{
	c->read_full = n > 0 && (size_t)n == asked;
	if (n > 0) {
		c->news = c->woken ? CONN_NEWS_KNOWN : CONN_NEWS_LATE;
		c->woken = false;
		if (c->wait != CONN_WAIT_SEND) {
			c->progress = conn_now_ms(c);
			c->rate_bytes += (uint32_t)n;
		}
		counter_add(c->wire->thread->counters, COUNTER_BYTES_IN, n);
	} else if (n == IO_EOF) {
		c->peer_eof = true;
	} else if (n == IO_ERROR) {
		conn_fail(c);
	}
	return n;
}

ssize_t conn_read(struct conn *c, char **bytes)
{
	*bytes = c->wire->loop->scratch;
	return account_read(
		c, c->transport.ops->read(&c->transport, *bytes, CONN_READ_MOST), CONN_READ_MOST);
}

/* Makes sure that there is room behind what waits: moves it to the front, or to a larger block, up to `limit` octets. */
static size_t input_room(struct conn *c, size_t limit)
{
	struct slice waiting = conn_input(c);
	if (waiting.len >= limit)
		return 0;
	if (!c->input) {
		c->input = chunk_block(limit < CONN_READ_BLOCK ? limit : CONN_READ_BLOCK);
		c->input->used = 0;
		c->input_start = 0;
	} else if (c->input->used == c->input->capacity || waiting.len == 0) {
		size_t size = waiting.len * 2 < CONN_READ_BLOCK ? CONN_READ_BLOCK : waiting.len * 2;
		struct chunk_block *fresh = chunk_block(size < limit ? size : limit);
		memcpy(fresh->bytes, waiting.ptr, waiting.len);
		fresh->used = (uint32_t)waiting.len;
		ref_put(&c->input->ref);
		c->input = fresh;
		c->input_start = 0;
	}
	size_t room = c->input->capacity - c->input->used;
	return room < limit - waiting.len ? room : limit - waiting.len;
}

ssize_t conn_input_read(struct conn *c, size_t limit)
{
	size_t room = input_room(c, limit);
	if (room == 0) {
		conn_pause(c);
		return IO_AGAIN;
	}
	ssize_t n = account_read(c,
		c->transport.ops->read(&c->transport, c->input->bytes + c->input->used, room),
		room);
	if (n > 0)
		c->input->used += (uint32_t)n;
	else
		conn_input_consume(c, 0);
	return n;
}

void conn_input_consume(struct conn *c, size_t length)
{
	if (!c->input)
		return;
	c->input_start += (uint32_t)length;
	check(c->input_start <= c->input->used);
	if (c->input_start == c->input->used) {
		ref_put(&c->input->ref);
		c->input = NULL;
		c->input_start = 0;
	}
}

void conn_input_keep(struct conn *c, const char *bytes, size_t length)
{
	check(!c->input);
	if (length == 0)
		return;
	c->input = chunk_block(length < CONN_READ_BLOCK ? CONN_READ_BLOCK : length);
	memcpy(c->input->bytes, bytes, length);
	c->input->used = (uint32_t)length;
	c->input_start = 0;
}

void conn_hear(struct conn *c)
{
	if (c->news == CONN_NEWS_LATE) {
		watch_drain(c->wire->loop->watch);
		c->news = CONN_NEWS_HEARD;
	}
	conn_passed(c);
}

/* --- Waiting. --- */

static uint64_t timeout_of(const struct conn *c, enum conn_wait wait)
{
	const struct core_settings *core = &c->wire->thread->snapshot->core;
	switch (wait) {
	case CONN_WAIT_NONE:
		return 0;
	case CONN_WAIT_IDLE:
		if (!c->wire->thread->draining)
			return (uint64_t)core->limits.idle_timeout;
		return core->limits.idle_timeout < CONN_LINGER_MS
			       ? (uint64_t)core->limits.idle_timeout
			       : CONN_LINGER_MS;
	case CONN_WAIT_HANDSHAKE:
	case CONN_WAIT_HEAD:
		return (uint64_t)core->limits.header_timeout;
	case CONN_WAIT_BODY:
		return (uint64_t)core->limits.body_timeout;
	case CONN_WAIT_SEND:
		return (uint64_t)core->limits.send_timeout;
	case CONN_WAIT_LINGER:
		return CONN_LINGER_MS;
	case CONN_WAIT_SIGN:
		return CONN_SIGN_MS;
	}
	return 0;
}

static bool rated(enum conn_wait wait)
{
	return wait == CONN_WAIT_BODY || wait == CONN_WAIT_SEND;
}

/* Whoever waits for octets of the peer is looked at again when the time between two of them or the span of the rate ends,
 * whichever is first: octets that move do not touch the deadline. */
static void wait_for_octets(struct conn *c, enum conn_wait wait)
{
	uint64_t timeout = timeout_of(c, wait);
	uint32_t since = conn_now_ms(c) - c->progress, spent = conn_now_ms(c) - c->window;
	uint64_t left = timeout > since ? timeout - since : 1;
	uint64_t rate_left = spent < CONN_RATE_WINDOW_MS ? CONN_RATE_WINDOW_MS - spent : 1;
	if (rate_left < left)
		left = rate_left;
	if (wait == CONN_WAIT_SEND && c->acks_stale && left > CONN_ACKS_MS)
		left = CONN_ACKS_MS;
	deadline_set(c->wire->loop, &c->deadline, left);
}

static bool between_requests(enum conn_wait wait)
{
	return wait == CONN_WAIT_IDLE || wait == CONN_WAIT_HEAD;
}

/* Was something under way since this was asked last? What is said beside requests, or begun of one, does not begin the time anew in which the
 * next one may come. */
static bool note_idle(struct conn *c, enum conn_wait wait)
{
	if (between_requests(wait) && between_requests(c->wait) && c->idle_after == c->requests)
		return false;
	c->idle_after = c->requests;
	c->idle_since = conn_now_ms(c);
	return true;
}

static void wait_for_request(struct conn *c)
{
	uint64_t timeout = timeout_of(c, CONN_WAIT_IDLE);
	uint32_t since = conn_now_ms(c) - c->idle_since;
	deadline_set(c->wire->loop, &c->deadline, timeout > since ? timeout - since : 1);
}

static void update_wait(struct conn *c)
{
	enum conn_wait wait = c->lingering ? CONN_WAIT_LINGER
			      : c->cold    ? CONN_WAIT_NONE /* for the disk */
					   : c->protocol->wait(c);
	bool anew = note_idle(c, wait) && between_requests(wait);
	if (wait == CONN_WAIT_NONE && c->wait == CONN_WAIT_SEND && link_listed(&c->task.link))
		return; /* others are next */
	if (wait == c->wait && wait != CONN_WAIT_IDLE && !anew)
		return;
	c->wait = (uint8_t)wait;
	if (wait == CONN_WAIT_NONE) {
		deadline_clear(c->wire->loop, &c->deadline);
	} else if (rated(wait)) {
		c->progress = c->window = conn_now_ms(c);
		c->rate_bytes = 0;
		c->acks_stale = true;
		wait_for_octets(c, wait);
	} else if (wait == CONN_WAIT_IDLE) {
		wait_for_request(c);
	} else {
		deadline_set(c->wire->loop, &c->deadline, timeout_of(c, wait));
	}
}

/* --- Settling and ending. --- */

/* Whatever waits in either direction goes. */
static void conn_drop(struct conn *c)
{
	conn_cold_forget(c);
	chunks_clear(&c->out);
	if (c->input)
		ref_put(&c->input->ref);
	c->input = NULL;
	c->input_start = 0;
}

static void end(struct conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	ev_io_stop(c->wire->loop->ev, &c->watch);
	deadline_clear(c->wire->loop, &c->deadline);
	if (c->state)
		c->protocol->gone(c, c->fault ? (enum exchange_end)c->fault : END_CLIENT_GONE);
	conn_drop(c);
	c->transport.ops->close(&c->transport, c->reset);
	wire_closed(c->wire, c);
	loop_defer(c->wire->loop, &c->task);
}

/* The queue is empty and the connection is to be closed. */
static void close_or_linger(struct conn *c)
{
	if (!c->linger || c->peer_eof || c->lingering) {
		conn_break(c, false);
		return;
	}
	if (conn_finish(c) == IO_ERROR) {
		conn_break(c, false);
		return;
	}
	c->lingering = true;
	c->rate_bytes = 0;
	conn_resume(c);
}

static void linger_read(struct conn *c)
{
	char *bytes;
	ssize_t n = conn_read(c, &bytes);
	if (n == IO_ERROR || (c->lingering && (n == IO_EOF || c->rate_bytes > CONN_LINGER_MAX)))
		conn_break(c, false);
}

/* A connection on which nothing is spoken any more: it closes. */
static bool parted_settle(struct conn *c)
{
	(void)c;
	return false;
}

static enum conn_wait parted_wait(const struct conn *c)
{
	(void)c;
	return CONN_WAIT_SEND;
}

static const struct protocol parted = {
	.name = "parted",
	.readable = linger_read,
	.settle = parted_settle,
	.wait = parted_wait,
};

/* The peer was told what it did wrong: the connection closes as if that had been the answer, so that no reset overtakes it. */
static void part(struct conn *c)
{
	c->told = c->broken = false;
	if (c->state)
		c->protocol->gone(c, c->fault ? (enum exchange_end)c->fault : END_CLIENT_GONE);
	c->protocol = &parted;
	conn_drop(c);
	c->broken = false;
	c->closing = c->linger = true;
}

static void settle(struct conn *c)
{
	size_t budget = CONN_TURN;
	if (c->told)
		part(c);
	for (bool again = true; again && !c->broken;) {
		again = false;
		if (!c->blocked && !c->cold && conn_unsent(c) && !conn_flush(c, &budget))
			break;
		if (c->broken || c->lingering)
			break;
		if (c->closing) {
			if (!conn_unsent(c))
				close_or_linger(c);
			break;
		}
		again = c->protocol->settle(c) && conn_spend(c, &budget, CONN_ROUND);
	}
	if (c->broken && !c->told) {
		end(c);
		return;
	}
	if (!c->more && !conn_unsent(c)) /* what was to follow a piece was nothing */
		transport_cork(&c->transport, false);
	watch_events(c);
	if (c->told || conn_pending(c))
		loop_defer(c->wire->loop, &c->task);
	update_wait(c);
}

static void readable(struct conn *c, bool woken)
{
	c->woken = woken;
	if (c->lingering || c->closing)
		linger_read(c);
	else
		c->protocol->readable(c);
	c->woken = false;
}

static void on_event(struct ev_loop *ev, ev_io *watch, int events)
{
	struct conn *c = container_of(watch, struct conn, watch);
	(void)ev, (void)events;
	c->entered = true;
	readable(c, true);
	settle(c);
	c->entered = false;
}

void conn_has_room(void *who)
{
	struct conn *c = who;
	if (c->dead)
		return;
	if (!c->blocked) {
		if (!conn_unsent(c) && ++c->told_in_vain == TOLD_IN_VAIN) {
			loop_forget_room(c->wire->loop, c->transport.fd);
			c->room_watched = false;
		}
		return;
	}
	c->told_in_vain = 0;
	c->blocked = false;
	c->entered = true;
	settle(c);
	c->entered = false;
}

static void on_task(struct task *task)
{
	struct conn *c = container_of(task, struct conn, task);
	if (c->dead) {
		wire_recycle(c->wire, c);
		return;
	}
	c->entered = true;
	if (conn_pending(c))
		readable(c, false);
	settle(c);
	c->entered = false;
}

/* What left the kernel's buffer is progress as well: that may hold more than a slow reader takes in all the time it has. What it took since
 * it was looked at for an earlier answer counts the first time, in favour of who may have taken it just now. */
static void look_at_acked(struct conn *c)
{
	uint32_t acked = transport_acked(&c->transport);
	c->acks_stale = false;
	if (acked == c->acked)
		return;
	c->progress = conn_now_ms(c);
	c->rate_bytes += acked - c->acked;
	c->acked = acked;
}

/* Does the peer keep the time between two octets, and the least rate? Begins the next span of that. */
static bool keeps_pace(struct conn *c, enum conn_wait wait)
{
	c->too_slow = false;
	if (wait == CONN_WAIT_SEND)
		look_at_acked(c);
	if (conn_now_ms(c) - c->progress >= timeout_of(c, wait))
		return false;
	uint32_t spent = conn_now_ms(c) - c->window;
	if (spent < CONN_RATE_WINDOW_MS)
		return true;
	uint64_t least = (uint64_t)c->wire->thread->snapshot->core.limits.min_rate * spent / 1000;
	c->too_slow = c->rate_bytes < least;
	c->window = conn_now_ms(c);
	c->rate_bytes = 0;
	return !c->too_slow;
}

static void on_deadline(struct deadline *deadline)
{
	struct conn *c = container_of(deadline, struct conn, deadline);
	enum conn_wait wait = c->wait;
	if (rated(wait) && keeps_pace(c, wait)) {
		wait_for_octets(c, wait);
		return;
	}
	c->entered = true;
	if (wait != CONN_WAIT_IDLE)
		c->wait = CONN_WAIT_NONE;
	if (wait == CONN_WAIT_LINGER || c->closing)
		conn_break(c, c->closing && !c->lingering);
	else
		c->protocol->expired(c, wait);
	settle(c);
	c->entered = false;
}

void conn_start(struct conn *c)
{
	ev_io_init(&c->watch, on_event, c->transport.fd, EV_READ);
	c->task.run = on_task;
	c->deadline.expired = on_deadline;
	chunks_init(&c->out);
	c->wait = CONN_WAIT_NONE;
	c->entered = true;
	readable(c, true); /* who accepted has heard of what changed */
	settle(c);
	c->entered = false;
}

void conn_cut(struct conn *c, enum exchange_end why)
{
	if (c->dead)
		return;
	if (c->state)
		c->protocol->gone(c, why);
	conn_break(c, conn_unsent(c));
	end(c);
}

void conn_touch(struct conn *c)
{
	if (!c->entered && !c->dead)
		loop_defer(c->wire->loop, &c->task);
}

void conn_close(struct conn *c, bool linger)
{
	c->closing = true;
	c->linger = c->linger || linger;
	conn_touch(c);
}

int conn_finish(struct conn *c)
{
	int result = c->transport.ops->finish(&c->transport);
	if (result == IO_AGAIN)
		c->blocked = true;
	return result;
}

void conn_fail(struct conn *c)
{
	c->told = errno == EPROTO && !c->lingering;
	conn_break(c, !c->told);
}

void conn_break(struct conn *c, bool reset)
{
	c->broken = true;
	c->reset = c->reset || reset;
	conn_touch(c);
}
