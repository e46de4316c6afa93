/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of static serving: what is refused at the load and where, and what patterns of max_age fit (DESIGN 2). */
#include "site.h"

#include <stdio.h>
#include <string.h>

#include "handlers/static/static.h"
#include "http/route.h"

static const struct handler *const table[] = {&static_handler, NULL};

static struct snapshot *load(const char *keys, struct buffer *diagnostics)
{
	const struct option_set *rows[2 * HANDLERS_MAX + 1];
	route_option_sets(table, rows);
	struct option_sets sets = {
		.sets = rows, .finish = route_prepare, .context = (void *)(uintptr_t)table};
	char yaml[1024];
	snprintf(yaml, sizeof yaml, "sites:\n  - listen: \"http://127.0.0.1:80\"\n    %s\n", keys);
	return snapshot_load_text(slice_of(yaml), "test.yaml", site.path, &sets, true, diagnostics);
}

static void wrong_values_are_told(void **state)
{
	(void)state;
	static const struct {
		const char *keys, *told;
	} rows[] = {
		{"root: nowhere", "test.yaml:3:"},
		{"root: nowhere", "No such file"},
		{"root: file.txt", "no folder"},
		{"routes: { /x/: { root: nowhere } }", "nowhere cannot be used"},
		{"root: www\n    index: [a/b]", "\"a/b\" is no name"},
		{"root: www\n    index: ..", "\"..\" is no name"},
		{"root: www\n    symlinks: outside", "inside, off, anywhere"},
		{"root: www\n    hidden_files: maybe", "hidden_files"},
		{"root: www\n    max_age: 7x", "duration"},
		{"root: www\n    max_age: { \"*.css\": never }", "never"},
		{"root: www\n    max_age: [7d]", "patterns"},
		{"root: www\n    max_age: 5000d", "ten years"},
	};
	site_write("file.txt", "x", 1);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buffer diagnostics = {NULL, 0, 0};
		struct snapshot *snapshot = load(rows[i].keys, &diagnostics);
		if (snapshot)
			fail_msg("taken: %s", rows[i].keys);
		if (!memmem(diagnostics.ptr, diagnostics.len, rows[i].told, strlen(rows[i].told)))
			fail_msg("%s: not told \"%s\": %.*s", rows[i].keys, rows[i].told,
				(int)diagnostics.len, diagnostics.ptr);
		buffer_free(&diagnostics);
	}
}

static void max_age_patterns(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		int64_t seconds;
	} rows[] = {
		{"/a/style.css", 7 * 86400},
		{"/style.css", 7 * 86400},
		{"/style.css.map", -1},
		{"/assets/app.js", 3600},
		{"/assets/deep/er/app.js", 3600},
		{"/assets/style.css", 7 * 86400}, /* the first that fits */
		{"/my/assets/app.js", -1},
		{"/page1.html", 60},
		{"/page12.html", -1},
	};
	struct buffer diagnostics = {NULL, 0, 0};
	struct snapshot *snapshot = load(
		"root: www\n    max_age: { \"*.css\": 7d, \"/assets/*\": 1h, \"page?.html\": 1m }",
		&diagnostics);
	assert_non_null(snapshot);
	const struct static_settings *settings =
		handler_scope_settings(snapshot, &snapshot->sites[0].scope, &static_handler);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(static_max_age(settings, rows[i].path), rows[i].seconds);
	snapshot_free(snapshot);
	buffer_free(&diagnostics);
}

static void note_grant(void *context, const char *path, enum grant grant)
{
	struct buffer *seen = context;
	assert_int_not_equal(grant, GRANT_WRITE);
	assert_string_not_equal(path, "/");
	buffer_format(seen, "%s%s\n", grant == GRANT_READ ? "read " : "", path);
}

/* DESIGN 4: the sandbox grants roots, and never the folder of all. */
static void roots_are_granted(void **state)
{
	(void)state;
	struct buffer diagnostics = {NULL, 0, 0}, seen = {NULL, 0, 0};
	site_folder("other");
	struct snapshot *snapshot =
		load("root: www\n    routes: { /x/: { root: other }, /y/: { root: off } }",
			&diagnostics);
	assert_non_null(snapshot);
	static_handler.grant(snapshot, note_grant, &seen);
	buffer_append(&seen, "", 1);
	char wanted[256];
	snprintf(wanted, sizeof wanted, "%s/www\n%s/other\n", site.path, site.path);
	assert_string_equal(seen.ptr, wanted);
	seen.len = 0;
	snapshot_free(snapshot);
	snapshot = load("root: www\n    symlinks: anywhere", &diagnostics);
	assert_non_null(snapshot);
	static_handler.grant(snapshot, note_grant, &seen);
	buffer_append(&seen, "", 1);
	assert_non_null(strstr(seen.ptr, "\nread /usr\n"));
	assert_null(strstr(seen.ptr, "/proc\n"));
	snapshot_free(snapshot);
	buffer_free(&seen);
	buffer_free(&diagnostics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SITE_TEST(wrong_values_are_told),
		SITE_TEST(max_age_patterns),
		SITE_TEST(roots_are_granted),
	};
	return cmocka_run_group_tests_name("handlers/static_options", tests, NULL, NULL);
}
