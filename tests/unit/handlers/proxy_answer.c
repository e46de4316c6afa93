/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers through the proxy: framings, interim answers, tunnels, back-pressure, and all that a backend can do wrong. */
#include "proxy_stage.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

#define HEAD "HTTP/1.1 200 OK\r\n"

/* A request to a new connection of the backend's. */
static int ask(const char *request)
{
	proxy_write(stage.client, request);
	int server = proxy_accept(0);
	proxy_read(server, "\r\n\r\n");
	return server;
}

/* What the client sees of an answer, without its date, up to `end`. */
static const char *relayed(const char *answer, const char *end)
{
	int server = ask(GET);
	proxy_write(server, answer);
	const char *seen = proxy_undated(proxy_read(stage.client, end));
	close(server);
	return seen;
}

/* --- Framings (RFC 9112, 6). --- */

static void small_in_one_piece(void **state)
{
	(void)state;
	int server = ask(GET);
	proxy_write(server, OK);
	assert_true(proxy_turn_until(stage.client, 5000));
	char text[4096];
	ssize_t n = recv(stage.client, text, sizeof text - 1, 0);
	assert_true(n > 2);
	assert_memory_equal(text + n - 2, "ok", 2); /* head and body came by one call */
	close(server);
}

static void chunks(void **state)
{
	(void)state;
	assert_string_equal(relayed(HEAD "Transfer-Encoding: chunked\r\n\r\n"
					 "3;x\r\nabc\r\n1\r\nd\r\n0002\r\nef\r\n0\r\n\r\n",
				    "0\r\n\r\n"),
		HEAD "Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\n\r\n");
}

static void chunks_in_octets(void **state)
{
	(void)state;
	const char *answer = HEAD "Transfer-Encoding: chunked\r\n\r\n"
				  "3\r\nabc\r\n12\r\n012345678901234567\r\n0\r\nX-T: 1\r\n\r\n";
	int server = ask("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
	for (const char *c = answer; *c; c++) {
		proxy_write(server, (char[]){*c, 0});
		proxy_turn(4);
	}
	const char *seen = proxy_read(stage.client, "0\r\nX-T: 1\r\n\r\n");
	assert_non_null(strstr(seen, "\r\na\r\n"));
	proxy_assert_open(server);
	close(server);
}

static void until_close(void **state)
{
	(void)state;
	int server = ask(GET);
	proxy_write(server, "HTTP/1.0 200 OK\r\nX: y\r\n\r\nabc");
	proxy_read(stage.client, "3\r\nabc\r\n");
	proxy_write(server, "def");
	close(server);
	assert_string_equal(proxy_read(stage.client, "0\r\n\r\n"), "3\r\ndef\r\n0\r\n\r\n");
}

/* RFC 9110, 9.3.2, 15.3.5, 15.4.5: a head alone; the length says what GET would have. */
static void heads_alone(void **state)
{
	(void)state;
	int server = ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
	proxy_write(server, HEAD "Content-Length: 7\r\n\r\n");
	assert_string_equal(proxy_undated(proxy_read(stage.client, "\r\n\r\n")),
		HEAD "Content-Length: 7\r\n\r\n");
	proxy_write(stage.client, GET);
	proxy_read(server, "\r\n\r\n");
	proxy_write(server, "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n");
	assert_string_equal(proxy_undated(proxy_read(stage.client, "\r\n\r\n")),
		"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n");
	proxy_write(stage.client, GET);
	proxy_read(server, "\r\n\r\n");
	proxy_write(server, "HTTP/1.1 204 No Content\r\n\r\n");
	assert_string_equal(proxy_undated(proxy_read(stage.client, "\r\n\r\n")),
		"HTTP/1.1 204 No Content\r\n\r\n");
	proxy_assert_open(server);
	close(server);
}

/* A body where none may be costs the connection and reaches nobody. */
static void body_of_head(void **state)
{
	(void)state;
	int server = ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
	proxy_write(server, HEAD "Content-Length: 7\r\n\r\nHTTP/1.");
	proxy_read(stage.client, "Content-Length: 7\r\n\r\n");
	proxy_assert_closed(server);
	proxy_assert_open(stage.client);
}

static void answer_to_http10(void **state)
{
	(void)state;
	proxy_write(stage.client, "GET / HTTP/1.0\r\n\r\n");
	int server = proxy_accept(0);
	assert_memory_equal(
		proxy_read(server, "\r\n\r\n"), "GET / HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n", 38);
	proxy_write(server, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" HEAD
			    "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
	const char *seen = proxy_undated(proxy_read(stage.client, NULL));
	assert_string_equal(seen, HEAD "Connection: close\r\n\r\nok");
	close(server);
}

/* --- Interim answers (RFC 9110, 15.2). --- */

static void interim(void **state)
{
	(void)state;
	int server = ask(GET);
	proxy_write(server, "HTTP/1.1 102 Processing\r\n\r\n");
	assert_string_equal(
		proxy_read(stage.client, "\r\n\r\n"), "HTTP/1.1 102 Processing\r\n\r\n");
	proxy_write(server, "HTTP/1.1 100 Continue\r\n\r\n" /* nobody asked for it */
			    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nServer: x\r\n\r\n" OK);
	const char *seen = proxy_read(stage.client, "ok");
	assert_memory_equal(
		seen, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n", 57);
	close(server);
}

/* --- What is wrong. --- */

#define LONG_LINE                                                                                  \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* Each is a 502; the connection is never used again, and the next request has its own answer. */
static void malformed(void **state)
{
	(void)state;
	static const char *const answers[] = {
		"<html>HTTP/0.9</html>",
		"HTTP/2.0 200 OK\r\n\r\n",
		"HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 2000 OK\r\n\r\n",
		HEAD "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
		HEAD "Content-Length: -1\r\n\r\n",
		HEAD "Content-Length: 2, 3\r\n\r\nabc",
		HEAD "Content-Length: x\r\n\r\n",
		HEAD "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		HEAD "Transfer-Encoding: gzip\r\n\r\n",
		HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
		HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nok\r\n0\r\n\r\n",
		HEAD "Transfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n",
		HEAD "X: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
		HEAD "X: a\nContent-Length: 0\r\n\r\n",
		HEAD "X: a\x01\r\nContent-Length: 0\r\n\r\n",
		HEAD "X Y: a\r\nContent-Length: 0\r\n\r\n",
		HEAD "X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
		HEAD "X : a\r\nContent-Length: 0\r\n\r\n",
		HEAD "Content-Length: 2\r\n\r\nok" HEAD "Content-Length: 4\r\n\r\nevil",
		HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" HEAD,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
		"HTTP/1.1 103 Early\r\nX Y: a\r\n\r\n" OK,
		"\r\n" OK,
	};
	for (size_t i = 0; i < COUNT_OF(answers); i++) {
		int server = ask(GET);
		proxy_write(server, answers[i]);
		const char *seen = proxy_read(stage.client, "</html>\n");
		if (memcmp(seen, "HTTP/1.1 502 ", 13) != 0)
			fail_msg("this passed: %s as %s", answers[i], seen);
		proxy_assert_closed(server);
		server = ask(GET);
		proxy_write(server, OK);
		proxy_read(stage.client, "ok");
		close(server);
		proxy_turn(10);
	}
}

static void endless_head(void **state)
{
	(void)state;
	int server = ask(GET);
	proxy_write(server, HEAD);
	for (int i = 0; i < 3000 && !proxy_readable(stage.client); i++) {
		if (send(server, "X: " LONG_LINE "\r\n", 104, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			break;
		proxy_turn_until(stage.client, 1);
	}
	assert_memory_equal(proxy_read(stage.client, "</html>\n"), "HTTP/1.1 502 ", 13);
	close(server);
}

/* An answer that was cut is cut for the client too: no last chunk, no length fulfilled (RFC 9112, 8). */
static void cut(void **state)
{
	(void)state;
	static const char *const answers[] = {
		HEAD "Content-Length: 5\r\n\r\nabc",
		HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
		HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
	};
	for (size_t i = 0; i < COUNT_OF(answers); i++) {
		int server = ask(GET);
		proxy_write(server, answers[i]);
		proxy_turn(20);
		close(server);
		const char *seen = proxy_read(stage.client, NULL);
		assert_memory_equal(seen, HEAD, sizeof HEAD - 1);
		assert_non_null(strstr(seen, "abc"));
		assert_null(strstr(seen, "\r\n0\r\n"));
		close(stage.client);
		stage.client = proxy_connect_client();
	}
}

/* Malformed once its head was passed on: cut. */
static void malformed_later(void **state)
{
	(void)state;
	int server = ask(GET);
	proxy_write(server, HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	proxy_read(stage.client, "abc\r\n");
	proxy_write(server, "zz\r\n");
	assert_null(strstr(proxy_read(stage.client, NULL), "0\r\n"));
	proxy_assert_closed(server);
}

/* Bytes behind an answer that was whole: nobody gets them. */
static void poisoned(void **state)
{
	(void)state;
	int server = ask(GET);
	proxy_write(server, OK);
	proxy_read(stage.client, "ok");
	proxy_write(server, HEAD "Content-Length: 4\r\n\r\nevil");
	proxy_turn(20);
	proxy_write(stage.client, GET);
	int other = proxy_accept(0);
	proxy_read(other, "\r\n\r\n");
	proxy_write(other, OK);
	assert_null(strstr(proxy_read(stage.client, "ok"), "evil"));
	close(server);
	close(other);
}

static void asked_to_close(void **state)
{
	(void)state;
	int server = ask(GET);
	proxy_write(server, HEAD "Content-Length: 2\r\nConnection: close\r\n\r\nok");
	assert_null(strstr(proxy_read(stage.client, "ok"), "close"));
	proxy_assert_closed(server);
}

static void silent_body(void **state)
{
	(void)state;
	stage.upstream.response_timeout = 300;
	int server = ask(GET);
	proxy_write(server, HEAD "Content-Length: 5\r\n\r\nabc");
	assert_non_null(strstr(proxy_read(stage.client, NULL), "\r\n\r\nabc"));
	proxy_assert_closed(server);
}

/* Keep-Alive: a backend's own time is obeyed, with a margin. */
static void idle_time(void **state)
{
	(void)state;
	int server = ask(GET);
	proxy_write(server, HEAD "Content-Length: 2\r\nKeep-Alive: timeout=1\r\n\r\nok");
	proxy_read(stage.client, "ok");
	proxy_turn_until(server, 1100);
	proxy_assert_closed(server);
}

/* --- Much. --- */

#define LARGE (64 << 20)

/* A client that does not read must not make the proxy read (DESIGN §5, body source): far less than 64 MB fits between. */
static void back_pressure(void **state)
{
	(void)state;
	static char piece[65536];
	memset(piece, 'x', sizeof piece);
	int server = ask(GET);
	proxy_write(server, HEAD "Content-Length: 67108864\r\n\r\n");
	size_t sent = 0, got = 0, quiet = 0;
	while (quiet < 20 && sent < LARGE) {
		ssize_t n = send(server, piece, sizeof piece, MSG_NOSIGNAL);
		quiet = n > 0 ? 0 : quiet + 1;
		if (n > 0)
			sent += (size_t)n;
		proxy_turn(1);
	}
	assert_true(sent < 16 << 20);
	while (got < LARGE) {
		ssize_t n = sent < LARGE ? send(server, piece,
						   LARGE - sent < sizeof piece ? LARGE - sent
									       : sizeof piece,
						   MSG_NOSIGNAL)
					 : 0;
		if (n > 0)
			sent += (size_t)n;
		assert_true(proxy_turn_until(stage.client, 5000));
		n = recv(stage.client, piece, sizeof piece, 0);
		assert_true(n > 0);
		got += (size_t)n;
		memset(piece, 'x', sizeof piece);
	}
	assert_true(got > LARGE && got < LARGE + 200); /* its head comes with it */
	proxy_turn(5);
	proxy_assert_open(server);
	close(server);
}

/* And a backend that does not read must not make it read the client's. */
static void back_pressure_upload(void **state)
{
	(void)state;
	static char piece[65536];
	proxy_write(stage.client, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 67108864\r\n\r\n");
	int server = proxy_accept(0);
	size_t sent = 0, got = 0, quiet = 0;
	while (quiet < 20 && sent < LARGE) {
		ssize_t n = send(stage.client, piece, sizeof piece, MSG_NOSIGNAL);
		quiet = n > 0 ? 0 : quiet + 1;
		if (n > 0)
			sent += (size_t)n;
		proxy_turn(1);
	}
	assert_true(sent < 16 << 20);
	while (got < LARGE) {
		ssize_t n = sent < LARGE ? send(stage.client, piece,
						   LARGE - sent < sizeof piece ? LARGE - sent
									       : sizeof piece,
						   MSG_NOSIGNAL)
					 : 0;
		if (n > 0)
			sent += (size_t)n;
		assert_true(proxy_turn_until(server, 5000));
		n = recv(server, piece, sizeof piece, 0);
		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_true(got > LARGE && got < LARGE + 400);
	proxy_write(server, OK);
	proxy_read(stage.client, "ok");
	close(server);
}

/* --- Tunnels (RFC 9110, 7.8). --- */

#define UPGRADE "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

static void tunnel(void **state)
{
	(void)state;
	proxy_write(stage.client, UPGRADE);
	int server = proxy_accept(0);
	const char *head = proxy_read(server, "\r\n\r\n");
	assert_non_null(strstr(head, "\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"));
	proxy_write(server,
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Accept: x\r\n\r\nfirst");
	const char *seen = proxy_undated(proxy_read(stage.client, "first"));
	assert_memory_equal(
		seen, "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n", 59);
	proxy_write(stage.client, "ping");
	assert_string_equal(proxy_read(server, "ping"), "ping");
	proxy_write(server, "pong");
	assert_string_equal(proxy_read(stage.client, "pong"), "pong");
	shutdown(stage.client, SHUT_WR);
	assert_string_equal(proxy_read(server, NULL), "");
	proxy_write(server, "last");
	assert_string_equal(proxy_read(stage.client, "last"), "last");
	close(server);
	assert_string_equal(proxy_read(stage.client, NULL), "");
}

static void tunnel_refused(void **state)
{
	(void)state;
	int server = ask(UPGRADE);
	proxy_write(server, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
	proxy_read(stage.client, "no");
	proxy_write(stage.client, GET);
	close(server);
	server = proxy_accept(0);
	assert_memory_equal(proxy_read(server, "\r\n\r\n"), "GET / ", 6);
	proxy_write(server, OK);
	proxy_read(stage.client, "ok");
	close(server);
}

static void tunnel_idle(void **state)
{
	(void)state;
	stage.upstream.tunnel_timeout = 500;
	stage.upstream.response_timeout = 100;
	int server = ask(UPGRADE);
	proxy_write(server,
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	proxy_read(stage.client, "\r\n\r\n");
	proxy_turn(300);
	proxy_write(stage.client, "ping"); /* the response's time does not count here */
	assert_string_equal(proxy_read(server, "ping"), "ping");
	proxy_assert_closed(server);
	assert_string_equal(proxy_read(stage.client, NULL), "");
}

/* The client goes away while the backend answers: the backend hears of it. */
static void client_gone(void **state)
{
	(void)state;
	int server = ask(GET);
	proxy_write(server, HEAD "Content-Length: 5000\r\n\r\nabc");
	proxy_read(stage.client, "abc");
	close(stage.client);
	stage.client = -1;
	for (int i = 0; i < 1000 && send(server, "d", 1, MSG_NOSIGNAL) == 1; i++)
		proxy_turn(2);
	assert_true(errno == EPIPE || errno == ECONNRESET);
	close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROXY_TEST(small_in_one_piece),
		PROXY_TEST(chunks),
		PROXY_TEST(chunks_in_octets),
		PROXY_TEST(until_close),
		PROXY_TEST(heads_alone),
		PROXY_TEST(body_of_head),
		PROXY_TEST(answer_to_http10),
		PROXY_TEST(interim),
		PROXY_TEST(malformed),
		PROXY_TEST(endless_head),
		PROXY_TEST(cut),
		PROXY_TEST(malformed_later),
		PROXY_TEST(poisoned),
		PROXY_TEST(asked_to_close),
		PROXY_TEST(silent_body),
		PROXY_TEST(idle_time),
		PROXY_TEST(back_pressure),
		PROXY_TEST(back_pressure_upload),
		PROXY_TEST(tunnel),
		PROXY_TEST(tunnel_refused),
		PROXY_TEST(tunnel_idle),
		PROXY_TEST(client_gone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
