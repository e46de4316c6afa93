/* SPDX-License-Identifier: BSD-2-Clause */
/* Who asks. Lists of proxies are read from their right end, where the peer wrote: what stands further left may be anybody's, and is
 * looked at only while all to the right of it are proxies that are trusted. */
#include "http/client.h"

#include <arpa/inet.h>

#include "http/carrier.h"
#include "http/handler.h"

#define TRAIL_MAX 64 /* proxies of one request that are looked at */

/* One walk along a list, from the right. */
struct walk {
	struct request *request;
	const struct trusted_proxies *trusted;
	struct address client; /* the last good one */
	unsigned count;
	struct slice found[TRAIL_MAX]; /* the peer's neighbour first */
	struct slice proto, host;      /* that stand beside the last good one */
};

static bool is_trusted(const struct trusted_proxies *trusted, const struct address *address)
{
	if (address->any.sa_family != AF_INET && address->any.sa_family != AF_INET6)
		return trusted->local;
	for (size_t i = 0; i < trusted->count; i++)
		if (network_holds(&trusted->networks[i], address))
			return true;
	return false;
}

/* --- Addresses. --- */

size_t client_text(const struct address *address, char *to)
{
	if (address->any.sa_family == AF_INET) {
		const unsigned char *octets = (const unsigned char *)&address->v4.sin_addr;
		char *at = to;
		for (int i = 0; i < 4; i++) {
			at += bytes_decimal(at, octets[i]);
			*at++ = '.';
		}
		return (size_t)(at - 1 - to);
	}
	if (address->any.sa_family == AF_INET6 &&
		inet_ntop(AF_INET6, &address->v6.sin6_addr, to, INET6_ADDRSTRLEN))
		return strlen(to);
	return 0;
}

static bool is_port(struct slice text)
{
	uint64_t port;
	return text.len >= 2 && text.len <= 6 && text.ptr[0] == ':' &&
	       slice_number(slice_from(text, 1), &port) == 0 && port <= UINT16_MAX;
}

/* "192.0.2.1", "2001:db8::1", "[2001:db8::1]", the first and the last with a port too, which says nothing here. */
static bool read_address(struct slice text, struct address *address)
{
	struct slice port = {NULL, 0};
	const char *end = text.len ? memchr(text.ptr, ':', text.len) : NULL;
	if (text.len && text.ptr[0] == '[') {
		end = memchr(text.ptr, ']', text.len);
		if (!end)
			return false;
		port = slice_from(text, (size_t)(end - text.ptr) + 1);
		text = (struct slice){text.ptr + 1, (size_t)(end - text.ptr) - 1};
		if (!memchr(text.ptr, ':', text.len))
			return false;
	} else if (end && !memchr(end + 1, ':', text.len - (size_t)(end - text.ptr) - 1)) {
		port = slice_from(text, (size_t)(end - text.ptr));
		text.len = (size_t)(end - text.ptr);
	}
	return (!port.len || is_port(port)) && value_ip(text, address) == 0;
}

/* --- Lists. --- */

/* Where the last member of a list begins: behind its last comma that stands in no quoted string. Strings are found from their ends, so
 * that one which somebody has left open further left changes nothing here. */
static size_t last_member(struct slice list)
{
	bool quoted = false;
	for (size_t i = list.len; i > 0; i--) {
		char c = list.ptr[i - 1];
		size_t strokes = 0;
		if (c == ',' && !quoted)
			return i;
		if (c != '"')
			continue;
		while (quoted && strokes < i - 1 && list.ptr[i - 2 - strokes] == '\\')
			strokes++;
		if (strokes % 2 == 0)
			quoted = !quoted;
	}
	return 0;
}

/* Takes the last member that is not empty off a list. False: there is none. */
static bool take_last(struct slice *list, struct slice *member)
{
	while (list->len > 0) {
		size_t begin = last_member(*list);
		*member = slice_trim(slice_from(*list, begin));
		list->len = begin ? begin - 1 : 0;
		if (member->len)
			return true;
	}
	return false;
}

/* The last member of a field that is a list over several lines; ptr NULL: there is none. */
static struct slice last_of(const struct walk *w, enum field_id id)
{
	struct slice list = fields_joined(&w->request->fields, &w->request->arena, id), member;
	return take_last(&list, &member) ? member : (struct slice){NULL, 0};
}

/* One more address. True: the one before it may be believed as well. */
static bool step(struct walk *w, struct slice text)
{
	struct address address;
	if (!read_address(text, &address))
		return false;
	char *own = arena_alloc(&w->request->arena, INET6_ADDRSTRLEN);
	w->client = address;
	w->found[w->count++] = (struct slice){own, client_text(&address, own)};
	return w->count < TRAIL_MAX && is_trusted(w->trusted, &address);
}

/* RFC 7239, 4: for, proto, host of one element. -1: it is malformed, or says whom it is for more than once. */
static int read_element(struct arena *arena, struct slice element, struct slice *for_whom,
	struct slice *proto, struct slice *host)
{
	struct slice rest = arena_format(arena, ";%.*s", (int)element.len, element.ptr);
	struct slice name, value;
	*for_whom = *proto = *host = (struct slice){NULL, 0};
	while (parameter_next(&rest, &name, &value)) {
		struct slice *to = slice_equal_nocase(name, SLICE("for"))     ? for_whom
				   : slice_equal_nocase(name, SLICE("proto")) ? proto
				   : slice_equal_nocase(name, SLICE("host"))  ? host
									      : NULL;
		if (to && to->ptr)
			return -1;
		if (to)
			*to = value;
	}
	return rest.len ? -1 : 0;
}

static void walk_forwarded(struct walk *w, struct slice list)
{
	struct slice element, for_whom, proto, host;
	while (take_last(&list, &element)) {
		if (read_element(&w->request->arena, element, &for_whom, &proto, &host))
			return;
		unsigned before = w->count;
		bool more = step(w, for_whom);
		if (w->count > before || before == 0) {
			w->proto = proto;
			w->host = host;
		}
		if (!more)
			return;
	}
}

/* Proto and host have fields of their own, to which some proxies append and which some pass on, so that no count of members is safe: what the
 * nearest one says stands last. */
static void walk_x_forwarded(struct walk *w, struct slice list)
{
	struct slice member;
	while (take_last(&list, &member) && step(w, member))
		;
	w->proto = last_of(w, FIELD_X_FORWARDED_PROTO);
	w->host = last_of(w, FIELD_X_FORWARDED_HOST);
}

/* --- What becomes of it. --- */

static struct slice good_proto(struct slice text)
{
	if (slice_equal_nocase(text, SLICE("https")))
		return SLICE("https");
	return slice_equal_nocase(text, SLICE("http")) ? SLICE("http") : SLICE("");
}

static struct slice good_host(struct slice text, struct arena *arena)
{
	struct slice host;
	int port;
	return text.len && host_parse(text, arena, &host, &port) == 0 ? text : SLICE("");
}

static void take_trail(struct walk *w)
{
	struct arena *arena = &w->request->arena;
	struct trail *trail = arena_zalloc(arena, sizeof *trail);
	trail->proto = good_proto(w->proto);
	trail->host = good_host(w->host, arena);
	trail->count = w->count;
	w->request->trail = trail;
	if (!w->count)
		return;
	trail->addresses = arena_alloc(arena, w->count * sizeof(trail->addresses[0]));
	for (unsigned i = 0; i < w->count; i++)
		trail->addresses[i] = w->found[w->count - 1 - i];
	struct address *client = arena_alloc(arena, sizeof *client);
	*client = w->client;
	w->request->client = client;
}

void client_identify(struct request *request)
{
	const struct trusted_proxies *trusted = &request->thread->snapshot->core.trusted;
	request->client = request->peer->address;
	/* the fields of a head that could not be read may not be all that the proxy sent */
	if ((!trusted->count && !trusted->local) || !request->major ||
		!is_trusted(trusted, request->peer->address))
		return;
	struct walk w;
	w.request = request;
	w.trusted = trusted;
	w.count = 0;
	w.proto = w.host = (struct slice){NULL, 0};
	const struct fields *fields = &request->fields;
	struct slice addresses = fields_joined(fields, &request->arena, FIELD_X_FORWARDED_FOR);
	struct slice elements = fields_joined(fields, &request->arena, FIELD_FORWARDED);
	if (addresses.ptr || !elements.ptr)
		walk_x_forwarded(&w, addresses);
	else
		walk_forwarded(&w, elements);
	take_trail(&w);
}

enum scheme client_scheme(const struct request *request)
{
	if (!request->trail || !request->trail->proto.len)
		return request->peer->scheme;
	return request->trail->proto.len == 5 ? SCHEME_HTTPS : SCHEME_HTTP;
}
