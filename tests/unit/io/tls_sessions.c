/* SPDX-License-Identifier: BSD-2-Clause */
/* Sessions that are resumed, and those that must not be; clients that show certificates. */
#include "tls_peer.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

static struct peer_pair p;

static const char ONE_2[] = "NORMAL:-VERS-ALL:+VERS-TLS1.2";
static const char ONE_3[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3";

static int begin(void **state)
{
	(void)state;
	stage_begin("{ certificates: [{ certificate: a.pem, key: a.key }, "
		    "{ certificate: b.pem, key: b.key }] }",
		"  - listen: [\"https://127.0.0.1:1\"]\n    host: a.test\n"
		"  - listen: [\"https://127.0.0.1:1\"]\n    host: b.test\n"
		"  - listen: [\"https://127.0.0.1:1\"]\n    host: may.test\n"
		"    tls: { client_auth: optional, client_ca: ca.pem, "
		"certificates: [{ certificate: a.pem, key: a.key }] }\n"
		"  - listen: [\"https://127.0.0.1:1\"]\n    host: must.test\n"
		"    tls: { client_auth: required, client_ca: ca.pem, "
		"certificates: [{ certificate: a.pem, key: a.key }] }\n"
		"  - listen: [\"https://127.0.0.1:1\"]\n    host: new.test\n"
		"    tls: { min_version: \"1.3\", "
		"certificates: [{ certificate: a.pem, key: a.key }] }\n");
	return 0;
}

/* --- Resumption. --- */

static gnutls_datum_t first_session(const char *priorities, const char *name)
{
	char text[] = "hello";
	struct iovec iov = {text, 5};
	pair_open(&p, &(struct wish){.priorities = priorities, .name = name});
	pair_greet(&p);
	assert_false(tls_facts(&p.t)->resumed);
	assert_int_equal(p.t.ops->write(&p.t, &iov, 1, false), 5);
	assert_string_equal(pair_hear(&p), "hello");
	gnutls_datum_t session = pair_session(&p);
	pair_close(&p);
	return session;
}

/* Whether the session is resumed at this thread under this name; the connection works in either case. */
static bool resumed(struct tls_thread *thread, const char *priorities, const char *name,
	const gnutls_datum_t *session)
{
	pair_open_on(&p, thread,
		&(struct wish){.priorities = priorities, .name = name, .session = session});
	pair_greet(&p);
	bool result = tls_facts(&p.t)->resumed;
	assert_int_equal(gnutls_session_is_resumed(p.client) != 0, result);
	pair_say(&p, "x");
	char octet[8];
	assert_int_equal(p.t.ops->read(&p.t, octet, sizeof(octet)), 1);
	pair_close(&p);
	return result;
}

/* At all threads that have the same master, and at no other; under no other name's certificate. */
static void tickets(void **state)
{
	(void)state;
	static const char *const versions[] = {ONE_3, ONE_2};
	struct tls_thread *other = stage_thread(1), *stranger = stage_thread(2);
	for (size_t i = 0; i < COUNT_OF(versions); i++) {
		gnutls_datum_t session = first_session(versions[i], "a.test");
		assert_true(resumed(stage.thread, versions[i], "a.test", &session));
		assert_true(resumed(other, versions[i], "a.test", &session));
		assert_false(resumed(stranger, versions[i], "a.test", &session));
		assert_false(resumed(stage.thread, versions[i], "b.test", &session));
		assert_false(resumed(stage.thread, versions[i], "may.test", &session));
		gnutls_free(session.data);
		session = first_session(versions[i], "b.test");
		assert_true(resumed(stage.thread, versions[i], "b.test", &session));
		assert_false(resumed(stage.thread, versions[i], "a.test", &session));
		gnutls_free(session.data);
	}
	tls_thread_free(other);
	tls_thread_free(stranger);
}

/* A session of one name does not lead past another's demand. */
static void no_way_around_a_certificate(void **state)
{
	(void)state;
	static const char *const versions[] = {ONE_3, ONE_2};
	for (size_t i = 0; i < COUNT_OF(versions); i++) {
		gnutls_datum_t session = first_session(versions[i], "a.test");
		pair_open(&p, &(struct wish){.priorities = versions[i],
				      .name = "must.test",
				      .session = &session});
		assert_int_equal(pair_shake(&p).server, IO_ERROR);
		pair_close(&p);
		gnutls_free(session.data);
	}
}

/* Where clients are asked for certificates they get no tickets. */
static void no_tickets_for_known_clients(void **state)
{
	(void)state;
	char text[] = "hello";
	struct iovec iov = {text, 5};
	pair_open(&p, &(struct wish){.name = "must.test", .shown = "me"});
	pair_greet(&p);
	assert_int_equal(p.t.ops->write(&p.t, &iov, 1, false), 5);
	assert_string_equal(pair_hear(&p), "hello");
	assert_false(gnutls_session_get_flags(p.client) & GNUTLS_SFLAGS_SESSION_TICKET);
	pair_close(&p);
}

/* --- Clients that show certificates. --- */

static void assert_known(const char *priorities, const char *name)
{
	pair_open(&p, &(struct wish){.priorities = priorities, .name = name, .shown = "me"});
	pair_greet(&p);
	const struct tls_facts *facts = tls_facts(&p.t);
	assert_int_equal(facts->subject.len, strlen("CN=client.test"));
	assert_memory_equal(facts->subject.ptr, "CN=client.test", facts->subject.len);
	assert_true(facts->certificate.len > 100);
	assert_int_equal(facts->certificate.ptr[0], 0x30);
	pair_close(&p);
}

static void assert_unknown(const char *priorities, const char *name, const char *shown)
{
	pair_open(&p, &(struct wish){.priorities = priorities, .name = name, .shown = shown});
	pair_greet(&p);
	assert_int_equal(tls_facts(&p.t)->certificate.len, 0);
	assert_int_equal(tls_facts(&p.t)->subject.len, 0);
	pair_close(&p);
}

static void assert_refused(const char *priorities, const char *name, const char *shown, int alert)
{
	pair_open(&p, &(struct wish){.priorities = priorities, .name = name, .shown = shown});
	struct shaken shaken = pair_shake(&p);
	assert_int_equal(shaken.server, IO_ERROR);
	assert_int_equal(pair_alert(&p), alert);
	pair_close(&p);
}

static void clients(void **state)
{
	(void)state;
	static const char *const versions[] = {ONE_3, ONE_2};
	for (size_t i = 0; i < COUNT_OF(versions); i++) {
		const char *version = versions[i];
		bool newest = version == ONE_3;
		assert_known(version, "must.test");
		assert_known(version, "may.test");
		assert_unknown(version, "may.test", NULL);
		assert_unknown(version, "a.test", "me"); /* nobody asked */
		assert_refused(version, "must.test", NULL,
			newest ? GNUTLS_A_CERTIFICATE_REQUIRED : GNUTLS_A_HANDSHAKE_FAILURE);
		assert_refused(version, "must.test", "b", GNUTLS_A_UNKNOWN_CA);
		assert_refused(version, "may.test", "b", GNUTLS_A_UNKNOWN_CA);
	}
}

/* --- Names. --- */

static void rules_of_the_name(void **state)
{
	(void)state;
	pair_open(&p, &(struct wish){.name = "B.Test"});
	pair_greet(&p);
	assert_memory_equal(tls_facts(&p.t)->name.ptr, "b.test", 6);
	assert_ptr_equal(tls_facts(&p.t)->rules, stage.snapshot->sites[1].tls);
	pair_close(&p);
	pair_open(&p, &(struct wish){.name = ""});
	pair_greet(&p);
	assert_int_equal(tls_facts(&p.t)->name.len, 0);
	pair_close(&p);
	/* one name is stricter than another about versions, whichever is the first */
	assert_refused(ONE_2, "new.test", NULL, GNUTLS_A_PROTOCOL_VERSION);
	pair_open(&p, &(struct wish){.priorities = ONE_3, .name = "new.test"});
	pair_greet(&p);
	pair_close(&p);
}

/* New connections go by another store; the old ones keep theirs. */
static void other_store(void **state)
{
	(void)state;
	struct tls_store *other =
		tls_store_make(stage.snapshot, tls_keys_here(), stage_fault, NULL);
	assert_non_null(other);
	struct tls_thread *thread = stage_thread(1);
	pair_open_on(&p, thread, &(struct wish){0});
	tls_thread_use(thread, other);
	tls_store_put(other);
	pair_greet(&p);
	pair_close(&p);
	pair_open_on(&p, thread, &(struct wish){0});
	pair_greet(&p);
	pair_close(&p);
	tls_thread_free(thread);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tickets),
		cmocka_unit_test(no_way_around_a_certificate),
		cmocka_unit_test(no_tickets_for_known_clients),
		cmocka_unit_test(clients),
		cmocka_unit_test(rules_of_the_name),
		cmocka_unit_test(other_store),
	};
	return cmocka_run_group_tests(tests, begin, stage_tear_down);
}
