/* SPDX-License-Identifier: BSD-2-Clause */
/* Certificates of weir's own making. */
#ifndef WEIR_IO_TLS_SELF_H
#define WEIR_IO_TLS_SELF_H

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#include "base/bytes.h"

struct tls_self {
	const struct slice
		*names; /* hosts and addresses, a NUL behind each; the first is the common name */
	size_t name_count;
	const char *common_name; /* in its place; NULL: the first name, or weir */
	unsigned days;           /* how long it is valid, from an hour ago on */
	bool authority; /* it signs others, below the names that are its own if there are any */
	gnutls_x509_crt_t issuer; /* NULL: by itself */
	gnutls_privkey_t issuer_key;
};

/* Makes one for the key, that may be held by somebody else. 0, or an error of GnuTLS; the certificate is the caller's. */
int tls_self_make(const struct tls_self *self, gnutls_privkey_t key, gnutls_pubkey_t public,
	gnutls_x509_crt_t *made);

#endif
