/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections to backends: made, handed out, kept and closed. The one that was used last is used first, so that the surplus
 * of a busy hour grows old and is closed. */
#include "handlers/proxy/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/ledger.h"

#define SURPLUS_MS 1000 /* how long idle connections beyond `keepalive` are kept */

/* --- Servers that have names. --- */

bool server_down(const struct server_pool *pool)
{
	return pool->name && pool->name->count == 0;
}

bool backend_await(struct backend *backend, struct server_waiter *waiter)
{
	for (size_t i = 0; i < backend->upstream->server_count; i++) {
		if (backend->pools[i].name && !backend->pools[i].name->settled) {
			list_append(&backend->waiting, &waiter->link);
			return true;
		}
	}
	return false;
}

/* Does the server's name still have the address that this one leads to? */
static bool conn_current(struct server_conn *conn)
{
	const struct server_name *name = conn->pool->name;
	struct address peer = {.length = sizeof peer.local};
	if (!name || conn->generation == name->generation)
		return true;
	if (getpeername(conn->transport.fd, &peer.any, &peer.length) || !name_has(name, &peer))
		return false;
	conn->generation = name->generation;
	return true;
}

static void wake_all(struct backend *backend)
{
	struct link woken;
	list_init(&woken);
	list_move(&woken, &backend->waiting);
	while (!list_empty(&woken)) {
		struct server_waiter *waiter = container_of(woken.next, struct server_waiter, link);
		list_remove(&waiter->link);
		waiter->wake(waiter);
	}
}

static void looked_up(void *user, struct server_name *name)
{
	struct backends *backends = user;
	for (struct backend *b = backends->all; b; b = b->next) {
		bool concerned = false;
		for (size_t i = 0; i < b->upstream->server_count; i++) {
			struct server_pool *pool = &b->pools[i];
			if (pool->name != name)
				continue;
			concerned = true;
			list_each_safe (link, &pool->idle) {
				struct server_conn *conn =
					container_of(link, struct server_conn, link);
				if (!conn_current(conn))
					server_close(conn, false);
			}
		}
		if (concerned)
			wake_all(b);
	}
}

static struct server_name *name_of(struct backends *backends, const struct upstream_server *server)
{
	if (server->name.len == 0 || backends->thread->quiet)
		return NULL;
	if (!backends->names)
		backends->names = names_new(
			backends->thread->loop, backends->resolver_options, looked_up, backends);
	return names_get(backends->names, server);
}

/* --- The upstreams of a thread. --- */

static struct backend *backend_of(struct backends *backends, const struct upstream *upstream)
{
	for (struct backend *b = backends->all; b; b = b->next)
		if (upstream_same(b->upstream, upstream))
			return b;
	struct backend *b = must_zalloc(sizeof *b + upstream->server_count * sizeof(b->pools[0]));
	b->backends = backends;
	b->upstream = upstream;
	if (backends->thread->ledger)
		b->row = ledger_row(backends->thread->ledger, LEDGER_UPSTREAM, upstream->name,
			backends->thread->place);
	b->turn = backends->thread->index; /* so that threads do not ask in step */
	for (size_t i = 0; i < upstream->server_count; i++) {
		struct server_pool *pool = &b->pools[i];
		pool->backends = backends;
		pool->upstream = upstream;
		pool->server = &upstream->servers[i];
		pool->name = name_of(backends, pool->server);
		pool->address = pool->name ? backends->thread->index : 0;
		list_init(&pool->idle);
	}
	list_init(&b->waiting);
	b->next = backends->all;
	backends->all = b;
	return b;
}

struct backends *backends_new(struct exchange_thread *thread,
	const struct upstream *(*target_of)(const struct snapshot *, const struct scope *),
	const struct resolver_options *options)
{
	const struct snapshot *snapshot = thread->snapshot;
	struct backends *backends = must_zalloc(sizeof *backends);
	backends->thread = thread;
	backends->resolver_options = options;
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
	if (backends->names)
		names_free(backends->names);
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

static void dialled(struct dial *dial, int fd, int error);

static void conn_dial(struct server_conn *conn)
{
	struct server_pool *pool = conn->pool;
	const struct server_name *name = pool->name;
	unsigned count = name ? name->count : pool->server->address_count;
	check(count > 0); /* a name that has got addresses keeps some */
	conn->address %= count;
	conn->generation = name ? name->generation : 0;
	conn->dialling = true;
	conn->to = name ? name->addresses[conn->address] : pool->server->addresses[conn->address];
	dial_start(&conn->dial, pool->backends->thread->loop, &conn->to,
		(uint64_t)pool->upstream->connect_timeout, dialled);
}

/* Whether another address is worth a try; what did not answer has cost the whole timeout. */
static bool conn_dial_next(struct server_conn *conn, int error)
{
	bool enough = conn->left == 0 || (error == ETIMEDOUT && conn->timed_out);
	conn->address++;
	if (!conn->pool->name)
		conn->pool->address = conn->address % conn->pool->server->address_count;
	if (enough)
		return false;
	conn->timed_out |= error == ETIMEDOUT;
	conn->left--;
	conn_dial(conn);
	return true;
}

static void dialled(struct dial *dial, int fd, int error)
{
	struct server_conn *conn = container_of(dial, struct server_conn, dial);
	struct server_pool *pool = conn->pool;
	conn->dialling = false;
	if (fd < 0) {
		if (conn_dial_next(conn, error))
			return;
		const struct server_conn_user *told = conn->told;
		void *user = conn->user;
		conn_free(conn);
		told->connected(user, error);
		return;
	}
	plain_init(&conn->transport, fd, false);
	ev_io_init(&conn->watch, conn_ready, fd, EV_READ);
	/* Before the clients: what a backend says unasked ends a kept connection before a request of the same turn is put on it. */
	ev_set_priority(&conn->watch, 1);
	ev_io_start(pool->backends->thread->loop->ev, &conn->watch);
	conn->told->connected(conn->user, 0);
}

struct server_conn *server_connect(
	struct server_pool *pool, const struct server_conn_user *told, void *user)
{
	struct server_conn *conn = conn_new(pool);
	conn->told = told;
	conn->user = user;
	conn->address = pool->name ? pool->address++ : pool->address;
	conn->left = (pool->name ? pool->name->count : pool->server->address_count) - 1;
	conn_dial(conn);
	return conn;
}

void server_keep(struct server_conn *conn, uint64_t idle_ms)
{
	struct server_pool *pool = conn->pool;
	if (pool->upstream->keepalive <= 0 || !conn_current(conn)) {
		server_close(conn, false);
		return;
	}
	/* Closed at once, a surplus would be made anew by the next of the burst that it came from. */
	if (pool->count >= pool->upstream->keepalive && idle_ms > SURPLUS_MS)
		idle_ms = SURPLUS_MS;
	conn->told = NULL;
	conn->user = NULL;
	server_watch(conn, EV_READ);
	deadline_set(pool->backends->thread->loop, &conn->deadline, idle_ms);
	list_prepend(&pool->idle, &conn->link);
	pool->count++;
}
