/* SPDX-License-Identifier: BSD-2-Clause */
/* What TLS listeners show and demand: all certificates, made from the snapshot, checked whole, never changed; another one takes its
 * place when files change. Any thread reads it. */
#ifndef WEIR_IO_TLS_CRED_H
#define WEIR_IO_TLS_CRED_H

#include <gnutls/gnutls.h>

#include "io/tls_keys.h"
#include "settings/snapshot.h"
#include "settings/tls.h"

/* Counted: an atomic count inside. */
struct tls_store;

/* What a connection's server name leads to. Lives as long as its store. */
struct tls_context {
	const struct tls_settings *rules;
	/* Chooses RSA or ECDSA by what the client can verify, with its chain and stapled response, copying nothing; client authorities, verification. */
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priorities;
	/* Different for rules that differ in whom they let in (client_auth, client_ca) and for different names' certificates: mixed into the key
	 * of session tickets, so that a ticket opens nothing under other rules. */
	unsigned char identity[32];
};

/* Something that is to be told at a place of the configuration. `pair` or `rules` says where; both may be NULL. */
typedef void tls_fault_fn(void *context, const struct tls_settings *rules,
	const struct tls_pair *pair, bool warning, const char *text);

/* Parses and checks everything: certificate and key match, dates, chain order, that names cover the site's hosts (a warning). A store, or NULL after
 * at least one fault that is no warning. */
struct tls_store *tls_store_make(
	const struct snapshot *snapshot, struct tls_keys *keys, tls_fault_fn *fault, void *context);
/* The same with one pair's files as they are now; what other pairs have is taken from `old`. NULL after a fault: the old one serves on. */
struct tls_store *tls_store_renew(const struct tls_store *old, const struct tls_pair *pair,
	struct slice certificate, struct slice ocsp, struct tls_keys *keys, tls_fault_fn *fault,
	void *context);
/* The priorities of rules, for gnutls_priority_deinit. 0, or -1 with a sentence in *fault. */
int tls_priorities(
	const struct tls_settings *settings, gnutls_priority_t *priorities, struct buffer *fault);
struct tls_store *tls_store_get(struct tls_store *store);
void tls_store_put(struct tls_store *store);

/* By the name that the client said (any case; { NULL, 0 }: none): the exact one, a wildcard's, else the default of the listener. Never NULL. */
const struct tls_context *tls_store_find(
	const struct tls_store *store, const struct listener_settings *listener, struct slice name);

/* For status and the log: each certificate in use. */
struct tls_certificate_facts {
	const struct tls_pair *pair;
	const char *subject; /* its first name */
	time_t begins, ends;
	bool self_signed; /* stands in for one that was not obtained yet */
};
void tls_store_each(const struct tls_store *store,
	void (*visit)(void *context, const struct tls_certificate_facts *facts), void *context);

#endif
