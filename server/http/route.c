/* SPDX-License-Identifier: BSD-2-Clause */
/* Which site and which route a request belongs to, and the chain of handlers that each of them has. */
#include "http/route.h"

#include "base/check.h"
#include "http/route_index.h"

const struct site *route_site(
	const struct listener_settings *listener, struct slice host, struct slice *found)
{
	*found = (struct slice){NULL, 0};
	if (listener->site_count == 1 && listener->fallback)
		return listener->fallback;
	if (listener->index) {
		const struct site *site = host_index_find(listener->index, host, found);
		return site ? site : listener->fallback;
	}
	const struct site *best = listener->fallback;
	size_t best_length = 0;
	for (size_t i = 0; i < listener->site_count; i++) {
		const struct site *site = listener->sites[i];
		for (size_t k = 0; k < site->host_count; k++) {
			struct slice pattern = site->hosts[k];
			if (slice_equal(pattern, host)) {
				*found = pattern;
				return site;
			}
			if (pattern.ptr[0] == '*' && pattern.len > best_length &&
				host_matches(pattern, host)) {
				best = site;
				best_length = pattern.len;
				*found = pattern;
			}
		}
	}
	return best;
}

/* The next octet as files and backends may read it: percent-encoding undone but for %2F, which separates nothing, and runs of
 * slashes taken as one. Returns how many octets of the path it takes. */
static size_t read_octet(struct slice path, size_t at, char *octet)
{
	*octet = path.ptr[at];
	if (*octet == '%' && path.len - at >= 3) {
		int high = bytes_hex_digit((unsigned char)path.ptr[at + 1]);
		int low = bytes_hex_digit((unsigned char)path.ptr[at + 2]);
		if (high >= 0 && low >= 0 && high * 16 + low != '/') {
			*octet = (char)(high * 16 + low);
			return 3;
		}
	}
	size_t end = at + 1;
	while (*octet == '/' && end < path.len && path.ptr[end] == '/')
		end++;
	return end - at;
}

size_t route_octets(struct slice path, char *to, size_t room)
{
	size_t count = 0;
	for (size_t at = 0; at < path.len && count < room; count++)
		at += read_octet(path, at, to + count);
	return count;
}

static size_t octet_count(struct slice path)
{
	size_t count = 0;
	char octet;
	for (size_t at = 0; at < path.len; at += read_octet(path, at, &octet))
		count++;
	return count;
}

bool route_prefix(struct slice path, struct slice prefix, size_t *length)
{
	size_t at = 0;
	for (size_t i = 0; i < prefix.len;) {
		char want, octet;
		i += read_octet(prefix, i, &want);
		if (at == path.len)
			return false;
		at += read_octet(path, at, &octet);
		if (octet != want)
			return false;
	}
	*length = at;
	return true;
}

static bool path_ends(struct slice path, struct slice suffix)
{
	size_t count = octet_count(path), wanted = octet_count(suffix), at = 0, length;
	char octet;
	if (count < wanted)
		return false;
	for (; count > wanted; count--)
		at += read_octet(path, at, &octet);
	return route_prefix(slice_from(path, at), suffix, &length);
}

/* A path in which nothing can be read in two ways is compared as it is. */
static bool is_plain(struct slice path)
{
	for (size_t i = 0; i < path.len; i++)
		if (path.ptr[i] == '%' || (path.ptr[i] == '/' && i && path.ptr[i - 1] == '/'))
			return false;
	return true;
}

bool route_fits(const struct route *route, struct slice path, bool plain)
{
	size_t length;
	plain = plain && !memchr(route->pattern.ptr, '%', route->pattern.len);
	switch (route->kind) {
	case ROUTE_EXACT:
		return plain ? slice_equal(path, route->pattern)
			     : route_prefix(path, route->pattern, &length) && length == path.len;
	case ROUTE_PREFIX:
		return plain ? slice_starts(path, route->pattern)
			     : route_prefix(path, route->pattern, &length);
	case ROUTE_EXTENSION:
		return plain ? slice_ends(path, route->pattern) : path_ends(path, route->pattern);
	}
	return false;
}

static const struct route *find_route(const struct site *site, struct slice path)
{
	bool plain = site->route_count == 0 || is_plain(path);
	if (site->index)
		return route_index_find(site->index, path, plain);
	for (size_t i = 0; i < site->route_count; i++) {
		if (route_fits(&site->routes[i], path, plain))
			return &site->routes[i];
	}
	return NULL;
}

const struct scope *route_scope(const struct site *site, struct slice path, struct slice *pattern)
{
	const struct route *route = find_route(site, path);
	*pattern = route ? route->pattern : SLICE("");
	return route ? &route->scope : &site->scope;
}

void route_option_sets(const struct handler *const *table, const struct option_set **sets)
{
	for (; *table; table++) {
		if ((*table)->top_options)
			*sets++ = (*table)->top_options;
		if ((*table)->site_options)
			*sets++ = (*table)->site_options;
	}
	*sets = NULL;
}

static int prepare_scope(struct load *load, struct snapshot *snapshot, struct scope *scope,
	const struct handler *const *table)
{
	const struct handler *chain[HANDLERS_MAX + 1];
	size_t length = 0;
	int result = 0;
	for (; *table; table++) {
		int takes_part = 1;
		if ((*table)->configure) {
			const void *settings =
				(*table)->site_options
					? scope_settings(snapshot, scope, (*table)->site_options)
					: NULL;
			/* the one time at which settings may be written: they are not shared yet */
			takes_part = (*table)->configure(
				load, snapshot, scope, (void *)(uintptr_t)settings);
		}
		if (takes_part < 0)
			result = -1;
		if (takes_part > 0 && (*table)->handle) {
			check(length < HANDLERS_MAX);
			chain[length++] = *table;
		}
	}
	chain[length++] = NULL;
	const struct handler **kept = arena_alloc(&snapshot->arena, length * sizeof(chain[0]));
	memcpy(kept, chain, length * sizeof(chain[0]));
	scope->chain = kept;
	return result;
}

int route_prepare(struct load *load, struct snapshot *snapshot, void *context)
{
	const struct handler *const *table = context;
	int result = 0;
	/* before the handlers, which look for routes as requests do */
	for (size_t i = 0; i < snapshot->site_count; i++)
		snapshot->sites[i].index = route_index_make(&snapshot->arena, &snapshot->sites[i]);
	for (size_t i = 0; i < snapshot->listener_count; i++)
		snapshot->listeners[i].index =
			host_index_make(&snapshot->arena, &snapshot->listeners[i]);
	for (size_t i = 0; i < snapshot->site_count; i++) {
		struct site *site = &snapshot->sites[i];
		if (prepare_scope(load, snapshot, &site->scope, table))
			result = -1;
		for (size_t k = 0; k < site->route_count; k++)
			if (prepare_scope(load, snapshot, &site->routes[k].scope, table))
				result = -1;
	}
	return result;
}
