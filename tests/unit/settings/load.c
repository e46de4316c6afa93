/* SPDX-License-Identifier: BSD-2-Clause */
/* What configurations that are right become: presets, values, inheritance, sites, listeners, routes (DESIGN, 2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/log.h"
#include "sample.h"

#define assert_slice(slice, text)                                                                  \
	do {                                                                                       \
		assert_non_null((slice).ptr);                                                      \
		assert_int_equal((slice).len, strlen(text));                                       \
		assert_string_equal((slice).ptr, text);                                            \
	} while (0)

static struct snapshot *good(const char *text)
{
	struct buffer diagnostics = {0};
	struct snapshot *snapshot = sample_load(text, &diagnostics);
	if (!snapshot || diagnostics.len > 0)
		fail_msg("%.*s", (int)diagnostics.len, diagnostics.ptr);
	buffer_free(&diagnostics);
	return snapshot;
}

static void presets(void **state)
{
	struct snapshot *snapshot = good("sites: [{ listen: \"http://:80\" }]\n");
	const struct core_settings *core = &snapshot->core;
	const struct sample *sample = sample_of(snapshot, &snapshot->sites[0].scope);
	(void)state;
	assert_int_equal(core->threads, 0);
	assert_slice(core->user, WEIR_USER);
	assert_slice(core->pid_file, WEIR_RUNSTATEDIR "/weir.pid");
	assert_slice(core->temp_dir, WEIR_LOCALSTATEDIR "/lib/weir/tmp");
	assert_int_equal(core->drain, 30000);
	assert_int_equal(core->linger, 3600000);
	assert_int_equal(core->sandbox, SANDBOX_ON);
	assert_slice(core->error_log.path, "stderr");
	assert_int_equal(core->error_log.level, LOG_LEVEL_INFO);
	assert_true(core->access_log.on);
	assert_slice(core->access_log.path, WEIR_LOCALSTATEDIR "/log/weir/access.log");
	assert_int_equal(core->access_log.format, ACCESS_COMBINED);
	assert_int_equal(core->limits.connections, 60000);
	assert_int_equal(core->limits.header_size, 32768);
	assert_int_equal(core->limits.body_size, 1 << 30);
	assert_int_equal(core->limits.header_timeout, 10000);
	assert_int_equal(core->limits.body_timeout, 30000);
	assert_int_equal(core->limits.idle_timeout, 75000);
	assert_int_equal(core->limits.send_timeout, 30000);
	assert_int_equal(core->limits.min_rate, 240);
	assert_null(sample->root.ptr);
	assert_int_equal(sample->index.count, 2);
	assert_slice(sample->index.items[0], "index.html");
	assert_slice(sample->index.items[1], "index.htm");
	assert_true(sample->compress.on);
	assert_int_equal(sample->compress.level, 6);
	assert_int_equal(sample->compress.deep.age, 3600000);
	assert_int_equal(sample->min_size, 1024);
	snapshot_free(snapshot);
}

static void unprivileged_presets(void **state)
{
	static const char text[] = "sites: [{ listen: \"http://:80\" }]\n";
	struct option_sets sets = {NULL, NULL, NULL};
	struct buffer diagnostics = {0};
	(void)state;
	setenv("TMPDIR", "/scratch", 1);
	struct snapshot *snapshot =
		snapshot_load_text(SLICE(text), "weir.yaml", "/", &sets, true, &diagnostics);
	assert_non_null(snapshot);
	assert_null(snapshot->core.pid_file.ptr);
	assert_slice(snapshot->core.temp_dir, "/scratch");
	assert_true(snapshot->core.access_log.on);
	assert_slice(snapshot->core.access_log.path, "stdout");
	assert_slice(snapshot->core.error_log.path, "stderr");
	assert_slice(snapshot->file, "/weir.yaml");
	snapshot_free(snapshot);
	unsetenv("TMPDIR");
	static const char said[] = "pid_file: weir.pid\nlog: { access: { path: a.log } }\n"
				   "sites: [{ listen: \"http://:80\" }]\n";
	snapshot =
		snapshot_load_text(SLICE(said), "weir.yaml", "/home/me", &sets, true, &diagnostics);
	assert_non_null(snapshot);
	assert_slice(snapshot->core.pid_file, "/home/me/weir.pid");
	assert_slice(snapshot->core.access_log.path, "/home/me/a.log");
	assert_slice(snapshot->core.temp_dir, "/tmp");
	snapshot_free(snapshot);
	buffer_free(&diagnostics);
}

static void core_values(void **state)
{
	struct snapshot *snapshot =
		good("threads: 3\n"
		     "user: www-data\n"
		     "pid_file: off\n"
		     "drain: 500ms\n"
		     "linger: 2m\n"
		     "sandbox: require\n"
		     "temp_dir: spill/\n"
		     "log:\n"
		     "  error: { path: e.log, level: debug }\n"
		     "  access: { format: json }\n"
		     "limits:\n"
		     "  connections: 5\n"
		     "  header_size: 16k\n"
		     "  body_size: 0\n"
		     "  share: 8\n"
		     "  timeouts: { header: 1s, body: 2s, idle: 3s, send: 4s }\n"
		     "  min_rate: 0\n"
		     "burst: auto\n"
		     "members: { a: { weight: 2 }, b: { weight: 3 } }\n"
		     "sites: [{ listen: \"http://:80\" }]\n");
	const struct core_settings *core = &snapshot->core;
	const struct sample_top *top = top_settings(snapshot, &sample_top);
	(void)state;
	assert_int_equal(core->threads, 3);
	assert_slice(core->user, "www-data");
	assert_null(core->pid_file.ptr);
	assert_int_equal(core->drain, 500);
	assert_int_equal(core->linger, 120000);
	assert_int_equal(core->sandbox, SANDBOX_REQUIRE);
	assert_slice(core->temp_dir, "/etc/weir/spill");
	assert_slice(core->error_log.path, "/etc/weir/e.log");
	assert_int_equal(core->error_log.level, LOG_LEVEL_DEBUG);
	assert_int_equal(core->access_log.format, ACCESS_JSON);
	assert_slice(core->access_log.path, WEIR_LOCALSTATEDIR "/log/weir/access.log");
	assert_int_equal(core->limits.connections, 5);
	assert_int_equal(core->limits.header_size, 16384);
	assert_int_equal(core->limits.body_size, 0);
	assert_int_equal(core->limits.header_timeout, 1000);
	assert_int_equal(core->limits.body_timeout, 2000);
	assert_int_equal(core->limits.idle_timeout, 3000);
	assert_int_equal(core->limits.send_timeout, 4000);
	assert_int_equal(core->limits.min_rate, 0);
	assert_int_equal(top->burst, 0);
	assert_int_equal(top->weights, 5);
	assert_int_equal(top->share, 8); /* a group that two sets have */
	snapshot_free(snapshot);
}

static void words_for_on_and_off(void **state)
{
	static const char *const off[] = {"off", "no", "false", "Off"};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(off); i++) {
		struct buffer text = {0};
		buffer_format(&text,
			"sandbox: %s\nlog: { access: %s }\nburst: %s\n"
			"sites: [{ listen: \"http://:80\", root: %s, index: %s, compress: %s }]\n%c",
			off[i], off[i], off[i], off[i], off[i], off[i], 0);
		struct snapshot *snapshot = good(text.ptr);
		const struct sample *sample = sample_of(snapshot, &snapshot->sites[0].scope);
		const struct sample_top *top = top_settings(snapshot, &sample_top);
		assert_int_equal(snapshot->core.sandbox, SANDBOX_OFF);
		assert_false(snapshot->core.access_log.on);
		assert_int_equal(top->burst, -1);
		assert_null(sample->root.ptr);
		assert_null(sample->index.items);
		assert_false(sample->compress.on);
		assert_int_equal(sample->compress.level, 6);
		snapshot_free(snapshot);
		buffer_free(&text);
	}
	/* in quotes it is a name */
	struct snapshot *snapshot = good("sites: [{ listen: \"http://:80\", root: \"off\" }]\n");
	assert_slice(sample_of(snapshot, &snapshot->sites[0].scope)->root, "/etc/weir/off");
	snapshot_free(snapshot);
}

/* A route copies all that its site says and changes what it says itself, in nested groups as well. */
static void routes_inherit(void **state)
{
	struct snapshot *snapshot =
		good("sites:\n"
		     "  - listen: \"http://:80\"\n"
		     "    routes:\n"
		     "      /a/: { root: off, compress: { deep: { age: 5s } } }\n"
		     "      /b/: { compress: off, index: x.html }\n"
		     "      /c/: { compress: on }\n"
		     "      /d/:\n"
		     "    root: www\n"
		     "    min_size: 2k\n"
		     "    compress: { level: 9, deep: { age: 7s } }\n");
	struct site *site = &snapshot->sites[0];
	const struct sample *a = sample_of(snapshot, &site->routes[0].scope);
	const struct sample *b = sample_of(snapshot, &site->routes[1].scope);
	const struct sample *c = sample_of(snapshot, &site->routes[2].scope);
	const struct sample *d = sample_of(snapshot, &site->routes[3].scope);
	const struct sample *own = sample_of(snapshot, &site->scope);
	(void)state;
	assert_slice(own->root, "/etc/weir/www");
	assert_int_equal(own->compress.deep.age, 7000);
	assert_null(a->root.ptr);
	assert_true(a->compress.on);
	assert_int_equal(a->compress.level, 9);
	assert_int_equal(a->compress.deep.age, 5000);
	assert_int_equal(a->min_size, 2048);
	assert_slice(b->root, "/etc/weir/www");
	assert_false(b->compress.on);
	assert_int_equal(b->index.count, 1);
	assert_slice(b->index.items[0], "x.html");
	assert_true(c->compress.on);
	assert_int_equal(c->compress.level, 9);
	assert_slice(d->root, "/etc/weir/www");
	assert_int_equal(d->compress.deep.age, 7000);
	for (size_t i = 0; i < 4; i++) {
		assert_ptr_equal(site->routes[i].scope.site, site);
		assert_int_equal(site->routes[i].scope.id, i + 1);
		assert_null(site->routes[i].scope.node);
	}
	assert_int_equal(snapshot->scope_count, 5);
	snapshot_free(snapshot);
}

static void routes_are_sorted(void **state)
{
	static const struct {
		enum route_kind kind;
		const char *pattern;
	} order[] = {{ROUTE_EXACT, "/long/exact"}, {ROUTE_EXACT, "/x"}, {ROUTE_PREFIX, "/api/v2/"},
		{ROUTE_PREFIX, "/api/"}, {ROUTE_PREFIX, "/"}, {ROUTE_EXTENSION, ".tar.gz"},
		{ROUTE_EXTENSION, ".php"}};
	struct snapshot *snapshot = good("sites:\n"
					 "  - listen: \"http://:80\"\n"
					 "    routes: { /: {}, \"*.php\": {}, /api/: {}, /x: {}, "
					 "/api/v2/: {}, \"*.tar.gz\": {}, /long/exact: {} }\n");
	(void)state;
	assert_int_equal(snapshot->sites[0].route_count, COUNT_OF(order));
	for (size_t i = 0; i < COUNT_OF(order); i++) {
		const struct route *route = &snapshot->sites[0].routes[i];
		assert_int_equal(route->kind, order[i].kind);
		assert_slice(route->pattern, order[i].pattern);
	}
	snapshot_free(snapshot);
}

static void headers_add_up(void **state)
{
	struct snapshot *snapshot = good(
		"sites:\n"
		"  - listen: \"http://:80\"\n"
		"    headers: { set: { X-A: a, X-B: \" b \" }, remove: [Server, X-P] }\n"
		"    routes:\n"
		"      /x/: { headers: { set: { x-a: c, server: s, X-E: \"\" }, remove: X-B } }\n"
		"      /y/: { root: off }\n");
	const struct site *site = &snapshot->sites[0];
	const struct header_rules *own = &site->scope.core->headers;
	const struct header_rules *x = &site->routes[0].scope.core->headers;
	(void)state;
	assert_int_equal(own->set_count, 2);
	assert_slice(own->set[0].name, "X-A");
	assert_slice(own->set[0].value, "a");
	assert_slice(own->set[1].value, "b");
	assert_int_equal(own->remove_count, 2);
	assert_slice(own->remove[0], "Server");
	assert_int_equal(x->set_count, 3);
	assert_slice(x->set[0].name, "x-a");
	assert_slice(x->set[0].value, "c");
	assert_slice(x->set[1].name, "server");
	assert_slice(x->set[2].value, "");
	assert_int_equal(x->remove_count, 2);
	assert_slice(x->remove[0], "X-P");
	assert_slice(x->remove[1], "X-B");
	assert_int_equal(site->routes[1].scope.core->headers.set_count, 2);
	snapshot_free(snapshot);
}

static void error_pages_add_up(void **state)
{
	static const struct {
		unsigned low, high;
		const char *path;
	} order[] = {
		{503, 503, "/r503"}, {404, 404, "/s404"}, {400, 499, "/r4xx"}, {500, 599, "/s5xx"}};
	struct snapshot *snapshot = good("sites:\n"
					 "  - listen: \"http://:80\"\n"
					 "    errors: { 5xx: /s5xx, 404: /s404 }\n"
					 "    routes:\n"
					 "      /x/: { errors: { 4xx: /r4xx, 503: /r503 } }\n");
	const struct scope_core *own = snapshot->sites[0].scope.core;
	const struct scope_core *route = snapshot->sites[0].routes[0].scope.core;
	(void)state;
	assert_int_equal(own->error_count, 2);
	assert_int_equal(own->errors[0].low, 404);
	assert_int_equal(own->errors[1].high, 599);
	assert_int_equal(route->error_count, COUNT_OF(order));
	for (size_t i = 0; i < COUNT_OF(order); i++) {
		assert_int_equal(route->errors[i].low, order[i].low);
		assert_int_equal(route->errors[i].high, order[i].high);
		assert_slice(route->errors[i].path, order[i].path);
	}
	snapshot_free(snapshot);
}

static void interception_is_inherited(void **state)
{
	(void)state;
	struct snapshot *snapshot =
		good("sites:\n"
		     "  - listen: \"http://:80\"\n"
		     "    errors: { 404: /s404, intercept: on }\n"
		     "    routes:\n"
		     "      /x/: { errors: { 503: /r503 } }\n"
		     "      /y/: { errors: { intercept: off } }\n"
		     "  - { host: b.example, listen: \"http://:80\", errors: { 404: /s404 } }\n");
	const struct site *site = &snapshot->sites[0];
	assert_true(site->scope.core->intercept);
	for (size_t i = 0; i < site->route_count; i++) {
		const struct scope_core *core = site->routes[i].scope.core;
		bool x = slice_equal(site->routes[i].pattern, SLICE("/x/"));
		assert_int_equal(core->intercept, x);
		assert_int_equal(core->error_count, x ? 2 : 1);
	}
	assert_false(snapshot->sites[1].scope.core->intercept);
	snapshot_free(snapshot);
}

static void trusted_proxies_are_read(void **state)
{
	(void)state;
	struct snapshot *snapshot =
		good("clients: { trusted_proxies: [\"10.0.0.0/8\", unix, \"::1\"] }\n"
		     "sites: [{ listen: \"http://:80\" }]\n");
	const struct trusted_proxies *trusted = &snapshot->core.trusted;
	assert_int_equal(trusted->count, 2);
	assert_int_equal(trusted->networks[0].bits, 8);
	assert_int_equal(trusted->networks[1].bits, 128);
	assert_true(trusted->local);
	snapshot_free(snapshot);
	snapshot = good("clients: { trusted_proxies: 192.0.2.1 }\n"
			"sites: [{ listen: \"http://:80\" }]\n");
	assert_int_equal(snapshot->core.trusted.count, 1);
	assert_false(snapshot->core.trusted.local);
	snapshot_free(snapshot);
}

static void sites_share_listeners(void **state)
{
	struct snapshot *snapshot = good(
		"sites:\n"
		"  - { host: [A.example, \"*.a.example\"], listen: [\"http://:80\", \"http://127.0.0.1:81\"] }\n"
		"  - { listen: \"http://:80\" }\n"
		"  - { host: b.example, listen: { address: \"http://127.0.0.1:81\" } }\n");
	const struct listener_settings *any = &snapshot->listeners[0],
				       *one = &snapshot->listeners[1];
	(void)state;
	assert_int_equal(snapshot->site_count, 3);
	assert_slice(snapshot->sites[0].name, "a.example");
	assert_slice(snapshot->sites[0].hosts[1], "*.a.example");
	assert_slice(snapshot->sites[1].name, "default");
	assert_int_equal(snapshot->listener_count, 2);
	assert_slice(any->text, ":80");
	assert_true(any->wildcard);
	assert_int_equal(any->scheme, SCHEME_HTTP);
	assert_int_equal(any->site_count, 2);
	assert_ptr_equal(any->sites[0], &snapshot->sites[0]);
	assert_ptr_equal(any->sites[1], &snapshot->sites[1]);
	assert_ptr_equal(any->fallback, &snapshot->sites[1]);
	assert_slice(one->text, "127.0.0.1:81");
	assert_false(one->wildcard);
	assert_int_equal(one->site_count, 2);
	assert_null(one->fallback);
	snapshot_free(snapshot);
}

static void forms_of_addresses(void **state)
{
	static const char *const texts[] = {"127.0.0.1:8080", "[::1]:8080", "[::1]:81",
		"10.0.0.1:80", "[2001:db8::1]:80", "unix:/run/weir.sock",
		"unix:/etc/weir/sub/w.sock", "127.0.0.1:0"};
	struct snapshot *snapshot = good("sites:\n"
					 "  - listen:\n"
					 "      - http://localhost:8080\n"
					 "      - http://[::1]:81\n"
					 "      - http://10.0.0.1\n"
					 "      - \"http://[2001:DB8::1]\"\n"
					 "      - http://unix:/run/weir.sock\n"
					 "      - http://unix:sub/w.sock\n"
					 "      - http://127.0.0.1:0\n");
	(void)state;
	assert_int_equal(snapshot->listener_count, COUNT_OF(texts));
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		const struct listener_settings *listener = &snapshot->listeners[i];
		char text[128];
		address_text(&listener->address, text);
		assert_string_equal(text, texts[i]);
		/* localhost's second address may be missing on a machine */
		assert_int_equal(listener->optional, i == 1);
		assert_ptr_equal(listener->fallback, &snapshot->sites[0]);
	}
	snapshot_free(snapshot);
}

/* JSON is YAML; comments, quotes, blocks and empty groups are as YAML has them. */
static void forms_of_yaml(void **state)
{
	struct snapshot *snapshot = good(
		"{\"threads\": 2, \"sites\": [{\"listen\": [\"http://:80\"], \"root\": \"/a b\"}]}");
	(void)state;
	assert_int_equal(snapshot->core.threads, 2);
	assert_slice(sample_of(snapshot, &snapshot->sites[0].scope)->root, "/a b");
	snapshot_free(snapshot);
	snapshot = good(
		"%YAML 1.2\n---\n# comment\nlimits:\n  # all commented out\nlog:\n"
		"sites:\n- listen: 'http://:80' # behind\n  root: >-\n    /x\n    y\n  routes:\n...\n");
	assert_slice(sample_of(snapshot, &snapshot->sites[0].scope)->root, "/x y");
	snapshot_free(snapshot);
}

static int finish_checks(struct load *load, struct snapshot *snapshot, void *context)
{
	int *calls = context;
	++*calls;
	const struct node *node = node_member(snapshot->sites[0].scope.node, "root");
	assert_non_null(node);
	if (*calls == 1) {
		load_warn(load, node, "be careful");
		return 0;
	}
	return load_error(load, node, "the folder is not to be used");
}

static void finish_is_called_at_the_end(void **state)
{
	static const char text[] = "sites: [{ listen: \"http://:80\", root: /x }]\n";
	static const char wrong[] = "sites: [{ listen: \"http://:80\", root: /x, y: z }]\n";
	int calls = 0;
	struct option_sets sets = {sample_list, finish_checks, &calls};
	struct buffer told = {0};
	(void)state;
	/* DESIGN 2: errors are all reported: also those that only the whole shows */
	assert_null(snapshot_load_text(SLICE(wrong), "w", "/", &sets, false, &told));
	assert_int_equal(calls, 1);
	calls = 0;
	told.len = 0;
	struct snapshot *snapshot = snapshot_load_text(SLICE(text), "w", "/", &sets, false, &told);
	assert_non_null(snapshot);
	assert_true(slice_starts((struct slice){told.ptr, told.len},
		SLICE("w:1:39: warning: be careful\n    1 | sites:")));
	snapshot_free(snapshot);
	told.len = 0;
	assert_null(snapshot_load_text(SLICE(text), "w", "/", &sets, false, &told));
	assert_true(slice_starts((struct slice){told.ptr, told.len},
		SLICE("w:1:39: error: the folder is not to be used\n")));
	buffer_free(&told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(presets),
		cmocka_unit_test(unprivileged_presets),
		cmocka_unit_test(core_values),
		cmocka_unit_test(words_for_on_and_off),
		cmocka_unit_test(routes_inherit),
		cmocka_unit_test(routes_are_sorted),
		cmocka_unit_test(headers_add_up),
		cmocka_unit_test(error_pages_add_up),
		cmocka_unit_test(interception_is_inherited),
		cmocka_unit_test(trusted_proxies_are_read),
		cmocka_unit_test(sites_share_listeners),
		cmocka_unit_test(forms_of_addresses),
		cmocka_unit_test(forms_of_yaml),
		cmocka_unit_test(finish_is_called_at_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
