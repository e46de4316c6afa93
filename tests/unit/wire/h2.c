/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/2 on a connection: requests and answers, whatever the pieces are in which octets come (RFC 9113). */
#include <stdio.h>

#include "h2_stage.h"

static void answers(void **state)
{
	(void)state;
	h2_expect("H1$ GET /ready", "H1 200; D1 hello$");
	h2_expect("H1$ HEAD /ready", "H1 200$");
	h2_expect("H1$ GET /none", "H1 404; D1 *361$");
	h2_expect("H1$ GET /large0", "H1 200$");
}

static void answers_many_together(void **state)
{
	(void)state;
	struct h2_client *c = h2_connect();
	h2_say(c, "H1$ GET /ready; H3$ GET /ready; H5$ GET /none");
	assert_string_equal(h2_hear(c), "H1 200; H3 200; H5 404; D1 hello$; D3 hello$; D5 *361$");
	h2_disconnect(c);
}

static void reads_bodies(void **state)
{
	(void)state;
	h2_expect("H1 POST /echo; D1 hello; D1$ world", "H1 200; D1 helloworld$");
	h2_expect("H1 POST /echo content-length: 5; D1$ hello", "H1 200; D1 hello$");
	h2_expect("H1 POST /echo; D1 hello; D1$", "H1 200; D1 hello$");
	h2_expect("H1 POST /echo; D1 hello; h1$ x-sum: 7", "H1 200; D1 hello$");
	h2_expect("H1 POST /echo; D1 *16384; D1 *100; D1$ *1", "H1 200; D1 *16384; D1 *101$");
	/* padded: 3 octets of padding */
	h2_expect("H1 POST /echo; X 0 9 1 036869000000", "H1 200; D1 hi$");
}

static void gives_trailers(void **state)
{
	(void)state;
	struct h2_client *c = h2_connect();
	h2_say(c, "H1 POST /echo; D1 hello; h1$ x-sum: 7|age: 1");
	assert_string_equal(h2_hear(c), "H1 200; D1 hello$");
	assert_string_equal(h2_field(c, "t-x-sum"), "7");
	assert_string_equal(h2_field(c, "t-age"), ""); /* RFC 9110, 6.5.1 */
	h2_say(c, "H3$ GET /trailers te: trailers");
	assert_string_equal(h2_hear(c), "H3 200; D3 odd; T3 x-sum: 7$");
	h2_say(c, "H5$ GET /trailers");
	assert_string_equal(h2_hear(c), "H5 200; D5 odd; T5 x-sum: 7$");
	h2_disconnect(c);
}

static void writes_heads_as_http2_has_them(void **state)
{
	(void)state;
	struct h2_client *c = h2_connect();
	h2_say(c, "H1$ GET /ready");
	h2_hear(c);
	assert_string_equal(h2_field(c, "content-type"), "text/plain");
	assert_string_equal(h2_field(c, "x-odd-name"), "1");
	assert_string_equal(h2_field(c, "connection"), "");
	assert_string_equal(h2_field(c, "content-length"), "5");
	assert_int_equal(strlen(h2_field(c, "date")), 29);
	h2_say(c, "H3$ GET /none");
	h2_hear(c);
	assert_string_equal(h2_field(c, "content-length"), "361");
	assert_int_equal(strlen(h2_field(c, "date")), 29);
	h2_disconnect(c);
}

static void reads_heads(void **state)
{
	(void)state;
	struct h2_client *c = h2_connect();
	h2_say(c, "H1$ GET /a/../ready?x=1 cookie: a=b|x-y: z|cookie: c=d|cookie: e=f");
	assert_string_equal(h2_hear(c), "H1 200; D1 hello$");
	assert_string_equal(stage.path, "/ready");
	assert_string_equal(stage.host, "a");
	assert_string_equal(stage.fields, "Cookie: a=b; c=d; e=f|x-y: z|Host: a");
	h2_say(c, "h3$ :method: GET|:path: /ready|:scheme: https|host: B:81");
	assert_string_equal(h2_hear(c), "H3 200; D3 hello$");
	assert_string_equal(stage.host, "b");
	h2_say(c, "h5-$ :method: GET|:path: /ready; C5- :scheme: http; C5 :authority: c|x: y");
	assert_string_equal(h2_hear(c), "H5 200; D5 hello$");
	assert_string_equal(stage.host, "c");
	assert_string_equal(stage.fields, "x: y|Host: c");
	h2_disconnect(c);
}

/* What is malformed is answered by a reset (8.1.1); the connection goes on. */
static void malformed(const char *frames)
{
	char said[600];
	snprintf(said, sizeof said, "%s; H3$ GET /ready", frames);
	h2_expect(said, "R1 1; H3 200; D3 hello$");
}

static void resets_what_is_malformed(void **state)
{
	(void)state;
	static const char *const heads[] = {
		/* pseudo-fields: 8.3 */
		":path: /|:scheme: http|:authority: a",
		":method: GET|:scheme: http|:authority: a",
		":method: GET|:path: /|:authority: a",
		":method: GET|:path: |:scheme: http|:authority: a",
		":method: GET|:method: GET|:path: /|:scheme: http|:authority: a",
		":method: GET|:path: /|:path: /|:scheme: http|:authority: a",
		":method: GET|:path: /|:scheme: http|:scheme: http|:authority: a",
		":method: GET|:path: /|:scheme: http|:authority: a|:authority: a",
		":method: GET|:path: /|:scheme: http|:authority: a|:odd: x",
		":method: GET|:path: /|:scheme: http|:authority: a|:status: 200",
		":method: GET|:path: /|:scheme: http|x: y|:authority: a",
		":method: GET|:path: /|:scheme: gopher|:authority: a",
		":method: G T|:path: /|:scheme: http|:authority: a",
		":method: |:path: /|:scheme: http|:authority: a",
		":method: GET|:path: /|:scheme: http|:authority: a|:protocol: websocket",
		":method: CONNECT|:scheme: http|:path: /|:authority: a",
		":method: CONNECT",
		/* fields: 8.2 */
		":method: GET|:path: /|:scheme: http|:authority: a|X: y",
		":method: GET|:path: /|:scheme: http|:authority: a|x y: z",
		":method: GET|:path: /|:scheme: http|:authority: a|x:  y",
		":method: GET|:path: /|:scheme: http|:authority: a|x: y ",
		":method: GET|:path: /|:scheme: http|:authority: a|x: y\rz",
		":method: GET|:path: /|:scheme: http|:authority: a|x: y\nz",
		":method: GET|:path: /|:scheme: http|:authority: a|content_length: 5",
		":method: GET|:path: /|:scheme: http|:authority: a|connection: close",
		":method: GET|:path: /|:scheme: http|:authority: a|keep-alive: 5",
		":method: GET|:path: /|:scheme: http|:authority: a|proxy-connection: x",
		":method: GET|:path: /|:scheme: http|:authority: a|transfer-encoding: chunked",
		":method: GET|:path: /|:scheme: http|:authority: a|upgrade: websocket",
		":method: GET|:path: /|:scheme: http|:authority: a|te: gzip",
		":method: GET|:path: /|:scheme: http|:authority: a|te: trailers, gzip",
		/* a body that was announced and does not follow: 8.1.1 */
		":method: POST|:path: /echo|:scheme: http|:authority: a|content-length: 5",
		":method: POST|:path: /echo|:scheme: http|:authority: a|content-length: 0|content-length: 0",
		":method: POST|:path: /echo|:scheme: http|:authority: a|content-length: +0",
	};
	for (size_t i = 0; i < COUNT_OF(heads); i++) {
		char frames[512];
		snprintf(frames, sizeof frames, "h1$ %s", heads[i]);
		malformed(frames);
		struct h2_client *c =
			h2_connect(); /* the log says what it was, and that nothing was sent */
		h2_say(c, frames);
		assert_string_equal(h2_hear(c), "R1 1");
		assert_int_equal(stage.end, END_BAD_HEAD);
		assert_int_equal(stage.sent, 0);
		h2_disconnect(c);
	}
	malformed("H1 POST /echo content-length: 5; D1 *6");
	malformed("H1 POST /echo content-length: 5; D1$ *4");
	malformed("H1 POST /echo content-length: 5; D1 *4; h1$ x: y");
	malformed("H1 POST /echo; D1 x; h1$ :method: GET");
	malformed("H1 POST /echo; D1 x; h1$ X: y");
	malformed("H1 POST /echo; D1 x; h1$ host: b");
	malformed("H1 POST /echo; D1 x; h1 x: y"); /* 8.1: trailers end the stream */
	struct h2_client *c = h2_connect();
	h2_say(c, "H1 POST /none content-length: 0");
	assert_string_equal(h2_hear(c), "H1 404; D1 *361$");
	h2_say(c, "D1 *1; H3$ GET /ready");
	assert_string_equal(h2_hear(c), "R1 1; H3 200; D3 hello$");
	h2_disconnect(c);
}

static void refuses_as_http1_does(void **state)
{
	(void)state;
	char heard[64];
	static const struct {
		const char *head;
		unsigned status;
	} cases[] = {
		{":method: GET|:path: x|:scheme: http|:authority: a", 400},
		{":method: GET|:path: http://b/|:scheme: http|:authority: a", 400},
		{":method: GET|:path: /\t|:scheme: http|:authority: a", 400},
		{":method: GET|:path: /%00|:scheme: http|:authority: a", 400},
		{":method: GET|:path: /../..|:scheme: http|:authority: a", 400},
		{":method: GET|:path: /#x|:scheme: http|:authority: a", 400},
		{":method: GET|:path: *|:scheme: http|:authority: a", 400},
		{":method: GET|:path: /|:scheme: http", 400},
		{":method: GET|:path: /|:scheme: http|:authority: ", 400},
		{":method: GET|:path: /|:scheme: http|:authority: u@a", 400},
		{":method: GET|:path: /|:scheme: http|:authority: a|host: b", 400},
		{":method: GET|:path: /|:scheme: http|host: a|host: a", 400},
		{":method: GET|:path: /|:scheme: http|:authority: a|expect: a-miracle", 417},
		{":method: CONNECT|:authority: a:443", 501},
		{":method: CONNECT|:protocol: ftp|:scheme: http|:path: /|:authority: a", 501},
		{":method: TRACE|:path: /|:scheme: http|:authority: a", 405},
		{":method: GET|:path: /|:scheme: http|:authority: a|x: *5000", 431},
		{":method: POST|:path: /echo|:scheme: http|:authority: a|content-length: 300001",
			413},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char frames[512];
		snprintf(frames, sizeof frames, "h1%s %s", cases[i].status == 413 ? "" : "$",
			cases[i].head);
		struct h2_client *c = h2_connect();
		h2_say(c, frames);
		snprintf(heard, sizeof heard, "H1 %u;", cases[i].status);
		const char *got = h2_hear(c);
		if (strncmp(got, heard, strlen(heard)) != 0)
			fail_msg("“%s” is answered by “%s”, not %u", frames, got, cases[i].status);
		h2_say(c, "H3$ GET /ready");
		assert_string_equal(h2_hear(c), "H3 200; D3 hello$");
		h2_disconnect(c);
	}
}

static void refuses_bodies_that_are_too_large(void **state)
{
	(void)state;
	struct h2_client *c = h2_connect();
	h2_say(c, "H1 POST /echo; D1 *16384; D1 *16384");
	assert_string_equal(h2_hear(c), "");
	world.snapshot.core.limits.body_size = 40000;
	h2_say(c, "D1 *16384");
	assert_string_equal(h2_hear(c), "H1 413; D1 *389$");
	assert_int_equal(stage.end, END_BODY_SIZE);
	h2_disconnect(c);
}

/* The beginning of the body stands behind the head already: no reason to take the answer away. */
static void refuses_in_spite_of_the_body(void **state)
{
	(void)state;
	static const char *const heads[] = {
		":method: POST|:path: /echo|:scheme: http|:authority: a|content-length: 300001",
		":method: POST|:path: /echo|:scheme: http|:authority: a|content-length: 9|expect: a-miracle",
		":method: POST|:path: /echo|:scheme: http|:authority: a|content-length: 9|x: *5000",
	};
	static const char *const answers[] = {"H1 413; D1", "H1 417; D1", "H1 431; D1"};
	for (size_t i = 0; i < COUNT_OF(heads); i++) {
		char frames[512];
		snprintf(frames, sizeof frames, "h1 %s; D1 12345; D1%s 6789", heads[i],
			i ? "$" : "");
		struct h2_client *c = h2_connect();
		h2_say(c, frames);
		const char *got = h2_hear(c);
		if (strncmp(got, answers[i], strlen(answers[i])) != 0)
			fail_msg("“%s” is answered by “%s”", frames, got);
		h2_disconnect(c);
	}
}

static void asks_for_a_body_that_waits_to_be_asked(void **state)
{
	(void)state;
	struct h2_client *c = h2_connect();
	h2_say(c, "H1 POST /echo expect: 100-continue");
	assert_string_equal(h2_hear(c), "H1 100");
	h2_say(c, "D1$ ok");
	assert_string_equal(h2_hear(c), "H1 200; D1 ok$");
	h2_disconnect(c);
}

static void breaks_off_what_cannot_be_completed(void **state)
{
	(void)state;
	h2_expect("H1$ GET /fails; H3$ GET /ready", "R1 2; H3 200; D3 hello$");
	assert_int_equal(stage.observed, 10);
}

static void ends_an_exchange_whose_stream_is_reset(void **state)
{
	(void)state;
	struct h2_client *c = h2_connect();
	h2_say(c, "H1$ GET /hold; H3 POST /echo; D3 *1000");
	assert_string_equal(h2_hear(c), "");
	assert_int_equal(stage.under_way, 1);
	h2_say(c, "R1 8");
	h2_hear(c);
	assert_int_equal(stage.under_way, 0);
	assert_int_equal(stage.end, END_CLIENT_GONE);
	h2_say(c, "R3 8; H5$ GET /ready");
	assert_string_equal(h2_hear(c), "H5 200; D5 hello$");
	assert_int_equal(stage.observed, 3);
	h2_say(c, "H7$ GET /hold");
	h2_hear(c);
	h2_disconnect(c);
	assert_int_equal(stage.observed, 4);
}

static void makes_tunnels(void **state)
{
	(void)state; /* RFC 8441 */
	static const char ask[] =
		"h1 :method: CONNECT|:protocol: websocket|:scheme: http|:path: /tunnel|:authority: a|"
		"sec-websocket-version: 13";
	struct h2_client *c = h2_connect();
	h2_say(c, ask);
	assert_string_equal(h2_hear(c), "H1 200");
	assert_string_equal(h2_field(c, "sec-websocket-accept"), "");
	assert_non_null(strstr(stage.fields, "Sec-WebSocket-Key: "));
	h2_say(c, "D1 ping");
	assert_string_equal(h2_hear(c), "D1 ping");
	h2_say(c, "D1 pong; H3$ GET /ready");
	assert_string_equal(h2_hear(c), "H3 200; D1 pong; D3 hello$");
	h2_say(c, "D1$ end");
	assert_string_equal(h2_hear(c), "D1 end$");
	assert_int_equal(stage.observed, 2);
	assert_int_equal(stage.end, END_COMPLETE);
	assert_int_equal(stage.received, 11);
	h2_disconnect(c);
}

static void makes_no_tunnel_of_another_answer(void **state)
{
	(void)state;
	static const char format[] =
		"h1 :method: CONNECT|:protocol: websocket|:scheme: http|:path: %s|:authority: a";
	char frames[256];
	snprintf(frames, sizeof frames, format, "/ready"); /* a 200 would say that there is one */
	h2_expect(frames, "R1 10");
	snprintf(frames, sizeof frames, format, "/none");
	h2_expect(frames, "H1 404; D1 *361$");
}

static void answers_before_the_body_is_whole(void **state)
{
	(void)state;
	struct h2_client *c = h2_connect();
	h2_say(c, "H1 POST /ready; D1 *100");
	assert_string_equal(h2_hear(c), "H1 200; D1 hello$");
	assert_int_equal(stage.observed, 1);
	h2_await(c, "R1 0"); /* RFC 9113, 8.1: after a while */
	h2_say(c, "D1 *100; H3$ GET /ready");
	assert_string_equal(h2_hear(c), "H3 200; D3 hello$");
	h2_disconnect(c);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, h2_set_up, h2_tear_down)
	const struct CMUnitTest tests[] = {
		CASE(answers),
		CASE(answers_many_together),
		CASE(reads_bodies),
		CASE(gives_trailers),
		CASE(writes_heads_as_http2_has_them),
		CASE(reads_heads),
		CASE(resets_what_is_malformed),
		CASE(refuses_as_http1_does),
		CASE(refuses_bodies_that_are_too_large),
		CASE(refuses_in_spite_of_the_body),
		CASE(asks_for_a_body_that_waits_to_be_asked),
		CASE(breaks_off_what_cannot_be_completed),
		CASE(ends_an_exchange_whose_stream_is_reset),
		CASE(makes_tunnels),
		CASE(makes_no_tunnel_of_another_answer),
		CASE(answers_before_the_body_is_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
