/* SPDX-License-Identifier: BSD-2-Clause */
/* Parses and checks one certificate with its key. */
#include "io/tls_cert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "settings/value.h"

void tls_tell(struct tls_telling *telling, bool warning, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	telling->failed |= !warning;
	if (telling->fault)
		telling->fault(telling->context, telling->rules, telling->pair, warning, text);
}

struct tls_cert *tls_cert_get(struct tls_cert *cert)
{
	atomic_fetch_add_explicit(&cert->count, 1, memory_order_relaxed);
	return cert;
}

void tls_cert_put(struct tls_cert *cert)
{
	if (!cert || atomic_fetch_sub_explicit(&cert->count, 1, memory_order_acq_rel) > 1)
		return;
	if (cert->leaf)
		gnutls_x509_crt_deinit(cert->leaf);
	if (cert->key)
		gnutls_privkey_deinit(cert->key);
	for (unsigned i = 0; i < cert->chain_length; i++)
		gnutls_free(cert->chain[i].data);
	arena_reset(&cert->arena);
	free(cert);
}

enum tls_cover tls_cert_covers(const struct tls_cert *cert, struct slice name)
{
	enum tls_cover cover = TLS_COVER_NOT;
	const char *dot = name.len > 0 ? memchr(name.ptr, '.', name.len) : NULL;
	struct slice rest = dot ? slice_from(name, (size_t)(dot - name.ptr)) : name;
	for (size_t i = 0; i < cert->name_count; i++) {
		struct slice own = cert->names[i];
		if (slice_equal(own, name))
			return TLS_COVER_EXACT;
		/* RFC 6125, 6.4.3: a star is one label */
		if (dot && slice_starts(own, SLICE("*.")) && slice_equal(slice_from(own, 1), rest))
			cover = TLS_COVER_STAR;
	}
	return cover;
}

static int sign_data(gnutls_privkey_t handle, gnutls_sign_algorithm_t algorithm, void *context,
	unsigned flags, const gnutls_datum_t *data, gnutls_datum_t *signature)
{
	struct tls_cert *cert = context;
	(void)handle;
	return gnutls_privkey_sign_data2(cert->key, algorithm, flags, data, signature);
}

static int sign_hash(gnutls_privkey_t handle, gnutls_sign_algorithm_t algorithm, void *context,
	unsigned flags, const gnutls_datum_t *hash, gnutls_datum_t *signature)
{
	struct tls_cert *cert = context;
	(void)handle;
	return gnutls_privkey_sign_hash2(cert->key, algorithm, flags, hash, signature);
}

static void key_done(gnutls_privkey_t handle, void *context)
{
	(void)handle;
	tls_cert_put(context);
}

static int key_info(gnutls_privkey_t handle, unsigned flags, void *context)
{
	struct tls_cert *cert = context;
	unsigned bits = 0;
	int algorithm = gnutls_privkey_get_pk_algorithm(cert->key, &bits);
	(void)handle;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO)
		return algorithm;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS)
		return (int)bits;
	if (flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO)
		return (int)gnutls_sign_supports_pk_algorithm(
			GNUTLS_FLAGS_TO_SIGN_ALGO(flags), (gnutls_pk_algorithm_t)algorithm);
	return -1;
}

int tls_cert_key(struct tls_cert *cert, gnutls_privkey_t *key)
{
	int result = gnutls_privkey_init(key);
	if (result)
		return result;
	result = gnutls_privkey_import_ext4(*key, tls_cert_get(cert), sign_data, sign_hash, NULL,
		key_done, key_info, GNUTLS_PRIVKEY_IMPORT_AUTO_RELEASE);
	if (result) {
		gnutls_privkey_deinit(*key);
		tls_cert_put(cert);
	}
	return result;
}

static void add_name(struct tls_cert *cert, const char *text)
{
	char lower[256];
	const char *expected;
	if (value_host(slice_of(text), lower, &expected) == 0)
		cert->names[cert->name_count++] = arena_slice(&cert->arena, slice_of(lower));
}

enum { NAMES_MAX = 1000 };

static void read_names(struct tls_cert *cert)
{
	char text[512];
	size_t size;
	cert->names = arena_alloc(&cert->arena, (NAMES_MAX + 1) * sizeof(cert->names[0]));
	for (unsigned i = 0; i < NAMES_MAX; i++) {
		size = sizeof(text) - 1;
		int type = gnutls_x509_crt_get_subject_alt_name(cert->leaf, i, text, &size, NULL);
		if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		text[size < sizeof(text) ? size : 0] = 0;
		if (type == GNUTLS_SAN_DNSNAME)
			add_name(cert, text);
	}
	size = sizeof(text);
	if (cert->name_count == 0 && gnutls_x509_crt_get_dn_by_oid(cert->leaf,
					     GNUTLS_OID_X520_COMMON_NAME, 0, 0, text, &size) == 0)
		add_name(cert, text);
	gnutls_datum_t dn = {NULL, 0};
	cert->subject = cert->issuer = "";
	if (gnutls_x509_crt_get_dn3(cert->leaf, &dn, 0) == 0) {
		cert->subject =
			arena_slice(&cert->arena, (struct slice){(const char *)dn.data, dn.size})
				.ptr;
		gnutls_free(dn.data);
	}
	if (cert->name_count > 0)
		cert->subject = cert->names[0].ptr;
	if (gnutls_x509_crt_get_issuer_dn3(cert->leaf, &dn, 0) == 0) {
		cert->issuer =
			arena_slice(&cert->arena, (struct slice){(const char *)dn.data, dn.size})
				.ptr;
		gnutls_free(dn.data);
	}
}

static int take_chain(struct tls_cert *cert, gnutls_x509_crt_t *chain, unsigned count)
{
	int result = 0;
	for (unsigned i = 0; i < count; i++) {
		if (result == 0)
			result = gnutls_x509_crt_export2(
				chain[i], GNUTLS_X509_FMT_DER, &cert->chain[i]);
		cert->chain_length += result == 0;
		if (i > 0)
			gnutls_x509_crt_deinit(chain[i]);
	}
	cert->leaf = chain[0];
	return result;
}

struct tls_cert *tls_cert_make(const struct tls_pair *pair, struct slice certificate,
	struct slice ocsp, struct tls_keys *keys, struct tls_telling *telling)
{
	gnutls_x509_crt_t chain[TLS_CHAIN_MAX];
	struct buffer fault = {0};
	struct tls_cert *cert = must_zalloc(sizeof(*cert));
	(void)ocsp;
	atomic_init(&cert->count, 1);
	arena_init(&cert->arena, NULL, 0);
	cert->pair = telling->pair = pair;
	unsigned count = 0;
	if (keys->key(keys, pair->key_path, &cert->key, &fault)) {
		cert->key = NULL;
		tls_tell(telling, false, "%.*s", (int)fault.len, fault.ptr);
	} else {
		count = tls_chain_read(certificate, cert->key, chain, telling);
	}
	buffer_free(&fault);
	if (count == 0 || take_chain(cert, chain, count)) {
		tls_cert_put(cert);
		return NULL;
	}
	cert->algorithm = gnutls_x509_crt_get_pk_algorithm(cert->leaf, NULL);
	cert->begins = gnutls_x509_crt_get_activation_time(cert->leaf);
	cert->ends = gnutls_x509_crt_get_expiration_time(cert->leaf);
	read_names(cert);
	return cert;
}
