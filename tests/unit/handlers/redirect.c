/* SPDX-License-Identifier: BSD-2-Clause */
/* Redirects of sites and routes (DESIGN 2: { redirect: /new/, status: 308 }). */
#include "site.h"

#include <stdio.h>

#include "handlers/redirect.h"
#include "handlers/static/static.h"
#include "http/route.h"

static void assert_location(const char *target, unsigned status, const char *location)
{
	site_assert_field(site_get(target, status, NULL), "Location", location);
}

static void prefix_keeps_the_rest(void **state)
{
	(void)state;
	site_start("routes: { /old/: { redirect: /new/ } }", true);
	assert_location("/old/", 308, "/new/");
	assert_location("/old/a/b.html", 308, "/new/a/b.html");
	assert_location("/old/a%20b?x=1&y", 308, "/new/a%20b?x=1&y");
	assert_location("/old/x?", 308, "/new/x");
	site_get("/other", 404, NULL);
	struct exchange_seen *seen = site_ask("POST", "/old/form", NULL);
	assert_int_equal(seen->request.response.status, 308);
}

static void statuses(void **state)
{
	(void)state;
	site_start(
		"routes: { /a: { redirect: /x, status: 301 }, /b: { redirect: /x, status: 302 }, "
		"/c: { redirect: /x, status: 303 }, /d: { redirect: /x, status: 307 }, "
		"/e: { redirect: /x } }",
		true);
	assert_location("/a", 301, "/x");
	assert_location("/b", 302, "/x");
	assert_location("/c", 303, "/x");
	assert_location("/d", 307, "/x");
	assert_location("/e?q", 308, "/x?q");
}

static void targets(void **state)
{
	(void)state;
	site_start("routes: { /all/: { redirect: /one.html }, /q/: { redirect: \"/s?a=1\" }, "
		   "/away/: { redirect: \"https://example.org/base/\" }, "
		   "/top/: { redirect: / } }",
		true);
	assert_location("/all/what/ever", 308, "/one.html");
	assert_location("/q/x?b=2", 308, "/s?a=1&b=2");
	assert_location("/away/x/y?z", 308, "https://example.org/base/x/y?z");
	assert_location("/top/x", 308, "/x");
	/* CASES, paths: no open redirect by "//" */
	assert_location("/top//evil.test/", 308, "/evil.test/");
	assert_location("/top////evil.test", 308, "/evil.test");
}

static void whole_site(void **state)
{
	(void)state;
	site_write("www/page.html", "x", 1);
	site_start("redirect: \"https://example.org/\"\n"
		   "    routes: { /api/: { status: 307 }, /kept/: { redirect: off } }",
		true);
	assert_location("/a/b", 308, "https://example.org/a/b");
	assert_location("/api/x", 307,
		"https://example.org/api/x"); /* an inherited one takes off nothing */
	site_get("/kept/x", 404, NULL);
}

/* An error's page keeps its status, so it is no redirect: the built-in one answers instead. */
static void no_error_page(void **state)
{
	(void)state;
	site_folder("www/dir");
	site_write("www/dir/index.html", "x", 1);
	site_start("root: www\n    errors: { 404: /old/page, 405: /dir }\n"
		   "    routes: { /old/: { redirect: /new/ } }",
		true);
	struct exchange_seen *seen = site_get("/missing", 404, NULL);
	site_assert_field(seen, "Location", NULL);
	assert_non_null(memmem(seen->body.ptr, seen->body.len, "404 Not Found", 13));
	seen = site_ask("POST", "/dir/index.html", NULL);
	assert_int_equal(seen->request.response.status, 405);
	site_assert_field(seen, "Location", NULL);
	assert_non_null(memmem(seen->body.ptr, seen->body.len, "405 Method", 10));
}

/* What cannot work is refused where it is written. */
static void refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"redirect: \"\"",
		"redirect: new",
		"redirect: //evil.test/",
		"redirect: \"/a b\"",
		"redirect: \"/a\\r\\nX: y\"",
		"redirect: \"javascript:alert(1)\"",
		"redirect: /old/again/",
		"redirect: /x, status: 200",
	};
	static const struct handler *const table[] = {&redirect_handler, &static_handler, NULL};
	const struct option_set *rows[2 * HANDLERS_MAX + 1];
	route_option_sets(table, rows);
	struct option_sets sets = {
		.sets = rows, .finish = route_prepare, .context = (void *)(uintptr_t)table};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct buffer diagnostics = {NULL, 0, 0};
		char yaml[256];
		snprintf(yaml, sizeof yaml,
			"sites: [{ listen: \"http://127.0.0.1:80\", routes: { /old/: { %s } } }]\n",
			bad[i]);
		struct snapshot *snapshot = snapshot_load_text(
			slice_of(yaml), "test.yaml", "/", &sets, true, &diagnostics);
		if (snapshot)
			fail_msg("%s was taken", bad[i]);
		assert_non_null(memmem(diagnostics.ptr, diagnostics.len, "test.yaml:1:", 12));
		buffer_free(&diagnostics);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SITE_TEST(prefix_keeps_the_rest),
		SITE_TEST(statuses),
		SITE_TEST(targets),
		SITE_TEST(whole_site),
		SITE_TEST(no_error_page),
		SITE_TEST(refused),
	};
	return cmocka_run_group_tests_name("handlers/redirect", tests, NULL, NULL);
}
