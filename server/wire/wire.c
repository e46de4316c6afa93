/* SPDX-License-Identifier: BSD-2-Clause */
/* All connections of one loop thread: their memory, their number, their end. */
#include "wire/wire.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/counters.h"
#include "http/carrier.h"
#include "wire/h1.h"
#include "wire/h2_stream.h"
#include "wire/wire_priv.h"

#define SLAB_CONNS   64
#define SCAN_MOST    1024 /* connections that are looked at for one that is idle */
#define IDLE_LONG_MS 5000

/* Connections come in slabs, without an allocator's own bytes between them. */
struct conn_slab {
	struct conn_slab *next;
	struct conn conns[SLAB_CONNS];
};

static struct conn *conn_take(struct wire *wire)
{
	if (!wire->free_conns) {
		struct conn_slab *slab = must_zalloc(sizeof *slab);
		slab->next = wire->slabs;
		wire->slabs = slab;
		for (unsigned i = SLAB_CONNS; i-- > 0;)
			wire_recycle(wire, &slab->conns[i]);
	}
	struct conn *c = wire->free_conns;
	wire->free_conns = c->state;
	memset(c, 0, sizeof *c);
	c->wire = wire;
	return c;
}

void wire_recycle(struct wire *wire, struct conn *c)
{
	c->state = wire->free_conns;
	wire->free_conns = c;
}

void wire_peer(const struct conn *c, struct peer *peer, struct address *address)
{
	const struct tls_facts *tls = conn_tls(c);
	*peer = (struct peer){.address = address,
		.listener = c->listener,
		.connection = c->number,
		.scheme = c->listener->scheme,
		.transport = tls ? tls->version : "http"};
	if (tls) {
		peer->tls = tls->rules;
		peer->tls_newest = tls->newest;
		peer->client_certificate = tls->certificate;
		peer->client_subject = tls->subject;
	}
	memcpy(&address->v6, &c->peer, sizeof c->peer);
	address->length = c->peer.sin6_family == AF_INET6  ? sizeof(struct sockaddr_in6)
			  : c->peer.sin6_family == AF_INET ? sizeof(struct sockaddr_in)
							   : sizeof(sa_family_t);
}

static void keep_peer(struct conn *c, const struct address *peer)
{
	if (peer->any.sa_family == AF_INET || peer->any.sa_family == AF_INET6)
		memcpy(&c->peer, &peer->any,
			peer->any.sa_family == AF_INET ? sizeof peer->v4 : sizeof peer->v6);
	else
		c->peer.sin6_family = AF_UNIX;
}

/* At the limit a connection that has been idle for some time makes room for a new one. Those that are in use go to the end of the list, so that
 * the next look is at others. True: there is room. */
static bool make_room(struct wire *wire)
{
	unsigned most = wire->open < SCAN_MOST ? wire->open : SCAN_MOST;
	for (unsigned looked = 0; looked < most; looked++) {
		struct conn *c = container_of(wire->conns.next, struct conn, link);
		uint32_t idle = (uint32_t)wire->loop->clock.monotonic_ms - c->idle_since;
		if (c->wait == CONN_WAIT_IDLE && idle >= IDLE_LONG_MS) {
			conn_cut(c, END_SHUTDOWN);
			return true;
		}
		list_remove(&c->link);
		list_append(&wire->conns, &c->link);
	}
	return false;
}

static bool open_transport(struct wire *wire, struct conn *c, struct listener *listener, int fd)
{
	if (listener->settings->scheme != SCHEME_HTTPS) {
		c->protocol = &h1_protocol;
		plain_init(&c->transport, fd, listener->paced);
		return true;
	}
	c->protocol = &handshake_protocol;
	if (tls_init(&c->transport, fd, listener->paced, wire->thread->tls, listener->settings) ==
		0)
		return true;
	log_at(NULL, LOG_LEVEL_ERROR, LOG_TLS, "a TLS connection cannot be begun");
	return false;
}

static uint64_t next_number(struct wire *wire)
{
	return 1 + atomic_fetch_add_explicit(&wire->shared->numbers, 1, memory_order_relaxed);
}

/* The line of the log that a connection has which there is no memory for. */
static void note_refusal(
	struct wire *wire, const struct listener *listener, const struct address *address)
{
	struct peer peer = {.address = address,
		.listener = listener->settings,
		.connection = next_number(wire),
		.scheme = listener->settings->scheme,
		.transport = "http"};
	struct request request = {.thread = wire->thread,
		.peer = &peer,
		.minor = 1,
		.number = 1,
		.port = -1,
		.begun_us = wire->loop->clock.monotonic_us};
	exchange_unread(&request, 503, END_CONNECTIONS);
}

/* Who is told that there are too many must be able to read it. */
static void refuse(
	struct wire *wire, const struct listener *listener, int fd, const struct address *address)
{
	static const char full[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
				   "Retry-After: 1\r\nConnection: close\r\n\r\n";
	if (listener->settings->scheme == SCHEME_HTTP) {
		ssize_t sent = send(fd, full, sizeof full - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		(void)sent; /* a courtesy */
		note_refusal(wire, listener, address);
	}
	close(fd);
}

bool wire_accept(struct listener *listener, int fd, const struct address *peer, void *context)
{
	struct wire *wire = context;
	const struct core_settings *core = &wire->thread->snapshot->core;
	int64_t open =
		atomic_fetch_add_explicit(&wire->shared->connections, 1, memory_order_relaxed);
	if (open >= core->limits.connections && !make_room(wire)) {
		atomic_fetch_sub_explicit(&wire->shared->connections, 1, memory_order_relaxed);
		refuse(wire, listener, fd, peer);
		log_at(NULL, LOG_LEVEL_WARN, LOG_ACCEPT, "the limit of %lld connections is reached",
			(long long)core->limits.connections);
		return false;
	}
	struct conn *c = conn_take(wire);
	if (!open_transport(wire, c, listener, fd)) {
		wire_recycle(wire, c);
		atomic_fetch_sub_explicit(&wire->shared->connections, 1, memory_order_relaxed);
		close(fd);
		return false;
	}
	c->listener = listener->settings;
	c->number = next_number(wire);
	keep_peer(c, peer);
	list_append(&wire->conns, &c->link);
	wire->open++;
	counter_add(wire->thread->counters, COUNTER_CONNECTIONS, 1);
	counter_add(wire->thread->counters, COUNTER_OPEN, 1);
	conn_start(c);
	return true;
}

static void tell_empty(struct wire *wire)
{
	if (wire->open == 0 && wire->thread->draining && !wire->stopping && wire->empty)
		wire->empty(wire->context);
}

void wire_closed(struct wire *wire, struct conn *c)
{
	list_remove(&c->link);
	wire->open--;
	counter_add(wire->thread->counters, COUNTER_OPEN, -1);
	atomic_fetch_sub_explicit(&wire->shared->connections, 1, memory_order_relaxed);
	tell_empty(wire);
}

struct wire *wire_start(struct exchange_thread *thread, struct wire_shared *shared,
	void (*empty)(void *context), void *context)
{
	struct wire *wire = must_zalloc(sizeof *wire);
	wire->thread = thread;
	wire->loop = thread->loop;
	wire->loop->on_room = conn_has_room;
	wire->shared = shared;
	wire->empty = empty;
	wire->context = context;
	list_init(&wire->conns);
	return wire;
}

void wire_drain(struct wire *wire)
{
	wire->thread->draining = true;
	list_each (link, &wire->conns) {
		struct conn *c = container_of(link, struct conn, link);
		c->idle_since = (uint32_t)wire->loop->clock.monotonic_ms;
		if (c->protocol->drain)
			c->protocol->drain(c);
		else if (c->wait == CONN_WAIT_IDLE)
			deadline_set(wire->loop, &c->deadline, CONN_LINGER_MS);
	}
	tell_empty(wire);
}

unsigned wire_open(const struct wire *wire)
{
	return wire->open;
}

void wire_stop(struct wire *wire)
{
	wire->stopping = true;
	list_each_safe (link, &wire->conns)
		conn_cut(container_of(link, struct conn, link), END_SHUTDOWN);
	h1_streams_drop(wire);
	h2_streams_drop(wire);
	while (wire->slabs) {
		struct conn_slab *slab = wire->slabs;
		wire->slabs = slab->next;
		for (unsigned i = 0; i < SLAB_CONNS; i++)
			loop_forget(&slab->conns[i].task);
		free(slab);
	}
	free(wire);
}
