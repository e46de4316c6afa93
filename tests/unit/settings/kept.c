/* SPDX-License-Identifier: BSD-2-Clause */
/* Files of a configuration: includes, lists, paths relative to the file that names them, and the same load again from what was
 * kept, without the disk (DESIGN, 4: a crash is not a reload). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "sample.h"
#include "settings/kept.h"

#define assert_slice(slice, text)                                                                  \
	do {                                                                                       \
		assert_non_null((slice).ptr);                                                      \
		assert_int_equal((slice).len, strlen(text));                                       \
		assert_string_equal((slice).ptr, text);                                            \
	} while (0)

static const struct slice nothing = {NULL, 0};
static const struct option_sets sets = {.sets = sample_list};

struct place {
	char folder[64];
	char path[256];
	struct buffer told;
};

static const char *at(struct place *place, const char *name)
{
	snprintf(place->path, sizeof(place->path), "%s/%s", place->folder, name);
	return place->path;
}

static void put(struct place *place, const char *name, const char *text)
{
	FILE *file = fopen(at(place, name), "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static struct snapshot *load(struct place *place, struct slice kept)
{
	char source[256];
	place->told.len = 0;
	snprintf(source, sizeof(source), "%s/weir.yaml", place->folder);
	struct snapshot *snapshot = snapshot_load(source, kept, &sets, false, &place->told);
	buffer_append(&place->told, "", 1);
	return snapshot;
}

static int remove_entry(const char *path, const struct stat *s, int kind, struct FTW *ftw)
{
	(void)s;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static void remove_all(struct place *place)
{
	nftw(place->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static int set_up(void **state)
{
	static const char name[] = "/tmp/weir-settings-XXXXXX";
	struct place *place = must_zalloc(sizeof(*place));
	memcpy(place->folder, name, sizeof(name));
	assert_non_null(mkdtemp(place->folder));
	assert_int_equal(mkdir(at(place, "sites"), 0755), 0);
	*state = place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;
	remove_all(place);
	buffer_free(&place->told);
	free(place);
	return 0;
}

static void assert_told(struct place *place, const char *words)
{
	if (!strstr(place->told.ptr, words))
		fail_msg("told:\n%s\nwanted in it: %s", place->told.ptr, words);
}

static void includes_are_read_in_order(void **state)
{
	struct place *place = *state;
	put(place, "weir.yaml",
		"include: [sites/*.yaml, more.yaml]\nsites: [{ host: m.example, listen: \"http://:80\", root: m }]\n");
	put(place, "sites/b.yaml", "- { host: b.example, listen: \"http://:80\", root: b }\n");
	put(place, "sites/a.yaml",
		"- { host: a1.example, listen: \"http://:80\", root: a }\n- { host: a2.example, listen: \"http://:81\" }\n");
	put(place, "sites/c.yml", "not: read\n");
	put(place, "more.yaml", "- include: sites/deep/*.conf\n");
	assert_int_equal(mkdir(at(place, "sites/deep"), 0755), 0);
	put(place, "sites/deep/d.conf",
		"- { host: d.example, listen: \"http://:80\", root: ./d }\n");
	put(place, "sites/deep/e.conf", "# empty\n");
	static const char *const names[] = {
		"m.example", "a1.example", "a2.example", "b.example", "d.example"};
	static const char *const roots[] = {"m", "sites/a", NULL, "sites/b", "sites/deep/d"};
	struct snapshot *snapshot = load(place, nothing);
	assert_string_equal(place->told.ptr, "");
	assert_non_null(snapshot);
	assert_int_equal(snapshot->site_count, COUNT_OF(names));
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		assert_slice(snapshot->sites[i].name, names[i]);
		if (roots[i])
			assert_slice(sample_of(snapshot, &snapshot->sites[i].scope)->root,
				at(place, roots[i]));
	}
	assert_slice(snapshot->file, at(place, "weir.yaml"));
	snapshot_free(snapshot);
}

static void same_again_without_the_disk(void **state)
{
	struct place *place = *state;
	put(place, "weir.yaml",
		"include: [sites/*.yaml, none/../sites/*.none]\nlist: sites/list\ndrain: 7s\n"
		"sites: [{ host: m.example, listen: \"http://:80\", root: m }]\n");
	put(place, "sites/a.yaml", "- { host: a.example, listen: \"http://:80\", root: a }\n");
	put(place, "sites/list", "192.0.2.1\n192.0.2.2\n");
	assert_int_equal(mkdir(at(place, "none"), 0755), 0);
	struct snapshot *first = load(place, nothing);
	assert_string_equal(place->told.ptr, "");
	assert_non_null(first);
	remove_all(place);
	struct snapshot *second = load(place, first->text);
	assert_string_equal(place->told.ptr, "");
	assert_non_null(second);
	assert_true(slice_equal(first->text, second->text));
	assert_slice(second->file, first->file.ptr);
	assert_int_equal(second->core.drain, 7000);
	assert_int_equal(second->site_count, 2);
	assert_slice(second->sites[1].name, "a.example");
	assert_slice(sample_of(second, &second->sites[1].scope)->root, at(place, "sites/a"));
	const struct sample_top *top = top_settings(second, &sample_top);
	assert_slice(top->list, "192.0.2.1\n192.0.2.2\n");
	snapshot_free(second);
	/* the disk itself has nothing any more */
	assert_null(load(place, nothing));
	assert_told(place, "cannot read");
	snapshot_free(first);
}

static int note_replay(struct load *load, struct snapshot *snapshot, void *context)
{
	(void)snapshot;
	*(bool *)context = load_is_replay(load);
	return 0;
}

static void finish_knows_of_the_replay(void **state)
{
	struct place *place = *state;
	static const char text[] = "sites: [{ listen: \"http://:80\" }]\n";
	bool replay = true;
	struct option_sets noting = {sample_list, note_replay, &replay};
	struct snapshot *first =
		snapshot_load_text(SLICE(text), "w", "/", &noting, false, &place->told);
	assert_non_null(first);
	assert_false(replay);
	snapshot_free(snapshot_load("w", first->text, &noting, false, &place->told));
	assert_true(replay);
	snapshot_free(first);
}

static void kept_of_a_text(void **state)
{
	struct place *place = *state;
	static const char text[] = "sites: [{ listen: \"http://:80\", root: www }]\n";
	struct snapshot *first =
		snapshot_load_text(SLICE(text), "(serve)", "/srv", &sets, false, &place->told);
	assert_non_null(first);
	struct snapshot *second = load(place, first->text);
	assert_non_null(second);
	assert_slice(sample_of(second, &second->sites[0].scope)->root, "/srv/www");
	snapshot_free(first);
	snapshot_free(second);
}

static void damaged_keepsakes_are_refused(void **state)
{
	struct place *place = *state;
	static const char *const damaged[] = {"x", "weir-kept 1\n", "weir-kept 1\nM 5 5\nabc",
		"weir-kept 1\nM 1 1\na\nb\n", "weir-kept 1\nM 99999999999999999999 1\na\nb\n",
		"weir-kept 2\nM 1 1\na\nb\nN 1 0\na\n\nD 1 0\n/\n\n"};
	for (size_t i = 0; i < COUNT_OF(damaged); i++) {
		assert_null(load(place, slice_of(damaged[i])));
		assert_told(place, "error: what was kept of the configuration is damaged");
	}
}

static void faults_name_their_file(void **state)
{
	struct place *place = *state;
	put(place, "weir.yaml",
		"include: [sites/*.yaml]\nsites: [{ host: x.example, listen: \"http://:80\" }]\n");
	put(place, "sites/a.yaml", "# one\n- { listen: \"http://:80\", rot: a }\n");
	put(place, "sites/b.yaml", "- { listen: \"http://:80\", host: X.example }\n");
	put(place, "sites/c.yaml", "sites:\n  - { listen: \"http://:80\" }\n");
	put(place, "sites/d.yaml", "- [\n");
	assert_null(load(place, nothing));
	char words[512];
	snprintf(words, sizeof(words),
		"%s:2:27: error: unknown key \"rot\": did you mean \"root\"?\n    2 | - { listen:",
		at(place, "sites/a.yaml"));
	assert_told(place, words);
	snprintf(words, sizeof(words),
		"%s:1:33: error: \"x.example\" at :80 is named already in %s/weir.yaml:2",
		at(place, "sites/b.yaml"), place->folder);
	assert_told(place, words);
	snprintf(words, sizeof(words),
		"%s:1:1: error: an included file is a list of sites and nothing else: leave out \"sites:\"",
		at(place, "sites/c.yaml"));
	assert_told(place, words);
	snprintf(words, sizeof(words), "%s:1:4: error: flow sequence without a closing bracket",
		at(place, "sites/d.yaml"));
	assert_told(place, words);
}

static void shown_as_it_was_named(void **state)
{
	struct place *place = *state;
	char folder[4096];
	assert_non_null(getcwd(folder, sizeof(folder)));
	put(place, "weir.yaml", "include: sites/*.yaml\nthreads: x\n");
	put(place, "sites/a.yaml", "- rot: x\n");
	assert_int_equal(chdir(place->folder), 0);
	assert_null(snapshot_load("weir.yaml", nothing, &sets, false, &place->told));
	buffer_append(&place->told, "", 1);
	assert_told(place, "weir.yaml:2:10: error: ");
	assert_told(place, "\nsites/a.yaml:1:3: error: ");
	assert_int_equal(chdir("sites"), 0);
	place->told.len = 0;
	assert_null(snapshot_load("../weir.yaml", nothing, &sets, false, &place->told));
	buffer_append(&place->told, "", 1);
	assert_told(place, "../weir.yaml:2:10: error: ");
	assert_told(place, "\n../sites/a.yaml:1:3: error: ");
	assert_int_equal(chdir(folder), 0);
}

static void loops_end(void **state)
{
	struct place *place = *state;
	put(place, "weir.yaml", "include: [\"*.yaml\"]\nsites: [{ listen: \"http://:80\" }]\n");
	assert_null(load(place, nothing));
	assert_told(place, "weir.yaml:1:12: error: ");
	assert_told(place, "weir.yaml would include itself");
	put(place, "weir.yaml", "include: sites/a.yaml\nsites: [{ listen: \"http://:80\" }]\n");
	put(place, "sites/a.yaml", "- include: b.yaml\n");
	put(place, "sites/b.yaml", "- include: a.yaml\n");
	assert_null(load(place, nothing));
	assert_told(place, "sites/b.yaml:1:12: error: ");
	assert_told(place, "sites/a.yaml would include itself");
	put(place, "sites/b.yaml", "[]");
	put(place, "weir.yaml",
		"include: [sites/a.yaml, sites/b.yaml]\nsites: [{ listen: \"http://:80\" }]\n");
	assert_null(load(place, nothing));
	assert_told(place, "sites/b.yaml is included already");
	for (int i = 0; i < 12; i++) {
		char name[32], text[64];
		snprintf(name, sizeof(name), "sites/n%d", i);
		snprintf(text, sizeof(text), "- include: n%d\n", i + 1);
		put(place, name, text);
	}
	put(place, "weir.yaml", "include: sites/n0\nsites: [{ listen: \"http://:80\" }]\n");
	assert_null(load(place, nothing));
	assert_told(place, "files include each other more than 8 deep");
}

/* A pipe in a folder of includes must not stop the start. */
static void only_files_are_included(void **state)
{
	struct place *place = *state;
	put(place, "weir.yaml", "include: sites/*\nsites: [{ listen: \"http://:80\" }]\n");
	assert_int_equal(mkfifo(at(place, "sites/pipe"), 0644), 0);
	assert_int_equal(mkdir(at(place, "sites/deep"), 0755), 0);
	assert_null(load(place, nothing));
	assert_told(place, "sites/pipe: Invalid argument");
	assert_told(place, "sites/deep: Is a directory");
}

static void folders_may_have_any_name(void **state)
{
	struct place *place = *state;
	assert_int_equal(mkdir(at(place, "sites/[a]*"), 0755), 0);
	put(place, "sites/[a]*/weir.yaml",
		"include: i*.yaml\nsites: [{ listen: \"http://:80\" }]\n");
	put(place, "sites/[a]*/in.yaml", "- { listen: \"http://:81\" }\n");
	struct snapshot *snapshot = snapshot_load(
		at(place, "sites/[a]*/weir.yaml"), nothing, &sets, false, &place->told);
	assert_non_null(snapshot);
	assert_int_equal(snapshot->site_count, 2);
	snapshot_free(snapshot);
}

/* The start to the first answer is under 20 ms; the configuration may not take a tenth of it, a slow machine and a
 * sanitizer included. */
static void loading_is_quick(void **state)
{
	struct place *place = *state;
	struct timespec before, after;
	put(place, "weir.yaml",
		"threads: 2\nlog: { error: { path: e.log }, access: off }\nlimits: { timeouts: { idle: 300s } }\n"
		"sites:\n  - { listen: [\"http://127.0.0.1:80\"], root: w, routes: { /api/: { root: off } } }\n");
	double best = 1e9;
	for (int i = 0; i < 20; i++) {
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
		snapshot_free(load(place, nothing));
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
		double ms = (double)(after.tv_sec - before.tv_sec) * 1e3 +
			    (double)(after.tv_nsec - before.tv_nsec) / 1e6;
		best = ms < best ? ms : best;
	}
	assert_true(best < 2);
}

/* Devices of folders are remembered: whoever loads again touches no disk. Asked for in any order, and in one that finds all at once. */
static void devices_are_kept(void **state)
{
	struct place *place = *state;
	char folder[300];
	struct stat s;
	dev_t device = 0;
	struct kept first, again;
	assert_int_equal(kept_begin(&first, nothing), 0);
	put(place, "file", "x");
	assert_int_equal(kept_device(&first, slice_of(at(place, "file")), &device), ENOTDIR);
	assert_int_equal(kept_device(&first, slice_of(at(place, "none")), &device), ENOENT);
	assert_int_equal(stat(place->folder, &s), 0);
	for (int i = 0; i < 50; i++) {
		snprintf(folder, sizeof(folder), "%s/%d", place->folder, i);
		assert_int_equal(mkdir(folder, 0755), 0);
		assert_int_equal(kept_device(&first, slice_of(folder), &device), 0);
		assert_true(device == s.st_dev);
		assert_int_equal(rmdir(folder), 0);
	}
	assert_int_equal(kept_begin(&again, (struct slice){first.text.ptr, first.text.len}), 0);
	for (int i = 0; i < 50; i++) {
		snprintf(folder, sizeof(folder), "%s/%d", place->folder, i % 7 * 7);
		device = 0;
		assert_int_equal(kept_device(&again, slice_of(folder), &device), 0);
		assert_true(device == s.st_dev);
	}
	assert_int_equal(kept_device(&again, slice_of(at(place, "none")), &device), ENOENT);
	kept_end(&first);
	kept_end(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(includes_are_read_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(same_again_without_the_disk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(finish_knows_of_the_replay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(kept_of_a_text, set_up, tear_down),
		cmocka_unit_test_setup_teardown(devices_are_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(damaged_keepsakes_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(faults_name_their_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shown_as_it_was_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(loops_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_files_are_included, set_up, tear_down),
		cmocka_unit_test_setup_teardown(folders_may_have_any_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(loading_is_quick, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
