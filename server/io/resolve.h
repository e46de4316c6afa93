/* SPDX-License-Identifier: BSD-2-Clause */
/* Names to addresses, without waiting for them: the hosts file, then DNS. Nothing is cached here: how long an answer holds is told
 * with it. */
#ifndef WEIR_IO_RESOLVE_H
#define WEIR_IO_RESOLVE_H

#include "io/loop.h"
#include "settings/value.h"

#define RESOLVE_ADDRESSES 16 /* of an answer with more the first ones are taken */
#define RESOLVE_TTL_MIN   1  /* seconds: what DNS says is brought within these */
#define RESOLVE_TTL_MAX   3600
#define RESOLVE_TTL_HOSTS 10 /* of a name in the hosts file, which says nothing of it */

struct resolver;
struct lookup;

enum resolve_status {
	RESOLVE_FOUND,
	RESOLVE_NO_NAME,     /* there is no such name */
	RESOLVE_NO_ADDRESS,  /* there is, and it has no address */
	RESOLVE_FAILED,      /* the servers say that they cannot tell */
	RESOLVE_MALFORMED,   /* the answer cannot be read */
	RESOLVE_SILENT,      /* no answer in time */
	RESOLVE_UNREACHABLE, /* no server can be asked */
};

struct resolved {
	enum resolve_status status;
	unsigned ttl;   /* seconds; 0 unless FOUND */
	unsigned count; /* 0 unless FOUND */
	struct address addresses
		[RESOLVE_ADDRESSES]; /* each with the port; what DNS says: IPv4 before IPv6 */
};

/* Called once, from the loop, never from inside resolve_start. The lookup is gone already; `answer` is valid only within. It may
 * do anything, also free the resolver. */
typedef void resolve_done_fn(void *user, const struct resolved *answer);

/* What tests set; zero or NULL is the system's. Texts must live as long as the resolver. */
struct resolver_options {
	const char *servers;     /* "127.0.0.1:5353,[::1]:53", in place of those in resolv.conf */
	const char *resolv_conf; /* search list, ndots, servers */
	const char *hosts;
	unsigned timeout_ms; /* of the first query to a server; a second one waits twice as long */
};

/* One for a loop; on its thread, like all that follows. `options` NULL: the system's. Reads no file and opens no socket before
 * somebody asks. Never NULL. */
struct resolver *resolver_new(struct loop *loop, const struct resolver_options *options);
/* Cancels what is under way. */
void resolver_free(struct resolver *resolver);

/* Is this a name that can be looked up: labels of letters, digits, hyphens and underscores, of which the last is not a number? A dot at
 * its end says that the search list is not for it. */
bool resolve_name_valid(struct slice name);
/* Looks a valid name up: hosts and resolv.conf are read anew each time. An answer comes within 9 s, whatever the servers do. */
struct lookup *resolve_start(struct resolver *resolver, struct slice name, uint16_t port,
	resolve_done_fn *done, void *user);
/* `done` is not called any more. Not after it was called. */
void resolve_cancel(struct lookup *lookup);

/* For messages: "there is no such name". */
const char *resolve_status_text(enum resolve_status status);
/* The version of c-ares that runs. */
const char *resolve_library(void);

#endif
