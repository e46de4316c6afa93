/* SPDX-License-Identifier: BSD-2-Clause */
/* Listings of folders (DESIGN 2: `listing`): what is shown, in which order, and that no name breaks the page. */
#include "site.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "handlers/static/listing.h"

#define LISTING "root: www\n    listing: on"

/* The page of a target, with a NUL behind it; valid until the next one. */
static const char *page_of(const char *target)
{
	struct exchange_seen *seen = site_get(target, 200, NULL);
	site_assert_field(seen, "Content-Type", "text/html; charset=utf-8");
	buffer_append(&seen->body, "", 1);
	return seen->body.ptr;
}

/* Do they all stand on the page, in this order? */
static void assert_order(const char *target, const char *const *texts)
{
	const char *at = page_of(target);
	for (; *texts; texts++) {
		const char *found = strstr(at, *texts);
		if (!found)
			fail_msg("%s: %s is not there, or not in its place", target, *texts);
		at = found + strlen(*texts);
	}
}

static void sorted_with_sizes_and_times(void **state)
{
	(void)state;
	struct timespec times[2] = {{1000000000, 0}, {1000000000, 0}};
	site_folder("www/d");
	site_folder("www/d/z");
	site_write("www/d/b", "12", 2);
	site_write("www/d/a", "1234567", 7);
	site_write("www/d/c", "", 0);
	assert_int_equal(utimensat(AT_FDCWD, site_path("www/d/b"), times, 0), 0);
	site_start(LISTING, true);
	assert_order("/d/", (const char *const[]){"<h1>/d/</h1>", "\"../\"", "\"./z/\"", "\"./a\"",
				    "7 B", "\"./b\"", "2 B", "2001-09-09 01:46", "\"./c\"", NULL});
	assert_order("/d/?order=desc",
		(const char *const[]){"\"./z/\"", "\"./c\"", "\"./b\"", "\"./a\"", NULL});
	assert_order("/d/?sort=size",
		(const char *const[]){"\"./z/\"", "\"./c\"", "\"./b\"", "\"./a\"", NULL});
	assert_order("/d/?sort=time", (const char *const[]){"\"./z/\"", "\"./b\"", NULL});
	/* at the root there is nothing above */
	assert_null(strstr(page_of("/"), "../"));
	/* the slash that its references count from */
	struct exchange_seen *seen = site_get("/d", 308, NULL);
	site_assert_field(seen, "Location", "/d/");
}

static void changes_are_seen(void **state)
{
	(void)state;
	site_folder("www/d");
	site_start(LISTING, true);
	assert_null(strstr(page_of("/d/"), "new.txt"));
	site_write("www/d/new.txt", "x", 1);
	assert_non_null(strstr(page_of("/d/"), "new.txt"));
	site_write("www/d/index.html", "index", SIZE_MAX);
	site_get("/d/", 200, "index");
	site_remove("www/d/index.html");
	assert_non_null(strstr(page_of("/d/"), "new.txt"));
}

/* What would not be served is not shown. */
static void shows_what_is_served(void **state)
{
	(void)state;
	site_folder("www/d");
	site_write("www/d/.hidden", "", 0);
	site_folder("www/d/.well-known");
	assert_int_equal(mkfifo(site_path("www/d/pipe"), 0644), 0);
	site_link("www/d/broken", "nowhere");
	site_write("www/d/file", "x", 1);
	site_link("www/d/link", "file");
	char inside[128];
	snprintf(inside, sizeof inside, "%s", site_path("www/d/file"));
	site_link("www/d/absolute", inside);
	site_write("secret", "0123456789", 10);
	site_link("www/d/outside", "../../secret");
	site_start(LISTING, true);
	const char *page = page_of("/d/");
	assert_null(strstr(page, "outside"));
	assert_non_null(strstr(page, "\"./absolute\""));
	assert_null(strstr(page, "hidden"));
	assert_null(strstr(page, "pipe"));
	assert_null(strstr(page, "broken"));
	assert_non_null(strstr(page, "\"./.well-known/\""));
	assert_non_null(strstr(page, "\"./link\""));
}

static void no_name_breaks_the_page(void **state)
{
	(void)state;
	site_folder("www/d");
	site_write("www/d/<script>\"'&.txt", "", 0);
	site_write("www/d/javascript:alert(1)", "", 0);
	site_write("www/d/50% #1?\n", "", 0);
	site_write("www/d/\xff\xfe", "", 0);
	site_write("www/d/gr\xc3\xbcn \xf0\x9f\x8c\xb1\xc3", "", 0);
	site_start(LISTING, true);
	const char *page = page_of("/d/");
	assert_null(strstr(page, "<script>"));
	assert_non_null(strstr(page, "&lt;script&gt;&quot;&#39;&amp;.txt"));
	assert_non_null(strstr(page, "href=\"./%3Cscript%3E%22%27%26.txt\""));
	assert_non_null(strstr(page, "href=\"./javascript%3Aalert%281%29\""));
	assert_non_null(strstr(page, "href=\"./50%25%20%231%3F%0A\""));
	assert_non_null(strstr(page, "href=\"./%FF%FE\">\xef\xbf\xbd\xef\xbf\xbd</a>"));
	assert_non_null(strstr(page, ">gr\xc3\xbcn \xf0\x9f\x8c\xb1\xef\xbf\xbd</a>"));
	assert_null(strstr(page, "50% #1?\n"));
}

static void paged(void **state)
{
	(void)state;
	site_folder("www/d");
	for (int i = 0; i < 2 * LISTING_PAGE + 3; i++) {
		char name[32];
		snprintf(name, sizeof name, "www/d/f%05d", i);
		site_write(name, "", 0);
	}
	site_start(LISTING, true);
	const char *page = page_of("/d/");
	assert_non_null(strstr(page, "./f00999\""));
	assert_null(strstr(page, "./f01000\""));
	assert_non_null(strstr(page, "rel=\"next\" href=\"./?page=2\""));
	assert_non_null(strstr(page, "page 1 of 3"));
	assert_non_null(strstr(page, "2003 entries"));
	assert_order(
		"/d/?page=2&order=desc", (const char *const[]){"./f01002\"", "./f00003\"", NULL});
	page = page_of("/d/?page=3");
	assert_non_null(strstr(page, "./f02002\""));
	assert_null(strstr(page, "rel=\"next\""));
	/* behind the last there is nothing: a page that can be asked for costs as much as one that is there */
	site_get("/d/?page=4", 404, NULL);
	site_get("/d/?page=99", 404, NULL);
	assert_non_null(strstr(page_of("/d/?page=0&x=y&&=&sort=nothing"), "./f00000\""));
}

static void conditions_and_head(void **state)
{
	(void)state;
	site_folder("www/d");
	site_start(LISTING "\n    max_age: 1h", true);
	char line[128];
	struct exchange_seen *seen = site_get("/d/", 200, NULL);
	site_assert_field(seen, "Last-Modified", NULL); /* the content's time is nobody's */
	site_assert_field(seen, "Cache-Control", "no-cache");
	snprintf(line, sizeof line, "If-None-Match: %s\n", loopback_field(seen, "ETag"));
	seen = site_ask("GET", "/d/", line);
	assert_int_equal(seen->request.response.status, 304);
	seen = site_ask("HEAD", "/d/", NULL);
	assert_int_equal(seen->request.response.status, 200);
	assert_int_equal(seen->body.len, 0);
	assert_true(seen->request.response.length > 100);
	/* whatever the query says that means nothing, it is one page in the cache */
	site_get("/d/", 200, NULL);
	assert_true(site_get("/d/?page=1&utm=x", 200, NULL)->ready);
}

/* Who leaves before a page is begun costs none, and who comes then gets one all the same. */
static void nobody_waits(void **state)
{
	(void)state;
	site_folder("www/d");
	site_write("www/d/file", "x", 1);
	site_start(LISTING, true);
	site_get("/d", 308, NULL); /* that there is no index is known */
	for (int i = 0; i < 20; i++) {
		char target[32];
		snprintf(target, sizeof target, "/d/?sort=%s&order=%s", i % 3 ? "size" : "time",
			i % 2 ? "asc" : "desc");
		struct exchange_seen *seen = loopback_begin(site.loopback, "GET", target, NULL);
		loopback_free(seen);
		assert_non_null(strstr(page_of(target), "\"./file\""));
	}
	/* more at a time than a thread has made: told, not queued without end */
	struct exchange_seen *many[40];
	unsigned told = 0;
	for (unsigned i = 0; i < 40; i++) {
		char target[32], name[32];
		snprintf(name, sizeof name, "www/d%u", i);
		site_folder(name);
		snprintf(target, sizeof target, "/d%u/", i);
		many[i] = loopback_begin(site.loopback, "GET", target, NULL);
	}
	for (unsigned i = 0; i < 40; i++) {
		loopback_await(many[i]);
		unsigned status = many[i]->request.response.status;
		assert_true(status == 200 || status == 503);
		told += status == 503;
		loopback_free(many[i]);
	}
	assert_true(told < 40);
	site_get("/d39/", 200, NULL);
}

static void off_and_unreadable(void **state)
{
	(void)state;
	site_folder("www/d");
	site_start("root: www", true);
	site_get("/d/", 404, NULL);
	site_get("/d", 404, NULL);
}

static void queries_have_one_spelling(void **state)
{
	(void)state;
	static const struct {
		const char *query, *wanted;
	} rows[] = {
		{"", ""},
		{"page=1", ""},
		{"page=0", ""},
		{"page=-1", ""},
		{"page=123456", ""},
		{"page=7&page=x", "page=7"},
		{"sort=name&order=asc", ""},
		{"order=desc&sort=time&page=2", "page=2&sort=time&order=desc"},
		{"sort=evil\"&a=b", ""},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct request request = {.target = {.query = slice_of(rows[i].query)}};
		arena_init(&request.arena, NULL, 0);
		struct slice query = listing_query(&request);
		assert_int_equal(query.len, strlen(rows[i].wanted));
		if (query.len)
			assert_memory_equal(query.ptr, rows[i].wanted, query.len);
		arena_reset(&request.arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SITE_TEST(sorted_with_sizes_and_times),
		SITE_TEST(changes_are_seen),
		SITE_TEST(shows_what_is_served),
		SITE_TEST(no_name_breaks_the_page),
		SITE_TEST(paged),
		SITE_TEST(conditions_and_head),
		SITE_TEST(nobody_waits),
		SITE_TEST(off_and_unreadable),
		cmocka_unit_test(queries_have_one_spelling),
	};
	return cmocka_run_group_tests_name("handlers/listing", tests, NULL, NULL);
}
