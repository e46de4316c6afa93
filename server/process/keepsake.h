/* SPDX-License-Identifier: BSD-2-Clause */
/* What outlives a worker: named memory files that the supervisor holds and never looks into. */
#ifndef WEIR_PROCESS_KEEPSAKE_H
#define WEIR_PROCESS_KEEPSAKE_H

#include "base/bytes.h"

#define KEEPSAKES_MAX     32
#define KEEPSAKE_NAME_MAX 32 /* with the NUL */

/* The configuration's text as the newest READY worker had read it: what a worker after a crash loads. */
#define KEEPSAKE_CONFIGURATION "configuration"
/* What is left open to that worker: grants and roots (process/grants.h), one behind the other. */
#define KEEPSAKE_GRANTS        "grants"
/* Likewise, as a ruleset of Landlock: the folders need not be looked up again, which may lie on a disk that hangs. */
#define KEEPSAKE_RULESET       "ruleset"
/* The counters of all workers (process/tally.h): written by all of them. */
#define KEEPSAKE_COUNTERS      "counters"
/* What is known of the certificates in use (process/certificates.h): written by the worker that serves. */
#define KEEPSAKE_CERTIFICATES  "certificates"
/* Certificates that were renewed since (process/renewed.h): written by the worker that serves, and believed by nobody. */
#define KEEPSAKE_RENEWED       "renewed"
#define KEEPSAKE_RENEWED_MAX   (32 << 20) /* octets; what is beyond has to be read from its file */
/* A configuration that stands in no file (weir serve): a folder, a NUL, the text. */
#define KEEPSAKE_TEXT          "text"

/* The master key of TLS session tickets: drawn once, so that a ticket opens its session again at any worker. */
#define KEEPSAKE_TICKETS "tickets"

/* A memory file with these bytes, which nobody can change any more. A descriptor, or -1 with errno. */
int keepsake_make(const char *name, struct slice bytes);
/* One of `size` zero bytes that all holders may write to, but that keeps its size. A descriptor, or -1 with errno. */
int keepsake_share(const char *name, size_t size);
/* The contents, mapped read-only. { NULL, 0 } with errno when it cannot be; an empty one is { "", 0 }. */
struct slice keepsake_map(int fd);
/* Of what a stranger has made: can nobody change it any more, and does it hold no more memory than that? */
bool keepsake_is_sound(int fd, size_t most);
void keepsake_unmap(struct slice bytes);

/* A few keepsakes by name. All zero is an empty set. */
struct keepsakes {
	struct {
		char name[KEEPSAKE_NAME_MAX];
		int fd;
	} list[KEEPSAKES_MAX];
	unsigned count;
};

/* Takes over the descriptor; one of the same name is replaced. 0, or -1 (the descriptor is closed): too many, or no name. */
int keepsakes_put(struct keepsakes *set, const char *name, int fd);
/* The descriptor, which stays the set's, or -1. */
int keepsakes_find(const struct keepsakes *set, const char *name);
/* Moves all of `from` over to `to`. */
void keepsakes_move(struct keepsakes *to, struct keepsakes *from);
void keepsakes_clear(struct keepsakes *set);

#endif
