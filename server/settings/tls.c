/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of `tls:`, and the files that they name. What is in those files, io/tls_load looks at. */
#include "settings/tls.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "settings/load.h"

#ifndef WEIR_LOCALSTATEDIR
#define WEIR_LOCALSTATEDIR "/var"
#endif

enum { PAIRS_MAX = 10000 };

#define AT(member)      offsetof(struct tls_settings, member)
#define IN_PAIR(member) offsetof(struct tls_pair, member)

static const char *const version_words[] = {"1.2", "1.3", NULL};
static const char *const auth_words[] = {"off", "optional", "required", NULL};

static const struct option pair_rows[] = {
	{.name = "certificate",
		.type = OPTION_PATH,
		.flags = OPTION_REQUIRED,
		.offset = IN_PAIR(certificate_path),
		.example = "example.pem",
		.prose = "A file in PEM: the certificate, then those that lead from it to an "
			 "authority."},
	{.name = "key",
		.type = OPTION_PATH,
		.flags = OPTION_REQUIRED,
		.offset = IN_PAIR(key_path),
		.example = "example.key",
		.prose = "The file of its private key, in PEM, which only root need be able to "
			 "read: ECDSA (P-256, P-384), Ed25519, or RSA of 2048 bits or more."},
	{.name = "ocsp",
		.type = OPTION_PATH,
		.offset = IN_PAIR(ocsp_path),
		.example = "example.ocsp",
		.prose = "A file with the authority's response (OCSP, DER) that the certificate is "
			 "not revoked; it is shown to clients until it expires."},
	{0},
};

static const struct option acme_rows[] = {
	{.name = "email",
		.type = OPTION_STRING,
		.offset = AT(acme.email),
		.example = "me@example.com",
		.prose = "Whom the authority may write to."},
	{.name = "directory",
		.type = OPTION_STRING,
		.offset = AT(acme.directory),
		.preset = "https://acme-v02.api.letsencrypt.org/directory",
		.example = "https://acme-staging-v02.api.letsencrypt.org/directory",
		.prose = "The URL of the authority's directory."},
	{.name = "names",
		.type = OPTION_STRINGS,
		.offset = AT(acme.names),
		.preset = "auto",
		.example = "[example.com, www.example.com]",
		.prose = "The hosts that the certificate is for. auto: for each site that listens "
			 "for https one with all its hosts that no certificate of the "
			 "configuration covers; a name with a star cannot be had in this way."},
	{.name = "path",
		.type = OPTION_PATH,
		.offset = AT(acme.path),
		.example = "/var/lib/weir/acme",
		.prose = "Where account, keys and certificates are kept: below the state folder of "
			 "weir, or of the user who starts it."},
	{.name = "ca",
		.type = OPTION_PATH,
		.offset = AT(acme.ca),
		.example = "ca.pem",
		.prose = "A file of authorities that are believed when the directory is asked, in "
			 "place of the system's."},
	{0},
};

static int read_pairs(struct load *load, const struct node *node, void *target);

const struct option tls_rows[] = {
	{.name = "certificates",
		.type = OPTION_CUSTOM,
		.flags = OPTION_ITEMS,
		.offset = AT(pairs),
		.rows = pair_rows,
		.parse = read_pairs,
		.example = "[{ certificate: example.pem, key: example.key }]",
		.prose =
			"Certificates with their keys, one or several. By the name that a client "
			"says one is chosen that covers it, an exact name before one with a star, "
			"else the first; of an RSA and an ECDSA certificate for one name the one "
			"that the client can verify, ECDSA before RSA. Files that change are taken "
			"up by themselves, when all of a pair is there and fits."},
	{.name = "min_version",
		.type = OPTION_ENUM,
		.offset = AT(min_version),
		.words = version_words,
		.preset = "1.2",
		.example = "\"1.3\"",
		.prose = "The oldest version of TLS that is spoken."},
	{.name = "priorities",
		.type = OPTION_STRING,
		.offset = AT(priorities),
		.preset = "default",
		.example = "modern",
		.prose = "Which ciphers and groups: default (TLS 1.2 and 1.3 with forward secrecy "
			 "and authenticated encryption), modern (TLS 1.3 only), or a priority "
			 "string of GnuTLS."},
	{.name = "client_auth",
		.type = OPTION_ENUM,
		.offset = AT(client_auth),
		.words = auth_words,
		.preset = "off",
		.example = "required",
		.prose = "Whether clients are asked for a certificate, and whether one that has "
			 "none is let in. One that is shown must be of an authority in client_ca. "
			 "Backends are told of it in Client-Cert, X-Client-Subject and "
			 "X-Client-Verify."},
	{.name = "client_ca",
		.type = OPTION_PATH,
		.offset = AT(client_ca_path),
		.example = "clients.pem",
		.prose = "A file of the authorities, in PEM, whose clients are let in."},
	{.name = "acme",
		.type = OPTION_GROUP,
		.flags = OPTION_ON | OPTION_OFF,
		.switch_offset = AT(acme.on),
		.preset = "off",
		.rows = acme_rows,
		.example = "{ email: me@example.com }",
		.prose = "Certificates are obtained and renewed by weir itself, from an authority "
			 "that speaks ACME (RFC 8555) and asks at port 80 whether the host is "
			 "ours."},
	{0},
};

static const struct node *member_or(
	const struct node *mapping, const char *key, const struct node *other)
{
	const struct node *found =
		mapping && mapping->kind == NODE_MAPPING ? node_member(mapping, key) : NULL;
	return found ? found : other;
}

/* A file that may come later. */
static struct slice read_if_there(
	struct load *load, const struct node *node, struct slice path, bool *missing)
{
	struct slice contents = {NULL, 0};
	int error = kept_read(&load->kept, KEPT_FILE, load_arena(load), path, &contents);
	*missing = error == ENOENT;
	if (error && error != ENOENT)
		load_error(load, node, "cannot read %.*s: %s", (int)path.len, path.ptr,
			strerror(error));
	return error ? (struct slice){NULL, 0} : contents;
}

static int read_pair(struct load *load, const struct node *node, struct tls_pair *pair)
{
	bool missing;
	if (load_rows(load, node, pair_rows, pair))
		return -1;
	pair->node = node;
	pair->certificate =
		load_file(load, node_member(node, "certificate"), pair->certificate_path);
	if (pair->ocsp_path.ptr) {
		const struct node *ocsp = node_member(node, "ocsp");
		pair->ocsp = read_if_there(load, ocsp, pair->ocsp_path, &missing);
		if (missing)
			load_warn(load, ocsp, "%s is not there yet: nothing is stapled until it is",
				pair->ocsp_path.ptr);
	}
	return pair->certificate.ptr ? 0 : -1;
}

static int read_pairs(struct load *load, const struct node *node, void *target)
{
	struct tls_settings *tls = container_of(target, struct tls_settings, pairs);
	bool list = node->kind == NODE_LIST;
	size_t count = list ? node->count : 1;
	int result = 0;
	tls->pair_count = 0;
	if (count > PAIRS_MAX)
		return load_error(load, node, "more than %d certificates", PAIRS_MAX);
	tls->pairs = arena_zalloc(load_arena(load), (count + 1) * sizeof(tls->pairs[0]));
	for (size_t i = 0; i < count; i++) {
		const struct node *item = list ? node->items[i] : node;
		/* counted also where it is wrong: that there is none would be said in vain */
		if (read_pair(load, item, &tls->pairs[tls->pair_count++]))
			result = -1;
	}
	return result;
}

void tls_preset(struct load *load, struct tls_settings *tls)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	struct arena *arena = load_arena(load);
	tls->priorities = (struct slice){NULL, 0};
	if (load->unprivileged && data && data[0] == '/')
		tls->acme.path = arena_format(arena, "%s/weir/acme", data);
	else if (load->unprivileged && home && home[0] == '/')
		tls->acme.path = arena_format(arena, "%s/.local/share/weir/acme", home);
	else /* never below /tmp, where anybody may have been before */
		tls->acme.path = SLICE(WEIR_LOCALSTATEDIR "/lib/weir/acme");
}

static int check_client_auth(
	struct load *load, const struct node *mapping, const struct tls_settings *tls)
{
	if (tls->client_auth != CLIENT_AUTH_OFF && !tls->client_ca_path.ptr)
		return load_error(load, member_or(mapping, "client_auth", mapping),
			"client_auth needs to know whose clients to let in: write client_ca: "
			"clients.pem");
	const struct node *ca = member_or(mapping, "client_ca", NULL);
	if (ca && tls->client_auth == CLIENT_AUTH_OFF)
		load_warn(load, ca,
			"client_ca is not used: client_auth is off; write client_auth: required, or "
			"optional");
	return 0;
}

static int check_acme(struct load *load, const struct node *mapping, const struct tls_settings *tls)
{
	const struct node *acme = member_or(mapping, "acme", mapping);
	const struct acme_settings *settings = &tls->acme;
	const struct node *directory = member_or(acme, "directory", acme);
	int result = 0;
	if (!slice_starts(settings->directory, SLICE("https://")))
		result = load_error(load, directory,
			"\"directory\" wants a URL that begins with https://, not \"%s\"",
			settings->directory.ptr);
	if (settings->email.ptr && !memchr(settings->email.ptr, '@', settings->email.len))
		result = load_error(load, member_or(acme, "email", acme),
			"\"%s\" is no address for mail: write one such as me@example.com",
			settings->email.ptr);
	const struct node *names = member_or(acme, "names", acme);
	for (size_t i = 0; i < settings->names.count; i++) {
		char lower[256];
		const char *expected;
		struct slice *name = &settings->names.items[i];
		const struct node *node = names->kind == NODE_LIST ? names->items[i] : names;
		if (settings->names.count == 1 && slice_equal(*name, SLICE("auto")))
			continue;
		if (value_host(*name, lower, &expected)) {
			result = load_error(load, node, "\"%s\" is no host: write %s, or auto",
				name->ptr, expected);
		} else if (lower[0] == '*') {
			result = load_error(load, node,
				"\"%s\" cannot be had: the authority asks at port 80 of each name, "
				"write the names one by one",
				name->ptr);
		} else {
			*name = arena_slice(load_arena(load), slice_of(lower));
		}
	}
	return result;
}

int tls_settle(struct load *load, const struct node *mapping, struct tls_settings *tls)
{
	int result = 0;
	if (mapping->kind != NODE_MAPPING)
		return 0; /* told already, or empty */
	tls->node = mapping;
	if (slice_equal(tls->priorities, SLICE("default")))
		tls->priorities = (struct slice){NULL, 0};
	const struct node *ca = node_member(mapping, "client_ca");
	if (ca && tls->client_ca_path.ptr) {
		tls->client_ca = load_file(load, ca, tls->client_ca_path);
		result = tls->client_ca.ptr ? 0 : -1;
	}
	if (check_client_auth(load, mapping, tls))
		result = -1;
	if (node_member(mapping, "acme") && tls->acme.on && check_acme(load, mapping, tls))
		result = -1;
	return result;
}

const struct node *tls_node(
	const struct tls_settings *tls, const char *key, const struct node *fallback)
{
	return member_or(tls->node, key, tls->node ? tls->node : fallback);
}

void tls_forget_nodes(struct snapshot *snapshot)
{
	struct tls_settings *all = (struct tls_settings *)(uintptr_t)snapshot->tls;
	for (size_t i = 0; i < snapshot->tls_count; i++) {
		all[i].node = NULL;
		for (size_t k = 0; k < all[i].pair_count; k++)
			all[i].pairs[k].node = NULL;
	}
}
