/* SPDX-License-Identifier: BSD-2-Clause */
/* Which listener a client of a URL reaches. Names are not looked up: that would send something, and tell what another machine may see
 * differently. */
#include <arpa/inet.h>
#include <time.h>

#include "http/route.h"
#include "io/tls_cred.h"
#include "question_priv.h"

/* How a listener is reached by the URL. */
enum reach {
	REACH_NOT,
	REACH_MAYBE,   /* its address may be one of the name's */
	REACH_ANY,     /* it takes all addresses of the machine */
	REACH_EXACTLY, /* it is the address, or localhost's */
};

static int port_of(const struct address *a)
{
	if (a->any.sa_family == AF_INET)
		return ntohs(a->v4.sin_port);
	return a->any.sa_family == AF_INET6 ? ntohs(a->v6.sin6_port) : -1;
}

/* Does the host name an address: 192.0.2.1, or [2001:db8::1]? */
static bool literal(struct slice host, struct address *address)
{
	char text[INET6_ADDRSTRLEN];
	bool v6 = host.len > 2 && host.ptr[0] == '[';
	if (v6)
		host = (struct slice){host.ptr + 1, host.len - 2};
	if (host.len >= sizeof text)
		return false;
	memcpy(text, host.ptr, host.len);
	text[host.len] = '\0';
	*address = (struct address){0};
	address->any.sa_family = v6 ? AF_INET6 : AF_INET;
	return v6 ? inet_pton(AF_INET6, text, &address->v6.sin6_addr) == 1
		  : inet_pton(AF_INET, text, &address->v4.sin_addr) == 1;
}

static bool takes_any(const struct listener_settings *l, sa_family_t family)
{
	if (l->wildcard)
		return true;
	if (l->address.any.sa_family != family && family != AF_UNSPEC)
		return false;
	return l->address.any.sa_family == AF_INET
		       ? l->address.v4.sin_addr.s_addr == htonl(INADDR_ANY)
		       : IN6_IS_ADDR_UNSPECIFIED(&l->address.v6.sin6_addr);
}

static bool is_loopback(const struct address *a)
{
	return a->any.sa_family == AF_INET ? ntohl(a->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET
					   : IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
}

static bool same_host(const struct address *a, const struct address *b)
{
	if (a->any.sa_family != b->any.sa_family)
		return false;
	return a->any.sa_family == AF_INET ? a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr
					   : IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr);
}

static enum reach reach_of(const struct listener_settings *l, const struct asked *asked)
{
	struct address address;
	if (l->scheme != asked->scheme || port_of(&l->address) != asked->port)
		return REACH_NOT;
	if (literal(asked->host, &address)) {
		if (same_host(&l->address, &address))
			return REACH_EXACTLY;
		return takes_any(l, address.any.sa_family) ? REACH_ANY : REACH_NOT;
	}
	bool local = slice_equal(asked->host, SLICE("localhost"));
	if (takes_any(l, AF_UNSPEC))
		return REACH_ANY;
	if (is_loopback(&l->address))
		return local ? REACH_EXACTLY : REACH_MAYBE;
	return local ? REACH_NOT : REACH_MAYBE;
}

/* Which of those that may be reached is the likeliest, where only the name's address could tell: one whose sites have the host by name,
 * then one with a site for any host. */
static unsigned likelihood(
	const struct listener_settings *l, const struct asked *asked, struct slice host)
{
	struct slice pattern;
	enum reach reach = reach_of(l, asked);
	if (reach == REACH_NOT || reach == REACH_EXACTLY)
		return reach == REACH_NOT ? 0 : 100;
	const struct site *site = route_site(l, host, &pattern);
	return (unsigned)reach + (!site ? 0 : pattern.ptr ? 20 : 10);
}

static const struct listener_settings *all_sites(
	const struct snapshot *snapshot, struct arena *arena)
{
	struct listener_settings *all = arena_zalloc(arena, sizeof *all);
	const struct site **sites = arena_alloc(arena, (snapshot->site_count + 1) * sizeof(*sites));
	for (size_t i = 0; i < snapshot->site_count; i++) {
		sites[i] = &snapshot->sites[i];
		if (!all->fallback && sites[i]->host_count == 0)
			all->fallback = sites[i];
	}
	all->sites = sites;
	all->site_count = snapshot->site_count;
	return all;
}

static const char *scheme_of(enum scheme scheme)
{
	return scheme == SCHEME_HTTPS ? "https" : "http";
}

const struct listener_settings *question_listener(const struct snapshot *snapshot,
	const struct asked *asked, struct slice host, struct arena *arena, struct explanation *e)
{
	static const char *const reasons[] = {
		[REACH_MAYBE] = "it has the URL's port, and its address may be one of the name's",
		[REACH_ANY] = "it has the URL's port at all addresses",
		[REACH_EXACTLY] = "it has the URL's address and port",
	};
	const struct listener_settings *best = NULL;
	unsigned most = 0, count = 0;
	for (size_t i = 0; i < snapshot->listener_count; i++) {
		unsigned likely = likelihood(&snapshot->listeners[i], asked, host);
		count += likely > 0;
		if (likely > most) {
			best = &snapshot->listeners[i];
			most = likely;
		}
	}
	explain_group(e, "listener");
	if (best) {
		explain_format(e, "address", "%s://%.*s", scheme_of(best->scheme),
			(int)best->text.len, best->text.ptr);
		enum reach reach = reach_of(best, asked);
		explain_format(e, "why", "%s%s", reasons[reach],
			count > 1 && reach != REACH_EXACTLY
				? "; of several it is the one whose sites know the host best"
				: "");
	} else {
		explain_nothing(e, "address");
		explain_format(e, "why",
			"nobody listens for %s at %.*s, port %d; the sites of all listeners are "
			"looked through",
			scheme_of(asked->scheme), (int)asked->host.len, asked->host.ptr,
			asked->port);
	}
	explain_close(e);
	return best ? best : all_sites(snapshot, arena);
}

/* --- TLS. --- */

static void tell_certificate(void *context, const struct tls_certificate_facts *facts)
{
	struct explanation *e = context;
	char day[32] = "?";
	struct tm tm;
	if (gmtime_r(&facts->ends, &tm))
		strftime(day, sizeof(day), "%Y-%m-%d", &tm);
	const char *path = facts->pair->certificate_path.ptr;
	if (facts->stand_in)
		explain_format(e, NULL, "%s (%s)", path,
			facts->pair->acme ? "not obtained yet" : "its key cannot be read by you");
	else
		explain_format(e, NULL, "%s (%s, until %s)", path, facts->kind, day);
}

const struct tls_settings *question_tls(const struct tls_store *store,
	const struct snapshot *snapshot, const struct listener_settings *listener,
	const struct asked *asked, struct explanation *e)
{
	static const char *const words[] = {"off", "optional", "required"};
	struct address address;
	size_t at = (size_t)(listener - snapshot->listeners);
	if (!store || asked->scheme != SCHEME_HTTPS || at >= snapshot->listener_count)
		return NULL;
	/* an address is no name that a client says */
	struct slice name = literal(asked->host, &address) ? (struct slice){NULL, 0} : asked->host;
	const struct tls_context *found = tls_store_find(store, listener, name);
	explain_group(e, "tls");
	if (name.len)
		explain_text(e, "name", name);
	else
		explain_nothing(e, "name");
	explain_list(e, "certificates");
	tls_context_each(found, tell_certificate, e);
	explain_close(e);
	explain_text(e, "client_auth", slice_of(words[found->rules->client_auth]));
	explain_close(e);
	return found->rules;
}
