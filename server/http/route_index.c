/* SPDX-License-Identifier: BSD-2-Clause */
/* A lookup costs one search for each folder of the path, or each label of the host, however many there are to choose from. */
#include "http/route_index.h"

#include "base/dictionary.h"
#include "http/route.h"

#define FEW       16   /* are found as quickly one after another */
#define PATH_MOST 1024 /* octets of a path that are looked at; patterns are shorter */

/* --- Routes. --- */

/* Patterns stand here as the octets that they stand for. */
struct route_index {
	struct dictionary exact, prefixes;
	const struct route *extensions; /* the last of the site's routes */
	size_t extension_count;
};

static struct slice pattern_octets(struct arena *arena, struct slice pattern)
{
	char *octets = arena_alloc(arena, pattern.len + 1);
	return (struct slice){octets, route_octets(pattern, octets, pattern.len)};
}

const struct route_index *route_index_make(struct arena *arena, const struct site *site)
{
	if (site->route_count <= FEW)
		return NULL;
	for (size_t i = 0; i < site->route_count; i++) {
		if (site->routes[i].pattern.len >= PATH_MOST)
			return NULL;
	}
	struct route_index *index = arena_zalloc(arena, sizeof *index);
	dictionary_init(&index->exact, arena, site->route_count);
	dictionary_init(&index->prefixes, arena, site->route_count);
	for (size_t i = 0; i < site->route_count; i++) {
		const struct route *route = &site->routes[i];
		if (route->kind == ROUTE_EXTENSION) {
			index->extensions = route;
			index->extension_count = site->route_count - i;
			break;
		}
		dictionary_add(route->kind == ROUTE_EXACT ? &index->exact : &index->prefixes,
			pattern_octets(arena, route->pattern), route);
	}
	return index;
}

/* The longest: from the last slash on to the first. */
static const struct route *find_prefix(const struct dictionary *prefixes, struct slice path)
{
	size_t length = path.len < prefixes->longest ? path.len : prefixes->longest;
	const struct route *route = NULL;
	for (; length > 0 && !route; length--) {
		if (path.ptr[length - 1] == '/')
			route = dictionary_find(prefixes, (struct slice){path.ptr, length});
	}
	return route;
}

const struct route *route_index_find(const struct route_index *index, struct slice path, bool plain)
{
	char octets[PATH_MOST];
	struct slice known = {octets, route_octets(path, octets, sizeof octets)};
	const struct route *route = NULL;
	if (known.len < sizeof octets)
		route = dictionary_find(&index->exact, known);
	if (!route)
		route = find_prefix(&index->prefixes, known);
	for (size_t i = 0; !route && i < index->extension_count; i++) {
		if (route_fits(&index->extensions[i], path, plain))
			route = &index->extensions[i];
	}
	return route;
}

/* --- Hosts. --- */

struct known_host {
	const struct site *site;
	struct slice pattern;
};

struct host_index {
	struct dictionary names, wildcards; /* "*.example.org" stands as ".example.org" */
};

const struct host_index *host_index_make(
	struct arena *arena, const struct listener_settings *listener)
{
	size_t count = 0;
	for (size_t i = 0; i < listener->site_count; i++)
		count += listener->sites[i]->host_count;
	if (count <= FEW)
		return NULL;
	struct host_index *index = arena_zalloc(arena, sizeof *index);
	struct known_host *hosts = arena_alloc(arena, count * sizeof *hosts);
	dictionary_init(&index->names, arena, count);
	dictionary_init(&index->wildcards, arena, count);
	for (size_t i = 0; i < listener->site_count; i++) {
		const struct site *site = listener->sites[i];
		for (size_t k = 0; k < site->host_count; k++, hosts++) {
			struct slice pattern = site->hosts[k];
			*hosts = (struct known_host){site, pattern};
			if (pattern.ptr[0] == '*')
				dictionary_add(&index->wildcards, slice_from(pattern, 1), hosts);
			else
				dictionary_add(&index->names, pattern, hosts);
		}
	}
	return index;
}

const struct site *host_index_find(
	const struct host_index *index, struct slice host, struct slice *pattern)
{
	const struct known_host *found = dictionary_find(&index->names, host);
	for (size_t at = 1; at < host.len && !found; at++) {
		if (host.ptr[at] == '.')
			found = dictionary_find(&index->wildcards, slice_from(host, at));
	}
	if (!found)
		return NULL;
	*pattern = found->pattern;
	return found->site;
}
