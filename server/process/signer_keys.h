/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys that the signer holds. All functions may be called by several threads, but those that add or forget only by one. */
#ifndef WEIR_PROCESS_SIGNER_KEYS_H
#define WEIR_PROCESS_SIGNER_KEYS_H

#include <gnutls/abstract.h>

#include "process/signer.h"

#define SIGNER_FILES_MAX 8192

struct signer_keys;

struct signer_keys *signer_keys_new(void);
/* All keys are zeroed. */
void signer_keys_free(struct signer_keys *keys);

/* The number of a path that is asked for; *before: it was already. `any`: also one that was not; else -1, as when there are too many. */
int signer_keys_file(struct signer_keys *keys, struct slice path, bool any, bool *before);
/* The key that was added last for a file and is not forgotten; 0: there is none. */
uint32_t signer_keys_of(const struct signer_keys *keys, int file);
/* The newest key of a file that is one of these (SIGNER_ID_SIZE octets each); 0: there is none. */
uint32_t signer_keys_choose(const struct signer_keys *keys, int file, struct slice ids);
/* Adds what a file holds, or finds the same key that it held the last time. 0 after a sentence in *fault. */
uint32_t signer_keys_add(
	struct signer_keys *keys, int file, struct slice text, struct buffer *fault);
/* Makes one. Likewise. */
uint32_t signer_keys_fresh(struct signer_keys *keys, struct buffer *fault);
void signer_keys_forget(struct signer_keys *keys, uint32_t key);
/* Struct signer_key_facts and the public key (SubjectPublicKeyInfo in DER). 0 or -1. */
int signer_keys_facts(struct signer_keys *keys, uint32_t key, struct buffer *to);

/* Signs. 0, with what the caller has to gnutls_free, or -1 with a sentence. */
int signer_keys_sign(struct signer_keys *keys, const struct signer_request *request,
	struct slice bytes, gnutls_datum_t *signature, const char **fault);

/* All of them, for a keepsake: whoever is given these bytes zeroes them. */
void signer_keys_write(struct signer_keys *keys, struct buffer *to);
/* Takes up what was kept; the keys have their numbers again. `asked`: as if all files had been asked for, and fresh keys too. 0, or -1: not what was written. */
int signer_keys_read(struct signer_keys *keys, struct slice from, bool asked);
/* Keys of files that were not asked for (signer_keys_file) since they were read are forgotten. */
void signer_keys_sweep(struct signer_keys *keys);

#endif
