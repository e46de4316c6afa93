/* SPDX-License-Identifier: BSD-2-Clause */
/* Certificates while a configuration is loaded. */
#include "io/tls_load.h"

#include <sys/stat.h>

#include "base/check.h"
#include "io/tls_cert.h"

struct loading {
	struct load *load;
	struct snapshot *snapshot;
	const struct tls_store *store;
	bool *https; /* by site: does it listen for https? */
	int result;
};

static void find_https(struct loading *loading, struct arena *arena)
{
	const struct snapshot *snapshot = loading->snapshot;
	loading->https = arena_zalloc(arena, snapshot->site_count + 1);
	for (size_t i = 0; i < snapshot->listener_count; i++) {
		const struct listener_settings *listener = &snapshot->listeners[i];
		for (size_t k = 0; listener->scheme == SCHEME_HTTPS && k < listener->site_count;
			k++)
			loading->https[listener->sites[k] - snapshot->sites] = true;
	}
}

/* The sites that have the rules and listen for https, one after the other. */
static const struct site *next_site(
	const struct loading *loading, const struct tls_settings *rules, const struct site *after)
{
	const struct snapshot *snapshot = loading->snapshot;
	size_t i = after ? (size_t)(after - snapshot->sites) + 1 : 0;
	for (; i < snapshot->site_count; i++)
		if (snapshot->sites[i].tls == rules && loading->https[i])
			return &snapshot->sites[i];
	return NULL;
}

static const struct node *place(const struct loading *loading, const struct tls_settings *rules,
	const struct tls_pair *pair, const char *key)
{
	const struct node *fallback = load_root(loading->load);
	if (pair && pair->node) {
		const struct node *found = key ? node_member(pair->node, key) : NULL;
		return found ? found : pair->node;
	}
	if (!rules || !key)
		return fallback;
	/* what a site does not name, the file has named */
	const struct node *own = rules->node ? node_member(rules->node, key) : NULL;
	return own ? own : tls_node(&loading->snapshot->tls[0], key, fallback);
}

static void on_fault(void *context, const struct tls_settings *rules, const struct tls_pair *pair,
	const char *key, bool warning, const char *text)
{
	struct loading *loading = context;
	const struct node *node = place(loading, rules, pair, key);
	if (warning)
		load_warn(loading->load, node, "%s", text);
	else
		loading->result = load_error(loading->load, node, "%s", text);
}

/* Keys are for who signs with them. */
static void look_at_key(struct loading *loading, const struct tls_pair *pair)
{
	struct stat st;
	if (stat(pair->key_path.ptr, &st) || !(st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)))
		return;
	load_warn(loading->load, place(loading, NULL, pair, "key"),
		"the key %s may be %s by others than its owner: chmod 600 %s", pair->key_path.ptr,
		st.st_mode & S_IROTH ? "read" : "written", pair->key_path.ptr);
}

static bool covers_any(const struct loading *loading, const struct tls_settings *rules,
	const struct tls_certificate_facts *facts)
{
	struct tls_cert names = {
		.names = (struct slice *)(uintptr_t)facts->names, .name_count = facts->name_count};
	bool any = false;
	for (const struct site *site = NULL; (site = next_site(loading, rules, site));) {
		for (size_t i = 0; i < site->host_count; i++)
			if (tls_cert_covers(&names, site->hosts[i]) != TLS_COVER_NOT)
				return true;
		any |= site->host_count == 0;
	}
	return any; /* a site without host takes any */
}

/* A certificate for other names than those of all sites that have it. */
static void look_at_names(void *context, const struct tls_certificate_facts *facts)
{
	struct loading *loading = context;
	const struct snapshot *snapshot = loading->snapshot;
	if (facts->stand_in || facts->name_count == 0)
		return;
	for (size_t i = 0; i < snapshot->tls_count; i++) {
		const struct tls_settings *rules = &snapshot->tls[i];
		for (size_t k = 0; k < rules->pair_count; k++)
			if (slice_equal(rules->pairs[k].certificate_path,
				    facts->pair->certificate_path) &&
				covers_any(loading, rules, facts))
				return;
	}
	load_warn(loading->load, place(loading, NULL, facts->pair, "certificate"),
		"the certificate %s is for no host of the sites that have it: it is for %s%s",
		facts->pair->certificate_path.ptr, facts->names[0].ptr,
		facts->name_count > 1 ? " and others" : "");
}

static const struct node *host_node(const struct site *site, size_t index)
{
	const struct node *host = node_member(site->scope.node, "host");
	if (!host)
		return site->scope.node;
	return node_kind(host) == NODE_LIST && index < node_count(host) ? node_item(host, index)
									: host;
}

/* A host for which clients would be shown a certificate of another one. */
static void look_at_hosts(struct loading *loading, const struct tls_settings *rules)
{
	for (const struct site *site = NULL; (site = next_site(loading, rules, site));) {
		for (size_t i = 0; i < site->host_count; i++)
			if (!tls_store_covers(loading->store, rules, site->hosts[i]))
				load_warn(loading->load, host_node(site, i),
					"no certificate of this site is for \"%s\": clients refuse "
					"the one that they are shown",
					site->hosts[i].ptr);
	}
}

bool tls_wanted(const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->listener_count; i++)
		if (snapshot->listeners[i].scheme == SCHEME_HTTPS)
			return true;
	return false;
}

static void look_around(struct loading *loading)
{
	const struct snapshot *snapshot = loading->snapshot;
	for (size_t i = 0; i < snapshot->tls_count; i++) {
		const struct tls_settings *rules = &snapshot->tls[i];
		bool inherited = i > 0 && rules->pairs == snapshot->tls[0].pairs;
		for (size_t k = 0; !inherited && k < rules->pair_count; k++)
			look_at_key(loading, &rules->pairs[k]);
		if (loading->store)
			look_at_hosts(loading, rules);
	}
	if (loading->store)
		tls_store_each(loading->store, look_at_names, loading);
}

/* A certificate that could not be read: that was told then. */
static bool lacks_any(const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->tls_count; i++)
		for (size_t k = 0; k < snapshot->tls[i].pair_count; k++)
			if (!snapshot->tls[i].pairs[k].certificate.ptr)
				return true;
	return false;
}

static void note_refused(struct snapshot *snapshot)
{
	struct tls_settings *all = (struct tls_settings *)(uintptr_t)snapshot->tls;
	for (size_t i = 0; i < snapshot->tls_count; i++)
		all[i].refused = tls_refused(&all[i]);
}

int tls_load(struct load *load, struct snapshot *snapshot, struct tls_keys *keys,
	const struct tls_change *newer, size_t newer_count, struct tls_store **store)
{
	struct loading loading = {.load = load, .snapshot = snapshot};
	*store = NULL;
	if (lacks_any(snapshot))
		return -1;
	note_refused(snapshot);
	if (tls_obtain(load, snapshot, tls_pem_covers))
		loading.result = -1;
	struct tls_store *made = load_is_replay(load)
					 ? tls_store_make_anyhow(snapshot, keys, newer, newer_count,
						   on_fault, &loading)
					 : tls_store_make(snapshot, keys, on_fault, &loading);
	if (!made && loading.result == 0)
		loading.result =
			load_error(load, load_root(load), "the certificates cannot be used");
	loading.store = made;
	if (!load_is_replay(load)) {
		find_https(&loading, load_arena(load));
		look_around(&loading);
	}
	if (loading.result == 0 && tls_wanted(snapshot))
		*store = made;
	else
		tls_store_put(made);
	return loading.result;
}

int tls_look(struct load *load, struct snapshot *snapshot, struct tls_store **store)
{
	*store = NULL;
	note_refused(snapshot);
	if (lacks_any(snapshot) || !tls_wanted(snapshot) ||
		tls_obtain(load, snapshot, tls_pem_covers))
		return 0;
	*store = tls_store_make_anyhow(snapshot, tls_keys_here(), NULL, 0, NULL, NULL);
	return 0;
}
