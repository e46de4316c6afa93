/* SPDX-License-Identifier: BSD-2-Clause */
/* What peers hear that break the protocol, and floods that end: of warnings, of records without data, of renegotiations. */
#include "tls_peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

static struct peer_pair p;

/* What the server sends to somebody who sends these octets; its start must fail, and say that the peer was told. */
static size_t answer(const char *octets, size_t length, char *to, size_t size)
{
	pair_open(&p, &(struct wish){.stream = true});
	assert_int_equal(send(p.fd, octets, length, MSG_NOSIGNAL), length);
	errno = 0;
	assert_int_equal(p.t.ops->start(&p.t), IO_ERROR);
	assert_int_equal(errno, EPROTO);
	assert_non_null(tls_facts(&p.t)->fault);
	assert_int_equal(p.t.ops->finish(&p.t), 1);
	ssize_t n = recv(p.fd, to, size, 0);
	assert_true(n > 0);
	assert_int_equal(recv(p.fd, to + n, size - (size_t)n, 0), 0);
	return (size_t)n;
}

static void garbage_gets_an_alert(void **state)
{
	(void)state;
	static const char *const garbage[] = {"hello\r\n", "\x16\x01\x02\x03\x04",
		"\x80\x2e\x01\x03\x01", "SSH-2.0-x\r\n", "\x15\x03\x01", "1234567"};
	char got[512];
	for (size_t i = 0; i < COUNT_OF(garbage); i++) {
		char record[64] = {0};
		memcpy(record, garbage[i], strlen(garbage[i]));
		size_t n = answer(record, sizeof(record), got, sizeof(got));
		assert_int_equal(n, 7);
		assert_memory_equal(got, "\x15\x03", 2);
		assert_int_equal(got[5], 2);
		/* what comes behind is taken away, and means nothing */
		assert_int_equal(send(p.fd, "more", 4, MSG_NOSIGNAL), 4);
		assert_int_equal(p.t.ops->read(&p.t, got, sizeof(got)), 4);
		pair_close(&p);
	}
}

static void plain_http_gets_plain_400(void **state)
{
	(void)state;
	char got[1024];
	static const char request[] = "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n";
	size_t n = answer(request, sizeof(request) - 1, got, sizeof(got) - 1);
	got[n] = 0;
	assert_ptr_equal(strstr(got, "HTTP/1.1 400 "), got);
	assert_non_null(strstr(got, "\r\n\r\nThis port speaks HTTPS"));
	pair_close(&p);
	/* an octet at a time */
	pair_open(&p, &(struct wish){.stream = true});
	for (const char *at = "GET"; *at; at++) {
		assert_int_equal(send(p.fd, at, 1, MSG_NOSIGNAL), 1);
		assert_int_equal(p.t.ops->start(&p.t), IO_AGAIN);
	}
	assert_int_equal(send(p.fd, " /", 2, MSG_NOSIGNAL), 2);
	assert_int_equal(p.t.ops->start(&p.t), IO_ERROR);
	n = (size_t)recv(p.fd, got, sizeof(got) - 1, 0);
	got[n] = 0;
	assert_ptr_equal(strstr(got, "HTTP/1.1 400 "), got);
	pair_close(&p);
}

static void assert_refused(const struct wish *wish, int alert)
{
	pair_open(&p, wish);
	struct shaken shaken = pair_shake(&p);
	assert_int_equal(shaken.server, IO_ERROR);
	assert_int_equal(shaken.client, GNUTLS_E_FATAL_ALERT_RECEIVED);
	assert_int_equal(gnutls_alert_get(p.client), alert);
	pair_close(&p);
}

static void nothing_in_common(void **state)
{
	(void)state;
	assert_refused(&(struct wish){.protocol = "gopher"}, GNUTLS_A_NO_APPLICATION_PROTOCOL);
	assert_refused(&(struct wish){.priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.1"},
		GNUTLS_A_PROTOCOL_VERSION);
	assert_refused(&(struct wish){.priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA"},
		GNUTLS_A_HANDSHAKE_FAILURE);
}

/* --- After the handshake. --- */

static void assert_read_fails(int alert)
{
	char bytes[64];
	errno = 0;
	assert_int_equal(p.t.ops->read(&p.t, bytes, sizeof(bytes)), IO_ERROR);
	assert_int_equal(errno, EPROTO);
	assert_int_equal(pair_alert(&p), alert);
	pair_close(&p);
}

static void forged_record(void **state)
{
	(void)state;
	pair_open(&p, &(struct wish){0});
	pair_greet(&p);
	assert_int_equal(gnutls_record_send(p.client, "hello", 5), 5);
	p.out.ptr[p.out.len - 1] ^= 1;
	pair_let(&p, SIZE_MAX);
	assert_read_fails(GNUTLS_A_BAD_RECORD_MAC);
}

/* What came whole before it is given first. */
static void forged_behind_good(void **state)
{
	(void)state;
	char bytes[64];
	pair_open(&p, &(struct wish){0});
	pair_greet(&p);
	assert_int_equal(gnutls_record_send(p.client, "hello", 5), 5);
	assert_int_equal(gnutls_record_send(p.client, "world", 5), 5);
	p.out.ptr[p.out.len - 1] ^= 1;
	pair_let(&p, SIZE_MAX);
	assert_int_equal(p.t.ops->read(&p.t, bytes, sizeof(bytes)), 5);
	assert_true(p.t.pending);
	assert_read_fails(GNUTLS_A_BAD_RECORD_MAC);
}

/* The connection goes on as it was, a few times. */
static void refuses_renegotiation(void **state)
{
	(void)state;
	char bytes[64];
	pair_open(&p, &(struct wish){.priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.2"});
	pair_greet(&p);
	int refused = 0;
	for (; refused < 100; refused++) {
		assert_int_equal(gnutls_handshake(p.client), GNUTLS_E_AGAIN);
		pair_let(&p, SIZE_MAX);
		ssize_t n = p.t.ops->read(&p.t, bytes, sizeof(bytes));
		if (n == IO_ERROR)
			break;
		assert_int_equal(n, IO_AGAIN);
		pair_take(&p);
		assert_int_equal(gnutls_handshake(p.client), GNUTLS_E_WARNING_ALERT_RECEIVED);
		assert_int_equal(gnutls_alert_get(p.client), GNUTLS_A_NO_RENEGOTIATION);
		if (refused > 0)
			continue;
		pair_close(&p);
		pair_open(&p, &(struct wish){.priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.2"});
		pair_greet(&p);
	}
	assert_in_range(refused, 1, 20);
	pair_close(&p);
}

/* Data may stand between warnings. */
static void warnings_end(void **state)
{
	(void)state;
	char bytes[64];
	pair_open(&p, &(struct wish){.priorities = "NORMAL:-VERS-ALL:+VERS-TLS1.2"});
	pair_greet(&p);
	gnutls_alert_send(p.client, GNUTLS_AL_WARNING, GNUTLS_A_USER_CANCELED);
	pair_say(&p, "hello");
	assert_int_equal(p.t.ops->read(&p.t, bytes, sizeof(bytes)), 5);
	for (int i = 0; i < 100; i++)
		gnutls_alert_send(p.client, GNUTLS_AL_WARNING, GNUTLS_A_USER_CANCELED);
	pair_let(&p, SIZE_MAX);
	assert_read_fails(GNUTLS_A_UNEXPECTED_MESSAGE);
}

/* Empty records, in one flood or one by one. */
static void nothing_ends(void **state)
{
	(void)state;
	char bytes[64];
	pair_open(&p, &(struct wish){0});
	pair_greet(&p);
	for (int i = 0; i < 5; i++)
		gnutls_record_send2(p.client, "", 0, 1, 0);
	pair_say(&p, "hello");
	assert_int_equal(p.t.ops->read(&p.t, bytes, sizeof(bytes)), 5);
	for (int i = 0; i < 200; i++)
		gnutls_record_send2(p.client, "", 0, 1, 0);
	pair_let(&p, SIZE_MAX);
	assert_read_fails(GNUTLS_A_UNEXPECTED_MESSAGE);

	pair_open(&p, &(struct wish){0});
	pair_greet(&p);
	ssize_t n = IO_AGAIN;
	int i = 0;
	for (; i < 100000 && n == IO_AGAIN; i++) {
		gnutls_record_send2(p.client, "", 0, 1, 0);
		pair_let(&p, SIZE_MAX);
		n = p.t.ops->read(&p.t, bytes, sizeof(bytes));
	}
	assert_int_equal(n, IO_ERROR);
	assert_in_range(i, 100, 10000);
	assert_int_equal(pair_alert(&p), GNUTLS_A_UNEXPECTED_MESSAGE);
	pair_close(&p);
}

/* Keys are renewed, and asked for; a flood of that ends. */
static void key_updates(void **state)
{
	(void)state;
	char bytes[64];
	pair_open(&p, &(struct wish){0});
	pair_greet(&p);
	assert_int_equal(gnutls_session_key_update(p.client, GNUTLS_KU_PEER), 0);
	pair_say(&p, "hello");
	assert_int_equal(p.t.ops->read(&p.t, bytes, sizeof(bytes)), 5);
	struct iovec iov = {bytes, 5};
	assert_int_equal(p.t.ops->write(&p.t, &iov, 1, false), 5);
	assert_string_equal(pair_hear(&p), "hello");
	for (int i = 0; i < 100; i++)
		gnutls_session_key_update(p.client, 0);
	pair_let(&p, SIZE_MAX);
	assert_read_fails(GNUTLS_A_UNEXPECTED_MESSAGE);
}

static void fatal_alert_is_heard(void **state)
{
	(void)state;
	char bytes[64];
	pair_open(&p, &(struct wish){0});
	pair_greet(&p);
	pair_take(&p);
	size_t before = p.raw.len;
	gnutls_alert_send(p.client, GNUTLS_AL_FATAL, GNUTLS_A_INTERNAL_ERROR);
	pair_let(&p, SIZE_MAX);
	assert_int_equal(p.t.ops->read(&p.t, bytes, sizeof(bytes)), IO_ERROR);
	p.t.ops->close(&p.t, false);
	pair_take(&p);
	assert_int_equal(p.raw.len, before);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(garbage_gets_an_alert),
		cmocka_unit_test(plain_http_gets_plain_400),
		cmocka_unit_test(nothing_in_common),
		cmocka_unit_test(forged_record),
		cmocka_unit_test(forged_behind_good),
		cmocka_unit_test(refuses_renegotiation),
		cmocka_unit_test(warnings_end),
		cmocka_unit_test(nothing_ends),
		cmocka_unit_test(key_updates),
		cmocka_unit_test(fatal_alert_is_heard),
	};
	return cmocka_run_group_tests(tests, stage_set_up, stage_tear_down);
}
