/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads the keys `upstreams` and `proxy`: addresses of servers, how long to wait for them, which site asks whom. */
#include "handlers/proxy/upstream.h"

#include <netinet/in.h>

#include "base/check.h"
#include "io/resolve.h"

/* The presets again as numbers, for addresses that `proxy` names without an upstream. */
#define KEEPALIVE        64
#define CONNECT_TIMEOUT  2000
#define RESPONSE_TIMEOUT 60000
#define IDLE_TIMEOUT     60000
#define TUNNEL_TIMEOUT   3600000

#define ADDRESS_FORM "“127.0.0.1:3000”, “app.internal:3000”, “[::1]:3000” or “unix:/run/app.sock”"
#define ADDRESS_SCHEMA                                                                             \
	"{\"type\":\"string\",\"pattern\":\"^(http://)?(unix:/.+|[0-9A-Za-z_.-]+(:[0-9]+)?|"       \
	"\\\\[[0-9a-fA-F:.]+\\\\](:[0-9]+)?)/?$\"}"
#define SERVER_SCHEMA                                                                              \
	"{\"oneOf\":[" ADDRESS_SCHEMA ",{\"type\":\"object\",\"required\":[\"address\"],"          \
	"\"additionalProperties\":false,\"properties\":{\"address\":" ADDRESS_SCHEMA "}}]}"

/* --- Addresses. --- */

static struct slice without_prefix(struct slice s, struct slice prefix)
{
	return slice_starts(s, prefix) ? slice_from(s, prefix.len) : s;
}

static const char *last_octet(struct slice s, char octet)
{
	return s.ptr ? memrchr(s.ptr, octet, s.len) : NULL;
}

/* The part before the port. */
static struct slice host_of(struct slice authority)
{
	const char *colon = last_octet(authority, ':');
	return (struct slice){
		authority.ptr, colon ? (size_t)(colon - authority.ptr) : authority.len};
}

/* Is it a name, which has to be looked up, or meant as one? */
static bool is_name(struct slice host)
{
	if (host.len == 0 || host.ptr[0] == '[')
		return false;
	for (size_t i = 0; i < host.len; i++) {
		char c = host.ptr[i];
		if (c == ':')
			return false;
		if (c != '.' && (c < '0' || c > '9'))
			return true;
	}
	return false;
}

static int local_host(struct load *load, const struct node *node, struct slice port,
	struct upstream_server *server)
{
	static const struct slice hosts[] = {{"127.0.0.1:", 10}, {"[::1]:", 6}};
	const char *expected;
	bool wildcard;
	for (size_t i = 0; i < COUNT_OF(hosts); i++) {
		struct slice text = arena_format(load_arena(load), "%.*s%.*s", (int)hosts[i].len,
			hosts[i].ptr, (int)port.len, port.ptr);
		if (value_address(text, &server->addresses[i], &wildcard, &expected))
			return load_error(
				load, node, "not a port: “%.*s”", (int)port.len, port.ptr);
	}
	server->address_count = 2;
	return 0;
}

static bool has_port(struct slice authority)
{
	const char *colon = last_octet(authority, ':');
	const char *bracket = last_octet(authority, ']');
	return colon && (!bracket || bracket < colon);
}

static int numeric_host(struct load *load, const struct node *node, struct upstream_server *server)
{
	const char *expected;
	bool wildcard = false;
	struct slice a = server->authority;
	if (value_address(a, &server->addresses[0], &wildcard, &expected) || wildcard)
		return load_error(load, node,
			"“%.*s” is not the address of a server; write " ADDRESS_FORM, (int)a.len,
			a.ptr);
	server->address_count = 1;
	return 0;
}

static int named_host(struct load *load, const struct node *node, struct slice authority,
	struct upstream_server *server)
{
	struct address port;
	const char *expected;
	bool wildcard;
	struct slice host = host_of(authority);
	if (!resolve_name_valid(host))
		return load_error(load, node,
			"“%.*s” is not the name of a server; write " ADDRESS_FORM, (int)host.len,
			host.ptr);
	if (!has_port(authority))
		return load_error(
			load, node, "a port is needed: write “%.*s:80”", (int)host.len, host.ptr);
	struct slice text = arena_format(load_arena(load), "127.0.0.1%.*s",
		(int)(authority.len - host.len), authority.ptr + host.len);
	if (value_address(text, &port, &wildcard, &expected))
		return load_error(load, node, "not a port: “%.*s”",
			(int)(authority.len - host.len - 1), authority.ptr + host.len + 1);
	server->name = host;
	server->port = ntohs(port.v4.sin_port);
	return 0;
}

/* Fills a server from the text of a scalar. 0, or -1 after load_error. */
static int server_address(
	struct load *load, const struct node *node, struct upstream_server *server)
{
	struct slice text = arena_slice(load_arena(load), node_text(node));
	*server = (struct upstream_server){.text = text, .node = node};
	if (slice_starts(text, SLICE("https://")))
		return load_error(
			load, node, "TLS to backends is not supported: write an http:// address");
	if (slice_starts(text, SLICE("srv+")))
		return load_error(
			load, node, "DNS SRV names are not supported: write " ADDRESS_FORM);
	struct slice a = without_prefix(text, SLICE("http://"));
	bool url = a.len != text.len;
	if (slice_starts(a, SLICE("unix:"))) {
		server->authority = a;
		if (numeric_host(load, node, server))
			return -1;
		server->authority = SLICE("localhost");
		return 0;
	}
	if (url && a.len && a.ptr[a.len - 1] == '/')
		a.len--;
	if (a.len && memchr(a.ptr, '/', a.len))
		return load_error(load, node,
			"a backend has no path: requests reach it as the client sent them; write "
			"“http://%.*s”",
			(int)((const char *)memchr(a.ptr, '/', a.len) - a.ptr), a.ptr);
	server->authority = a;
	if (url && a.len && !has_port(a))
		a = arena_format(load_arena(load), "%.*s:80", (int)a.len, a.ptr);
	if (slice_starts(a, SLICE("localhost:")))
		return local_host(load, node, slice_from(a, 10), server);
	if (is_name(host_of(a)))
		return named_host(load, node, a, server);
	struct slice written = server->authority;
	server->authority = a;
	int result = numeric_host(load, node, server);
	server->authority = written;
	return result;
}

static const struct option server_rows[];

/* A scalar, or a mapping with `address`. */
static int server_parse(struct load *load, const struct node *node, struct upstream_server *server)
{
	if (node_kind(node) == NODE_SCALAR)
		return server_address(load, node, server);
	if (node_kind(node) == NODE_MAPPING)
		return load_rows(load, node, server_rows, server);
	return load_error(load, node, "a server is an address or a mapping with `address`");
}

static int address_key_parse(struct load *load, const struct node *node, void *target)
{
	if (node_kind(node) != NODE_SCALAR)
		return load_error(load, node, "an address is a text such as " ADDRESS_FORM);
	return server_address(load, node, target);
}

static const struct option server_rows[] = {
	{.name = "address",
		.type = OPTION_CUSTOM,
		.flags = OPTION_REQUIRED,
		.offset = 0,
		.parse = address_key_parse,
		.schema = ADDRESS_SCHEMA,
		.example = "127.0.0.1:3000",
		.prose =
			"Where the server listens: an address or a name with a port, or the path of a Unix "
			"socket behind unix:. A name is looked up in the hosts file and by DNS while weir "
			"runs, and again whenever its time to live ends; all its addresses are asked in turn. "
			"While it has none the server is down."},
	{0},
};

/* Servers of a list, or of one scalar or mapping. */
static int servers_parse(struct load *load, const struct node *node, struct upstream *upstream)
{
	bool list = node_kind(node) == NODE_LIST;
	size_t count = list ? node_count(node) : 1;
	if (count == 0)
		return load_error(load, node, "at least one server is needed");
	upstream->servers = arena_zalloc(load_arena(load), count * sizeof(upstream->servers[0]));
	upstream->server_count = count;
	int result = 0;
	for (size_t i = 0; i < count; i++)
		if (server_parse(load, list ? node_item(node, i) : node, &upstream->servers[i]))
			result = -1;
	return result;
}

/* --- upstreams --- */

static int servers_key_parse(struct load *load, const struct node *node, void *target)
{
	/* the row's offset is 0: `target` is the whole upstream, of which this writes two members */
	return servers_parse(load, node, target);
}

static const struct option timeout_rows[] = {
	{.name = "connect",
		.type = OPTION_DURATION,
		.offset = offsetof(struct upstream, connect_timeout),
		.min = 1,
		.max = 600000,
		.preset = "2s",
		.example = "500ms",
		.prose =
			"How long a connection may take to be made before the next server is tried."},
	{.name = "response",
		.type = OPTION_DURATION,
		.offset = offsetof(struct upstream, response_timeout),
		.min = 1,
		.max = 86400000,
		.preset = "60s",
		.example = "5m",
		.prose =
			"How long weir waits for a backend, else 504: for the whole head of an answer since the request was sent, or since an interim "
			"answer; between two parts of its body, which then ends unfinished; and for it to take more of the request. What the "
			"client takes to send or to read does not count, and streams of server-sent events may be silent for any time."},
	{.name = "idle",
		.type = OPTION_DURATION,
		.offset = offsetof(struct upstream, idle_timeout),
		.min = 1,
		.max = 86400000,
		.preset = "60s",
		.example = "10s",
		.prose = "How long a connection without a request is kept. A shorter time that the "
			 "backend states in Keep-Alive is obeyed."},
	{.name = "tunnel",
		.type = OPTION_DURATION,
		.offset = offsetof(struct upstream, tunnel_timeout),
		.min = 1,
		.max = 604800000,
		.preset = "1h",
		.example = "10m",
		.prose =
			"How long nothing may pass through an upgraded connection (WebSocket) before it "
			"is closed."},
	{0},
};

static const struct option upstream_rows[] = {
	{.name = "servers",
		.type = OPTION_CUSTOM,
		.flags = OPTION_REQUIRED,
		.offset = 0,
		.parse = servers_key_parse,
		.schema = "{\"oneOf\":[" SERVER_SCHEMA
			  ",{\"type\":\"array\",\"minItems\":1,\"items\":" SERVER_SCHEMA "}]}",
		.example = "[127.0.0.1:3000, \"unix:/run/app.sock\"]",
		.prose =
			"The servers that answer, asked in turn. Where no connection can be made, the next one "
			"is tried; and once more where a connection ends without any answer, if the request may "
			"be repeated (GET, HEAD, OPTIONS, PUT, DELETE). Where all are down because their names have no address, the answer is 503; "
			"while weir looks a name up for the first time, requests wait for that at most "
			"`connect`."},
	{.name = "keepalive",
		.type = OPTION_INTEGER,
		.offset = offsetof(struct upstream, keepalive),
		.max = 65536,
		.preset = "64",
		.example = "16",
		.prose =
			"How many idle connections a thread keeps to each server; those that a burst leaves beyond "
			"are kept for a second. 0: every request has a connection of its own."},
	{.name = "timeouts",
		.type = OPTION_GROUP,
		.rows = timeout_rows,
		.prose = "How long to wait for a backend."},
	{0},
};

static int upstreams_parse(struct load *load, const struct node *node, void *target)
{
	struct upstreams *upstreams = target;
	if (node_kind(node) != NODE_MAPPING)
		return load_error(load, node, "upstreams is a mapping of names to backends");
	size_t count = node_count(node);
	upstreams->list = arena_zalloc(load_arena(load), (count + 1) * sizeof(upstreams->list[0]));
	upstreams->count = count;
	int result = 0;
	for (size_t i = 0; i < count; i++) {
		struct upstream *u = &upstreams->list[i];
		const struct node *key = node_key(node, i);
		struct slice name = node_text(key);
		u->name = arena_slice(load_arena(load), name);
		if (name.len == 0 || memchr(name.ptr, ':', name.len) ||
			memchr(name.ptr, '/', name.len))
			result = load_error(load, key,
				"the name of an upstream has neither “:” nor “/”: `proxy` would take it "
				"for an address");
		else if (slice_equal(name, SLICE("off")))
			result = load_error(load, key, "“off” cannot be the name of an upstream");
		if (node_kind(node_item(node, i)) != NODE_MAPPING)
			result = load_error(load, node_item(node, i),
				"an upstream is a mapping: { servers: [127.0.0.1:3000] }");
		else if (load_rows(load, node_item(node, i), upstream_rows, u))
			result = -1;
	}
	return result;
}

static const struct option upstreams_key[] = {
	{.name = "upstreams",
		.type = OPTION_CUSTOM,
		.offset = 0,
		.parse = upstreams_parse,
		.rows = upstream_rows,
		.schema =
			"{\"type\":\"object\",\"additionalProperties\":{\"type\":\"object\",\"required\":[\"servers\"],"
			"\"additionalProperties\":false,\"properties\":{\"servers\":{\"oneOf\":[" SERVER_SCHEMA
			",{\"type\":\"array\",\"minItems\":1,\"items\":" SERVER_SCHEMA "}]},"
			"\"keepalive\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":65536},"
			"\"timeouts\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
			"\"connect\":{\"type\":[\"string\",\"integer\"]},\"response\":{\"type\":[\"string\",\"integer\"]},"
			"\"idle\":{\"type\":[\"string\",\"integer\"]},\"tunnel\":{\"type\":[\"string\",\"integer\"]}}}}}}",
		.example = "{ app: { servers: [127.0.0.1:3000] } }",
		.prose =
			"Named backends. Each has `servers`, which are asked in turn, and may have `keepalive` "
			"(64: idle connections that a thread keeps to each server) and `timeouts` with "
			"`connect` (2s), `response` (60s: how long a backend may be silent), `idle` (60s: how "
			"long a connection without a request is kept) and `tunnel` (1h: how long nothing may "
			"pass through a WebSocket)."},
	{0},
};

const struct option_set upstreams_options = {
	.owner = "proxy",
	.place = OPTION_TOP,
	.size = sizeof(struct upstreams),
	.rows = upstreams_key,
};

/* --- proxy --- */

static bool is_off(struct slice text)
{
	const char *expected;
	bool on = true;
	return value_bool(text, &on, &expected) == 0 && !on;
}

static struct upstream *unnamed(struct load *load, struct slice name)
{
	struct upstream *u = arena_zalloc(load_arena(load), sizeof *u);
	u->name = name;
	u->unnamed = true;
	u->keepalive = KEEPALIVE;
	u->connect_timeout = CONNECT_TIMEOUT;
	u->response_timeout = RESPONSE_TIMEOUT;
	u->idle_timeout = IDLE_TIMEOUT;
	u->tunnel_timeout = TUNNEL_TIMEOUT;
	return u;
}

static int proxy_parse(struct load *load, const struct node *node, void *settings)
{
	struct proxy_target **target = settings;
	*target = NULL;
	if (node_kind(node) == NODE_MAPPING)
		return load_error(load, node,
			"proxy is an upstream's name, an address, a list of addresses, or off; "
			"servers with settings stand under `upstreams`");
	bool scalar = node_kind(node) == NODE_SCALAR;
	struct slice text = scalar ? node_text(node) : SLICE("");
	if (scalar && is_off(text))
		return 0;
	struct proxy_target *made = arena_zalloc(load_arena(load), sizeof *made);
	made->node = node;
	if (scalar && !memchr(text.ptr, ':', text.len) && !memchr(text.ptr, '/', text.len)) {
		if (text.len == 0)
			return load_error(load, node,
				"proxy is an upstream's name, an address, a list of addresses, or off");
		made->name = arena_slice(load_arena(load), text);
	} else {
		struct upstream *u = unnamed(load, arena_slice(load_arena(load), text));
		if (servers_parse(load, node, u))
			return -1;
		if (!scalar)
			u->name = u->servers[0].text;
		made->upstream = u;
	}
	*target = made;
	return 0;
}

static const struct option proxy_rows[] = {
	{.name = "proxy",
		.type = OPTION_CUSTOM,
		.offset = offsetof(struct proxy_settings, target),
		.parse = proxy_parse,
		.schema =
			"{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"boolean\",\"const\":false},"
			"{\"type\":\"array\",\"minItems\":1,\"items\":" SERVER_SCHEMA "}]}",
		.example = "127.0.0.1:3000",
		.prose =
			"Who answers what the root does not hold: the name of an upstream, an address or a name "
			"with a port, a list of these, or off. The request goes there as the client sent it, but for fields of "
			"one hop, with Via, and with X-Forwarded-For, -Proto and -Host and Forwarded of our own "
			"in place of the client's. Fields whose name has an underscore are left out: backends "
			"may take them for others. So are Server and X-Powered-By of the answer."},
	{0},
};

const struct option_set proxy_options = {
	.owner = "proxy",
	.place = OPTION_SITE,
	.size = sizeof(struct proxy_settings),
	.rows = proxy_rows,
};

static const char *nearest_name(
	struct load *load, struct slice written, const struct upstreams *upstreams)
{
	const char **names =
		arena_alloc(load_arena(load), (upstreams->count + 1) * sizeof(names[0]));
	for (size_t i = 0; i < upstreams->count; i++)
		names[i] = upstreams->list[i].name.ptr;
	return value_nearest(written, names, upstreams->count);
}

bool upstream_same(const struct upstream *a, const struct upstream *b)
{
	if (a == b || !a->unnamed || !b->unnamed || a->server_count != b->server_count)
		return a == b;
	for (size_t i = 0; i < a->server_count; i++)
		if (!slice_equal(a->servers[i].text, b->servers[i].text))
			return false;
	return true;
}

int upstream_resolve(
	struct load *load, struct proxy_target *target, const struct upstreams *upstreams)
{
	if (target->upstream)
		return 0;
	for (size_t i = 0; i < upstreams->count; i++) {
		if (slice_equal(upstreams->list[i].name, target->name)) {
			target->upstream = &upstreams->list[i];
			return 0;
		}
	}
	if (target->dangling)
		return -1;
	target->dangling = true;
	int len = (int)target->name.len;
	const char *near = nearest_name(load, target->name, upstreams);
	if (near)
		return load_error(load, target->node,
			"no upstream is called “%.*s”; did you mean “%s”?", len, target->name.ptr,
			near);
	return load_error(load, target->node,
		"no upstream is called “%.*s”: name it under `upstreams`, or write " ADDRESS_FORM,
		len, target->name.ptr);
}
