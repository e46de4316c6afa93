/* SPDX-License-Identifier: BSD-2-Clause */
/* Routes of a site and hosts of a listener, found by name where they are many. */
#ifndef WEIR_HTTP_ROUTE_INDEX_H
#define WEIR_HTTP_ROUTE_INDEX_H

#include "settings/snapshot.h"

/* Of the site's routes, in the arena. NULL: they are few, and looked at one after another. */
const struct route_index *route_index_make(struct arena *arena, const struct site *site);
/* The route of a path (http/route.h says which), or NULL. `plain`: it can be read in one way only. */
const struct route *route_index_find(
	const struct route_index *index, struct slice path, bool plain);

/* Likewise of the hosts of all sites of a listener. */
const struct host_index *host_index_make(
	struct arena *arena, const struct listener_settings *listener);
/* The site of a host, in lower case, by name or by the longest wildcard, which is in *pattern; or NULL. */
const struct site *host_index_find(
	const struct host_index *index, struct slice host, struct slice *pattern);

#endif
