/* SPDX-License-Identifier: BSD-2-Clause */
/* https_only: what comes in clear is sent to the same place over TLS. An authority's question whether the host is ours is answered in
 * clear: whoever asks it would follow, but the certificate is not there yet. */
#include "handlers/https_only.h"

#include <arpa/inet.h>

#include "http/client.h"
#include "http/explain.h"
#include "http/respond.h"

enum { HTTPS_PORT = 443 };

struct https_only_settings {
	bool on;
	int port; /* of the redirect; 0: the scheme's own */
};

static const struct option rows[] = {
	{.name = "https_only",
		.type = OPTION_BOOL,
		.offset = offsetof(struct https_only_settings, on),
		.preset = "off",
		.example = "on",
		.prose = "What is asked for in clear is answered by a redirect (308) to the same "
			 "host and path over https: at port 443 if the site listens there, else at "
			 "its first address with https. Challenges of ACME are answered in clear."},
	{0},
};

static const struct option_set https_only_options = {
	.owner = "https_only",
	.place = OPTION_SITE,
	.size = sizeof(struct https_only_settings),
	.rows = rows,
};

static int port_of(const struct address *address)
{
	return address->any.sa_family == AF_INET    ? ntohs(address->v4.sin_port)
	       : address->any.sa_family == AF_INET6 ? ntohs(address->v6.sin6_port)
						    : 0;
}

/* The port at which the site is had over TLS; -1: nowhere. */
static int https_port(const struct snapshot *snapshot, const struct site *site)
{
	int port = -1;
	for (size_t i = 0; i < snapshot->listener_count; i++) {
		const struct listener_settings *listener = &snapshot->listeners[i];
		if (listener->scheme != SCHEME_HTTPS || !listener_has_site(listener, site))
			continue;
		int own = port_of(&listener->address);
		if (port < 0 || own == HTTPS_PORT)
			port = own;
	}
	return port;
}

static int configure(
	struct load *load, struct snapshot *snapshot, const struct scope *scope, void *settings)
{
	struct https_only_settings *s = settings;
	const struct node *node = node_member(scope->node, "https_only");
	int port = https_port(snapshot, scope->site);
	bool proxied = snapshot->core.trusted.count > 0 || snapshot->core.trusted.local;
	s->port = port == HTTPS_PORT || port < 0 ? 0 : port;
	if (!s->on)
		return 0;
	if (node && port < 0 && !proxied)
		return load_error(load, node,
			"this site has no address with https to send clients to: write listen: "
			"[\"http://:80\", \"https://:443\"]");
	return 1;
}

/* The host that is named in the redirect: the one that was asked for, else the site's own. */
static struct slice host_of(const struct request *request)
{
	const struct site *site = request->site;
	if (request->trail && request->trail->host.len) {
		const char *colon = memchr(request->trail->host.ptr, ':', request->trail->host.len);
		if (!colon)
			return request->trail->host;
	}
	if (request->host.len)
		return request->host;
	for (size_t i = 0; i < site->host_count; i++)
		if (site->hosts[i].ptr[0] != '*')
			return site->hosts[i];
	return SLICE("");
}

static enum verdict handle(struct request *request)
{
	const struct https_only_settings *s = handler_settings(request, &https_only_handler);
	struct slice path = request->target.path, query = request->target.query;
	struct slice host = host_of(request);
	char port[16] = "";
	if (client_scheme(request) == SCHEME_HTTPS) {
		explain_text(request->explanation, "why", SLICE("it came over TLS"));
		return PASS;
	}
	if (slice_starts(path, SLICE("/.well-known/acme-challenge/"))) {
		explain_text(
			request->explanation, "why", SLICE("a challenge is answered in clear"));
		return PASS;
	}
	explain_text(request->explanation, "why", SLICE("it came in clear"));
	if (host.len == 0) { /* HTTP/1.0 without Host: nobody knows where to */
		respond_status(request, 400);
		return TAKEN;
	}
	if (s->port)
		port[0] = ':', port[1 + bytes_decimal(port + 1, (uint64_t)s->port)] = 0;
	bool has_query = query.ptr && query.len;
	respond_redirect(request, 308,
		arena_format(&request->arena, "https://%.*s%s%.*s%s%.*s", (int)host.len, host.ptr,
			port, (int)path.len, path.ptr, has_query ? "?" : "",
			has_query ? (int)query.len : 0, has_query ? query.ptr : ""));
	return TAKEN;
}

const struct handler https_only_handler = {
	.name = "https_only",
	.site_options = &https_only_options,
	.configure = configure,
	.handle = handle,
};
