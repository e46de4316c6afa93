/* SPDX-License-Identifier: BSD-2-Clause */
/* One certificate with its chain, its key and its stapled response: parsed, checked, never changed; shared by the stores that have it. */
#ifndef WEIR_IO_TLS_CERT_H
#define WEIR_IO_TLS_CERT_H

#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/table.h"
#include "io/tls_cred.h"

enum { TLS_CHAIN_MAX = 16 }; /* certificates in a file */

struct tls_cert {
	atomic_uint count;
	struct table_entry entry; /* by its files, only while a store is made */
	struct arena arena;
	const struct tls_pair *pair;
	gnutls_x509_crt_t leaf;
	gnutls_datum_t chain[TLS_CHAIN_MAX]; /* DER, the leaf first */
	unsigned chain_length;
	gnutls_privkey_t key;
	int algorithm;       /* enum gnutls_pk_algorithm_t */
	struct slice *names; /* lower case, NUL behind: of hosts, stars among them */
	size_t name_count;
	const char *subject; /* the first name, or what stands in its place */
	const char *issuer;
	struct slice ocsp; /* DER, or { NULL, 0 } */
	time_t ocsp_ends;  /* 0: it does not say */
	time_t begins, ends;
	bool stand_in; /* of our own making */
};

/* Tells something about a pair; what tls_fault_fn is given of it. */
struct tls_telling {
	tls_fault_fn *fault;
	void *context;
	const struct tls_settings *rules;
	const struct tls_pair *pair;
	bool lenient; /* faults are told as warnings */
	bool failed;  /* there was a fault */
};
void tls_tell(struct tls_telling *telling, const char *key, bool warning, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* What of a pair is taken. */
struct tls_bytes_of {
	const struct tls_pair *pair;
	struct slice certificate; /* PEM */
	struct slice ocsp;        /* DER or PEM; empty: none */
};

/* Of a pair's files. Counted once; NULL after a fault. */
struct tls_cert *tls_cert_make(
	const struct tls_bytes_of *from, struct tls_keys *keys, struct tls_telling *telling);
/* One that is signed by itself, while a better one is not to be had: for the pair's names, else those of the certificate that stands in the
 * bytes. Counted once; NULL after a fault. */
struct tls_cert *tls_cert_stand_in(
	const struct tls_bytes_of *from, struct tls_keys *keys, struct tls_telling *telling);
struct tls_cert *tls_cert_get(struct tls_cert *cert);
void tls_cert_put(struct tls_cert *cert);

/* Whether the name (lower case) is covered: exactly, by a star. */
enum tls_cover { TLS_COVER_NOT, TLS_COVER_STAR, TLS_COVER_EXACT };
enum tls_cover tls_cert_covers(const struct tls_cert *cert, struct slice name);

/* Does the first certificate of a PEM text cover a host? */
bool tls_pem_covers(struct slice pem, struct slice host);

/* A small file, whole. 0 or an errno. */
int tls_file_read(const char *path, struct buffer *to);

/* A handle of one's own to the certificate's key, which holds a count of it. 0 or an error of GnuTLS. */
int tls_cert_key(struct tls_cert *cert, gnutls_privkey_t *key);

/* tls_ocsp.c: takes the response if it is one about this certificate that can be shown now, else tells why not. `issuer`: NULL where it is not
 * known. Only what is no response at all is a fault. */
void tls_ocsp_take(struct tls_cert *cert, struct slice response, gnutls_x509_crt_t issuer,
	struct tls_telling *telling);

/* tls_chain.c: the certificates of a PEM text in the order in which they lead from the leaf, which fits the key, to an authority. The number, or 0
 * after a fault. */
unsigned tls_chain_read(struct slice pem, gnutls_privkey_t key,
	gnutls_x509_crt_t chain[TLS_CHAIN_MAX], struct tls_telling *telling);

#endif
