/* SPDX-License-Identifier: BSD-2-Clause */
/* The fallback (DESIGN 3): answers only what asks for a page; a missing script is a 404, never HTML with 200. */
#include "site.h"

#include <stdio.h>

#include "base/check.h"

#define BROWSER "Accept: text/html,application/xhtml+xml,*/*;q=0.8\n"

static void only_pages(void **state)
{
	(void)state;
	static const struct {
		const char *target, *fields;
		unsigned status;
	} rows[] = {
		{"/app/users", BROWSER, 200},
		{"/app/", BROWSER, 200},
		{"/app/page.html", BROWSER, 200},
		{"/app/john.doe", BROWSER, 200},
		{"/app/users", NULL, 200},
		{"/app/users", "Accept: */*\n", 200},
		{"/app/john.doe", "Accept: */*\n", 404},
		{"/app/users", "Accept: application/json\n", 404},
		{"/app/users", "Accept: application/json, text/plain, */*\n", 404},
		{"/app/users", "Accept: image/avif,image/webp,image/*,*/*;q=0.8\n", 404},
		{"/app/users", "Accept: text/css,*/*;q=0.1\n", 404},
		{"/app/users", "Accept: text/html;charset=utf-8\n", 200},
		{"/app/users", "Accept: text/html;level=1;q=0.0\n", 404},
		{"/app/users", "Accept: text/html;q=0, */*\n", 404},
		{"/app/users", "Accept: text/html;q=0.5\n", 200},
		{"/app/users", "Accept: text/html;q=yes\n", 404}, /* malformed: see http/accept.h */
		{"/app/main.js", NULL, 404},
		{"/app/main.js", "Accept: */*\n", 404},
		{"/app/main.js", BROWSER, 404},
		{"/app/logo.png", BROWSER, 404},
		{"/app/users", "Sec-Fetch-Dest: document\n" BROWSER, 200},
		{"/app/v1.js", "Sec-Fetch-Dest: document\n" BROWSER, 200},
		{"/app/users", "Sec-Fetch-Dest: iframe\n" BROWSER, 200},
		{"/app/users", "Sec-Fetch-Dest: script\nAccept: */*\n", 404},
		{"/app/users", "Sec-Fetch-Dest: empty\nAccept: */*\n", 404},
		{"/app/users", "Sec-Fetch-Dest: image\nAccept: image/*,*/*\n", 404},
	};
	site_write("www/index.html", "the app", SIZE_MAX);
	site_start("root: www\n    fallback: /index.html", true);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct exchange_seen *seen = site_ask("GET", rows[i].target, rows[i].fields);
		if (seen->request.response.status != rows[i].status)
			fail_msg("row %zu, %s: %u", i, rows[i].target,
				seen->request.response.status);
	}
	struct exchange_seen *seen = site_get("/app/users", 200, "the app");
	site_assert_field(seen, "Content-Type", "text/html; charset=utf-8");
	/* RFC 9110, 12.5.5: a cache must not give it to a script's loader, nor the 404 to a reader */
	site_assert_field(seen, "Vary", "Sec-Fetch-Dest, Accept");
	seen = site_ask("GET", "/app/main.js", NULL);
	site_assert_field(seen, "Vary", "Sec-Fetch-Dest, Accept");
	seen = site_get("/app/users", 200, "the app");
	/* its conditions are those of the page */
	char line[128];
	snprintf(line, sizeof line, "If-None-Match: %s\n", loopback_field(seen, "ETag"));
	assert_int_equal(site_ask("GET", "/app/users", line)->request.response.status, 304);
	assert_int_equal(site_ask("HEAD", "/app/users", NULL)->request.response.status, 200);
	assert_int_equal(site_ask("POST", "/app/users", NULL)->request.response.status, 404);
}

static void what_answers_before(void **state)
{
	(void)state;
	site_write("www/index.html", "the app", SIZE_MAX);
	site_write("www/file", "a file", SIZE_MAX);
	site_start("root: www\n    fallback: /index.html\n    errors: { 404: /404.html }", true);
	site_get("/file", 200, "a file");
	site_passed = 0;
	site_get("/other", 200, "the app");
	assert_int_equal(site_passed, 1); /* the backend was asked first */
	/* an error's page that is missing is no page that was asked for */
	site_get("/x.js", 404, NULL);
}

static void missing_fallback(void **state)
{
	(void)state;
	site_start("root: www\n    fallback: /index.html", true);
	site_get("/other", 404, NULL);
}

static void off_in_a_route(void **state)
{
	(void)state;
	site_write("www/index.html", "the app", SIZE_MAX);
	site_start("root: www\n    fallback: /index.html\n    routes: { /api/: { fallback: off } }",
		true);
	site_get("/other", 200, "the app");
	site_get("/api/other", 404, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SITE_TEST(only_pages),
		SITE_TEST(what_answers_before),
		SITE_TEST(missing_fallback),
		SITE_TEST(off_in_a_route),
	};
	return cmocka_run_group_tests_name("handlers/fallback", tests, NULL, NULL);
}
