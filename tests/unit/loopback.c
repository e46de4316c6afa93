/* SPDX-License-Identifier: BSD-2-Clause */
/* The loopback carrier: what connections are to other carriers, a struct that takes notes is to this one. */
#include "loopback.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "http/route.h"

#define AWAIT_MS 10000

static struct exchange_seen *seen_of(struct request *request)
{
	return container_of(request, struct exchange_seen, request);
}

/* --- The carrier. --- */

static void end(struct exchange_seen *seen)
{
	assert_false(seen->ended);
	seen->ended = true;
}

static void send_head(struct request *request, bool last)
{
	struct exchange_seen *seen = seen_of(request);
	assert_false(seen->head);
	assert_true(request->response.status >= 200 || request->response.status == 101);
	seen->head = true;
	if (last)
		end(seen);
}

static void send_info(struct request *request, unsigned status, const struct fields *fields)
{
	(void)status, (void)fields;
	seen_of(request)->infos++;
}

/* A file that is shorter than its span, or does not stand any more, ends the answer, as on a connection. */
static void take_file(struct exchange_seen *seen, const struct chunk *span)
{
	uint64_t left = span->length;
	off_t offset = span->offset;
	seen->file_spans++;
	seen->aborted = !chunk_stands(span, CHUNK_AT_END);
	while (left && !seen->aborted) {
		buffer_reserve(&seen->body, 65536);
		ssize_t n = pread(span->fd, seen->body.ptr + seen->body.len,
			left < 65536 ? (size_t)left : 65536, offset);
		if (n <= 0) {
			seen->aborted = true;
			return;
		}
		seen->body.len += (size_t)n;
		offset += n;
		left -= (uint64_t)n;
	}
}

static void send_body(
	struct request *request, struct chunks *body, bool last, const struct fields *trailers)
{
	(void)trailers;
	struct exchange_seen *seen = seen_of(request);
	assert_true(seen->head);
	seen->bodies += !chunks_empty(body);
	for (const struct chunk *span = body->first; span; span = span->next) {
		if (span->ptr) {
			buffer_append(&seen->body, span->ptr, span->length);
			continue;
		}
		take_file(seen, span);
		if (seen->quantum)
			seen->room = 0;
	}
	chunks_clear(body);
	if (last && !seen->aborted)
		end(seen);
}

static size_t room(struct request *request)
{
	return seen_of(request)->room;
}

static void send_ready(struct request *request, struct ready *ready, bool head_only)
{
	struct exchange_seen *seen = seen_of(request);
	struct response *response = &request->response;
	assert_false(seen->head);
	seen->head = seen->ready = true;
	for (unsigned i = 0; i < ready->fields.count; i++)
		fields_add_named(&response->fields, &request->arena,
			arena_slice(&request->arena, ready->fields.list[i].name),
			arena_slice(&request->arena, ready->fields.list[i].value));
	if (!head_only)
		buffer_append(&seen->body, ready->block + ready->head_length, ready->body_length);
	end(seen);
}

static void abort_answer(struct request *request)
{
	seen_of(request)->aborted = true;
}

static const struct carrier_ops carrier = {
	.name = "loopback",
	.send_head = send_head,
	.send_info = send_info,
	.send_body = send_body,
	.room = room,
	.send_ready = send_ready,
	.abort = abort_answer,
};

/* --- A thread's world. --- */

static struct snapshot *load_snapshot(
	const struct handler *const *table, const char *yaml, const char *folder)
{
	const struct option_set *rows[2 * HANDLERS_MAX + 1];
	route_option_sets(table, rows);
	struct option_sets sets = {
		.sets = rows, .finish = route_prepare, .context = (void *)(uintptr_t)table};
	struct buffer diagnostics = {NULL, 0, 0};
	struct snapshot *snapshot =
		snapshot_load_text(slice_of(yaml), "test.yaml", folder, &sets, true, &diagnostics);
	if (!snapshot)
		fail_msg("%.*s", (int)diagnostics.len, diagnostics.ptr);
	buffer_free(&diagnostics);
	return snapshot;
}

struct loopback *loopback_start(
	const struct handler *const *table, const char *yaml, const char *folder, bool watching)
{
	struct loopback *l = must_zalloc(sizeof *l);
	l->snapshot = load_snapshot(table, yaml, folder);
	assert_int_equal(loop_init(&l->loop, 0), 0);
	l->listener = l->snapshot->listeners[0];
	l->peer = (struct peer){.listener = &l->listener,
		.address = &l->listener.address,
		.connection = 1,
		.transport = "http"};
	l->thread = (struct exchange_thread){.table = table,
		.loop = &l->loop,
		.clock = &l->loop.clock,
		.snapshot = l->snapshot,
		.counters = &l->counters,
		.disk = disk_start(2)};
	assert_non_null(l->thread.disk);
	if (watching) {
		l->thread.watch = watch_new();
		assert_non_null(l->thread.watch);
		watch_attach(l->thread.watch, &l->loop);
	}
	exchange_thread_prepare(&l->thread);
	for (unsigned i = 0; table[i]; i++)
		if (table[i]->thread_start)
			assert_int_equal(
				table[i]->thread_start(&l->thread, &l->thread.state[i]), 0);
	return l;
}

void loopback_stop(struct loopback *l)
{
	/* what is still on its way from the I/O threads comes in first, so that no memory is lost */
	for (int i = 0; i < 20; i++)
		loopback_turn(l);
	struct disk *disk = l->thread.disk;
	l->thread.disk = NULL; /* as where a worker ends: nothing is handed to it any more */
	for (unsigned i = 0; l->thread.table[i]; i++)
		if (l->thread.table[i]->thread_stop)
			l->thread.table[i]->thread_stop(&l->thread, l->thread.state[i]);
	disk_stop(disk, 5000);
	if (l->thread.watch) {
		watch_detach(l->thread.watch, &l->loop);
		watch_free(l->thread.watch);
	}
	loop_done(&l->loop);
	snapshot_free(l->snapshot);
	chunk_trim();
	free(l);
}

static void turned(struct ev_loop *ev, ev_timer *timer, int events)
{
	(void)ev, (void)timer, (void)events;
}

void loopback_turn(struct loopback *l)
{
	ev_timer limit;
	ev_timer_init(&limit, turned, 0.005, 0.);
	ev_timer_start(l->loop.ev, &limit);
	ev_run(l->loop.ev, EVRUN_ONCE);
	ev_timer_stop(l->loop.ev, &limit);
}

/* --- Requests. --- */

static void read_fields(struct request *request, const char *lines)
{
	while (lines && *lines) {
		const char *line_end = strchr(lines, '\n');
		const char *colon = strchr(lines, ':');
		assert_true(line_end && colon && colon < line_end);
		struct slice name = {lines, (size_t)(colon - lines)};
		struct slice value = {colon + 1, (size_t)(line_end - colon - 1)};
		fields_add_named(&request->fields, &request->arena,
			arena_slice(&request->arena, name),
			arena_slice(&request->arena, slice_trim(value)));
		lines = line_end + 1;
	}
}

struct exchange_seen *loopback_begin(
	struct loopback *l, const char *method, const char *target, const char *fields)
{
	struct exchange_seen *seen = must_zalloc(sizeof *seen);
	struct request *request = &seen->request;
	seen->loopback = l;
	seen->room = 1 << 20;
	seen->quantum = l->quantum;
	watch_drain(l->thread.watch); /* as the loop does before it reads a request */
	clock_update(&l->loop.clock);
	arena_init(&request->arena, NULL, 0);
	request->carrier = &carrier;
	request->thread = &l->thread;
	request->peer = &l->peer;
	request->explanation = l->explanation;
	request->method_name = arena_slice(&request->arena, slice_of(method));
	request->method = method_identify(request->method_name);
	request->target_text = arena_slice(&request->arena, slice_of(target));
	request->major = request->minor = 1;
	request->number = 1;
	request->begun_us = l->loop.clock.monotonic_us;
	request->port = -1;
	read_fields(request, fields);
	unsigned status = target_parse(
		request->target_text, request->method, &request->arena, &request->target);
	const struct field *host = fields_find(&request->fields, FIELD_HOST);
	request->host = SLICE("localhost");
	if (!status && host)
		status = host_parse(host->value, &request->arena, &request->host, &request->port);
	if (status)
		exchange_refuse(request, status);
	else
		exchange_begin(request);
	return seen;
}

static bool is_over(const struct exchange_seen *seen)
{
	return seen->ended || seen->aborted;
}

void loopback_await(struct exchange_seen *seen)
{
	struct loopback *l = seen->loopback;
	uint64_t until = l->loop.clock.monotonic_ms + AWAIT_MS;
	while (!is_over(seen)) {
		if (l->loop.clock.monotonic_ms > until)
			fail_msg("no answer to %s", seen->request.target_text.ptr);
		loopback_turn(l);
		if (seen->quantum && seen->room == 0) {
			seen->room = 1 << 20;
			exchange_room(&seen->request);
		}
	}
	if (!seen->finished)
		exchange_finish(&seen->request);
	seen->finished = true;
}

struct exchange_seen *loopback_ask(
	struct loopback *l, const char *method, const char *target, const char *fields)
{
	struct exchange_seen *seen = loopback_begin(l, method, target, fields);
	loopback_await(seen);
	return seen;
}

void loopback_gone(struct exchange_seen *seen)
{
	exchange_gone(&seen->request, END_CLIENT_GONE);
	exchange_finish(&seen->request);
	seen->finished = true;
}

void loopback_free(struct exchange_seen *seen)
{
	if (!seen->finished) {
		if (seen->request.output != OUTPUT_DONE)
			exchange_gone(&seen->request, END_CLIENT_GONE);
		exchange_finish(&seen->request);
	}
	arena_reset(&seen->request.arena);
	buffer_free(&seen->body);
	free(seen);
}

const char *loopback_field(struct exchange_seen *seen, const char *name)
{
	const struct field *field =
		fields_find_named(&seen->request.response.fields, slice_of(name));
	return field ? arena_slice(&seen->request.arena, field->value).ptr : NULL;
}
