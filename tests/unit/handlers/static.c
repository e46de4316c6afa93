/* SPDX-License-Identifier: BSD-2-Clause */
/* Static files as DESIGN 3 says: what is answered, what passes, what is refused, and with which fields. */
#include "site.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void small_file(void **state)
{
	(void)state;
	site_write("www/page.html", "<p>hello", SIZE_MAX);
	site_start("root: www", true);
	struct exchange_seen *seen = site_get("/page.html", 200, "<p>hello");
	assert_true(seen->ready); /* DESIGN 6: from memory, by one call */
	site_assert_field(seen, "Content-Type", "text/html; charset=utf-8");
	site_assert_field(seen, "X-Content-Type-Options", "nosniff");
	site_assert_field(seen, "Accept-Ranges", "bytes");
	site_assert_field(seen, "Cache-Control", NULL);
	assert_non_null(loopback_field(seen, "Last-Modified"));
	assert_int_equal(strlen(loopback_field(seen, "ETag")), 34);
	/* RFC 9110, 9.3.2: HEAD has the fields of GET and no content */
	seen = site_ask("HEAD", "/page.html", NULL);
	assert_int_equal(seen->request.response.status, 200);
	assert_int_equal(seen->request.response.length, 8);
	assert_int_equal(seen->body.len, 0);
	site_assert_field(seen, "Content-Type", "text/html; charset=utf-8");
	assert_int_equal(site_passed, 0);
}

static void empty_file(void **state)
{
	(void)state;
	site_write("www/empty.css", "", 0);
	site_start("root: www", true);
	struct exchange_seen *seen = site_get("/empty.css", 200, "");
	assert_int_equal(seen->request.response.length, 0);
	seen = site_ask("GET", "/empty.css", "Range: bytes=0-\n");
	assert_int_equal(seen->request.response.status, 416);
}

static void large_file(void **state)
{
	(void)state;
	size_t length = 5 * 1024 * 1024 + 321;
	char *content = test_malloc(length);
	for (size_t i = 0; i < length; i++)
		content[i] = (char)(i * 7 + i / 251);
	site_write("www/large.bin", content, length);
	site_start("root: www", true);
	struct exchange_seen *seen = site_get("/large.bin", 200, NULL);
	assert_false(seen->ready);
	assert_int_equal(seen->body.len, length);
	assert_memory_equal(seen->body.ptr, content, length);
	assert_int_equal(seen->file_spans, 3); /* DESIGN 6: never copied, in large quanta */
	seen = site_ask("HEAD", "/large.bin", NULL);
	assert_int_equal(seen->request.response.length, length);
	assert_int_equal(seen->body.len, 0);
	seen = site_ask("GET", "/large.bin", "Range: bytes=1048570-1048580\n");
	assert_int_equal(seen->request.response.status, 206);
	assert_memory_equal(seen->body.ptr, content + 1048570, 11);
	test_free(content);
}

/* DESIGN 3: a missing file, a directory without index, a hidden name, another kind of file pass. */
static void what_passes(void **state)
{
	(void)state;
	static const char *const targets[] = {
		"/missing",
		"/missing/deeper/x.html",
		"/page.html/",
		"/page.html/x",
		"/bare/",
		"/bare",
		"/.hidden",
		"/.git/config",
		"/docs/.secret",
		"/fifo",
		"/socket",
		"/loop",
		"/dangling",
		"//missing",
		"/docs//.secret",
		"/page.html//",
		"/%2e%70age.html",
		"/docs%2Findex.html",
	};
	site_write("www/page.html", "x", 1);
	site_write("www/.hidden", "secret", 6);
	site_folder("www/.git");
	site_write("www/.git/config", "secret", 6);
	site_folder("www/bare");
	site_folder("www/docs");
	site_write("www/docs/index.html", "docs", 4);
	site_write("www/docs/.secret", "secret", 6);
	site_write("www/docs%2Findex.html", "a name of its own", 17);
	assert_int_equal(mkfifo(site_path("www/fifo"), 0644), 0);
	site_link("www/loop", "loop");
	site_link("www/dangling", "nowhere");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%s", site_path("www/socket"));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	site_start("root: www", true);
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
		site_passed = 0;
		site_get(targets[i], 404, NULL);
		assert_int_equal(site_passed, 1);
		site_get(targets[i], 404, NULL); /* and the second time, when it is known */
		assert_int_equal(site_passed, 2);
	}
	close(fd);
}

/* Names that no file system holds are as good as missing. */
static void long_names_pass(void **state)
{
	(void)state;
	static const size_t lengths[] = {256, 300, 4095, 7000};
	site_start("root: www", true);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		char *target = test_malloc(lengths[i] + 2);
		memset(target, 'a', lengths[i] + 1);
		target[0] = '/';
		target[lengths[i] + 1] = '\0';
		site_get(target, 404, NULL);
		test_free(target);
	}
	char deep[2001];
	for (size_t i = 0; i < 1000; i++)
		memcpy(deep + 2 * i, "/a", 3);
	site_get(deep, 404, NULL);
}

static void hidden_files_on(void **state)
{
	(void)state;
	site_write("www/.hidden", "shown", 5);
	site_folder("www/.well-known");
	site_write("www/.well-known/token", "token", 5);
	site_start("root: www\n    hidden_files: on", true);
	site_get("/.hidden", 200, "shown");
	site_get("/.well-known/token", 200, "token");
}

/* DESIGN 2: names that begin with a dot, .well-known apart. */
static void well_known_is_not_hidden(void **state)
{
	(void)state;
	site_folder("www/.well-known");
	site_write("www/.well-known/token", "token", 5);
	site_write("www/.well-known/.secret", "secret", 6);
	site_start("root: www", true);
	site_get("/.well-known/token", 200, "token");
	site_get("/.well-known/.secret", 404, NULL);
}

static void index_of_directory(void **state)
{
	(void)state;
	site_write("www/index.html", "home", 4);
	site_folder("www/docs");
	site_write("www/docs/index.htm", "docs", 4);
	site_folder("www/odd");
	site_folder("www/odd/index.html"); /* a folder is no index */
	site_start("root: www\n    index: [index.html, index.htm]", true);
	struct exchange_seen *seen = site_get("/", 200, "home");
	site_assert_field(seen, "Content-Type", "text/html; charset=utf-8");
	site_get("/docs/", 200, "docs");
	site_get("/odd/", 404, NULL);
	site_get("/odd", 404, NULL);
}

/* DESIGN 3: a 308 to the slash, path and query kept. */
static void directory_without_slash(void **state)
{
	(void)state;
	site_folder("www/docs");
	site_folder("www/docs/a b");
	site_write("www/docs/index.html", "docs", 4);
	site_write("www/docs/a b/index.html", "a b", 3);
	site_start("root: www", true);
	site_assert_field(site_get("/docs", 308, NULL), "Location", "/docs/");
	site_assert_field(site_get("/docs?a=1&b=//x", 308, NULL), "Location", "/docs/?a=1&b=//x");
	site_assert_field(site_get("/docs/a%20b", 308, NULL), "Location", "/docs/a%20b/");
	struct exchange_seen *seen = site_ask("HEAD", "/docs", NULL);
	assert_int_equal(seen->request.response.status, 308);
	/* no other host can be named: a run of slashes is one */
	site_assert_field(site_get("//docs", 308, NULL), "Location", "/docs/");
	site_assert_field(site_get("//docs/..//docs", 308, NULL), "Location", "/docs/");
	seen = site_ask("POST", "/docs", NULL);
	assert_int_equal(seen->request.response.status, 405);
}

/* DESIGN 3: another method passes; where nothing is left, 405 with Allow (RFC 9110, 15.5.6). */
static void other_methods(void **state)
{
	(void)state;
	static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH", "PROPFIND", "get"};
	site_write("www/page.html", "x", 1);
	site_start("root: www", true);
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		site_passed = 0;
		struct exchange_seen *seen = site_ask(methods[i], "/page.html", NULL);
		assert_int_equal(site_passed, 1);
		assert_int_equal(seen->request.response.status, 405);
		site_assert_field(seen, "Allow", "GET, HEAD, OPTIONS");
		seen = site_ask(methods[i], "/missing", NULL);
		assert_int_equal(seen->request.response.status, 404);
	}
	struct exchange_seen *seen = site_ask("OPTIONS", "/page.html", NULL);
	assert_int_equal(seen->request.response.status, 204);
	site_assert_field(seen, "Allow", "GET, HEAD, OPTIONS");
}

/* DESIGN 3: a path that cannot name a file is a 400 and reaches no backend. */
static void bad_paths(void **state)
{
	(void)state;
	static const char *const targets[] = {"/a%00b", "/../etc/passwd", "/%zz", "/a%2"};
	site_start("root: www", true);
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
		site_get(targets[i], 400, NULL);
	assert_int_equal(site_passed, 0);
}

static void encoded_names(void **state)
{
	(void)state;
	site_write("www/a b.html", "space", 5);
	site_write("www/\xc3\xa4.html", "umlaut", 6);
	site_write("www/100%.txt", "percent", 7);
	site_write("www/a%2fb.txt", "encoded", 7);
	site_start("root: www", true);
	site_get("/a%20b.html", 200, "space");
	site_get("/%c3%a4.html", 200, "umlaut");
	site_get("/%C3%A4.html", 200, "umlaut");
	site_get("/100%25.txt", 200, "percent");
	site_get("/a%252fb.txt", 200, "encoded");
	site_get("/a+b.html", 404, NULL);
}

/* DESIGN 3: text says charset=utf-8 where it is; unknown names never get an active type. */
static void types(void **state)
{
	(void)state;
	site_write("www/utf8.txt", "na\xc3\xafve", SIZE_MAX);
	site_write("www/latin.txt", "na\xefve", SIZE_MAX);
	site_write("www/LICENSE", "<html>not a page", SIZE_MAX);
	site_write("www/blob", "\x00\x01\x02", 3);
	site_write("www/data.json", "{}", 2);
	site_start("root: www", true);
	site_assert_field(
		site_get("/utf8.txt", 200, NULL), "Content-Type", "text/plain; charset=utf-8");
	site_assert_field(site_get("/latin.txt", 200, NULL), "Content-Type", "text/plain");
	site_assert_field(
		site_get("/LICENSE", 200, NULL), "Content-Type", "text/plain; charset=utf-8");
	site_assert_field(site_get("/blob", 200, NULL), "Content-Type", "application/octet-stream");
	site_assert_field(site_get("/data.json", 200, NULL), "Content-Type", "application/json");
}

static void max_age(void **state)
{
	(void)state;
	site_folder("www/assets");
	site_write("www/assets/app.js", "x", 1);
	site_write("www/style.css", "x", 1);
	site_write("www/live.css", "x", 1);
	site_write("www/index.html", "x", 1);
	site_start(
		"root: www\n    max_age: { live.css: 0, \"*.css\": 7d, \"/assets/*\": 1h }", true);
	site_assert_field(site_get("/assets/app.js", 200, NULL), "Cache-Control", "max-age=3600");
	site_assert_field(site_get("//assets//app.js", 200, NULL), "Cache-Control", "max-age=3600");
	site_assert_field(site_get("/style.css", 200, NULL), "Cache-Control", "max-age=604800");
	site_assert_field(site_get("/live.css", 200, NULL), "Cache-Control", "no-cache");
	site_assert_field(site_get("/", 200, NULL), "Cache-Control", NULL);
}

/* DESIGN 3: the five preconditions in RFC 9110's order (13.2.2). */
static void conditions(void **state)
{
	(void)state;
	site_write("www/page.html", "<p>hello", SIZE_MAX);
	site_start("root: www\n    max_age: 1h", true);
	char etag[64], fields[256];
	snprintf(
		etag, sizeof etag, "%s", loopback_field(site_get("/page.html", 200, NULL), "ETag"));
	snprintf(fields, sizeof fields, "If-None-Match: W/\"x\", %s\n", etag);
	struct exchange_seen *seen = site_ask("GET", "/page.html", fields);
	assert_int_equal(seen->request.response.status, 304);
	assert_int_equal(seen->body.len, 0);
	site_assert_field(seen, "ETag", etag);
	site_assert_field(seen, "Cache-Control", "max-age=3600"); /* RFC 9110, 15.4.5 */
	site_assert_field(seen, "Content-Type", NULL);
	seen = site_ask("GET", "/page.html", "If-None-Match: \"other\"\n");
	assert_int_equal(seen->request.response.status, 200);
	seen = site_ask("GET", "/page.html", "If-Match: \"other\"\n");
	assert_int_equal(seen->request.response.status, 412);
	site_assert_field(seen, "Content-Type", "text/html; charset=utf-8");
	site_assert_field(seen, "Cache-Control", NULL);
	seen = site_ask("GET", "/page.html", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\n");
	/* RFC 9110, 13.1.3: later than now is still a date; the file is not newer */
	assert_int_equal(seen->request.response.status, 304);
}

/* RFC 9110, 8.8.2.1: never later than Date. */
static void modified_in_the_future(void **state)
{
	(void)state;
	site_write("www/page.html", "x", 1);
	struct timespec times[2] = {{4102444800, 0}, {4102444800, 0}};
	assert_int_equal(utimensat(AT_FDCWD, site_path("www/page.html"), times, 0), 0);
	site_start("root: www", true);
	struct exchange_seen *seen = site_get("/page.html", 200, NULL);
	assert_non_null(loopback_field(seen, "Last-Modified"));
	assert_null(strstr(loopback_field(seen, "Last-Modified"), "2100"));
	seen = site_ask("GET", "/page.html", "Range: bytes=0-0\n");
	assert_null(strstr(loopback_field(seen, "Last-Modified"), "2100"));
}

/* DESIGN 3: ETags come from content, equal on every machine, unchanged by a rebuild that changed nothing. */
static void etag_is_of_content(void **state)
{
	(void)state;
	char first[64];
	site_write("www/a.html", "<p>the same", SIZE_MAX);
	site_folder("www/sub");
	site_write("www/sub/b.html", "<p>the same", SIZE_MAX);
	site_write("www/c.html", "<p>another", SIZE_MAX);
	site_start("root: www", true);
	snprintf(first, sizeof first, "%s", loopback_field(site_get("/a.html", 200, NULL), "ETag"));
	site_assert_field(site_get("/sub/b.html", 200, NULL), "ETag", first);
	assert_string_not_equal(loopback_field(site_get("/c.html", 200, NULL), "ETag"), first);
	site_write("www/new", "<p>the same", SIZE_MAX);
	site_rename("www/new", "www/a.html");
	site_assert_field(site_get("/a.html", 200, NULL), "ETag", first);
}

/* An error's page has the error's status and neither conditions nor validators (RFC 9110, 8.8 is of the page asked for). */
static void error_page(void **state)
{
	(void)state;
	site_write("www/404.html", "<p>not here", SIZE_MAX);
	site_start("root: www\n    max_age: 1h\n    errors: { 404: /404.html }", true);
	struct exchange_seen *seen =
		site_ask("GET", "/missing", "Range: bytes=0-1\nIf-None-Match: *\n");
	assert_int_equal(seen->request.response.status, 404);
	assert_int_equal(seen->body.len, 11);
	site_assert_field(seen, "ETag", NULL);
	site_assert_field(seen, "Cache-Control", NULL);
	site_assert_field(seen, "Content-Type", "text/html; charset=utf-8");
}

static void headers_of_the_site(void **state)
{
	(void)state;
	site_write("www/page.html", "x", 1);
	site_start("root: www\n    headers: { set: { X-Own: yes-sir }, remove: [ETag] }", true);
	struct exchange_seen *seen = site_get("/page.html", 200, "x");
	assert_true(seen->ready);
	site_assert_field(seen, "X-Own", "yes-sir");
	site_assert_field(seen, "ETag", NULL);
}

static void routes_have_roots(void **state)
{
	(void)state;
	site_folder("images");
	site_folder("images/img");
	site_write("images/img/a.txt", "image", 5);
	site_folder("www/off");
	site_write("www/off/a.txt", "no", 2);
	site_start(
		"root: www\n    routes: { /img/: { root: images }, /off/: { root: off } }", true);
	site_get("/img/a.txt", 200, "image");
	site_get("/off/a.txt", 404, NULL);
}

/* DESIGN 3: "Changed on disk: the next request sees the change", also where it is written by a name elsewhere, of which no event tells. */
static void other_names(void **state)
{
	(void)state;
	static const size_t lengths[] = {0, 100, FILE_SMALL_MAX, 100000, FILE_DIGEST_MAX + 1};
	site_folder("elsewhere");
	site_start("root: www", true);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		size_t length = lengths[i], other = length ? length : 1;
		char name[32], target[32], tag[64];
		snprintf(name, sizeof name, "www/%zu.bin", length);
		snprintf(target, sizeof target, "/%zu.bin", length);
		site_fill("elsewhere/name", length, 'a');
		assert_int_equal(link(site_path("elsewhere/name"), site_path(name)), 0);
		/* so that its time would tell of another write, and its tag is strong */
		site_sleep(length > FILE_DIGEST_MAX ? 1100 : 100);
		struct exchange_seen *seen = site_get(target, 200, NULL);
		assert_int_equal(seen->body.len, length);
		snprintf(tag, sizeof tag, "%s", loopback_field(seen, "ETag"));
		assert_true(site_at_once(target));
		for (int writes = 0; writes < 3; writes++) {
			site_fill("elsewhere/name", other, (char)('b' + writes));
			seen = site_get(target, 200, NULL);
			assert_true(seen->ended);
			assert_int_equal(seen->body.len, other);
			assert_int_equal(seen->body.ptr[other - 1], 'b' + writes);
			assert_string_not_equal(loopback_field(seen, "ETag"), tag);
		}
		site_remove("elsewhere/name");
	}
}

/* There are descriptors for some of these only: others are believed for a second. */
static void many_with_other_names(void **state)
{
	(void)state;
	site_folder("elsewhere");
	site_start("root: www", true);
	site_cache()->shelves[SHELF_OPEN].count_max = 4;
	for (int i = 0; i < 4; i++) {
		char name[32], other[32];
		snprintf(name, sizeof name, "www/%d.txt", i);
		snprintf(other, sizeof other, "elsewhere/%d.txt", i);
		site_write(other, "text", 4);
		assert_int_equal(link(site_path(other), site_path(name)), 0);
	}
	site_sleep(100);
	for (int i = 0; i < 4; i++) {
		char target[32];
		snprintf(target, sizeof target, "/%d.txt", i);
		site_get(target, 200, "text");
		assert_true(site_at_once(target));
	}
	assert_int_equal(site_known(SHELF_OPEN), 2);
	assert_int_equal(site_known(SHELF_SMALL), 2);
	site_write("elsewhere/0.txt", "next", 4);
	site_get("/0.txt", 200, "next");
}

/* A tag that is weak because the file is young becomes a strong one (RFC 9110, 8.8.2.2), whatever time it was given. */
static void young_large_file(void **state)
{
	(void)state;
	static const struct {
		const char *name, *target;
		time_t ahead;
	} rows[] = {{"www/young.bin", "/young.bin", 0}, {"www/future.bin", "/future.bin", 3 * 3600},
		{"www/next.bin", "/next.bin", 30 * 86400}, {"www/past.bin", "/past.bin", -86400}};
	struct timespec now, then;
	clock_gettime(CLOCK_REALTIME, &now);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct timespec times[2] = {now, {now.tv_sec + rows[i].ahead, now.tv_nsec}};
		site_write(rows[i].name, "x", 1);
		assert_int_equal(truncate(site_path(rows[i].name), 5 << 20), 0);
		assert_int_equal(utimensat(AT_FDCWD, site_path(rows[i].name), times, 0), 0);
	}
	site_start("root: www", true);
	clock_gettime(CLOCK_MONOTONIC, &then);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *tag;
		do {
			tag = loopback_field(site_ask("HEAD", rows[i].target, NULL), "ETag");
			clock_gettime(CLOCK_MONOTONIC, &now);
		} while (tag[0] == 'W' && now.tv_sec - then.tv_sec < 10);
		assert_int_equal(tag[0], '"');
	}
}

/* An error's page that is a folder is no page: not a redirect that is no error. */
static void error_page_is_a_folder(void **state)
{
	(void)state;
	site_folder("www/dir");
	site_write("www/dir/index.html", "index", SIZE_MAX);
	site_start("root: www\n    errors: { 404: /dir }", true);
	struct exchange_seen *seen = site_get("/none", 404, NULL);
	site_assert_field(seen, "Location", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SITE_TEST(small_file),
		SITE_TEST(empty_file),
		SITE_TEST(large_file),
		SITE_TEST(what_passes),
		SITE_TEST(long_names_pass),
		SITE_TEST(hidden_files_on),
		SITE_TEST(well_known_is_not_hidden),
		SITE_TEST(index_of_directory),
		SITE_TEST(directory_without_slash),
		SITE_TEST(other_methods),
		SITE_TEST(bad_paths),
		SITE_TEST(encoded_names),
		SITE_TEST(types),
		SITE_TEST(max_age),
		SITE_TEST(conditions),
		SITE_TEST(modified_in_the_future),
		SITE_TEST(etag_is_of_content),
		SITE_TEST(error_page),
		SITE_TEST(headers_of_the_site),
		SITE_TEST(routes_have_roots),
		SITE_TEST(other_names),
		SITE_TEST(many_with_other_names),
		SITE_TEST(young_large_file),
		SITE_TEST(error_page_is_a_folder),
	};
	return cmocka_run_group_tests_name("handlers/static", tests, NULL, NULL);
}
