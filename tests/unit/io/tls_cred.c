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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_lead_to_certificates, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
