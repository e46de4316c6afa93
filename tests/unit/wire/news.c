/* SPDX-License-Identifier: BSD-2-Clause */
/* DESIGN 3: the next request sees what was changed, also where it arrives between the event that woke the loop and the read. */
#include <stdio.h>
#include <sys/socket.h>

#include "../io/watch_test.h"
#include "echo.h"
#include "http/respond.h"
#include "one_wire.h"

#define SEEN_MAX 8

/* Of :method GET, :scheme http, :path /, :authority a; on stream 1, 3, 5. */
#define GET_1         "\0\0\6\1\5\0\0\0\1\x82\x86\x84\x41\1a"
#define GET_3         "\0\0\6\1\5\0\0\0\3\x82\x86\x84\x41\1a"
#define GET_5         "\0\0\6\1\5\0\0\0\5\x82\x86\x84\x41\1a"
#define POST_1        "\0\0\6\1\4\0\0\0\1\x83\x86\x84\x41\1a"
#define TRAIL_1       "\0\0\4\1\5\0\0\0\1\0\1x\0"
#define PING          "\0\0\10\6\0\0\0\0\00012345678"
#define BEGIN         "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
#define TEXT(literal) literal, sizeof(literal) - 1

static struct watched *folder;
static uint32_t seen[SEEN_MAX]; /* the folder's generation, as each request found it */
static unsigned seen_count;
static int client;
static const char *late; /* what arrives behind a change, once somebody is about to read */
static size_t late_length;

static enum verdict handle(struct request *request)
{
	assert_true(seen_count < SEEN_MAX);
	seen[seen_count++] = watch_generation(watch, folder);
	if (request->body)
		echo(request, 4096);
	else
		exchange_ready(request, world.greeting);
	return TAKEN;
}

static const struct handler handler = {.name = "test", .handle = handle};
static const struct handler *const table[] = {&handler, NULL};

static void say(const char *bytes, size_t length)
{
	assert_int_equal(send(client, bytes, length, MSG_NOSIGNAL), length);
}

static void arrive(void)
{
	if (!late)
		return;
	put("changed", "x");
	if (late_length)
		say(late, late_length);
	late = NULL;
}

static int set_up(void **state)
{
	int ends[2];
	if (start(state))
		return -1;
	one_wire_start(table, 1000, false);
	world.arriving = arrive;
	watch_attach(watch, &world.loop);
	folder = watch_directory(watch, NULL, root);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	client = ends[0];
	one_wire_accept(ends[1]);
	seen_count = 0;
	return 0;
}

static int tear_down(void **state)
{
	close(client);
	for (unsigned i = 0; i < 4; i++)
		one_wire_turn();
	watch_release(watch, folder);
	watch_detach(watch, &world.loop);
	one_wire_stop();
	return end(state);
}

/* Says the first, and the second behind a change. How often the request of this number, which must be the last, sees it. */
static unsigned changes(const char *first, size_t first_length, const char *second,
	size_t second_length, unsigned number)
{
	uint32_t before = watch_generation(watch, folder);
	late = second;
	late_length = second_length;
	say(first, first_length);
	for (unsigned i = 0; i < 8; i++)
		one_wire_turn();
	assert_null(late);
	assert_int_equal(seen_count, number);
	return seen[number - 1] - before;
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

/* What woke the loop was sent before: it need not see it, and costs no call. */
static void the_first_of_what_is_read_needs_no_look(void **state)
{
	(void)state;
	assert_int_equal(changes(TEXT(GET), "", 0, 1), 0);
}

static void one_behind_another_sees_it(void **state)
{
	(void)state;
	assert_true(changes(TEXT(GET), TEXT(GET), 2) > 0);
	assert_true(changes(TEXT(GET GET), TEXT(GET), 5) > 0);
}

static void one_behind_an_empty_line_sees_it(void **state)
{
	(void)state;
	assert_true(changes(TEXT("\r\n"), TEXT(GET), 1) > 0);
}

static void one_behind_a_body_sees_it(void **state)
{
	(void)state;
	say(TEXT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab"));
	one_wire_turn();
	assert_true(changes(TEXT("c"), TEXT("d" GET), 2) > 0);
}

static void one_behind_other_frames_sees_it(void **state)
{
	(void)state;
	say(TEXT(BEGIN));
	one_wire_turn();
	assert_true(changes(TEXT(PING), TEXT(GET_1), 1) > 0);
	assert_int_equal(changes(TEXT(GET_3), "", 0, 2), 0);
}

static void a_stream_behind_another_sees_it(void **state)
{
	(void)state;
	say(TEXT(BEGIN));
	one_wire_turn();
	assert_true(changes(TEXT(GET_1), TEXT(GET_3), 2) > 0);
}

static void a_stream_behind_trailers_sees_it(void **state)
{
	(void)state;
	say(TEXT(BEGIN POST_1));
	one_wire_turn();
	assert_true(changes(TEXT(TRAIL_1), TEXT(GET_3), 2) > 0);
	assert_int_equal(changes(TEXT(GET_5), "", 0, 3), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(the_first_of_what_is_read_needs_no_look),
		CASE(one_behind_another_sees_it),
		CASE(one_behind_an_empty_line_sees_it),
		CASE(one_behind_a_body_sees_it),
		CASE(one_behind_other_frames_sees_it),
		CASE(a_stream_behind_another_sees_it),
		CASE(a_stream_behind_trailers_sees_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
