/* SPDX-License-Identifier: BSD-2-Clause */
/* The TLS transport: bytes in pieces of any size, what is kept and said of them, how many sends they take, records, ends. */
#include "tls_peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

static struct peer_pair p;

static ssize_t write_text(const char *text)
{
	struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
	return p.t.ops->write(&p.t, &iov, 1, false);
}

static void assert_read(const char *text)
{
	char bytes[1024];
	ssize_t n = p.t.ops->read(&p.t, bytes, sizeof(bytes));
	assert_int_equal(n, strlen(text));
	assert_memory_equal(bytes, text, (size_t)n);
}

/* The handshake, the request behind it and the answer; each octet of the client by itself. */
static void octet_by_octet(const char *priorities)
{
	char text[64];
	pair_open(&p, &(struct wish){.priorities = priorities, .protocol = "http/1.1"});
	int server = IO_AGAIN, client;
	do {
		client = gnutls_handshake(p.client);
		while (p.out.len > 0) {
			pair_let(&p, 1);
			if (server == IO_AGAIN)
				server = p.t.ops->start(&p.t);
			assert_true(server == IO_AGAIN || server == 1);
		}
		pair_take(&p);
	} while (client != 0 || server != 1);
	assert_false(p.t.pending);
	assert_string_equal(tls_facts(&p.t)->version, priorities ? "tls1.2" : "tls1.3");
	assert_int_equal(gnutls_record_send(p.client, "hello", 5), 5);
	while (p.out.len > 1) {
		pair_let(&p, 1);
		assert_int_equal(p.t.ops->read(&p.t, text, sizeof(text)), IO_AGAIN);
		assert_int_equal(p.t.wants, TRANSPORT_READ);
	}
	pair_let(&p, 1);
	assert_read("hello");
	assert_int_equal(write_text("world"), 5);
	assert_string_equal(pair_hear(&p), "world");
	pair_close(&p);
}

static void takes_any_piece(void **state)
{
	(void)state;
	octet_by_octet(NULL);
	octet_by_octet("NORMAL:-VERS-ALL:+VERS-TLS1.2");
}

/* What came in one piece is read in pieces of any size; as long as something is left, and no longer, it says so. */
static void tells_what_is_left(void **state)
{
	(void)state;
	for (size_t size = 1; size < 3000; size = size * 3 + 1) {
		static char text[3001], got[3001];
		memset(text, 'x', 3000);
		memcpy(text + 1400, "middle", 6);
		pair_open(&p, &(struct wish){0});
		pair_greet(&p);
		for (size_t at = 0; at < 3000; at += 1000)
			assert_int_equal(gnutls_record_send(p.client, text + at, 1000), 1000);
		pair_let(&p, SIZE_MAX);
		size_t used = 0;
		do {
			ssize_t n = p.t.ops->read(&p.t, got + used,
				size < sizeof(got) - used ? size : sizeof(got) - used);
			assert_true(n > 0);
			used += (size_t)n;
			assert_int_equal(p.t.pending, used < 3000);
		} while (p.t.pending);
		assert_memory_equal(got, text, 3000);
		assert_int_equal(p.t.ops->read(&p.t, got, size), IO_AGAIN);
		pair_close(&p);
	}
}

/* The client's last flight and its first request in one piece: the handshake is over, and the request stands inside. */
static void request_behind_handshake(void **state)
{
	(void)state;
	pair_open(&p, &(struct wish){0});
	assert_int_equal(gnutls_handshake(p.client), GNUTLS_E_AGAIN);
	pair_let(&p, SIZE_MAX);
	assert_int_equal(p.t.ops->start(&p.t), IO_AGAIN);
	pair_take(&p);
	assert_int_equal(gnutls_handshake(p.client), 0);
	pair_say(&p, "GET /");
	assert_int_equal(p.t.ops->start(&p.t), 1);
	assert_true(p.t.pending);
	assert_read("GET /");
	assert_false(p.t.pending);
	pair_close(&p);
}

/* One send for the server's flight, one for the ticket with the first answer, which is one record, one for each further. */
static void one_send_each(void **state)
{
	(void)state;
	char head[] = "head", body[] = "body", tail[] = "tail";
	struct iovec iov[] = {{head, 4}, {body, 4}, {tail, 4}};
	pair_open(&p, &(struct wish){0});
	pair_greet(&p);
	assert_int_equal(p.send_count, 1);
	assert_int_equal(p.t.ops->write(&p.t, iov, 3, false), 12);
	assert_string_equal(pair_hear(&p), "headbodytail");
	assert_int_equal(p.send_count, 2);
	assert_true(gnutls_session_get_flags(p.client) & GNUTLS_SFLAGS_SESSION_TICKET);
	assert_int_equal(p.t.ops->write(&p.t, iov, 3, false), 12);
	pair_take(&p);
	assert_int_equal(p.send_count, 3);
	assert_int_equal(p.sends[2], 5 + 12 + 1 + 16);
	pair_close(&p);
}

/* The lengths of the records from an offset of what came. */
static unsigned records(size_t from, size_t *lengths, unsigned most)
{
	unsigned count = 0;
	for (size_t at = from; at + 5 <= p.raw.len && count < most; count++) {
		const unsigned char *header = (const unsigned char *)p.raw.ptr + at;
		lengths[count] = (size_t)header[3] << 8 | header[4];
		at += 5 + lengths[count];
	}
	return count;
}

static void write_all(const char *bytes, size_t size)
{
	while (size > 0) {
		struct iovec iov = {(void *)(uintptr_t)bytes, size};
		ssize_t n = p.t.ops->write(&p.t, &iov, 1, true);
		assert_true(n > 0);
		assert_false(p.t.unsent);
		bytes += n;
		size -= (size_t)n;
		pair_take(&p);
	}
}

/* Records that fit a segment at first, then long ones; after a pause again. */
static void records_grow(void **state)
{
	(void)state;
	static char text[128 * 1024];
	size_t lengths[64];
	memset(text, 'y', sizeof(text));
	pair_open(&p, &(struct wish){0});
	pair_greet(&p);
	assert_int_equal(write_text("x"), 1); /* and the ticket */
	pair_take(&p);
	size_t from = p.raw.len;
	write_all(text, sizeof(text));
	unsigned count = records(from, lengths, 64);
	size_t small = 0;
	unsigned i = 0;
	for (; i < count && lengths[i] < 1448 - 5; i++)
		small += lengths[i];
	assert_in_range(small, 14 * 1024, 20 * 1024);
	assert_true(i < count);
	for (; i + 1 < count; i++)
		assert_in_range(lengths[i], 1443, 16384 + 256);
	assert_true(count < 24);
	stage.loop.clock.monotonic_ms += 1500;
	from = p.raw.len;
	write_all(text, sizeof(text));
	assert_true(records(from, lengths, 64) > 0);
	assert_true(lengths[0] < 1443);
	pair_close(&p);
}

/* What the kernel does not take is kept and goes first; nothing is lost or sent twice. */
static void keeps_what_is_not_sent(void **state)
{
	(void)state;
	static char text[300 * 1000];
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = (char)('a' + i % 23);
	pair_open(&p, &(struct wish){.stream = true});
	pair_greet(&p);
	int small = 4096;
	setsockopt(p.t.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	size_t sent = 0;
	struct buffer heard = {0};
	bool kept = false;
	while (sent < sizeof(text) - 1 || p.t.unsent) {
		struct iovec iov = {text + sent, sizeof(text) - 1 - sent};
		ssize_t n = iov.iov_len ? p.t.ops->write(&p.t, &iov, 1, false) : IO_AGAIN;
		assert_true(n > 0 || n == IO_AGAIN);
		sent += n > 0 ? (size_t)n : 0;
		if (p.t.unsent) {
			kept = true;
			iov = (struct iovec){text, 1};
			assert_int_equal(p.t.ops->write(&p.t, &iov, 1, false), IO_AGAIN);
			assert_int_equal(p.t.wants, TRANSPORT_WRITE);
			assert_int_equal(p.t.ops->flush(&p.t), IO_AGAIN);
		}
		const char *piece = pair_hear(&p);
		buffer_append(&heard, piece, strlen(piece));
		int flushed = p.t.ops->flush(&p.t);
		assert_true(flushed == 1 || flushed == IO_AGAIN);
		assert_int_equal(p.t.unsent, flushed == IO_AGAIN);
	}
	const char *piece = pair_hear(&p);
	buffer_append(&heard, piece, strlen(piece));
	assert_true(kept);
	assert_int_equal(heard.len, sizeof(text) - 1);
	assert_memory_equal(heard.ptr, text, heard.len);
	buffer_free(&heard);
	pair_close(&p);
}

/* Reading never waits for the socket to take something: what it makes the library say stands behind what waits already. */
static void says_while_it_reads_what_the_socket_does_not_take(void **state)
{
	(void)state;
	static char text[1 << 20];
	char bytes[64];
	memset(text, 'x', sizeof(text));
	pair_open(&p, &(struct wish){.stream = true});
	pair_greet(&p);
	int small = 4096;
	setsockopt(p.t.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	struct iovec iov = {text, sizeof(text)};
	size_t sent = 0;
	while (!p.t.unsent) {
		ssize_t n = p.t.ops->write(&p.t, &iov, 1, false);
		assert_true(n > 0);
		sent += (size_t)n;
	}
	static const char broken[] = "\x17\x03\x03\0\x20 no key of this connection has made";
	assert_true(send(p.fd, broken, 5 + 32, MSG_NOSIGNAL) == 5 + 32);
	assert_int_equal(p.t.ops->read(&p.t, bytes, sizeof(bytes)), IO_ERROR);
	assert_int_equal(errno, EPROTO);
	assert_true(p.t.unsent);
	size_t heard = 0;
	for (int i = 0; i < 1000 && p.t.unsent; i++) {
		heard += strlen(pair_hear(&p));
		int flushed = p.t.ops->flush(&p.t);
		assert_true(flushed == 1 || (flushed == IO_AGAIN && p.t.wants == TRANSPORT_WRITE));
	}
	heard += strlen(pair_hear(&p));
	assert_int_equal(heard, sent);
	assert_int_equal(gnutls_alert_get(p.client), GNUTLS_A_BAD_RECORD_MAC);
	pair_close(&p);
}

/* close_notify, then the end of the socket's half; the other half is still read. */
static void finishes_one_half(void **state)
{
	(void)state;
	char text[16];
	pair_open(&p, &(struct wish){.stream = true});
	pair_greet(&p);
	assert_int_equal(write_text("last"), 4);
	assert_int_equal(p.t.ops->finish(&p.t), 1);
	assert_string_equal(pair_hear(&p), "last");
	assert_true(p.eof);
	assert_int_equal(gnutls_record_recv(p.client, text, sizeof(text)), 0);
	pair_say(&p, "more");
	assert_read("more");
	assert_int_equal(write_text("nothing"), IO_ERROR);
	pair_close(&p);
}

/* A finish that the kernel does not take at once is finished by flush. */
static void finishes_later(void **state)
{
	(void)state;
	static char text[1 << 20];
	pair_open(&p, &(struct wish){.stream = true});
	pair_greet(&p);
	int small = 4096;
	setsockopt(p.t.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	struct iovec iov = {text, sizeof(text)};
	while (!p.t.unsent)
		assert_true(p.t.ops->write(&p.t, &iov, 1, false) > 0);
	assert_int_equal(p.t.ops->finish(&p.t), IO_AGAIN);
	for (int i = 0; i < 1000 && !p.eof; i++) {
		pair_take(&p);
		p.t.ops->flush(&p.t);
	}
	assert_true(p.eof);
	assert_false(p.t.unsent);
	char octet[16384];
	ssize_t n;
	do {
		n = gnutls_record_recv(p.client, octet, sizeof(octet));
	} while (n > 0 || (n == GNUTLS_E_AGAIN && p.in.len > 0));
	assert_int_equal(n, 0);
	pair_close(&p);
}

static void closing_says_so(void **state)
{
	(void)state;
	char text[16];
	pair_open(&p, &(struct wish){.stream = true});
	pair_greet(&p);
	p.t.ops->close(&p.t, false);
	pair_take(&p);
	assert_int_equal(gnutls_record_recv(p.client, text, sizeof(text)), 0); /* no truncation */
	pair_close(&p);
}

/* What came before the client's end is read first; after it the server may still answer. */
static void hears_the_end(void **state)
{
	(void)state;
	char text[16];
	for (int notify = 0; notify < 2; notify++) {
		pair_open(&p, &(struct wish){.stream = true});
		pair_greet(&p);
		assert_int_equal(gnutls_record_send(p.client, "last", 4), 4);
		if (notify)
			gnutls_bye(p.client, GNUTLS_SHUT_WR);
		pair_let(&p, SIZE_MAX);
		shutdown(p.fd, SHUT_WR);
		assert_read("last");
		assert_int_equal(p.t.ops->read(&p.t, text, sizeof(text)), IO_EOF);
		assert_false(p.t.pending);
		assert_int_equal(write_text("answer"), 6);
		assert_string_equal(pair_hear(&p), "answer");
		pair_close(&p);
	}
	/* close_notify behind data, with the socket left open: nobody else would tell of it */
	pair_open(&p, &(struct wish){0});
	pair_greet(&p);
	assert_int_equal(gnutls_record_send(p.client, "last", 4), 4);
	gnutls_bye(p.client, GNUTLS_SHUT_WR);
	pair_let(&p, SIZE_MAX);
	assert_read("last");
	assert_true(p.t.pending);
	assert_int_equal(p.t.ops->read(&p.t, text, sizeof(text)), IO_EOF);
	pair_close(&p);
}

static void client_goes_during_handshake(void **state)
{
	(void)state;
	pair_open(&p, &(struct wish){.stream = true});
	assert_int_equal(p.t.ops->start(&p.t), IO_AGAIN);
	assert_int_equal(gnutls_handshake(p.client), GNUTLS_E_AGAIN);
	pair_let(&p, 100);
	assert_int_equal(p.t.ops->start(&p.t), IO_AGAIN);
	shutdown(p.fd, SHUT_WR);
	assert_int_equal(p.t.ops->start(&p.t), IO_EOF);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_any_piece),
		cmocka_unit_test(tells_what_is_left),
		cmocka_unit_test(request_behind_handshake),
		cmocka_unit_test(one_send_each),
		cmocka_unit_test(records_grow),
		cmocka_unit_test(keeps_what_is_not_sent),
		cmocka_unit_test(says_while_it_reads_what_the_socket_does_not_take),
		cmocka_unit_test(finishes_one_half),
		cmocka_unit_test(finishes_later),
		cmocka_unit_test(closing_says_so),
		cmocka_unit_test(hears_the_end),
		cmocka_unit_test(client_goes_during_handshake),
	};
	return cmocka_run_group_tests(tests, stage_set_up, stage_tear_down);
}
