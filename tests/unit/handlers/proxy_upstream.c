/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys `upstreams` and `proxy`: what is read from them, and what is said where they are wrong (DESIGN §2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "base/check.h"
#include "handlers/proxy/proxy.h"
#include "handlers/proxy/upstream.h"
#include "http/route.h"

static const struct handler *const table[] = {&proxy_handler, NULL};
static struct buffer said;

static struct snapshot *load(const char *text)
{
	const struct option_set *sets[2 * 32 + 1];
	route_option_sets(table, sets);
	struct option_sets all = {
		.sets = sets, .finish = route_prepare, .context = (void *)(uintptr_t)table};
	buffer_free(&said);
	struct snapshot *snapshot =
		snapshot_load_text(slice_of(text), "test.yaml", "/tmp", &all, true, &said);
	buffer_append(&said, "", 1);
	return snapshot;
}

static int tear_down(void **state)
{
	(void)state;
	buffer_free(&said);
	return 0;
}

#define SITE(keys) "sites:\n  - { listen: \"http://127.0.0.1:8080\"" keys " }\n"

static const struct upstream *upstream_of(const struct snapshot *s, const struct scope *scope)
{
	const struct proxy_settings *settings = scope_settings(s, scope, &proxy_options);
	return settings->target ? settings->target->upstream : NULL;
}

static struct snapshot *load_good(const char *text)
{
	struct snapshot *s = load(text);
	if (!s)
		fail_msg("%s", said.ptr);
	return s;
}

static void assert_address(const struct address *a, const char *text)
{
	char written[128];
	address_text(a, written);
	assert_string_equal(written, text);
}

static void named(void **state)
{
	(void)state;
	struct snapshot *s = load_good(
		"upstreams:\n  app:\n    servers: [127.0.0.1:3000, \"unix:/run/app.sock\", "
		"\"http://[::1]:81/\", { address: \"http://10.0.0.1\" }]\n    keepalive: 7\n"
		"    timeouts: { connect: 1s, idle: 5s }\n" SITE(", proxy: app"));
	const struct upstream *u = upstream_of(s, &s->sites[0].scope);
	assert_non_null(u);
	assert_true(slice_equal(u->name, SLICE("app")));
	assert_int_equal(u->server_count, 4);
	assert_address(&u->servers[0].addresses[0], "127.0.0.1:3000");
	assert_true(slice_equal(u->servers[0].authority, SLICE("127.0.0.1:3000")));
	assert_address(&u->servers[1].addresses[0], "unix:/run/app.sock");
	assert_true(slice_equal(u->servers[1].authority, SLICE("localhost")));
	assert_address(&u->servers[2].addresses[0], "[::1]:81");
	assert_true(slice_equal(u->servers[2].authority, SLICE("[::1]:81")));
	assert_address(&u->servers[3].addresses[0], "10.0.0.1:80");
	assert_true(slice_equal(u->servers[3].authority, SLICE("10.0.0.1")));
	assert_int_equal(u->keepalive, 7);
	assert_int_equal(u->connect_timeout, 1000);
	assert_int_equal(u->idle_timeout, 5000);
	snapshot_free(s);
}

/* An address without settings has the presets of one with. */
static void presets(void **state)
{
	(void)state;
	struct snapshot *s = load_good("upstreams: { app: { servers: 127.0.0.1:3000 } }\n" SITE(
		", proxy: \"127.0.0.1:3000\", routes: { /a/: { proxy: app } }"));
	const struct upstream *plain = upstream_of(s, &s->sites[0].scope);
	const struct upstream *app = upstream_of(s, &s->sites[0].routes[0].scope);
	assert_ptr_not_equal(plain, app);
	assert_int_equal(app->keepalive, 64);
	assert_int_equal(app->connect_timeout, 2000);
	assert_int_equal(app->response_timeout, 60000);
	assert_int_equal(app->idle_timeout, 60000);
	assert_int_equal(plain->keepalive, app->keepalive);
	assert_int_equal(plain->connect_timeout, app->connect_timeout);
	assert_int_equal(plain->response_timeout, app->response_timeout);
	assert_int_equal(plain->idle_timeout, app->idle_timeout);
	assert_int_equal(plain->tunnel_timeout, app->tunnel_timeout);
	snapshot_free(s);
}

static void inheritance(void **state)
{
	(void)state;
	struct snapshot *s = load_good(SITE(
		", proxy: [127.0.0.1:1, \"localhost:2\"], routes: { /a/: { proxy: off }, /b/: {} }"));
	const struct site *site = &s->sites[0];
	const struct upstream *u = upstream_of(s, &site->scope);
	assert_int_equal(u->server_count, 2);
	assert_int_equal(u->servers[1].address_count, 2);
	assert_address(&u->servers[1].addresses[0], "127.0.0.1:2");
	assert_address(&u->servers[1].addresses[1], "[::1]:2");
	for (size_t i = 0; i < site->route_count; i++) {
		bool off = slice_equal(site->routes[i].pattern, SLICE("/a/"));
		assert_ptr_equal(upstream_of(s, &site->routes[i].scope), off ? NULL : u);
		assert_ptr_equal(site->routes[i].scope.chain[0], off ? NULL : &proxy_handler);
	}
	snapshot_free(s);
}

static void assert_name(const struct upstream_server *server, const char *name, unsigned port,
	const char *authority)
{
	assert_int_equal(server->address_count, 0);
	assert_int_equal(server->name.len, strlen(name));
	assert_memory_equal(server->name.ptr, name, strlen(name));
	assert_int_equal(server->port, port);
	assert_true(slice_equal(server->authority, slice_of(authority)));
}

/* Names are not looked up when the configuration is read. */
static void names(void **state)
{
	(void)state;
	struct snapshot *s = load_good(SITE(
		", proxy: [\"app.internal:3000\", \"http://app.internal\", \"http://my_app:81/\", "
		"\"app.internal.:1\", { address: \"1a:65535\" }, \"127.0.0.1:1\"]"));
	const struct upstream *u = upstream_of(s, &s->sites[0].scope);
	assert_int_equal(u->server_count, 6);
	assert_name(&u->servers[0], "app.internal", 3000, "app.internal:3000");
	assert_name(&u->servers[1], "app.internal", 80, "app.internal");
	assert_name(&u->servers[2], "my_app", 81, "my_app:81");
	assert_name(&u->servers[3], "app.internal.", 1, "app.internal.:1");
	assert_name(&u->servers[4], "1a", 65535, "1a:65535");
	assert_int_equal(u->servers[5].name.len, 0);
	snapshot_free(s);
	s = load_good(SITE(", proxy: \"app.internal:3000\""));
	assert_name(upstream_of(s, &s->sites[0].scope)->servers, "app.internal", 3000,
		"app.internal:3000");
	snapshot_free(s);
}

/* What is wrong is said at its place, with what to write instead. */
static void faults(void **state)
{
	(void)state;
	static const struct {
		const char *text, *said;
	} cases[] = {
		{"upstreams: { app: { servers: 127.0.0.1:3000 } }\n" SITE(", proxy: apq"),
			"did you mean “app”?"},
		{SITE(", proxy: app"), "no upstream is called “app”"},
		{SITE(", proxy: [app.internal]"), "a port is needed: write “app.internal:80”"},
		{SITE(", proxy: \"app.internal:\""), "not a port: “”"},
		{SITE(", proxy: \"app.internal:http\""), "not a port: “http”"},
		{SITE(", proxy: \"app.internal:65536\""), "not a port: “65536”"},
		{SITE(", proxy: \"app..internal:80\""),
			"“app..internal” is not the name of a server"},
		{SITE(", proxy: \"b\u00fccher:80\""), "is not the name of a server"},
		{SITE(", proxy: \"user@app:80\""), "“user@app” is not the name of a server"},
		{SITE(", proxy: \"http://app:80/x\""), "write “http://app:80”"},
		{SITE(", proxy: \"256.1.1.1:80\""), "is not the address of a server"},
		{SITE(", proxy: \"https://app.internal\""), "TLS to backends is not supported"},
		{SITE(", proxy: \"https://127.0.0.1:3000\""), "TLS to backends is not supported"},
		{SITE(", proxy: \"srv+http://_app._tcp.a\""), "DNS SRV names are not supported"},
		{SITE(", proxy: \"http://127.0.0.1:3000/app\""), "write “http://127.0.0.1:3000”"},
		{SITE(", proxy: \"127.0.0.1:99999\""), "is not the address of a server"},
		{SITE(", proxy: \":3000\""), "is not the address of a server"},
		{SITE(", proxy: \"localhost:x\""), "not a port: “x”"},
		{SITE(", proxy: { servers: 1 }"), "servers with settings stand under `upstreams`"},
		{SITE(", proxy: []"), "at least one server is needed"},
		{"upstreams: { app: { keepalive: 3 } }\n" SITE(", proxy: app"), "servers"},
		{"upstreams: { app: { servers: 127.0.0.1:1, balance: p2c } }\n" SITE(
			 ", proxy: app"),
			"balance"},
		{"upstreams: { app: { servers: [{ address: 127.0.0.1:1, weight: 2 }] } }\n" SITE(
			 ", proxy: app"),
			"weight"},
		{"upstreams: { \"a:b\": { servers: 127.0.0.1:1 } }\n" SITE(", proxy: off"),
			"would take it for an address"},
		{"upstreams: [127.0.0.1:1]\n" SITE(", proxy: off"), "mapping of names"},
		{"upstreams: { app: 127.0.0.1:1 }\n" SITE(", proxy: off"),
			"an upstream is a mapping"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct snapshot *s = load(cases[i].text);
		if (s)
			fail_msg("taken: %s", cases[i].text);
		if (!strstr(said.ptr, cases[i].said))
			fail_msg("%s\nwithout: %s", said.ptr, cases[i].said);
		assert_non_null(strstr(said.ptr, "test.yaml:"));
	}
}

/* A dangling name that routes inherit is told once. */
static void told_once(void **state)
{
	(void)state;
	assert_null(load(SITE(", proxy: app, routes: { /a/: {}, /b/: {} }")));
	const char *first = strstr(said.ptr, "no upstream is called");
	assert_non_null(first);
	assert_null(strstr(first + 1, "no upstream is called"));
}

#define TEST(function) cmocka_unit_test_teardown(function, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(named),
		TEST(presets),
		TEST(inheritance),
		TEST(names),
		TEST(faults),
		TEST(told_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
