/* SPDX-License-Identifier: BSD-2-Clause */
/* Passes requests on to a backend and its answers back: what joins an exchange to an origin. */
#include "handlers/proxy/proxy.h"

#include "base/check.h"
#include "base/ledger.h"
#include "base/log.h"
#include "handlers/proxy/forward.h"
#include "handlers/proxy/origin_h1.h"
#include "http/exchange.h"
#include "http/explain.h"
#include "http/respond.h"

/* One request on its way; in the request's arena. */
struct passage {
	struct source source;  /* what the exchange pulls */
	struct source *answer; /* the origin's, behind it */
	struct origin *origin;
	struct request *request;
	const struct upstream *upstream;
	unsigned row;    /* of the upstream's counters */
	unsigned status; /* of its answer; 0: none */
	bool failed;
	struct origin_request out;
	struct source trailed; /* the request's body, its trailers sifted */
	struct source *body;
	struct fields trailers, body_trailers;
	bool dropping; /* the answer is not for the client: its body is passed over */
	uint64_t dropped;
	struct deadline patience; /* for the rest of that */
};

#define DROP_MAX (64 * 1024) /* octets of a body that are passed over to keep the connection */
#define DROP_MS  250         /* and how long it may take */

/* --- Settings and threads. --- */

static int proxy_configure(
	struct load *load, struct snapshot *snapshot, const struct scope *scope, void *settings)
{
	struct proxy_settings *proxy = settings;
	(void)scope;
	if (!proxy->target)
		return 0;
	if (upstream_resolve(load, proxy->target, top_settings(snapshot, &upstreams_options)))
		return -1;
	return 1;
}

static const struct upstream *target_of(const struct snapshot *snapshot, const struct scope *scope)
{
	const struct proxy_settings *settings = scope_settings(snapshot, scope, &proxy_options);
	return settings->target ? settings->target->upstream : NULL;
}

static int proxy_thread_start(struct exchange_thread *thread, void **state)
{
	*state = backends_new(thread, target_of, NULL);
	return 0;
}

static void proxy_thread_stop(struct exchange_thread *thread, void *state)
{
	(void)thread;
	origin_h1_drop_spare(state);
	backends_free(state);
}

/* --- The answer's body. --- */

static enum pull passage_pull(struct source *source, struct chunks *out, size_t room)
{
	struct passage *p = container_of(source, struct passage, source);
	enum pull verdict = p->answer->ops->pull(p->answer, out, room);
	source->fault = p->answer->fault;
	if (verdict == PULL_END && p->answer->trailers) {
		p->trailers = *p->answer->trailers;
		forward_trailers(&p->trailers);
		respond_strip(p->request->scope, &p->trailers);
		p->source.trailers = p->trailers.count ? &p->trailers : NULL;
	}
	p->failed = p->failed || verdict == PULL_FAILED;
	return verdict;
}

static void count_passage(const struct passage *p)
{
	struct ledger_line *lines = p->request->thread->lines;
	if (!lines)
		return;
	ledger_add(lines, p->row, LEDGER_OPEN, -1);
	ledger_add(lines, p->row, LEDGER_REQUESTS, 1);
	ledger_add(lines, p->row, LEDGER_FAILED, p->failed);
	if (p->status >= 200 && p->status < 600)
		ledger_add(lines, p->row, LEDGER_2XX + p->status / 100 - 2, 1);
	if (p->status)
		ledger_add(lines, p->row, LEDGER_BYTES, (int64_t)p->request->sent);
}

/* Once, at the end of each passage. */
static void passage_end(struct passage *p)
{
	count_passage(p);
	if (p->dropping)
		deadline_clear(p->request->thread->loop, &p->patience);
	p->dropping = false;
	source_cancel(&p->answer);
	struct origin *origin = p->origin;
	p->origin = NULL;
	if (origin)
		origin_h1_ops.cancel(origin);
}

static void passage_cancel(struct source *source)
{
	passage_end(container_of(source, struct passage, source));
}

static const struct source_ops passage_ops = {passage_pull, passage_cancel};

static void drop_more(struct passage *p);

static void answer_woken(struct source *answer)
{
	struct passage *p = answer->taker;
	if (p->dropping)
		drop_more(p);
	else
		source_wake(&p->source);
}

/* --- Answers that the site's own pages take the place of. --- */

static void replace(struct passage *p)
{
	struct request *request = p->request;
	passage_end(p);
	if (request->x.status)
		respond_builtin(request, request->x.status); /* an error page's error */
	else
		respond_intercepted(request);
}

static void patience_ends(struct deadline *patience)
{
	replace(container_of(patience, struct passage, patience));
}

/* Passes over what is there of the body. Where it ends soon the connection is kept. */
static void drop_more(struct passage *p)
{
	enum pull verdict = PULL_MORE;
	while (verdict == PULL_MORE && p->dropped < DROP_MAX) {
		struct chunks spans;
		chunks_init(&spans);
		verdict = p->answer->ops->pull(p->answer, &spans, DROP_MAX);
		p->dropped += spans.length;
		chunks_clear(&spans);
	}
	p->failed = verdict == PULL_FAILED;
	if (verdict != PULL_PAUSED || p->dropped >= DROP_MAX)
		replace(p);
}

static void drop_answer(struct passage *p, const struct origin_response *response)
{
	if (response->length != LENGTH_UNKNOWN && response->length > DROP_MAX &&
		p->request->method != METHOD_HEAD) {
		replace(p);
		return;
	}
	p->dropping = true;
	p->patience.expired = patience_ends;
	deadline_set(p->request->thread->loop, &p->patience, DROP_MS);
	drop_more(p);
}

/* Is an answer not the client's? What is asked for as an error's page and is none, a redirect or an error, never is. */
static bool is_replaced(const struct request *request, const struct origin_response *response)
{
	bool page = response->status / 100 == 2 && response->status != 206;
	if (request->x.status)
		return !page;
	return !response->upgraded && response->status >= 400 &&
	       respond_intercepts(request, response->status);
}

/* --- The request's body. --- */

static enum pull body_pull(struct source *source, struct chunks *out, size_t room)
{
	struct passage *p = container_of(source, struct passage, trailed);
	enum pull verdict = p->body->ops->pull(p->body, out, room);
	if (verdict == PULL_END && p->body->trailers) {
		p->body_trailers = *p->body->trailers;
		forward_trailers(&p->body_trailers);
		p->trailed.trailers = &p->body_trailers;
	}
	return verdict;
}

static void body_cancel(struct source *source)
{
	struct passage *p = container_of(source, struct passage, trailed);
	if (p->request->output == OUTPUT_DONE && p->request->end == END_COMPLETE)
		p->request->end = source->fault; /* the answer was whole, and is all that tells */
	source_cancel(&p->body);
}

static const struct source_ops body_ops = {body_pull, body_cancel};

static void body_woken(struct source *body)
{
	struct passage *p = body->taker;
	source_wake(&p->trailed);
}

/* The body is the origin's from here on; 100 Continue is the backend's to say. */
static void take_body(struct passage *p)
{
	struct request *request = p->request;
	p->body = request->body;
	request->body = NULL;
	request->expect_continue = false;
	if (!p->body)
		return;
	p->body->taker = p;
	p->body->wake = body_woken;
	p->trailed.ops = &body_ops;
	p->out.body = &p->trailed;
}

/* --- What the origin tells. --- */

static void origin_info(void *owner, unsigned status, const struct fields *fields)
{
	struct passage *p = owner;
	struct fields passed = fields ? *fields : (struct fields){0};
	forward_interim(&passed);
	respond_strip(p->request->scope, &passed);
	exchange_info(p->request, status, &passed);
}

static void origin_head(void *owner, struct origin_response *response)
{
	struct passage *p = owner;
	p->answer = response->body;
	p->status = response->status;
	p->answer->wake = answer_woken;
	p->answer->taker = p;
	p->source.ops = &passage_ops;
	bool replaced = is_replaced(p->request, response);
	if (!replaced || !p->request->x.status)
		forward_response(p->request, p->upstream, response);
	if (replaced)
		drop_answer(p, response);
	else
		exchange_respond(p->request, &p->source);
}

static const struct {
	unsigned status;
	const char *text;
} failures[] = {
	[ORIGIN_CONNECT] = {502, "no server could be connected to"},
	[ORIGIN_CLOSED] = {502, "closed the connection without an answer"},
	[ORIGIN_TIMEOUT] = {504, "did not answer in time"},
	[ORIGIN_MALFORMED] = {502, "sent a malformed or ambiguous answer"},
	[ORIGIN_BUSY] = {503, "is busy"},
	[ORIGIN_DOWN] = {503, "no server is up"},
	[ORIGIN_BODY] = {400, "was not asked: the body of the request was broken off"},
};

static void origin_failed(void *owner, enum origin_failure why, bool repeatable)
{
	struct passage *p = owner;
	struct request *request = p->request;
	(void)repeatable;
	p->failed = why != ORIGIN_BODY;
	passage_end(p);
	if (why == ORIGIN_BODY) {
		/* without a fault the client has ended its half; it may read still */
		respond_status(request, request->body_fault ? request->body_fault : 400);
		return;
	}
	log_at(&(struct log_scope){request->peer->connection, request->number, NULL},
		LOG_LEVEL_WARN, LOG_BACKEND, "upstream %.*s: %.*s %.*s: %s",
		(int)p->upstream->name.len, p->upstream->name.ptr, (int)request->method_name.len,
		request->method_name.ptr, (int)p->out.target.len, p->out.target.ptr,
		failures[why].text);
	request->end = origin_failure_end(why);
	respond_status(request, failures[why].status);
}

static const struct origin_events events = {origin_info, origin_head, origin_failed};

/* --- The handler. --- */

static void proxy_cancel(struct request *request)
{
	struct passage *p = request_state(request);
	if (p->dropping)
		request->response.status = 0; /* what is dropped was not answered with */
	passage_end(p);
}

/* An error page is not asked of the upstream whose answer it takes the place of. */
static bool has_failed(const struct request *request, const struct upstream *upstream)
{
	bool by_backend = request->end == END_COMPLETE || request->end >= END_BACKEND_CONNECT;
	return request->x.status && by_backend &&
	       request->backend.upstream.ptr == upstream->name.ptr;
}

/* Nothing was begun. */
static void explained(struct request *request)
{
	(void)request;
}

/* NULL: not a backend's. */
static struct backend *backend_of(const struct request *request)
{
	const struct backends *backends = handler_state(request->thread, &proxy_handler);
	struct backend *backend = backends->by_scope[request->scope->id];
	bool passed = !backend || request->method == METHOD_CONNECT ||
		      has_failed(request, backend->upstream);
	return passed ? NULL : backend;
}

/* What is to be sent, but for the body. NULL: it was answered here. */
static struct passage *passage_new(struct request *request, const struct backend *backend)
{
	if (forward_ends_here(request)) {
		explain_text(request->explanation, "why", SLICE("Max-Forwards ends it here"));
		respond_method(request);
		return NULL;
	}
	struct passage *p = arena_zalloc(&request->arena, sizeof *p);
	p->request = request;
	p->upstream = backend->upstream;
	p->row = backend->row;
	unsigned status = forward_request(request, p->upstream, &p->out);
	if (status) {
		explain_text(request->explanation, "why", SLICE("it comes round in a circle"));
		request->end = END_CIRCLE;
		respond_status(request, status);
		return NULL;
	}
	return p;
}

static enum verdict proxy_handle(struct request *request)
{
	struct backend *backend = backend_of(request);
	if (!backend)
		return PASS;
	struct passage *p = passage_new(request, backend);
	if (!p)
		return TAKEN;
	if (request->thread->lines)
		ledger_add(request->thread->lines, p->row, LEDGER_OPEN, 1);
	request->backend = (struct backend_seen){.upstream = p->upstream->name};
	p->out.seen = &request->backend;
	take_body(p);
	exchange_hold(request, proxy_cancel, p);
	p->origin = origin_h1_ops.send(backend, request->thread, &p->out, &events, p);
	return TAKEN;
}

/* As far as to what would be sent. */
static enum verdict proxy_explain(struct request *request)
{
	struct explanation *e = request->explanation;
	const struct backend *backend = backend_of(request);
	if (!backend)
		return PASS;
	const struct upstream *upstream = backend->upstream;
	explain_text(e, "upstream", upstream->name);
	explain_list(e, "servers");
	for (size_t i = 0; i < upstream->server_count; i++)
		explain_text(e, NULL, upstream->servers[i].text);
	explain_close(e);
	const struct passage *p = passage_new(request, backend);
	if (!p)
		return TAKEN;
	explain_format(e, "sends", "%.*s %.*s", (int)p->out.method.len, p->out.method.ptr,
		(int)p->out.target.len, p->out.target.ptr);
	explain_list(e, "fields");
	for (unsigned i = 0; i < p->out.fields.count; i++) {
		const struct field *field = &p->out.fields.list[i];
		explain_format(e, NULL, "%.*s: %.*s", (int)field->name.len, field->name.ptr,
			(int)field->value.len, field->value.ptr);
	}
	explain_close(e);
	explain_text(e, "verdict", SLICE("asks"));
	e->elsewhere = true;
	exchange_hold(request, explained, NULL);
	return TAKEN;
}

const struct handler proxy_handler = {
	.name = "proxy",
	.site_options = &proxy_options,
	.top_options = &upstreams_options,
	.configure = proxy_configure,
	.thread_start = proxy_thread_start,
	.thread_stop = proxy_thread_stop,
	.handle = proxy_handle,
	.explain = proxy_explain,
};
