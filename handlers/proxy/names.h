/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of backends and the addresses that they have now, as one thread knows them. */
#ifndef WEIR_HANDLERS_PROXY_NAMES_H
#define WEIR_HANDLERS_PROXY_NAMES_H

#include "handlers/proxy/upstream.h"
#include "io/resolve.h"

struct names;

/* One name with one port; all servers of the thread that are called so share it. */
struct server_name {
	struct server_name *next;
	struct names *names;
	struct slice text;
	uint16_t port;
	struct address *addresses; /* the answer that was good last; in no order */
	unsigned count;            /* 0: none yet: what is called so is down */
	unsigned generation;       /* rises when addresses come or go */
	bool settled;              /* looked up at least once, with or without success */
	unsigned failures;         /* in a row */
	struct lookup *lookup;     /* under way */
	struct deadline again;
};

/* Told behind each lookup, on the loop: the addresses may be others, and `settled` is set. */
typedef void names_told_fn(void *user, struct server_name *name);

/* `options` NULL: the system's. */
struct names *names_new(
	struct loop *loop, const struct resolver_options *options, names_told_fn *told, void *user);
void names_free(struct names *names);

/* The name of a server that has one. Its first lookup begins with the loop's next turn, the next one when the answer's time to live
 * has ended; after a failure the addresses are kept, and it is tried again in 1 to 5 s. */
struct server_name *names_get(struct names *names, const struct upstream_server *server);
bool name_has(const struct server_name *name, const struct address *address);

#endif
