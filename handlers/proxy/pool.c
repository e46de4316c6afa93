/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections to backends: made, handed out, kept and closed. The one that was used last is used first, so that the surplus
 * of a busy hour grows old and is closed. */
#include "handlers/proxy/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/check.h"

/* --- The upstreams of a thread. --- */

static struct backend *backend_of(struct backends *backends, const struct upstream *upstream)
{
	for (struct backend *b = backends->all; b; b = b->next)
		if (b->upstream == upstream)
			return b;
	struct backend *b = must_zalloc(sizeof *b + upstream->server_count * sizeof(b->pools[0]));
	b->backends = backends;
	b->upstream = upstream;
	b->turn = backends->thread->index; /* so that threads do not ask in step */
	for (size_t i = 0; i < upstream->server_count; i++) {
		struct server_pool *pool = &b->pools[i];
		pool->backends = backends;
		pool->upstream = upstream;
		pool->server = &upstream->servers[i];
		list_init(&pool->idle);
	}
	b->next = backends->all;
	backends->all = b;
	return b;
}

struct backends *backends_new(struct exchange_thread *thread,
	const struct upstream *(*target_of)(const struct snapshot *, const struct scope *))
{
	const struct snapshot *snapshot = thread->snapshot;
	struct backends *backends = must_zalloc(sizeof *backends);
	backends->thread = thread;
	backends->by_scope = must_zalloc((snapshot->scope_count + 1) * sizeof(struct backend *));
	for (size_t i = 0; i < snapshot->site_count; i++) {
		const struct site *site = &snapshot->sites[i];
		for (size_t k = 0; k <= site->route_count; k++) {
			const struct scope *scope =
				k < site->route_count ? &site->routes[k].scope : &site->scope;
			const struct upstream *upstream = target_of(snapshot, scope);
			check(scope->id < snapshot->scope_count);
			if (upstream)
				backends->by_scope[scope->id] = backend_of(backends, upstream);
		}
	}
	return backends;
}

void backends_free(struct backends *backends)
{
	while (backends->all) {
		struct backend *b = backends->all;
		backends->all = b->next;
		for (size_t i = 0; i < b->upstream->server_count; i++) {
			list_each_safe (link, &b->pools[i].idle) {
				server_close(container_of(link, struct server_conn, link), false);
			}
		}
		free(b);
	}
	while (backends->spare_conns) {
		struct server_conn *conn = backends->spare_conns;
		backends->spare_conns = conn->user;
		free(conn);
	}
	free(backends->by_scope);
	free(backends);
}

/* --- Connections. --- */

static void conn_ready(struct ev_loop *loop, ev_io *watch, int events)
{
	struct server_conn *conn = container_of(watch, struct server_conn, watch);
	(void)loop;
	if (conn->told)
		conn->told->ready(conn->user, events);
	else
		server_close(conn, false); /* the end, or bytes that nobody asked for */
}

static void conn_expired(struct deadline *deadline)
{
	struct server_conn *conn = container_of(deadline, struct server_conn, deadline);
	if (conn->told)
		conn->told->expired(conn->user);
	else
		server_close(conn, false);
}

static struct server_conn *conn_new(struct server_pool *pool)
{
	struct server_conn *conn = pool->backends->spare_conns;
	if (conn)
		pool->backends->spare_conns = conn->user;
	else
		conn = must_alloc(sizeof *conn);
	memset(conn, 0, sizeof *conn);
	conn->pool = pool;
	conn->transport.fd = -1;
	conn->deadline.expired = conn_expired;
	return conn;
}

static void conn_free(struct server_conn *conn)
{
	struct backends *backends = conn->pool->backends;
	conn->user = backends->spare_conns;
	backends->spare_conns = conn;
}

void server_close(struct server_conn *conn, bool reset)
{
	struct loop *loop = conn->pool->backends->thread->loop;
	if (conn->dialling)
		dial_cancel(&conn->dial);
	deadline_clear(loop, &conn->deadline);
	if (link_listed(&conn->link)) {
		list_remove(&conn->link);
		conn->pool->count--;
	}
	if (conn->transport.fd >= 0) {
		ev_io_stop(loop->ev, &conn->watch);
		conn->transport.ops->close(&conn->transport, reset);
	}
	conn_free(conn);
}

void server_watch(struct server_conn *conn, int events)
{
	struct ev_loop *loop = conn->pool->backends->thread->loop->ev;
	int now = ev_is_active(&conn->watch) ? conn->watch.events & (EV_READ | EV_WRITE) : 0;
	if (events == now)
		return;
	ev_io_stop(loop, &conn->watch);
	if (events) {
		ev_io_modify(&conn->watch, events);
		ev_io_start(loop, &conn->watch);
	}
}

/* Has the peer neither closed nor said anything? One system call, for what must not be sent twice. */
static bool conn_silent(const struct server_conn *conn)
{
	char octet;
	ssize_t n = recv(conn->transport.fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT);
	return n < 0 && errno == EAGAIN;
}

struct server_conn *server_take(
	struct server_pool *pool, bool surely, const struct server_conn_user *told, void *user)
{
	while (!list_empty(&pool->idle)) {
		struct server_conn *conn = container_of(pool->idle.next, struct server_conn, link);
		if (surely && !conn_silent(conn)) {
			server_close(conn, false);
			continue;
		}
		list_remove(&conn->link);
		pool->count--;
		conn->told = told;
		conn->user = user;
		return conn;
	}
	return NULL;
}

static void conn_dial(struct server_conn *conn, dial_done_fn *done);

static void dialled(struct dial *dial, int fd, int error)
{
	struct server_conn *conn = container_of(dial, struct server_conn, dial);
	struct server_pool *pool = conn->pool;
	conn->dialling = false;
	if (fd < 0) {
		const struct server_conn_user *told = conn->told;
		void *user = conn->user;
		conn_free(conn);
		told->connected(user, error);
		return;
	}
	plain_init(&conn->transport, fd, false);
	ev_io_init(&conn->watch, conn_ready, fd, EV_READ);
	ev_io_start(pool->backends->thread->loop->ev, &conn->watch);
	conn->told->connected(conn->user, 0);
}

/* The first of two addresses: where it refuses, the other one is tried, and remembered. */
static void first_dialled(struct dial *dial, int fd, int error)
{
	struct server_conn *conn = container_of(dial, struct server_conn, dial);
	if (fd >= 0) {
		dialled(dial, fd, error);
		return;
	}
	conn->pool->address = (conn->pool->address + 1) % conn->pool->server->address_count;
	conn_dial(conn, dialled);
}

static void conn_dial(struct server_conn *conn, dial_done_fn *done)
{
	struct server_pool *pool = conn->pool;
	conn->dialling = true;
	dial_start(&conn->dial, pool->backends->thread->loop,
		&pool->server->addresses[pool->address], (uint64_t)pool->upstream->connect_timeout,
		done);
}

struct server_conn *server_connect(
	struct server_pool *pool, const struct server_conn_user *told, void *user)
{
	struct server_conn *conn = conn_new(pool);
	conn->told = told;
	conn->user = user;
	conn_dial(conn, pool->server->address_count > 1 ? first_dialled : dialled);
	return conn;
}

void server_keep(struct server_conn *conn, uint64_t idle_ms)
{
	struct server_pool *pool = conn->pool;
	if (pool->upstream->keepalive <= 0) {
		server_close(conn, false);
		return;
	}
	if (pool->count >= pool->upstream->keepalive)
		server_close(container_of(pool->idle.prev, struct server_conn, link), false);
	conn->told = NULL;
	conn->user = NULL;
	server_watch(conn, EV_READ);
	deadline_set(pool->backends->thread->loop, &conn->deadline, idle_ms);
	list_prepend(&pool->idle, &conn->link);
	pool->count++;
}
