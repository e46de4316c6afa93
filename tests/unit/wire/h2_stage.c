/* SPDX-License-Identifier: BSD-2-Clause */
/* The wire's side: a loop, a site, handlers. */
#include "h2_stage.h"

#include <stdio.h>

#include "base/counters.h"
#include "echo.h"
#include "io/transport.h"

struct h2_stage stage;

static struct counters counters;
static struct wire_shared shared;
static struct scope_core scope_core;
static struct site site;
static struct ready *greeting;

/* --- Handlers. --- */

static void held_gone(struct request *request)
{
	stage.under_way--;
	if (stage.held == request)
		stage.held = NULL;
}

/* An answer of trailers, and of a body that fails after its first octets. */
struct odd {
	struct source source;
	bool fails;
	struct fields trailers;
};

static enum pull odd_pull(struct source *source, struct chunks *out, size_t room)
{
	struct odd *odd = container_of(source, struct odd, source);
	(void)room;
	chunks_memory(out, NULL, "odd", 3);
	if (odd->fails) {
		odd->fails = false;
		return PULL_MORE;
	}
	if (!odd->trailers.count)
		return PULL_FAILED;
	source->trailers = &odd->trailers;
	return PULL_END;
}

static void odd_cancel(struct source *source)
{
	(void)source;
}

static void respond_oddly(struct request *request, bool fails)
{
	static const struct source_ops ops = {odd_pull, odd_cancel};
	struct odd *odd = arena_zalloc(&request->arena, sizeof *odd);
	odd->source.ops = &ops;
	odd->fails = fails;
	if (!fails)
		fields_add_named(&odd->trailers, &request->arena, SLICE("X-Sum"), SLICE("7"));
	request->response.status = 200;
	request->response.length = LENGTH_UNKNOWN;
	exchange_respond(request, &odd->source);
}

/* 101 to who asks for a tunnel; what is sent in comes out again. */
static void tunnel(struct request *request)
{
	struct source *body = request->body;
	request->body = NULL;
	request->response.status = 101;
	request->response.length = LENGTH_UNKNOWN;
	fields_add_named(&request->response.fields, &request->arena, SLICE("Sec-WebSocket-Accept"),
		SLICE("x"));
	exchange_respond(request, body);
}

static void note(const struct request *request)
{
	struct buffer text = {0};
	for (unsigned i = 0; i < request->fields.count; i++) {
		const struct field *f = &request->fields.list[i];
		buffer_format(&text, "%s%.*s: %.*s", i ? "|" : "", (int)f->name.len, f->name.ptr,
			(int)f->value.len, f->value.ptr);
	}
	snprintf(stage.fields, sizeof stage.fields, "%.*s", (int)text.len, text.ptr);
	buffer_free(&text);
	snprintf(stage.path, sizeof stage.path, "%.*s", (int)request->target.path.len,
		request->target.path.ptr);
	snprintf(stage.host, sizeof stage.host, "%.*s", (int)request->host.len, request->host.ptr);
}

static enum verdict handle(struct request *request)
{
	struct slice path = request->target.path;
	note(request);
	if (slice_equal(path, SLICE("/ready"))) {
		exchange_ready(request, greeting);
	} else if (slice_equal(path, SLICE("/echo")) && request->body) {
		echo(request, 4096);
	} else if (slice_equal(path, SLICE("/hold"))) {
		stage.under_way++;
		stage.held = request;
		exchange_hold(request, held_gone, NULL);
	} else if (slice_starts(path, SLICE("/large"))) {
		static const char octets[600000];
		uint64_t length = 0;
		if (slice_number(slice_from(path, 6), &length) || length > sizeof octets)
			return PASS;
		request->response.status = 200;
		request->response.length = length;
		exchange_respond(request, respond_spans(request, NULL, octets, (size_t)length));
	} else if (slice_equal(path, SLICE("/trailers"))) {
		respond_oddly(request, false);
	} else if (slice_equal(path, SLICE("/fails"))) {
		respond_oddly(request, true);
	} else if (slice_equal(path, SLICE("/tunnel")) && request->upgrade.len) {
		tunnel(request);
	} else {
		return PASS;
	}
	return TAKEN;
}

static void observe(struct request *request)
{
	stage.observed++;
	stage.end = request->end;
	stage.sent = request->sent;
	stage.received = request->received;
}

static const struct handler handler = {.name = "test", .handle = handle, .observe = observe};
static const struct handler *const table[] = {&handler, NULL};

/* --- The thread. --- */

int h2_set_up(void **state)
{
	static struct listener_settings listener_settings;
	static const struct site *sites[] = {&site};
	(void)state;
	memset(&stage, 0, sizeof stage);
	memset(&counters, 0, sizeof counters);
	memset(&shared, 0, sizeof shared);
	stage.piece = 65536;
	struct core_settings *core = &stage.snapshot.core;
	core->limits.connections = 10;
	core->limits.header_size = 4096;
	core->limits.body_size = 300000;
	core->limits.header_timeout = core->limits.body_timeout = 10000;
	core->limits.idle_timeout = core->limits.send_timeout = 10000;
	core->limits.min_rate = 240;
	site = (struct site){
		.name = SLICE("default"), .scope = {.core = &scope_core, .chain = table}};
	site.scope.site = &site;
	listener_settings =
		(struct listener_settings){.sites = sites, .site_count = 1, .fallback = &site};
	assert_int_equal(loop_init(&stage.loop, 0), 0);
	stage.thread.table = table;
	stage.thread.loop = &stage.loop;
	stage.thread.clock = &stage.loop.clock;
	stage.thread.snapshot = &stage.snapshot;
	stage.thread.counters = &counters;
	exchange_thread_prepare(&stage.thread);
	stage.wire = wire_start(&stage.thread, &shared, NULL, NULL);
	struct fields fields = {0};
	struct arena arena;
	arena_init(&arena, NULL, 0);
	fields_add(&fields, &arena, FIELD_CONTENT_TYPE, SLICE("text/plain"));
	fields_add(&fields, &arena, FIELD_CONNECTION, SLICE("x"));
	fields_add_named(&fields, &arena, SLICE("X-Odd-Name"), SLICE("1"));
	greeting = ready_make(200, &fields, 5, "hello", 5);
	arena_reset(&arena);
	stage.listener = &listener_settings;
	return 0;
}

int h2_tear_down(void **state)
{
	(void)state;
	wire_stop(stage.wire);
	loop_done(&stage.loop);
	assert_int_equal(greeting->ref.count, 1);
	ref_put(&greeting->ref);
	assert_int_equal(shared.connections, 0);
	assert_int_equal(stage.under_way, 0);
	assert_int_equal(counter_read(&counters, COUNTER_REQUESTS_OPEN), 0);
	return 0;
}

void h2_turn(void)
{
	ev_run(stage.loop.ev, EVRUN_NOWAIT);
}

/* --- The transport: plain, but at most `piece` octets a call. --- */

static const struct transport_ops *plain_ops;

static ssize_t piece_read(struct transport *t, void *to, size_t size)
{
	return plain_ops->read(t, to, size < stage.piece ? size : stage.piece);
}

static ssize_t piece_write(struct transport *t, const struct iovec *iov, int count, bool more)
{
	if (stage.piece >= 65536)
		return plain_ops->write(t, iov, count, more);
	struct iovec one = {iov->iov_base, iov->iov_len < stage.piece ? iov->iov_len : stage.piece};
	return plain_ops->write(t, &one, 1, more);
}

void h2_accept(int fd)
{
	static struct transport_ops pieces;
	struct listener listener = {.settings = stage.listener};
	struct address peer = {.length = sizeof(sa_family_t), .any = {.sa_family = AF_UNIX}};
	assert_true(wire_accept(&listener, fd, &peer, stage.wire));
	struct conn *c = container_of(stage.wire->conns.prev, struct conn, link);
	if (!plain_ops) {
		plain_ops = c->transport.ops;
		pieces = *plain_ops;
		pieces.read = piece_read;
		pieces.write = piece_write;
	}
	c->transport.ops = &pieces;
}
