/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers that weir makes itself: statuses with their pages, redirects, fields of the site. */
#include "http/respond.h"

#include <stdio.h>

#include "base/check.h"
#include "http/explain.h"

/* --- Bodies of memory. --- */

struct memory_source {
	struct source source;
	struct ref *owner;
	const char *bytes;
	size_t length;
};

static enum pull memory_pull(struct source *source, struct chunks *out, size_t room)
{
	struct memory_source *m = container_of(source, struct memory_source, source);
	size_t take = m->length < room ? m->length : room;
	if (m->owner)
		ref_get(m->owner);
	chunks_memory(out, m->owner, m->bytes, take);
	m->bytes += take;
	m->length -= take;
	return m->length ? PULL_MORE : PULL_END;
}

static void memory_cancel(struct source *source)
{
	ref_put(container_of(source, struct memory_source, source)->owner);
}

static const struct source_ops memory_ops = {memory_pull, memory_cancel};

struct source *respond_spans(
	struct request *request, struct ref *owner, const char *bytes, size_t length)
{
	struct memory_source *m = arena_zalloc(&request->arena, sizeof *m);
	m->source.ops = &memory_ops;
	m->owner = owner;
	if (owner)
		ref_get(owner);
	m->bytes = bytes;
	m->length = length;
	return &m->source;
}

struct source *respond_memory(struct request *request, const void *bytes, size_t length)
{
	struct chunk_block *block = chunk_block(length ? length : 1);
	if (length)
		memcpy(block->bytes, bytes, length);
	struct source *source = respond_spans(request, &block->ref, block->bytes, length);
	ref_put(&block->ref);
	return source;
}

/* --- Fields. --- */

void respond_field(struct request *request, enum field_id id, struct slice value)
{
	fields_add(&request->response.fields, &request->arena, id, value);
}

void respond_decorate(
	const struct scope *scope, struct fields *fields, struct arena *arena, bool encrypted)
{
	const struct header_rules *rules = &scope->core->headers;
	struct slice strict = SLICE("Strict-Transport-Security");
	/* RFC 6797, 7.2: not in clear */
	if (scope->core->hsts.len > 0)
		fields_remove_named(fields, strict);
	if (scope->core->hsts.len > 0 && encrypted)
		fields_add_named(fields, arena, strict, scope->core->hsts);
	for (size_t i = 0; i < rules->remove_count; i++)
		fields_remove_named(fields, rules->remove[i]);
	for (size_t i = 0; i < rules->set_count; i++) {
		struct slice name = rules->set[i].name, value = rules->set[i].value;
		/* what was negotiated stays said: without it a cache gives one client another's variant */
		if (slice_equal_nocase(name, SLICE("Vary"))) {
			fields_vary(fields, arena, value);
			continue;
		}
		fields_remove_named(fields, name);
		fields_add_named(fields, arena, name, value);
	}
}

void respond_strip(const struct scope *scope, struct fields *beside)
{
	const struct header_rules *rules = &scope->core->headers;
	for (size_t i = 0; i < rules->remove_count; i++)
		fields_remove_named(beside, rules->remove[i]);
	for (size_t i = 0; i < rules->set_count; i++)
		fields_remove_named(beside, rules->set[i].name);
}

/* --- Statuses. --- */

static struct slice error_page_path(const struct request *request, unsigned status)
{
	if (!request->scope || request->x.status)
		return (struct slice){NULL, 0};
	const struct scope_core *core = request->scope->core;
	for (size_t i = 0; i < core->error_count; i++)
		if (status >= core->errors[i].low && status <= core->errors[i].high)
			return core->errors[i].path;
	return (struct slice){NULL, 0};
}

void respond_status(struct request *request, unsigned status)
{
	struct slice page = error_page_path(request, status);
	explain_number(request->explanation, "status", status);
	if (page.len) {
		explain_text(request->explanation, "page", page);
		exchange_reroute(request, page, status, "an error page");
		return;
	}
	respond_builtin(request, request->x.status ? request->x.status : status);
}

bool respond_intercepts(const struct request *request, unsigned status)
{
	return request->scope && request->scope->core->intercept &&
	       error_page_path(request, status).len;
}

/* Fields that are about the body which is replaced, or about that of its page. */
static bool is_of_body(const struct field *field)
{
	static const struct slice content = {"Content-", 8};
	switch (field->id) {
	case FIELD_ACCEPT_RANGES:
	case FIELD_AGE:
	case FIELD_DATE:
	case FIELD_ETAG:
	case FIELD_LAST_MODIFIED:
	case FIELD_LINK:
	case FIELD_TRAILER:
	case FIELD_X_CONTENT_TYPE_OPTIONS:
		return true;
	default:
		return slice_equal_nocase(field->name, SLICE("Digest")) ||
		       slice_equal_nocase(field->name, SLICE("Repr-Digest")) ||
		       (field->name.len > content.len &&
			       strncasecmp(field->name.ptr, content.ptr, content.len) == 0);
	}
}

void respond_intercepted(struct request *request)
{
	struct response *response = &request->response;
	struct fields *fields = &response->fields;
	unsigned kept = 0;
	for (unsigned i = 0; i < fields->count; i++)
		if (!is_of_body(&fields->list[i]))
			fields->list[kept++] = fields->list[i];
	fields->count = kept;
	response->reason = (struct slice){NULL, 0};
	exchange_reroute(request, error_page_path(request, response->status), response->status,
		"a page in place of a backend's");
}

static const char page_format[] =
	"<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
	"<meta name=\"viewport\" content=\"width=device-width\"><title>%u %s</title>\n"
	"<style>:root{color-scheme:light dark}body{font:1.1rem/1.5 system-ui,sans-serif;"
	"margin:20vh auto;max-width:32rem;padding:0 1rem}h1{font-weight:500}</style>\n"
	"<h1>%u %s</h1>\n<p>%s</p>\n</html>\n";

static const char *explanation(unsigned status)
{
	switch (status) {
	case 400:
		return "The request could not be understood.";
	case 403:
		return "This may not be read.";
	case 404:
		return "There is nothing at this address.";
	case 405:
		return "This address does not take that method.";
	case 408:
		return "The request took too long to arrive.";
	case 413:
		return "The request is larger than this server takes.";
	case 421:
		return "This server does not answer for that host.";
	case 429:
		return "Too many requests at a time. Try again in a moment.";
	case 500:
		return "Something went wrong on this server.";
	case 502:
		return "The application behind this server did not answer properly.";
	case 503:
		return "This server is busy. Try again in a moment.";
	case 504:
		return "The application behind this server took too long to answer.";
	default:
		return "";
	}
}

void respond_builtin(struct request *request, unsigned status)
{
	explain_text(request->explanation, "page", SLICE("built-in"));
	request->response.status = status;
	const char *reason = status_reason(status);
	char page[1024];
	int length = snprintf(page, sizeof page, page_format, status, reason, status, reason,
		explanation(status));
	check(length > 0 && (size_t)length < sizeof page);
	fields_set(&request->response.fields, &request->arena, FIELD_CONTENT_TYPE,
		SLICE("text/html; charset=utf-8"));
	fields_set(&request->response.fields, &request->arena, FIELD_X_CONTENT_TYPE_OPTIONS,
		SLICE("nosniff"));
	request->response.length = (uint64_t)length;
	exchange_respond(request, respond_memory(request, page, (size_t)length));
}

void respond_redirect(struct request *request, unsigned status, struct slice location)
{
	check(field_value_valid(location));
	if (request->x.status) { /* in place of an error page, whose status is no redirect's */
		explain_text(request->explanation, "why", SLICE("an error page is no redirect"));
		respond_builtin(request, request->x.status);
		return;
	}
	explain_number(request->explanation, "status", status);
	explain_text(request->explanation, "location", location);
	fields_set(&request->response.fields, &request->arena, FIELD_LOCATION, location);
	respond_builtin(request, status);
}

static struct slice allow_value(struct request *request, unsigned methods)
{
	static const struct {
		enum method method;
		struct slice name;
	} names[] = {
		{METHOD_GET, {"GET", 3}},
		{METHOD_HEAD, {"HEAD", 4}},
		{METHOD_POST, {"POST", 4}},
		{METHOD_PUT, {"PUT", 3}},
		{METHOD_PATCH, {"PATCH", 5}},
		{METHOD_DELETE, {"DELETE", 6}},
	};
	struct slice value = {NULL, 0};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (methods & 1u << names[i].method)
			value = arena_format(&request->arena, "%.*s%s%.*s", (int)value.len,
				value.len ? value.ptr : "", value.len ? ", " : "",
				(int)names[i].name.len, names[i].name.ptr);
	return arena_format(&request->arena, "%.*s%sOPTIONS", (int)value.len,
		value.len ? value.ptr : "", value.len ? ", " : "");
}

void respond_method(struct request *request)
{
	unsigned methods =
		request->x.allow ? request->x.allow : 1u << METHOD_GET | 1u << METHOD_HEAD;
	if (request->method == METHOD_CONNECT) {
		respond_builtin(request, 501);
		return;
	}
	respond_field(request, FIELD_ALLOW, allow_value(request, methods));
	if (request->method != METHOD_OPTIONS) {
		respond_status(request, 405);
		return;
	}
	request->response.status = 204;
	request->response.length = 0;
	exchange_respond(request, NULL);
}

void respond_nothing(struct request *request)
{
	if (request->x.status)
		respond_builtin(request, request->x.status);
	else if (request->x.allow)
		respond_method(request);
	else
		respond_status(request, 404);
}
