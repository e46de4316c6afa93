/* SPDX-License-Identifier: BSD-2-Clause */
/* What the file cache knows is true (DESIGN 3: changed on disk, the next request sees the change; DESIGN 4: checked by a generation),
 * costs nothing when it is known (DESIGN 6), and stays within its bounds. */
#include "site.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* --- Fresh. --- */

static void known_is_at_once(void **state)
{
	(void)state;
	site_write("www/page.html", "one", 3);
	site_folder("www/docs");
	site_write("www/docs/index.html", "docs", 4);
	struct timespec old[2] = {{1000000000, 0}, {1000000000, 0}};
	assert_int_equal(utimensat(AT_FDCWD, site_path("www/page.html"), old, 0), 0);
	site_start("root: www", true);
	assert_false(site_at_once("/page.html"));
	site_get("/page.html", 200, "one");
	site_get("/missing", 404, NULL);
	site_get("/docs", 308, NULL);
	assert_true(site_at_once("/page.html"));
	assert_true(site_at_once("/missing"));
	assert_true(site_at_once("/docs"));
	assert_true(site_at_once("/.hidden"));
}

/* An application's database stands beside the root: its files come, are written and go, and nothing is looked at anew. */
static void what_happens_beside_the_root(void **state)
{
	(void)state;
	site_write("www/page.html", "one", 3);
	struct timespec old[2] = {{1000000000, 0}, {1000000000, 0}};
	assert_int_equal(utimensat(AT_FDCWD, site_path("www/page.html"), old, 0), 0);
	site_write("db", "x", 1);
	site_start("root: www", true);
	site_get("/page.html", 200, "one");
	for (int i = 0; i < 3; i++) {
		site_write("db-journal", "x", 1);
		site_write("db", "xyz", 3);
		site_remove("db-journal");
		site_write("new", "x", 1);
		site_rename("new", "db");
		assert_true(site_at_once("/page.html"));
	}
	site_rename("www", "old");
	site_get("/page.html", 404, NULL);
}

/* Somebody writes beside files that are asked for: an upload that grows, a log. They are not looked at anew, but each is when its own turn
 * comes; nor is what is missing, an index, or what a link leads to. */
static void what_is_written_beside_files(void **state)
{
	(void)state;
	const char *const made[] = {"www/page.html", "www/index.html", "www/there.html"};
	struct timespec old[2] = {{1000000000, 0}, {1000000000, 0}};
	for (size_t i = 0; i < COUNT_OF(made); i++) {
		site_write(made[i], "one", 3);
		assert_int_equal(utimensat(AT_FDCWD, site_path(made[i]), old, 0), 0);
	}
	site_link("www/link.html", "there.html");
	site_start("root: www", true);
	const char *const asked[] = {"/page.html", "/", "/link.html", "/missing"};
	for (size_t i = 0; i < COUNT_OF(asked); i++)
		site_ask("GET", asked[i], "");
	for (int round = 0; round < 3; round++) {
		site_write("www/upload", "octets", round + 1);
		site_write("www/upload.part", "x", 1);
		site_rename("www/upload.part", "www/upload");
		for (size_t i = 0; i < COUNT_OF(asked); i++)
			assert_true(site_at_once(asked[i]));
	}
	site_write("www/page.html.gz", "gzip", 4);
	assert_false(site_at_once("/page.html"));
	site_assert_field(site_ask("GET", "/page.html", "Accept-Encoding: gzip\n"),
		"Content-Encoding", "gzip");
	site_write("www/there.html", "two", 3);
	site_get("/link.html", 200, "two");
	site_write("www/new", "three", 5);
	site_rename("www/new", "www/index.html");
	site_get("/", 200, "three");
	site_write("www/missing", "four", 4);
	site_get("/missing", 200, "four");
}

/* A file is replaced, written, removed and made again: each is seen by the very next request. */
static void changes_are_seen(void **state)
{
	(void)state;
	site_write("www/page.html", "one", 3);
	site_start("root: www", true);
	site_get("/page.html", 200, "one");
	site_write("www/new", "two", 3);
	site_rename("www/new", "www/page.html");
	site_get("/page.html", 200, "two");
	site_write("www/page.html", "333", 3); /* in place, the same length */
	site_get("/page.html", 200, "333");
	site_remove("www/page.html");
	site_get("/page.html", 404, NULL);
	site_write("www/page.html", "back", 4);
	site_get("/page.html", 200, "back");
	assert_int_equal(chmod(site_path("www/page.html"), 0600), 0);
	site_get("/page.html", 200, "back");
}

/* Writes within one tick of the file system's clock look alike from outside: the content counts. */
static void quick_writes_are_seen(void **state)
{
	(void)state;
	site_write("www/page.html", "0000", 4);
	site_start("root: www", true);
	for (int i = 1; i < 300; i++) {
		char content[16];
		snprintf(content, sizeof content, "%04d", i);
		site_write("www/page.html", content, 4);
		site_get("/page.html", 200, content);
	}
}

static void missing_folders_appear(void **state)
{
	(void)state;
	site_start("root: www", true);
	site_get("/a/b/page.html", 404, NULL);
	site_folder("www/a");
	site_get("/a/b/page.html", 404, NULL);
	site_folder("www/a/b");
	site_get("/a/b/page.html", 404, NULL);
	site_write("www/a/b/page.html", "deep", 4);
	site_get("/a/b/page.html", 200, "deep");
	site_get("/a/b/", 404, NULL);
	site_get("/a/b", 404, NULL);
	site_write("www/a/b/index.html", "index", 5);
	site_get("/a/b/", 200, "index");
	site_get("/a/b", 308, NULL);
	site_remove("www/a/b/index.html");
	site_get("/a/b", 404, NULL);
}

/* An entry depends on all folders up to the root and the one that holds it. */
static void folders_are_replaced(void **state)
{
	(void)state;
	site_folder("www/a");
	site_folder("www/a/b");
	site_write("www/a/b/page.html", "old", 3);
	site_folder("next");
	site_folder("next/b");
	site_write("next/b/page.html", "new", 3);
	site_start("root: www", true);
	site_get("/a/b/page.html", 200, "old");
	site_rename("www/a", "was");
	site_rename("next", "www/a");
	site_get("/a/b/page.html", 200, "new");
	site_write("www/a/b/page.html", "newer", 5);
	site_get("/a/b/page.html", 200, "newer");
	/* the root itself */
	site_rename("www", "gone");
	site_get("/a/b/page.html", 404, NULL);
	site_rename("gone", "www");
	site_get("/a/b/page.html", 200, "newer");
}

/* DESIGN 3: a root that is a symbolic link may be switched by a deploy, and is followed at once. */
static void root_link_is_switched(void **state)
{
	(void)state;
	site_folder("releases");
	site_folder("releases/1");
	site_write("releases/1/page.html", "one", 3);
	site_folder("releases/2");
	site_write("releases/2/page.html", "two", 3);
	site_link("current", "releases/1");
	site_start("root: current", true);
	for (int i = 0; i < 20; i++) {
		site_get("/page.html", 200, "one");
		site_get("/none.html", 404, NULL);
		site_link("next", "releases/2");
		site_rename("next", "current");
		site_get("/page.html", 200, "two");
		site_link("next", "releases/1");
		site_rename("next", "current");
	}
	site_write("releases/1/page.html", "1.1", 3);
	site_get("/page.html", 200, "1.1");
	site_write("releases/1/none.html", "now", 3);
	site_get("/none.html", 200, "now");
}

/* As Capistrano and its like lay out a deploy: the link stands on the way to the root, which holds one that leads out to what is shared, by
 * way of another link. */
static void link_on_the_way_is_switched(void **state)
{
	(void)state;
	site_folder("v1");
	site_folder("v1/public");
	site_write("v1/public/page.html", "one", 3);
	site_folder("v2");
	site_folder("v2/public");
	site_write("v2/public/page.html", "two", 3);
	site_folder("shared");
	site_folder("shared/uploads");
	site_folder("shared/moved");
	site_write("shared/uploads/a.txt", "a", 1);
	site_write("shared/moved/a.txt", "b", 1);
	site_link("store", "shared");
	site_link("v1/public/uploads", "../../store/uploads");
	site_link("v2/public/uploads", "../../store/moved");
	site_link("v1/public/later", "../../shared/none/at/all");
	site_link("current", "v1");
	site_start("root: current/public\n    symlinks: anywhere", true);
	site_get("/page.html", 200, "one");
	site_get("/uploads/a.txt", 200, "a");
	site_get("/later", 404, NULL);
	assert_true(site_at_once("/page.html") && site_at_once("/uploads/a.txt"));
	site_folder("shared/none");
	site_folder("shared/none/at");
	site_get("/later", 404, NULL);
	site_write("shared/none/at/all", "now", 3);
	site_get("/later", 200, "now");
	site_folder("other");
	site_folder("other/uploads");
	site_write("other/uploads/a.txt", "c", 1);
	site_link("next", "other");
	site_rename("next", "store");
	site_get("/uploads/a.txt", 200, "c");
	site_link("next", "v2");
	site_rename("next", "current");
	site_get("/page.html", 200, "two");
	site_get("/uploads/a.txt", 404, NULL);
}

/* The target of a link inside of the root, and each link on the way. */
static void links_are_switched(void **state)
{
	(void)state;
	site_folder("www/v1");
	site_write("www/v1/app.js", "one", 3);
	site_folder("www/v2");
	site_write("www/v2/app.js", "two", 3);
	site_folder("www/deep");
	site_link("www/deep/live", "../v1");
	site_link("www/latest", "deep/live");
	site_start("root: www", true);
	site_get("/latest/app.js", 200, "one");
	site_link("www/next", "../v2");
	site_rename("www/next", "www/deep/live");
	site_get("/latest/app.js", 200, "two");
	site_write("www/v2/app.js", "2.1", 3);
	site_get("/latest/app.js", 200, "2.1");
	site_rename("www/v2", "www/v3");
	site_get("/latest/app.js", 404, NULL);
	site_rename("www/v3", "www/v2");
	site_get("/latest/app.js", 200, "2.1");
}

/* DESIGN 4: without inotify entries are checked again after a second. */
static void by_time(void **state)
{
	(void)state;
	site_write("www/page.html", "one", 3);
	site_start("root: www", false);
	site_get("/page.html", 200, "one");
	site_write("www/page.html", "two!", 4);
	assert_true(site_at_once("/page.html"));
	site_sleep(1100);
	assert_false(site_at_once("/page.html"));
	site_get("/page.html", 200, "two!");
}

/* A look that finds the same version keeps it. */
static void unchanged_is_kept(void **state)
{
	(void)state;
	site_write("www/page.html", "one", 3);
	site_start("root: www", true);
	site_sleep(100); /* older than a tick of the file system's clock */
	site_get("/page.html", 200, "one");
	struct file_entry *entry = container_of(
		site_cache()->shelves[SHELF_SMALL].entries.next, struct file_entry, link);
	struct file *before = entry->file;
	ref_get(&before->ref);
	site_write("www/page.neighbour", "x", 1); /* it might stand beside it */
	assert_false(site_at_once("/page.html"));
	site_get("/page.html", 200, "one");
	assert_ptr_equal(entry->file, before);
	ref_put(&before->ref);
}

/* --- Bounds. --- */

static unsigned open_descriptors(void)
{
	unsigned count = 0;
	DIR *folder = opendir("/proc/self/fd");
	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

/* What an I/O thread has open beside is closed soon. */
static void await_descriptors(unsigned count)
{
	for (int turn = 0; turn < 2000 && open_descriptors() != count; turn++)
		loopback_turn(site.loopback);
	assert_int_equal(open_descriptors(), count);
}

static void bounds_are_kept(void **state)
{
	(void)state;
	site_fill("www/medium", 40000, 'm');
	char name[64];
	for (int i = 0; i < 60; i++) {
		snprintf(name, sizeof name, "www/%d.bin", i);
		assert_int_equal(link(site_path("www/medium"), site_path(name)), 0);
		snprintf(name, sizeof name, "www/%d.txt", i);
		site_write(name, "small", 5);
	}
	site_start("root: www", true);
	unsigned before = open_descriptors();
	site_cache()->shelves[SHELF_OPEN].count_max = 10;
	site_cache()->shelves[SHELF_SMALL].bytes_max = 20000;
	site_cache()->shelves[SHELF_MISSES].count_max = 7;
	for (int i = 0; i < 60; i++) {
		snprintf(name, sizeof name, "/%d.bin", i);
		site_get(name, 200, NULL);
		snprintf(name, sizeof name, "/%d.txt", i);
		site_get(name, 200, "small");
		snprintf(name, sizeof name, "/%d.none", i);
		site_get(name, 404, NULL);
		assert_true(site_known(SHELF_OPEN) <= 10);
		assert_true(site_known(SHELF_MISSES) <= 7);
		assert_true(site_cache()->shelves[SHELF_SMALL].bytes <= 20000);
	}
	assert_true(site_known(SHELF_SMALL) > 5);
	assert_true(open_descriptors() <= before + 13); /* and of memory files */
}

/* However many pages of folders are asked for, the files stay. */
static void listings_drive_out_no_files(void **state)
{
	(void)state;
	char name[64];
	site_write("www/page.html", "here", 4);
	for (int i = 0; i < 6; i++) {
		snprintf(name, sizeof name, "www/%d", i);
		site_folder(name);
	}
	site_start("root: www\n    listing: on", true);
	site_cache()->shelves[SHELF_SMALL].count_max = 2;
	site_cache()->shelves[SHELF_LISTINGS].count_max = 3;
	site_get("/page.html", 200, "here");
	for (int i = 0; i < 6; i++) {
		snprintf(name, sizeof name, "/%d/", i);
		site_get(name, 200, NULL);
	}
	assert_true(site_at_once("/page.html"));
	assert_int_equal(site_known(SHELF_LISTINGS), 3);
}

/* What is asked for again and again stays. */
static void used_entries_stay(void **state)
{
	(void)state;
	site_write("www/page.html", "popular", 7);
	site_start("root: www", true);
	site_cache()->shelves[SHELF_SMALL].count_max = 4;
	char name[64];
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof name, "www/%d.txt", i);
		site_write(name, "x", 1);
	}
	site_get("/page.html", 200, "popular");
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof name, "/%d.txt", i);
		assert_true(site_at_once("/page.html"));
		site_get(name, 200, "x");
	}
}

/* What nobody asks for any more does not stay on the disk because it is open: deleted, replaced, or a variant of what stays. */
static void deleted_files_are_closed(void **state)
{
	(void)state;
	site_fill("www/removed.css", 40000, 'a');
	site_fill("www/replaced.css", 40000, 'a');
	site_fill("www/variant.css", 40000, 'a');
	site_fill("www/variant.css.gz", 40000, 'z');
	site_start("root: www", true);
	site_cache()->sweep_s = 0.02;
	unsigned before = open_descriptors();
	site_get("/removed.css", 200, NULL);
	site_get("/replaced.css", 200, NULL);
	site_get("/variant.css", 200, NULL);
	await_descriptors(before + 4 + 1); /* that of their copies */
	site_remove("www/removed.css");
	site_rename("www/variant.css.gz", "www/replaced.css");
	while (site_known(SHELF_OPEN) > 2) /* the variant has another name now */
		loopback_turn(site.loopback);
	site_remove("www/replaced.css");
	while (ev_is_active(&site_cache()->sweep))
		loopback_turn(site.loopback);
	await_descriptors(before);
}

/* Also what was written in place again and again, of which others ask nothing. */
static void deleted_restless_files_are_closed(void **state)
{
	(void)state;
	site_fill("www/file.css", 40000, 'a');
	site_start("root: www", true);
	site_cache()->sweep_s = 0.02;
	unsigned before = open_descriptors();
	site_get("/file.css", 200, NULL);
	site_fill("www/file.css", 40000, 'b');
	site_get("/file.css", 200, NULL);
	struct file_entry *entry = container_of(
		site_cache()->shelves[SHELF_OPEN].entries.prev, struct file_entry, link);
	assert_true(entry->file->guarded);
	site_remove("www/file.css");
	uint64_t begin_ms = site.loopback->loop.clock.monotonic_ms;
	while (ev_is_active(&site_cache()->sweep))
		loopback_turn(site.loopback);
	await_descriptors(before);
	assert_true(site.loopback->loop.clock.monotonic_ms - begin_ms < 50000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SITE_TEST(known_is_at_once),
		SITE_TEST(what_happens_beside_the_root),
		SITE_TEST(what_is_written_beside_files),
		SITE_TEST(changes_are_seen),
		SITE_TEST(quick_writes_are_seen),
		SITE_TEST(missing_folders_appear),
		SITE_TEST(folders_are_replaced),
		SITE_TEST(root_link_is_switched),
		SITE_TEST(link_on_the_way_is_switched),
		SITE_TEST(links_are_switched),
		SITE_TEST(by_time),
		SITE_TEST(unchanged_is_kept),
		SITE_TEST(bounds_are_kept),
		SITE_TEST(listings_drive_out_no_files),
		SITE_TEST(used_entries_stay),
		SITE_TEST(deleted_files_are_closed),
		SITE_TEST(deleted_restless_files_are_closed),
	};
	return cmocka_run_group_tests_name("handlers/file_cache", tests, NULL, NULL);
}
