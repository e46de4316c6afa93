/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/1 on a connection: a real loop and a socket pair, handlers of the test's own, and a transport that gives the bytes in
 * pieces of any size. What is sent must be the same whatever the pieces are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "echo.h"
#include "http/respond.h"
#include "one_wire.h"

/* --- The handlers of the test. --- */

static unsigned observed;
static enum exchange_end last_end;
static const char flood[1 << 20]; /* more than a socket holds */

static enum verdict test_handle(struct request *request)
{
	struct slice path = request->target.path;
	if (slice_equal(path, SLICE("/ready"))) {
		exchange_ready(request, world.greeting);
		return TAKEN;
	}
	if (slice_equal(path, SLICE("/echo")) && request->body) {
		echo(request, 7);
		return TAKEN;
	}
	if (slice_equal(path, SLICE("/stream"))) {
		request->response.status = 200;
		request->response.length = LENGTH_UNKNOWN;
		exchange_respond(request, respond_memory(request, "streamed", 8));
		return TAKEN;
	}
	if (slice_equal(path, SLICE("/short"))) {
		request->response.status = 200;
		request->response.length = 10;
		exchange_respond(request, respond_memory(request, "streamed", 8));
		return TAKEN;
	}
	if (slice_equal(path, SLICE("/flood")) || request->upgrade.len) {
		request->response.status = request->upgrade.len ? 101 : 200;
		request->response.upgrade = request->upgrade;
		request->response.length = LENGTH_UNKNOWN;
		exchange_respond(request, respond_memory(request, flood, sizeof flood));
		return TAKEN;
	}
	return PASS;
}

static void test_observe(struct request *request)
{
	observed++;
	last_end = request->end;
}

static const struct handler test_handler = {
	.name = "test",
	.handle = test_handle,
	.observe = test_observe,
};
static const struct handler *const test_table[] = {&test_handler, NULL};

/* --- Before and behind each. --- */

static int set_up(void **state)
{
	(void)state;
	observed = 0;
	one_wire_start(test_table, 100, false);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	one_wire_stop();
	return 0;
}

/* A client's end of a connection that the wire has accepted. */
static int connect_client(void)
{
	int pair[2];
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	one_wire_accept(pair[1]);
	return pair[0];
}

/* Sends the text in pieces and reads until the server has nothing more to say, the dates replaced by "-". */
static void talk(int fd, const char *text, size_t length, char *answer, size_t size)
{
	size_t sent = 0, got = 0;
	for (int quiet = 0; quiet < 6;) {
		if (sent < length) {
			size_t most = length - sent < world.piece ? length - sent : world.piece;
			ssize_t n = send(fd, text + sent, most, MSG_NOSIGNAL);
			if (n > 0)
				sent += (size_t)n;
			else if (errno != EAGAIN)
				sent = length;
		}
		one_wire_turn();
		ssize_t n = recv(fd, answer + got, size - 1 - got, 0);
		quiet = n > 0 || sent < length ? 0 : quiet + 1;
		if (n > 0)
			got += (size_t)n;
	}
	answer[got] = 0;
	for (char *date = answer; (date = strstr(date, "Date: "));) {
		memmove(date + 7, date + 35, strlen(date + 35) + 1);
		date[6] = '-';
		date += 6;
	}
}

static bool is_closed(int fd)
{
	char byte;
	one_wire_turn();
	ssize_t n = recv(fd, &byte, 1, 0);
	return n == 0 || (n < 0 && errno != EAGAIN);
}

/* What a client says and what it must hear, whatever the pieces are. `closed`: the server ends the connection. */
static void expect(const char *request, const char *answer, bool closed)
{
	static const size_t pieces[] = {65536, 1, 2, 3, 7, 16, 61};
	char got[16384];
	for (size_t i = 0; i < COUNT_OF(pieces); i++) {
		world.piece = pieces[i];
		int fd = connect_client();
		talk(fd, request, strlen(request), got, sizeof got);
		assert_string_equal(got, answer);
		assert_int_equal(is_closed(fd), closed);
		close(fd);
		one_wire_turn();
		one_wire_turn();
		assert_int_equal(wire_open(world.wire), 0);
	}
}

#define HELLO                                                                                      \
	"HTTP/1.1 200 OK\r\nDate: -\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"

static void keeps_connections_and_answers_pipelined_requests_in_order(void **state)
{
	(void)state; /* RFC 9112, 9.3 and 9.3.2 */
	expect("GET /ready HTTP/1.1\r\nHost: a\r\n\r\n", HELLO, false);
	expect("GET /ready HTTP/1.1\r\nHost: a\r\n\r\nGET /stream HTTP/1.1\r\nHost: a\r\n\r\n"
	       "HEAD /ready HTTP/1.1\r\nHost: a\r\n\r\nGET /ready HTTP/1.1\r\nHost: a\r\n\r\n",
		HELLO
		"HTTP/1.1 200 OK\r\nDate: -\r\nTransfer-Encoding: chunked\r\n\r\n"
		"8\r\nstreamed\r\n0\r\n\r\n"
		"HTTP/1.1 200 OK\r\nDate: -\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n" HELLO,
		false);
}

static void passes_over_empty_lines(void **state)
{
	(void)state; /* RFC 9112, 2.2; also where they come cut in two */
	expect("\r\nGET /ready HTTP/1.1\r\nHost: a\r\n\r\n", HELLO, false);
	expect("\r\n\r\n\r\nGET /ready HTTP/1.1\r\nHost: a\r\n\r\n\r\n"
	       "GET /ready HTTP/1.1\r\nHost: a\r\n\r\n\r\n\r\n",
		HELLO HELLO, false);
	expect("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\n"
	       "GET /ready HTTP/1.1\r\nHost: a\r\n\r\n",
		"HTTP/1.1 200 OK\r\nDate: -\r\nContent-Length: 3\r\n\r\nabc" HELLO, false);
}

static void closes_when_asked(void **state)
{
	(void)state; /* RFC 9112, 9.6 */
	expect("GET /ready HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n",
		"HTTP/1.1 200 OK\r\nDate: -\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
		"Connection: close\r\n\r\nhello",
		true);
	expect("GET /ready HTTP/1.0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nDate: -\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
		"Connection: close\r\n\r\nhello",
		true);
	expect("GET /ready HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"HTTP/1.1 200 OK\r\nDate: -\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
		"Connection: keep-alive\r\n\r\nhello",
		false);
}

static void reads_bodies_of_both_framings(void **state)
{
	(void)state; /* RFC 9112, 6 and 7.1 */
	expect("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world"
	       "GET /ready HTTP/1.1\r\nHost: a\r\n\r\n",
		"HTTP/1.1 200 OK\r\nDate: -\r\nContent-Length: 11\r\n\r\nhello world" HELLO, false);
	expect("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	       "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n"
	       "GET /ready HTTP/1.1\r\nHost: a\r\n\r\n",
		"HTTP/1.1 200 OK\r\nDate: -\r\nT-X-Trailer: 1\r\nContent-Length: 11\r\n\r\nhello world" HELLO,
		false);
}

static void passes_over_a_body_that_nobody_reads(void **state)
{
	(void)state; /* RFC 9112, 9.3: the next request begins behind it */
	expect("POST /ready HTTP/1.1\r\nHost: a\r\nContent-Length: 33\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n"
	       "GET /ready HTTP/1.1\r\nHost: a\r\n\r\n",
		HELLO HELLO, false);
}

static void asks_for_a_body_that_waits_to_be_asked(void **state)
{
	(void)state; /* RFC 9110, 10.1.1 */
	int fd = connect_client();
	char got[4096];
	const char *head =
		"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
	talk(fd, head, strlen(head), got, sizeof got);
	assert_string_equal(got, "HTTP/1.1 100 Continue\r\n\r\n");
	talk(fd, "ok", 2, got, sizeof got);
	assert_string_equal(got, "HTTP/1.1 200 OK\r\nDate: -\r\nContent-Length: 2\r\n\r\nok");
	close(fd);
}

/* The status line of the answer, and the connection ends. */
static void expect_refused(const char *request, unsigned status)
{
	char got[16384], line[16];
	snprintf(line, sizeof line, "HTTP/1.1 %u ", status);
	world.piece = 65536;
	int fd = connect_client();
	talk(fd, request, strlen(request), got, sizeof got);
	if (strncmp(got, line, strlen(line)) != 0)
		fail_msg("%s answered by %.40s, not %u", request, got, status);
	assert_non_null(strstr(got, "Connection: close\r\n"));
	assert_null(strstr(got + 1, "HTTP/1.1 200"));
	assert_true(is_closed(fd));
	close(fd);
	one_wire_turn();
	one_wire_turn();
	assert_int_equal(wire_open(world.wire), 0);
}

#define SMUGGLED "GET /ready HTTP/1.1\r\nHost: a\r\n\r\n"

static void refuses_what_is_malformed_and_ends_the_connection(void **state)
{
	(void)state; /* RFC 9112, 3.2, 5, 6.1, 6.3 */
	expect_refused("GET /ready HTTP/1.1\r\n\r\n" SMUGGLED, 400);
	expect_refused("GET /ready HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n" SMUGGLED, 400);
	expect_refused("GET /ready HTTP/1.1\nHost: a\n\n" SMUGGLED, 400);
	expect_refused("GET /ready HTTP/1.1\r\nHost : a\r\n\r\n" SMUGGLED, 400);
	expect_refused("GET /ready HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n" SMUGGLED, 400);
	expect_refused("GET /ready HTTP/2.0\r\nHost: a\r\n\r\n" SMUGGLED, 505);
	expect_refused("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
		       "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED,
		400);
	expect_refused(
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd" SMUGGLED, 400);
	expect_refused("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", 413);
	expect_refused(
		"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\nContent-Length: 2\r\n\r\nok",
		417);
	expect_refused("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501);
	expect_refused(
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n" SMUGGLED,
		400);
}

static void refuses_heads_that_are_too_large(void **state)
{
	(void)state; /* DESIGN 2: header_size: 431, a target over 8k: 414 */
	static char head[20000];
	snprintf(head, sizeof head, "GET /ready HTTP/1.1\r\nHost: a\r\nX: %05000d\r\n\r\n", 0);
	expect_refused(head, 431);
	snprintf(head, sizeof head, "GET /%05000d", 0);
	expect_refused(head, 414);
}

static void cuts_an_answer_that_is_shorter_than_announced(void **state)
{
	(void)state; /* never completed: the client must see that it was cut */
	char got[4096];
	int fd = connect_client();
	talk(fd, SMUGGLED, strlen(SMUGGLED), got, sizeof got);
	const char *request = "GET /short HTTP/1.1\r\nHost: a\r\n\r\n";
	talk(fd, request, strlen(request), got, sizeof got);
	assert_null(strstr(got, "streamed\r\n"));
	assert_true(is_closed(fd));
	assert_int_equal(last_end, END_INTERNAL);
	close(fd);
}

static void tells_observers_of_each_exchange_once(void **state)
{
	(void)state; /* DESIGN 5, Observer */
	int fd = connect_client();
	const char *head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhalf";
	char got[4096];
	talk(fd, head, strlen(head), got, sizeof got);
	assert_string_equal(got, "");
	assert_int_equal(observed, 0);
	close(fd);
	for (int i = 0; i < 4; i++)
		one_wire_turn();
	assert_int_equal(observed, 1);
	assert_int_equal(last_end, END_CLIENT_GONE);
	assert_int_equal(wire_open(world.wire), 0);
	assert_int_equal(counter_read(&world.counters, COUNTER_REQUESTS_OPEN), 0);
}

static void says_close_while_draining(void **state)
{
	(void)state; /* DESIGN 4, Reload */
	int fd = connect_client();
	char got[4096];
	talk(fd, SMUGGLED, strlen(SMUGGLED), got, sizeof got);
	assert_string_equal(got, HELLO);
	wire_drain(world.wire);
	talk(fd, SMUGGLED, strlen(SMUGGLED), got, sizeof got);
	assert_non_null(strstr(got, "\r\nConnection: close\r\n"));
	assert_true(is_closed(fd));
	close(fd);
}

/* The transport has sent so much that it is to end. */
static void says_close_when_worn(void **state)
{
	(void)state;
	int fd = connect_client();
	char got[4096];
	talk(fd, SMUGGLED, strlen(SMUGGLED), got, sizeof got);
	assert_string_equal(got, HELLO);
	one_wire_newest()->transport.worn = true;
	talk(fd, SMUGGLED, strlen(SMUGGLED), got, sizeof got);
	assert_non_null(strstr(got, "\r\nConnection: close\r\n"));
	assert_true(is_closed(fd));
	close(fd);
}

/* Who holds a tunnel's other end says how long it may wait, also where a slow answer went before it. */
static void leaves_a_tunnel_its_time_behind_a_slow_answer(void **state)
{
	(void)state;
	static const char requests[] =
		"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n"
		"GET /tunnel HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
	static char got[1 << 17];
	int fd = connect_client();
	struct conn *c = one_wire_newest();
	assert_int_equal(send(fd, requests, sizeof requests - 1, 0), sizeof requests - 1);
	one_wire_turn();
	assert_true(c->blocked && c->wait == CONN_WAIT_SEND);
	size_t length = 0;
	for (int i = 0; i < 1000 && length < sizeof flood + 1000; i++) {
		ssize_t n = recv(fd, got, sizeof got, 0);
		length += n > 0 ? (size_t)n : 0;
		one_wire_turn();
	}
	assert_true(c->blocked && c->wait == CONN_WAIT_NONE);
	close(fd);
	one_wire_turn();
	one_wire_turn();
	assert_int_equal(wire_open(world.wire), 0);
}

/* A head has all of its time also where it begins together with the end of the one before it. */
static void gives_each_head_its_own_time(void **state)
{
	(void)state;
	static const char begun[] = "GET /ready HTTP/1.1\r\nHos", rest[] = "t: a\r\n\r\nGET /re";
	char got[4096];
	int fd = connect_client();
	talk(fd, begun, sizeof begun - 1, got, sizeof got);
	struct conn *c = one_wire_newest();
	assert_int_equal(c->wait, CONN_WAIT_HEAD);
	uint64_t due = c->deadline.due;
	c->deadline.due -= 20; /* five seconds go by */
	talk(fd, "t", 1, got, sizeof got);
	assert_int_equal(c->deadline.due, due - 20);
	talk(fd, rest + 1, sizeof rest - 2, got, sizeof got);
	assert_string_equal(got, HELLO);
	assert_int_equal(c->wait, CONN_WAIT_HEAD);
	assert_true(c->deadline.due >= due);
	close(fd);
}

/* Where no more connections may be open one that is idle goes, however many older ones are in use. */
static void makes_room_behind_many_that_are_busy(void **state)
{
	(void)state;
	enum { BUSY = 200 };
	int fds[BUSY + 2];
	char got[4096];
	world.snapshot.core.limits.connections = BUSY + 1;
	for (int i = 0; i <= BUSY; i++)
		fds[i] = connect_client();
	talk(fds[BUSY], SMUGGLED, strlen(SMUGGLED), got, sizeof got);
	struct conn *idle = one_wire_newest();
	assert_int_equal(idle->wait, CONN_WAIT_IDLE);
	idle->idle_since -= 6000;
	fds[BUSY + 1] = connect_client();
	assert_int_equal(wire_open(world.wire), BUSY + 1);
	assert_true(is_closed(fds[BUSY]));
	talk(fds[BUSY + 1], SMUGGLED, strlen(SMUGGLED), got, sizeof got);
	assert_string_equal(got, HELLO);
	for (int i = 0; i < BUSY + 2; i++)
		close(fds[i]);
}

static unsigned offers;

static void learn_to_send_files(struct transport *t)
{
	if (++offers == 2)
		t->caps |= TRANSPORT_SEND_FILE;
}

/* Puts so much of a file into the connection's queue; what comes of it is read away. */
static void send_of_file(struct conn *c, int client, int file, size_t length)
{
	static char bytes[1 << 17];
	chunks_file(&c->out, NULL, file, 0, length, NULL);
	conn_touch(c);
	for (int i = 0; i < 1000 && length > 0; i++) {
		one_wire_turn();
		ssize_t n = recv(client, bytes, sizeof bytes, 0);
		length -= n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(length, 0);
}

/* A transport that could learn to send files is told when a long one is next, not for a short one, and not when it can. */
static void offers_long_files(void **state)
{
	(void)state;
	FILE *file = tmpfile();
	assert_int_equal(ftruncate(fileno(file), 1 << 20), 0);
	int fd = connect_client();
	struct conn *c = one_wire_newest();
	struct transport_ops ops = *c->transport.ops;
	ops.offload = learn_to_send_files;
	c->transport.ops = &ops;
	c->transport.caps = 0;
	send_of_file(c, fd, fileno(file), 65535);
	assert_int_equal(offers, 0);
	send_of_file(c, fd, fileno(file), 65536);
	assert_int_equal(offers, 1);
	send_of_file(c, fd, fileno(file), 1 << 20);
	assert_int_equal(offers, 2);
	assert_true(c->transport.caps & TRANSPORT_SEND_FILE);
	fclose(file);
	close(fd);
	one_wire_turn();
	one_wire_turn();
	assert_int_equal(wire_open(world.wire), 0);
}

/* As long as more of an answer comes short segments wait for it, but not where sending is paced; behind its end none does, be there something
 * or nothing. */
static void corks_long_files(void **state)
{
	(void)state;
	FILE *file = tmpfile();
	assert_int_equal(ftruncate(fileno(file), 100000), 0);
	for (int ends_in_a_file = 0; ends_in_a_file < 2; ends_in_a_file++) {
		int fd = connect_client();
		struct conn *c = one_wire_newest();
		for (unsigned paced = 0; paced <= TRANSPORT_PACED; paced += TRANSPORT_PACED) {
			c->transport.caps = TRANSPORT_SEND_FILE | paced;
			c->more = true;
			send_of_file(c, fd, fileno(file), 100000);
			assert_int_equal(c->transport.corked, !paced);
			c->more = false;
			if (ends_in_a_file)
				send_of_file(c, fd, fileno(file), 100);
			conn_touch(c);
			one_wire_turn();
			assert_false(c->transport.corked);
		}
		close(fd);
		one_wire_turn();
	}
	fclose(file);
}

/* Nobody has told of a write before the piece was read, and the file knows of it behind. */
static bool is_written_meanwhile(struct ref *owner, enum chunk_when when)
{
	(void)owner;
	return when != CHUNK_BEHIND;
}

/* DESIGN 3: nothing is mixed. What the kernel sends stays the file's own, and is not asked for. */
static void ends_where_a_file_is_written_while_it_is_read(void **state)
{
	(void)state;
	FILE *file = tmpfile();
	assert_int_equal(ftruncate(fileno(file), 1000), 0);
	for (unsigned caps = 0; caps <= TRANSPORT_SEND_FILE; caps += TRANSPORT_SEND_FILE) {
		char got[2000];
		int fd = connect_client();
		struct conn *c = one_wire_newest();
		c->transport.caps = caps;
		chunks_file(&c->out, NULL, fileno(file), 0, 1000, is_written_meanwhile);
		conn_touch(c);
		one_wire_turn();
		one_wire_turn();
		assert_int_equal(wire_open(world.wire), caps ? 1 : 0);
		assert_int_equal(recv(fd, got, sizeof got, 0), caps ? 1000 : 0);
		close(fd);
		one_wire_turn();
	}
	fclose(file);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(keeps_connections_and_answers_pipelined_requests_in_order),
		CASE(passes_over_empty_lines),
		CASE(closes_when_asked),
		CASE(reads_bodies_of_both_framings),
		CASE(passes_over_a_body_that_nobody_reads),
		CASE(asks_for_a_body_that_waits_to_be_asked),
		CASE(refuses_what_is_malformed_and_ends_the_connection),
		CASE(refuses_heads_that_are_too_large),
		CASE(cuts_an_answer_that_is_shorter_than_announced),
		CASE(tells_observers_of_each_exchange_once),
		CASE(says_close_while_draining),
		CASE(says_close_when_worn),
		CASE(leaves_a_tunnel_its_time_behind_a_slow_answer),
		CASE(gives_each_head_its_own_time),
		CASE(makes_room_behind_many_that_are_busy),
		CASE(offers_long_files),
		CASE(corks_long_files),
		CASE(ends_where_a_file_is_written_while_it_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
