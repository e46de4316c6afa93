/* SPDX-License-Identifier: BSD-2-Clause */
/* Which site and which route a request belongs to. */
#ifndef WEIR_HTTP_ROUTE_H
#define WEIR_HTTP_ROUTE_H

#include "http/handler.h"

/* The site of a host at a listener: exact name, then the longest wildcard, then the site without host; NULL: none (421). *pattern: the
 * name or wildcard by which it was found; ptr NULL: it has the listener for itself, or no host. */
const struct site *route_site(
	const struct listener_settings *listener, struct slice host, struct slice *pattern);
/* The scope of a normalized path: an exact route, else the longest prefix, else an extension, else the site itself. Paths that files or
 * backends may take for the same are the same here: percent-encoded octets are compared as what they stand for (%2F apart), a run of slashes as one,
 * so that no spelling leads around a route's policy. */
const struct scope *route_scope(const struct site *site, struct slice path, struct slice *pattern);
/* Writes the octets that the path stands for in that comparison, at most `room`. Returns how many. */
size_t route_octets(struct slice path, char *to, size_t room);
/* Does the route hold for the path, whatever others do? `plain`: the path can be read in one way only. */
bool route_fits(const struct route *route, struct slice path, bool plain);
/* Does the path begin with the prefix, compared in that way? *length: how many of its octets that is. */
bool route_prefix(struct slice path, struct slice prefix, size_t *length);
/* The option sets of a handler table, for snapshot_load: `sets` has room for 2 * HANDLERS_MAX + 1 pointers. */
void route_option_sets(const struct handler *const *table, const struct option_set **sets);
/* snapshot_load's `finish`: lets every handler configure every scope and builds the chains. `context` is the handler table
 * (struct handler *const *). 0 or -1. */
int route_prepare(struct load *load, struct snapshot *snapshot, void *context);

#endif
