/* SPDX-License-Identifier: BSD-2-Clause */
/* Files: one lookup in the thread's file cache, then an answer that stands ready, or a look at the disk elsewhere. */
#include "handlers/static/static.h"

#include "base/clock.h"
#include "handlers/file/file_body.h"
#include "handlers/file/file_cache.h"
#include "handlers/static/listing.h"
#include "http/accept.h"
#include "http/entity.h"
#include "http/respond.h"

#define METHODS (1u << METHOD_GET | 1u << METHOD_HEAD)

_Static_assert(FIELD_COUNT <= 64, "fields_seen() keeps fields as bits of one word");

/* --- The answer to a plain GET, made once a version. --- */

static void add_type(struct fields *fields, struct arena *arena,
	const struct static_settings *settings, const struct file *file,
	const struct file_about *about)
{
	const struct variant_row *variant = variant_row(about->variant);
	struct slice type = variant->type;
	if (!type.len)
		type = mime_find(settings->root.mime, about->name);
	if (!type.len)
		type = about->type;
	if (mime_is_text(type) && file->utf8 && !memchr(type.ptr, ';', type.len))
		type = arena_format(arena, "%.*s; charset=utf-8", (int)type.len, type.ptr);
	fields_add(fields, arena, FIELD_CONTENT_TYPE, type);
	if (variant->coding.len)
		fields_add(fields, arena, FIELD_CONTENT_ENCODING, variant->coding);
	if (about->vary.len)
		fields_add(fields, arena, FIELD_VARY, about->vary);
	fields_add(fields, arena, FIELD_X_CONTENT_TYPE_OPTIONS, SLICE("nosniff"));
}

static void add_validators(
	struct fields *fields, struct arena *arena, const struct file *file, time_t now)
{
	time_t modified = file->stamp.modified.tv_sec;
	fields_add(fields, arena, FIELD_ETAG, file_etag(file));
	if (modified > now) /* RFC 9110, 8.8.2.1 */
		modified = now;
	if (modified > 0) {
		char *date = arena_alloc(arena, 30);
		clock_http_date(date, modified);
		fields_add(fields, arena, FIELD_LAST_MODIFIED, (struct slice){date, 29});
	}
	fields_add(fields, arena, FIELD_ACCEPT_RANGES, SLICE("bytes"));
}

static void add_max_age(struct fields *fields, struct arena *arena,
	const struct static_settings *settings, struct slice name)
{
	if (!settings->max_age.count)
		return;
	int64_t seconds =
		static_max_age(settings, arena_format(arena, "/%.*s", (int)name.len, name.ptr).ptr);
	if (seconds == 0)
		fields_add(fields, arena, FIELD_CACHE_CONTROL, SLICE("no-cache"));
	else if (seconds > 0)
		fields_add(fields, arena, FIELD_CACHE_CONTROL,
			arena_format(arena, "max-age=%lld", (long long)seconds));
}

static struct ready *make_ready(struct exchange_thread *thread, const struct scope *scope,
	const struct file *file, const struct file_about *about, const char *content)
{
	const struct static_settings *settings =
		handler_scope_settings(thread->snapshot, scope, &static_handler);
	char memory[2048];
	struct arena arena;
	arena_init(&arena, memory, sizeof memory);
	struct fields fields = {NULL, 0, 0};
	add_type(&fields, &arena, settings, file, about);
	add_validators(&fields, &arena, file, thread->clock->wall);
	if (about->generated)
		fields_add(&fields, &arena, FIELD_CACHE_CONTROL, SLICE("no-cache"));
	else
		add_max_age(&fields, &arena, settings, about->name);
	respond_decorate(scope, &fields, &arena, true); /* see exchange_ready */
	struct ready *ready =
		ready_make(200, &fields, file->length, content, content ? (size_t)file->length : 0);
	arena_reset(&arena);
	return ready;
}

/* --- Answers. --- */

/* Fields that RFC 9110, 13 and 14 give a meaning for this answer. */
#define CONDITIONAL                                                                                \
	(1ull << FIELD_IF_MATCH | 1ull << FIELD_IF_NONE_MATCH | 1ull << FIELD_IF_MODIFIED_SINCE |  \
		1ull << FIELD_IF_UNMODIFIED_SINCE | 1ull << FIELD_IF_RANGE | 1ull << FIELD_RANGE)

/* Which fields the request has, as bits of their numbers. */
static uint64_t fields_seen(const struct request *request)
{
	uint64_t seen = 0;
	for (unsigned i = 0; i < request->fields.count; i++)
		seen |= 1ull << request->fields.list[i].id;
	return seen;
}

/* The fields are copied: the file may go before the log has been written. */
static void copy_fields(struct request *request, const struct file *file, uint64_t without)
{
	const struct fields *from = &file->ready->fields;
	for (unsigned i = 0; i < from->count; i++) {
		const struct field *field = &from->list[i];
		struct slice value = arena_slice(&request->arena, field->value);
		if (without & 1ull << field->id)
			continue;
		if (field->id != FIELD_OTHER)
			fields_set(&request->response.fields, &request->arena, field->id, value);
		else
			fields_add_named(&request->response.fields, &request->arena,
				arena_slice(&request->arena, field->name), value);
	}
}

static struct source *open_part(
	struct request *request, const struct entity *entity, uint64_t first, uint64_t length)
{
	struct file *file = entity->state;
	if (!file->kept)
		return file_body(request, file, first, length);
	struct ready *ready = file->ready;
	return respond_spans(
		request, &ready->ref, ready->block + ready->head_length + first, (size_t)length);
}

/* With conditions, ranges, or as the page for an error. */
static void serve_entity(struct request *request, struct file *file)
{
	const uint64_t not_its_own = 1ull << FIELD_ETAG | 1ull << FIELD_LAST_MODIFIED |
				     1ull << FIELD_ACCEPT_RANGES | 1ull << FIELD_CACHE_CONTROL;
	copy_fields(request, file, request->x.status ? not_its_own : 0);
	struct entity entity = {
		.validators = {file_etag(file), file->stamp.modified.tv_sec},
		.length = file->length,
		.open = open_part,
		.state = file,
	};
	respond_entity(request, &entity);
}

/* Only a weight of 0 says that what is not encoded is not wanted. */
static bool may_refuse_identity(const struct request *request)
{
	for (unsigned i = 0; i < request->fields.count; i++) {
		const struct field *field = &request->fields.list[i];
		if (field->id == FIELD_ACCEPT_ENCODING && field->value.len &&
			memchr(field->value.ptr, ';', field->value.len))
			return true;
	}
	return false;
}

/* --- What is told of a file. --- */

static void tell_field(
	struct explanation *e, const char *name, const struct fields *fields, enum field_id id)
{
	const struct field *field = fields_find(fields, id);
	if (field)
		explain_text(e, name, field->value);
}

/* Why a variant that is there does not answer. */
static const char *not_chosen(struct request *request, enum variant variant)
{
	const struct variant_row *row = variant_row(variant);
	unsigned quality =
		row->coding.len
			? accept_encoding_quality(fields_joined(&request->fields, &request->arena,
							  FIELD_ACCEPT_ENCODING),
				  row->coding)
			: accept_quality(
				  fields_joined(&request->fields, &request->arena, FIELD_ACCEPT),
				  row->type, false);
	return quality ? "passed over: another is preferred" : "not accepted";
}

/* The variants stand in the look's list; those that may answer get the request's judgement. */
static void tell_variants(
	struct request *request, const struct file_entry *entry, const struct file *chosen)
{
	struct explanation *e = request->explanation;
	const struct explain_entry *list = explain_find(e->at, "variants");
	for (struct explain_entry *item = list ? list->first : NULL; item; item = item->next) {
		enum variant v = VARIANT_SELF + 1;
		while (v < VARIANT_COUNT && !slice_equal(explain_told(item, "variant"),
						    slice_of(variant_row(v)->suffix + 1)))
			v++;
		if (v == VARIANT_COUNT || !entry->variants || !(entry->variants->which & 1u << v))
			continue;
		if (entry->variants->file[v] == chosen)
			explain_text(e, "variant", slice_of(variant_row(v)->suffix + 1));
		struct explain_entry *before = explain_enter(e, item);
		explain_text(e, "found",
			slice_of(entry->variants->file[v] == chosen ? "chosen"
								    : not_chosen(request, v)));
		explain_enter(e, before);
	}
}

static const char *type_comes_from(const struct file_entry *entry, const struct file *file)
{
	enum variant v = VARIANT_AVIF;
	while (entry->variants && v < VARIANT_COUNT && entry->variants->file[v] != file)
		v++;
	if (entry->variants && v < VARIANT_COUNT)
		return "the variant";
	return entry->file->type[0] ? "the content" : "the extension";
}

static void tell_file(struct request *request, const struct file_entry *entry, struct file *file)
{
	struct explanation *e = request->explanation;
	tell_variants(request, entry, file);
	if (!file) {
		explain_text(e, "negotiated",
			SLICE("nothing: neither the file nor a variant is acceptable"));
		return;
	}
	const struct fields *fields = &file->ready->fields;
	explain_number(e, "size", file->length);
	tell_field(e, "type", fields, FIELD_CONTENT_TYPE);
	explain_text(e, "type_from",
		explain_find(e->at, "listing") ? SLICE("the listing")
					       : slice_of(type_comes_from(entry, file)));
	tell_field(e, "etag", fields, FIELD_ETAG);
	tell_field(e, "last_modified", fields, FIELD_LAST_MODIFIED);
	tell_field(e, "cache_control", fields, FIELD_CACHE_CONTROL);
}

/* RFC 9110, 12.5: the file or what stands beside it, as the request likes it best; NULL: nothing is acceptable. An error's page is sent in
 * any case. Without the fields that choose, the file itself. */
static struct file *negotiate(
	struct request *request, const struct file_entry *entry, uint64_t seen)
{
	if (!(seen & (1ull << FIELD_ACCEPT_ENCODING | 1ull << FIELD_ACCEPT)) ||
		(!entry->variants && !may_refuse_identity(request)))
		return entry->file;
	const struct field *type = fields_find(&entry->file->ready->fields, FIELD_CONTENT_TYPE);
	enum variant variant = variant_choose(&request->fields, &request->arena,
		entry->variants ? entry->variants->which : 0, type ? type->value : SLICE(""));
	if (variant == VARIANT_NONE)
		return request->x.status ? entry->file : NULL;
	return variant == VARIANT_SELF ? entry->file : entry->variants->file[variant];
}

static void serve_file(struct request *request, const struct file_entry *entry)
{
	uint64_t seen = fields_seen(request);
	struct file *file = negotiate(request, entry, seen);
	if (request->explanation)
		tell_file(request, entry, file);
	if (!file) {
		struct slice vary = variant_vary(entry->variants ? entry->variants->which : 0);
		respond_field(request, FIELD_VARY, vary.len ? vary : SLICE("Accept-Encoding"));
		respond_status(request, 406);
	} else if (request->x.status || seen & CONDITIONAL) {
		serve_entity(request, file);
	} else if (file->kept || file->length == 0 || request->method == METHOD_HEAD) {
		exchange_ready(request, file->ready);
	} else {
		copy_fields(request, file, 0);
		request->response.status = 200;
		request->response.length = file->length;
		exchange_respond(request, file_body(request, file, 0, file->length));
	}
}

/* A run of slashes is one: to the file system, to the routes (route.h), and to who wrote two by accident. */
static struct slice merge_slashes(struct slice path, struct arena *arena)
{
	if (!memmem(path.ptr, path.len, "//", 2))
		return path;
	char *merged = arena_alloc(arena, path.len), *to = merged;
	for (size_t i = 0; i < path.len; i++)
		if (path.ptr[i] != '/' || i == 0 || path.ptr[i - 1] != '/')
			*to++ = path.ptr[i];
	return (struct slice){merged, (size_t)(to - merged)};
}

/* The path is the request's own, without empty segments, so that it can name no other host. */
static void serve_directory(struct request *request)
{
	struct slice path = merge_slashes(request->target.path, &request->arena);
	struct slice query = request->target.query;
	explain_text(request->explanation, "why", SLICE("a directory without its final slash"));
	respond_redirect(request, 308,
		arena_format(&request->arena, "%.*s/%s%.*s", (int)path.len, path.ptr,
			query.ptr ? "?" : "", (int)query.len, query.ptr ? query.ptr : ""));
}

static enum verdict serve(struct request *request, const struct file_entry *entry);

/* --- Names. --- */

/* A segment that holds an encoded stroke names no file: no name can hold one. */
static bool has_encoded_stroke(struct slice path)
{
	for (size_t i = 0; i + 2 < path.len; i++)
		if (path.ptr[i] == '%' && path.ptr[i + 1] == '2' && (path.ptr[i + 2] | 0x20) == 'f')
			return true;
	return false;
}

/* Why a decoded path (with its first "/", without empty segments but the last) can name no file here; NULL: it can. */
static const char *names_nothing(struct slice path, bool hidden_files)
{
	if (path.len == 0 || path.ptr[0] != '/' || path.len >= PATH_MAX)
		return "the path is longer than one of a file";
	size_t begin = 1;
	for (size_t i = 1; i <= path.len; i++) {
		if (i < path.len && path.ptr[i] != '/')
			continue;
		struct slice segment = {path.ptr + begin, i - begin};
		if (segment.len == 0)
			return NULL;
		if (segment.ptr[0] == '.') {
			if (slice_equal(segment, SLICE(".")) || slice_equal(segment, SLICE("..")))
				return "a segment of dots names no file";
			if (!hidden_files && !slice_equal(segment, SLICE(".well-known")))
				return "a name that begins with a dot is hidden";
		}
		begin = i + 1;
	}
	return NULL;
}

/* Asks the thread's cache, or the disk, for a path in the form that the request has it in; `key` tells it from others. With a list it is the page
 * of a directory that is asked for. */
static enum verdict look(
	struct request *request, struct slice key, file_list_fn *list, file_found_fn *found)
{
	const struct static_settings *settings = handler_settings(request, &static_handler);
	struct file_cache *cache = handler_state(request->thread, &static_handler);
	struct file_question question = {.root = &settings->root,
		.key = key,
		.list = list,
		.explanation = request->explanation};
	struct slice decoded;
	explain_text(request->explanation, "root", settings->root.path);
	unsigned status = target_decode(request->target.path, &request->arena, &decoded);
	if (status) {
		respond_status(request, status);
		return TAKEN;
	}
	decoded = merge_slashes(decoded, &request->arena);
	const char *why_not = has_encoded_stroke(request->target.path)
				      ? "an encoded slash stands in no name"
				      : names_nothing(decoded, settings->root.hidden_files);
	if (why_not) {
		explain_text(request->explanation, "why", slice_of(why_not));
		return PASS;
	}
	question.decoded = slice_from(decoded, 1);
	if (!request->explanation && file_cache_lacks(cache, request->scope, question.decoded))
		return PASS;
	struct file_entry *entry = file_cache_glance(cache, request->scope, &question);
	if (entry)
		return serve(request, entry);
	if (list)
		question.query = listing_query(request);
	file_cache_look(cache, request, &question, found);
	return TAKEN;
}

/* What the thread's cache has. Who asks why wants each name looked at, also those that are known. */
static struct file_entry *known(struct request *request, struct slice key)
{
	if (request->explanation)
		return NULL;
	return file_cache_find(
		handler_state(request->thread, &static_handler), request->scope, key);
}

/* --- Listings. --- */

static void listing_found(struct request *request, const struct file_entry *entry);

/* A directory without index: its page, where such are made. The pages of one directory are told apart by their query. */
static enum verdict serve_missing(struct request *request)
{
	const struct static_settings *settings = handler_settings(request, &static_handler);
	struct slice path = request->target.path;
	explain_text(request->explanation, "why", SLICE("no file is there"));
	if (!settings->root.listing || path.ptr[path.len - 1] != '/')
		return PASS;
	struct slice query = listing_query(request);
	struct slice key = arena_format(&request->arena, "%.*s?%.*s", (int)path.len, path.ptr,
		(int)query.len, query.len ? query.ptr : "");
	struct file_entry *entry = known(request, key);
	if (!entry)
		return look(request, key, listing_page, listing_found);
	return entry->kind == FILE_MISSING ? PASS : serve(request, entry);
}

/* --- What was found. --- */

static enum verdict serve(struct request *request, const struct file_entry *entry)
{
	bool reads = request->method == METHOD_GET || request->method == METHOD_HEAD;
	struct explanation *e = request->explanation;
	switch ((enum file_kind)entry->kind) {
	case FILE_MISSING:
		return serve_missing(request);
	case FILE_FORBIDDEN:
		explain_text(e, "why", SLICE("what may not be read is nobody else's to answer"));
		respond_status(request, 403);
		return TAKEN;
	case FILE_FAILED:
		explain_text(e, "why", SLICE("the machine fails: nothing is known"));
		respond_status(request, 503);
		return TAKEN;
	case FILE_DIRECTORY:
	case FILE_REGULAR:
		break;
	}
	if (!reads) {
		explain_text(e, "why", SLICE("a file is there, and takes GET and HEAD alone"));
		request->x.allow |= METHODS;
		return PASS;
	}
	if (entry->kind == FILE_REGULAR)
		serve_file(request, entry);
	else if (request->x.status) /* an error's page cannot be somewhere else */
		respond_builtin(request, request->x.status);
	else
		serve_directory(request);
	return TAKEN;
}

static void found(struct request *request, const struct file_entry *entry)
{
	if (serve(request, entry) == PASS)
		exchange_pass(request);
}

static void listing_found(struct request *request, const struct file_entry *entry)
{
	if (entry->kind == FILE_MISSING || serve(request, entry) == PASS)
		exchange_pass(request);
}

static enum verdict static_handle(struct request *request)
{
	struct file_entry *entry = known(request, request->target.path);
	return entry ? serve(request, entry) : look(request, request->target.path, NULL, found);
}

static int start(struct exchange_thread *thread, void **state)
{
	*state = file_cache_new(thread, make_ready);
	return 0;
}

static void stop(struct exchange_thread *thread, void *state)
{
	(void)thread;
	file_cache_free(state);
}

const struct handler static_handler = {
	.name = "static",
	.site_options = &static_options,
	.configure = static_configure,
	.thread_start = start,
	.thread_stop = stop,
	.handle = static_handle,
	.grant = static_grant,
};
