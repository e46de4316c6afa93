/* SPDX-License-Identifier: BSD-2-Clause */
/* What to say about a key that nobody knows: a near name, the place where it belongs, or what other servers call it. */
#include "base/check.h"
#include "settings/core.h"

enum { NAMES_MAX = 256 };

/* Words of other servers' configurations, and where the same is said here. */
static const char *const foreign[][2] = {
	{"server_name", "host"},
	{"server_names", "host"},
	{"hostname", "host"},
	{"domain", "host"},
	{"location", "routes"},
	{"locations", "routes"},
	{"paths", "routes"},
	{"proxy_pass", "proxy"},
	{"reverse_proxy", "proxy"},
	{"try_files", "proxy"},
	{"fastcgi_pass", "proxy"},
	{"document_root", "root"},
	{"docroot", "root"},
	{"DocumentRoot", "root"},
	{"bind", "listen"},
	{"port", "listen"},
	{"address", "listen"},
	{"server", "sites"},
	{"servers", "sites"},
	{"http", "sites"},
	{"virtual_hosts", "sites"},
	{"vhosts", "sites"},
	{"backend", "upstreams"},
	{"backends", "upstreams"},
	{"worker_processes", "threads"},
	{"workers", "threads"},
	{"worker_connections", "connections"},
	{"maxconn", "connections"},
	{"client_max_body_size", "body_size"},
	{"large_client_header_buffers", "header_size"},
	{"keepalive_timeout", "idle"},
	{"send_timeout", "send"},
	{"client_header_timeout", "header"},
	{"client_body_timeout", "body"},
	{"access_log", "access"},
	{"error_log", "error"},
	{"error_page", "errors"},
	{"error_pages", "errors"},
	{"add_header", "headers"},
	{"return", "redirect"},
	{"rewrite", "redirect"},
	{"pid", "pid_file"},
};

static size_t names_of(const struct option *rows, const char **names, size_t count)
{
	for (; rows->name && count < NAMES_MAX; rows++)
		names[count++] = rows->name;
	return count;
}

/* Looks for a key in rows and the groups in them. Writes "limits: timeouts: " before its name into `path`. */
static bool find_in(const struct option *rows, const char *name, struct buffer *path)
{
	for (const struct option *row = rows; row->name; row++) {
		if (strcmp(row->name, name) == 0)
			return true;
	}
	for (const struct option *row = rows; row->name; row++) {
		if (!row->rows)
			continue;
		size_t before = path->len;
		bool named = row->type == OPTION_CUSTOM && !(row->flags & OPTION_ITEMS);
		buffer_format(path, named ? "%s: NAME: " : "%s: ", row->name);
		if (find_in(row->rows, name, path))
			return true;
		path->len = before;
	}
	return false;
}

static bool find_in_sets(
	const struct load *load, enum option_place place, const char *name, struct buffer *path)
{
	for (size_t i = 0; i < load->set_count; i++) {
		const struct option_set *set = load->sets->sets[i];
		if (set->place == place && find_in(set->rows, name, path))
			return true;
	}
	return false;
}

/* Where a key of this name belongs, in words; { NULL, 0 }: nowhere. */
static struct slice belongs(struct load *load, const char *name)
{
	struct buffer path = {0};
	const char *place = NULL;
	if (find_in(core_site_rows, name, &path))
		place = path.len > 0 ? "the file or a site"
				     : "a site, not in a route"; /* below tls */
	else if (find_in(core_scope_rows, name, &path) ||
		 find_in_sets(load, OPTION_SITE, name, &path))
		place = "a site or route";
	else if (find_in(core_top_rows, name, &path) || find_in(core_file_rows, name, &path) ||
		 find_in_sets(load, OPTION_TOP, name, &path))
		place = "the outermost mapping of the file";
	struct slice words = {NULL, 0};
	if (place && path.len > 0)
		words = arena_format(&load->scratch, "it belongs below %.*s in %s",
			(int)path.len - 1, path.ptr, place);
	else if (place)
		words = arena_format(&load->scratch, "it belongs in %s", place);
	buffer_free(&path);
	return words;
}

static const char *translated(struct slice name)
{
	for (size_t i = 0; i < COUNT_OF(foreign); i++) {
		if (slice_equal(slice_of(foreign[i][0]), name))
			return foreign[i][1];
	}
	return NULL;
}

/* "key:value", which to YAML is one word. */
static bool lacks_space(struct slice written, const char *const *names, size_t count)
{
	const char *colon = memchr(written.ptr, ':', written.len);
	struct slice name = {written.ptr, colon ? (size_t)(colon - written.ptr) : 0};
	for (size_t i = 0; name.len > 0 && i < count; i++) {
		if (slice_equal(slice_of(names[i]), name))
			return true;
	}
	return false;
}

/* "header" for "headers", or the other way round: more likely than the same word somewhere else. */
static bool is_plural(struct slice a, const char *b)
{
	size_t length = strlen(b);
	size_t shorter = a.len < length ? a.len : length;
	return (a.len + 1 == length || a.len == length + 1) && memcmp(a.ptr, b, shorter) == 0;
}

static struct slice name_list(struct load *load, const char *const *names, size_t count)
{
	struct buffer list = {0};
	for (size_t i = 0; i < count; i++)
		buffer_format(&list, "%s%s", i > 0 ? ", " : "", names[i]);
	struct slice words = arena_slice(&load->scratch, (struct slice){list.ptr, list.len});
	buffer_free(&list);
	return words;
}

int unknown_key(
	struct load *load, const struct node *key, const struct rows_part *parts, size_t count)
{
	const char *names[NAMES_MAX];
	const char *written = key->text.ptr;
	size_t name_count = 0;
	if (load->fault_count >= LOAD_FAULTS_HELD)
		return load_error(load, key, "unknown key");
	for (size_t i = 0; i < count; i++)
		name_count = names_of(parts[i].rows, names, name_count);
	if (lacks_space(key->text, names, name_count))
		return load_error(load, key,
			"\"%s\" is one word: a space is missing behind the colon", written);
	const char *own = translated(key->text);
	for (size_t i = 0; own && i < name_count; i++) {
		if (strcmp(names[i], own) == 0)
			return load_error(load, key, "unknown key \"%s\": here it is called \"%s\"",
				written, own);
	}
	const char *near = value_nearest(key->text, names, name_count);
	struct slice place = belongs(load, written);
	if (place.ptr && !(near && is_plural(key->text, near)))
		return load_error(load, key, "\"%s\" does not belong here: %s", written, place.ptr);
	if (near)
		return load_error(
			load, key, "unknown key \"%s\": did you mean \"%s\"?", written, near);
	place = own ? belongs(load, own) : (struct slice){NULL, 0};
	if (place.ptr)
		return load_error(load, key, "unknown key \"%s\": here it is called \"%s\", and %s",
			written, own, place.ptr);
	return load_error(load, key, "unknown key \"%s\": the keys here are %s", written,
		name_list(load, names, name_count).ptr);
}
