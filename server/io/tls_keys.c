/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys that are read from their files, in this process: for `weir check` and where there is no signer. */
#include "io/tls_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/x509.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/whole.h"
#include "io/tls_cert.h"

enum { FILE_MAX = 1 << 20, KEY_FILE_MAX = 64 << 10 };

/* What stands in a file that holds no key that can be used. */
static const char *key_fault(struct slice text)
{
	if (text.len == 0)
		return "is empty";
	if (memmem(text.ptr, text.len, "ENCRYPTED", 9))
		return "is encrypted, and nobody is there to type its password: write it without one, by "
		       "openssl pkey -in KEY -out NEW";
	if (memmem(text.ptr, text.len, "PRIVATE KEY-----", 16))
		return "cannot be read: its key is damaged, or of a kind that is not known";
	if (memmem(text.ptr, text.len, "BEGIN CERTIFICATE-----", 22))
		return "holds a certificate, not a key: are certificate and key exchanged?";
	if (text.ptr[0] == 0x30)
		return "is DER: write it in PEM, by openssl pkey -inform DER -in KEY -out NEW";
	return "holds no private key: a line -----BEGIN PRIVATE KEY----- is missing";
}

/* 0: bytes can be read from it, and it is no pipe to wait at. */
static int look_at(int fd)
{
	struct stat st;
	if (fstat(fd, &st))
		return errno;
	return S_ISREG(st.st_mode) ? 0 : S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
}

int tls_file_read(const char *path, struct buffer *to)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return errno;
	int error = look_at(fd);
	if (!error)
		error = whole_read(fd, to, FILE_MAX);
	close(fd);
	return error;
}

int tls_key_read(int fd, struct buffer *to)
{
	int error = look_at(fd);
	buffer_reserve(to, KEY_FILE_MAX + 1); /* at once: what grows leaves copies behind */
	return error ? error : whole_read(fd, to, KEY_FILE_MAX);
}

static int import(gnutls_privkey_t *key, struct slice text)
{
	gnutls_datum_t pem = {(unsigned char *)(uintptr_t)text.ptr, (unsigned)text.len};
	if (gnutls_privkey_init(key))
		return -1;
	if (gnutls_privkey_import_x509_raw(*key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0) == 0)
		return 0;
	gnutls_privkey_deinit(*key);
	return -1;
}

int tls_key_parse(struct slice path, struct slice text, gnutls_privkey_t *key, struct buffer *fault)
{
	if (import(key, text) == 0)
		return 0;
	buffer_format(fault, "%.*s %s", (int)path.len, path.ptr, key_fault(text));
	return -1;
}

static int key_here(struct tls_keys *keys, struct slice path, struct slice certificate,
	gnutls_privkey_t *key, struct buffer *fault)
{
	struct buffer text = {0};
	int result = -1, fd = open(path.ptr, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	(void)keys, (void)certificate;
	int error = fd < 0 ? errno : tls_key_read(fd, &text);
	if (error)
		buffer_format(fault, "cannot read the key %s: %s", path.ptr, strerror(error));
	else
		result = tls_key_parse(path, (struct slice){text.ptr, text.len}, key, fault);
	if (fd >= 0)
		close(fd);
	if (text.ptr)
		explicit_bzero(text.ptr, text.capacity);
	buffer_free(&text);
	return result;
}

static int public_of(gnutls_privkey_t key, gnutls_pubkey_t *public)
{
	int result = gnutls_pubkey_init(public);
	if (result)
		return result;
	result = gnutls_pubkey_import_privkey(*public, key, 0, 0);
	if (result)
		gnutls_pubkey_deinit(*public);
	return result;
}

static int fresh_here(
	struct tls_keys *keys, gnutls_privkey_t *key, gnutls_pubkey_t *public, struct buffer *fault)
{
	(void)keys;
	int result = gnutls_privkey_init(key);
	if (result == 0) {
		result = gnutls_privkey_generate(
			*key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
		if (result == 0)
			result = public_of(*key, public);
		if (result)
			gnutls_privkey_deinit(*key);
	}
	if (result)
		buffer_format(fault, "cannot make a key: %s", gnutls_strerror(result));
	return result ? -1 : 0;
}

struct tls_keys *tls_keys_here(void)
{
	static const struct tls_keys here = {key_here, fresh_here};
	return (struct tls_keys *)(uintptr_t)&here;
}
