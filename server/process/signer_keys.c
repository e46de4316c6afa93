/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys by number. A number is never given twice, so that a worker which still has an old one gets no other key's signature. Each key
 * keeps the text that it was read from: to see whether a file still holds it, and for the keepsake. */
#include "process/signer_keys.h"

#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "io/tls_keys.h"

#define SLOTS 16384
#define OF_FILE_MAX                                                                                \
	8 /* keys of one file: the oldest is forgotten, for nobody can still begin a handshake with it */
#define FRESH_MAX  256
#define NO_FILE    (-1)
#define KEPT_MAGIC 0x73676e31u

struct key {
	uint32_t number;
	int file; /* NO_FILE: a fresh one */
	gnutls_privkey_t private;
	char *text;
	size_t length;
};

struct file {
	char *path;
	uint32_t last;
	bool asked;
};

struct signer_keys {
	pthread_rwlock_t lock; /* around the slots: signing reads */
	struct key *slots[SLOTS];
	uint32_t next;
	struct file files[SIGNER_FILES_MAX];
	int file_count;
};

struct signer_keys *signer_keys_new(void)
{
	struct signer_keys *keys = must_zalloc(sizeof(*keys));
	pthread_rwlockattr_t attributes;
	pthread_rwlockattr_init(&attributes);
	/* who signs all the time must not keep a new key out */
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&keys->lock, &attributes);
	keys->next = 1;
	return keys;
}

/* The library zeroes what it holds itself. */
static void key_free(struct key *key)
{
	if (!key)
		return;
	if (key->private)
		gnutls_privkey_deinit(key->private);
	if (key->text)
		explicit_bzero(key->text, key->length);
	free(key->text);
	free(key);
}

void signer_keys_free(struct signer_keys *keys)
{
	for (unsigned i = 0; i < SLOTS; i++)
		key_free(keys->slots[i]);
	for (int i = 0; i < keys->file_count; i++)
		free(keys->files[i].path);
	pthread_rwlock_destroy(&keys->lock);
	free(keys);
}

static struct key *find(const struct signer_keys *keys, uint32_t number)
{
	struct key *key = keys->slots[number % SLOTS];
	return key && key->number == number ? key : NULL;
}

static void put(struct signer_keys *keys, struct key *key)
{
	pthread_rwlock_wrlock(&keys->lock);
	keys->slots[key->number % SLOTS] = key;
	pthread_rwlock_unlock(&keys->lock);
}

/* One that was tried and did not fit is forgotten: then the one before is the file's again. */
static uint32_t newest_of(const struct signer_keys *keys, int file)
{
	uint32_t newest = 0;
	for (unsigned i = 0; i < SLOTS; i++) {
		const struct key *key = keys->slots[i];
		if (key && key->file == file && key->number > newest)
			newest = key->number;
	}
	return newest;
}

static void drop(struct signer_keys *keys, struct key *key)
{
	pthread_rwlock_wrlock(&keys->lock);
	keys->slots[key->number % SLOTS] = NULL;
	pthread_rwlock_unlock(&keys->lock);
	if (key->file != NO_FILE && keys->files[key->file].last == key->number)
		keys->files[key->file].last = newest_of(keys, key->file);
	key_free(key);
}

/* --- Files. --- */

static int find_file(const struct signer_keys *keys, struct slice path)
{
	for (int i = 0; i < keys->file_count; i++) {
		if (slice_equal(slice_of(keys->files[i].path), path))
			return i;
	}
	return -1;
}

static int add_file(struct signer_keys *keys, struct slice path)
{
	if (keys->file_count == SIGNER_FILES_MAX)
		return -1;
	char *copy = must_alloc(path.len + 1);
	memcpy(copy, path.ptr, path.len);
	copy[path.len] = 0;
	keys->files[keys->file_count] = (struct file){.path = copy};
	return keys->file_count++;
}

int signer_keys_file(struct signer_keys *keys, struct slice path, bool any, bool *before)
{
	int file = find_file(keys, path);
	*before = file >= 0 && keys->files[file].asked;
	if (!any)
		return *before ? file : -1;
	if (file < 0)
		file = add_file(keys, path);
	if (file >= 0)
		keys->files[file].asked = true;
	return file;
}

uint32_t signer_keys_of(const struct signer_keys *keys, int file)
{
	return keys->files[file].last;
}

/* --- Keys. --- */

/* How many a file has, or how many fresh ones there are; the oldest of them. */
static unsigned count_of(const struct signer_keys *keys, int file, struct key **oldest)
{
	unsigned count = 0;
	*oldest = NULL;
	for (unsigned i = 0; i < SLOTS; i++) {
		struct key *key = keys->slots[i];
		if (!key || key->file != file)
			continue;
		count++;
		if (!*oldest || key->number < (*oldest)->number)
			*oldest = key;
	}
	return count;
}

/* 0: there is no room. */
static uint32_t free_number(struct signer_keys *keys)
{
	for (unsigned i = 0; i < SLOTS; i++, keys->next++) {
		if (keys->next != 0 && !keys->slots[keys->next % SLOTS])
			return keys->next++;
	}
	return 0;
}

static struct key *key_make(uint32_t number, int file, struct slice text)
{
	struct key *key = must_zalloc(sizeof(*key));
	key->number = number;
	key->file = file;
	key->text = must_alloc(text.len + 1);
	if (mlock(key->text, text.len + 1)) {
		/* more than a process may have: it can be written to swap */
	}
	memcpy(key->text, text.ptr, text.len);
	key->length = text.len;
	return key;
}

/* Takes a parsed key in. 0 after a sentence. */
static uint32_t take_in(struct signer_keys *keys, int file, struct slice text,
	gnutls_privkey_t private, unsigned most, struct buffer *fault)
{
	struct key *oldest;
	if (count_of(keys, file, &oldest) >= most)
		drop(keys, oldest);
	uint32_t number = free_number(keys);
	if (number == 0) {
		gnutls_privkey_deinit(private);
		buffer_format(fault, "there are more than %d private keys", SLOTS);
		return 0;
	}
	struct key *key = key_make(number, file, text);
	key->private = private;
	put(keys, key);
	return number;
}

uint32_t signer_keys_add(
	struct signer_keys *keys, int file, struct slice text, struct buffer *fault)
{
	struct file *of = &keys->files[file];
	const struct key *last = find(keys, of->last);
	gnutls_privkey_t private;
	if (last && slice_equal((struct slice){last->text, last->length}, text))
		return of->last;
	if (tls_key_parse(slice_of(of->path), text, &private, fault))
		return 0;
	uint32_t number = take_in(keys, file, text, private, OF_FILE_MAX, fault);
	if (number != 0)
		of->last = number;
	return number;
}

static int export_key(gnutls_privkey_t private, gnutls_datum_t *text)
{
	gnutls_x509_privkey_t plain;
	int result = gnutls_privkey_export_x509(private, &plain);
	if (result)
		return result;
	result = gnutls_x509_privkey_export2_pkcs8(
		plain, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, text);
	gnutls_x509_privkey_deinit(plain);
	return result;
}

uint32_t signer_keys_fresh(struct signer_keys *keys, struct buffer *fault)
{
	gnutls_privkey_t private;
	gnutls_pubkey_t public;
	gnutls_datum_t text;
	struct tls_keys *here = tls_keys_here();
	if (here->fresh(here, &private, &public, fault))
		return 0;
	gnutls_pubkey_deinit(public);
	int error = export_key(private, &text);
	if (error) {
		gnutls_privkey_deinit(private);
		buffer_format(fault, "cannot keep a fresh key: %s", gnutls_strerror(error));
		return 0;
	}
	uint32_t number = take_in(keys, NO_FILE, (struct slice){(char *)text.data, text.size},
		private, FRESH_MAX, fault);
	explicit_bzero(text.data, text.size);
	gnutls_free(text.data);
	return number;
}

void signer_keys_forget(struct signer_keys *keys, uint32_t number)
{
	struct key *key = find(keys, number);
	if (key)
		drop(keys, key);
}

static int export_public(gnutls_privkey_t private, gnutls_datum_t *der)
{
	gnutls_pubkey_t public;
	int result = gnutls_pubkey_init(&public);
	if (result)
		return result;
	result = gnutls_pubkey_import_privkey(public, private, 0, 0);
	if (result == 0)
		result = gnutls_pubkey_export2(public, GNUTLS_X509_FMT_DER, der);
	gnutls_pubkey_deinit(public);
	return result;
}

static bool is_among(const struct key *key, struct slice ids)
{
	unsigned char id[SIGNER_ID_SIZE];
	size_t size = sizeof(id);
	gnutls_pubkey_t public;
	bool result = false;
	if (gnutls_pubkey_init(&public))
		return false;
	if (gnutls_pubkey_import_privkey(public, key->private, 0, 0) == 0 &&
		gnutls_pubkey_get_key_id(public, GNUTLS_KEYID_USE_SHA256, id, &size) == 0)
		for (; ids.len >= sizeof(id) && !result; ids = slice_from(ids, sizeof(id)))
			result = memcmp(ids.ptr, id, sizeof(id)) == 0;
	gnutls_pubkey_deinit(public);
	return result;
}

uint32_t signer_keys_choose(const struct signer_keys *keys, int file, struct slice ids)
{
	uint32_t chosen = 0;
	for (unsigned i = 0; i < SLOTS; i++) {
		const struct key *key = keys->slots[i];
		if (key && key->file == file && key->number > chosen && is_among(key, ids))
			chosen = key->number;
	}
	return chosen;
}

int signer_keys_facts(struct signer_keys *keys, uint32_t number, struct buffer *to)
{
	const struct key *key = find(keys, number);
	struct signer_key_facts facts = {.key = number};
	gnutls_datum_t der;
	if (!key || export_public(key->private, &der))
		return -1;
	facts.algorithm = (uint32_t)gnutls_privkey_get_pk_algorithm(key->private, &facts.bits);
	buffer_append(to, &facts, sizeof(facts));
	buffer_append(to, der.data, der.size);
	gnutls_free(der.data);
	return 0;
}

/* --- Signing. --- */

/* For PKCS #1 v1.5 the library hands the hash over in a DigestInfo (RFC 8017, 9.2, with parameters) and tells no algorithm but RSA.
 * What was found: the algorithm; *bytes is the hash then. */
static gnutls_sign_algorithm_t from_digest_info(struct slice *bytes)
{
	static const struct {
		unsigned char number, length;
		gnutls_sign_algorithm_t algorithm;
	} known[] = {{1, 32, GNUTLS_SIGN_RSA_SHA256}, {2, 48, GNUTLS_SIGN_RSA_SHA384},
		{3, 64, GNUTLS_SIGN_RSA_SHA512}};
	for (size_t i = 0; i < COUNT_OF(known); i++) {
		unsigned char length = known[i].length;
		const unsigned char prefix[] = {0x30, (unsigned char)(length + 17), 0x30, 13, 6, 9,
			0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, known[i].number, 5, 0, 4, length};
		if (bytes->len == sizeof(prefix) + length &&
			memcmp(bytes->ptr, prefix, sizeof(prefix)) == 0) {
			*bytes = slice_from(*bytes, sizeof(prefix));
			return known[i].algorithm;
		}
	}
	return GNUTLS_SIGN_UNKNOWN;
}

static bool is_hash(gnutls_sign_algorithm_t algorithm, struct slice bytes)
{
	gnutls_digest_algorithm_t digest = gnutls_sign_get_hash_algorithm(algorithm);
	return digest != GNUTLS_DIG_UNKNOWN && bytes.len == gnutls_hash_get_len(digest);
}

/* What a hash is of cannot be seen from here; that it is one can. */
static int sign_with(const struct key *key, const struct signer_request *request,
	struct slice bytes, gnutls_datum_t *signature)
{
	gnutls_sign_algorithm_t algorithm = (gnutls_sign_algorithm_t)request->algorithm;
	bool hashed = request->operation == SIGNER_SIGN_HASH;
	if (hashed && algorithm == GNUTLS_SIGN_RSA_RAW)
		algorithm = from_digest_info(&bytes);
	if (!gnutls_sign_is_secure2(algorithm, GNUTLS_SIGN_FLAG_SECURE_FOR_CERTS) ||
		(hashed && !is_hash(algorithm, bytes)))
		return GNUTLS_E_INVALID_REQUEST;
	gnutls_datum_t data = {(unsigned char *)(uintptr_t)bytes.ptr, (unsigned)bytes.len};
	return (hashed ? gnutls_privkey_sign_hash2 : gnutls_privkey_sign_data2)(
		key->private, algorithm, 0, &data, signature);
}

int signer_keys_sign(struct signer_keys *keys, const struct signer_request *request,
	struct slice bytes, gnutls_datum_t *signature, const char **fault)
{
	pthread_rwlock_rdlock(&keys->lock);
	const struct key *key = find(keys, request->key);
	int result = key ? sign_with(key, request, bytes, signature) : 0;
	pthread_rwlock_unlock(&keys->lock);
	*fault = !key ? "there is no such key" : result ? gnutls_strerror(result) : NULL;
	return *fault ? -1 : 0;
}

/* --- Keepsake. --- */

struct kept {
	uint32_t number;
	int32_t file;
	uint32_t length;
};

static void write_files(struct signer_keys *keys, struct buffer *to)
{
	uint32_t head[3] = {KEPT_MAGIC, (uint32_t)keys->file_count, keys->next};
	buffer_append(to, head, sizeof(head));
	for (int i = 0; i < keys->file_count; i++) {
		const char *path = keys->files[i].path;
		uint32_t entry[2] = {keys->files[i].last, (uint32_t)strlen(path)};
		buffer_append(to, entry, sizeof(entry));
		buffer_append(to, path, entry[1]);
	}
}

void signer_keys_write(struct signer_keys *keys, struct buffer *to)
{
	size_t size = 0;
	for (unsigned i = 0; i < SLOTS; i++)
		size += keys->slots[i] ? keys->slots[i]->length + sizeof(struct kept) : 0;
	write_files(keys, to);
	buffer_reserve(to, size); /* at once: what grows leaves copies behind */
	for (unsigned i = 0; i < SLOTS; i++) {
		const struct key *key = keys->slots[i];
		if (!key)
			continue;
		struct kept kept = {key->number, key->file, (uint32_t)key->length};
		buffer_append(to, &kept, sizeof(kept));
		buffer_append(to, key->text, key->length);
	}
}

/* Takes the first `length` octets off. */
static int take(struct slice *from, void *to, size_t length)
{
	if (from->len < length)
		return -1;
	memcpy(to, from->ptr, length);
	*from = slice_from(*from, length);
	return 0;
}

static int read_files(struct signer_keys *keys, struct slice *from, bool asked)
{
	uint32_t head[3], entry[2];
	if (take(from, head, sizeof(head)) || head[0] != KEPT_MAGIC || head[1] > SIGNER_FILES_MAX)
		return -1;
	keys->next = head[2];
	for (uint32_t i = 0; i < head[1]; i++) {
		if (take(from, entry, sizeof(entry)) || entry[1] > from->len)
			return -1;
		int file = add_file(keys, (struct slice){from->ptr, entry[1]});
		keys->files[file].last = entry[0];
		keys->files[file].asked = asked;
		*from = slice_from(*from, entry[1]);
	}
	return 0;
}

/* Fresh keys were those of another worker's certificates, unless they are asked for. */
static int read_key(struct signer_keys *keys, struct slice *from, bool asked)
{
	struct kept kept;
	struct buffer fault = {0};
	if (take(from, &kept, sizeof(kept)) || kept.length > from->len || kept.number == 0 ||
		kept.file < NO_FILE || kept.file >= keys->file_count ||
		keys->slots[kept.number % SLOTS])
		return -1;
	struct slice text = {from->ptr, kept.length};
	if (kept.file == NO_FILE && !asked) {
		*from = slice_from(*from, kept.length);
		return 0;
	}
	struct key *key = key_make(kept.number, kept.file, text);
	int result = tls_key_parse(SLICE("keepsake"), text, &key->private, &fault);
	buffer_free(&fault);
	*from = slice_from(*from, kept.length);
	if (result) {
		key->private = NULL;
		key_free(key);
		return -1;
	}
	put(keys, key);
	return 0;
}

int signer_keys_read(struct signer_keys *keys, struct slice from, bool asked)
{
	if (read_files(keys, &from, asked))
		return -1;
	while (from.len > 0) {
		if (read_key(keys, &from, asked))
			return -1;
	}
	return 0;
}

void signer_keys_sweep(struct signer_keys *keys)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		struct key *key = keys->slots[i];
		if (key && key->file != NO_FILE && !keys->files[key->file].asked)
			drop(keys, key);
	}
}
