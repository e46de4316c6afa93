/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads sites and their routes: hosts, patterns, and the settings that everybody declared for them. */
#include "settings/sites.h"

#include <stdlib.h>

#include "base/check.h"

enum { SCOPE_PARTS_MAX = 70 };

static struct site_reading *site_at(const struct sites *sites, size_t index)
{
	return (struct site_reading *)(void *)sites->sites.ptr + index;
}

static size_t site_count(const struct sites *sites)
{
	return sites->sites.len / sizeof(struct site_reading);
}

/* Settings for a site with the presets, or for a route with its site's values. */
static void scope_new(struct load *load, struct scope *scope, const struct scope *from)
{
	struct arena *arena = load_arena(load);
	struct scope_core *core = arena_zalloc(arena, sizeof(*core));
	if (from)
		*core = *from->core;
	scope->core = core;
	scope->settings = arena_zalloc(arena, (load->set_count + 1) * sizeof(scope->settings[0]));
	for (size_t i = 0; i < load->set_count; i++) {
		const struct option_set *set = load->sets->sets[i];
		if (set->place != OPTION_SITE)
			continue;
		void *settings = arena_alloc(arena, set->size);
		memcpy(settings, from ? from->settings[i] : load->prototypes[i], set->size);
		scope->settings[i] = settings;
	}
}

/* Reads the mapping of a site or route into its settings; a site's own keys go to `written`. */
static int scope_read(struct load *load, struct scope *scope, const struct node *node,
	struct site_written *written)
{
	struct rows_part parts[SCOPE_PARTS_MAX];
	size_t count = 0;
	scope->node = node;
	if (written)
		parts[count++] = (struct rows_part){core_site_rows, (char *)written};
	/* not shared with anybody yet, so it may still be written */
	parts[count++] = (struct rows_part){core_scope_rows, (char *)(uintptr_t)scope->core};
	for (size_t i = 0; i < load->set_count; i++) {
		const struct option_set *set = load->sets->sets[i];
		check(count < SCOPE_PARTS_MAX);
		if (set->place == OPTION_SITE)
			parts[count++] = (struct rows_part){
				set->rows, (char *)(uintptr_t)scope->settings[i]};
	}
	if (!written && node_is_empty(node))
		return 0; /* a route with nothing to change is all its site's */
	return rows_read(load, node, parts, count, !written);
}

static int host_read(struct load *load, const struct node *node, struct slice *host)
{
	char lower[256];
	const char *expected;
	if (node->kind != NODE_SCALAR || node->text.len == 0)
		return load_error(load, node,
			"a host belongs here; for example host: [example.com, \"*.example.com\"]");
	if (value_host(node->text, lower, &expected) == 0) {
		*host = arena_slice(load_arena(load), slice_of(lower));
		return 0;
	}
	const char *text = node->text.ptr, *colon = strrchr(text, ':');
	uint64_t port;
	if (strstr(text, "://"))
		return load_error(load, node,
			"\"%s\" is no host: leave out %.*s, that goes into listen", text,
			(int)(strstr(text, "://") - text + 3), text);
	if (colon && slice_number(slice_of(colon + 1), &port) == 0 && strchr(text, ':') == colon)
		return load_error(load, node,
			"\"%s\" is no host: the port goes into listen, write "
			"%.*s",
			text, (int)(colon - text), text);
	for (size_t i = 0; i < node->text.len; i++) {
		if ((unsigned char)text[i] >= 0x80)
			return load_error(load, node,
				"\"%s\" is no host as clients send it: write its ASCII form, which "
				"begins with xn--",
				text);
	}
	return load_error(load, node, "\"%s\" is no host: write %s", text, expected);
}

static int hosts_read(struct load *load, struct site_reading *reading, const struct node *node)
{
	bool list = node && node->kind == NODE_LIST;
	size_t count = list ? node->count : node ? 1 : 0;
	struct site *site = &reading->site;
	int result = 0;
	site->hosts = arena_alloc(load_arena(load), (count + 1) * sizeof(site->hosts[0]));
	reading->host_nodes =
		arena_alloc(&load->scratch, (count + 1) * sizeof(reading->host_nodes[0]));
	if (list && count == 0)
		return load_error(load, node,
			"the list of hosts is empty: leave out \"host\" for the default site");
	for (size_t i = 0; i < count; i++) {
		const struct node *item = list ? node->items[i] : node;
		if (host_read(load, item, &site->hosts[site->host_count])) {
			result = -1;
			continue;
		}
		reading->host_nodes[site->host_count++] = item;
	}
	site->name = site->host_count > 0 ? site->hosts[0] : SLICE("default");
	return result;
}

/* Why a pattern is none, with what to write; NULL: it is one. */
static const char *pattern_fault(struct load *load, struct slice text)
{
	const char *pattern = text.ptr;
	if (text.len > 1 && text.ptr[0] == '/' && slice_ends(text, SLICE("/*")))
		return arena_format(&load->scratch,
			"a path that ends with a slash holds for all below it: write \"%.*s\"",
			(int)text.len - 1, pattern)
			.ptr;
	if (text.ptr[0] == '~' || text.ptr[0] == '^' || memchr(pattern, '(', text.len))
		return "regular expressions are not supported: write a path or \"*.extension\"";
	if (text.ptr[0] == '*')
		return "an extension is written \"*.php\"";
	if (text.ptr[0] == '.')
		return arena_format(&load->scratch, "an extension is written \"*%s\"", pattern).ptr;
	if (text.ptr[0] != '/')
		return arena_format(
			&load->scratch, "a path begins with a slash: write \"/%s\"", pattern)
			.ptr;
	if (memchr(pattern, '*', text.len))
		return "a star stands only in front, for an extension: \"*.php\"";
	if (memchr(pattern, '?', text.len) || memchr(pattern, '#', text.len))
		return "routes look at the path alone: leave out what begins with ? or #";
	if (strstr(pattern, "/../") || strstr(pattern, "/./") || slice_ends(text, SLICE("/..")) ||
		slice_ends(text, SLICE("/.")))
		return "dot segments are removed from every request's path, so this is never met";
	if (strstr(pattern, "//"))
		return "slashes in a row are taken as one in every request's path: write one";
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)pattern[i];
		if (c <= ' ' || c >= 0x7f || c == '\\' || c == '"')
			return "spaces, quotes, backslashes and other characters than ASCII stand "
			       "in a request's path as %XX: write them so";
	}
	return NULL;
}

static int pattern_read(struct load *load, const struct node *key, struct route *route)
{
	struct slice text = key->text, extension = slice_from(text, 1);
	if (text.len == 0)
		return -1; /* told already */
	bool is_extension = slice_starts(text, SLICE("*.")) && text.len > 2 &&
			    !memchr(extension.ptr, '*', extension.len) &&
			    !memchr(text.ptr, '/', text.len);
	const char *fault = is_extension ? NULL : pattern_fault(load, text);
	if (fault)
		return load_error(load, key, "\"%s\" is no route: %s", text.ptr, fault);
	if (is_extension)
		route->kind = ROUTE_EXTENSION;
	else
		route->kind = slice_ends(text, SLICE("/")) ? ROUTE_PREFIX : ROUTE_EXACT;
	route->pattern = arena_slice(load_arena(load), is_extension ? extension : text);
	return 0;
}

/* Octets that the pattern stands for: an encoded one is one, but for a slash, which stays encoded (http/route.h). */
static size_t octet_count(struct slice pattern)
{
	size_t count = pattern.len;
	for (size_t i = 0; i + 2 < pattern.len; i++) {
		int high = bytes_hex_digit((unsigned char)pattern.ptr[i + 1]);
		int low = bytes_hex_digit((unsigned char)pattern.ptr[i + 2]);
		if (pattern.ptr[i] == '%' && high >= 0 && low >= 0 && high * 16 + low != '/') {
			count -= 2;
			i += 2;
		}
	}
	return count;
}

/* In the order of lookup: exact paths, then prefixes, then extensions, the longest first. */
static int route_order(const void *left, const void *right)
{
	static const int rank[] = {[ROUTE_EXACT] = 0, [ROUTE_PREFIX] = 1, [ROUTE_EXTENSION] = 2};
	const struct route *a = left, *b = right;
	size_t a_count = octet_count(a->pattern), b_count = octet_count(b->pattern);
	if (rank[a->kind] != rank[b->kind])
		return rank[a->kind] - rank[b->kind];
	if (a_count != b_count)
		return a_count > b_count ? -1 : 1;
	if (a->pattern.len != b->pattern.len)
		return a->pattern.len < b->pattern.len ? -1 : 1;
	return memcmp(a->pattern.ptr, b->pattern.ptr, a->pattern.len);
}

static int routes_read(struct load *load, struct site *site, const struct node *node)
{
	int result = 0;
	if (!node || node_is_empty(node))
		return 0;
	if (node->kind != NODE_MAPPING)
		return load_error(load, node,
			"a mapping of paths belongs here; for example routes: { /api/: { root: off, "
			"proxy: api } }");
	site->routes = arena_zalloc(load_arena(load), (node->count + 1) * sizeof(site->routes[0]));
	for (size_t i = 0; i < node->count; i++) {
		struct route *route = &site->routes[site->route_count];
		if (pattern_read(load, node->keys[i], route))
			result = -1;
		else
			site->route_count++;
		scope_new(load, &route->scope, &site->scope);
		if (scope_read(load, &route->scope, node->items[i], NULL))
			result = -1;
	}
	qsort(site->routes, site->route_count, sizeof(site->routes[0]), route_order);
	return result;
}

static int site_read(struct sites *sites, const struct node *node)
{
	struct load *load = sites->load;
	struct site_reading reading = {.node = node};
	struct site_written written = {.tls = *sites->tls};
	size_t index = site_count(sites);
	scope_new(load, &reading.site.scope, NULL);
	int result = scope_read(load, &reading.site.scope, node, &written);
	if (hosts_read(load, &reading, written.host))
		result = -1;
	const struct node *tls = node_member(node, "tls");
	if (tls && tls_settle(load, tls, &written.tls))
		result = -1;
	if (tls) {
		reading.tls = arena_alloc(&load->scratch, sizeof(*reading.tls));
		*reading.tls = written.tls;
	}
	if (written.listen && listen_read(sites, written.listen, index))
		result = -1;
	if (routes_read(load, &reading.site, written.routes))
		result = -1;
	buffer_append(&sites->sites, &reading, sizeof(reading));
	return result;
}

static int list_read(struct sites *sites, const struct node *list)
{
	int result = 0;
	for (size_t i = 0; i < list->count; i++) {
		const struct node *item = list->items[i];
		bool include = item->kind == NODE_MAPPING && item->count == 1 &&
			       slice_equal(item->keys[0]->text, SLICE("include"));
		if (include ? include_read(sites, item->items[0], list_read)
			    : site_read(sites, item))
			result = -1;
	}
	return result;
}

/* The rules of TLS in one array: the file's, then those of each site that has its own. */
static void settle_tls(struct sites *sites)
{
	struct snapshot *snapshot = sites->load->snapshot;
	size_t count = 1;
	for (size_t i = 0; i < site_count(sites); i++)
		count += site_at(sites, i)->tls != NULL;
	struct tls_settings *all = arena_alloc(&snapshot->arena, count * sizeof(all[0]));
	all[0] = *sites->tls;
	snapshot->tls_count = 1;
	for (size_t i = 0; i < site_count(sites); i++) {
		const struct tls_settings *own = site_at(sites, i)->tls;
		struct tls_settings *rules = own ? &all[snapshot->tls_count++] : all;
		if (own)
			*rules = *own;
		rules->index = (unsigned)(rules - all);
		snapshot->sites[i].tls = rules;
	}
	snapshot->tls = all;
}

/* The sites as the snapshot has them: in one array that does not move any more. */
static void settle(struct sites *sites)
{
	struct snapshot *snapshot = sites->load->snapshot;
	size_t count = site_count(sites);
	snapshot->sites = arena_alloc(&snapshot->arena, (count + 1) * sizeof(snapshot->sites[0]));
	snapshot->site_count = count;
	for (size_t i = 0; i < count; i++) {
		struct site *site = &snapshot->sites[i];
		*site = site_at(sites, i)->site;
		site->scope.site = site;
		site->scope.id = snapshot->scope_count++;
		for (size_t k = 0; k < site->route_count; k++) {
			site->routes[k].scope.site = site;
			site->routes[k].scope.id = snapshot->scope_count++;
		}
	}
	settle_tls(sites);
}

int sites_read(struct load *load, const struct file_written *written)
{
	struct sites sites = {.load = load, .tls = &written->tls};
	int result = 0;
	if (written->sites && written->sites->kind == NODE_LIST)
		result = list_read(&sites, written->sites);
	else if (written->sites && !node_is_empty(written->sites))
		result = load_error(load, written->sites,
			"a list of sites belongs here: begin each with a dash, - host: example.com");
	if (written->include && include_read(&sites, written->include, list_read))
		result = -1;
	settle(&sites);
	if (listeners_make(&sites))
		result = -1;
	buffer_free(&sites.sites);
	buffer_free(&sites.listens);
	return result;
}
