/* SPDX-License-Identifier: BSD-2-Clause */
/* The transport over GnuTLS, server side. Its cost is kept to one recv and one send a request: what is read is read ahead into the
 * thread's own buffer, what is written is gathered there. */
#ifndef WEIR_IO_TLS_H
#define WEIR_IO_TLS_H

#include "io/loop.h"
#include "io/transport.h"
#include "settings/snapshot.h"
#include "settings/tls.h"

struct tls_store; /* io/tls_cred.h */

#define TLS_MASTER_SIZE                                                                            \
	64 /* octets of the master key of session tickets: one for all threads, workers and reloads */

/* One a loop thread: buffers, the certificates in use. */
struct tls_thread;
struct tls_thread *tls_thread_new(
	struct loop *loop, struct tls_store *store, const unsigned char master[TLS_MASTER_SIZE]);
/* New connections use another store; those that are there keep theirs. Takes a reference of its own. On the loop's thread. */
void tls_thread_use(struct tls_thread *thread, struct tls_store *store);
void tls_thread_free(struct tls_thread *thread);

/* Takes over a connected, non-blocking descriptor. 0, or -1: memory or the library fails; the descriptor stays the caller's. */
int tls_init(struct transport *t, int fd, bool paced, struct tls_thread *thread,
	const struct listener_settings *listener);

/* A start, read or finish that gives IO_ERROR with EPROTO has told the peer why; what the peer still sends can be read away. */

/* What the handshake brought; `begun`, `fault` and `ours` at any time, the rest after start gave 1, as long as the transport is open. */
struct tls_facts {
	const struct tls_settings *rules; /* those of the name that the client said */
	const char *version;              /* "tls1.3" */
	bool newest;                      /* that it is */
	bool h2;                          /* agreed by ALPN */
	bool resumed;
	struct slice name;        /* that the client said, lower case */
	struct slice certificate; /* of a client that was verified: DER; empty: none */
	struct slice subject;     /* of it, by RFC 4514 */
	bool begun;               /* the peer has sent something */
	const char *fault;        /* why start or read gave IO_ERROR with EPROTO; else NULL */
	bool ours;                /* and that is not the peer's doing */
};
const struct tls_facts *tls_facts(const struct transport *t);

/* Before anything else of TLS, once a process (more than once does no harm). 0, or -1 after a message. */
int tls_begin(void);
/* GnuTLS's version: "3.7.9". */
const char *tls_library(void);

#endif
