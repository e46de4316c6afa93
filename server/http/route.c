/* SPDX-License-Identifier: BSD-2-Clause */
/* Which site and which route a request belongs to, and the chain of handlers that each of them has. */
#include "http/route.h"

#include "base/check.h"

const struct site *route_site(const struct listener_settings *listener, struct slice host)
{
	if (listener->site_count == 1 && listener->fallback)
		return listener->fallback;
	const struct site *best = listener->fallback;
	size_t best_length = 0;
	for (size_t i = 0; i < listener->site_count; i++) {
		const struct site *site = listener->sites[i];
		for (size_t k = 0; k < site->host_count; k++) {
			struct slice pattern = site->hosts[k];
			if (slice_equal(pattern, host))
				return site;
			if (pattern.ptr[0] == '*' && pattern.len > best_length &&
				host_matches(pattern, host)) {
				best = site;
				best_length = pattern.len;
			}
		}
	}
	return best;
}

static bool route_fits(const struct route *route, struct slice path)
{
	switch (route->kind) {
	case ROUTE_EXACT:
		return slice_equal(path, route->pattern);
	case ROUTE_PREFIX:
		return slice_starts(path, route->pattern);
	case ROUTE_EXTENSION:
		return slice_ends(path, route->pattern);
	}
	return false;
}

const struct scope *route_scope(const struct site *site, struct slice path, struct slice *pattern)
{
	for (size_t i = 0; i < site->route_count; i++) {
		if (route_fits(&site->routes[i], path)) {
			*pattern = site->routes[i].pattern;
			return &site->routes[i].scope;
		}
	}
	*pattern = SLICE("");
	return &site->scope;
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
