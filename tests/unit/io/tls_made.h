/* SPDX-License-Identifier: BSD-2-Clause */
/* Certificates that tests make for themselves, in a folder of their own. */
#ifndef WEIR_TESTS_IO_TLS_MADE_H
#define WEIR_TESTS_IO_TLS_MADE_H

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#include "settings/snapshot.h"

/* What is to be made; all zero but the names: ECDSA P-256, valid from an hour ago for a day, signed by itself. */
struct made_wish {
	const char *names[4];
	gnutls_pk_algorithm_t algorithm; /* 0: ECDSA */
	unsigned bits;
	time_t begins, ends;
	const struct made *issuer;
	bool authority;
	const char *common_name; /* in place of the first name */
};

struct made {
	gnutls_x509_crt_t certificate;
	gnutls_x509_privkey_t key;
	gnutls_datum_t pem, key_pem; /* a NUL behind each */
};

void made_make(struct made *made, const struct made_wish *wish);
void made_free(struct made *made);

/* A new folder below $TMPDIR; and away with it and the files in it. */
void made_folder(char path[256]);
void made_remove(const char *path);
/* Writes texts, ended by NULL, one behind the other into a file of the folder that only its owner may read. */
void made_write(const char *folder, const char *name, ...) __attribute__((sentinel));
/* NAME.pem and NAME.key. */
void made_save(const char *folder, const char *name, const struct made *made);

/* Loads a configuration whose paths count from the folder. */
struct snapshot *made_load(const char *folder, const char *text);

#endif
