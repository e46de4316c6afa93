/* SPDX-License-Identifier: BSD-2-Clause */
/* Certificates that are renewed on disk while weir runs: their files are watched, looked at now and then, read through the supervisor, and
 * taken when they are whole and fit; until then, what was there before serves on. */
#ifndef WEIR_PROCESS_RENEWAL_H
#define WEIR_PROCESS_RENEWAL_H

#include "io/tls_cred.h"

struct renewal;
struct renewed;

/* Begins to watch, with rights that may be gone later. Takes a count of the store. Times are milliseconds of one clock. `all`: the files may
 * have changed long since the configuration was read. */
struct renewal *renewal_new(const struct snapshot *snapshot, struct tls_keys *keys,
	struct tls_store *store, uint64_t now, bool all);
/* What was renewed before a crash: it is renewed still for the next one, until the files were read. */
void renewal_remember(struct renewal *renewal, const struct renewed *renewed);
/* Appends what is other than in the snapshot: see renewed.h. */
void renewal_newer(const struct renewal *renewal, struct buffer *to);
void renewal_free(struct renewal *renewal);

/* The files that it may want to have opened, by numbers from 0. */
unsigned renewal_file_count(const struct renewal *renewal);
const char *renewal_file(const struct renewal *renewal, unsigned number);

/* The descriptor that becomes readable when something has changed; -1: there is none. */
int renewal_descriptor(const struct renewal *renewal);
/* When something is due next. UINT64_MAX while an answer is waited for. */
uint64_t renewal_due(const struct renewal *renewal);
/* Takes up what the descriptor has to tell. */
void renewal_hear(struct renewal *renewal, uint64_t now);
/* Everything is looked at: somebody knows of new files. */
void renewal_look(struct renewal *renewal, uint64_t now);
/* The number of the file that is to be opened now; -1: none. One is asked for at a time. */
int renewal_next(struct renewal *renewal, uint64_t now);
/* What was asked for: a descriptor, which stays the caller's, or -1 and an errno. May ask who holds the keys, which waits. Returns
 * whether renewal_store is another one now. */
bool renewal_take(struct renewal *renewal, int fd, int error, uint64_t now);
/* The certificates as they are now: borrowed. */
struct tls_store *renewal_store(const struct renewal *renewal);

#endif
