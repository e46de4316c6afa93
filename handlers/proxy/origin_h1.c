/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a request to an HTTP/1.1 backend: which server, which connection, once more or not, until when. Its two
 * halves are in origin_h1_send.c and origin_h1_receive.c. */
#include "handlers/proxy/origin_h1_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/log.h"

#define CONTINUE_WAIT 1000 /* milliseconds that a backend has to answer Expect: 100-continue */

static void attempt(struct origin *o, bool fresh);

static void wait_no_more(struct origin *o);

/* --- Memory. --- */

static struct origin *origin_new(struct backend *backend)
{
	struct backends *all = backend->backends;
	struct origin *o = all->spare_origins;
	if (o)
		all->spare_origins = o->next_spare;
	else
		o = must_alloc(sizeof *o);
	memset(o, 0, sizeof *o);
	o->backend = backend;
	chunks_init(&o->out);
	chunks_init(&o->held);
	chunks_init(&o->ready);
	return o;
}

static struct loop *loop_of(const struct origin *o)
{
	return o->backend->backends->thread->loop;
}

static void await_no_more(struct origin *o)
{
	if (o->awaited)
		loop_await_end(loop_of(o));
	o->awaited = false;
}

static void origin_free(struct origin *o)
{
	struct backends *all = o->backend->backends;
	await_no_more(o);
	loop_forget(&o->task);
	wait_no_more(o);
	if (o->conn)
		server_close(o->conn, true);
	source_cancel(&o->body);
	chunks_clear(&o->out);
	chunks_clear(&o->held);
	chunks_clear(&o->ready);
	origin_receive_drop(o);
	o->next_spare = all->spare_origins;
	all->spare_origins = o;
}

void origin_h1_drop_spare(struct backends *backends)
{
	while (backends->spare_origins) {
		struct origin *o = backends->spare_origins;
		backends->spare_origins = o->next_spare;
		free(o);
	}
}

void origin_enter(struct origin *o)
{
	o->depth++;
}

void origin_leave(struct origin *o)
{
	if (--o->depth == 0 && o->dead)
		origin_free(o);
}

/* --- Ends. --- */

static void close_conn(struct origin *o, bool reset)
{
	struct server_conn *conn = o->conn;
	await_no_more(o);
	o->conn = NULL;
	if (conn)
		server_close(conn, reset);
}

static bool repeatable(const struct origin *o)
{
	return !o->body_pulled && o->heads == 0 && o->request &&
	       method_idempotent(o->request->method_id);
}

static void tell_failed(struct origin *o)
{
	bool again = o->failure == ORIGIN_CONNECT || o->failure == ORIGIN_DOWN || repeatable(o);
	o->request = NULL;
	if (!o->dead)
		o->events->failed(o->owner, o->failure, again && !o->body_pulled);
}

void origin_fail(struct origin *o, enum origin_failure why)
{
	bool told = o->request == NULL;
	close_conn(o, true);
	origin_send_stop(o);
	if (o->receiving == RECEIVING_DONE || o->receiving == RECEIVING_FAILED)
		return;
	o->receiving = RECEIVING_FAILED;
	o->failure = why;
	o->answer.fault =
		o->tunnel && why == ORIGIN_TIMEOUT ? END_TUNNEL_IDLE : origin_failure_end(why);
	if (told) {
		if (o->answer_paused && !o->dead) {
			o->answer_paused = false;
			source_wake(&o->answer);
		}
	} else if (o->starting) {
		o->failed_later = true;
		loop_defer(loop_of(o), &o->task);
	} else {
		tell_failed(o);
	}
}

/* That a kept connection ends is nobody's fault; that a new one does is the server's, and another one may do better. */
static void blame_server(struct origin *o)
{
	const struct upstream *upstream = o->backend->upstream;
	struct slice server = upstream->servers[o->server].text;
	log_at(&(struct log_scope){.what = "proxy"}, LOG_LEVEL_WARN, LOG_BACKEND,
		"upstream %.*s: %.*s closed the connection without an answer: asked once more",
		(int)upstream->name.len, upstream->name.ptr, (int)server.len, server.ptr);
	o->server = (o->server + 1) % (unsigned)upstream->server_count;
	o->refusal = ORIGIN_CLOSED;
}

void origin_lost(struct origin *o)
{
	if (!o->holding || o->to > 0 || o->repeated) {
		origin_fail(o, ORIGIN_CLOSED);
		return;
	}
	o->repeated = true;
	if (!o->kept)
		blame_server(o);
	chunks_move(&o->held, &o->out);
	chunks_move(&o->out, &o->held);
	origin_reconnect(o);
}

void origin_reconnect(struct origin *o)
{
	close_conn(o, false);
	o->unwritable = false;
	attempt(o, true);
}

void origin_settle(struct origin *o)
{
	if (o->receiving != RECEIVING_DONE || o->tunnel || !o->conn)
		return;
	struct server_conn *conn = o->conn;
	bool whole = o->sending == SENDING_WHOLE && chunks_empty(&o->out);
	o->conn = NULL;
	origin_send_stop(o);
	if (!whole || !o->keep || o->extra) {
		server_close(conn, !whole);
		return;
	}
	uint64_t idle = (uint64_t)o->backend->upstream->idle_timeout;
	server_keep(conn, o->idle_ms && o->idle_ms < idle ? o->idle_ms : idle);
}

/* --- Waiting. --- */

void origin_watch(struct origin *o)
{
	if (!o->conn || o->conn->transport.fd < 0)
		return;
	bool write = !chunks_empty(&o->out) && !o->unwritable;
	server_watch(o->conn, (o->stalled ? 0 : EV_READ) | (write ? EV_WRITE : 0));
}

void origin_expect(struct origin *o)
{
	const struct upstream *upstream = o->backend->upstream;
	int64_t ms = o->tunnel ? upstream->tunnel_timeout : upstream->response_timeout;
	if (o->sending == SENDING_HELD && !o->tunnel && o->body && o->request &&
		o->request->expect_continue)
		ms = CONTINUE_WAIT;
	if (o->conn)
		deadline_set(loop_of(o), &o->conn->deadline, (uint64_t)ms);
}

/* The backend was silent for too long, if it was its turn to say something. */
static void timed_out(struct origin *o)
{
	bool waits_for_client =
		o->sending == SENDING_BODY && o->body_paused && chunks_empty(&o->out);
	switch (o->receiving) {
	case RECEIVING_HEAD:
		if (o->sending == SENDING_HELD && o->request->expect_continue) {
			o->told_continue = true;
			o->events->info(o->owner, 100, NULL);
			if (!o->dead)
				origin_release_body(o);
		} else if (waits_for_client) {
			origin_expect(o);
		} else {
			origin_fail(o, ORIGIN_TIMEOUT);
		}
		break;
	case RECEIVING_BODY:
	case RECEIVING_TRAILERS:
		if (!o->tunnel && (o->quiet || !o->answer_paused || waits_for_client))
			origin_expect(o);
		else
			origin_fail(o, ORIGIN_TIMEOUT);
		break;
	case RECEIVING_DONE: /* a tunnel whose other direction fell silent */
		if (o->body)
			o->body->fault = END_TUNNEL_IDLE;
		close_conn(o, true);
		origin_send_stop(o);
		break;
	case RECEIVING_FAILED:
		close_conn(o, true);
		origin_send_stop(o);
		break;
	}
}

/* --- Names that are looked up for the first time. --- */

static void wait_no_more(struct origin *o)
{
	list_remove(&o->waiter.link);
	deadline_clear(loop_of(o), &o->patience);
}

/* All servers are tried again when something is known of one. */
static void woken(struct server_waiter *waiter)
{
	struct origin *o = container_of(waiter, struct origin, waiter);
	origin_enter(o);
	o->tries = 0;
	attempt(o, false);
	origin_leave(o);
}

static void patience_ended(struct deadline *deadline)
{
	struct origin *o = container_of(deadline, struct origin, patience);
	origin_enter(o);
	wait_no_more(o);
	origin_fail(o, o->refusal);
	origin_leave(o);
}

/* No server is left. */
static void wait_for_names(struct origin *o)
{
	if (!backend_await(o->backend, &o->waiter)) {
		wait_no_more(o);
		origin_fail(o, o->refusal);
	} else if (o->patience.due == 0) {
		deadline_set(
			loop_of(o), &o->patience, (uint64_t)o->backend->upstream->connect_timeout);
	}
}

/* --- For the log. --- */

static void note_server(const struct origin *o)
{
	struct backend_seen *seen = o->request->seen;
	if (!seen)
		return;
	seen->server = o->backend->upstream->servers[o->server].text;
	seen->connected_us = seen->answered_us = 0;
}

/* Which of several addresses it is, only the connection knows. */
static void note_address(const struct origin *o, struct backend_seen *seen)
{
	char text[128];
	if (o->conn->pool->server->address_count == 1)
		return;
	struct slice named = {text, address_text(&o->conn->to, text)};
	seen->server = arena_slice(o->arena, named);
}

static void note_connected(const struct origin *o)
{
	struct backend_seen *seen = o->request->seen;
	if (!seen)
		return;
	seen->connected_us = loop_of(o)->clock.monotonic_us;
	note_address(o, seen);
}

/* --- What the connection tells. --- */

static void next_server(struct origin *o)
{
	o->tries++;
	o->server = (o->server + 1) % (unsigned)o->backend->upstream->server_count;
}

static void conn_connected(void *user, int error)
{
	struct origin *o = user;
	origin_enter(o);
	if (error == 0) {
		note_connected(o);
		o->sent = 0;
		origin_send_head(o);
		origin_expect(o);
		origin_send_more(o);
		origin_leave(o);
		return;
	}
	o->conn = NULL;
	const struct upstream *upstream = o->backend->upstream;
	struct slice server = upstream->servers[o->server].text;
	log_at(&(struct log_scope){.what = "proxy"}, LOG_LEVEL_WARN, LOG_BACKEND,
		"upstream %.*s: no connection to %.*s: %s", (int)upstream->name.len,
		upstream->name.ptr, (int)server.len, server.ptr, strerror(error));
	o->refusal = error == ETIMEDOUT ? ORIGIN_TIMEOUT : ORIGIN_CONNECT;
	next_server(o);
	attempt(o, false);
	origin_leave(o);
}

static void conn_ready(void *user, int events)
{
	struct origin *o = user;
	origin_enter(o);
	o->burst = 0;
	await_no_more(o);
	if (events & EV_READ)
		origin_receive(o);
	if ((events & EV_WRITE) && !o->dead && o->conn)
		origin_send_more(o);
	origin_leave(o);
}

static void conn_expired(void *user)
{
	struct origin *o = user;
	origin_enter(o);
	timed_out(o);
	origin_leave(o);
}

static const struct server_conn_user told = {conn_connected, conn_ready, conn_expired};

/* --- Attempts. --- */

/* A request that may not be sent twice goes on a kept connection only when that was just now seen open. */
static void attempt(struct origin *o, bool fresh)
{
	while (o->tries < o->backend->upstream->server_count &&
		server_down(&o->backend->pools[o->server]))
		next_server(o);
	if (o->tries == o->backend->upstream->server_count) {
		wait_for_names(o);
		return;
	}
	wait_no_more(o);
	struct server_pool *pool = &o->backend->pools[o->server];
	bool once = !method_idempotent(o->request->method_id);
	o->conn = fresh ? NULL : server_take(pool, once, &told, o);
	o->kept = o->conn != NULL;
	o->holding = !once;
	note_server(o);
	if (!o->conn) {
		o->conn = server_connect(pool, &told, o);
		return;
	}
	note_connected(o);
	o->sent = 0;
	origin_send_head(o);
	origin_expect(o);
	origin_send_first(o);
}

static void run_task(struct task *task)
{
	struct origin *o = container_of(task, struct origin, task);
	origin_enter(o);
	if (o->failed_later) {
		o->failed_later = false;
		tell_failed(o);
	} else {
		origin_send_more(o);
	}
	origin_leave(o);
}

static struct origin *h1_send(void *backend, struct exchange_thread *thread,
	struct origin_request *request, const struct origin_events *events, void *owner)
{
	struct backend *b = backend;
	check(b->backends->thread == thread);
	struct origin *o = origin_new(b);
	o->request = request;
	o->events = events;
	o->owner = owner;
	o->arena = request->arena;
	o->body = request->body;
	o->task.run = run_task;
	o->refusal = ORIGIN_DOWN;
	o->waiter.wake = woken;
	o->patience.expired = patience_ended;
	o->answer.ops = &origin_answer_ops;
	o->server = b->turn++ % (unsigned)b->upstream->server_count;
	o->starting = true;
	origin_enter(o);
	attempt(o, false);
	o->starting = false;
	origin_leave(o);
	return o;
}

static void h1_cancel(struct origin *o)
{
	check(!o->dead);
	o->dead = true;
	if (o->depth == 0) {
		origin_free(o);
		return;
	}
	/* freed later, but what others own must not be touched any more */
	close_conn(o, true);
	origin_send_stop(o);
	loop_forget(&o->task);
	wait_no_more(o);
}

const struct origin_ops origin_h1_ops = {h1_send, h1_cancel};
