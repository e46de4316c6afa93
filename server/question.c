/* SPDX-License-Identifier: BSD-2-Clause */
/* Asks a configuration: the chain that serves is run on a carrier that sends nothing, with an explanation for it to write to. */
#include "question.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/counters.h"
#include "command.h"
#include "http/exchange.h"
#include "http/explain.h"
#include "io/disk.h"
#include "io/loop.h"
#include "io/tls.h"
#include "io/tls_load.h"
#include "process/magic.h"
#include "process/privilege.h"
#include "process/worker.h"
#include "question_priv.h"
#include "wire/h1.h"

/* One question on its way through a world of its own. */
struct asking {
	struct h1_stream stream; /* the request, as if it had come on a connection */
	struct explanation explanation;
	struct loop loop;
	struct counters counters;
	struct exchange_thread thread;
	struct tls_store *store; /* NULL: no site listens for https */
	bool answered;
};

static struct asking *asking_of(struct request *request)
{
	return container_of(request, struct asking, stream.request);
}

/* --- The carrier: the head is the answer. --- */

static void send_head(struct request *request, bool end)
{
	(void)end;
	asking_of(request)->answered = true;
}

static void send_info(struct request *request, unsigned status, const struct fields *fields)
{
	(void)request, (void)status, (void)fields;
}

static void send_body(
	struct request *request, struct chunks *body, bool end, const struct fields *trailers)
{
	(void)request, (void)end, (void)trailers;
	chunks_clear(body);
}

static size_t room(struct request *request)
{
	(void)request;
	return 0;
}

static void abort_answer(struct request *request)
{
	asking_of(request)->answered = true;
}

static const struct carrier_ops carrier = {
	.name = "explain",
	.send_head = send_head,
	.send_info = send_info,
	.send_body = send_body,
	.room = room,
	.abort = abort_answer,
};

/* --- The request. --- */

static void tell_refusal(struct asking *a, const struct asked *asked, unsigned status)
{
	struct request *r = &a->stream.request;
	struct explanation *e = &a->explanation;
	struct target target;
	explain_group(e, "refused");
	explain_number(e, "status", status);
	if (status == 400 && target_parse(asked->target, r->method, &r->arena, &target))
		explain_text(e, "why",
			SLICE("the path is malformed, leads above the root, or can be read in two "
			      "ways"));
	else
		explain_text(e, "why", slice_of(status_reason(status)));
	explain_close(e);
}

/* Without the port, which nobody knows, and without the brackets that set it off. */
static void tell_from(struct explanation *e, const struct address *address)
{
	char text[128];
	struct slice from = {text, address_text(address, text)};
	from.len = (size_t)((const char *)memrchr(from.ptr, ':', from.len) - from.ptr);
	if (from.ptr[0] == '[')
		from = (struct slice){from.ptr + 1, from.len - 2};
	explain_text(e, "from", from);
}

/* Reads the head as a connection does, and tells how it is understood. 0, or the status that it is refused with. */
static unsigned read_request(
	struct asking *a, const struct question *question, const struct asked *asked)
{
	struct request *r = &a->stream.request;
	struct explanation *e = &a->explanation;
	size_t limit = (size_t)a->thread.snapshot->core.limits.header_size;
	unsigned status = asked->head.len > limit
				  ? 431
				  : h1_read_head(&a->stream, asked->head.ptr, asked->head.len);
	explain_group(e, "request");
	explain_text(e, "method", slice_of(question->method));
	explain_text(e, "url", slice_of(question->url));
	if (r->host.len)
		explain_text(e, "host", r->host);
	if (!status) {
		explain_text(e, "path", r->target.path);
		if (r->target.query.ptr)
			explain_text(e, "query", r->target.query);
	}
	tell_from(e, &asked->from);
	if (status)
		tell_refusal(a, asked, status);
	explain_close(e);
	return status;
}

/* --- The world. --- */

static int stop(struct asking *a, unsigned handlers)
{
	struct disk *disk = a->thread.disk;
	a->thread.disk = NULL; /* nothing is handed to it any more */
	while (handlers-- > 0)
		if (a->thread.table[handlers]->thread_stop)
			a->thread.table[handlers]->thread_stop(
				&a->thread, a->thread.state[handlers]);
	if (disk)
		disk_stop(disk, 10000);
	magic_sniffer_free(a->thread.sniffer);
	loop_done(&a->loop);
	return -1;
}

static unsigned handler_count(const struct program *program)
{
	unsigned count = 0;
	while (program->table[count])
		count++;
	return count;
}

/* What process/thread.c makes for a thread that serves, without watches: nothing is kept for a second request. 0 or -1. */
static int start(struct asking *a, const struct program *program, const struct snapshot *snapshot)
{
	if (loop_init(&a->loop, 0)) {
		perror("weir: an event loop");
		return -1;
	}
	a->thread = (struct exchange_thread){.table = program->table,
		.loop = &a->loop,
		.clock = &a->loop.clock,
		.snapshot = snapshot,
		.counters = &a->counters,
		.disk = disk_start(1),
		.sniffer = magic_sniffer(),
		.threads = 1,
		.quiet = true};
	if (!a->thread.disk) {
		perror("weir: a thread");
		return stop(a, 0);
	}
	exchange_thread_prepare(&a->thread);
	for (unsigned i = 0; program->table[i]; i++)
		if (program->table[i]->thread_start &&
			program->table[i]->thread_start(&a->thread, &a->thread.state[i]))
			return stop(a, i);
	return 0;
}

/* --- The answer. --- */

/* The handler of the last step that did not pass; NULL: none. */
static const struct explain_entry *answering(const struct explanation *e)
{
	const struct explain_entry *steps = explain_find(&e->root, "steps");
	const struct explain_entry *handlers = steps ? explain_find(steps->last, "handlers") : NULL;
	const struct explain_entry *last = handlers ? handlers->last : NULL;
	return slice_equal(explain_told(last, "verdict"), SLICE("passes")) ? NULL : last;
}

/* What was told before is told again where scripts look for it. */
static void tell_again(struct explanation *e, const struct explain_entry *handler, const char *name)
{
	if (explain_told(handler, name).len)
		explain_text(e, name, explain_told(handler, name));
}

static void tell_answer(struct asking *a)
{
	const struct request *r = &a->stream.request;
	struct explanation *e = &a->explanation;
	const struct explain_entry *handler = answering(e);
	const char *by = r->handled_by ? r->handled_by : "";
	explain_enter(e, &e->root);
	explain_group(e, "answer");
	if (!e->elsewhere) {
		explain_number(e, "status", r->response.status);
	} else if (r->x.status) {
		explain_number(e, "status", r->x.status);
		explain_text(e, "why", SLICE("an error page keeps it, whatever the backend says"));
	} else {
		explain_nothing(e, "status");
		explain_text(e, "why", SLICE("the backend decides, which is not asked"));
	}
	if (by[0])
		explain_text(e, "handler", slice_of(by));
	else
		explain_nothing(e, "handler");
	if (!explain_find(handler, "page")) {
		tell_again(e, handler, "file");
		tell_again(e, handler, "variant");
	}
	if (e->elsewhere) {
		tell_again(e, handler, "upstream");
	} else {
		tell_again(e, handler, "location");
		if (r->response.length != LENGTH_UNKNOWN)
			explain_number(e, "length", r->response.length);
		explain_list(e, "fields");
		for (unsigned i = 0; i < r->response.fields.count; i++) {
			const struct field *field = &r->response.fields.list[i];
			explain_format(e, NULL, "%.*s: %.*s", (int)field->name.len, field->name.ptr,
				(int)field->value.len, field->value.ptr);
		}
		explain_close(e);
	}
	explain_close(e);
}

/* The last line. */
static void tell_outcome(struct asking *a)
{
	const struct request *r = &a->stream.request;
	struct explanation *e = &a->explanation;
	const struct explain_entry *answer = explain_find(&e->root, "answer");
	struct slice file = explain_told(answer, "file"), variant = explain_told(answer, "variant");
	struct slice upstream = explain_told(answer, "upstream");
	struct slice handler = explain_told(answer, "handler");
	struct slice location = explain_told(answer, "location");
	unsigned status = r->response.status;
	if (e->elsewhere && !r->x.status) {
		explain_format(
			e, "outcome", "the upstream %.*s answers", (int)upstream.len, upstream.ptr);
		return;
	}
	if (e->elsewhere) {
		explain_format(e, "outcome", "%u %s: with a page of the upstream %.*s", r->x.status,
			status_reason(r->x.status), (int)upstream.len, upstream.ptr);
		return;
	}
	struct buffer text = {NULL, 0, 0};
	buffer_format(&text, "%u %s", status, status_reason(status));
	if (file.len)
		buffer_format(&text, ": %.*s%s%.*s", (int)file.len, file.ptr,
			variant.len ? ", its variant " : "", (int)variant.len, variant.ptr);
	else if (location.len)
		buffer_format(&text, ": to %.*s", (int)location.len, location.ptr);
	else if (handler.len)
		buffer_format(&text, " by %.*s", (int)handler.len, handler.ptr);
	explain_text(e, "outcome", (struct slice){text.ptr, text.len});
	buffer_free(&text);
}

/* --- All of it. --- */

static void run(struct asking *a, const struct question *question, const struct asked *asked)
{
	struct h1_stream *s = &a->stream;
	struct request *r = &s->request;
	arena_init(&r->arena, s->memory, sizeof s->memory);
	s->address = asked->from;
	s->peer = (struct peer){.address = &s->address,
		.tls_newest = true,
		.connection = 1,
		.scheme = asked->scheme,
		.transport = "explain"};
	r->carrier = &carrier;
	r->thread = &a->thread;
	r->peer = &s->peer;
	r->explanation = &a->explanation;
	r->number = 1;
	r->port = -1;
	clock_update(&a->loop.clock);
	r->begun_us = a->loop.clock.monotonic_us;
	unsigned status = read_request(a, question, asked);
	if (status) {
		exchange_refuse(r, status);
	} else {
		s->peer.listener = question_listener(
			a->thread.snapshot, asked, r->host, &r->arena, &a->explanation);
		s->peer.tls = question_tls(
			a->store, a->thread.snapshot, s->peer.listener, asked, &a->explanation);
		exchange_begin(r);
	}
	while (!a->answered && !a->explanation.elsewhere)
		ev_run(a->loop.ev, EVRUN_ONCE);
	tell_answer(a);
	tell_outcome(a);
	if (r->output != OUTPUT_DONE)
		exchange_gone(r, END_COMPLETE);
	exchange_finish(r);
	arena_reset(&r->arena);
}

static void print(const struct asking *a, bool json)
{
	struct buffer text = {NULL, 0, 0};
	if (json)
		explain_json(&a->explanation, &text);
	else
		explain_lines(&a->explanation, &text);
	fwrite(text.ptr, 1, text.len, stdout);
	buffer_free(&text);
}

/* Root sees files that the worker's account does not: what is told must be what that account finds. 0 or -1. */
static int take_account(const struct snapshot *snapshot, struct explanation *e)
{
	struct account account;
	if (geteuid() != 0)
		return 0;
	if (account_find(snapshot->core.user.ptr, &account) || account_take(&account))
		return -1;
	explain_text(e, "account", slice_of(account.name));
	return 0;
}

static int ask(const struct question *question, const struct asked *asked,
	const struct program *program, const struct snapshot *snapshot, struct tls_store *store)
{
	struct asking *a = must_zalloc(sizeof *a);
	a->store = store;
	int result = EXIT_FAILED;
	explain_init(&a->explanation);
	if (take_account(snapshot, &a->explanation) == 0 && start(a, program, snapshot) == 0) {
		run(a, question, asked);
		print(a, question->json);
		result = fflush(stdout) ? EXIT_FAILED : EXIT_GOOD;
		stop(a, handler_count(program)); /* which waits for a disk that hangs */
	}
	explain_free(&a->explanation);
	free(a);
	return result;
}

/* What is looked at once all is read. */
struct looking {
	const struct option_sets *sets;
	struct tls_store *store;
};

static int finish(struct load *load, struct snapshot *snapshot, void *context)
{
	struct looking *looking = context;
	int result = looking->sets->finish(load, snapshot, looking->sets->context);
	return tls_begin() || tls_look(load, snapshot, &looking->store) ? -1 : result;
}

int question_ask(const struct question *question, const struct program *program)
{
	struct arena arena;
	struct asked asked;
	struct buffer said = {NULL, 0, 0};
	int result = EXIT_FAILED;
	arena_init(&arena, NULL, 0);
	if (question_read(question, &arena, &asked)) {
		arena_reset(&arena);
		return EXIT_USAGE;
	}
	struct looking looking = {.sets = program->sets};
	struct option_sets sets = *program->sets;
	sets.finish = finish;
	sets.context = &looking;
	struct snapshot *snapshot = snapshot_load(
		question->file, (struct slice){NULL, 0}, &sets, geteuid() != 0, &said);
	if (said.len > 0)
		fwrite(said.ptr, 1, said.len, stderr);
	buffer_free(&said);
	if (snapshot) {
		result = ask(question, &asked, program, snapshot, looking.store);
		tls_store_put(looking.store);
		snapshot_free(snapshot);
	}
	buffer_free(&asked.head);
	arena_reset(&arena);
	return result;
}
