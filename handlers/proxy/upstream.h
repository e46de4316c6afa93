/* SPDX-License-Identifier: BSD-2-Clause */
/* Backends as the configuration names them: the key `upstreams` of the file and the key `proxy` of sites and routes. */
#ifndef WEIR_HANDLERS_PROXY_UPSTREAM_H
#define WEIR_HANDLERS_PROXY_UPSTREAM_H

#include "settings/snapshot.h"

/* One server of an upstream. */
struct upstream_server {
	struct slice text;       /* as written: for logs */
	const struct node *node; /* where; valid until snapshot_load returns */
	struct slice
		authority; /* "127.0.0.1:3000": how it would name itself; "localhost" for Unix sockets */
	struct address addresses[2]; /* `localhost` has two */
	unsigned address_count;      /* 0: it has a name, which is looked up at run time */
	struct slice name;           /* or empty; see resolve_name_valid */
	uint16_t port;               /* with a name */
};

/* Servers that answer for one another. Unchanged once the configuration is loaded. */
struct upstream {
	struct slice name; /* or the address, where `proxy` names one itself */
	bool unnamed;
	struct upstream_server *servers;
	size_t server_count;
	int64_t keepalive; /* idle connections that a thread keeps to each server */
	int64_t connect_timeout, response_timeout, idle_timeout, tunnel_timeout; /* milliseconds */
};

/* The key `upstreams`. */
struct upstreams {
	struct upstream *list;
	size_t count;
};

/* What a `proxy` says; shared by the scopes that inherit it. */
struct proxy_target {
	const struct upstream *upstream; /* NULL: a name that upstream_resolve has to look up */
	struct slice name;
	const struct node *node;
	bool dangling; /* said already */
};

/* The key `proxy`. */
struct proxy_settings {
	struct proxy_target *target; /* NULL: off */
};

extern const struct option_set upstreams_options;
extern const struct option_set proxy_options;

/* Are they one: the same, or named by `proxy` itself as the same servers, in this order? */
bool upstream_same(const struct upstream *a, const struct upstream *b);

/* Finds the upstream that a target names. 0, or -1 after load_error, which is told once a target. */
int upstream_resolve(
	struct load *load, struct proxy_target *target, const struct upstreams *upstreams);

#endif
