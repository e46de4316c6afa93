/* SPDX-License-Identifier: BSD-2-Clause */
/* Who holds private keys. A worker has none: it asks the signer (process/signer_client); `weir check` and tests read files themselves. */
#ifndef WEIR_IO_TLS_KEYS_H
#define WEIR_IO_TLS_KEYS_H

#include <gnutls/abstract.h>

#include "base/bytes.h"

struct tls_keys {
	/* The key that stands in this file now: a private key whose signing may be done elsewhere. The same path may be asked for again
	 * after the file changed: keys that were given out before stay as they are. When the worker serves only the
	 * paths of the snapshot's pairs can be asked for. After a crash the first answers are
	 * keys that the worker before had, whatever the files hold: of those of a file one that fits the certificate (PEM; may be empty). The caller's, by gnutls_privkey_deinit, which any thread may
	 * call and which never waits. Any thread may sign with it.
	 * 0, or -1 with a sentence in *fault (what is wrong, and what to write). May wait, bounded. */
	int (*key)(struct tls_keys *keys, struct slice path, struct slice certificate,
		gnutls_privkey_t *key, struct buffer *fault);
	/* A fresh ECDSA P-256 key, for a certificate of one's own while none was obtained, and its public key, which the library cannot tell of a
	 * key that is somewhere else. Likewise. */
	int (*fresh)(struct tls_keys *keys, gnutls_privkey_t *key, gnutls_pubkey_t *public,
		struct buffer *fault);
};

/* Reads a key's file, no more than one can be: 0 or an errno. */
int tls_key_read(int fd, struct buffer *to);
/* The key in the text of a file at `path`. 0, or -1 with a sentence in *fault. */
int tls_key_parse(
	struct slice path, struct slice text, gnutls_privkey_t *key, struct buffer *fault);

/* Reads files in this process. Nothing to free. */
struct tls_keys *tls_keys_here(void);

#endif
