/* SPDX-License-Identifier: BSD-2-Clause */
/* Which site and which route a request belongs to. */
#ifndef WEIR_HTTP_ROUTE_H
#define WEIR_HTTP_ROUTE_H

#include "http/handler.h"

/* The site of a host at a listener: exact name, then the longest wildcard, then the site without host; NULL: none (421). */
const struct site *route_site(const struct listener_settings *listener, struct slice host);
/* The scope of a normalized path: an exact route, else the longest prefix, else an extension, else the site itself. */
const struct scope *route_scope(const struct site *site, struct slice path, struct slice *pattern);
/* snapshot_load's `finish`: lets every handler configure every scope and builds the chains. `context` is unused. */
int route_prepare(struct load *load, struct snapshot *snapshot, void *context);

#endif
