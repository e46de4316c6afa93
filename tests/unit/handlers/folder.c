/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known of directories: names that are not there, and files that are there and in memory, are told at once (DESIGN 4: on an I/O
 * thread is done what may block), and what changes is seen by the next request (DESIGN 3). */
#include "site.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "handlers/file/folder.h"

/* Files that were not changed just now. */
static void write_aged(const char *const *paths, size_t count)
{
	for (size_t i = 0; i < count; i++)
		site_write(paths[i], "one", 3);
	site_sleep(60);
}

/* One miss in a directory ("" or with a final stroke): was it told at once? */
static bool misses_at_once(const char *directory)
{
	static unsigned number; /* each is asked for once: a miss is known as well */
	char target[64];
	snprintf(target, sizeof target, "/%slearn-%u", directory, number++);
	bool at_once = site_at_once(target);
	site_get(target, 404, NULL);
	return at_once;
}

/* Misses until they cost nothing. */
static void learn(const char *directory)
{
	for (int i = 0; !misses_at_once(directory); i++) {
		assert_true(i < 2000);
		site_sleep(5);
	}
}

static bool learns(const char *directory, unsigned looks)
{
	while (looks-- > 0) {
		if (misses_at_once(directory))
			return true;
		site_sleep(5);
	}
	return false;
}

/* Skips the test where the folder is on a file system of which it is not known that its names are all (folder_may_have), or, `quick`, that calls
 * do not wait (folder_is_quick). Glances are not given up where the machine is busy. */
static void start(const char *keys, bool quick)
{
	struct statfs info;
	assert_int_equal(statfs(site.path, &info), 0);
	bool disk = info.f_type == EXT4_SUPER_MAGIC || info.f_type == XFS_SUPER_MAGIC ||
		    info.f_type == (__fsword_t)BTRFS_SUPER_MAGIC ||
		    info.f_type == (__fsword_t)F2FS_SUPER_MAGIC;
	bool known = disk || info.f_type == TMPFS_MAGIC || info.f_type == OVERLAYFS_SUPER_MAGIC;
	if (quick ? !disk : !known)
		skip();
	site_start(keys, true);
	site_cache()->glance_slow_us = UINT64_MAX;
}

/* --- Names. --- */

static void what_is_not_there(void **state)
{
	(void)state;
	static const char *const paths[] = {"www/page.html", "www/a/page.html"};
	site_folder("www/a");
	write_aged(paths, COUNT_OF(paths));
	start("root: www", false);
	learn("");
	assert_true(site_at_once("/other"));
	assert_true(site_at_once("/nothing/beneath/that"));
	site_get("/other", 404, NULL);
	site_write("www/other", "new", 3);
	site_get("/other", 200, "new");
	site_remove("www/other");
	site_get("/other", 404, NULL);
	site_folder("www/nothing");
	site_folder("www/nothing/beneath");
	site_write("www/nothing/beneath/that", "deep", 4);
	site_get("/nothing/beneath/that", 200, "deep");
	learn("a/");
	site_rename("www/a", "www/b");
	site_get("/b/page.html", 200, "one");
	site_get("/a/page.html", 404, NULL);
	site_write("www/b/other", "x", 1);
	site_get("/b/other", 200, "x");
}

/* Where one file system holds two spellings for one name what is not in the list may be there. Names of one file look like that from outside. */
static void where_spellings_are_one(void **state)
{
	(void)state;
	site_write("www/page.html", "one", 3);
	assert_int_equal(link(site_path("www/page.html"), site_path("www/Page.html")), 0);
	site_start("root: www", true);
	assert_false(learns("", 8));
}

static void where_no_name_has_a_letter(void **state)
{
	(void)state;
	site_write("www/123", "one", 3);
	site_start("root: www", true);
	assert_false(learns("", 8));
}

/* What is not ASCII may be spelled in two ways, and what begins with a dot need not be listed. */
static void names_that_are_always_looked_for(void **state)
{
	(void)state;
	static const char *const paths[] = {"www/page.html"};
	write_aged(paths, 1);
	start("root: www\n    hidden_files: true", false);
	learn("");
	assert_false(site_at_once("/gr%C3%BCn"));
	assert_false(site_at_once("/.hidden"));
	assert_true(site_at_once("/green"));
}

/* A large directory is read when enough looks were made in it, a larger one never. */
static void many_names(void **state)
{
	(void)state;
	char path[64];
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(path, sizeof path, "www/file-%u", i);
		site_write(path, "", 0);
	}
	start("root: www", false);
	assert_false(learns("", 4));
	learn("");
	for (unsigned i = 0; i < 3000; i += 300) {
		snprintf(path, sizeof path, "/file-%u", i);
		assert_false(site_at_once(path));
		site_get(path, 200, "");
	}
	size_t bytes = folders_bytes(site_cache()->folders);
	assert_in_range(bytes, 3000 * 4, 3000 * 4 * 4 + 256);
}

/* Hidden names are read as well. */
static void many_hidden_names(void **state)
{
	(void)state;
	char path[64];
	site_write("www/page.html", "one", 3);
	for (unsigned i = 0; i < 1200; i++) {
		snprintf(path, sizeof path, "www/.file-%u", i);
		site_write(path, "", 0);
	}
	start("root: www", false);
	assert_false(learns("", 4));
	learn("");
}

/* Where a directory cannot be nothing is kept. */
static void places_that_cannot_be(void **state)
{
	(void)state;
	char path[64];
	site_write("www/page.html", "one", 3);
	site_link("www/link", "page.html");
	site_start("root: www", true);
	for (unsigned i = 0; i < 50; i++) {
		snprintf(path, sizeof path, "/%s/%u/x", i % 2 ? "page.html" : "link", i);
		site_get(path, 404, NULL);
	}
	assert_in_range(folders_count(site_cache()->folders), 0, 2);
}

/* Who asks for ever new places beneath the root makes no more known than there is room for. */
static void bounds_hold(void **state)
{
	(void)state;
	char path[64];
	site_start("root: www", true);
	for (unsigned i = 0; i < FOLDER_COUNT_MAX + 50; i++) {
		snprintf(path, sizeof path, "www/d%u", i);
		site_folder(path);
		snprintf(path, sizeof path, "/d%u/missing", i);
		site_get(path, 404, NULL);
	}
	assert_int_equal(folders_count(site_cache()->folders), FOLDER_COUNT_MAX);
}

/* What no event tells of, as in the layers of an overlay, is believed for a time only. */
static void what_is_known_ends(void **state)
{
	(void)state;
	static const char *const paths[] = {"www/page.html"};
	write_aged(paths, 1);
	start("root: www", false);
	learn("");
	struct file_cache *cache = site_cache();
	struct link *misses = &cache->shelves[SHELF_MISSES].entries;
	uint32_t scope = container_of(misses->next, struct file_entry, link)->scope;
	assert_non_null(folders_find(cache->folders, scope, SLICE(""), 0));
	site.loopback->loop.clock.monotonic_ms += FILE_WATCHED_MS;
	assert_null(folders_find(cache->folders, scope, SLICE(""), 0));
}

static void without_events(void **state)
{
	(void)state;
	static const char *const paths[] = {"www/page.html"};
	write_aged(paths, 1);
	site_start("root: www", false);
	assert_false(learns("", 8));
	assert_int_equal(folders_count(site_cache()->folders), 0);
}

/* What is found when no I/O is begun any more is the end of that. */
static void as_a_thread_ends(void **state)
{
	(void)state;
	static const char *const paths[] = {"www/page.html"};
	write_aged(paths, 1);
	site_start("root: www", true);
	site_get("/first", 404, NULL);
	struct exchange_seen *seen = loopback_begin(site.loopback, "GET", "/second", NULL);
	struct disk *disk = site.loopback->thread.disk;
	assert_false(seen->ended);
	site.loopback->thread.disk = NULL;
	loopback_await(seen);
	site.loopback->thread.disk = disk;
	assert_int_equal(seen->request.response.status, 404);
	loopback_free(seen);
}

/* --- Glances. --- */

static void a_small_file(void **state)
{
	(void)state;
	static const char *const paths[] = {"www/a/page.html", "www/a/index.html",
		"www/a/empty.css", "www/a/noextension", "www/a/twin.html"};
	site_folder("www/a");
	write_aged(paths, COUNT_OF(paths));
	site_write("www/a/empty.css", "", 0);
	site_fill("www/a/large.html", FILE_SMALL_MAX + 1, 'x');
	site_rename("www/a/twin.html", "www/twin");
	assert_int_equal(link(site_path("www/twin"), site_path("www/a/twin.html")), 0);
	site_link("www/a/link.html", "page.html");
	site_sleep(60);
	start("root: www", true);
	learn("a/");
	assert_true(site_at_once("/a/page.html"));
	/* what it relies on was seen as the names were read */
	struct link *small = &site_cache()->shelves[SHELF_SMALL].entries;
	struct file_entry *entry = container_of(small->prev, struct file_entry, link);
	assert_int_equal(entry->checked_ms,
		folder_read_ms(folders_find(site_cache()->folders, entry->scope, SLICE("a/"), 0)));
	assert_true(site_at_once("/a/"));
	assert_true(site_at_once("/a/empty.css"));
	site_get("/a/page.html", 200, "one");
	site_get("/a/", 200, "one");
	site_get("/a/empty.css", 200, "");
	/* its content tells the type, it is sent from the disk, it leads elsewhere, it may be written by another name */
	assert_false(site_at_once("/a/noextension"));
	assert_false(site_at_once("/a/large.html"));
	assert_false(site_at_once("/a/link.html"));
	assert_false(site_at_once("/a/twin.html"));
	site_get("/a/link.html", 200, "one");
	/* from the place where it is, nowhere else */
	site_write("www/a/page.html", "two", 3);
	site_get("/a/page.html", 200, "two");
	site_rename("www/a", "www/b");
	site_folder("www/a");
	site_write("www/a/page.html", "three", 5);
	site_get("/a/page.html", 200, "three");
	site_get("/b/page.html", 200, "two");
}

static void a_file_with_variants(void **state)
{
	(void)state;
	static const char *const paths[] = {
		"www/a.css", "www/a.css.gz", "www/b.css", "www/b.css.br", "www/c.css"};
	site_write("www/c.css.gz", "old", 3);
	site_date("www/c.css.gz", 1000);
	write_aged(paths, COUNT_OF(paths));
	start("root: www", true);
	learn("");
	assert_true(site_at_once("/a.css"));
	site_assert_field(
		site_ask("GET", "/a.css", "Accept-Encoding: gzip\n"), "Content-Encoding", "gzip");
	assert_true(site_at_once("/b.css"));
	struct exchange_seen *seen = site_ask("GET", "/b.css", "Accept-Encoding: gzip, br\n");
	site_assert_field(seen, "Content-Encoding", "br");
	site_assert_field(seen, "Vary", "Accept-Encoding");
	assert_true(site_at_once("/c.css")); /* whose variant is older than itself */
	site_assert_field(
		site_ask("GET", "/c.css", "Accept-Encoding: gzip\n"), "Content-Encoding", NULL);
	site_write("www/b.css.gz", "gzip", 4);
	site_remove("www/b.css.br");
	site_assert_field(site_ask("GET", "/b.css", "Accept-Encoding: gzip, br\n"),
		"Content-Encoding", "gzip");
}

/* What was not changed is not read again: also a large file, when something happened to a name that is taken for its own. */
static void what_is_known_stands(void **state)
{
	(void)state;
	site_fill("www/page.large.html", FILE_SMALL_MAX + 1, 'x');
	site_sleep(60);
	start("root: www", true);
	struct file *file = site_file("page.large.html");
	ref_get(&file->ref);
	learn("");
	struct link *entries = &site_cache()->shelves[SHELF_OPEN].entries;
	container_of(entries->next, struct file_entry, link)->checked_ms -= FILE_WATCHED_MS;
	file->stamp.young = false; /* as of one that was changed a minute ago */
	assert_true(site_at_once("/page.large.html"));
	assert_ptr_equal(site_file("page.large.html"), file);
	ref_put(&file->ref);
}

/* Answers each open of a file, late. */
static void watch_over(int group)
{
	struct fanotify_event_metadata event;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(group, &event, sizeof event) == sizeof event) {
		struct fanotify_response allow = {event.fd, FAN_ALLOW};
		site_sleep(20);
		if (write(group, &allow, sizeof allow) < 0)
			break;
		close(event.fd);
	}
	_exit(0);
}

/* Who watches over each open may hold one up: then there are none for a while. */
static void one_that_was_held_up(void **state)
{
	(void)state;
	static const char *const paths[] = {"www/a.css", "www/b.css", "www/c.css", "www/d.css"};
	write_aged(paths, COUNT_OF(paths));
	start("root: www", true);
	learn("");
	site_cache()->glance_slow_us = 0;
	assert_true(site_at_once("/a.css")); /* that it takes long is not enough */
	assert_int_equal(site_cache()->slow_ms, 0);
	int group = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY);
	if (group < 0 ||
		fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, site_path("www/b.css")))
		skip();
	pid_t pid = fork();
	if (pid == 0)
		watch_over(group);
	assert_true(pid > 0);
	site_cache()->glance_slow_us = 10000;
	assert_true(site_at_once("/b.css"));
	assert_false(site_at_once("/c.css"));
	site_cache()->slow_ms = 1; /* it is over */
	assert_true(site_at_once("/d.css"));
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(group);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SITE_TEST(what_is_not_there),
		SITE_TEST(where_spellings_are_one),
		SITE_TEST(where_no_name_has_a_letter),
		SITE_TEST(names_that_are_always_looked_for),
		SITE_TEST(many_names),
		SITE_TEST(many_hidden_names),
		SITE_TEST(places_that_cannot_be),
		SITE_TEST(bounds_hold),
		SITE_TEST(what_is_known_ends),
		SITE_TEST(without_events),
		SITE_TEST(as_a_thread_ends),
		SITE_TEST(a_small_file),
		SITE_TEST(a_file_with_variants),
		SITE_TEST(what_is_known_stands),
		SITE_TEST(one_that_was_held_up),
	};
	return cmocka_run_group_tests_name("handlers/folder", tests, NULL, NULL);
}
