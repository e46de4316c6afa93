/* SPDX-License-Identifier: BSD-2-Clause */
/* All certificates of a configuration, and the way from a client's server name to the right ones. */
#include "io/tls_cred.h"

#include <gnutls/x509.h>
#include <stdlib.h>

#include "base/check.h"
#include "io/tls_cred_priv.h"

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
	buffer_free(&rules->client_ca);
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

static uint64_t files_hash(const struct tls_pair *pair)
{
	return table_hash(pair->certificate_path.ptr, pair->certificate_path.len, 0);
}

/* A certificate that this store has already, by its files. */
static struct tls_cert *cert_known(const struct making *making, const struct tls_pair *pair)
{
	uint64_t hash = files_hash(pair);
	for (struct table_entry *e = table_first(&making->known, hash); e; e = e->next) {
		struct tls_cert *cert = container_of(e, struct tls_cert, entry);
		if (e->hash == hash && same_files(cert->pair, pair))
			return tls_cert_get(cert);
	}
	return NULL;
}

static const struct tls_change *find_change(
	const struct tls_change *changes, size_t count, struct slice path)
{
	for (size_t i = 0; path.ptr && i < count; i++)
		if (slice_equal(changes[i].path, path))
			return &changes[i];
	return NULL;
}

static const struct tls_change *change_of(const struct making *making, struct slice path)
{
	return find_change(making->changes, making->change_count, path);
}

/* In a renewal. */
static struct tls_cert *cert_renew(
	struct making *making, const struct tls_pair *pair, struct tls_cert *old)
{
	const struct tls_change *certificate = change_of(making, pair->certificate_path);
	const struct tls_change *key = change_of(making, pair->key_path);
	const struct tls_change *ocsp = change_of(making, pair->ocsp_path);
	if (!certificate && !key && !ocsp)
		return tls_cert_get(old);
	struct tls_bytes_of from = {pair, certificate ? certificate->bytes : pair->certificate,
		ocsp ? ocsp->bytes : pair->ocsp};
	return tls_cert_make(&from, making->keys, &making->telling);
}

static struct tls_cert *cert_anyhow(struct making *making, const struct tls_bytes_of *from)
{
	struct buffer certificate = {0}, ocsp = {0};
	struct tls_telling quiet = {.rules = making->telling.rules};
	struct tls_cert *cert = NULL;
	if (tls_file_read(from->pair->certificate_path.ptr, &certificate) == 0) {
		if (from->pair->ocsp_path.ptr)
			tls_file_read(from->pair->ocsp_path.ptr, &ocsp);
		struct tls_bytes_of now = {
			from->pair, {certificate.ptr, certificate.len}, {ocsp.ptr, ocsp.len}};
		cert = tls_cert_make(&now, making->keys, &quiet);
	}
	buffer_free(&certificate);
	buffer_free(&ocsp);
	return cert ? cert : tls_cert_stand_in(from, making->keys, &making->telling);
}

/* What was shown last, if it is good. */
static struct tls_cert *cert_newer(struct making *making, const struct tls_pair *pair)
{
	const struct tls_change *certificate =
		find_change(making->newer, making->newer_count, pair->certificate_path);
	const struct tls_change *ocsp =
		find_change(making->newer, making->newer_count, pair->ocsp_path);
	struct tls_telling quiet = {.rules = making->telling.rules};
	if (!certificate)
		return NULL;
	struct tls_bytes_of from = {pair, certificate->bytes, ocsp ? ocsp->bytes : SLICE("")};
	return tls_cert_make(&from, making->keys, &quiet);
}

/* A pair's certificate; what cannot be had is stood in for if that is allowed. NULL after a fault. */
static struct tls_cert *cert_make(struct making *making, const struct tls_pair *pair)
{
	struct tls_bytes_of from = {pair, pair->certificate, pair->ocsp};
	struct tls_telling *telling = &making->telling;
	bool lenient = making->anyhow || pair->acme, failed = telling->failed;
	struct tls_cert *cert = cert_newer(making, pair);
	telling->lenient = lenient;
	if (!cert && (!pair->acme || pair->certificate.len > 0))
		cert = tls_cert_make(&from, making->keys, telling);
	if (!cert && making->anyhow)
		cert = cert_anyhow(making, &from);
	else if (!cert && lenient)
		cert = tls_cert_stand_in(&from, making->keys, telling);
	telling->lenient = false;
	if (cert)
		telling->failed = failed;
	return cert;
}

static int certs_make(struct making *making, struct rules *rules, size_t number)
{
	const struct tls_settings *settings = rules->settings;
	int result = 0;
	rules->certs = must_zalloc((settings->pair_count + 1) * sizeof(rules->certs[0]));
	for (size_t i = 0; i < settings->pair_count; i++) {
		const struct tls_pair *pair = &settings->pairs[i];
		struct tls_cert *cert = rules->certs[i] = cert_known(making, pair);
		if (cert)
			continue;
		cert = making->old ? cert_renew(making, pair, making->old->rules[number].certs[i])
				   : cert_make(making, pair);
		rules->certs[i] = cert;
		if (cert)
			table_add(&making->known, &cert->entry, files_hash(pair));
		else
			result = -1;
	}
	return result;
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

static void take_authorities(struct making *making, struct rules *rules, size_t number)
{
	const struct tls_change *change = change_of(making, rules->settings->client_ca_path);
	struct slice now = rules->settings->client_ca;
	if (change)
		now = change->bytes;
	else if (making->old)
		now = (struct slice){making->old->rules[number].client_ca.ptr,
			making->old->rules[number].client_ca.len};
	buffer_slice(&rules->client_ca, now);
}

static int rules_make(struct tls_store *store, struct making *making, size_t number)
{
	struct rules *rules = &store->rules[number];
	struct tls_telling *telling = &making->telling;
	telling->rules = rules->settings;
	telling->pair = NULL;
	take_authorities(making, rules, number);
	int result = tls_priorities_make(rules, telling);
	if (certs_make(making, rules, number))
		return -1;
	if (rules->settings->pair_count == 0 || !in_use(store->snapshot, rules->settings))
		return result;
	return tls_contexts_make(rules, telling) ? -1 : result;
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

static struct tls_store *make(const struct snapshot *snapshot, struct making *making)
{
	struct tls_store *store = store_new(snapshot);
	int result = 0;
	table_init(&making->known, snapshot->tls_count);
	for (size_t i = 0; i < snapshot->tls_count; i++)
		store->rules[i].settings = &snapshot->tls[i];
	for (size_t i = 0; i < snapshot->tls_count; i++)
		if (rules_make(store, making, i))
			result = -1;
	table_done(&making->known);
	listeners_make(store);
	if (result == 0)
		return store;
	store_free(store);
	return NULL;
}

struct tls_store *tls_store_make(
	const struct snapshot *snapshot, struct tls_keys *keys, tls_fault_fn *fault, void *context)
{
	struct making making = {.keys = keys, .telling = {.fault = fault, .context = context}};
	return make(snapshot, &making);
}

struct tls_store *tls_store_make_anyhow(const struct snapshot *snapshot, struct tls_keys *keys,
	const struct tls_change *newer, size_t newer_count, tls_fault_fn *fault, void *context)
{
	struct making making = {.keys = keys,
		.telling = {.fault = fault, .context = context},
		.anyhow = true,
		.newer = newer,
		.newer_count = newer_count};
	return make(snapshot, &making);
}

struct tls_store *tls_store_renew(const struct tls_store *old, const struct tls_change *changes,
	size_t count, struct tls_keys *keys, tls_fault_fn *fault, void *context)
{
	struct making making = {.keys = keys,
		.telling = {.fault = fault, .context = context},
		.old = old,
		.changes = changes,
		.change_count = count};
	return make(old->snapshot, &making);
}

int tls_pair_check(const struct tls_pair *pair, struct slice certificate, struct slice ocsp,
	struct tls_keys *keys, tls_fault_fn *fault, void *context)
{
	struct tls_bytes_of from = {pair, certificate, ocsp};
	struct tls_telling telling = {.fault = fault, .context = context};
	struct tls_cert *cert = tls_cert_make(&from, keys, &telling);
	tls_cert_put(cert);
	return cert ? 0 : -1;
}

bool tls_store_stands_in(const struct tls_store *store, const struct tls_pair *pair)
{
	for (size_t i = 0; i < store->snapshot->tls_count; i++) {
		const struct rules *rules = &store->rules[i];
		for (size_t k = 0; k < rules->settings->pair_count; k++)
			if (rules->certs[k]->pair == pair && rules->certs[k]->stand_in)
				return true;
	}
	return false;
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

bool tls_store_covers(
	const struct tls_store *store, const struct tls_settings *rules, struct slice host)
{
	const struct rules *own = &store->rules[rules->index];
	for (size_t i = 0; i < rules->pair_count; i++)
		if (tls_cert_covers(own->certs[i], host) != TLS_COVER_NOT)
			return true;
	return false;
}

static void tell_facts(const struct tls_cert *cert, tls_visit_fn *visit, void *context)
{
	struct tls_certificate_facts facts = {.pair = cert->pair,
		.subject = cert->subject,
		.names = cert->names,
		.name_count = cert->name_count,
		.issuer = cert->issuer,
		.kind = gnutls_pk_algorithm_get_name((gnutls_pk_algorithm_t)cert->algorithm),
		.begins = cert->begins,
		.ends = cert->ends,
		.self_signed = gnutls_x509_crt_check_issuer(cert->leaf, cert->leaf),
		.stand_in = cert->stand_in,
		.ocsp = cert->ocsp.len > 0,
		.ocsp_ends = cert->ocsp_ends};
	visit(context, &facts);
}

struct told {
	const struct tls_cert *cert;
	size_t order;
};

static int by_certificate(const void *left, const void *right)
{
	const struct told *a = left, *b = right;
	if (a->cert != b->cert)
		return a->cert < b->cert ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

static int by_order(const void *left, const void *right)
{
	const struct told *a = left, *b = right;
	return a->order < b->order ? -1 : a->order > b->order;
}

void tls_context_each(const struct tls_context *context, tls_visit_fn *visit, void *opaque)
{
	const struct context *own = (const void *)context;
	for (size_t i = 0; i < own->count; i++)
		tell_facts(own->certs[i], visit, opaque);
}

void tls_store_each(const struct tls_store *store, tls_visit_fn *visit, void *context)
{
	struct buffer list = {0};
	size_t count = 0, kept = 0;
	for (size_t i = 0; i < store->snapshot->tls_count; i++) {
		const struct rules *rules = &store->rules[i];
		for (size_t k = 0; rules->fallback && k < rules->settings->pair_count; k++) {
			struct told one = {rules->certs[k], count++};
			buffer_append(&list, &one, sizeof(one));
		}
	}
	struct told *all = (void *)list.ptr;
	if (count > 0)
		qsort(all, count, sizeof(all[0]), by_certificate);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || all[kept - 1].cert != all[i].cert)
			all[kept++] = all[i];
	if (kept > 0)
		qsort(all, kept, sizeof(all[0]), by_order);
	for (size_t i = 0; i < kept; i++)
		tell_facts(all[i].cert, visit, context);
	buffer_free(&list);
}
