/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests through the proxy: what reaches the backend, in which form, how often, and what becomes of bodies. */
#include "proxy_stage.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- Requests. --- */

/* RFC 9110, 7.6: what is of one hop does not pass, what passes is unchanged, what tells of the client is ours. */
static void request_head(void **state)
{
	(void)state;
	proxy_write(stage.client,
		"GET /a/../b%20?q=%2F HTTP/1.1\r\nHost: example.com:81\r\nX-A: 1\r\nX_A: 2\r\n"
		"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n"
		"X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\nX-Forwarded-Port: 1\r\n"
		"X-Real-IP: 10.0.0.1\r\nVia: 1.0 other\r\nX-A: 3\r\n\r\n");
	int server = proxy_accept(0);
	assert_string_equal(proxy_read(server, "\r\n\r\n"),
		"GET /b%20?q=%2F HTTP/1.1\r\nHost: example.com:81\r\nX-A: 1\r\nVia: 1.0 other\r\n"
		"X-A: 3\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
		"X-Forwarded-Host: example.com:81\r\n"
		"Forwarded: for=192.0.2.1;host=\"example.com:81\";proto=http\r\nVia: 1.1 weir\r\n\r\n");
	proxy_write(server,
		"HTTP/1.1 299 Very Well\r\nServer: x/1\r\nX-Powered-By: y\r\nConnection: X-Hop\r\nX-Hop: 1\r\n"
		"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-B: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
		"Location: http://127.0.0.1:3000/c\r\nContent-Length: 2\r\n\r\nok");
	assert_string_equal(proxy_undated(proxy_read(stage.client, "ok")),
		"HTTP/1.1 299 Very Well\r\nX-B: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
		"Location: http://example.com:81/c\r\nContent-Length: 2\r\n\r\nok");
	close(server);
}

/* DESIGN §6, TECHNIQUES §16: one connection for many requests. */
static void kept_connection(void **state)
{
	(void)state;
	int server = -1;
	for (int i = 0; i < 3; i++) {
		proxy_write(stage.client, GET);
		if (server < 0)
			server = proxy_accept(0);
		proxy_read(server, "\r\n\r\n");
		proxy_write(server, OK);
		proxy_read(stage.client, "ok");
	}
	assert_false(proxy_readable(stage.listening[0]));
	close(server);
}

static void body_with_length(void **state)
{
	(void)state;
	proxy_write(stage.client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
	int server = proxy_accept(0);
	char *head = proxy_read(server, "abc");
	assert_non_null(strstr(head, "\r\nContent-Length: 6\r\n"));
	assert_null(strstr(head, "Transfer-Encoding"));
	proxy_write(stage.client, "def");
	assert_string_equal(proxy_read(server, "def"), "def");
	proxy_write(server, OK);
	proxy_read(stage.client, "ok");
	proxy_assert_open(server);
	close(server);
}

/* RFC 9112, 7.1 and RFC 9110, 6.5: one framing of our own; trailers pass but for what belongs into heads. */
static void body_in_chunks(void **state)
{
	(void)state;
	proxy_write(stage.client,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\nETag: \"x\"\r\nExpires: 0\r\nX_U: 1\r\n\r\n");
	int server = proxy_accept(0);
	char *text = proxy_read(server, "\r\n0\r\nX-T: 1\r\nETag: \"x\"\r\n\r\n");
	assert_non_null(strstr(text, "\r\nTransfer-Encoding: chunked\r\n\r\n"));
	assert_null(strstr(text, "Content-Length"));
	assert_null(strstr(text, "x=y"));
	proxy_write(server, OK);
	proxy_read(stage.client, "ok");
	proxy_assert_open(server);
	close(server);
}

/* RFC 9112, 8: a body that was cut must not look whole to the backend. */
static void body_cut(void **state)
{
	(void)state;
	proxy_write(stage.client,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	int server = proxy_accept(0);
	proxy_read(server, "3\r\nabc\r\n");
	close(stage.client);
	stage.client = -1;
	char octet;
	assert_true(proxy_turn_until(server, 5000));
	assert_int_equal(recv(server, &octet, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(server);
}

static void body_ended_early(void **state)
{
	(void)state;
	proxy_write(stage.client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
	int server = proxy_accept(0);
	proxy_read(server, "abc");
	shutdown(stage.client, SHUT_WR);
	assert_memory_equal(proxy_read(stage.client, NULL), "HTTP/1.1 400 ", 13);
	proxy_assert_closed(server);
}

/* What is malformed from its beginning reaches nobody. */
static void body_malformed(void **state)
{
	(void)state;
	proxy_write(stage.client,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
	int server = proxy_accept(0);
	char *answer = proxy_read(stage.client, NULL);
	assert_memory_equal(answer, "HTTP/1.1 400 ", 13);
	proxy_assert_closed(server);
}

/* RFC 9110, 10.1.1: 100 is the backend's to say, and the body waits for it. */
static void expectation(void **state)
{
	(void)state;
	proxy_write(stage.client,
		"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
	int server = proxy_accept(0);
	assert_non_null(strstr(proxy_read(server, "\r\n\r\n"), "\r\nExpect: 100-continue\r\n"));
	assert_false(proxy_turn_until(stage.client, 20));
	proxy_write(server, "HTTP/1.1 100 Continue\r\n\r\n");
	assert_string_equal(proxy_read(stage.client, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
	proxy_write(stage.client, "abc");
	assert_string_equal(proxy_read(server, "abc"), "abc");
	proxy_write(server, OK);
	proxy_read(stage.client, "ok");
	close(server);
}

static void expectation_refused(void **state)
{
	(void)state;
	proxy_write(stage.client,
		"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
	int server = proxy_accept(0);
	proxy_read(server, "\r\n\r\n");
	proxy_write(server, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
	char *answer = proxy_read(stage.client, NULL);
	assert_memory_equal(answer, "HTTP/1.1 413 No\r\n", 17);
	assert_null(strstr(answer, "100 Continue"));
	proxy_assert_closed(server); /* it may wait for the body still */
}

/* A backend that never says 100 must not hold the body back for ever. */
static void expectation_ignored(void **state)
{
	(void)state;
	proxy_write(stage.client,
		"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
	int server = proxy_accept(0);
	proxy_read(server, "\r\n\r\n");
	assert_string_equal(proxy_read(stage.client, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
	proxy_write(stage.client, "abc");
	proxy_read(server, "abc");
	proxy_write(server, OK);
	proxy_read(stage.client, "ok");
	close(server);
}

/* RFC 9112, 9.5: an answer to an upload that goes on reaches the stage.client, and the connection is not used again. */
static void early_answer(void **state)
{
	(void)state;
	proxy_write(
		stage.client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc");
	int server = proxy_accept(0);
	proxy_read(server, "abc");
	proxy_write(server, "HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno");
	char *answer = proxy_read(stage.client, NULL);
	assert_memory_equal(answer, "HTTP/1.1 401 No\r\n", 17);
	proxy_assert_closed(server);
}

/* --- Repetition (RFC 9110, 9.2.2). --- */

static void repeated_once(void **state)
{
	(void)state;
	int server = proxy_used_connection();
	proxy_write(stage.client, GET);
	proxy_read(server, "\r\n\r\n");
	close(server);
	server = proxy_accept(0);
	proxy_read(server, "\r\n\r\n");
	close(server);
	assert_memory_equal(proxy_read(stage.client, "</html>\n"), "HTTP/1.1 502 ", 13);
	assert_false(proxy_readable(stage.listening[0]));
}

/* RFC 9110, 9.2.2: PUT is idempotent, and a small body is still there. */
static void repeated_with_body(void **state)
{
	(void)state;
	int server = proxy_used_connection();
	proxy_write(stage.client,
		"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	proxy_read(server, "3\r\nabc\r\n");
	close(server);
	server = proxy_accept(0);
	const char *again = proxy_read(server, "\r\n\r\n3\r\nabc\r\n");
	assert_memory_equal(again, "PUT / HTTP/1.1\r\nHost: a\r\n", 25);
	proxy_write(stage.client, "2\r\nde\r\n0\r\n\r\n");
	proxy_read(server, "2\r\nde\r\n0\r\n\r\n");
	proxy_write(server, OK);
	proxy_read(stage.client, "ok");
	proxy_assert_open(server);
	close(server);
}

/* Nothing is sent again once an octet of an answer came, nor when too much was sent to be kept. */
static void not_repeated(void **state)
{
	(void)state;
	static char large[200000];
	int server = proxy_used_connection();
	proxy_write(stage.client, GET);
	proxy_read(server, "\r\n\r\n");
	proxy_write(server, "HTTP/1.1 103 Early Hints\r\n\r\n");
	proxy_read(stage.client, "\r\n\r\n");
	close(server);
	assert_memory_equal(proxy_read(stage.client, "</html>\n"), "HTTP/1.1 502 ", 13);
	server = proxy_used_connection();
	memset(large, 'x', sizeof large - 1);
	proxy_write(stage.client, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
	for (size_t got = 0; got < 100000;) {
		ssize_t n = send(stage.client, large, 10000, MSG_NOSIGNAL);
		(void)n;
		assert_true(proxy_turn_until(server, 5000));
		n = recv(server, large, sizeof large, 0);
		assert_true(n > 0);
		got += (size_t)n;
	}
	close(server);
	assert_memory_equal(proxy_read(stage.client, NULL), "HTTP/1.1 502 ", 13);
	assert_false(proxy_turn_until(stage.listening[0], 50));
}

static void never_twice(void **state)
{
	(void)state;
	int server = proxy_used_connection();
	proxy_write(stage.client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
	proxy_read(server, "\r\n\r\nx");
	close(server);
	assert_memory_equal(proxy_read(stage.client, "</html>\n"), "HTTP/1.1 502 ", 13);
	assert_false(proxy_turn_until(stage.listening[0], 50));
}

/* A connection that was closed while it was idle is not used: not even a POST is lost to it. */
static void closed_while_idle(void **state)
{
	(void)state;
	close(proxy_used_connection());
	proxy_write(stage.client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
	int server = proxy_accept(0);
	proxy_read(server, "\r\n\r\nx");
	proxy_write(server, OK);
	proxy_read(stage.client, "ok");
	close(server);
}

static void next_server(void **state)
{
	(void)state;
	proxy_two_servers();
	close(stage.listening[0]);
	stage.listening[0] = -1;
	proxy_write(stage.client, GET);
	int server = proxy_accept(1);
	proxy_read(server, "\r\n\r\n");
	proxy_write(server, OK);
	proxy_read(stage.client, "ok");
	close(server);
}

static void in_turn(void **state)
{
	(void)state;
	proxy_two_servers();
	for (int i = 0; i < 2; i++) {
		proxy_write(stage.client, GET);
		int server = proxy_accept(i);
		proxy_read(server, "\r\n\r\n");
		proxy_write(server, OK);
		proxy_read(stage.client, "ok");
		close(server);
	}
}

static void refused(void **state)
{
	(void)state;
	close(stage.listening[0]);
	stage.listening[0] = -1;
	proxy_write(stage.client, GET);
	assert_memory_equal(proxy_read(stage.client, "</html>\n"), "HTTP/1.1 502 ", 13);
}

static void too_slow(void **state)
{
	(void)state;
	stage.upstream.response_timeout = 300;
	proxy_write(stage.client, GET);
	int server = proxy_accept(0);
	proxy_read(server, "\r\n\r\n");
	assert_memory_equal(proxy_read(stage.client, "</html>\n"), "HTTP/1.1 504 ", 13);
	proxy_assert_closed(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROXY_TEST(request_head),
		PROXY_TEST(kept_connection),
		PROXY_TEST(body_with_length),
		PROXY_TEST(body_in_chunks),
		PROXY_TEST(body_cut),
		PROXY_TEST(body_ended_early),
		PROXY_TEST(body_malformed),
		PROXY_TEST(expectation),
		PROXY_TEST(expectation_refused),
		PROXY_TEST(expectation_ignored),
		PROXY_TEST(early_answer),
		PROXY_TEST(repeated_once),
		PROXY_TEST(repeated_with_body),
		PROXY_TEST(not_repeated),
		PROXY_TEST(never_twice),
		PROXY_TEST(closed_while_idle),
		PROXY_TEST(next_server),
		PROXY_TEST(in_turn),
		PROXY_TEST(refused),
		PROXY_TEST(too_slow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
