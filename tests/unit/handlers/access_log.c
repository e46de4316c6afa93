/* SPDX-License-Identifier: BSD-2-Clause */
/* The access log's lines in the three formats, and that a client can forge none of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/line_log.h"
#include "handlers/access_log.h"
#include "http/ready.h"

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

/* Likewise in JSON, with T for how long it took. */
static const char *json(void)
{
	static char text[200000];
	snprintf(text, sizeof text, "%s", line(ACCESS_JSON));
	char *from = strstr(text, "\"total_us\":");
	assert_non_null(from);
	from += strlen("\"total_us\":");
	char *to = from;
	while (isdigit((unsigned char)*to))
		to++;
	assert_true(to > from);
	*from = 'T';
	memmove(from + 1, to, strlen(to) + 1);
	return text;
}

static int set_up(void **state)
{
	(void)state;
	memset(&request, 0, sizeof request);
	arena_init(&request.arena, NULL, 0);
	memcpy(wall_clock.log_time, "23/Nov/2026:22:51:27 +0000", 27);
	wall_clock.wall = 1795474287;
	memcpy(wall_clock.epoch, "1795474287", 11);
	wall_clock.wall_us = 42;
	wall_clock.monotonic_us = 5000;
	thread = (struct exchange_thread){.clock = &wall_clock, .snapshot = &snapshot};
	address = (struct address){.length = sizeof address.v4};
	address.v4.sin_family = AF_INET;
	inet_pton(AF_INET, "203.0.113.9", &address.v4.sin_addr);
	peer = (struct peer){.address = &address, .listener = &listener, .connection = 7};
	request.thread = &thread;
	request.peer = &peer;
	request.client = &address;
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
	request.method_text = request.target_text = SLICE("");
	request.major = 0;
	request.site = NULL;
	request.response.status = 400;
	request.sent = 0;
	assert_string_equal(line(ACCESS_COMBINED),
		"203.0.113.9 - - [23/Nov/2026:22:51:27 +0000] \"-\" 400 0 \"-\" \"-\"\n");
}

static void writes_what_was_sound_of_the_request_line(void **state)
{
	(void)state;
	request.major = 0;
	assert_non_null(strstr(line(ACCESS_COMMON), " \"GET /a?b=c\" 200 "));
	request.target_text = SLICE("");
	assert_non_null(strstr(line(ACCESS_COMMON), " \"GET\" 200 "));
	assert_non_null(strstr(json(), "\"method\":\"GET\",\"target\":\"\",\"protocol\":\"\","));
	request.method_text = SLICE("");
	request.target_text = SLICE("/a");
	request.major = 2;
	assert_non_null(strstr(line(ACCESS_COMMON), " \"- /a HTTP/2.0\" 200 "));
}

static void writes_json(void **state)
{
	(void)state;
	inet_pton(AF_INET6, "2001:db8::1", &address.v6.sin6_addr);
	address.v6.sin6_family = AF_INET6;
	assert_string_equal(json(),
		"{\"time\":1795474287.000042,\"client\":\"2001:db8::1\",\"connection\":7,\"request\":3,"
		"\"method\":\"GET\",\"target\":\"/a?b=c\",\"protocol\":\"HTTP/1.1\",\"tls\":\"\","
		"\"client_subject\":\"\",\"host\":\"example.com\","
		"\"status\":200,\"reason\":\"-\",\"bytes_in\":0,\"bytes_out\":1024,\"total_us\":T,"
		"\"connect_us\":null,\"answer_us\":null,\"site\":\"example.com\",\"route\":\"\","
		"\"handler\":\"static\",\"variant\":\"\",\"upstream\":\"\",\"server\":\"\","
		"\"referer\":\"-\",\"user_agent\":\"-\"}\n");
}

static void writes_what_a_backend_had_to_do_with_it(void **state)
{
	(void)state;
	struct address client = {.length = sizeof client.v4};
	client.v4.sin_family = AF_INET;
	inet_pton(AF_INET, "198.51.100.1", &client.v4.sin_addr);
	request.client = &client;
	request.handled_by = "proxy";
	request.route = SLICE("/api/");
	request.received = 12;
	request.end = END_BACKEND_CLOSED;
	request.backend = (struct backend_seen){
		.upstream = SLICE("app"),
		.server = SLICE("127.0.0.1:3000"),
		.connected_us = 4250,
		.answered_us = 9000,
	};
	const char *text = json();
	assert_non_null(strstr(
		text, "\"client\":\"198.51.100.1\",\"peer\":\"203.0.113.9\",\"connection\":7,"));
	assert_non_null(strstr(text,
		"\"reason\":\"backend-closed\",\"bytes_in\":12,\"bytes_out\":1024,\"total_us\":T,"
		"\"connect_us\":250,\"answer_us\":5000,\"site\":\"example.com\",\"route\":\"/api/\","
		"\"handler\":\"proxy\",\"variant\":\"\",\"upstream\":\"app\","
		"\"server\":\"127.0.0.1:3000\","));
	assert_non_null(strstr(line(ACCESS_COMMON), "198.51.100.1 - - ["));
}

static void names_the_variant_of_a_file(void **state)
{
	(void)state;
	static const char *const tags[][2] = {{"\"0123-zst\"", "zst"}, {"\"0123-br\"", "br"},
		{"W/\"1-2-gz\"", "gz"}, {"\"0123-avif\"", "avif"}, {"\"0123-webp\"", "webp"},
		{"\"12-34\"", ""}, {"\"0123\"", ""}};
	for (size_t i = 0; i < COUNT_OF(tags); i++) {
		char member[40];
		snprintf(member, sizeof member, "\"variant\":\"%s\"", tags[i][1]);
		fields_set(
			&request.response.fields, &request.arena, FIELD_ETAG, slice_of(tags[i][0]));
		assert_non_null(strstr(json(), member));
		struct fields fields = request.response.fields;
		request.response.fields = (struct fields){0};
		request.x.ready = ready_make(200, &fields, 0, NULL, 0);
		assert_non_null(strstr(json(), member));
		ref_put(&request.x.ready->ref);
		request.x.ready = NULL;
	}
	request.handled_by = "proxy"; /* a backend's tags are its own business */
	fields_set(&request.response.fields, &request.arena, FIELD_ETAG, SLICE("\"a-gz\""));
	assert_non_null(strstr(json(), "\"variant\":\"\""));
}

static unsigned count(const char *text, char octet)
{
	unsigned n = 0;
	for (; *text; text++)
		n += *text == octet;
	return n;
}

/* Puts a text into everything that somebody else may have written. */
static void fill_everything(struct slice text)
{
	request.method_text = request.target_text = request.host = request.route = text;
	site.name = text;
	request.backend.upstream = request.backend.server = text;
	fields_set(&request.fields, &request.arena, FIELD_REFERER, text);
	fields_set(&request.fields, &request.arena, FIELD_USER_AGENT, text);
}

/* Each octet at each place of a text that is looked at eight octets at once. */
static void no_octet_forges_a_line_or_a_field(void **state)
{
	(void)state;
	fill_everything(SLICE("plain"));
	unsigned quotes[3];
	for (int format = ACCESS_COMMON; format <= ACCESS_JSON; format++)
		quotes[format] = count(line((enum access_format)format), '"');
	for (unsigned octet = 0; octet < 256; octet++) {
		char text[19];
		memset(text, 'x', sizeof text);
		text[octet % sizeof text] = (char)octet;
		text[(octet + 9) % sizeof text] = (char)octet;
		fill_everything((struct slice){text, sizeof text});
		for (int format = ACCESS_COMMON; format <= ACCESS_JSON; format++) {
			const char *got = line((enum access_format)format);
			size_t length = strlen(got);
			assert_int_equal(got[length - 1], '\n');
			for (size_t i = 0; i + 1 < length; i++)
				assert_true(got[i] >= 0x20 && got[i] < 0x7f);
			assert_int_equal(count(got, '"'), quotes[format]);
			bool plain = octet >= 0x20 && octet < 0x7f && octet != '"' && octet != '\\';
			assert_int_equal(strchr(got, '\\') == NULL, plain);
		}
	}
	site.name = SLICE("example.com");
}

static void lets_nobody_forge_a_line(void **state)
{
	(void)state; /* CASES, foreign protocols: log-injection strings */
	add(FIELD_USER_AGENT, "a\" 200 \"\\\t\x1b[31m\xc3\xa9\x7f");
	const char *combined = line(ACCESS_COMBINED);
	assert_non_null(
		strstr(combined, "\"a\\x22 200 \\x22\\x5c\\x09\\x1b[31m\\xc3\\xa9\\x7f\"\n"));
	assert_non_null(strstr(
		json(), "\"a\\u0022 200 \\u0022\\u005c\\u0009\\u001b[31m\\u00c3\\u00a9\\u007f\"}"));
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
	assert_true(strlen(text) > 2 * 6 * 8192 && strlen(text) < 2 * 6 * 8192 + 1024);
}

/* Texts are looked at eight octets at a time: of each length, with each octet that is not plain at each place. */
static void escapes_at_each_place(void **state)
{
	static const char odd[] = "\"\\\n\x7f\x80\xff\x01\x1f";
	(void)state;
	for (size_t length = 1; length <= 18; length++) {
		for (size_t at = 0; at < length; at++) {
			char expected[64],
				*text = malloc(length); /* a run of its own: nobody reads beyond */
			assert_non_null(text);
			memset(text, ' ', length);
			text[at] = odd[(length + at) % (sizeof odd - 1)];
			request.target_text = (struct slice){text, length};
			snprintf(expected, sizeof expected, "\"GET %*s\\x%02x%*s HTTP/1.1\"",
				(int)at, "", (unsigned char)text[at], (int)(length - at - 1), "");
			assert_non_null(strstr(line(ACCESS_COMMON), expected));
			free(text);
		}
	}
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(writes_the_common_and_the_combined_format),
		CASE(writes_a_dash_for_what_is_not_there),
		CASE(writes_what_was_sound_of_the_request_line),
		CASE(writes_json),
		CASE(writes_what_a_backend_had_to_do_with_it),
		CASE(names_the_variant_of_a_file),
		CASE(no_octet_forges_a_line_or_a_field),
		CASE(lets_nobody_forge_a_line),
		CASE(cuts_texts_of_absurd_length),
		CASE(escapes_at_each_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
