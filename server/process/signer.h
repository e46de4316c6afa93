/* SPDX-License-Identifier: BSD-2-Clause */
/* The signer: the helper that holds the private keys of one worker, so that no reading of the worker's memory yields a key. It is told the
 * paths of the keys while the worker starts, has the supervisor open them, and then signs. A worker that was taken over can have signed
 * what it likes as long as it lives (the library tells whoever signs a hash and not what it is of), but nothing afterwards.
 *
 * One packet is a request, one is its answer. Requests of one end are answered in their order. */
#ifndef WEIR_PROCESS_SIGNER_H
#define WEIR_PROCESS_SIGNER_H

#include "base/bytes.h"

#define SIGNER_ID_SIZE   32
#define SIGNER_BYTES_MAX 8192 /* behind the head of a request or an answer */

enum signer_operation {
	SIGNER_SIGN_HASH = 1, /* the bytes are a hash; answered by the signature */
	SIGNER_SIGN_DATA, /* they are what is signed, for algorithms that take no hash (Ed25519) */
	SIGNER_FORGET,    /* nobody uses the key any more; not answered */
	/* At the first end alone, which is the one for all threads that have none of their own. */
	SIGNER_NAME, /* the bytes are a path that may be loaded later; not answered */
	/* The bytes are a path, and after a NUL what the key is to be, if there are several (SIGNER_ID_SIZE octets each: SHA-256 of
	 * SubjectPublicKeyInfo); answered by struct signer_key_facts and the public key. */
	SIGNER_LOAD,
	SIGNER_FRESH, /* a key is made; likewise */
	SIGNER_GO, /* all paths were named: no further ones can be loaded afterwards, but each of these again */
};

struct signer_request {
	uint32_t sequence; /* any number: the answer has the same */
	uint32_t operation;
	uint32_t key;
	uint32_t algorithm; /* gnutls_sign_algorithm_t */
};

struct signer_answer {
	uint32_t sequence;
	uint32_t failed; /* the bytes are a sentence then */
};

struct signer_key_facts {
	uint32_t key;
	uint32_t algorithm; /* gnutls_pk_algorithm_t */
	uint32_t bits;
};

/* The program. Returns the exit code. */
int signer_run(void);

#endif
