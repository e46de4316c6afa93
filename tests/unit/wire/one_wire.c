/* SPDX-License-Identifier: BSD-2-Clause */
/* A loop, a site, a wire. */
#include "one_wire.h"

#include "http/respond.h"
#include "io/transport.h"

struct one_wire world;

static struct ready *make_greeting(bool odd)
{
	struct fields fields = {0};
	struct arena arena;
	arena_init(&arena, NULL, 0);
	fields_add(&fields, &arena, FIELD_CONTENT_TYPE, SLICE("text/plain"));
	if (odd) {
		fields_add(&fields, &arena, FIELD_CONNECTION, SLICE("x"));
		fields_add_named(&fields, &arena, SLICE("X-Odd-Name"), SLICE("1"));
	}
	struct ready *ready = ready_make(200, &fields, 5, "hello", 5);
	arena_reset(&arena);
	return ready;
}

void one_wire_start(const struct handler *const *table, int64_t body_size, bool odd)
{
	memset(&world, 0, sizeof world);
	struct core_settings *core = &world.snapshot.core;
	core->limits.connections = 10;
	core->limits.header_size = 4096;
	core->limits.body_size = body_size;
	core->limits.header_timeout = core->limits.body_timeout = 10000;
	core->limits.idle_timeout = core->limits.send_timeout = 10000;
	world.site = (struct site){
		.name = SLICE("default"), .scope = {.core = &world.core, .chain = table}};
	world.site.scope.site = &world.site;
	world.sites[0] = &world.site;
	world.listener = (struct listener_settings){
		.sites = world.sites, .site_count = 1, .fallback = &world.site};
	assert_int_equal(loop_init(&world.loop, 0), 0);
	world.thread.table = table;
	world.thread.loop = &world.loop;
	world.thread.clock = &world.loop.clock;
	world.thread.snapshot = &world.snapshot;
	world.thread.counters = &world.counters;
	exchange_thread_prepare(&world.thread);
	world.wire = wire_start(&world.thread, &world.shared, NULL, NULL);
	world.greeting = make_greeting(odd);
	world.piece = 65536;
}

void one_wire_stop(void)
{
	wire_stop(world.wire);
	loop_done(&world.loop);
	assert_int_equal(world.greeting->ref.count, 1);
	ref_put(&world.greeting->ref);
	assert_int_equal(world.shared.connections, 0);
	assert_int_equal(counter_read(&world.counters, COUNTER_REQUESTS_OPEN), 0);
}

void one_wire_turn(void)
{
	ev_run(world.loop.ev, EVRUN_NOWAIT);
}

struct conn *one_wire_newest(void)
{
	return container_of(world.wire->conns.prev, struct conn, link);
}

/* --- The transport: plain, but at most `piece` octets a call. --- */

static const struct transport_ops *plain_ops;

static ssize_t piece_read(struct transport *t, void *to, size_t size)
{
	if (world.arriving)
		world.arriving();
	return plain_ops->read(t, to, size < world.piece ? size : world.piece);
}

static ssize_t piece_write(struct transport *t, const struct iovec *iov, int count, bool more)
{
	if (world.piece >= 65536)
		return plain_ops->write(t, iov, count, more);
	struct iovec part = {
		iov->iov_base, iov->iov_len < world.piece ? iov->iov_len : world.piece};
	return plain_ops->write(t, &part, 1, more);
}

void one_wire_accept(int fd)
{
	static struct transport_ops pieces;
	struct listener listener = {.settings = &world.listener};
	struct address peer = {.length = sizeof(sa_family_t), .any = {.sa_family = AF_UNIX}};
	assert_true(wire_accept(&listener, fd, &peer, world.wire));
	struct conn *c = one_wire_newest();
	if (!plain_ops) {
		plain_ops = c->transport.ops;
		pieces = *plain_ops;
		pieces.read = piece_read;
		pieces.write = piece_write;
	}
	c->transport.ops = &pieces;
}
