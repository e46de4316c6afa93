/* SPDX-License-Identifier: BSD-2-Clause */
/* Static files as DESIGN 2 and 3 say: where links lead, and what may not be read. */
#include "site.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* DESIGN 3: a file that exists but cannot be read is a 403 and never passes. */
static void unreadable(void **state)
{
	(void)state;
	site_write("www/closed.html", "x", 1);
	site_folder("www/closed");
	site_write("www/closed/index.html", "x", 1);
	site_folder("www/dark");
	site_write("www/dark/index.html", "found", 5);
	assert_int_equal(chmod(site_path("www/closed.html"), 0), 0);
	assert_int_equal(chmod(site_path("www/closed"), 0), 0);
	assert_int_equal(chmod(site_path("www/dark"), 0311), 0);
	if (geteuid() == 0) {
		assert_int_equal(chmod(site.path, 0755), 0);
		assert_int_equal(seteuid(65534), 0);
	}
	site_start("root: www", true);
	site_get("/closed.html", 403, NULL);
	site_get("/closed/", 403, NULL);
	site_get("/closed/other", 403, NULL);
	assert_int_equal(site_ask("POST", "/closed.html", NULL)->request.response.status, 403);
	assert_int_equal(site_passed, 0);
	/* a folder that may be searched but not listed has its index all the same */
	site_get("/dark/", 200, "found");
	site_get("/dark", 308, NULL);
	assert_int_equal(seteuid(getuid()), 0);
	assert_int_equal(chmod(site_path("www/closed"), 0755), 0);
	assert_int_equal(chmod(site_path("www/dark"), 0755), 0);
}

/* DESIGN 3: changed on disk, the next request sees it; also where a folder that may not be read cannot be watched itself. */
static void unreadable_changes(void **state)
{
	(void)state;
	static const char *const folders[] = {"www/opened", "www/gone", "www/moved"};
	for (size_t i = 0; i < COUNT_OF(folders); i++) {
		site_folder(folders[i]);
		assert_int_equal(chmod(site_path(folders[i]), 0), 0);
	}
	if (geteuid() == 0) {
		assert_int_equal(chmod(site.path, 0755), 0);
		assert_int_equal(seteuid(65534), 0);
	}
	site_start("root: www", true);
	site_get("/opened/", 403, NULL);
	site_get("/gone/", 403, NULL);
	site_get("/moved/a/b.html", 403, NULL);
	site_get("/other/a/b.html", 404, NULL);
	assert_int_equal(seteuid(getuid()), 0);
	assert_int_equal(chmod(site_path("www/opened"), 0755), 0);
	site_write("www/opened/index.html", "opened", 6);
	site_get("/opened/", 200, "opened");
	assert_int_equal(rmdir(site_path("www/gone")), 0);
	site_get("/gone/", 404, NULL);
	assert_int_equal(rename(site_path("www/moved"), site_path("www/other")), 0);
	site_get("/moved/a/b.html", 404, NULL);
	assert_int_equal(chmod(site_path("www/other"), 0755), 0);
}

static void make_links(void)
{
	site_write("outside.html", "outside", 7);
	site_folder("www/real");
	site_write("www/real/page.html", "inside", 6);
	site_link("www/relative", "real");
	site_link("www/page", "real/page.html");
	site_link("www/absolute", site_path("www/real"));
	site_link("www/away", "../outside.html");
	site_link("www/gone", site_path("outside.html"));
}

/* DESIGN 2: symlinks, inside the root by default. */
static void links_inside(void **state)
{
	(void)state;
	make_links();
	site_start("root: www", true);
	site_get("/relative/page.html", 200, "inside");
	site_get("/page", 200, "inside");
	site_get("/absolute/page.html", 200, "inside");
	site_link("www/self", site_path("www"));
	site_write("www/index.html", "index", 5);
	site_get("/self", 308, NULL);
	site_get("/self/", 200, "index");
	site_get("/away", 403, NULL);
	site_get("/gone", 403, NULL);
	assert_int_equal(site_passed, 0);
}

/* DESIGN 3: a missing file passes; also behind a link that names its target absolutely, where the kernel tells only that it left the root. */
static void missing_behind_links(void **state)
{
	(void)state;
	static const char *const missing[] = {"/relative/none", "/absolute/none",
		"/absolute/none/x.html", "/absolute/page.html/x", "/file/x", "/dangling",
		"/dangling/x", "/circle", "/circle/x", "/absolute/../absolute/none",
		"/absolute/up/none"};
	static const char *const refused[] = {"/outside/none", "/outside/folder/x", "/outside"};
	make_links();
	site_link("www/file", site_path("www/real/page.html"));
	site_link("www/dangling", site_path("www/nowhere"));
	site_link("www/circle", site_path("www/circle"));
	site_link("www/outside", site_path("elsewhere"));
	site_link("www/real/up", "..");
	site_start("root: www", true);
	for (size_t i = 0; i < COUNT_OF(missing); i++) {
		site_passed = 0;
		site_get(missing[i], 404, NULL);
		assert_int_equal(site_passed, 1);
	}
	site_passed = 0;
	for (size_t i = 0; i < COUNT_OF(refused); i++)
		site_get(refused[i], 403, NULL);
	assert_int_equal(site_passed, 0);
	site_get("/absolute/up/file", 200, "inside");
	site_write("www/real/none", "there", 5); /* and it is seen when it comes */
	site_get("/absolute/none", 200, "there");
}

static void links_off(void **state)
{
	(void)state;
	make_links();
	site_start("root: www\n    symlinks: off", true);
	site_get("/real/page.html", 200, "inside");
	site_get("/relative/page.html", 403, NULL);
	site_get("/page", 403, NULL);
	site_get("/away", 403, NULL);
}

static void links_anywhere(void **state)
{
	(void)state;
	make_links();
	site_start("root: www\n    symlinks: anywhere", true);
	site_get("/relative/page.html", 200, "inside");
	site_get("/absolute/page.html", 200, "inside");
	site_get("/away", 200, "outside");
	site_get("/gone", 200, "outside");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SITE_TEST(unreadable),
		SITE_TEST(unreadable_changes),
		SITE_TEST(links_inside),
		SITE_TEST(missing_behind_links),
		SITE_TEST(links_off),
		SITE_TEST(links_anywhere),
	};
	return cmocka_run_group_tests_name("handlers/links", tests, NULL, NULL);
}
