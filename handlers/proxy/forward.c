/* SPDX-License-Identifier: BSD-2-Clause */
/* Which fields pass through the proxy: those of the message do, those of one hop or about the client's identity do not. */
#include "handlers/proxy/forward.h"

#include <arpa/inet.h>

#include "base/check.h"
#include "base/log.h"
#include "handlers/proxy/identity.h"
#include "http/client.h"
#include "http/exchange.h"
#include "http/h1_framing.h"
#include "http/h1_head.h"

#define VIA_NAME    "weir" /* behind the version that was received */
#define CIRCLES_MAX 8      /* how often a request may have passed a weir before */

static bool starts_nocase(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && strncasecmp(s.ptr, prefix.ptr, prefix.len) == 0;
}

/* --- The request. --- */

static bool passes(const struct request *request, const struct field *field)
{
	switch (field->id) {
	case FIELD_HOST: /* written first */
	case FIELD_CONTENT_LENGTH:
	case FIELD_TRANSFER_ENCODING:
	case FIELD_EXPECT: /* written again where it is meant */
	case FIELD_HTTP2_SETTINGS:
	case FIELD_MAX_FORWARDS:
		return false;
	default:
		break;
	}
	if (identity_claimed(field))
		return false;
	if (field->id == FIELD_OTHER && slice_equal_nocase(field->name, SLICE("Proxy")))
		return false; /* to CGI and its heirs HTTP_PROXY, the proxy that they ask others by */
	if (field->id == FIELD_OTHER && memchr(field->name.ptr, '_', field->name.len)) {
		/* to CGI and its heirs “X_A” and “X-A” are one and the same */
		log_at(&(struct log_scope){request->peer->connection, request->number, NULL},
			LOG_LEVEL_DEBUG, LOG_CLIENT,
			"the field “%.*s” is not passed on: it has an underscore",
			(int)field->name.len, field->name.ptr);
		return false;
	}
	return true;
}

/* Who was at the other end of each hop: the believed ones, the client first, then the peer. */
struct hops {
	struct slice *addresses; /* empty: a Unix socket */
	unsigned count;
	size_t length; /* of all texts */
};

static struct hops hops_of(struct request *request)
{
	const struct trail *trail = request->trail;
	struct hops hops = {.count = trail ? trail->count : 0};
	hops.addresses = arena_alloc(&request->arena, (hops.count + 1) * sizeof(hops.addresses[0]));
	for (unsigned i = 0; i < hops.count; i++)
		hops.addresses[i] = trail->addresses[i];
	char *peer = arena_alloc(&request->arena, INET6_ADDRSTRLEN);
	hops.addresses[hops.count++] =
		(struct slice){peer, client_text(request->peer->address, peer)};
	for (unsigned i = 0; i < hops.count; i++)
		hops.length += hops.addresses[i].len;
	return hops;
}

/* X-Forwarded-For: 203.0.113.5, 10.0.0.2 */
static struct slice address_list(struct request *request, const struct hops *hops)
{
	char *text = arena_alloc(&request->arena, hops->length + 2 * hops->count);
	char *to = text;
	for (unsigned i = 0; i < hops->count; i++) {
		if (to > text && hops->addresses[i].len)
			to = h1_put(to, SLICE(", "));
		to = h1_put(to, hops->addresses[i]);
	}
	return (struct slice){text, (size_t)(to - text)};
}

static char *put_for(char *to, struct slice address)
{
	to = h1_put(to, SLICE("for="));
	if (address.len == 0)
		return h1_put(to, SLICE("unknown"));
	if (memchr(address.ptr, ':', address.len))
		return h1_put(h1_put(h1_put(to, SLICE("\"[")), address), SLICE("]\""));
	return h1_put(to, address);
}

/* Forwarded: for=192.0.2.1;host="example.com:8080";proto=http, for=10.0.0.2 (RFC 7239, 4). */
static struct slice forwarded(
	struct request *request, const struct hops *hops, struct slice host, struct slice proto)
{
	char *text = arena_alloc(
		&request->arena, hops->length + 16 * hops->count + host.len + proto.len + 32);
	char *to = put_for(text, hops->addresses[0]);
	if (host.len && !memchr(host.ptr, '"', host.len) && !memchr(host.ptr, '\\', host.len)) {
		bool quoted = !token_valid(host);
		to = h1_put(to, quoted ? SLICE(";host=\"") : SLICE(";host="));
		to = h1_put(to, host);
		if (quoted)
			*to++ = '"';
	}
	to = h1_put(h1_put(to, SLICE(";proto=")), proto);
	for (unsigned i = 1; i < hops->count; i++)
		to = put_for(h1_put(to, SLICE(", ")), hops->addresses[i]);
	return (struct slice){text, (size_t)(to - text)};
}

static struct slice scheme_of(const struct request *request)
{
	return client_scheme(request) == SCHEME_HTTPS ? SLICE("https") : SLICE("http");
}

/* The host that the client asked for, where proxies in front have changed it. */
static struct slice asked_host(const struct request *request, struct slice host)
{
	return request->trail && request->trail->host.len ? request->trail->host : host;
}

static void add_identity(struct request *request, struct slice host, struct fields *fields)
{
	struct arena *arena = &request->arena;
	struct hops hops = hops_of(request);
	struct slice addresses = address_list(request, &hops);
	struct slice proto = scheme_of(request);
	if (addresses.len)
		fields_add(fields, arena, FIELD_X_FORWARDED_FOR, addresses);
	fields_add(fields, arena, FIELD_X_FORWARDED_PROTO, proto);
	if (host.len)
		fields_add(fields, arena, FIELD_X_FORWARDED_HOST, host);
	fields_add(fields, arena, FIELD_FORWARDED, forwarded(request, &hops, host, proto));
	identity_add_certificate(request, fields);
}

static bool counts_hops(const struct request *request)
{
	return request->method == METHOD_OPTIONS || request->method == METHOD_TRACE;
}

static bool max_forwards(const struct request *request, uint64_t *hops)
{
	const struct field *field =
		counts_hops(request) ? fields_find(&request->fields, FIELD_MAX_FORWARDS) : NULL;
	return field && slice_number(field->value, hops) == 0;
}

bool forward_ends_here(const struct request *request)
{
	uint64_t hops;
	return max_forwards(request, &hops) && hops == 0;
}

static void add_hops(struct request *request, struct fields *fields)
{
	const struct field *field = fields_find(&request->fields, FIELD_MAX_FORWARDS);
	uint64_t hops;
	if (!field)
		return;
	struct slice value = field->value;
	if (max_forwards(request, &hops))
		value = arena_format(&request->arena, "%llu", (unsigned long long)hops - 1);
	fields_add(fields, &request->arena, FIELD_MAX_FORWARDS, value);
}

/* The path as it was routed, with its query; the client's own text where they are the same bytes. */
static struct slice target_of(struct request *request)
{
	const struct target *t = &request->target;
	if (!t->query.ptr)
		return t->path;
	if (t->path.ptr + t->path.len + 1 == t->query.ptr && t->query.ptr[-1] == '?')
		return (struct slice){t->path.ptr, t->path.len + 1 + t->query.len};
	char *text = arena_alloc(&request->arena, t->path.len + 1 + t->query.len);
	char *to = h1_put(text, t->path);
	*to++ = '?';
	to = h1_put(to, t->query);
	return (struct slice){text, (size_t)(to - text)};
}

static unsigned circles(const struct fields *fields)
{
	if (!fields_find(fields, FIELD_VIA))
		return 0;
	unsigned count = 0;
	for (unsigned i = 0; i < fields->count; i++) {
		struct slice list = fields->list[i].value, member;
		if (fields->list[i].id != FIELD_VIA)
			continue;
		while (list_next(&list, &member))
			count += slice_equal(member, SLICE("1.1 " VIA_NAME)) ||
				 slice_equal(member, SLICE("1.0 " VIA_NAME)) ||
				 slice_equal(member, SLICE("2.0 " VIA_NAME));
	}
	return count;
}

/* RFC 9110, 7.6.3: the version in which the request came. */
static struct slice via_of(const struct request *request)
{
	if (request->major >= 2)
		return SLICE("2.0 " VIA_NAME);
	return request->minor ? SLICE("1.1 " VIA_NAME) : SLICE("1.0 " VIA_NAME);
}

unsigned forward_request(
	struct request *request, const struct upstream *upstream, struct origin_request *out)
{
	struct arena *arena = &request->arena;
	struct fields *from = &request->fields;
	if (circles(from) >= CIRCLES_MAX)
		return 508;
	*out = (struct origin_request){
		.arena = arena,
		.method = request->method_name,
		.method_id = request->method,
		.target = target_of(request),
		.length = request->length,
		/* an error's page is no tunnel */
		.upgrade = request->x.status ? (struct slice){NULL, 0} : request->upgrade,
		.expect_continue = request->expect_continue,
		.want_trailers = fields_have_token(from, FIELD_TE, SLICE("trailers")),
	};
	/* what `Connection` names must go, and the client's list stay whole for logs and error pages */
	struct fields kept = *from;
	if (fields_find(from, FIELD_CONNECTION) || fields_find(from, FIELD_TE) ||
		fields_find(from, FIELD_UPGRADE) || fields_find(from, FIELD_KEEP_ALIVE) ||
		fields_find(from, FIELD_PROXY_CONNECTION)) {
		kept.list = arena_alloc(arena, from->count * sizeof(from->list[0]));
		kept.capacity = from->count;
		memcpy(kept.list, from->list, from->count * sizeof(from->list[0]));
		framing_remove_hop(&kept, arena);
	}
	out->fields.capacity = kept.count + 11;
	out->fields.list = arena_alloc(arena, out->fields.capacity * sizeof(out->fields.list[0]));
	const struct field *host = fields_find(from, FIELD_HOST);
	struct slice named = host ? host->value : SLICE("");
	fields_add(&out->fields, arena, FIELD_HOST,
		named.len ? named : upstream->servers[0].authority);
	for (unsigned i = 0; i < kept.count; i++)
		if (passes(request, &kept.list[i]))
			out->fields.list[out->fields.count++] = kept.list[i];
	add_identity(request, asked_host(request, named), &out->fields);
	add_hops(request, &out->fields);
	fields_add(&out->fields, arena, FIELD_VIA, via_of(request));
	return 0;
}

/* --- The answer. --- */

static bool tells_software(const struct field *field)
{
	return field->id == FIELD_SERVER || field->id == FIELD_X_POWERED_BY ||
	       (field->id == FIELD_OTHER && starts_nocase(field->name, SLICE("X-AspNet")));
}

/* The rest of a URI that names one of the servers, from its path on; ptr NULL: it names somebody else. */
static struct slice behind_server(struct slice uri, const struct upstream *upstream)
{
	struct slice rest = {NULL, 0};
	if (starts_nocase(uri, SLICE("http://")))
		uri = slice_from(uri, 7);
	else if (starts_nocase(uri, SLICE("//")))
		uri = slice_from(uri, 2);
	else
		return rest;
	for (size_t i = 0; i < upstream->server_count; i++) {
		struct slice name = upstream->servers[i].authority;
		if (upstream->servers[i].addresses[0].any.sa_family == AF_UNIX ||
			!starts_nocase(uri, name))
			continue;
		rest = slice_from(uri, name.len);
		if (rest.len == 0 || rest.ptr[0] == '/' || rest.ptr[0] == '?' || rest.ptr[0] == '#')
			return rest;
	}
	return (struct slice){NULL, 0};
}

/* Location and Content-Location that name the backend name this site instead. */
static struct slice own_location(
	struct request *request, const struct upstream *upstream, struct slice uri)
{
	const struct field *host = fields_find(&request->fields, FIELD_HOST);
	struct slice rest = behind_server(uri, upstream);
	struct slice name = asked_host(request, host ? host->value : SLICE(""));
	struct slice scheme = scheme_of(request);
	if (!rest.ptr || !name.len)
		return uri;
	return arena_format(&request->arena, "%.*s://%.*s%.*s", (int)scheme.len, scheme.ptr,
		(int)name.len, name.ptr, (int)rest.len, rest.ptr);
}

/* RFC 9110, 6.6.1: it says when the answer was made, and caches reckon by it. What is no date in the form that is sent today is replaced. */
static bool is_usual_date(struct slice value)
{
	return value.len == 29 && slice_ends(value, SLICE(" GMT"));
}

void forward_response(
	struct request *request, const struct upstream *upstream, const struct origin_response *in)
{
	struct response *response = &request->response;
	struct fields *to = &response->fields;
	response->status = in->status;
	response->reason = in->reason;
	response->length = in->length;
	if (!request->x.status) /* an error's page says what the error does */
		response->upgrade = in->upgrade;
	to->capacity = in->fields.count + to->count + 4;
	struct field *list = arena_alloc(&request->arena, to->capacity * sizeof(list[0]));
	if (to->count)
		memcpy(list, to->list, to->count * sizeof(list[0]));
	to->list = list;
	bool dated = false;
	for (unsigned i = 0; i < in->fields.count; i++) {
		struct field field = in->fields.list[i];
		if (tells_software(&field) ||
			(field.id == FIELD_DATE && (dated || !is_usual_date(field.value))))
			continue;
		dated = dated || field.id == FIELD_DATE;
		if (field.id == FIELD_LOCATION || field.id == FIELD_CONTENT_LOCATION)
			field.value = own_location(request, upstream, field.value);
		list[to->count++] = field;
	}
}

void forward_interim(struct fields *fields)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < fields->count; i++)
		if (!tells_software(&fields->list[i]))
			fields->list[kept++] = fields->list[i];
	fields->count = kept;
}

void forward_trailers(struct fields *fields)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < fields->count; i++) {
		const struct field *field = &fields->list[i];
		/* the fields that weir knows are those of heads (RFC 9110, 6.5.1) */
		if ((field->id == FIELD_OTHER || field->id == FIELD_ETAG) &&
			!tells_software(field) && !identity_claimed(field) &&
			!memchr(field->name.ptr, '_', field->name.len))
			fields->list[kept++] = *field;
	}
	fields->count = kept;
}
