/* SPDX-License-Identifier: BSD-2-Clause */
/* Conditions and ranges of one representation, once for all that have one (RFC 9110, 13 and 14). */
#include "http/entity.h"

#include "base/clock.h"
#include "http/explain.h"
#include "http/multipart.h"
#include "http/range.h"
#include "http/respond.h"

static void add_date(struct request *request, enum field_id id, time_t when)
{
	char *text = arena_alloc(&request->arena, 30);
	clock_http_date(text, when);
	respond_field(request, id, (struct slice){text, 29});
}

/* RFC 9110, 8.8: what a later condition can be made of. Those that the maker has written already are kept. */
static void add_validators(struct request *request, const struct validators *v)
{
	const struct fields *fields = &request->response.fields;
	if (v->etag.len && !fields_find(fields, FIELD_ETAG))
		respond_field(request, FIELD_ETAG, arena_slice(&request->arena, v->etag));
	if (v->last_modified && !fields_find(fields, FIELD_LAST_MODIFIED))
		add_date(request, FIELD_LAST_MODIFIED, v->last_modified);
}

/* "bytes 5-9/1000": written on each range, so without a format. */
static void add_content_range(
	struct request *request, const struct byte_range *range, uint64_t size)
{
	char *text = arena_alloc(&request->arena, sizeof("bytes -/") + 3 * 20), *to = text;
	memcpy(to, "bytes ", 6);
	to += 6;
	to += bytes_decimal(to, range->first);
	*to++ = '-';
	to += bytes_decimal(to, range->first + range->length - 1);
	*to++ = '/';
	to += bytes_decimal(to, size);
	respond_field(request, FIELD_CONTENT_RANGE, (struct slice){text, (size_t)(to - text)});
}

/* RFC 9110, 15.4.5: what guides caches stays, what describes the content goes. */
static void answer_not_modified(
	struct request *request, const struct entity *entity, const struct validators *v)
{
	struct fields *fields = &request->response.fields;
	fields_remove(fields, FIELD_CONTENT_TYPE);
	fields_remove(fields, FIELD_CONTENT_ENCODING);
	fields_remove(fields, FIELD_ACCEPT_RANGES);
	add_validators(request, v);
	if (v->etag.len)
		fields_remove(fields, FIELD_LAST_MODIFIED);
	request->response.status = 304;
	request->response.length = entity->length;
	exchange_respond(request, NULL);
}

/* An error's page is not the representation: its fields must not say so. */
static void answer_error(struct request *request, unsigned status)
{
	struct fields *fields = &request->response.fields;
	fields_remove(fields, FIELD_CONTENT_TYPE);
	fields_remove(fields, FIELD_CONTENT_ENCODING);
	fields_remove(fields, FIELD_CACHE_CONTROL);
	fields_remove(fields, FIELD_ETAG);
	fields_remove(fields, FIELD_LAST_MODIFIED);
	respond_status(request, status);
}

static void answer_whole(struct request *request, const struct entity *entity)
{
	struct source *body = NULL;
	if (request->method != METHOD_HEAD && entity->length) {
		body = entity->open(request, entity, 0, entity->length);
		if (!body) {
			answer_error(request, 500);
			return;
		}
	}
	request->response.status = 200;
	request->response.length = entity->length;
	exchange_respond(request, body);
}

static void answer_part(
	struct request *request, const struct entity *entity, const struct byte_range *range)
{
	struct source *body = entity->open(request, entity, range->first, range->length);
	if (!body) {
		answer_error(request, 500);
		return;
	}
	add_content_range(request, range, entity->length);
	request->response.status = 206;
	request->response.length = range->length;
	exchange_respond(request, body);
}

/* RFC 9110, 15.3.7.2: the parts say their type and range, the whole must not. */
static void answer_parts(struct request *request, const struct entity *entity,
	const struct byte_range *ranges, unsigned count)
{
	const struct field *type = fields_find(&request->response.fields, FIELD_CONTENT_TYPE);
	struct slice content_type;
	struct source *body = multipart_source(request, entity, type ? type->value : SLICE(""),
		ranges, count, &request->response.length, &content_type);
	if (!body) {
		answer_error(request, 500);
		return;
	}
	fields_set(&request->response.fields, &request->arena, FIELD_CONTENT_TYPE, content_type);
	request->response.status = 206;
	exchange_respond(request, body);
}

/* --- What is told. --- */

static void tell_condition(struct request *request, enum condition_result result)
{
	static const enum field_id conditions[] = {FIELD_IF_MATCH, FIELD_IF_UNMODIFIED_SINCE,
		FIELD_IF_NONE_MATCH, FIELD_IF_MODIFIED_SINCE};
	static const char *const results[] = {
		[CONDITION_TRUE] = "they do not stand in the way",
		[CONDITION_NOT_MODIFIED] = "not modified, 304",
		[CONDITION_FAILED] = "failed, 412",
	};
	struct slice given = {NULL, 0};
	for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
		const struct field *field = fields_find(&request->fields, conditions[i]);
		if (field)
			given = arena_format(&request->arena, "%.*s%s%.*s", (int)given.len,
				given.len ? given.ptr : "", given.len ? ", " : "",
				(int)field->name.len, field->name.ptr);
	}
	if (given.len)
		explain_format(request->explanation, "conditions", "%.*s: %s", (int)given.len,
			given.ptr, results[result]);
}

static void tell_range(struct request *request, const struct entity *entity,
	enum range_result result, const struct byte_range *ranges, unsigned count)
{
	unsigned long long size = entity->length;
	if (!fields_find(&request->fields, FIELD_RANGE))
		return;
	if (result == RANGE_UNSATISFIABLE)
		explain_format(request->explanation, "range", "outside of %llu octets, 416", size);
	else if (result == RANGE_SATISFIABLE && count == 1)
		explain_format(request->explanation, "range", "octets %llu to %llu of %llu, 206",
			(unsigned long long)ranges[0].first,
			(unsigned long long)(ranges[0].first + ranges[0].length - 1), size);
	else if (result == RANGE_SATISFIABLE)
		explain_format(
			request->explanation, "range", "%u parts of %llu octets, 206", count, size);
	else if (request->method != METHOD_GET)
		explain_text(
			request->explanation, "range", SLICE("ignored: the method is not GET"));
	else if (fields_find(&request->fields, FIELD_IF_RANGE))
		explain_text(request->explanation, "range",
			SLICE("ignored: If-Range does not name this version, or Range is malformed"));
	else
		explain_text(request->explanation, "range",
			SLICE("ignored: malformed, or too many ranges"));
}

/* RFC 9110, 14.2: only GET, after all conditions, and If-Range with it. Range is no list over several lines. */
static enum range_result wanted_ranges(struct request *request, const struct entity *entity,
	const struct validators *v, struct byte_range *ranges, unsigned *count)
{
	if (request->method != METHOD_GET || fields_count(&request->fields, FIELD_RANGE) != 1 ||
		!condition_range(&request->fields, v, request->thread->clock->wall))
		return RANGE_IGNORE;
	const struct field *range = fields_find(&request->fields, FIELD_RANGE);
	return range_parse(range->value, entity->length, ranges, count);
}

void respond_entity(struct request *request, const struct entity *entity)
{
	time_t now = request->thread->clock->wall;
	struct validators v = entity->validators;
	if (request->x.status) { /* a page for another status: neither conditions nor validators are its own */
		answer_whole(request, entity);
		return;
	}
	if (v.last_modified > now) /* RFC 9110, 8.8.2.1 */
		v.last_modified = now;
	enum condition_result condition =
		condition_evaluate(&request->fields, request->method, &v, true, now);
	if (request->explanation)
		tell_condition(request, condition);
	switch (condition) {
	case CONDITION_NOT_MODIFIED:
		answer_not_modified(request, entity, &v);
		return;
	case CONDITION_FAILED:
		answer_error(request, 412);
		return;
	case CONDITION_TRUE:
		break;
	}
	struct byte_range ranges[RANGES_MAX];
	unsigned count = 0;
	enum range_result result = wanted_ranges(request, entity, &v, ranges, &count);
	if (request->explanation)
		tell_range(request, entity, result, ranges, count);
	if (result == RANGE_UNSATISFIABLE) {
		respond_field(request, FIELD_CONTENT_RANGE,
			arena_format(&request->arena, "bytes */%llu",
				(unsigned long long)entity->length));
		answer_error(request, 416);
		return;
	}
	add_validators(request, &v);
	fields_set(&request->response.fields, &request->arena, FIELD_ACCEPT_RANGES, SLICE("bytes"));
	if (result == RANGE_IGNORE)
		answer_whole(request, entity);
	else if (count == 1)
		answer_part(request, entity, &ranges[0]);
	else
		answer_parts(request, entity, ranges, count);
}
