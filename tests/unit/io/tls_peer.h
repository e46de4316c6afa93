/* SPDX-License-Identifier: BSD-2-Clause */
/* A TLS client that tests hold by the hand: what it sends waits until the test lets some of it through, and each send of the server
 * arrives as what it was. */
#ifndef WEIR_TESTS_IO_TLS_PEER_H
#define WEIR_TESTS_IO_TLS_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <gnutls/gnutls.h>

#include "base/bytes.h"
#include "io/loop.h"
#include "io/tls.h"
#include "io/tls_cred.h"
#include "tls_made.h"

#define PEER_SENDS 256

/* What all connections of a test go to. */
struct stage {
	char folder[256];
	struct loop loop;
	struct snapshot *snapshot;
	struct tls_store *store;
	struct tls_thread *thread;
};
extern struct stage stage;
/* A configuration in which certificates a.pem (a.test), b.pem (b.test), the authority ca.pem and me.pem (client.test, of ca.pem) are there;
 * `tls` stands behind "tls: ", `sites` behind "sites:". */
void stage_begin(const char *tls, const char *sites);
/* Another thread, with the same master key of tickets or another. */
struct tls_thread *stage_thread(unsigned char master);
void stage_end(void);
/* For cmocka: one listener, with a.pem. */
int stage_set_up(void **state);
int stage_tear_down(void **state);
/* For tls_store_make: fails the test, but of warnings. */
tls_fault_fn stage_fault;

struct wish {
	const char *priorities;        /* NULL: NORMAL */
	const char *name;              /* NULL: a.test; "": none */
	const char *protocol;          /* ALPN; NULL: none is offered */
	const char *shown;             /* the client's certificate: "me"; NULL: none */
	const gnutls_datum_t *session; /* to be resumed */
	bool stream;                   /* a socket without bounds of messages */
};

/* Both ends of one connection. */
struct peer_pair {
	struct transport t;
	gnutls_session_t client;
	gnutls_certificate_credentials_t credentials;
	int fd;                   /* the client's */
	struct buffer out;        /* what it has sent and nobody let through */
	struct buffer in;         /* what came and it has not read */
	size_t sends[PEER_SENDS]; /* lengths of what the server sent, each at once */
	unsigned send_count;
	struct buffer raw; /* all that came, as it was */
	bool alerted;      /* the client has heard a fatal alert */
	bool eof;          /* the server has closed its half */
};
void pair_open(struct peer_pair *p, const struct wish *wish);
void pair_open_on(struct peer_pair *p, struct tls_thread *thread, const struct wish *wish);
/* Lets so many octets through (all: SIZE_MAX). */
void pair_let(struct peer_pair *p, size_t octets);
/* The client's turn: takes what came. */
void pair_take(struct peer_pair *p);
/* Shakes hands to the end at both; what the server's start and the client's handshake came to. */
struct shaken {
	int server, client;
} pair_shake(struct peer_pair *p);
/* The same, and it must succeed. */
void pair_greet(struct peer_pair *p);
/* The client says this; it is let through. */
void pair_say(struct peer_pair *p, const char *text);
/* The client reads all that came, as text. */
const char *pair_hear(struct peer_pair *p);
/* The alert that the client was sent, or -1. */
int pair_alert(struct peer_pair *p);
/* The client's session, for wish.session; must be there. gnutls_free(data). */
gnutls_datum_t pair_session(struct peer_pair *p);
void pair_close(struct peer_pair *p);

#endif
