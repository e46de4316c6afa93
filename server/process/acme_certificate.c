/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads certificate and key with GnuTLS. The key is the helper's to read: uacme made it under the same account. */
#include "process/acme_certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/whole.h"

#define FILE_MOST (256 * 1024)

/* -1 with errno. */
static int read_file(int state, const char *path, struct buffer *to)
{
	int fd = openat(state, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -1;
	int error = whole_read(fd, to, FILE_MOST);
	close(fd);
	errno = error;
	return error ? -1 : 0;
}

static bool is_for_all(gnutls_x509_crt_t certificate, const struct acme_certificate *wanted)
{
	for (unsigned i = 0; i < wanted->count; i++)
		if (!gnutls_x509_crt_check_hostname(certificate, wanted->names[i]))
			return false;
	return true;
}

static bool is_of_key(gnutls_x509_crt_t certificate, struct slice text)
{
	const gnutls_datum_t pem = {(void *)(uintptr_t)text.ptr, (unsigned)text.len};
	unsigned char of_certificate[64], of_key[64];
	size_t length = sizeof(of_certificate), key_length = sizeof(of_key);
	gnutls_x509_privkey_t key;
	if (gnutls_x509_privkey_init(&key))
		return false;
	bool same = gnutls_x509_privkey_import2(key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0) == 0 &&
		    gnutls_x509_privkey_get_key_id(
			    key, GNUTLS_KEYID_USE_SHA256, of_key, &key_length) == 0 &&
		    gnutls_x509_crt_get_key_id(
			    certificate, GNUTLS_KEYID_USE_SHA256, of_certificate, &length) == 0 &&
		    length == key_length && memcmp(of_certificate, of_key, length) == 0;
	gnutls_x509_privkey_deinit(key);
	return same;
}

static int look_at(gnutls_x509_crt_t certificate, struct slice text, struct slice key,
	const struct acme_certificate *wanted, struct acme_facts *facts)
{
	const gnutls_datum_t pem = {(void *)(uintptr_t)text.ptr, (unsigned)text.len};
	if (gnutls_x509_crt_import(certificate, &pem, GNUTLS_X509_FMT_PEM)) {
		facts->wrong = "its file holds no certificate";
		return 0;
	}
	facts->begins = gnutls_x509_crt_get_activation_time(certificate);
	facts->ends = gnutls_x509_crt_get_expiration_time(certificate);
	if (!is_for_all(certificate, wanted))
		facts->wrong = "it is not for all of these names";
	else if (!is_of_key(certificate, key))
		facts->wrong = "its key is missing or another";
	return 0;
}

int acme_certificate_read(
	int state, const struct acme_certificate *wanted, struct acme_facts *facts)
{
	char path[320];
	struct buffer text = {0}, key = {0};
	gnutls_x509_crt_t certificate;
	int result = -1;
	*facts = (struct acme_facts){0};
	snprintf(path, sizeof(path), "%s/cert.pem", wanted->names[0]);
	if (read_file(state, path, &text) || gnutls_x509_crt_init(&certificate))
		goto out;
	snprintf(path, sizeof(path), "private/%s/key.pem", wanted->names[0]);
	read_file(state, path, &key);
	result = look_at(certificate, (struct slice){text.ptr, text.len},
		(struct slice){key.ptr ? key.ptr : "", key.len}, wanted, facts);
	gnutls_x509_crt_deinit(certificate);
out:
	if (key.ptr)
		gnutls_memset(key.ptr, 0, key.len);
	buffer_free(&key);
	buffer_free(&text);
	return result;
}
