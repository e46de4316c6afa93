/* SPDX-License-Identifier: BSD-2-Clause */
/* A thread's connections to backends: those in use, and those kept for the next request. */
#ifndef WEIR_HANDLERS_PROXY_POOL_H
#define WEIR_HANDLERS_PROXY_POOL_H

#include "handlers/proxy/names.h"
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
	bool timed_out;      /* one of the addresses did not answer */
	unsigned left;       /* addresses to try after this one */
	unsigned address;    /* the one that is dialled, of the pool's */
	struct address to;   /* that one, where there are several */
	unsigned generation; /* of the name's addresses, when it was found to be one of them */
	const struct server_conn_user *told; /* NULL: idle */
	void *user;
};

/* Idle connections to one server, the one that was used last in front. */
struct server_pool {
	struct backends *backends;
	const struct upstream *upstream;
	const struct upstream_server *server;
	struct server_name *name; /* NULL: its addresses are written in the configuration */
	struct link idle;
	unsigned count;
	unsigned
		address; /* to be dialled next: the one that could be connected to last; of a name, each in turn */
};

/* Somebody who waits until a name was looked up for the first time. */
struct server_waiter {
	struct link link;
	void (*wake)(struct server_waiter *waiter); /* it waits no more when called */
};

/* One upstream as one thread sees it. */
struct backend {
	struct backend *next;
	struct backends *backends;
	const struct upstream *upstream;
	unsigned turn;              /* round-robin */
	struct link waiting;        /* struct server_waiter */
	unsigned row;               /* of its counters: thread->lines */
	struct server_pool pools[]; /* one a server */
};

struct origin;

/* All of a thread's. */
struct backends {
	struct exchange_thread *thread;
	struct backend *all;
	struct backend **by_scope; /* by struct scope's id; NULL: no proxy there */
	struct names *names;       /* NULL: no server has a name */
	const struct resolver_options *resolver_options;
	struct server_conn *spare_conns;
	struct origin *spare_origins;
};

/* `target_of` names the upstream of a scope, or NULL. `options` (NULL: the system's) live as long as the backends do. */
struct backends *backends_new(struct exchange_thread *thread,
	const struct upstream *(*target_of)(
		const struct snapshot *snapshot, const struct scope *scope),
	const struct resolver_options *options);
/* Closes idle connections and frees. No request may be under way. */
void backends_free(struct backends *backends);

/* Is there no address to connect to, since its name does not resolve? */
bool server_down(const struct server_pool *pool);
/* Will it soon be known whether one of the upstream's servers is down? Then `waiter`, which is in no list, is woken when it is
 * known of one of them. list_remove(&waiter->link) takes it back. False: it does not wait. */
bool backend_await(struct backend *backend, struct server_waiter *waiter);

/* A kept connection, handed to the user, or NULL. `surely`: one whose peer has not closed it as far as can be known. */
struct server_conn *server_take(
	struct server_pool *pool, bool surely, const struct server_conn_user *told, void *user);
/* Begins to connect; `told->connected` says what became of it, never from inside this call. The server is not
 * down. Its addresses are tried one after another, until two have not answered within the timeout. */
struct server_conn *server_connect(
	struct server_pool *pool, const struct server_conn_user *told, void *user);
/* Takes a connection back for the next request: at most `idle_ms`, and a second at most where there are enough. Closes one
 * to an address that the server's name does not have any more. */
void server_keep(struct server_conn *conn, uint64_t idle_ms);
/* Closes a connection in any state, also one that is being made. `reset`: the server must not take what it got for whole. */
void server_close(struct server_conn *conn, bool reset);
/* What a connection waits for: EV_READ, EV_WRITE, both or 0. */
void server_watch(struct server_conn *conn, int events);

#endif
