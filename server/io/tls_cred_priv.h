/* SPDX-License-Identifier: BSD-2-Clause */
/* A store from within, for the files that make it. */
#ifndef WEIR_IO_TLS_CRED_PRIV_H
#define WEIR_IO_TLS_CRED_PRIV_H

#include "io/tls_cert.h"
#include "io/tls_index.h"

enum { CERTS_PER_NAME = 8 };

struct context {
	struct tls_context public;
	struct context *next; /* of the same rules */
	struct tls_cert *certs[CERTS_PER_NAME];
	size_t count;
};

/* What one struct tls_settings leads to. */
struct rules {
	const struct tls_settings *settings;
	struct tls_cert **certs; /* as its pairs */
	struct buffer client_ca; /* PEM, as it is now */
	gnutls_priority_t priorities;
	struct context *contexts;
	struct context *fallback; /* NULL: no https site has these rules */
	struct tls_index names;   /* of certificates, to struct context */
};

struct tls_store {
	atomic_uint count;
	const struct snapshot *snapshot;
	struct rules *rules; /* by index */
	struct {
		struct tls_index hosts;  /* to struct tls_settings */
		const struct site *site; /* that answers for all else */
	} * listeners;                   /* by index in the snapshot */
};

/* What a store is made of besides its snapshot. */
struct making {
	struct tls_keys *keys;
	struct tls_telling telling;
	struct table known; /* certificates that are made */
	bool anyhow;
	const struct tls_change *newer; /* see tls_store_make_anyhow */
	size_t newer_count;
	/* of a renewal: */
	const struct tls_store *old;
	const struct tls_change *changes;
	size_t change_count;
};

/* tls_context.c: the priorities, and the contexts of all names that the certificates of the rules have. 0, or -1 after a fault. */
int tls_priorities_make(struct rules *rules, struct tls_telling *telling);
int tls_contexts_make(struct rules *rules, struct tls_telling *telling);

#endif
