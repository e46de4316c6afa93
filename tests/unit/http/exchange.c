/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a request, seen from a carrier that only takes notes (DESIGN 5: handler, body source, stage, reroute, observer). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/counters.h"
#include "http/exchange.h"
#include "http/respond.h"
#include "http/stage.h"

/* --- The carrier. --- */

static struct {
	unsigned heads, aborts, infos;
	bool end;
	size_t room;
	struct buffer body;
} seen;

static void note_head(struct request *request, bool end)
{
	(void)request;
	seen.heads++;
	seen.end = end;
}

static void note_info(struct request *request, unsigned status, const struct fields *fields)
{
	(void)request;
	(void)fields;
	seen.infos = status;
}

static void note_body(
	struct request *request, struct chunks *body, bool end, const struct fields *trailers)
{
	(void)request;
	(void)trailers;
	while (body->first) {
		buffer_append(&seen.body, body->first->ptr, body->first->length);
		seen.room -= body->first->length < seen.room ? body->first->length : seen.room;
		chunks_consume(body, body->first->length);
	}
	seen.end = end;
}

static size_t note_room(struct request *request)
{
	(void)request;
	return seen.room;
}

static void note_abort(struct request *request)
{
	(void)request;
	seen.aborts++;
}

static const struct carrier_ops notes = {
	.name = "notes",
	.send_head = note_head,
	.send_info = note_info,
	.send_body = note_body,
	.room = note_room,
	.abort = note_abort,
};

/* --- A source that does what the test says: each call gives the next step. --- */

struct step {
	enum pull verdict;
	const char *bytes;
};

static struct {
	struct source source;
	const struct step *steps;
	unsigned pulls, cancels;
} script;

static enum pull script_pull(struct source *source, struct chunks *out, size_t room)
{
	(void)source;
	const struct step *step = &script.steps[script.pulls++];
	assert_true(strlen(step->bytes) <= room);
	chunks_memory(out, NULL, step->bytes, strlen(step->bytes));
	return step->verdict;
}

static void script_cancel(struct source *source)
{
	(void)source;
	script.cancels++;
}

static const struct source_ops script_ops = {script_pull, script_cancel};

/* --- Handlers. --- */

static const struct step *script_next;
static uint64_t script_length;
static unsigned gone, observed, asked;

static void answer_script(struct request *request)
{
	script.source = (struct source){.ops = &script_ops};
	script.steps = script_next;
	script.pulls = script.cancels = 0;
	request->response.status = 200;
	request->response.length = script_length;
	exchange_respond(request, &script.source);
}

static void note_gone(struct request *request)
{
	(void)request;
	gone++;
}

static enum verdict first_handle(struct request *request)
{
	asked++;
	struct slice path = request->target.path;
	if (slice_equal(path, SLICE("/file"))) {
		request->x.allow |= 1u << METHOD_GET | 1u << METHOD_HEAD;
		if (request->method != METHOD_GET && request->method != METHOD_HEAD)
			return PASS;
		answer_script(request);
		return TAKEN;
	}
	if (slice_equal(path, SLICE("/later"))) {
		exchange_hold(request, note_gone, &script);
		return TAKEN;
	}
	if (slice_equal(path, SLICE("/loop"))) {
		exchange_reroute(request, SLICE("/loop?again"), 0, "a test");
		return TAKEN;
	}
	if (slice_equal(path, SLICE("/errors/404.html"))) {
		answer_script(request);
		return TAKEN;
	}
	return PASS;
}

static void note_end(struct request *request)
{
	(void)request;
	observed++;
}

/* --- A stage that doubles each octet, and one that puts brackets around the whole. --- */

static bool doubling, bracketing;
static unsigned stage_cancels;

static void stage_cancel(struct stage *stage)
{
	(void)stage;
	stage_cancels++;
}

static int double_push(
	struct stage *stage, enum stage_event event, struct chunks *in, struct chunks *out)
{
	(void)stage;
	(void)event;
	for (const struct chunk *c = in->first; c; c = c->next)
		for (uint64_t i = 0; i < c->length; i++) {
			chunks_copy(out, c->ptr + i, 1);
			chunks_copy(out, c->ptr + i, 1);
		}
	return 0;
}

static struct stage *begin(struct request *request, bool wanted)
{
	if (!wanted)
		return NULL;
	request->response.length = LENGTH_UNKNOWN;
	return arena_zalloc(&request->arena, sizeof(struct stage));
}

static struct stage *double_begin(struct request *request)
{
	return begin(request, doubling);
}

static int bracket_push(
	struct stage *stage, enum stage_event event, struct chunks *in, struct chunks *out)
{
	(void)stage;
	chunks_move(out, in);
	if (event == STAGE_END)
		chunks_copy(out, "]", 1);
	return 0;
}

static struct stage *bracket_begin(struct request *request)
{
	return begin(request, bracketing);
}

static const struct stage_ops double_stage = {
	"double", STAGE_STORE, double_begin, double_push, stage_cancel};
static const struct stage_ops bracket_stage = {
	"bracket", STAGE_ENCODE, bracket_begin, bracket_push, stage_cancel};

/* the table names the later rank first: the rank decides, not the table */
static const struct handler bracket_handler = {.name = "bracket", .stage = &bracket_stage};
static const struct handler first_handler = {
	.name = "first", .handle = first_handle, .observe = note_end};
static const struct handler double_handler = {.name = "double", .stage = &double_stage};
static const struct handler *const table[] = {
	&bracket_handler, &first_handler, &double_handler, NULL};
static const struct handler *const chain[] = {&first_handler, NULL};

/* --- One request. --- */

static struct clock wall_clock;
static struct counters counters;
static struct snapshot snapshot;
static struct exchange_thread thread;
static struct error_page pages[] = {{404, 404, {"/errors/404.html", 16}}};
static struct scope_core scope_core;
static struct site site;
static const struct site *sites[] = {&site};
static struct listener_settings listener;
static struct peer peer;
static struct request request;

static void ask(enum method method, const char *name, const char *path)
{
	memset(&request, 0, sizeof request);
	arena_init(&request.arena, NULL, 0);
	request.carrier = &notes;
	request.thread = &thread;
	request.peer = &peer;
	request.method = method;
	request.method_name = slice_of(name);
	request.target.path = slice_of(path);
	request.host = SLICE("example.com");
	request.minor = 1;
	exchange_begin(&request);
}

static void finish(void)
{
	exchange_finish(&request);
	arena_reset(&request.arena);
}

static const struct step whole[] = {{PULL_END, "body"}};

static int set_up(void **state)
{
	(void)state;
	site = (struct site){
		.name = SLICE("default"), .scope = {.core = &scope_core, .chain = chain}};
	site.scope.site = &site;
	listener = (struct listener_settings){.sites = sites, .site_count = 1, .fallback = &site};
	peer = (struct peer){.listener = &listener};
	scope_core = (struct scope_core){0};
	memset(&thread, 0, sizeof thread);
	thread.table = table;
	thread.clock = &wall_clock;
	thread.counters = &counters;
	thread.snapshot = &snapshot;
	exchange_thread_prepare(&thread);
	buffer_free(&seen.body);
	memset(&seen, 0, sizeof seen);
	seen.room = 1000000;
	script_next = whole;
	script_length = 4;
	gone = observed = asked = stage_cancels = 0;
	doubling = bracketing = false;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	buffer_free(&seen.body);
	return 0;
}

static void expect_body(const char *text)
{
	assert_int_equal(seen.body.len, strlen(text));
	assert_memory_equal(seen.body.ptr, text, strlen(text));
	assert_true(seen.end);
}

static const char *field(enum field_id id)
{
	const struct field *f = fields_find(&request.response.fields, id);
	return f ? arena_slice(&request.arena, f->value).ptr : NULL;
}

static void answers_404_where_every_handler_passes(void **state)
{
	(void)state; /* DESIGN 3 */
	ask(METHOD_GET, "GET", "/nothing");
	assert_int_equal(request.response.status, 404);
	assert_int_equal(seen.heads, 1);
	assert_true(seen.body.len > 0 && seen.end);
	assert_int_equal(seen.body.len, request.response.length);
	finish();
	assert_int_equal(observed, 1);
}

static void answers_405_with_allow_for_what_exists(void **state)
{
	(void)state; /* RFC 9110, 15.5.6 and 9.3.7 */
	ask(METHOD_DELETE, "DELETE", "/file");
	assert_int_equal(request.response.status, 405);
	assert_string_equal(field(FIELD_ALLOW), "GET, HEAD, OPTIONS");
	finish();
	ask(METHOD_OPTIONS, "OPTIONS", "/file");
	assert_int_equal(request.response.status, 204);
	assert_string_equal(field(FIELD_ALLOW), "GET, HEAD, OPTIONS");
	finish();
	ask(METHOD_TRACE, "TRACE", "/file");
	assert_int_equal(request.response.status, 405);
	finish();
}

static void answers_421_for_a_host_that_no_site_has(void **state)
{
	(void)state; /* DESIGN 2; RFC 9110, 15.5.20 */
	struct slice hosts[] = {SLICE("other.example")};
	site.hosts = hosts;
	site.host_count = 1;
	listener.fallback = NULL;
	ask(METHOD_GET, "GET", "/file");
	assert_int_equal(request.response.status, 421);
	assert_int_equal(asked, 0);
	finish();
	hosts[0] = SLICE("*.com");
	ask(METHOD_GET, "GET", "/file");
	assert_int_equal(request.response.status, 200);
	finish();
}

static void sends_no_body_to_head(void **state)
{
	(void)state; /* RFC 9110, 9.3.2 */
	ask(METHOD_HEAD, "HEAD", "/file");
	assert_true(seen.end);
	assert_int_equal(request.response.length, 4);
	assert_int_equal(script.pulls, 0);
	assert_int_equal(script.cancels, 1);
	finish();
}

static void pulls_only_when_there_is_room(void **state)
{
	(void)state; /* DESIGN 5, Body source */
	static const struct step steps[] = {
		{PULL_MORE, "one "}, {PULL_PAUSED, ""}, {PULL_MORE, "two "}, {PULL_END, "three"}};
	script_next = steps;
	script_length = 13;
	seen.room = 4;
	ask(METHOD_GET, "GET", "/file");
	assert_int_equal(script.pulls, 1);
	seen.room = 4;
	exchange_room(&request);
	assert_int_equal(script.pulls, 2);
	exchange_room(&request); /* paused: it will say when */
	assert_int_equal(script.pulls, 2);
	source_wake(&script.source);
	assert_int_equal(script.pulls, 3);
	assert_int_equal(script.cancels, 0);
	seen.room = 100;
	exchange_room(&request);
	expect_body("one two three");
	assert_int_equal(script.cancels, 1);
	finish();
}

static void never_completes_what_failed_or_is_not_what_was_announced(void **state)
{
	(void)state; /* DESIGN 5: FAILED is never turned into END */
	static const struct step failing[] = {{PULL_MORE, "ab"}, {PULL_FAILED, ""}};
	static const struct step short_of[] = {{PULL_MORE, "ab"}, {PULL_END, "c"}};
	static const struct step too_long[] = {{PULL_MORE, "ab"}, {PULL_MORE, "cde"}};
	static const struct step *const broken[] = {failing, short_of, too_long};
	for (size_t i = 0; i < COUNT_OF(broken); i++) {
		seen.aborts = 0;
		seen.end = false;
		script_next = broken[i];
		ask(METHOD_GET, "GET", "/file");
		assert_int_equal(seen.aborts, 1);
		assert_false(seen.end);
		assert_int_equal(script.cancels, 1);
		assert_int_equal(request.end, END_INTERNAL);
		finish();
	}
}

static void answers_an_error_with_the_sites_page_and_keeps_the_status(void **state)
{
	(void)state; /* DESIGN 2, errors; DESIGN 5, Reroute */
	scope_core.errors = pages;
	scope_core.error_count = 1;
	ask(METHOD_POST, "POST", "/nothing");
	assert_int_equal(request.response.status, 404);
	expect_body("body");
	finish();
	/* an error page that is not there: the built-in one, with the first status */
	struct error_page missing = {404, 404, {"/errors/none.html", 17}};
	scope_core.errors = &missing;
	ask(METHOD_GET, "GET", "/nothing");
	assert_int_equal(request.response.status, 404);
	finish();
}

static void ends_reroutes_after_ten(void **state)
{
	(void)state; /* DESIGN 5, Reroute: at most 10 times */
	ask(METHOD_GET, "GET", "/loop");
	assert_int_equal(request.response.status, 500);
	assert_int_equal(asked, 11);
	finish();
}

static void tells_the_handler_once_that_the_client_is_gone(void **state)
{
	(void)state;
	ask(METHOD_GET, "GET", "/later");
	exchange_gone(&request, END_CLIENT_GONE);
	assert_int_equal(gone, 1);
	finish();
	assert_int_equal(observed, 1);
	assert_int_equal(request.end, END_CLIENT_GONE);
	ask(METHOD_GET, "GET", "/later");
	exchange_pass(&request); /* later it has no answer: the chain goes on */
	assert_int_equal(request.response.status, 404);
	exchange_gone(&request, END_CLIENT_GONE);
	assert_int_equal(gone, 1);
	finish();
}

static void runs_stages_by_rank_and_ends_each_once(void **state)
{
	(void)state; /* DESIGN 5, Stage: STORE before ENCODE */
	static const struct step steps[] = {{PULL_MORE, "ab"}, {PULL_END, "c"}};
	script_next = steps;
	script_length = 3;
	doubling = bracketing = true;
	ask(METHOD_GET, "GET", "/file");
	expect_body("aabbcc]");
	assert_int_equal(stage_cancels, 2);
	finish();
	assert_int_equal(stage_cancels, 2);
}

static void sets_and_removes_the_sites_fields(void **state)
{
	(void)state; /* DESIGN 2, headers */
	static struct {
		struct slice name, value;
	} set[] = {{{"X-Frame-Options", 15}, {"DENY", 4}}};
	static struct slice removed[] = {{"content-type", 12}};
	scope_core.headers.set = (void *)set;
	scope_core.headers.set_count = 1;
	scope_core.headers.remove = removed;
	scope_core.headers.remove_count = 1;
	ask(METHOD_GET, "GET", "/nothing");
	assert_null(field(FIELD_CONTENT_TYPE));
	const struct field *f =
		fields_find_named(&request.response.fields, SLICE("x-frame-options"));
	assert_non_null(f);
	assert_true(slice_equal(f->value, SLICE("DENY")));
	finish();
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(answers_404_where_every_handler_passes),
		CASE(answers_405_with_allow_for_what_exists),
		CASE(answers_421_for_a_host_that_no_site_has),
		CASE(sends_no_body_to_head),
		CASE(pulls_only_when_there_is_room),
		CASE(never_completes_what_failed_or_is_not_what_was_announced),
		CASE(answers_an_error_with_the_sites_page_and_keeps_the_status),
		CASE(ends_reroutes_after_ten),
		CASE(tells_the_handler_once_that_the_client_is_gone),
		CASE(runs_stages_by_rank_and_ends_each_once),
		CASE(sets_and_removes_the_sites_fields),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
