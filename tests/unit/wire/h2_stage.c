/* SPDX-License-Identifier: BSD-2-Clause */
/* The wire's side: a loop, a site, handlers. */
#include "h2_stage.h"

#include <stdio.h>

#include "echo.h"

struct h2_stage stage;

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
		exchange_ready(request, world.greeting);
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
	(void)state;
	memset(&stage, 0, sizeof stage);
	one_wire_start(table, 300000, true);
	world.snapshot.core.limits.min_rate = 240;
	return 0;
}

int h2_tear_down(void **state)
{
	(void)state;
	one_wire_stop();
	assert_int_equal(stage.under_way, 0);
	return 0;
}
