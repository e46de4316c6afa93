/* SPDX-License-Identifier: BSD-2-Clause */
/* A thread's connections to backends: those in use, and those kept for the next request. */
#ifndef WEIR_HANDLERS_PROXY_POOL_H
#define WEIR_HANDLERS_PROXY_POOL_H

#include "handlers/proxy/upstream.h"
#include "http/handler.h"
#include "io/dial.h"
#include "io/loop.h"
#include "io/transport.h"

struct server_pool;
struct server_conn;

/* What the user of a connection is told, on the loop. */
struct server_conn_user {
	/* Connected, or not: error is an errno then, and the connection is already closed and forgotten. */
	void (*connected)(void *user, int error);
	/* EV_READ, EV_WRITE: what is watched for. */
	void (*ready)(void *user, int events);
	/* The deadline that the user set passed. */
	void (*expired)(void *user);
};

/* A connection to a server. Has a user, or is idle in its pool. Its descriptor is watched for reading all the time, so
 * that a request on a kept connection costs no epoll_ctl. */
struct server_conn {
	struct link link; /* among the idle ones of its pool */
	struct server_pool *pool;
	struct transport transport;
	ev_io watch;
	struct deadline deadline;
	struct dial dial;
	bool dialling;
	const struct server_conn_user *told; /* NULL: idle */
	void *user;
};

/* Idle connections to one server, the one that was used last in front. */
struct server_pool {
	struct backends *backends;
	const struct upstream *upstream;
	const struct upstream_server *server;
	struct link idle;
	unsigned count;
	unsigned address; /* of the server's, the one that could be connected to last */
};

/* One upstream as one thread sees it. */
struct backend {
	struct backend *next;
	struct backends *backends;
	const struct upstream *upstream;
	unsigned turn;              /* round-robin */
	struct server_pool pools[]; /* one a server */
};

struct origin;

/* All of a thread's. */
struct backends {
	struct exchange_thread *thread;
	struct backend *all;
	struct backend **by_scope; /* by struct scope's id; NULL: no proxy there */
	struct server_conn *spare_conns;
	struct origin *spare_origins;
};

/* `target_of` names the upstream of a scope, or NULL. */
struct backends *backends_new(struct exchange_thread *thread,
	const struct upstream *(*target_of)(
		const struct snapshot *snapshot, const struct scope *scope));
/* Closes idle connections and frees. No request may be under way. */
void backends_free(struct backends *backends);

/* A kept connection, handed to the user, or NULL. `surely`: one whose peer has not closed it as far as can be known. */
struct server_conn *server_take(
	struct server_pool *pool, bool surely, const struct server_conn_user *told, void *user);
/* Begins to connect; `told->connected` says what became of it, never from inside this call. Localhost's addresses are tried one
 * after another. */
struct server_conn *server_connect(
	struct server_pool *pool, const struct server_conn_user *told, void *user);
/* Takes a connection back for the next request: at most `idle_ms`. Closes one where there are too many. */
void server_keep(struct server_conn *conn, uint64_t idle_ms);
/* Closes a connection in any state, also one that is being made. `reset`: the server must not take what it got for whole. */
void server_close(struct server_conn *conn, bool reset);
/* What a connection waits for: EV_READ, EV_WRITE, both or 0. */
void server_watch(struct server_conn *conn, int events);

#endif
