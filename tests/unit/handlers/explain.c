/* SPDX-License-Identifier: BSD-2-Clause */
/* What the handlers that serve tell of themselves to who asks why: the names that are tried, what was chosen, who answers. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "http/explain.h"
#include "site.h"

static struct buffer text;

/* Asks, and gives what was told as JSON; valid until the next call. */
static const char *told(const char *method, const char *target, const char *fields, unsigned status)
{
	struct explanation e;
	explain_init(&e);
	site.loopback->explanation = &e;
	struct exchange_seen *seen = site_ask(method, target, fields);
	site.loopback->explanation = NULL;
	if (seen->request.response.status != status)
		fail_msg("%s: %u, not %u", target, seen->request.response.status, status);
	text.len = 0;
	explain_json(&e, &text);
	buffer_append(&text, "", 1);
	explain_free(&e);
	return text.ptr;
}

static void holds(const char *json, const char *what)
{
	if (!strstr(json, what))
		fail_msg("no %s in %s", what, json);
}

static void holds_tried(const char *json, const char *path, const char *found)
{
	char what[PATH_MAX + 64];
	snprintf(what, sizeof what, "{\"path\":\"%s/www/%s\",\"found\":\"%s\"}", site.path, path,
		found);
	holds(json, what);
}

static void age(const char *path, time_t seconds)
{
	struct timespec times[2] = {{.tv_sec = time(NULL) - seconds}, {0}};
	times[1] = times[0];
	assert_int_equal(utimensat(AT_FDCWD, site_path(path), times, 0), 0);
}

/* Each name that a look tries is told, with what stood in its way. */
static void names_that_are_tried(void **state)
{
	(void)state;
	site_folder("www/dir");
	site_write("www/dir/second.html", "x", 1);
	site_folder("www/empty");
	site_folder("www/dir2");
	site_folder("www/dir2/first.html");
	site_write("secret", "x", 1);
	site_link("www/out", "../secret");
	site_link("www/loop", "loop");
	site_start("root: www\n    index: [first.html, second.html]", true);
	const char *json = told("GET", "/dir/", NULL, 200);
	holds_tried(json, "dir/first.html", "missing");
	holds_tried(json, "dir/second.html", "a file");
	holds(json, "\"verdict\":\"answers\"");
	json = told("GET", "/dir", NULL, 308);
	holds_tried(json, "dir", "a directory");
	holds(json, "\"location\":\"/dir/\"");
	json = told("GET", "/dir2/", NULL, 404);
	holds_tried(json, "dir2/first.html", "a directory");
	holds_tried(json, "dir2/second.html", "missing");
	holds(json, "\"verdict\":\"passes\"");
	holds(json, "\"nobody\":\"no handler answers\"");
	holds_tried(
		told("GET", "/out", NULL, 403), "out", "a link leads out of the root, or nowhere");
	holds_tried(told("GET", "/loop", NULL, 404), "loop", "links go in a circle");
	holds_tried(told("GET", "/dir/second.html/x", NULL, 404), "dir/second.html/x",
		"missing: a name on its way is no directory");
}

/* Paths that name nothing are not looked for, and it is told why. */
static void names_that_are_none(void **state)
{
	(void)state;
	site_start("root: www", true);
	holds(told("GET", "/.git/config", NULL, 404), "a name that begins with a dot is hidden");
	holds(told("GET", "/a%2Fb", NULL, 404), "an encoded slash stands in no name");
	site_write("www/a", "x", 1);
	holds(told("POST", "/a", NULL, 405), "something is there, but does not take POST");
	holds(told("TRACE", "/a", NULL, 405), "\"handlers\":[]");
}

static void variants_and_negotiation(void **state)
{
	(void)state;
	site_write("www/a.css", "plain", SIZE_MAX);
	site_write("www/a.css.gz", "gz", SIZE_MAX);
	site_write("www/a.css.br", "br", SIZE_MAX);
	age("www/a.css", 100);
	age("www/a.css.gz", 50);
	age("www/a.css.br", 200);
	site_start("root: www\n    max_age: 1h", true);
	const char *json = told("GET", "/a.css", "Accept-Encoding: br, gzip\n", 200);
	holds(json, "{\"variant\":\"zst\",\"found\":\"missing\"}");
	holds(json, "{\"variant\":\"br\",\"found\":\"stale: older than the file\"}");
	holds(json, "{\"variant\":\"gz\",\"found\":\"chosen\"}");
	holds(json,
		"\"variant\":\"gz\",\"size\":2,\"type\":\"text/css; charset=utf-8\",\"type_from\":"
		"\"the extension\"");
	holds(json, "\"cache_control\":\"max-age=3600\"");
	/* known by now, and looked at again all the same */
	json = told("GET", "/a.css", "Accept-Encoding: br\n", 200);
	holds(json, "{\"variant\":\"gz\",\"found\":\"not accepted\"}");
	holds(json, "\"size\":5");
	json = told("GET", "/a.css", "Accept-Encoding: gzip;q=0.1, identity\n", 200);
	holds(json, "{\"variant\":\"gz\",\"found\":\"passed over: another is preferred\"}");
	json = told("GET", "/a.css", "Accept-Encoding: *;q=0\n", 406);
	holds(json, "\"negotiated\":\"nothing: neither the file nor a variant is acceptable\"");
}

static void conditions_and_ranges(void **state)
{
	(void)state;
	site_write("www/a.txt", "0123456789", 10);
	age("www/a.txt", 100);
	site_start("root: www", true);
	holds(told("GET", "/a.txt", "If-None-Match: *\n", 304),
		"\"conditions\":\"If-None-Match: not modified, 304\"");
	holds(told("GET", "/a.txt", "If-Match: \"no\"\nIf-None-Match: \"no\"\n", 412),
		"\"conditions\":\"If-Match, If-None-Match: failed, 412\"");
	holds(told("GET", "/a.txt", "Range: bytes=2-3\n", 206),
		"\"range\":\"octets 2 to 3 of 10, 206\"");
	holds(told("GET", "/a.txt", "Range: bytes=0-0,5-5\n", 206),
		"\"range\":\"2 parts of 10 octets");
	holds(told("GET", "/a.txt", "Range: bytes=10-\n", 416),
		"\"range\":\"outside of 10 octets, 416\"");
	holds(told("GET", "/a.txt", "Range: lines=1\n", 200), "\"range\":\"ignored: malformed");
	holds(told("HEAD", "/a.txt", "Range: bytes=2-3\n", 200), "\"range\":\"ignored: the method");
	holds(told("GET", "/a.txt", "Range: bytes=2-3\nIf-Range: \"no\"\n", 200),
		"\"range\":\"ignored: If-Range");
}

/* A path that takes the place of the client's begins a step of its own. */
static void steps(void **state)
{
	(void)state;
	site_write("www/404.html", "none", SIZE_MAX);
	site_write("www/app.html", "app", SIZE_MAX);
	site_start("root: www\n    fallback: /app.html\n    errors: { 404: /404.html }\n"
		   "    routes: { /old/: { redirect: /new/ }, \"*.php\": { fallback: off } }",
		true);
	const char *json = told("GET", "/page", NULL, 200);
	holds(json, "\"name\":\"fallback\",\"verdict\":\"reroutes\"");
	holds(json, "{\"path\":\"/app.html\",\"why\":\"the fallback\",");
	json = told("GET", "/x.css", NULL, 404);
	holds(json, "by Sec-Fetch-Dest, Accept and the name no page is asked for");
	holds(json, "\"page\":\"/404.html\"}");
	holds(json, "{\"path\":\"/404.html\",\"why\":\"an error page\",\"keeps\":404,");
	json = told("GET", "/old/a?b", NULL, 308);
	holds(json, "\"route\":{\"pattern\":\"/old/\",\"why\":\"the longest prefix that fits");
	holds(json, "\"handlers\":[{\"name\":\"redirect\",\"verdict\":\"answers\",\"status\":308,"
		    "\"location\":\"/new/a?b\"");
	holds(told("GET", "/x.php", NULL, 404), "\"route\":{\"pattern\":\"*.php\"");
}

static void sites(void **state)
{
	(void)state;
	site_start("host: [localhost, \"*.example\"]", true);
	holds(told("GET", "/", NULL, 404),
		"\"site\":{\"name\":\"localhost\",\"why\":\"it has exactly");
	holds(told("GET", "/", "Host: a.b.example\n", 404), "\"why\":\"*.example is the longest");
	const char *json = told("GET", "/", "Host: other\n", 421);
	holds(json, "\"site\":{\"name\":null,\"why\":\"no site of this listener has the host");
	assert_null(strstr(json, "steps"));
}

static int done(void **state)
{
	(void)state;
	buffer_free(&text);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SITE_TEST(names_that_are_tried),
		SITE_TEST(names_that_are_none),
		SITE_TEST(variants_and_negotiation),
		SITE_TEST(conditions_and_ranges),
		SITE_TEST(steps),
		SITE_TEST(sites),
	};
	return cmocka_run_group_tests_name("handlers/explain", tests, NULL, done);
}
