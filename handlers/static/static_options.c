/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of static serving: what they are called, what they mean, and what is refused at the load. */
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/check.h"
#include "handlers/static/static.h"
#include "io/disk.h"

#define AT(member)     offsetof(struct static_settings, member)
#define MAX_AGE_MOST   (10ll * 366 * 86400) /* seconds */
#define INDEX_NAME_MAX 255

static const char *const symlink_words[] = {"inside", "off", "anywhere", NULL};

static int read_rule(
	struct load *load, const struct node *node, struct slice pattern, struct max_age_rule *rule)
{
	int64_t milliseconds;
	const char *expected;
	if (node_kind(node) != NODE_SCALAR)
		return load_error(load, node, "a duration belongs here, such as 7d");
	if (value_duration(node_text(node), &milliseconds, &expected))
		return load_error(load, node, "\"max_age\" wants %s, not \"%.*s\"", expected,
			(int)node_text(node).len, node_text(node).ptr);
	if (milliseconds / 1000 > MAX_AGE_MOST)
		return load_error(load, node, "\"max_age\" must be at most ten years");
	rule->pattern = arena_slice(load_arena(load), pattern);
	rule->seconds = milliseconds / 1000;
	return 0;
}

/* A duration for all files, or a mapping of patterns to durations, or off. */
static int read_max_age(struct load *load, const struct node *node, void *target)
{
	struct max_age *max_age = target;
	bool on;
	const char *expected;
	*max_age = (struct max_age){NULL, 0};
	if (node_kind(node) == NODE_LIST)
		return load_error(load, node,
			"\"max_age\" takes a duration, or patterns with durations: { \"*.css\": 7d }");
	if (node_kind(node) == NODE_SCALAR) {
		if (value_bool(node_text(node), &on, &expected) == 0 && !on)
			return 0;
		max_age->rules = arena_alloc(load_arena(load), sizeof *max_age->rules);
		max_age->count = 1;
		return read_rule(load, node, SLICE("*"), max_age->rules);
	}
	size_t count = node_count(node);
	int result = 0;
	max_age->rules = arena_zalloc(load_arena(load), (count + 1) * sizeof *max_age->rules);
	for (size_t i = 0; i < count; i++)
		if (read_rule(load, node_item(node, i), node_text(node_key(node, i)),
			    &max_age->rules[i]))
			result = -1;
	max_age->count = count;
	return result;
}

static const struct option rows[] = {
	{.name = "root",
		.type = OPTION_PATH,
		.flags = OPTION_OFF,
		.offset = AT(root.path),
		.example = "/srv/www",
		.prose =
			"The folder whose files are served. A symbolic link is followed at once when "
			"it is switched. off: no files."},
	{.name = "index",
		.type = OPTION_STRINGS,
		.flags = OPTION_OFF,
		.offset = AT(root.index),
		.preset = "[index.html]",
		.example = "[index.html, index.htm]",
		.prose = "The names that answer for a folder, the first that is there. A folder "
			 "without one is as good as missing."},
	{.name = "hidden_files",
		.type = OPTION_BOOL,
		.offset = AT(root.hidden_files),
		.preset = "off",
		.example = "off",
		.prose = "Whether names that begin with a dot are served. .well-known always is."},
	{.name = "symlinks",
		.type = OPTION_ENUM,
		.offset = AT(root.symlinks),
		.preset = "inside",
		.words = symlink_words,
		.example = "inside",
		.prose =
			"Which symbolic links beneath the root are followed: those that stay inside "
			"of it, none (off), or all (anywhere). A link that is not followed is answered "
			"with 403."},
	{.name = "listing",
		.type = OPTION_BOOL,
		.offset = AT(root.listing),
		.preset = "off",
		.example = "off",
		.prose =
			"Whether a folder without an index is answered with a page that lists what is "
			"in it: sorted, with sizes and times, a thousand entries a page. Names that are "
			"not served are not listed."},
	{.name = "max_age",
		.type = OPTION_CUSTOM,
		.offset = AT(max_age),
		.parse = read_max_age,
		.schema = "{\"anyOf\":[{\"type\":\"boolean\"},{\"type\":\"string\"},{\"type\":"
			  "\"integer\"},{\"type\":\"object\",\"additionalProperties\":{\"type\":["
			  "\"string\",\"integer\"]}}]}",
		.example = "{ \"*.css\": 7d, \"/assets/*\": 365d }",
		.prose =
			"Cache-Control of files: one duration for all, or durations by pattern, of "
			"which the first that fits counts. A pattern with a / at its beginning is held "
			"against the whole path, another against the last name. 0 asks caches to "
			"check each time."},
	{0},
};

const struct option_set static_options = {
	.owner = "static",
	.place = OPTION_SITE,
	.size = sizeof(struct static_settings),
	.rows = rows,
};

/* Roots on one disk share the threads that one disk may have. */
static int look_at_root(struct load *load, const struct snapshot *snapshot,
	const struct scope *scope, struct file_root *root)
{
	const struct static_settings *site =
		handler_scope_settings(snapshot, &scope->site->scope, &static_handler);
	const struct node *node = node_member(scope->node, "root");
	dev_t device;
	if (!node && site->root.path.ptr == root->path.ptr) { /* told where it is written */
		root->lane = site->root.lane;
		return 0;
	}
	int error = load_device(load, root->path, &device);
	if (error == ENOTDIR)
		return load_error(
			load, node, "%s is no folder: \"root\" wants one", root->path.ptr);
	if (error)
		return load_error(load, node, "the folder %s cannot be used: %s", root->path.ptr,
			strerror(error));
	root->lane = disk_lane(device);
	return 0;
}

static int check_index(
	struct load *load, const struct scope *scope, const struct option_list *index)
{
	const struct node *node = node_member(scope->node, "index");
	for (size_t i = 0; node && i < index->count; i++) {
		struct slice name = index->items[i];
		bool dots = slice_equal(name, SLICE(".")) || slice_equal(name, SLICE(".."));
		if (name.len == 0 || name.len > INDEX_NAME_MAX || dots ||
			memchr(name.ptr, '/', name.len))
			return load_error(load,
				node_kind(node) == NODE_LIST ? node_item(node, i) : node,
				"\"%.*s\" is no name of a file in a folder", (int)name.len,
				name.ptr);
	}
	return 0;
}

/* The first site's scope is configured first: it makes the table, all others share it. */
static const struct mime *shared_mime(struct snapshot *snapshot)
{
	const struct static_settings *first =
		handler_scope_settings(snapshot, &snapshot->sites[0].scope, &static_handler);
	return first->root.mime ? first->root.mime : mime_system(&snapshot->arena);
}

int static_configure(
	struct load *load, struct snapshot *snapshot, const struct scope *scope, void *settings)
{
	struct static_settings *s = settings;
	s->root.mime = shared_mime(snapshot);
	if (!s->root.path.ptr)
		return 0;
	int result = look_at_root(load, snapshot, scope, &s->root);
	if (check_index(load, scope, &s->root.index))
		result = -1;
	return result ? -1 : 1;
}

int64_t static_max_age(const struct static_settings *settings, const char *path)
{
	const char *stroke = strrchr(path, '/');
	const char *name = stroke ? stroke + 1 : path;
	for (size_t i = 0; i < settings->max_age.count; i++) {
		const struct max_age_rule *rule = &settings->max_age.rules[i];
		if (fnmatch(rule->pattern.ptr, rule->pattern.ptr[0] == '/' ? path : name, 0) == 0)
			return rule->seconds;
	}
	return -1;
}

/* Where links may lead anywhere, all must be readable but what is no place of files: the operator asked for it. */
static void grant_anywhere(grant_fn *add, void *context)
{
	static const char *const without[] = {".", "..", "dev", "proc", "sys"};
	DIR *folder = opendir("/");
	struct dirent *entry;
	while (folder && (entry = readdir(folder)) != NULL) {
		struct stat s;
		char path[NAME_MAX + 2];
		bool skip = false;
		for (size_t i = 0; i < COUNT_OF(without); i++)
			skip = skip || strcmp(entry->d_name, without[i]) == 0;
		int length = snprintf(path, sizeof path, "/%s", entry->d_name);
		if (!skip && length > 0 && (size_t)length < sizeof path && stat(path, &s) == 0 &&
			S_ISDIR(s.st_mode))
			add(context, path, GRANT_READ);
	}
	if (folder)
		closedir(folder);
}

void static_grant(const struct snapshot *snapshot, grant_fn *add, void *context)
{
	bool anywhere = false;
	for (size_t i = 0; i < snapshot->site_count; i++) {
		const struct site *site = &snapshot->sites[i];
		for (size_t k = 0; k <= site->route_count; k++) {
			const struct scope *scope = k ? &site->routes[k - 1].scope : &site->scope;
			const struct static_settings *s =
				handler_scope_settings(snapshot, scope, &static_handler);
			if (!s->root.path.ptr)
				continue;
			add(context, s->root.path.ptr, GRANT_ROOT);
			anywhere = anywhere || s->root.symlinks == SYMLINKS_ANYWHERE;
		}
	}
	if (anywhere)
		grant_anywhere(add, context);
}
