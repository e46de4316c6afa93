/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of one request: site and route, the chain of handlers, the answer's body from its source through the stages to
 * the carrier, the end. One pull is outstanding at most, so that back-pressure needs no rules of its own. */
#include "http/exchange.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/ledger.h"
#include "http/client.h"
#include "http/explain_exchange.h"
#include "http/respond.h"
#include "http/route.h"
#include "http/stage.h"
#include "settings/tls.h"

#define REROUTES_MAX 10

void exchange_thread_prepare(struct exchange_thread *thread)
{
	unsigned observers = 0, stages = 0;
	for (const struct handler *const *h = thread->table; *h; h++) {
		if ((*h)->observe) {
			check(observers + 1 < COUNT_OF(thread->observers));
			thread->observers[observers++] = (*h)->observe;
		}
		if ((*h)->stage) {
			check(stages + 1 < COUNT_OF(thread->stages));
			thread->stages[stages++] = (*h)->stage;
		}
	}
	thread->observers[observers] = NULL;
	thread->stages[stages] = NULL;
}

void *handler_state(const struct exchange_thread *thread, const struct handler *handler)
{
	unsigned i = 0;
	while (thread->table[i] != handler)
		i++;
	return thread->state[i];
}

const void *handler_scope_settings(
	const struct snapshot *snapshot, const struct scope *scope, const struct handler *handler)
{
	return scope_settings(snapshot, scope, handler->site_options);
}

const void *handler_settings(const struct request *request, const struct handler *handler)
{
	return handler_scope_settings(request->thread->snapshot, request->scope, handler);
}

/* --- The chain. --- */

static void run_chain(struct request *request)
{
	while (*request->x.chain) {
		const struct handler *handler = *request->x.chain++;
		request->handled_by = handler->name;
		if ((request->explanation ? explain_ask(request, handler)
					  : handler->handle(request)) == TAKEN)
			return;
		check(request->output == OUTPUT_WAITING);
	}
	request->handled_by = "";
	if (!request->site) {
		request->end = END_MISDIRECTED;
		respond_builtin(request, 421);
		return;
	}
	if (request->explanation)
		explain_nobody(request);
	respond_nothing(request);
}

/* No site has the host. */
static void run_strays(struct request *request)
{
	static const struct handler *const none[] = {NULL};
	request->x.chain = none;
	for (const struct handler *const *h = request->thread->table; *h; h++) {
		request->handled_by = (*h)->name;
		if (!(*h)->stray || (*h)->stray(request) != TAKEN)
			continue;
		if (request->explanation)
			explain_stray(request, *h);
		return;
	}
	run_chain(request);
}

static void prepare(struct request *request)
{
	request->input = request->body ? INPUT_BODY : INPUT_DONE;
	request->output = OUTPUT_WAITING;
	request->end = END_COMPLETE;
	request->method_text = request->method_name;
	client_identify(request);
	counter_add(request->thread->counters, COUNTER_REQUESTS, 1);
	counter_add(request->thread->counters, COUNTER_REQUESTS_OPEN, 1);
}

/* RFC 9110, 7.4: whoever has shown that it may come in by one name's rules has not shown it for another's. Why that is so here, or NULL. */
static const char *misdirected(const struct request *request)
{
	const struct tls_settings *judged = request->peer->tls, *wanted = request->site->tls;
	if (!judged || !wanted || judged == wanted)
		return NULL;
	if (judged->client_auth != wanted->client_auth ||
		(judged->client_auth != CLIENT_AUTH_OFF &&
			!slice_equal(judged->client_ca_path, wanted->client_ca_path)))
		return "other clients are let in here than by the name of the connection";
	if (wanted->refused >> (request->peer->tls_newest ? TLS_1_3 : TLS_1_2) & 1)
		return request->peer->tls_newest
			       ? "TLS is to be older here than by the name of the connection"
			       : "TLS is to be newer here than by the name of the connection";
	return NULL;
}

void exchange_begin(struct request *request)
{
	struct slice pattern;
	prepare(request);
	request->site = route_site(request->peer->listener, request->host, &pattern);
	if (request->explanation)
		explain_site(request, pattern);
	if (!request->site) {
		run_strays(request);
		return;
	}
	if (request->thread->lines)
		ledger_add(request->thread->lines, request->site->row, LEDGER_OPEN, 1);
	const char *why = misdirected(request);
	if (why) {
		explain_text(request->explanation, "why", slice_of(why));
		request->end = END_MISDIRECTED;
		respond_builtin(request, 421);
		return;
	}
	request->scope = route_scope(request->site, request->target.path, &request->route);
	if (request->explanation)
		explain_step(request, NULL);
	if (request->target.form == TARGET_ASTERISK || request->method == METHOD_TRACE ||
		request->method == METHOD_CONNECT) {
		respond_method(request);
		return;
	}
	request->x.chain = request->scope->chain;
	run_chain(request);
}

void exchange_refuse(struct request *request, unsigned status)
{
	prepare(request);
	request->end = end_of_head(status);
	respond_builtin(request, status);
}

void exchange_hold(struct request *request, void (*cancel)(struct request *), void *state)
{
	check(request->output == OUTPUT_WAITING);
	request->x.cancel = cancel;
	request->x.state = state;
}

static void release_hold(struct request *request)
{
	request->x.cancel = NULL;
	request->x.state = NULL;
}

void exchange_pass(struct request *request)
{
	check(request->output == OUTPUT_WAITING);
	release_hold(request);
	if (request->explanation)
		explain_verdict(request, "passes");
	run_chain(request);
}

/* --- The answer's body. --- */

static void drop_body(struct request *request)
{
	source_cancel(&request->x.source);
	stage_cancel_all(request);
}

static void break_off(struct request *request, enum exchange_end why)
{
	drop_body(request);
	request->end = why;
	request->output = OUTPUT_DONE;
	request->carrier->abort(request);
}

/* What its source says of the failure, else what its carrier said. */
static enum exchange_end fault_of(const struct request *request)
{
	if (request->x.source && request->x.source->fault)
		return request->x.source->fault;
	return request->end ? request->end : END_INTERNAL;
}

/* Passes on what one pull gave. Returns false when no more is to be pulled now. */
static bool deliver(struct request *request, enum pull verdict, struct chunks *spans)
{
	static const enum stage_event events[] = {
		[PULL_MORE] = STAGE_MORE,
		[PULL_PAUSED] = STAGE_PAUSED,
		[PULL_END] = STAGE_END,
		[PULL_FAILED] = STAGE_FAILED,
	};
	bool end = verdict == PULL_END;
	if (request->x.stages && stage_push_all(request, events[verdict], spans))
		verdict = PULL_FAILED;
	request->sent += spans->length;
	if (request->response.length != LENGTH_UNKNOWN &&
		(request->sent > request->response.length ||
			(end && request->sent != request->response.length)))
		verdict = PULL_FAILED; /* what was announced cannot be kept */
	if (verdict == PULL_FAILED) {
		chunks_clear(spans);
		break_off(request, fault_of(request));
		return false;
	}
	if (end || !chunks_empty(spans))
		request->carrier->send_body(request, spans, end,
			end && request->x.source ? request->x.source->trailers : NULL);
	if (end) {
		request->output = OUTPUT_DONE;
		if (request->response.status != 101)
			drop_body(request); /* of a tunnel this is one half: the other may go on */
	}
	return verdict == PULL_MORE;
}

static void pump(struct request *request)
{
	if (request->x.pumping) {
		request->x.again = true;
		return;
	}
	request->x.pumping = true;
	bool more = true;
	while (more && request->x.source) {
		size_t room = request->carrier->room(request);
		if (room == 0)
			break;
		struct chunks spans;
		chunks_init(&spans);
		request->x.again = false;
		request->x.paused = false;
		enum pull verdict = request->x.source->ops->pull(request->x.source, &spans, room);
		request->x.paused = verdict == PULL_PAUSED && !request->x.again;
		more = deliver(request, verdict, &spans) || request->x.again;
	}
	request->x.pumping = false;
}

static void woken(struct source *source)
{
	struct request *request = source->taker;
	request->x.paused = false;
	pump(request);
}

void exchange_room(struct request *request)
{
	if (request->x.source && !request->x.paused)
		pump(request);
}

/* --- Answers. --- */

static bool has_body(const struct request *request)
{
	unsigned status = request->response.status;
	return request->method != METHOD_HEAD && status != 204 && status != 304;
}

void exchange_vary(struct request *request, struct slice names)
{
	request->x.vary = names;
}

void exchange_respond(struct request *request, struct source *body)
{
	check(request->output == OUTPUT_WAITING);
	release_hold(request);
	if (request->explanation)
		explain_verdict(request, "answers");
	struct response *response = &request->response;
	if (request->x.status) {
		response->status = request->x.status;
		response->reason = (struct slice){NULL, 0}; /* a backend's is that of the page */
	}
	check(response->status >= 101);
	if (request->x.vary
			.len) /* what chose the handler stands beside what chose the representation */
		fields_vary(&response->fields, &request->arena, request->x.vary);
	if (request->scope)
		respond_decorate(request->scope, &response->fields, &request->arena,
			client_scheme(request) == SCHEME_HTTPS);
	if (response->status != 101 && has_body(request) && request->thread->stages[0])
		stage_begin_all(request);
	bool end = !has_body(request) || (response->length == 0 && !request->x.stages);
	request->output = end ? OUTPUT_DONE : OUTPUT_BODY;
	request->carrier->send_head(request, end);
	if (end) {
		source_cancel(&body);
		stage_cancel_all(request);
		return;
	}
	check(body != NULL);
	body->wake = woken;
	body->taker = request;
	request->x.source = body;
	pump(request);
}

/* The long way, for carriers that have no block to send, for error pages, which keep another status, where a field is added, and where it
 * is told why. */
static void ready_by_parts(struct request *request, struct ready *ready)
{
	struct response *response = &request->response;
	response->status = ready->status;
	for (unsigned i = 0; i < ready->fields.count; i++) {
		const struct field *field = &ready->fields.list[i];
		fields_add_named(&response->fields, &request->arena,
			arena_slice(&request->arena, field->name),
			arena_slice(&request->arena, field->value));
	}
	response->length = ready->length;
	exchange_respond(request, respond_spans(request, &ready->ref,
					  ready->block + ready->head_length, ready->body_length));
}

void exchange_ready(struct request *request, struct ready *ready)
{
	check(request->output == OUTPUT_WAITING);
	bool adds = request->x.status || request->x.vary.len;
	/* the block is one for answers over TLS */
	bool clear = request->scope && request->scope->core->hsts.len > 0 &&
		     client_scheme(request) != SCHEME_HTTPS;
	if (adds || clear || !request->carrier->send_ready || request->thread->stages[0] ||
		request->explanation) {
		ready_by_parts(request, ready);
		return;
	}
	release_hold(request);
	bool head_only = request->method == METHOD_HEAD || ready->body_length == 0;
	request->response.status = ready->status;
	request->response.length = ready->length;
	request->sent = head_only ? 0 : ready->body_length;
	request->output = OUTPUT_DONE;
	request->carrier->send_ready(request, ready, head_only);
	ref_get(&ready->ref); /* not before: a block that others hold gets no new date */
	request->x.ready = ready;
}

void exchange_info(struct request *request, unsigned status, const struct fields *fields)
{
	if (request->output == OUTPUT_WAITING)
		request->carrier->send_info(request, status, fields);
}

void exchange_abort(struct request *request, enum exchange_end why)
{
	check(request->output != OUTPUT_DONE);
	release_hold(request);
	break_off(request, why);
}

/* --- Again, from another path. --- */

static void forget_conditions(struct fields *fields)
{
	static const enum field_id conditional[] = {FIELD_IF_MATCH, FIELD_IF_NONE_MATCH,
		FIELD_IF_MODIFIED_SINCE, FIELD_IF_UNMODIFIED_SINCE, FIELD_IF_RANGE, FIELD_RANGE};
	for (size_t i = 0; i < COUNT_OF(conditional); i++)
		fields_remove(fields, conditional[i]);
}

void exchange_reroute(struct request *request, struct slice path, unsigned status, const char *why)
{
	check(request->output == OUTPUT_WAITING);
	release_hold(request);
	if (request->explanation)
		explain_verdict(request, status ? "answers" : "reroutes");
	if (++request->x.reroutes > REROUTES_MAX) {
		log_at(&(struct log_scope){request->peer->connection, request->number, NULL},
			LOG_LEVEL_WARN, LOG_CLIENT, "more than %d reroutes, the last one for %s",
			REROUTES_MAX, why);
		request->x.status = 0;
		request->end = END_INTERNAL;
		respond_builtin(request, 500);
		return;
	}
	if (status) {
		request->x.status = status; /* fields such as Allow stay */
		forget_conditions(&request->fields);
	} else {
		request->response = (struct response){0};
	}
	source_cancel(&request->body);
	request->length = 0;
	if (request->method != METHOD_HEAD) {
		request->method = METHOD_GET;
		request->method_name = SLICE("GET");
	}
	const char *mark = memchr(path.ptr, '?', path.len);
	request->target.query =
		mark ? slice_from(path, (size_t)(mark - path.ptr) + 1) : (struct slice){NULL, 0};
	request->target.path = mark ? (struct slice){path.ptr, (size_t)(mark - path.ptr)} : path;
	request->x.allow = 0;
	request->scope = route_scope(request->site, request->target.path, &request->route);
	if (request->explanation)
		explain_step(request, why);
	request->x.chain = request->scope->chain;
	run_chain(request);
}

/* --- The end. --- */

void exchange_gone(struct request *request, enum exchange_end why)
{
	void (*cancel)(struct request *) = request->x.cancel;
	request->x.cancel = NULL;
	if (cancel)
		cancel(request);
	drop_body(request);
	if (request->output != OUTPUT_DONE || request->end == END_COMPLETE)
		request->end = why;
	request->output = OUTPUT_DONE;
}

static void count_for_site(const struct request *request, unsigned class)
{
	struct ledger_line *lines = request->thread->lines;
	unsigned row = request->site->row;
	ledger_add(lines, row, LEDGER_OPEN, -1);
	ledger_add(lines, row, LEDGER_REQUESTS, 1);
	ledger_add(lines, row, LEDGER_BYTES, (int64_t)request->sent);
	if (class >= 2 && class <= 5)
		ledger_add(lines, row, LEDGER_2XX + class - 2, 1);
}

void exchange_finish(struct request *request)
{
	check(request->output == OUTPUT_DONE);
	struct counters *counters = request->thread->counters;
	unsigned class = request->response.status / 100;
	if (class >= 1 && class <= 5)
		counter_add(counters, COUNTER_STATUS_1XX + class - 1, 1);
	counter_add(counters, COUNTER_REQUESTS_OPEN, -1);
	if (request->thread->lines && request->site)
		count_for_site(request, class);
	for (void (*const *observe)(struct request *) = request->thread->observers; *observe;
		observe++)
		(*observe)(request);
	if (request->x.ready)
		ref_put(&request->x.ready->ref);
	request->x.ready = NULL;
	drop_body(request);
}

void exchange_unread(struct request *request, unsigned status, enum exchange_end why)
{
	prepare(request);
	request->end = why;
	request->output = OUTPUT_DONE;
	request->response.status = status;
	exchange_finish(request);
}
