/* SPDX-License-Identifier: BSD-2-Clause */
/* The certificates that stand to choice for one name, as GnuTLS wants them: it takes the first that the client can verify with a cipher suite of
 * both. */
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdlib.h>

#include "base/check.h"
#include "io/tls_cred_priv.h"

/* TLS 1.2 and 1.3, forward secrecy and authenticated encryption only, in the server's order: AES by hardware is several times as fast as
 * ChaCha20 in this library. */
static const char PRIORITIES[] =
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:"
	"-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:-MAC-ALL:+AEAD:"
	"-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:"
	"-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:%SERVER_PRECEDENCE";

static void digest_slice(gnutls_hash_hd_t hash, struct slice s)
{
	uint64_t length = s.len;
	gnutls_hash(hash, &length, sizeof(length));
	gnutls_hash(hash, s.ptr, s.len);
}

/* Whom the rules let in, and the names of the first certificate: the same in every worker, and as long as renewed certificates
 * are for the same names. */
static void identify(struct context *context, const struct rules *whose)
{
	const struct tls_settings *rules = context->public.rules;
	gnutls_hash_hd_t hash;
	int32_t auth = rules->client_auth;
	check(gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) == 0);
	gnutls_hash(hash, &auth, sizeof(auth));
	if (auth != CLIENT_AUTH_OFF)
		digest_slice(hash, (struct slice){whose->client_ca.ptr, whose->client_ca.len});
	for (size_t i = 0; context->count > 0 && i < context->certs[0]->name_count; i++)
		digest_slice(hash, context->certs[0]->names[i]);
	gnutls_hash_deinit(hash, context->public.identity);
}

static int staple(
	gnutls_certificate_credentials_t credentials, unsigned index, const struct tls_cert *cert)
{
	gnutls_datum_t response = {
		(unsigned char *)(uintptr_t)cert->ocsp.ptr, (unsigned)cert->ocsp.len};
	if (cert->ocsp.len == 0)
		return 0;
	/* GnuTLS leaves it out by itself once it has expired */
	int result = gnutls_certificate_set_ocsp_status_request_mem(
		credentials, &response, index, GNUTLS_X509_FMT_DER);
	return result < 0 ? result : 0;
}

static int add_cert(
	gnutls_certificate_credentials_t credentials, unsigned index, struct tls_cert *cert)
{
	gnutls_pcert_st list[TLS_CHAIN_MAX];
	gnutls_privkey_t key;
	unsigned count = 0;
	int result = 0;
	while (result == 0 && count < cert->chain_length) {
		result = gnutls_pcert_import_x509_raw(
			&list[count], &cert->chain[count], GNUTLS_X509_FMT_DER, 0);
		count += result == 0;
	}
	if (result == 0)
		result = tls_cert_key(cert, &key);
	if (result == 0) {
		/* takes key and certificates over */
		result = gnutls_certificate_set_key(credentials, NULL, 0, list, (int)count, key);
		if (result >= 0)
			return staple(credentials, index, cert);
		gnutls_privkey_deinit(key);
	}
	for (unsigned i = 0; i < count; i++)
		gnutls_pcert_deinit(&list[i]);
	return result;
}

static int trust(gnutls_certificate_credentials_t credentials, const struct rules *rules,
	struct tls_telling *telling)
{
	gnutls_datum_t pem = {
		(unsigned char *)rules->client_ca.ptr, (unsigned)rules->client_ca.len};
	if (rules->settings->client_auth == CLIENT_AUTH_OFF ||
		gnutls_certificate_set_x509_trust_mem(credentials, &pem, GNUTLS_X509_FMT_PEM) > 0)
		return 0;
	telling->pair = NULL;
	tls_tell(telling, "client_ca", false, "%s holds no certificate of an authority",
		rules->settings->client_ca_path.ptr);
	return -1;
}

static int credentials_make(
	struct context *context, const struct rules *rules, struct tls_telling *telling)
{
	gnutls_certificate_credentials_t credentials;
	int result = gnutls_certificate_allocate_credentials(&credentials);
	if (result == 0) {
		context->public.credentials = credentials;
		/* looked at already, and not at the cost of a signature for each name */
		gnutls_certificate_set_flags(credentials, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
	}
	for (size_t i = 0; result == 0 && i < context->count; i++)
		result = add_cert(credentials, (unsigned)i, context->certs[i]);
	if (result == 0)
		return trust(credentials, rules, telling);
	tls_tell(telling, NULL, false, "%s", gnutls_strerror(result));
	return -1;
}

enum { CANDIDATES_MAX = 64 };

/* What clients can compute fastest comes first. */
static int rank(const struct tls_cert *cert)
{
	return cert->algorithm == GNUTLS_PK_ECDSA ? 0 : cert->algorithm == GNUTLS_PK_RSA ? 2 : 1;
}

struct candidate {
	struct tls_cert *cert;
	int rank;
	enum tls_cover cover;
	size_t order;
};

static int preference(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;
	if (a->rank != b->rank)
		return a->rank - b->rank;
	if (a->cover != b->cover)
		return (int)b->cover - (int)a->cover;
	return a->order < b->order ? -1 : a->order > b->order;
}

/* Those that cover the name: the better kind first, in each exactly before by a star, then as they are written. */
static size_t choose(
	const struct rules *rules, struct slice name, struct tls_cert *chosen[CERTS_PER_NAME])
{
	struct candidate found[CANDIDATES_MAX];
	size_t count = 0;
	for (size_t i = 0; i < rules->settings->pair_count && count < CANDIDATES_MAX; i++) {
		struct tls_cert *cert = rules->certs[i];
		enum tls_cover cover = tls_cert_covers(cert, name);
		if (cover != TLS_COVER_NOT)
			found[count++] = (struct candidate){cert, rank(cert), cover, i};
	}
	if (count > 1)
		qsort(found, count, sizeof(found[0]), preference);
	count = count < CERTS_PER_NAME ? count : CERTS_PER_NAME;
	for (size_t i = 0; i < count; i++)
		chosen[i] = found[i].cert;
	return count;
}

/* The context of these certificates: one that is there already, or a new one. */
static struct context *context_of(struct rules *rules, struct tls_cert *const *certs, size_t count,
	struct tls_telling *telling)
{
	for (struct context *c = rules->contexts; c; c = c->next)
		if (c->count == count && memcmp(c->certs, certs, count * sizeof(certs[0])) == 0)
			return c;
	struct context *context = must_zalloc(sizeof(*context));
	context->next = rules->contexts;
	rules->contexts = context;
	context->public.rules = rules->settings;
	context->public.priorities = rules->priorities;
	context->count = count;
	for (size_t i = 0; i < count; i++)
		context->certs[i] = tls_cert_get(certs[i]);
	identify(context, rules);
	return credentials_make(context, rules, telling) ? NULL : context;
}

int tls_contexts_make(struct rules *rules, struct tls_telling *telling)
{
	struct tls_cert *chosen[CERTS_PER_NAME];
	size_t count;
	for (size_t i = 0; i < rules->settings->pair_count; i++) {
		const struct tls_cert *cert = rules->certs[i];
		for (size_t k = 0; k < cert->name_count; k++) {
			count = choose(rules, cert->names[k], chosen);
			const struct context *context = context_of(rules, chosen, count, telling);
			if (!context)
				return -1;
			tls_index_add(&rules->names, cert->names[k], context);
		}
	}
	tls_index_sort(&rules->names);
	chosen[0] = rules->certs[0];
	count = 1;
	if (chosen[0]->name_count > 0)
		count = choose(rules, chosen[0]->names[0], chosen);
	rules->fallback = context_of(rules, chosen, count, telling);
	return rules->fallback ? 0 : -1;
}

int tls_priorities_make(struct rules *rules, struct tls_telling *telling)
{
	struct buffer fault = {0};
	int result = tls_priorities(rules->settings, &rules->priorities, &fault);
	if (result)
		tls_tell(telling, "priorities", false, "%.*s", (int)fault.len, fault.ptr);
	buffer_free(&fault);
	return result;
}

bool tls_offers(gnutls_priority_t priorities, gnutls_protocol_t version)
{
	const unsigned *list;
	int count = gnutls_priority_protocol_list(priorities, &list);
	for (int i = 0; i < count; i++) {
		if (list[i] == version)
			return true;
	}
	return false;
}

int tls_priorities(
	const struct tls_settings *settings, gnutls_priority_t *priorities, struct buffer *fault)
{
	const char *at = NULL;
	struct buffer text = {0};
	struct slice own = settings->priorities;
	bool modern = own.ptr && slice_equal(own, SLICE("modern"));
	buffer_slice(&text, own.ptr && !modern ? own : SLICE(PRIORITIES));
	if (tls_newest_only(settings))
		buffer_format(&text, ":-VERS-TLS1.2");
	buffer_format(&text, ":-VERS-TLS1.1:-VERS-TLS1.0:-VERS-DTLS-ALL");
	buffer_append(&text, "", 1);
	int result = gnutls_priority_init(priorities, text.ptr, &at);
	if (result == GNUTLS_E_NO_PRIORITIES_WERE_SET)
		buffer_format(fault,
			"\"%s\" leaves nothing that can be spoken%s: write default, or modern",
			own.ptr ? own.ptr : text.ptr,
			tls_newest_only(settings) ? " beside min_version 1.3"
						  : ", for weir knows TLS 1.2 and 1.3 alone");
	else if (result)
		buffer_format(fault,
			"\"%s\" is no priority string of GnuTLS, that does not know \"%.*s\": write "
			"default, modern, or one that gnutls-cli --list --priority takes",
			own.ptr ? own.ptr : text.ptr, at ? (int)strcspn(at, ":") : 0, at ? at : "");
	buffer_free(&text);
	return result ? -1 : 0;
}

unsigned tls_refused(const struct tls_settings *settings)
{
	struct buffer fault = {0};
	gnutls_priority_t priorities;
	unsigned refused = 0;
	if (tls_priorities(settings, &priorities, &fault) == 0) {
		if (!tls_offers(priorities, GNUTLS_TLS1_2))
			refused |= 1u << TLS_1_2;
		if (!tls_offers(priorities, GNUTLS_TLS1_3))
			refused |= 1u << TLS_1_3;
		gnutls_priority_deinit(priorities);
	}
	buffer_free(&fault);
	return refused;
}
