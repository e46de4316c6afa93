/* SPDX-License-Identifier: BSD-2-Clause */
/* Which certificates weir is to obtain by itself: pairs that stand among the others, and may be missing yet. */
#include <errno.h>

#include "base/check.h"
#include "settings/load.h"
#include "settings/tls.h"

struct acme {
	struct load *load;
	struct tls_settings *rules;
	tls_covers_fn *covers;
};

static bool is_auto(const struct tls_settings *rules)
{
	return rules->acme.names.count == 1 &&
	       slice_equal(rules->acme.names.items[0], SLICE("auto"));
}

static bool is_covered(const struct acme *acme, struct slice host)
{
	for (size_t i = 0; i < acme->rules->pair_count; i++) {
		const struct tls_pair *pair = &acme->rules->pairs[i];
		for (size_t k = 0; pair->acme && k < pair->name_count; k++)
			if (slice_equal(pair->names[k], host))
				return true;
		if (!pair->acme && acme->covers(pair->certificate, host))
			return true;
	}
	return false;
}

/* What was obtained before, if it was: by a weir before this one, or on another machine. */
static struct slice obtained(struct acme *acme, const struct node *node, struct slice path)
{
	struct slice contents = {NULL, 0};
	struct load *load = acme->load;
	int error = kept_read(&load->kept, KEPT_FILE, load_arena(load), path, &contents);
	if (error && error != ENOENT)
		load_warn(load, node, "cannot read %s: %s", path.ptr, strerror(error));
	return error ? (struct slice){NULL, 0} : contents;
}

static void add_pair(struct acme *acme, const struct slice *names, size_t count)
{
	struct arena *arena = load_arena(acme->load);
	struct tls_settings *rules = acme->rules;
	struct tls_pair *pairs = arena_alloc(arena, (rules->pair_count + 1) * sizeof(pairs[0]));
	if (rules->pair_count > 0)
		memcpy(pairs, rules->pairs, rules->pair_count * sizeof(pairs[0]));
	struct tls_pair *pair = &pairs[rules->pair_count++];
	rules->pairs = pairs;
	*pair = (struct tls_pair){
		.acme = true, .name_count = count, .node = tls_node(rules, "acme", rules->node)};
	pair->names = arena_alloc(arena, count * sizeof(names[0]));
	memcpy(pair->names, names, count * sizeof(names[0]));
	/* as uacme lays them out */
	pair->certificate_path =
		arena_format(arena, "%s/%s/cert.pem", rules->acme.path.ptr, names[0].ptr);
	pair->key_path =
		arena_format(arena, "%s/private/%s/key.pem", rules->acme.path.ptr, names[0].ptr);
	pair->certificate = obtained(acme, pair->node, pair->certificate_path);
}

/* RFC 8555, 7.1.3 leaves it to the authority; none certifies what no other machine could look up, and a name is a folder here. */
bool tls_obtainable(struct slice name)
{
	bool dot = false, letter = false;
	if (name.len == 0 || name.len > 253)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i], small = (char)(c | 0x20);
		bool first = i == 0 || name.ptr[i - 1] == '.', digit = c >= '0' && c <= '9';
		if (c == '.' && (first || i + 1 == name.len))
			return false;
		dot |= c == '.';
		letter |= small >= 'a' && small <= 'z';
		if (c != '.' && !digit && !(small >= 'a' && small <= 'z') && (c != '-' || first))
			return false;
	}
	return dot && letter;
}

/* All hosts of the site that no certificate covers. */
static int obtain_for(struct acme *acme, const struct site *site)
{
	struct buffer list = {0};
	const struct node *node = tls_node(acme->rules, "acme", site->scope.node);
	int result = 0;
	for (size_t i = 0; i < site->host_count; i++) {
		struct slice host = site->hosts[i];
		if (is_covered(acme, host))
			continue;
		if (host.ptr[0] == '*')
			load_warn(acme->load, node,
				"no certificate for \"%s\" is obtained: the authority asks at port "
				"80 of each name; write the names one by one under host, or a "
				"certificate under certificates",
				host.ptr);
		else if (!tls_obtainable(host))
			load_warn(acme->load, node,
				"no certificate for \"%s\" is obtained: authorities certify names with "
				"a dot, of letters, digits and hyphens",
				host.ptr);
		else
			buffer_append(&list, &host, sizeof(host));
	}
	size_t count = list.len / sizeof(struct slice);
	for (size_t at = 0; at < count; at += TLS_NAMES_MAX)
		add_pair(acme, (const struct slice *)(const void *)list.ptr + at,
			count - at < TLS_NAMES_MAX ? count - at : TLS_NAMES_MAX);
	buffer_free(&list);
	if (acme->rules->pair_count == 0)
		result = load_error(acme->load, site->scope.node,
			"there is no name for which acme could obtain a certificate: write host: "
			"example.com, or acme: { names: [example.com] }");
	return result;
}

int tls_obtain(struct load *load, struct snapshot *snapshot, tls_covers_fn *covers)
{
	struct tls_settings *all = (struct tls_settings *)(uintptr_t)snapshot->tls;
	int result = 0;
	for (size_t i = 0; i < snapshot->tls_count; i++) {
		struct acme acme = {load, &all[i], covers};
		if (all[i].acme.on && !is_auto(&all[i]) && all[i].acme.names.count > 0)
			add_pair(&acme, all[i].acme.names.items, all[i].acme.names.count);
	}
	for (size_t i = 0; i < snapshot->site_count; i++) {
		const struct site *site = &snapshot->sites[i];
		struct acme acme = {load, &all[site->tls ? site->tls->index : 0], covers};
		if (acme.rules->acme.on && is_auto(acme.rules) && site_has_https(snapshot, site) &&
			obtain_for(&acme, site))
			result = -1;
	}
	return result;
}
