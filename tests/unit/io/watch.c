/* SPDX-License-Identifier: BSD-2-Clause */
/* Watched directories: what raises a generation, and what ends an object. */
#include "watch_test.h"

#include "io/watch_priv.h"

static void changes_in_the_directory_show(void **state)
{
	(void)state;
	struct watched *top = watch_directory(watch, NULL, root);
	uint32_t before = now(top), after;
	assert_true(before != 0);
	assert_int_equal(now(top), before); /* looking changes nothing */
	int fd = open(in_root("f"), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_not_equal(after = now(top), before);
	before = after;
	assert_int_equal(write(fd, "text", 4), 4);
	assert_int_not_equal(after = now(top), before);
	before = after;
	assert_int_equal(ftruncate(fd, 2), 0);
	assert_int_not_equal(after = now(top), before);
	before = after;
	assert_int_equal(fchmod(fd, 0600), 0);
	assert_int_not_equal(after = now(top), before);
	before = after;
	char byte;
	assert_int_equal(pread(fd, &byte, 1, 0), 1); /* reading does not */
	assert_int_equal(now(top), before);
	close(fd); /* after writing: a shared mapping shows only here */
	assert_int_not_equal(after = now(top), before);
	before = after;
	assert_int_equal(rename(in_root("f"), in_root("g")), 0);
	assert_int_not_equal(after = now(top), before);
	before = after;
	assert_int_equal(unlink(in_root("g")), 0);
	assert_int_not_equal(after = now(top), before);
	assert_true(after != 0);
	watch_release(watch, top);
	assert_int_equal(watch_count(watch), 0);
}

static void same_path_is_the_same_object(void **state)
{
	(void)state;
	make("a");
	struct watched *top = watch_directory(watch, NULL, root);
	struct watched *a = watch_directory(watch, top, in_root("a"));
	struct watched *again = watch_directory(watch, top, in_root("a/"));
	assert_ptr_equal(a, again);
	assert_int_equal(watch_count(watch), 2);
	watch_release(watch, a);
	assert_int_equal(watch_count(watch), 2);
	/* The child holds its parent. */
	watch_release(watch, top);
	uint32_t before = now(again);
	assert_int_equal(rename(in_root("a"), in_root("b")), 0);
	assert_true(before != 0);
	assert_int_equal(now(again), 0);
	watch_release(watch, again);
	assert_int_equal(watch_count(watch), 0);
}

/* What happens beside a directory does not disturb what stands beneath it. */
static void siblings_do_not_matter(void **state)
{
	(void)state;
	make("a");
	make("b");
	struct watched *top = watch_directory(watch, NULL, root);
	struct watched *a = watch_directory(watch, top, in_root("a"));
	struct watched *b = watch_directory(watch, top, in_root("b"));
	uint32_t of_a = now(a), of_b = now(b), of_top = now(top);
	put("b/f", "x");
	put("f", "x");
	make("ab"); /* a name that begins like a's */
	assert_int_equal(rename(in_root("ab"), in_root("abc")), 0);
	assert_int_equal(rmdir(in_root("abc")), 0);
	assert_int_equal(now(a), of_a);
	assert_int_not_equal(now(b), of_b);
	assert_int_not_equal(now(top), of_top);
	watch_release(watch, a);
	watch_release(watch, b);
	watch_release(watch, top);
}

/* Names that come, go and are replaced beside those that lead here do not disturb what stands beneath, files and links alike: a database
 * makes and removes its journal with each transaction. Whoever came through a link watches the directory that holds it. */
static void other_names_do_not_matter(void **state)
{
	(void)state;
	make("v1");
	make("v1/img");
	assert_int_equal(symlink("v1", in_root("now")), 0);
	struct watched *top = watch_directory(watch, NULL, root);
	struct watched *v1 = watch_directory(watch, top, in_root("v1"));
	struct watched *img = watch_directory(watch, v1, in_root("v1/img"));
	uint32_t before = now(img), of_v1 = now(v1), of_top = now(top), after;
	put("journal", "x");
	assert_int_equal(unlink(in_root("journal")), 0);
	assert_int_not_equal(after = now(top), of_top);
	assert_int_equal(symlink("v2", in_root("next")), 0);
	assert_int_equal(rename(in_root("next"), in_root("now")), 0);
	assert_int_not_equal(now(top), after);
	assert_int_equal(unlink(in_root("now")), 0);
	assert_int_equal(now(img), before);
	assert_int_equal(now(v1), of_v1);
	watch_release(watch, img);
	watch_release(watch, v1);
	watch_release(watch, top);
}

/* Of a directory that is watched for its names what is written into its files does not count, before it is asked for. */
static void names_alone(void **state)
{
	(void)state;
	make("a");
	put("db", "x");
	int fd = open(in_root("db"), O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	struct watched *top = watch_names(watch, NULL, root);
	struct watched *a = watch_directory(watch, top, in_root("a"));
	uint32_t of_top = now(top), of_a = now(a);
	assert_int_equal(write(fd, "text", 4), 4);
	assert_int_equal(ftruncate(fd, 2), 0);
	assert_int_equal(now(top), of_top);
	put("a/f", "x"); /* in what is watched as a whole it does */
	assert_int_not_equal(now(a), of_a);
	put("new", "x");
	assert_int_not_equal(now(top), of_top);
	assert_int_equal(rename(in_root("a"), in_root("b")), 0);
	assert_int_equal(now(a), 0);
	assert_int_equal(watch_count(watch), 1);

	struct watched *files = watch_directory(watch, NULL, root);
	assert_ptr_equal(files, top);
	of_top = now(top);
	assert_int_equal(write(fd, "text", 4), 4);
	assert_int_not_equal(now(top), of_top);
	/* who asks for less takes nothing away from others, by another path of the same directory either */
	assert_int_equal(symlink(".", in_root("self")), 0);
	struct watched *again = watch_names(watch, NULL, root);
	struct watched *alias = watch_names(watch, NULL, in_root("self"));
	assert_ptr_equal(again, top);
	of_top = now(top);
	assert_int_equal(write(fd, "text", 4), 4);
	assert_int_not_equal(now(top), of_top);
	close(fd);
	struct watched *all[] = {a, top, files, again, alias};
	for (size_t i = 0; i < COUNT_OF(all); i++)
		watch_release(watch, all[i]);
	assert_int_equal(watch_count(watch), 0);
}

/* Also names that differ in their last letters alone, as those of pictures do. */
static void numbered_names_are_in_many_sets(void **state)
{
	(void)state;
	uint64_t sets = 0;
	for (unsigned i = 0; i < 1000; i++) {
		char name[32];
		int length = snprintf(name, sizeof(name), "picture-%03u.jpg", i);
		sets |= watch_set(name, (size_t)length);
	}
	assert_in_range(__builtin_popcountll(sets), WATCH_SETS - 4, WATCH_SETS);
}

/* Who came for some names hears of these, of rights, and of the end. */
static void names_are_told_apart(void **state)
{
	(void)state;
	struct watched *top = watch_directory(watch, NULL, root);
	uint64_t page = watch_set("page.html", 9), upload = watch_set("upload", 6);
	assert_int_not_equal(page, upload);
	assert_int_equal(page, watch_set("page.html.gz", 12)); /* what stands beside it */
	assert_int_equal(page, watch_set("PAGE.HTM", 8)); /* what some file systems take for it */
	assert_int_not_equal(page, watch_set(".page.html.x", 12));
	assert_int_equal(watch_set("\303\204", 2), watch_set("a\314\210", 3));
	uint32_t of_page = now(top), of_upload = of_page, of_all = of_page;
	put("upload", "x");
	watch_drain(watch);
	assert_true(watch_unchanged(watch, top, page, &of_page));
	assert_int_equal(of_page, now(top));
	assert_false(watch_unchanged(watch, top, upload, &of_upload));
	assert_false(watch_unchanged(watch, top, page | upload, &of_upload));
	assert_false(watch_unchanged(watch, top, WATCH_ALL, &of_all));
	put("page.html.gz", "x");
	watch_drain(watch);
	assert_false(watch_unchanged(watch, top, page, &of_page));
	of_page = now(top);
	put("upload", "xyz");
	watch_drain(watch);
	assert_true(watch_unchanged(watch, top, page, &of_page));
	assert_int_equal(chmod(root, 0711), 0);
	watch_drain(watch);
	assert_false(watch_unchanged(watch, top, page, &of_page));
	watch_release(watch, top);
}

/* What rose long ago is not taken for what is to come, however many names rise. */
static void names_that_rose_long_ago(void **state)
{
	(void)state;
	static struct watched watched;
	for (unsigned i = 0; i < 12; i++) {
		uint32_t before = i << 29;
		watched.generation = before ? before : 1;
		uint32_t of_page = watched.generation, of_upload = of_page;
		for (unsigned n = 0; n < WATCH_SETS; n++)
			watched_rise(&watched, 2);
		assert_true(watch_unchanged_for(&watched, watched.generation, 1, &of_page));
		assert_false(watch_unchanged_for(&watched, watched.generation, 2, &of_upload));
	}
}

/* Rights of an ancestor decide about all beneath: they rise, and stay valid. */
static void rights_of_ancestors_matter(void **state)
{
	(void)state;
	make("a");
	make("a/b");
	struct watched *top = watch_directory(watch, NULL, root);
	struct watched *a = watch_directory(watch, top, in_root("a"));
	struct watched *b = watch_directory(watch, a, in_root("a/b"));
	uint32_t of_b = now(b);
	assert_int_equal(chmod(in_root("a"), 0700), 0);
	uint32_t after = now(b);
	assert_int_not_equal(after, of_b);
	assert_int_equal(chmod(root, 0711), 0);
	assert_int_not_equal(now(b), after);
	assert_true(now(b) != 0);
	watch_release(watch, a);
	watch_release(watch, b);
	watch_release(watch, top);
}

/* A directory that is moved takes its watches with it: the old path's objects end, at any depth. */
static void moved_directories_end(void **state)
{
	(void)state;
	make("a");
	make("a/b");
	make("a/b/c");
	struct watched *top = watch_directory(watch, NULL, root);
	struct watched *a = watch_directory(watch, top, in_root("a"));
	struct watched *b = watch_directory(watch, a, in_root("a/b"));
	struct watched *c = watch_directory(watch, b, in_root("a/b/c"));
	assert_true(now(c) != 0);
	assert_int_equal(rename(in_root("a"), in_root("x")), 0);
	make("a");
	make("a/b");
	make("a/b/c");
	assert_int_equal(now(a), 0);
	assert_int_equal(now(b), 0);
	assert_int_equal(now(c), 0);
	assert_true(now(top) != 0);
	assert_int_equal(watch_count(watch), 1);
	/* Never valid again for those who hold it, while new ones see the new directory. */
	put("a/b/c/f", "new");
	assert_int_equal(now(c), 0);
	/* What is reached through a dead one cannot be relied upon. */
	struct watched *under_dead = watch_directory(watch, b, in_root("a/b/c"));
	assert_int_equal(now(under_dead), 0);
	watch_release(watch, under_dead);
	struct watched *new_a = watch_directory(watch, top, in_root("a"));
	struct watched *new_b = watch_directory(watch, new_a, in_root("a/b"));
	struct watched *new_c = watch_directory(watch, new_b, in_root("a/b/c"));
	assert_ptr_not_equal(new_c, c);
	uint32_t before = now(new_c);
	assert_true(before != 0);
	put("x/b/c/f", "old");
	assert_int_equal(now(new_c), before);
	put("a/b/c/f", "newer");
	assert_int_not_equal(now(new_c), before);
	struct watched *all[] = {a, b, c, new_a, new_b, new_c, top};
	for (size_t i = 0; i < COUNT_OF(all); i++)
		watch_release(watch, all[i]);
	assert_int_equal(watch_count(watch), 0);
}

/* The same inode under its new path: one watch of the kernel, and the old object stays dead. */
static void moved_directory_can_be_watched_anew(void **state)
{
	(void)state;
	make("a");
	struct watched *top = watch_directory(watch, NULL, root);
	struct watched *a = watch_directory(watch, top, in_root("a"));
	assert_int_equal(rename(in_root("a"), in_root("x")), 0);
	struct watched *x =
		watch_directory(watch, top, in_root("x")); /* before the events were seen */
	assert_int_equal(now(a), 0);
	assert_int_equal(now(x), 0); /* the move was an event of its own inode as well */
	struct watched *again = watch_directory(watch, top, in_root("x"));
	uint32_t before = now(again);
	assert_true(before != 0);
	put("x/f", "text");
	assert_int_not_equal(now(again), before);
	assert_int_equal(now(a), 0);
	watch_release(watch, a);
	watch_release(watch, x);
	watch_release(watch, again);
	watch_release(watch, top);
	assert_int_equal(watch_count(watch), 0);
}

static void deleted_directories_end(void **state)
{
	(void)state;
	make("a");
	make("a/b");
	struct watched *top = watch_directory(watch, NULL, root);
	struct watched *a = watch_directory(watch, top, in_root("a"));
	struct watched *b = watch_directory(watch, a, in_root("a/b"));
	int held = open(in_root("a"), O_PATH | O_DIRECTORY | O_CLOEXEC); /* the inode stays */
	assert_int_equal(rmdir(in_root("a/b")), 0);
	assert_int_equal(now(b), 0);
	assert_true(now(a) != 0);
	assert_int_equal(rmdir(in_root("a")), 0);
	assert_int_equal(now(a), 0);
	assert_true(now(top) != 0);
	close(held);
	assert_true(now(top) != 0);
	watch_release(watch, a);
	watch_release(watch, b);
	watch_release(watch, top);
	assert_int_equal(watch_count(watch), 0);
}

/* A deploy switches a link by renaming over it; what was reached through it ends, its old target is untouched. */
static void switched_links_end_what_was_behind(void **state)
{
	(void)state;
	make("v1");
	make("v1/img");
	make("v2");
	make("v2/img");
	assert_int_equal(symlink("v1", in_root("now")), 0);
	struct watched *top = watch_directory(watch, NULL, root);
	struct watched *link = watch_directory(watch, top, in_root("now"));
	struct watched *img = watch_directory(watch, link, in_root("now/img"));
	struct watched *real = watch_directory(watch, top, in_root("v1/img"));
	assert_int_equal(watch_count(watch), 3); /* img and real are one inode */
	uint32_t of_img = now(img), of_real = now(real);
	put("v1/img/f", "x");
	assert_int_not_equal(now(img), of_img);
	assert_int_not_equal(now(real), of_real);
	assert_int_equal(symlink("v2", in_root("next")), 0);
	assert_int_equal(rename(in_root("next"), in_root("now")), 0);
	assert_int_equal(now(link), 0);
	assert_int_equal(now(img), 0);
	assert_true(now(real) != 0);
	struct watched *new_link = watch_directory(watch, top, in_root("now"));
	uint32_t before = now(new_link);
	put("v2/f", "x");
	assert_int_not_equal(now(new_link), before);
	struct watched *all[] = {link, img, real, new_link, top};
	for (size_t i = 0; i < COUNT_OF(all); i++)
		watch_release(watch, all[i]);
	assert_int_equal(watch_count(watch), 0);
}

/* A child whose path does not continue its parent's: any change of a name there may be about it. */
static void links_that_lead_elsewhere(void **state)
{
	(void)state;
	make("a");
	make("b");
	struct watched *a = watch_directory(watch, NULL, in_root("a"));
	struct watched *b = watch_directory(watch, a, in_root("b"));
	struct watched *ring = watch_directory(watch, b, in_root("a")); /* a ring is left open */
	assert_ptr_equal(ring, a);
	assert_true(now(b) != 0);
	put("a/new", "x");
	assert_int_equal(now(b), 0);
	assert_true(now(a) != 0);
	watch_release(watch, ring);
	watch_release(watch, b);
	watch_release(watch, a);
	assert_int_equal(watch_count(watch), 0);
}

static void what_cannot_be_watched_has_no_generation(void **state)
{
	(void)state;
	put("file", "x");
	const char *paths[] = {
		in_root("missing"), in_root("file"), "/proc/self", "/sys/kernel", "relative"};
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		struct watched *w = watch_directory(watch, NULL, paths[i]);
		assert_non_null(w);
		assert_int_equal(now(w), 0);
		/* And nothing beneath it. */
		struct watched *beneath = watch_directory(watch, w, root);
		assert_int_equal(now(beneath), 0);
		watch_release(watch, beneath);
		watch_release(watch, w);
	}
	static char deep[5000];
	memset(deep, '/', sizeof(deep) - 1);
	deep[4998] = 'x';
	assert_int_equal(now(watch_directory(watch, NULL, deep)), 0);
	assert_int_equal(watch_count(watch), 0);
}

static void without_inotify_all_is_unwatched(void **state)
{
	(void)state;
	struct watched *w = watch_directory(NULL, NULL, "/tmp");
	assert_non_null(w);
	assert_int_equal(watch_generation(NULL, w), 0);
	watch_release(NULL, w);
	watch_drain(NULL);
	watch_free(NULL);
}

static void held_objects_end_with_the_watch(void **state)
{
	(void)state;
	make("a");
	struct watch *own = watch_new();
	struct watched *top = watch_directory(own, NULL, root);
	struct watched *a = watch_directory(own, top, in_root("a"));
	assert_true(watch_generation(own, a) != 0);
	assert_int_equal(rename(in_root("a"), in_root("b")), 0);
	watch_drain(own);
	watch_free(own); /* the leak checker looks */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(changes_in_the_directory_show),
		EACH(same_path_is_the_same_object),
		EACH(siblings_do_not_matter),
		EACH(other_names_do_not_matter),
		EACH(names_alone),
		EACH(names_are_told_apart),
		EACH(numbered_names_are_in_many_sets),
		EACH(names_that_rose_long_ago),
		EACH(rights_of_ancestors_matter),
		EACH(moved_directories_end),
		EACH(moved_directory_can_be_watched_anew),
		EACH(deleted_directories_end),
		EACH(switched_links_end_what_was_behind),
		EACH(links_that_lead_elsewhere),
		EACH(what_cannot_be_watched_has_no_generation),
		EACH(without_inotify_all_is_unwatched),
		EACH(held_objects_end_with_the_watch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
