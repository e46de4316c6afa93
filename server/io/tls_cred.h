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
	/* Chooses RSA or ECDSA by what the client can verify, with its chain and stapled response, copying nothing; client authorities. */
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priorities;
	/* Different for rules that differ in whom they let in (client_auth, client_ca) and for different names' certificates: mixed into the key
	 * of session tickets, so that a ticket opens nothing under other rules. */
	unsigned char identity[32];
};

/* Something that is to be told at a place of the configuration: the `key` of `pair`, else of `rules`; each of the three may be NULL. */
typedef void tls_fault_fn(void *context, const struct tls_settings *rules,
	const struct tls_pair *pair, const char *key, bool warning, const char *text);

/* Parses and checks everything: certificate and key match, dates, chain order, OCSP responses. A store, or NULL after at least one
 * fault that is no warning. The snapshot must outlive it. A pair that weir is to obtain itself and has not yet is stood in for. */
struct tls_store *tls_store_make(
	const struct snapshot *snapshot, struct tls_keys *keys, tls_fault_fn *fault, void *context);
/* What a file holds now. */
struct tls_change {
	struct slice path;
	struct slice bytes; /* { NULL, 0 }: it is gone */
};

/* As tls_store_make where somebody must serve, after a crash: what is no good is told as a warning; for such a pair the files as they are now
 * are taken if those are good, else a certificate of our own stands in. `newer`: what was shown last, as far as it is other than in the snapshot,
 * by files of pairs: taken before all else where it is good. NULL only where not even a stand-in can be made. */
struct tls_store *tls_store_make_anyhow(const struct snapshot *snapshot, struct tls_keys *keys,
	const struct tls_change *newer, size_t newer_count, tls_fault_fn *fault, void *context);

/* Another one with some files as they are now; of all else what `old` has. NULL after a fault, or when keys and certificates do not fit
 * (yet): the old one serves on. Of a pair any of whose files changed, all files must be among the changes; its key is asked for anew. */
struct tls_store *tls_store_renew(const struct tls_store *old, const struct tls_change *changes,
	size_t count, struct tls_keys *keys, tls_fault_fn *fault, void *context);
/* Would these bytes of a pair be taken now? Its key is asked for anew. 0, or -1 after a fault. */
int tls_pair_check(const struct tls_pair *pair, struct slice certificate, struct slice ocsp,
	struct tls_keys *keys, tls_fault_fn *fault, void *context);
/* Is something else shown in its place, for want of a better one? */
bool tls_store_stands_in(const struct tls_store *store, const struct tls_pair *pair);
/* The priorities of rules, for gnutls_priority_deinit. 0, or -1 with a sentence in *fault. */
int tls_priorities(
	const struct tls_settings *settings, gnutls_priority_t *priorities, struct buffer *fault);
bool tls_offers(gnutls_priority_t priorities, gnutls_protocol_t version);
/* Which versions they leave out: 1 << enum tls_version. None where they are no good. */
unsigned tls_refused(const struct tls_settings *settings);
struct tls_store *tls_store_get(struct tls_store *store);
void tls_store_put(struct tls_store *store);

/* By the name that the client said (any case; { NULL, 0 }: none): the exact one, a wildcard's, else the default of the listener. Never NULL. */
const struct tls_context *tls_store_find(
	const struct tls_store *store, const struct listener_settings *listener, struct slice name);

/* Is there a certificate among those of the rules that covers the host? */
bool tls_store_covers(
	const struct tls_store *store, const struct tls_settings *rules, struct slice host);

/* What is known of a certificate. */
struct tls_certificate_facts {
	const struct tls_pair *pair;
	const char *subject; /* its first name */
	const struct slice *names;
	size_t name_count;
	const char *issuer; /* RFC 4514 */
	const char *kind;   /* of its key: "ECDSA" */
	time_t begins, ends;
	bool self_signed;
	bool stand_in; /* for one that was not obtained yet, or is no good */
	bool ocsp;     /* a response is shown with it */
	time_t ocsp_ends;
};
typedef void tls_visit_fn(void *context, const struct tls_certificate_facts *facts);
/* Each certificate in use, once. */
void tls_store_each(const struct tls_store *store, tls_visit_fn *visit, void *context);
/* Those of one name, in the order in which they are preferred. */
void tls_context_each(const struct tls_context *context, tls_visit_fn *visit, void *opaque);

#endif
