/* SPDX-License-Identifier: BSD-2-Clause */
/* All certificates of a configuration, and the way from a client's server name to the right ones. GnuTLS chooses among those of one
 * context: in the order in which they stand there, the first that the client can verify with a cipher suite of both. */
#include "io/tls_cred.h"

#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdlib.h>

#include "base/check.h"
#include "io/tls_cert.h"
#include "io/tls_index.h"

enum { CERTS_PER_NAME = 8 };

/* TLS 1.2 and 1.3, forward secrecy and authenticated encryption only, in the server's order: AES by hardware is several times as fast as
 * ChaCha20 in this library. */
static const char PRIORITIES[] =
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:"
	"-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:-MAC-ALL:+AEAD:"
	"-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:"
	"-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:%SERVER_PRECEDENCE";

struct context {
	struct tls_context public;
	struct context *next; /* of the same rules */
	struct tls_cert *certs[CERTS_PER_NAME];
	size_t count;
};

/* What one struct tls_settings leads to. */
struct rules {
	const struct tls_settings *settings;
	struct tls_cert **certs; /* as its pairs */
	gnutls_priority_t priorities;
	struct context *contexts;
	struct context *fallback; /* NULL: no https site has these rules */
	struct tls_index names;   /* of certificates, to struct context */
};

struct tls_store {
	atomic_uint count;
	const struct snapshot *snapshot;
	struct rules *rules; /* by index */
	struct {
		struct tls_index hosts;  /* to struct tls_settings */
		const struct site *site; /* that answers for all else */
	} * listeners;                   /* by index in the snapshot */
};

static struct tls_store *store_new(const struct snapshot *snapshot)
{
	struct tls_store *store = must_zalloc(sizeof(*store));
	atomic_init(&store->count, 1);
	store->snapshot = snapshot;
	store->rules = must_zalloc((snapshot->tls_count + 1) * sizeof(store->rules[0]));
	store->listeners =
		must_zalloc((snapshot->listener_count + 1) * sizeof(store->listeners[0]));
	return store;
}

static void rules_free(struct rules *rules)
{
	for (struct context *c = rules->contexts, *next; c; c = next) {
		next = c->next;
		if (c->public.credentials)
			gnutls_certificate_free_credentials(c->public.credentials);
		for (size_t i = 0; i < c->count; i++)
			tls_cert_put(c->certs[i]);
		free(c);
	}
	for (size_t i = 0; rules->certs && i < rules->settings->pair_count; i++)
		tls_cert_put(rules->certs[i]);
	free(rules->certs);
	if (rules->priorities)
		gnutls_priority_deinit(rules->priorities);
	tls_index_free(&rules->names);
}

static void store_free(struct tls_store *store)
{
	for (size_t i = 0; i < store->snapshot->tls_count; i++)
		rules_free(&store->rules[i]);
	for (size_t i = 0; i < store->snapshot->listener_count; i++)
		tls_index_free(&store->listeners[i].hosts);
	free(store->rules);
	free(store->listeners);
	free(store);
}

struct tls_store *tls_store_get(struct tls_store *store)
{
	atomic_fetch_add_explicit(&store->count, 1, memory_order_relaxed);
	return store;
}

void tls_store_put(struct tls_store *store)
{
	if (store && atomic_fetch_sub_explicit(&store->count, 1, memory_order_acq_rel) == 1)
		store_free(store);
}

/* --- Certificates. --- */

static bool same_files(const struct tls_pair *a, const struct tls_pair *b)
{
	return slice_equal(a->certificate_path, b->certificate_path) &&
	       slice_equal(a->key_path, b->key_path) && slice_equal(a->ocsp_path, b->ocsp_path);
}

/* A certificate that other rules of this store have already. */
static struct tls_cert *cert_known(
	const struct tls_store *store, const struct rules *until, const struct tls_pair *pair)
{
	for (const struct rules *r = store->rules; r < until; r++)
		for (size_t i = 0; r->certs && i < r->settings->pair_count; i++)
			if (r->certs[i] && same_files(r->certs[i]->pair, pair))
				return tls_cert_get(r->certs[i]);
	return NULL;
}

static int certs_make(struct tls_store *store, struct rules *rules, struct tls_keys *keys,
	struct tls_telling *telling)
{
	const struct tls_settings *settings = rules->settings;
	int result = 0;
	rules->certs = must_zalloc((settings->pair_count + 1) * sizeof(rules->certs[0]));
	for (size_t i = 0; i < settings->pair_count; i++) {
		const struct tls_pair *pair = &settings->pairs[i];
		rules->certs[i] = cert_known(store, rules, pair);
		if (!rules->certs[i])
			rules->certs[i] =
				tls_cert_make(pair, pair->certificate, pair->ocsp, keys, telling);
		if (!rules->certs[i])
			result = -1;
	}
	return result;
}

/* --- Contexts. --- */

static void digest_slice(gnutls_hash_hd_t hash, struct slice s)
{
	uint64_t length = s.len;
	gnutls_hash(hash, &length, sizeof(length));
	gnutls_hash(hash, s.ptr, s.len);
}

/* Whom the rules let in, and the names of the first certificate: the same in every worker, and as long as renewed certificates
 * are for the same names. */
static void identify(struct context *context)
{
	const struct tls_settings *rules = context->public.rules;
	gnutls_hash_hd_t hash;
	int32_t auth = rules->client_auth;
	check(gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) == 0);
	gnutls_hash(hash, &auth, sizeof(auth));
	if (auth != CLIENT_AUTH_OFF)
		digest_slice(hash, rules->client_ca);
	for (size_t i = 0; context->count > 0 && i < context->certs[0]->name_count; i++)
		digest_slice(hash, context->certs[0]->names[i]);
	gnutls_hash_deinit(hash, context->public.identity);
}

static int add_cert(gnutls_certificate_credentials_t credentials, struct tls_cert *cert)
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
			return 0;
		gnutls_privkey_deinit(key);
	}
	for (unsigned i = 0; i < count; i++)
		gnutls_pcert_deinit(&list[i]);
	return result;
}

static int verify_client(gnutls_session_t session)
{
	gnutls_typed_vdata_st purpose = {
		GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT, 0};
	unsigned status, count;
	if (!gnutls_certificate_get_peers(session, &count) || count == 0)
		return 0;
	if (gnutls_certificate_verify_peers(session, &purpose, 1, &status) || status != 0)
		return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
	return 0;
}

static int credentials_make(struct context *context, struct tls_telling *telling)
{
	const struct tls_settings *rules = context->public.rules;
	gnutls_certificate_credentials_t credentials;
	int result = gnutls_certificate_allocate_credentials(&credentials);
	if (result == 0) {
		context->public.credentials = credentials;
		/* looked at already, and not at the cost of a signature for each name */
		gnutls_certificate_set_flags(credentials, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
	}
	for (size_t i = 0; result == 0 && i < context->count; i++)
		result = add_cert(credentials, context->certs[i]);
	if (result == 0 && rules->client_auth != CLIENT_AUTH_OFF) {
		gnutls_datum_t pem = {(unsigned char *)(uintptr_t)rules->client_ca.ptr,
			(unsigned)rules->client_ca.len};
		int count = gnutls_certificate_set_x509_trust_mem(
			credentials, &pem, GNUTLS_X509_FMT_PEM);
		if (count <= 0) {
			telling->pair = NULL;
			tls_tell(telling, false, "%s holds no certificate of an authority",
				rules->client_ca_path.ptr);
			return -1;
		}
		gnutls_certificate_set_verify_function(credentials, verify_client);
	}
	if (result)
		tls_tell(telling, false, "%s", gnutls_strerror(result));
	return result ? -1 : 0;
}

/* What clients can compute fastest comes first. */
static int rank(const struct tls_cert *cert)
{
	return cert->algorithm == GNUTLS_PK_ECDSA ? 0 : cert->algorithm == GNUTLS_PK_RSA ? 2 : 1;
}

/* Those that cover the name: exactly, then by a star; in each the better kind first, then as they are written. */
static size_t choose(
	const struct rules *rules, struct slice name, struct tls_cert *chosen[CERTS_PER_NAME])
{
	size_t count = 0;
	for (int kind = 0; kind < 3; kind++) {
		for (enum tls_cover cover = TLS_COVER_EXACT; cover > TLS_COVER_NOT; cover--) {
			for (size_t i = 0; i < rules->settings->pair_count; i++) {
				struct tls_cert *cert = rules->certs[i];
				if (rank(cert) == kind && count < CERTS_PER_NAME &&
					tls_cert_covers(cert, name) == cover)
					chosen[count++] = cert;
			}
		}
	}
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
	identify(context);
	return credentials_make(context, telling) ? NULL : context;
}

static int contexts_make(struct rules *rules, struct tls_telling *telling)
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

static int priorities_make(struct rules *rules, struct tls_telling *telling)
{
	struct buffer fault = {0};
	int result = tls_priorities(rules->settings, &rules->priorities, &fault);
	if (result)
		tls_tell(telling, false, "%.*s", (int)fault.len, fault.ptr);
	buffer_free(&fault);
	return result;
}

int tls_priorities(
	const struct tls_settings *settings, gnutls_priority_t *priorities, struct buffer *fault)
{
	const char *at = NULL;
	struct buffer text = {0};
	struct slice own = settings->priorities;
	bool modern = own.ptr && slice_equal(own, SLICE("modern"));
	buffer_slice(&text, own.ptr && !modern ? own : SLICE(PRIORITIES));
	if (modern || settings->min_version == TLS_1_3)
		buffer_format(&text, ":-VERS-TLS1.2");
	buffer_format(&text, ":-VERS-TLS1.1:-VERS-TLS1.0:-VERS-DTLS-ALL");
	buffer_append(&text, "", 1);
	int result = gnutls_priority_init(priorities, text.ptr, &at);
	if (result)
		buffer_format(fault,
			"\"%s\" is no priority string of GnuTLS: it is not understood from \"%s\" on; "
			"write default, modern, or one that gnutls-cli --list --priority takes",
			own.ptr ? own.ptr : text.ptr, at ? at : text.ptr);
	buffer_free(&text);
	return result ? -1 : 0;
}

/* --- The whole. --- */

/* Are the rules those of a site that listens for https? */
static bool in_use(const struct snapshot *snapshot, const struct tls_settings *rules)
{
	for (size_t i = 0; i < snapshot->listener_count; i++) {
		const struct listener_settings *listener = &snapshot->listeners[i];
		for (size_t k = 0; listener->scheme == SCHEME_HTTPS && k < listener->site_count;
			k++)
			if (listener->sites[k]->tls == rules)
				return true;
	}
	return false;
}

static int rules_make(struct tls_store *store, struct rules *rules, struct tls_keys *keys,
	struct tls_telling *telling)
{
	telling->rules = rules->settings;
	telling->pair = NULL;
	int result = priorities_make(rules, telling);
	if (certs_make(store, rules, keys, telling))
		return -1;
	if (rules->settings->pair_count == 0 || !in_use(store->snapshot, rules->settings))
		return result;
	return contexts_make(rules, telling) ? -1 : result;
}

static void listeners_make(struct tls_store *store)
{
	for (size_t i = 0; i < store->snapshot->listener_count; i++) {
		const struct listener_settings *listener = &store->snapshot->listeners[i];
		struct tls_index *hosts = &store->listeners[i].hosts;
		store->listeners[i].site =
			listener->fallback ? listener->fallback : listener->sites[0];
		for (size_t k = 0; k < listener->site_count; k++)
			for (size_t h = 0; h < listener->sites[k]->host_count; h++)
				tls_index_add(hosts, listener->sites[k]->hosts[h],
					listener->sites[k]->tls);
		tls_index_sort(hosts);
	}
}

struct tls_store *tls_store_make(
	const struct snapshot *snapshot, struct tls_keys *keys, tls_fault_fn *fault, void *context)
{
	struct tls_store *store = store_new(snapshot);
	struct tls_telling telling = {.fault = fault, .context = context};
	int result = 0;
	for (size_t i = 0; i < snapshot->tls_count; i++) {
		store->rules[i].settings = &snapshot->tls[i];
		if (rules_make(store, &store->rules[i], keys, &telling))
			result = -1;
	}
	listeners_make(store);
	if (result == 0)
		return store;
	store_free(store);
	return NULL;
}

/* --- Finding. --- */

static const struct context *find_name(const struct rules *rules, struct slice name)
{
	const struct context *found = name.len > 0 ? tls_index_find(&rules->names, name, 1) : NULL;
	return found ? found : rules->fallback;
}

const struct tls_context *tls_store_find(
	const struct tls_store *store, const struct listener_settings *listener, struct slice name)
{
	char lower[256];
	size_t at = (size_t)(listener - store->snapshot->listeners);
	check(at < store->snapshot->listener_count);
	struct slice wanted = {lower, 0};
	if (name.len > 0 && name.ptr[name.len - 1] == '.')
		name.len--;
	while (name.len < sizeof(lower) && wanted.len < name.len) {
		char c = name.ptr[wanted.len];
		lower[wanted.len++] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
	}
	const struct site *site = store->listeners[at].site;
	const struct tls_settings *settings =
		wanted.len > 0 ? tls_index_find(&store->listeners[at].hosts, wanted, 0) : NULL;
	const struct context *found;
	if (settings || (wanted.len > 0 &&
				tls_index_find(&store->rules[site->tls->index].names, wanted, 1)))
		found = find_name(
			&store->rules[settings ? settings->index : site->tls->index], wanted);
	else
		found = find_name(&store->rules[site->tls->index],
			site->host_count > 0 ? site->hosts[0] : (struct slice){NULL, 0});
	check(found);
	return &found->public;
}

/* Is it the first place at which the certificate stands? */
static bool is_first(const struct tls_store *store, size_t rules, size_t pair)
{
	const struct tls_cert *cert = store->rules[rules].certs[pair];
	for (size_t i = 0; i <= rules; i++)
		for (size_t k = 0; k < store->rules[i].settings->pair_count; k++)
			if (store->rules[i].certs[k] == cert)
				return i == rules && k == pair;
	return true;
}

void tls_store_each(const struct tls_store *store,
	void (*visit)(void *context, const struct tls_certificate_facts *facts), void *context)
{
	for (size_t i = 0; i < store->snapshot->tls_count; i++) {
		const struct rules *rules = &store->rules[i];
		for (size_t k = 0; k < rules->settings->pair_count; k++) {
			const struct tls_cert *cert = rules->certs[k];
			if (is_first(store, i, k))
				visit(context, &(struct tls_certificate_facts){.pair = cert->pair,
						       .subject = cert->subject,
						       .begins = cert->begins,
						       .ends = cert->ends,
						       .self_signed = cert->stand_in});
		}
	}
}
