/* SPDX-License-Identifier: BSD-2-Clause */
/* The access log's lines in the three formats, and that a client can forge none of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/line_log.h"
#include "handlers/access_log.h"

static struct clock wall_clock;
static struct snapshot snapshot;
static struct exchange_thread thread;
static struct listener_settings listener;
static struct address address;
static struct site site = {.name = {"example.com", 11}};
static struct peer peer;
static struct request request;

static void add(enum field_id id, const char *value)
{
	fields_add(&request.fields, &request.arena, id, slice_of(value));
}

/* What the request of this test would be logged as. */
static const char *line(enum access_format format)
{
	static char text[200000];
	char path[] = "/tmp/weir-access-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	unlink(path);
	snapshot.core.access_log.format = (int)format;
	thread.access = line_log_start(fd, 1);
	access_log_handler.observe(&request);
	line_log_stop(thread.access);
	ssize_t length = pread(fd, text, sizeof text - 1, 0);
	assert_true(length > 0);
	text[length] = 0;
	close(fd);
	return text;
}

static int set_up(void **state)
{
	(void)state;
	memset(&request, 0, sizeof request);
	arena_init(&request.arena, NULL, 0);
	memcpy(wall_clock.log_time, "23/Nov/2026:22:51:27 +0000", 27);
	wall_clock.wall = 1795474287;
	wall_clock.wall_us = 42;
	wall_clock.monotonic_us = 5000;
	thread = (struct exchange_thread){.clock = &wall_clock, .snapshot = &snapshot};
	address = (struct address){.length = sizeof address.v4};
	address.v4.sin_family = AF_INET;
	inet_pton(AF_INET, "203.0.113.9", &address.v4.sin_addr);
	peer = (struct peer){.address = &address, .listener = &listener, .connection = 7};
	request.thread = &thread;
	request.peer = &peer;
	request.site = &site;
	request.method_text = SLICE("GET");
	request.target_text = SLICE("/a?b=c");
	request.host = SLICE("example.com");
	request.major = request.minor = 1;
	request.number = 3;
	request.begun_us = 4000;
	request.response.status = 200;
	request.sent = 1024;
	request.handled_by = "static";
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_reset(&request.arena);
	return 0;
}

static void writes_the_common_and_the_combined_format(void **state)
{
	(void)state; /* DESIGN 2, log.access */
	add(FIELD_REFERER, "http://example.com/");
	add(FIELD_USER_AGENT, "curl/7.88");
	assert_string_equal(line(ACCESS_COMMON),
		"203.0.113.9 - - [23/Nov/2026:22:51:27 +0000] \"GET /a?b=c HTTP/1.1\" 200 1024\n");
	assert_string_equal(line(ACCESS_COMBINED),
		"203.0.113.9 - - [23/Nov/2026:22:51:27 +0000] \"GET /a?b=c HTTP/1.1\" 200 1024 "
		"\"http://example.com/\" \"curl/7.88\"\n");
}

static void writes_a_dash_for_what_is_not_there(void **state)
{
	(void)state;
	request.target_text = SLICE("");
	request.site = NULL;
	request.response.status = 400;
	request.sent = 0;
	assert_string_equal(line(ACCESS_COMBINED),
		"203.0.113.9 - - [23/Nov/2026:22:51:27 +0000] \"-\" 400 0 \"-\" \"-\"\n");
}

static void writes_json(void **state)
{
	(void)state;
	inet_pton(AF_INET6, "2001:db8::1", &address.v6.sin6_addr);
	address.v6.sin6_family = AF_INET6;
	assert_string_equal(line(ACCESS_JSON),
		"{\"time\":1795474287.000042,\"client\":\"2001:db8::1\",\"method\":\"GET\",\"target\":\"/a?b=c\","
		"\"protocol\":\"HTTP/1.1\",\"host\":\"example.com\",\"status\":200,\"bytes\":1024,"
		"\"duration_us\":1000,\"site\":\"example.com\",\"route\":\"\",\"handler\":\"static\","
		"\"connection\":7,\"request\":3,\"end\":\"complete\",\"referer\":\"-\",\"user_agent\":\"-\"}\n");
}

static void lets_nobody_forge_a_line(void **state)
{
	(void)state; /* CASES, foreign protocols: log-injection strings */
	add(FIELD_USER_AGENT, "a\" 200 \"\\\t\x1b[31m\xc3\xa9\x7f");
	const char *combined = line(ACCESS_COMBINED);
	assert_non_null(
		strstr(combined, "\"a\\x22 200 \\x22\\x5c\\x09\\x1b[31m\\xc3\\xa9\\x7f\"\n"));
	const char *json = line(ACCESS_JSON);
	assert_non_null(strstr(
		json, "\"a\\u0022 200 \\u0022\\u005c\\u0009\\u001b[31m\\u00c3\\u00a9\\u007f\"}"));
}

static void cuts_texts_of_absurd_length(void **state)
{
	(void)state;
	static char agent[30001];
	memset(agent, '"', sizeof agent - 1);
	add(FIELD_USER_AGENT, agent);
	request.target_text = slice_of(agent);
	const char *text = line(ACCESS_JSON);
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_true(strlen(text) > 2 * 6 * 8192 && strlen(text) < 2 * 6 * 8192 + 700);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(writes_the_common_and_the_combined_format),
		CASE(writes_a_dash_for_what_is_not_there),
		CASE(writes_json),
		CASE(lets_nobody_forge_a_line),
		CASE(cuts_texts_of_absurd_length),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
