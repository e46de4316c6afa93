/* SPDX-License-Identifier: BSD-2-Clause */
/* Which certificates a client is shown, by the name that it says and by what it can verify. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "io/tls_cred.h"
#include "tls_made.h"

static char folder[256];

static int begin(void **state)
{
	(void)state;
	made_folder(folder);
	return 0;
}

static int end(void **state)
{
	(void)state;
	made_remove(folder);
	return 0;
}

static void save(const char *name, struct made_wish wish)
{
	struct made made;
	made_make(&made, &wish);
	made_save(folder, name, &made);
	made_free(&made);
}

static void unexpected(void *context, const struct tls_settings *rules, const struct tls_pair *pair,
	const char *key, bool warning, const char *text)
{
	(void)context;
	(void)key;
	(void)rules;
	(void)pair;
	fail_msg("%s: %s", warning ? "warning" : "fault", text);
}

static struct tls_store *make(const struct snapshot *snapshot)
{
	struct tls_store *store = tls_store_make(snapshot, tls_keys_here(), unexpected, NULL);
	assert_non_null(store);
	return store;
}

/* --- Two ends in memory. --- */

struct pipe {
	unsigned char bytes[65536];
	size_t begin, end;
};

struct end {
	gnutls_session_t session;
	struct pipe *in, *out;
};

static ssize_t push(gnutls_transport_ptr_t context, const void *bytes, size_t length)
{
	struct end *end = context;
	check(length <= sizeof(end->out->bytes) - end->out->end);
	memcpy(end->out->bytes + end->out->end, bytes, length);
	end->out->end += length;
	return (ssize_t)length;
}

static ssize_t pull(gnutls_transport_ptr_t context, void *to, size_t size)
{
	struct end *end = context;
	size_t there = end->in->end - end->in->begin;
	if (there == 0) {
		gnutls_transport_set_errno(end->session, EAGAIN);
		return -1;
	}
	size = size < there ? size : there;
	memcpy(to, end->in->bytes + end->in->begin, size);
	end->in->begin += size;
	return (ssize_t)size;
}

static void end_init(
	struct end *end, unsigned flags, const char *priorities, struct pipe *in, struct pipe *out)
{
	check(gnutls_init(&end->session, flags | GNUTLS_NONBLOCK) == 0);
	if (priorities)
		check(gnutls_priority_set_direct(end->session, priorities, NULL) == 0);
	end->in = in;
	end->out = out;
	gnutls_transport_set_ptr(end->session, end);
	gnutls_transport_set_push_function(end->session, push);
	gnutls_transport_set_pull_function(end->session, pull);
}

/* The first name of the certificate that a client with these priorities is shown, and its algorithm; NULL: there is no agreement. */
static const char *shown_to(const struct tls_context *context, const char *priorities,
	gnutls_certificate_credentials_t mine, int *algorithm)
{
	static char name[256];
	static struct pipe up, down;
	struct end client, server;
	int a = GNUTLS_E_AGAIN, b = GNUTLS_E_AGAIN;
	up.begin = up.end = down.begin = down.end = 0;
	end_init(&client, GNUTLS_CLIENT, priorities, &down, &up);
	end_init(&server, GNUTLS_SERVER, NULL, &up, &down);
	gnutls_credentials_set(client.session, GNUTLS_CRD_CERTIFICATE, mine);
	gnutls_priority_set(server.session, context->priorities);
	gnutls_credentials_set(server.session, GNUTLS_CRD_CERTIFICATE, context->credentials);
	if (context->rules->client_auth != CLIENT_AUTH_OFF)
		gnutls_certificate_server_set_request(server.session,
			context->rules->client_auth == CLIENT_AUTH_REQUIRED ? GNUTLS_CERT_REQUIRE
									    : GNUTLS_CERT_REQUEST);
	for (int i = 0; i < 20 && (a != 0 || b != 0); i++) {
		if (a != 0)
			a = gnutls_handshake(client.session);
		if (b != 0)
			b = gnutls_handshake(server.session);
		if ((a && gnutls_error_is_fatal(a)) || (b && gnutls_error_is_fatal(b)))
			break;
	}
	const char *result = NULL;
	if (a == 0 && b == 0) {
		unsigned count;
		size_t size = sizeof(name);
		const gnutls_datum_t *chain = gnutls_certificate_get_peers(client.session, &count);
		gnutls_x509_crt_t leaf;
		check(chain && gnutls_x509_crt_init(&leaf) == 0);
		check(gnutls_x509_crt_import(leaf, chain, GNUTLS_X509_FMT_DER) == 0);
		check(gnutls_x509_crt_get_dn_by_oid(
			      leaf, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size) == 0);
		if (algorithm)
			*algorithm = gnutls_x509_crt_get_pk_algorithm(leaf, NULL);
		gnutls_x509_crt_deinit(leaf);
		result = name;
	}
	gnutls_deinit(client.session);
	gnutls_deinit(server.session);
	return result;
}

static const char *shown(const struct tls_context *context)
{
	gnutls_certificate_credentials_t mine;
	check(gnutls_certificate_allocate_credentials(&mine) == 0);
	const char *name = shown_to(context, "NORMAL", mine, NULL);
	gnutls_certificate_free_credentials(mine);
	return name;
}

/* --- Names. --- */

static void names_lead_to_certificates(void **state)
{
	(void)state;
	save("a", (struct made_wish){.names = {"a.test", "www.a.test"}});
	save("star", (struct made_wish){.names = {"*.b.test"}});
	save("own", (struct made_wish){.names = {"own.test"}});
	struct snapshot *snapshot = made_load(folder,
		"tls: { certificates: [ { certificate: a.pem, key: a.key }, { certificate: star.pem, key: star.key } ] }\n"
		"sites:\n"
		"  - { host: [a.test, www.a.test, one.b.test], listen: \"https://:8443\" }\n"
		"  - { host: \"*.b.test\", listen: \"https://:8443\" }\n"
		"  - { host: own.test, listen: \"https://:8443\", tls: { certificates: { certificate: own.pem, key: own.key } } }\n");
	struct tls_store *store = make(snapshot);
	static const struct {
		const char *said, *shown;
	} rows[] = {{"a.test", "a.test"}, {"WWW.A.test", "a.test"}, {"a.test.", "a.test"},
		{"one.b.test", "*.b.test"}, {"two.b.test", "*.b.test"}, {"own.test", "own.test"},
		{"other.test", "a.test"}, {"x.y.b.test", "a.test"}, {"b.test", "a.test"},
		{"", "a.test"}, {".", "a.test"}, {"..", "a.test"}};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const struct tls_context *context =
			tls_store_find(store, &snapshot->listeners[0], slice_of(rows[i].said));
		assert_string_equal(shown(context), rows[i].shown);
	}
	const struct tls_context *none =
		tls_store_find(store, &snapshot->listeners[0], (struct slice){NULL, 0});
	assert_ptr_equal(none, tls_store_find(store, &snapshot->listeners[0], SLICE("www.a.test")));
	assert_ptr_equal(none->rules, snapshot->sites[0].tls);
	assert_ptr_equal(tls_store_find(store, &snapshot->listeners[0], SLICE("own.test"))->rules,
		snapshot->sites[2].tls);
	tls_store_put(store);
	snapshot_free(snapshot);
}

/* --- Kinds of keys. --- */

#define TWO_KINDS                                                                                                   \
	"tls: { certificates: [ { certificate: rsa.pem, key: rsa.key }, { certificate: ec.pem, key: ec.key } ] }\n" \
	"sites: [ { host: a.test, listen: \"https://:8443\" } ]\n"

static int algorithm_for(const struct tls_context *context, const char *priorities)
{
	gnutls_certificate_credentials_t mine;
	int algorithm = GNUTLS_PK_UNKNOWN;
	check(gnutls_certificate_allocate_credentials(&mine) == 0);
	shown_to(context, priorities, mine, &algorithm);
	gnutls_certificate_free_credentials(mine);
	return algorithm;
}

/* Issue: side by side, chosen by what the client can verify; the faster one where it can do both. */
static void kinds_are_chosen_by_what_the_client_can(void **state)
{
	(void)state;
	save("rsa", (struct made_wish){.names = {"a.test"}, .algorithm = GNUTLS_PK_RSA});
	save("ec", (struct made_wish){.names = {"a.test"}});
	struct snapshot *snapshot = made_load(folder, TWO_KINDS);
	struct tls_store *store = make(snapshot);
	const struct tls_context *context =
		tls_store_find(store, &snapshot->listeners[0], SLICE("a.test"));
	assert_int_equal(algorithm_for(context, "NORMAL"), GNUTLS_PK_ECDSA);
	assert_int_equal(algorithm_for(context, "NORMAL:-VERS-TLS1.3"), GNUTLS_PK_ECDSA);
	assert_int_equal(algorithm_for(context,
				 "NORMAL:-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-SHA256"),
		GNUTLS_PK_RSA);
	/* it could verify both, and has a cipher suite for one alone */
	assert_int_equal(
		algorithm_for(context, "NORMAL:-VERS-TLS1.3:-KX-ALL:+ECDHE-RSA"), GNUTLS_PK_RSA);
	assert_int_equal(algorithm_for(context, "NORMAL:-VERS-TLS1.3:-KX-ALL:+ECDHE-ECDSA"),
		GNUTLS_PK_ECDSA);
	/* what a browser of today must never be offered */
	assert_int_equal(
		algorithm_for(context, "NORMAL:-VERS-ALL:+VERS-TLS1.1"), GNUTLS_PK_UNKNOWN);
	assert_int_equal(
		algorithm_for(context, "NORMAL:-VERS-TLS1.3:-KX-ALL:+RSA"), GNUTLS_PK_UNKNOWN);
	assert_int_equal(algorithm_for(context, "NORMAL:-VERS-TLS1.3:-CIPHER-ALL:+AES-128-CBC"),
		GNUTLS_PK_UNKNOWN);
	tls_store_put(store);
	snapshot_free(snapshot);
}

static void ed25519_is_shown_to_who_knows_it(void **state)
{
	(void)state;
	save("rsa", (struct made_wish){.names = {"a.test"}, .algorithm = GNUTLS_PK_RSA});
	save("ec", (struct made_wish){.names = {"a.test"}, .algorithm = GNUTLS_PK_EDDSA_ED25519});
	struct snapshot *snapshot = made_load(folder, TWO_KINDS);
	struct tls_store *store = make(snapshot);
	const struct tls_context *context =
		tls_store_find(store, &snapshot->listeners[0], SLICE("a.test"));
	assert_int_equal(algorithm_for(context, "NORMAL"), GNUTLS_PK_EDDSA_ED25519);
	assert_int_equal(algorithm_for(context, "NORMAL:-SIGN-EDDSA-ED25519"), GNUTLS_PK_RSA);
	tls_store_put(store);
	snapshot_free(snapshot);
}

/* --- Priorities. --- */

static int with_priorities(const char *words, const char *client)
{
	char text[512];
	snprintf(text, sizeof(text),
		"tls: { %s, certificates: { certificate: a.pem, key: a.key } }\n"
		"sites: [ { host: a.test, listen: \"https://:8443\" } ]\n",
		words);
	save("a", (struct made_wish){.names = {"a.test"}});
	struct snapshot *snapshot = made_load(folder, text);
	struct tls_store *store = make(snapshot);
	int algorithm = algorithm_for(
		tls_store_find(store, &snapshot->listeners[0], SLICE("a.test")), client);
	tls_store_put(store);
	snapshot_free(snapshot);
	return algorithm;
}

static void priorities_are_obeyed(void **state)
{
	static const char old[] = "NORMAL:-VERS-TLS1.3";
	(void)state;
	assert_int_not_equal(with_priorities("priorities: default", old), GNUTLS_PK_UNKNOWN);
	assert_int_equal(with_priorities("priorities: modern", old), GNUTLS_PK_UNKNOWN);
	assert_int_equal(with_priorities("min_version: \"1.3\"", old), GNUTLS_PK_UNKNOWN);
	assert_int_not_equal(with_priorities("priorities: modern", "NORMAL"), GNUTLS_PK_UNKNOWN);
	assert_int_not_equal(with_priorities("priorities: \"NORMAL:-CIPHER-ALL:+AES-128-CBC\"",
				     "NORMAL:-VERS-TLS1.3:-CIPHER-ALL:+AES-128-CBC"),
		GNUTLS_PK_UNKNOWN);
	/* the oldest version holds, whatever the string says */
	assert_int_equal(with_priorities("priorities: \"NORMAL:+VERS-TLS1.1\"",
				 "NORMAL:-VERS-ALL:+VERS-TLS1.1"),
		GNUTLS_PK_UNKNOWN);
	assert_int_equal(with_priorities("priorities: NORMAL, min_version: \"1.3\"", old),
		GNUTLS_PK_UNKNOWN);
}

/* --- Identity: what tickets are bound to. --- */

static void identities_differ_by_who_is_let_in(void **state)
{
	(void)state;
	save("a", (struct made_wish){.names = {"a.test"}});
	save("b", (struct made_wish){.names = {"b.test", "c.test", "d.test"}});
	save("ca", (struct made_wish){.names = {"x"}, .authority = true});
	struct snapshot *snapshot = made_load(folder,
		"tls: { certificates: [ { certificate: a.pem, key: a.key }, { certificate: b.pem, key: b.key } ] }\n"
		"sites:\n"
		"  - { host: [a.test, b.test], listen: \"https://:8443\" }\n"
		"  - { host: c.test, listen: \"https://:8443\", tls: { client_auth: required, client_ca: ca.pem } }\n"
		"  - { host: d.test, listen: \"https://:8443\", tls: { client_auth: optional, client_ca: ca.pem } }\n");
	struct tls_store *one = make(snapshot), *two = make(snapshot);
	const unsigned char *seen[4];
	static const char *const names[] = {"a.test", "b.test", "c.test", "d.test"};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		seen[i] =
			tls_store_find(one, &snapshot->listeners[0], slice_of(names[i]))->identity;
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(seen[i], seen[k], 32);
		/* the same in every worker */
		assert_memory_equal(seen[i],
			tls_store_find(two, &snapshot->listeners[0], slice_of(names[i]))->identity,
			32);
	}
	tls_store_put(one);
	tls_store_put(two);
	snapshot_free(snapshot);
}

/* --- Renewal. --- */

static struct slice read_file(const char *name, struct buffer *to)
{
	char path[600], bytes[8192];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "r");
	check(file);
	to->len = 0;
	buffer_append(to, bytes, fread(bytes, 1, sizeof(bytes), file));
	fclose(file);
	return (struct slice){to->ptr, to->len};
}

static unsigned fault_count;

static void count_faults(void *context, const struct tls_settings *rules,
	const struct tls_pair *pair, const char *key, bool warning, const char *text)
{
	(void)context, (void)rules, (void)pair, (void)key, (void)text;
	fault_count += !warning;
}

static void a_pair_is_renewed_when_it_fits(void **state)
{
	(void)state;
	struct buffer bytes = {0};
	save("a", (struct made_wish){.names = {"a.test"}});
	save("b", (struct made_wish){.names = {"b.test"}});
	struct snapshot *snapshot = made_load(folder,
		"tls: { certificates: [ { certificate: a.pem, key: a.key }, { certificate: b.pem, key: b.key } ] }\n"
		"sites: [ { host: [a.test, b.test], listen: \"https://:8443\" } ]\n");
	const struct listener_settings *listener = &snapshot->listeners[0];
	struct tls_store *old = make(snapshot);
	struct slice path = snapshot->tls->pairs[0].certificate_path;
	struct made next;
	made_make(&next, &(struct made_wish){.names = {"a.test"}, .common_name = "new"});
	made_write(folder, "a.pem", (const char *)next.pem.data, NULL);
	/* the certificate without its key */
	struct tls_change change = {path, read_file("a.pem", &bytes)};
	assert_null(tls_store_renew(old, &change, 1, tls_keys_here(), count_faults, NULL));
	assert_int_equal(fault_count, 1);
	/* cut off, with its key */
	made_write(folder, "a.key", (const char *)next.key_pem.data, NULL);
	change.bytes.len -= 30;
	assert_null(tls_store_renew(old, &change, 1, tls_keys_here(), count_faults, NULL));
	change.bytes = (struct slice){NULL, 0};
	assert_null(tls_store_renew(old, &change, 1, tls_keys_here(), count_faults, NULL));
	assert_int_equal(fault_count, 3);
	/* whole */
	change.bytes = read_file("a.pem", &bytes);
	struct tls_store *new = tls_store_renew(old, &change, 1, tls_keys_here(), unexpected, NULL);
	assert_non_null(new);
	assert_string_equal(shown(tls_store_find(new, listener, SLICE("a.test"))), "new");
	assert_string_equal(shown(tls_store_find(new, listener, SLICE("b.test"))), "b.test");
	/* a connection that has the old one keeps it, and its tickets open the new one */
	const struct tls_context *before = tls_store_find(old, listener, SLICE("a.test"));
	assert_string_equal(shown(before), "a.test");
	assert_memory_equal(
		before->identity, tls_store_find(new, listener, SLICE("a.test"))->identity, 32);
	tls_store_put(old);
	assert_string_equal(shown(tls_store_find(new, listener, SLICE("b.test"))), "b.test");
	tls_store_put(new);
	made_free(&next);
	buffer_free(&bytes);
	snapshot_free(snapshot);
}

/* After a crash somebody must serve, whatever has become of the files. */
static void anyhow_something_is_shown(void **state)
{
	(void)state;
	static const char text[] = "tls: { certificates: { certificate: a.pem, key: a.key } }\n"
				   "sites: [ { host: a.test, listen: \"https://:8443\" } ]\n";
	save("a", (struct made_wish){.names = {"a.test"}});
	struct snapshot *snapshot = made_load(folder, text);
	fault_count = 0;
	/* both files were replaced meanwhile: those of now are taken */
	save("a", (struct made_wish){.names = {"a.test"}, .common_name = "now"});
	assert_null(tls_store_make(snapshot, tls_keys_here(), count_faults, NULL));
	assert_int_equal(fault_count, 1);
	struct tls_store *store =
		tls_store_make_anyhow(snapshot, tls_keys_here(), NULL, 0, count_faults, NULL);
	assert_non_null(store);
	assert_int_equal(fault_count, 1);
	assert_string_equal(
		shown(tls_store_find(store, &snapshot->listeners[0], SLICE("a.test"))), "now");
	tls_store_put(store);
	/* no key at all: one of our own, for the same names */
	made_write(folder, "a.key", "nothing", NULL);
	store = tls_store_make_anyhow(snapshot, tls_keys_here(), NULL, 0, count_faults, NULL);
	assert_non_null(store);
	assert_int_equal(fault_count, 1);
	assert_string_equal(
		shown(tls_store_find(store, &snapshot->listeners[0], SLICE("a.test"))), "a.test");
	tls_store_put(store);
	snapshot_free(snapshot);
}

/* --- What is told of it. --- */

struct seen {
	unsigned count;
	char text[512];
};

static void note(void *context, const struct tls_certificate_facts *facts)
{
	struct seen *seen = context;
	size_t at = strlen(seen->text);
	seen->count++;
	snprintf(seen->text + at, sizeof(seen->text) - at, "%s %s %s %d %d;", facts->subject,
		facts->issuer, facts->kind, facts->self_signed, facts->stand_in);
}

static void each_is_told_once(void **state)
{
	(void)state;
	struct made authority, leaf;
	struct seen seen = {0};
	made_make(&authority, &(struct made_wish){.common_name = "Root", .authority = true});
	made_make(&leaf, &(struct made_wish){.names = {"b.test"}, .issuer = &authority});
	made_save(folder, "b", &leaf);
	save("a", (struct made_wish){.names = {"a.test"}, .algorithm = GNUTLS_PK_RSA});
	struct snapshot *snapshot = made_load(folder,
		"tls: { certificates: [ { certificate: b.pem, key: b.key }, { certificate: a.pem, key: a.key } ] }\n"
		"sites:\n"
		"  - { host: a.test, listen: \"https://:8443\" }\n"
		"  - { host: b.test, listen: \"https://:8443\", tls: { min_version: \"1.3\" } }\n"
		"  - { host: c.test, listen: \"https://:8443\", tls: { certificates: { certificate: a.pem, key: a.key } } }\n");
	struct tls_store *store = make(snapshot);
	tls_store_each(store, note, &seen);
	assert_int_equal(seen.count, 2);
	assert_string_equal(seen.text, "b.test CN=Root EC/ECDSA 0 0;a.test CN=a.test RSA 1 0;");
	assert_true(tls_store_covers(store, snapshot->tls, SLICE("b.test")));
	assert_false(tls_store_covers(store, snapshot->tls, SLICE("c.test")));
	tls_store_put(store);
	made_free(&authority);
	made_free(&leaf);
	snapshot_free(snapshot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
		CASE(names_lead_to_certificates),
		CASE(kinds_are_chosen_by_what_the_client_can),
		CASE(ed25519_is_shown_to_who_knows_it),
		CASE(priorities_are_obeyed),
		CASE(identities_differ_by_who_is_let_in),
		CASE(a_pair_is_renewed_when_it_fits),
		CASE(anyhow_something_is_shown),
		CASE(each_is_told_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
