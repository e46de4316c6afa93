/* SPDX-License-Identifier: BSD-2-Clause */
/* A session in the client's role speaks with one in the server's, through memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "http/h2_session_priv.h"
#include "tests/unit/http/h2_ends.h"

#define LARGE 300000

static struct h2_end *client, *server;

static int begin(void **state)
{
	(void)state;
	client = end_client(100);
	server = end_server(4);
	return 0;
}

static int finish(void **state)
{
	(void)state;
	end_free(client);
	end_free(server);
	return 0;
}

/* The prefaces of both. */
static void greet(void)
{
	end_talk(client, server);
	end_seen(client);
	end_seen(server);
}

static void asks_and_is_answered(void **state)
{
	(void)state;
	struct field list[] = {{SLICE("accept"), SLICE("*/*"), FIELD_OTHER}};
	struct field hint[] = {{SLICE("link"), SLICE("</a>"), FIELD_OTHER}};
	struct field digest[] = {{SLICE("digest"), SLICE("1"), FIELD_OTHER}};
	struct fields fields = {list, 1, 1}, hints = {hint, 1, 1}, trailers = {digest, 1, 1};
	struct end_stream *asked = end_get(client, &fields);
	assert_non_null(asked);
	assert_int_equal(asked->part.id, 1);
	for (int i = 0; i < 2; i++) { /* the preface of each is taken whatever its pieces are */
		end_pass(client, server, 1);
		end_pass(server, client, 1);
	}
	assert_string_equal(end_seen(server),
		":method=GET,:scheme=http,:authority=weir.test,:path=/,accept=*/*,section 1$;");
	assert_string_equal(end_seen(client), "settings, room 3, protocol;");
	struct h2_part *part = &end_stream(server, 1)->part;
	h2_session_inform(server->session, part, 103, &hints);
	h2_session_respond(server->session, part, 200, NULL, &fields, 5, false);
	part->trailers = &trailers;
	end_write(server, end_stream(server, 1), "hello", 5, true);
	end_talk(server, client);
	assert_string_equal(end_seen(client),
		"link=</a>,interim 1 103;accept=*/*,content-length=5,head 1 200;data 1 hello;"
		"digest=1,trailers 1 200$;closed 1 0;");
	assert_string_equal(end_seen(server), "closed 1 0;");
	assert_int_equal(h2_session_room(client->session), 4);
	assert_false(h2_session_over(client->session));
}

/* Sessions share a buffer in which nghttp2 makes frames, and it makes the preface before it is asked to. */
static void prefaces_are_not_disturbed(void **state)
{
	(void)state;
	struct h2_end *other = end_client(1);
	end_sends(server);
	end_sends(other);
	assert_string_equal(end_sends(client), "SETTINGS;WINDOW_UPDATE;");
	end_free(other);
}

static void says_first_that_it_takes_no_pushes(void **state)
{
	static const char first[] = H2_PREFACE
		"\0\0\x12\4\0\0\0\0\0" /* ENABLE_PUSH, INITIAL_WINDOW_SIZE, MAX_HEADER_LIST_SIZE */
		"\0\2\0\0\0\0\0\4\0\0\3\xe8\0\6\0\0\x10\0";
	char sent[sizeof first - 1];
	struct chunks out;
	(void)state;
	chunks_init(&out);
	assert_true(h2_session_send(client->session, &out, 1 << 20, 1 << 20));
	assert_int_equal(chunks_peek(&out, sent, sizeof sent), sizeof sent);
	assert_memory_equal(sent, first, sizeof sent);
	chunks_clear(&out);
}

static void heads_without_bodies_end_streams(void **state)
{
	(void)state;
	greet();
	struct end_stream *asked = end_get(client, NULL);
	end_talk(client, server);
	end_respond(server, end_stream(server, 1), 204, true);
	end_talk(server, client);
	assert_string_equal(end_seen(client), "head 1 204$;closed 1 0;");
	assert_true(asked->closed);
}

static void gives_requests_trailers(void **state)
{
	(void)state;
	struct field list[] = {{SLICE("digest"), SLICE("2"), FIELD_OTHER}};
	struct fields trailers = {list, 1, 1};
	greet();
	struct end_stream *post = end_post(client, LENGTH_UNKNOWN);
	end_talk(client, server);
	assert_string_equal(end_seen(server), ":method=POST,:scheme=http,:path=/,section 1;");
	assert_true(post->part.idle);
	end_write(client, post, "some", 4, false);
	end_talk(client, server);
	post->part.trailers = &trailers;
	end_write(client, post, "more", 4, true);
	end_talk(client, server);
	assert_string_equal(end_seen(server), "data 1 some;data 1 more;digest=2,section 1$;");
}

/* Both bodies are many times what the windows let through. */
static void moves_bodies_both_ways(void **state)
{
	(void)state;
	static char up[LARGE], down[LARGE];
	for (size_t i = 0; i < LARGE; i++) {
		up[i] = (char)(i * 7 / 5);
		down[i] = (char)(i * 11 / 3);
	}
	greet();
	struct end_stream *post[4];
	for (int i = 0; i < 4; i++) {
		post[i] = end_post(client, LARGE);
		end_write(client, post[i], up, LARGE, true);
	}
	end_pass(client, server, SIZE_MAX / 2);
	for (int i = 0; i < 4; i++) {
		struct end_stream *s = end_stream(server, post[i]->part.id);
		end_respond(server, s, 200, false);
		end_write(server, s, down, LARGE, true);
	}
	end_talk(server, client);
	for (int i = 0; i < 4; i++) {
		struct end_stream *s = end_stream(server, post[i]->part.id);
		assert_true(post[i]->closed && post[i]->code == 0 && s->closed);
		assert_int_equal(s->got.len, LARGE);
		assert_memory_equal(s->got.ptr, up, LARGE);
		assert_int_equal(post[i]->got.len, LARGE);
		assert_memory_equal(post[i]->got.ptr, down, LARGE);
	}
}

static void windows_open_as_bodies_are_consumed(void **state)
{
	(void)state;
	static const char octets[LARGE];
	greet();
	client->holds = server->holds = true;
	struct end_stream *post = end_post(client, LARGE);
	end_write(client, post, octets, LARGE, true);
	end_talk(client, server);
	struct end_stream *asked = end_stream(server, 1);
	end_respond(server, asked, 200, false);
	end_write(server, asked, octets, LARGE, true);
	end_talk(server, client);
	assert_int_equal(post->got.len, END_WINDOW);
	assert_int_equal(asked->got.len, END_WINDOW);
	h2_session_consume(client->session, &post->part, 700);
	end_talk(client, server);
	assert_int_equal(post->got.len, END_WINDOW + 700);
	assert_int_equal(asked->got.len, END_WINDOW);
	h2_session_consume(server->session, &asked->part, 600);
	end_talk(server, client);
	assert_int_equal(asked->got.len, END_WINDOW + 600);
}

static void streams_are_reset_from_here(void **state)
{
	(void)state;
	static const char octets[LARGE];
	greet();
	struct end_stream *post = end_post(client, LARGE);
	end_write(client, post, octets, LARGE, true);
	server->holds = true;
	end_talk(client, server);
	end_respond(server, end_stream(server, 1), 200, false);
	end_write(server, end_stream(server, 1), "hello", 5, false);
	end_talk(server, client);
	end_seen(client);
	end_seen(server);
	h2_session_reset(client->session, &post->part, H2_CANCEL);
	assert_string_equal(end_seen(client), ""); /* not from inside */
	end_write(server, end_stream(server, 1), "late", 4, true);
	end_pass(client, server, SIZE_MAX / 2);
	assert_string_equal(end_seen(client), "closed 1 8;");
	assert_string_equal(end_seen(server), "closed 1 8 by peer;");
	end_talk(client, server);
	assert_false(client->over);
}

/* What was under way when the stream was reset is nobody's fault. */
static void late_frames_are_forgiven(void **state)
{
	(void)state;
	greet();
	struct end_stream *post = end_post(client, LENGTH_UNKNOWN);
	end_talk(client, server);
	end_respond(server, end_stream(server, 1), 200, false);
	end_write(server, end_stream(server, 1), "hello", 5, false);
	h2_session_reset(client->session, &post->part, H2_CANCEL);
	end_sends(client); /* the server does not get it */
	end_pass(server, client, SIZE_MAX / 2);
	assert_false(client->over);
	assert_string_equal(end_seen(client), "");
}

static void streams_are_reset_from_there(void **state)
{
	(void)state;
	greet();
	struct end_stream *post = end_post(client, LENGTH_UNKNOWN);
	end_talk(client, server);
	h2_session_reset(server->session, &end_stream(server, 1)->part, H2_HTTP_1_1_REQUIRED);
	end_talk(server, client);
	assert_string_equal(end_seen(client), "closed 1 13 by peer;");
	/* an answer that needs no more of the request (RFC 9113, 8.1) */
	post = end_post(client, LENGTH_UNKNOWN);
	end_talk(client, server);
	end_respond(server, end_stream(server, 3), 413, true);
	end_pass(server, client, SIZE_MAX / 2);
	h2_session_reset(server->session, &end_stream(server, 3)->part, H2_NO_ERROR);
	end_talk(server, client);
	assert_true(post->part.ended);
	assert_string_equal(end_seen(client), "head 3 413$;closed 3 0 by peer;");
}

static void refused_streams_are_told(void **state)
{
	(void)state;
	greet();
	server->refuses = true;
	end_get(client, NULL);
	end_talk(client, server);
	assert_string_equal(end_seen(client), "closed 1 7 by peer;");
	server->refuses = false;
	end_get(client, NULL);
	end_talk(client, server);
	assert_non_null(strstr(end_seen(server), "section 3$;"));
}

static void begins_no_more_than_it_may(void **state)
{
	(void)state;
	struct h2_end *few = end_client(2);
	assert_int_equal(h2_session_room(few->session), 2);
	end_free(few);
	few = end_client(1000);
	assert_int_equal(h2_session_room(few->session), 100); /* before anything was said */
	end_free(few);
	assert_int_equal(h2_session_room(client->session), 100);
	greet();
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(h2_session_room(client->session), 4 - i);
		assert_non_null(end_get(client, NULL));
	}
	assert_int_equal(h2_session_room(client->session), 0);
	assert_null(end_get(client, NULL));
	end_talk(client, server);
	assert_null(strstr(end_seen(server), "refused"));
	end_respond(server, end_stream(server, 3), 200, true);
	end_talk(server, client);
	assert_int_equal(h2_session_room(client->session), 1);
	assert_false(h2_session_spent(client->session));
	assert_int_equal(end_get(client, NULL)->part.id, 9);
}

/* The server takes fewer than were asked before it has said so: the others wait, and can be taken back. */
static void what_is_not_sent_waits(void **state)
{
	(void)state;
	struct end_stream *asked[8];
	for (int i = 0; i < 8; i++)
		assert_non_null(asked[i] = end_get(client, NULL));
	end_pass(server, client, SIZE_MAX / 2);
	assert_string_equal(end_seen(client), "settings, room 0, protocol;");
	end_talk(client, server);
	h2_session_reset(client->session, &asked[4]->part, H2_CANCEL);
	h2_session_reset(client->session, &asked[4]->part, H2_CANCEL);
	h2_session_reset(client->session, &asked[7]->part, H2_CANCEL);
	assert_string_equal(end_seen(client), "");
	end_talk(client, server);
	assert_string_equal(end_seen(client), "closed 9 8;closed 15 8;");
	for (int32_t id = 1; id < 8; id += 2)
		end_respond(server, end_stream(server, id), 200, true);
	end_seen(server);
	end_talk(server, client);
	assert_non_null(strstr(end_seen(client), "closed 7 0;"));
	assert_string_equal(end_seen(server),
		"closed 1 0;closed 3 0;closed 5 0;closed 7 0;"
		":method=GET,:scheme=http,:authority=weir.test,:path=/,section 11$;"
		":method=GET,:scheme=http,:authority=weir.test,:path=/,section 13$;");
	assert_int_equal(h2_session_room(client->session), 2);
	assert_false(client->over || server->over);
}

static void what_was_not_sent_survives_an_end(void **state)
{
	(void)state;
	struct end_stream *asked[6];
	for (int i = 0; i < 6; i++)
		assert_non_null(asked[i] = end_get(client, NULL));
	end_pass(server, client, SIZE_MAX / 2);
	end_talk(client, server);
	end_seen(client);
	h2_session_end_gently(server->session);
	end_talk(server, client);
	assert_string_equal(end_seen(client), "goaway 7 0;closed 9 7 by peer;closed 11 7 by peer;");
	for (int32_t id = 1; id < 8; id += 2)
		end_respond(server, end_stream(server, id), 200, true);
	end_talk(server, client);
	assert_string_equal(end_seen(client), "head 1 200$;closed 1 0;head 3 200$;closed 3 0;"
					      "head 5 200$;closed 5 0;head 7 200$;closed 7 0;");
	assert_true(h2_session_over(client->session));
}

static void a_server_ends_gently(void **state)
{
	(void)state;
	greet();
	struct end_stream *first = end_get(client, NULL);
	end_talk(client, server);
	h2_session_announce_end(server->session);
	struct end_stream *crossing = end_get(client, NULL);
	end_pass(client, server, SIZE_MAX / 2);
	end_seen(server);
	end_talk(server, client);
	assert_string_equal(end_seen(client), "goaway 2147483647 0;");
	assert_string_equal(end_seen(server), "pong;");
	assert_true(h2_session_spent(client->session));
	assert_int_equal(h2_session_room(client->session), 0);
	assert_null(end_get(client, NULL));
	h2_session_end_gently(server->session);
	end_talk(server, client);
	assert_string_equal(end_seen(client), "goaway 3 0;");
	assert_false(first->closed || crossing->closed || h2_session_over(client->session));
	end_respond(server, end_stream(server, 1), 200, true);
	end_respond(server, end_stream(server, 3), 200, true);
	end_talk(server, client);
	assert_true(first->closed && crossing->closed);
	assert_true(h2_session_over(client->session) && h2_session_over(server->session));
}

static void a_client_ends_gently(void **state)
{
	(void)state;
	greet();
	end_get(client, NULL);
	end_talk(client, server);
	h2_session_end_gently(client->session);
	assert_true(h2_session_spent(client->session));
	assert_null(end_get(client, NULL));
	end_talk(client, server);
	assert_false(h2_session_over(client->session));
	end_respond(server, end_stream(server, 1), 200, true);
	end_talk(server, client);
	assert_string_equal(end_seen(client), "head 1 200$;closed 1 0;");
	assert_true(h2_session_over(client->session));
}

static void a_client_ends_at_once(void **state)
{
	(void)state;
	greet();
	end_get(client, NULL);
	h2_session_end(client->session, H2_NO_ERROR);
	assert_true(h2_session_spent(client->session));
	assert_string_equal(end_sends(client), "GOAWAY code 0;");
	assert_true(h2_session_over(client->session));
}

static void tunnels_by_extended_connect(void **state)
{
	(void)state;
	assert_false(h2_session_takes_protocol(client->session));
	assert_null(end_connect(client, "websocket"));
	greet();
	struct end_stream *tunnel = end_connect(client, "websocket");
	assert_non_null(tunnel);
	end_talk(client, server);
	assert_string_equal(end_seen(server), ":method=CONNECT,:scheme=http,:authority=weir.test,"
					      ":path=/,:protocol=websocket,section 1;");
	end_respond(server, end_stream(server, 1), 200, false);
	end_write(server, end_stream(server, 1), "down", 4, false);
	end_talk(server, client);
	end_write(client, tunnel, "up", 2, false);
	end_talk(client, server);
	end_write(client, tunnel, NULL, 0, true); /* half closed */
	end_talk(client, server);
	end_write(server, end_stream(server, 1), "last", 4, true);
	end_talk(server, client);
	assert_string_equal(
		end_seen(client), "head 1 200;data 1 down;data 1 last;end 1;closed 1 0;");
	assert_string_equal(end_seen(server), "data 1 up;end 1;closed 1 0;");
}

static void ids_run_out(void **state)
{
	(void)state;
	greet();
	assert_int_equal(nghttp2_session_set_next_stream_id(client->session->ng, INT32_MAX - 2), 0);
	assert_int_equal(h2_session_room(client->session), 2);
	struct end_stream *asked = end_get(client, NULL);
	assert_int_equal(h2_session_room(client->session), 1);
	assert_int_equal(end_get(client, NULL)->part.id, INT32_MAX);
	assert_int_equal(h2_session_room(client->session), 0);
	assert_true(h2_session_spent(client->session));
	assert_null(end_get(client, NULL));
	end_talk(client, server);
	end_respond(server, end_stream(server, INT32_MAX - 2), 200, true);
	end_respond(server, end_stream(server, INT32_MAX), 200, true);
	end_talk(server, client);
	assert_true(asked->closed && asked->code == H2_NO_ERROR);
	assert_int_equal(h2_session_room(client->session), 0);
}

static void heads_that_are_too_large_are_not_sent(void **state)
{
	(void)state;
	static char value[300000];
	struct field field = {SLICE("x"), {value, sizeof value}, FIELD_OTHER};
	struct fields fields = {&field, 1, 1};
	memset(value, 'v', sizeof value);
	greet();
	end_get(client, &fields);
	end_talk(client, server);
	assert_string_equal(end_seen(client), "closed 1 2;"); /* it may not be repeated */
	assert_string_equal(end_seen(server), "");
	field.value.len = 60000; /* several frames */
	struct end_stream *asked = end_get(client, &fields);
	end_talk(client, server);
	assert_int_equal(asked->part.id, 3);
	end_respond(server, end_stream(server, 3), 431, true);
	end_talk(server, client);
	assert_string_equal(end_seen(client), "head 3 431$;closed 3 0;");
}

/* A head of several frames of which only the first has left. */
static void heads_may_stop_half_way(void **state)
{
	(void)state;
	static char value[100000];
	struct field field = {SLICE("x"), {value, sizeof value}, FIELD_OTHER};
	struct fields fields = {&field, 1, 1};
	struct chunks out;
	chunks_init(&out);
	memset(value, 'v', sizeof value);
	greet();
	struct end_stream *asked = end_get(client, &fields);
	assert_true(h2_session_send(client->session, &out, 1, 1));
	assert_true(out.length < 20000);
	h2_session_reset(client->session, &asked->part, H2_CANCEL);
	assert_false(asked->closed);
	const char *rest = end_sends(client);
	assert_non_null(strstr(rest, "CONTINUATION 1;RST_STREAM 1 code 8;"));
	assert_true(asked->closed && asked->code == H2_CANCEL);
	chunks_clear(&out);
}

static void streams_are_taken_again(void **state)
{
	(void)state;
	greet();
	for (int32_t id = 1; id < 2001; id += 2) {
		struct end_stream *asked = end_get(client, NULL);
		assert_int_equal(asked->part.id, id);
		end_talk(client, server);
		end_respond(server, end_stream(server, id), 200, true);
		end_talk(server, client);
		assert_true(asked->closed);
		end_seen(client);
		end_seen(server);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(asks_and_is_answered),
		TEST(prefaces_are_not_disturbed),
		TEST(says_first_that_it_takes_no_pushes),
		TEST(heads_without_bodies_end_streams),
		TEST(gives_requests_trailers),
		TEST(moves_bodies_both_ways),
		TEST(windows_open_as_bodies_are_consumed),
		TEST(streams_are_reset_from_here),
		TEST(late_frames_are_forgiven),
		TEST(streams_are_reset_from_there),
		TEST(refused_streams_are_told),
		TEST(begins_no_more_than_it_may),
		TEST(what_is_not_sent_waits),
		TEST(what_was_not_sent_survives_an_end),
		TEST(a_server_ends_gently),
		TEST(a_client_ends_gently),
		TEST(a_client_ends_at_once),
		TEST(tunnels_by_extended_connect),
		TEST(ids_run_out),
		TEST(heads_that_are_too_large_are_not_sent),
		TEST(heads_may_stop_half_way),
		TEST(streams_are_taken_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
