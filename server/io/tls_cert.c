/* SPDX-License-Identifier: BSD-2-Clause */
/* Parses and checks one certificate with its key. */
#include "io/tls_cert.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "io/tls_self.h"
#include "settings/value.h"

void tls_tell(struct tls_telling *telling, const char *key, bool warning, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	telling->failed |= !warning;
	if (telling->fault)
		telling->fault(telling->context, telling->rules, telling->pair, key,
			warning || telling->lenient, text);
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

static void add_name(struct tls_cert *cert, struct buffer *names, const char *text)
{
	char lower[256];
	const char *expected;
	if (value_host(slice_of(text), lower, &expected))
		return;
	struct slice name = arena_slice(&cert->arena, slice_of(lower));
	buffer_append(names, &name, sizeof(name));
}

/* As a host is written. No client says one for a name, but a site may have it for a host. */
static void add_address(
	struct tls_cert *cert, struct buffer *names, const char *octets, size_t length)
{
	char text[INET6_ADDRSTRLEN];
	int family = length == 16 ? AF_INET6 : AF_INET;
	if ((length != 4 && length != 16) || !inet_ntop(family, octets, text, sizeof(text)))
		return;
	struct slice name = arena_format(&cert->arena, length == 16 ? "[%s]" : "%s", text);
	buffer_append(names, &name, sizeof(name));
}

enum { NAMES_MAX = 1000, STAND_IN_DAYS = 30 };

static void read_names(struct tls_cert *cert)
{
	char text[512];
	size_t size;
	struct buffer names = {0};
	for (unsigned i = 0; i < NAMES_MAX; i++) {
		size = sizeof(text) - 1;
		int type = gnutls_x509_crt_get_subject_alt_name(cert->leaf, i, text, &size, NULL);
		if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		text[size < sizeof(text) ? size : 0] = 0;
		if (type == GNUTLS_SAN_DNSNAME)
			add_name(cert, &names, text);
		else if (type == GNUTLS_SAN_IPADDRESS)
			add_address(cert, &names, text, size);
	}
	size = sizeof(text);
	if (names.len == 0 && gnutls_x509_crt_get_dn_by_oid(cert->leaf, GNUTLS_OID_X520_COMMON_NAME,
				      0, 0, text, &size) == 0)
		add_name(cert, &names, text);
	cert->name_count = names.len / sizeof(cert->names[0]);
	cert->names = arena_alloc(&cert->arena, names.len + 1);
	if (names.len > 0)
		memcpy(cert->names, names.ptr, names.len);
	buffer_free(&names);
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
		if (i > 1)
			gnutls_x509_crt_deinit(chain[i]);
	}
	cert->leaf = chain[0];
	return result;
}

/* --- Checks. --- */

static const char *day_text(time_t time, char to[32])
{
	struct tm tm;
	if (!gmtime_r(&time, &tm) || strftime(to, 32, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		snprintf(to, 32, "?");
	return to;
}

static void check_dates(const struct tls_cert *cert, struct tls_telling *telling)
{
	char day[32];
	time_t now = time(NULL);
	if (cert->ends <= now)
		tls_tell(telling, "certificate", true,
			"the certificate %s expired on %s: clients refuse it",
			cert->pair->certificate_path.ptr, day_text(cert->ends, day));
	if (cert->begins > now)
		tls_tell(telling, "certificate", true,
			"the certificate %s is not valid before %s: clients refuse it, if the "
			"clock of this machine is right",
			cert->pair->certificate_path.ptr, day_text(cert->begins, day));
}

static void check_algorithm(const struct tls_cert *cert, struct tls_telling *telling)
{
	unsigned bits = 0;
	gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
	const char *path = cert->pair->certificate_path.ptr;
	int algorithm = gnutls_x509_crt_get_pk_algorithm(cert->leaf, &bits);
	switch (algorithm) {
	case GNUTLS_PK_RSA:
	case GNUTLS_PK_RSA_PSS:
		if (bits < 2048)
			tls_tell(telling, "certificate", false,
				"the key of %s has %u bits: clients refuse RSA below 2048; better "
				"still, use ECDSA P-256",
				path, bits);
		break;
	case GNUTLS_PK_ECDSA:
		gnutls_x509_crt_get_pk_ecc_raw(cert->leaf, &curve, NULL, NULL);
		if (curve != GNUTLS_ECC_CURVE_SECP256R1 && curve != GNUTLS_ECC_CURVE_SECP384R1)
			tls_tell(telling, "certificate", true,
				"the key of %s is on the curve %s, which most browsers do not know: "
				"use P-256 or P-384",
				path, gnutls_ecc_curve_get_name(curve));
		break;
	case GNUTLS_PK_EDDSA_ED25519:
		break;
	default:
		tls_tell(telling, "certificate", false,
			"the key of %s is of a kind that no browser takes (%s): use ECDSA P-256, or "
			"RSA",
			path, gnutls_pk_algorithm_get_name((gnutls_pk_algorithm_t)algorithm));
	}
}

/* RFC 5280, 4.2.1.12: where purposes are named, a server must be among them. */
static void check_purpose(const struct tls_cert *cert, struct tls_telling *telling)
{
	char oid[64];
	bool any = false;
	for (unsigned i = 0; i < 32; i++) {
		size_t size = sizeof(oid);
		int result = gnutls_x509_crt_get_key_purpose_oid(cert->leaf, i, oid, &size, NULL);
		if (result == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		if (result < 0)
			continue;
		any = true;
		if (strcmp(oid, GNUTLS_KP_TLS_WWW_SERVER) == 0 || strcmp(oid, GNUTLS_KP_ANY) == 0)
			return;
	}
	if (any)
		tls_tell(telling, "certificate", true,
			"the certificate %s is not meant for servers (its extended key usage lacks "
			"serverAuth): clients refuse it",
			cert->pair->certificate_path.ptr);
}

static void check_names(const struct tls_cert *cert, struct tls_telling *telling)
{
	size_t size = 0;
	int result = gnutls_x509_crt_get_subject_alt_name(cert->leaf, 0, NULL, &size, NULL);
	if (result == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		tls_tell(telling, "certificate", true,
			"the certificate %s names no host in subjectAltName: browsers look nowhere "
			"else and refuse it",
			cert->pair->certificate_path.ptr);
}

/* --- The whole. --- */

static struct tls_cert *cert_new(const struct tls_pair *pair)
{
	struct tls_cert *cert = must_zalloc(sizeof(*cert));
	atomic_init(&cert->count, 1);
	arena_init(&cert->arena, NULL, 0);
	cert->pair = pair;
	return cert;
}

/* The key for a certificate; it stays NULL after a fault. With `public` a fresh one. */
static void ask_key(struct tls_cert *cert, struct tls_keys *keys, struct slice certificate,
	gnutls_pubkey_t *public, struct tls_telling *telling)
{
	struct buffer fault = {0};
	int result =
		public ? keys->fresh(keys, &cert->key, public, &fault)
		       : keys->key(keys, cert->pair->key_path, certificate, &cert->key, &fault);
	if (result) {
		cert->key = NULL;
		tls_tell(telling, "key", false, "%.*s", (int)fault.len, fault.ptr ? fault.ptr : "");
	}
	buffer_free(&fault);
}

static int fill(struct tls_cert *cert, gnutls_x509_crt_t *chain, unsigned count, struct slice ocsp,
	struct tls_telling *telling)
{
	gnutls_x509_crt_t issuer = count > 1 ? chain[1] : NULL;
	if (take_chain(cert, chain, count)) {
		tls_tell(telling, "certificate", false, "the certificate cannot be written again");
	} else {
		cert->algorithm = gnutls_x509_crt_get_pk_algorithm(cert->leaf, NULL);
		cert->begins = gnutls_x509_crt_get_activation_time(cert->leaf);
		cert->ends = gnutls_x509_crt_get_expiration_time(cert->leaf);
		read_names(cert);
		bool own = gnutls_x509_crt_check_issuer(cert->leaf, cert->leaf);
		if (ocsp.len > 0)
			tls_ocsp_take(cert, ocsp, own ? cert->leaf : issuer, telling);
	}
	if (issuer)
		gnutls_x509_crt_deinit(issuer);
	return telling->failed ? -1 : 0;
}

struct tls_cert *tls_cert_make(
	const struct tls_bytes_of *from, struct tls_keys *keys, struct tls_telling *telling)
{
	gnutls_x509_crt_t chain[TLS_CHAIN_MAX];
	struct tls_cert *cert = cert_new(from->pair);
	unsigned count = 0;
	bool failed = telling->failed;
	telling->pair = from->pair;
	telling->failed = false;
	ask_key(cert, keys, from->certificate, NULL, telling);
	if (cert->key)
		count = tls_chain_read(from->certificate, cert->key, chain, telling);
	if (count > 0 && fill(cert, chain, count, from->ocsp, telling) == 0) {
		check_algorithm(cert, telling);
		check_dates(cert, telling);
		check_purpose(cert, telling);
		check_names(cert, telling);
	}
	if (count == 0 || telling->failed) {
		tls_cert_put(cert);
		cert = NULL;
	}
	telling->failed |= failed;
	return cert;
}

/* The names of a certificate whose key is not at hand. */
static size_t names_of(struct slice pem, struct arena *arena, struct slice **names)
{
	gnutls_datum_t text = {(unsigned char *)(uintptr_t)pem.ptr, (unsigned)pem.len};
	struct tls_cert read = {.leaf = NULL};
	size_t count = 0;
	if (pem.len == 0 || gnutls_x509_crt_init(&read.leaf))
		return 0;
	arena_init(&read.arena, NULL, 0);
	if (gnutls_x509_crt_import(read.leaf, &text, GNUTLS_X509_FMT_PEM) == 0) {
		read_names(&read);
		count = read.name_count;
		*names = arena_alloc(arena, (count + 1) * sizeof((*names)[0]));
		for (size_t i = 0; i < count; i++)
			(*names)[i] = arena_slice(arena, read.names[i]);
	}
	gnutls_x509_crt_deinit(read.leaf);
	arena_reset(&read.arena);
	return count;
}

bool tls_pem_covers(struct slice pem, struct slice host)
{
	struct arena arena;
	struct tls_cert read = {.leaf = NULL};
	arena_init(&arena, NULL, 0);
	read.name_count = names_of(pem, &arena, &read.names);
	bool result = read.name_count > 0 && tls_cert_covers(&read, host) != TLS_COVER_NOT;
	arena_reset(&arena);
	return result;
}

struct tls_cert *tls_cert_stand_in(
	const struct tls_bytes_of *from, struct tls_keys *keys, struct tls_telling *telling)
{
	struct tls_cert *cert = cert_new(from->pair);
	struct tls_self self = {.names = from->pair->names,
		.name_count = from->pair->name_count,
		.days = STAND_IN_DAYS};
	gnutls_x509_crt_t leaf;
	gnutls_pubkey_t public;
	telling->pair = from->pair;
	cert->stand_in = true;
	struct slice *names = NULL;
	if (self.name_count == 0) {
		self.name_count = names_of(from->certificate, &cert->arena, &names);
		self.names = names;
	}
	ask_key(cert, keys, SLICE(""), &public, telling);
	int result = cert->key ? tls_self_make(&self, cert->key, public, &leaf) : 0;
	if (cert->key)
		gnutls_pubkey_deinit(public);
	if (result)
		tls_tell(telling, "certificate", false, "cannot make a certificate: %s",
			gnutls_strerror(result));
	if (!cert->key || result ||
		fill(cert, &leaf, 1, (struct slice){NULL, 0},
			&(struct tls_telling){.fault = NULL})) {
		tls_cert_put(cert);
		return NULL;
	}
	return cert;
}
