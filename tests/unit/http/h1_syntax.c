/* SPDX-License-Identifier: BSD-2-Clause */
/* http/h1_syntax: heads and trailer sections. */
#include "http/h1_syntax.h"

#include <stdio.h>
#include <stdlib.h>

#include "http_test.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, NULL, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_reset(&arena);
	return 0;
}

struct row {
	unsigned status;
	const char *text;
	size_t length;
};

static unsigned parse_request(const char *text, size_t length)
{
	struct h1_request request;
	struct fields fields;
	char *copy = exact(text, length);
	unsigned status = h1_parse_request(copy, length, &arena, &request, &fields);
	free(copy);
	return status;
}

static void expect_requests(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_number(
			parse_request(rows[i].text, rows[i].length), rows[i].status, rows[i].text);
}

/* RFC 9112, 2.1, 3 and 5. */
static void request(void **state)
{
	(void)state;
	struct h1_request r;
	struct fields f;
	struct slice head = SLICE("GET /a?b HTTP/1.1\r\nHost: a.test:80\r\nx-empty:\r\n"
				  "X-Space: \t a b\t \r\nX-8bit:\xc3\xa9\r\nCOOKIE:a=1\r\n\r\n");
	assert_int_equal(h1_parse_request(head.ptr, head.len, &arena, &r, &f), 0);
	assert_slice(r.method, "GET");
	assert_slice(r.target, "/a?b");
	assert_int_equal(r.minor, 1);
	assert_int_equal(f.count, 5);
	assert_slice(f.list[0].name, "Host");
	assert_slice(f.list[0].value, "a.test:80");
	assert_int_equal(f.list[0].id, FIELD_HOST);
	assert_slice(f.list[1].name, "x-empty");
	assert_slice(f.list[1].value, "");
	assert_int_equal(f.list[1].id, FIELD_OTHER);
	assert_slice(f.list[2].value, "a b");
	assert_slice(f.list[3].value, "\xc3\xa9");
	assert_slice(f.list[4].name, "COOKIE");
	assert_int_equal(f.list[4].id, FIELD_COOKIE);
	head = SLICE("x!y / HTTP/1.0\r\n\r\n");
	assert_int_equal(h1_parse_request(head.ptr, head.len, &arena, &r, &f), 0);
	assert_slice(r.method, "x!y");
	assert_int_equal(r.minor, 0);
	assert_int_equal(f.count, 0);
}

/* RFC 9112, 3: method SP target SP version, and nothing else. */
static void request_lines(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{0, TEXT("get / HTTP/1.1\r\n\r\n")},
		{0, TEXT("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345 / HTTP/1.1\r\n\r\n")},
		{0, TEXT("GET http://a/ HTTP/1.1\r\n\r\n")},
		{400, TEXT("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456 / HTTP/1.1\r\n\r\n")},
		{400, TEXT("\r\n")},
		{400, TEXT("\r\n\r\n")},
		{400, TEXT("\r\nGET / HTTP/1.1\r\n\r\n")},
		{400, TEXT("\r\n\r\n\r\n")},
		{400, TEXT("GET\r\n\r\n")},
		{400, TEXT("GET \r\n\r\n")},
		{400, TEXT("GET /\r\n\r\n")},
		{400, TEXT("GET / \r\n\r\n")},
		{400, TEXT("GET  / HTTP/1.1\r\n\r\n")},
		{400, TEXT("GET /  HTTP/1.1\r\n\r\n")},
		{400, TEXT(" GET / HTTP/1.1\r\n\r\n")},
		{400, TEXT(" / HTTP/1.1\r\n\r\n")},
		{400, TEXT("GET / HTTP/1.1 \r\n\r\n")},
		{400, TEXT("GET\t/ HTTP/1.1\r\n\r\n")},
		{400, TEXT("GET /\tHTTP/1.1\r\n\r\n")},
		{400, TEXT("GET / a HTTP/1.1\r\n\r\n")},
		{400, TEXT("GET /\xc3\xa9 HTTP/1.1\r\n\r\n")},
		{400, TEXT("GET /a\0b HTTP/1.1\r\n\r\n")},
		{400, TEXT("GET /a\x7f HTTP/1.1\r\n\r\n")},
		{400, TEXT("GET /a\x1b HTTP/1.1\r\n\r\n")},
		{400, TEXT("G(T / HTTP/1.1\r\n\r\n")},
		{400, TEXT("G\0T / HTTP/1.1\r\n\r\n")},
		{400, TEXT("G:T / HTTP/1.1\r\n\r\n")},
		{400, TEXT("\xc3\xa9 / HTTP/1.1\r\n\r\n")},
		{400, TEXT("\"GET\" / HTTP/1.1\r\n\r\n")},
		{400, TEXT("GET / HTTP/1.1\rX: y\r\n\r\n")},
		{400, TEXT("GET / HTTP/1.1\n\r\n\r\n")},
		{400, TEXT("GET / HTTP/1.1\r\r\n\r\n")},
		{400, TEXT("SSH-2.0-OpenSSH_9.2\r\n\r\n")},
		{400, TEXT("EHLO a\r\n\r\n")},
		{400, TEXT("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n\r\n")},
		{400, TEXT("\0\0\0\0\r\n\r\n")},
		{400, TEXT("\x16\x03\x01\x02\0\x01\r\n\r\n")},
	};
	expect_requests(rows, COUNT_OF(rows));
}

/* RFC 9112, 2.3; RFC 9110, 15.6.6. */
static void versions(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{505, TEXT("GET / HTTP/1.2\r\n\r\n")},
		{505, TEXT("GET / HTTP/1.9\r\n\r\n")},
		{505, TEXT("GET / HTTP/0.9\r\n\r\n")},
		{505, TEXT("PRI * HTTP/2.0\r\n\r\n")},
		{505, TEXT("GET / HTTP/9.9\r\n\r\n")},
		{400, TEXT("GET / HTTP/1\r\n\r\n")},
		{400, TEXT("GET / HTTP/1.\r\n\r\n")},
		{400, TEXT("GET / HTTP/.1\r\n\r\n")},
		{400, TEXT("GET / HTTP/1.10\r\n\r\n")},
		{400, TEXT("GET / HTTP/1.1.1\r\n\r\n")},
		{400, TEXT("GET / HTTP/01.1\r\n\r\n")},
		{400, TEXT("GET / HTTP/11\r\n\r\n")},
		{400, TEXT("GET / HTTP/1,1\r\n\r\n")},
		{400, TEXT("GET / HTTP/+1.1\r\n\r\n")},
		{400, TEXT("GET / HTTP/-1.1\r\n\r\n")},
		{400, TEXT("GET / HTTP/1. 1\r\n\r\n")},
		{400, TEXT("GET / HTTP/1.a\r\n\r\n")},
		{400, TEXT("GET / HTTP /1.1\r\n\r\n")},
		{400, TEXT("GET / HTTP/ 1.1\r\n\r\n")},
		{400, TEXT("GET / http/1.1\r\n\r\n")},
		{400, TEXT("GET / Http/1.1\r\n\r\n")},
		{400, TEXT("GET / HTTPS/1.1\r\n\r\n")},
		{400, TEXT("GET / HTTP\\1.1\r\n\r\n")},
		{400, TEXT("GET / ICY/1.1\r\n\r\n")},
		{400, TEXT("GET / HTTP/1.1\0\r\n\r\n")},
		{400, TEXT("GET / HTTP/1.\xb1\r\n\r\n")},
	};
	expect_requests(rows, COUNT_OF(rows));
}

#define WITH(field) TEXT("GET / HTTP/1.1\r\nHost: a\r\n" field "\r\n\r\n")

/* RFC 9112, 5.1 and 5.2; RFC 9110, 5.5: what field lines may not be. */
static void field_lines(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{0, WITH("X:")},
		{0, WITH("X:\t")},
		{0, WITH("X: a:b")},
		{0, WITH("X:\xff\x80\x85\xa0")},
		{0, WITH("!#$%&'*+-.^_`|~0Az: v")},
		{0, WITH("a-name-of-more-than-sixteen-octets-and-more: v")},
		{400, WITH("X : v")},
		{400, WITH("X\t: v")},
		{400, WITH("Host : v")},
		{400, WITH(" X: v")},
		{400, WITH("\tX: v")},
		{400, WITH("X: v\r\n folded")},
		{400, WITH("X: v\r\n\tfolded")},
		{400, WITH("X: v\r\n ")},
		{400, WITH("X: v\r\n \r\nY: z")},
		{400, WITH("X")},
		{400, WITH("X v")},
		{400, WITH("X= v")},
		{400, WITH("Transfer-Encoding=chunked\r\nX: v")},
		{400, WITH(": v")},
		{400, WITH(":")},
		{400, WITH(" : v")},
		{400, WITH("X Y: v")},
		{400, WITH("X\0: v")},
		{400, WITH("X\0Y: v")},
		{400, WITH("X\xe9: v")},
		{400, WITH("X(): v")},
		{400, WITH("X/Y: v")},
		{400, WITH("\"X\": v")},
		{400, WITH("X\x7f: v")},
		{400, WITH("X@Y: v")},
		{400, WITH("X: a\0b")},
		{400, WITH("X: \0")},
		{400, WITH("X: a\rb")},
		{400, WITH("X: a\r")},
		{400, WITH("X: a\r\rb")},
		{400, WITH("X: a\nb")},
		{400, WITH("X: a\n")},
		{400, WITH("X: a\nY: b")},
		{400, WITH("X: a\rY: b")},
		{400, WITH("X: a\x1b[31m")},
		{400, WITH("X: a\x7f")},
		{400, WITH("X: a\x0b")},
		{400, WITH("X: a\x0c")},
		{400, WITH("X: a\x01")},
		{400, WITH("Transfer-Encoding: \x0b"
			   "chunked")},
		{400, WITH("Transfer-Encoding\x0b: chunked")},
		{400, WITH("Content_Length: 1")},
		{400, WITH("content-length_: 1\r\nCONTENT_LENGTH: 1")},
		{400, WITH("transfer_encoding: chunked")},
		{400, WITH("X: v\r\n\r\nY: v")},
		{400, TEXT("GET / HTTP/1.1\r\nX: v\r\n")},
		{400, TEXT("GET / HTTP/1.1\r\nX: v\r\n\n")},
		{400, TEXT("GET / HTTP/1.1\r\nX: v\n\r\n")},
		{400, TEXT("GET / HTTP/1.1\nX: v\n\n")},
		{400, TEXT("GET / HTTP/1.1\rX: v\r\r")},
		{400, TEXT("GET / HTTP/1.1\r\n")},
		{400, TEXT("GET / HTTP/1.1")},
		{400, TEXT("G")},
		{400, TEXT("")},
	};
	expect_requests(rows, COUNT_OF(rows));
}

/* Every octet in a value and in a name, at every place of a 16 octet block. */
static void octets(void **state)
{
	(void)state;
	char head[128];
	for (unsigned c = 0; c < 256; c++) {
		for (size_t at = 0; at < 40; at++) {
			static const char begin[] = "GET / HTTP/1.1\r\nX:";
			size_t n = sizeof(begin) - 1;
			memcpy(head, begin, n);
			memset(head + n, 'v', 40);
			head[n + at] = (char)c;
			memcpy(head + n + 40, "\r\n\r\n", 4);
			bool good = octet_class[c] & OCTET_VALUE;
			assert_number(parse_request(head, n + 44), good ? 0 : 400, "value");
			n--;
			memset(head + n, 'n', 40);
			head[n + at] = (char)c;
			memcpy(head + n + 40, ":\r\n\r\n", 5);
			/* A colon ends the name earlier. */
			good = (octet_class[c] & OCTET_TOKEN) || c == ':';
			assert_number(parse_request(head, n + 45), good ? 0 : 400, "name");
		}
	}
}

/* DESIGN 2, limits: 100 fields, a target of 8 KB. */
static void limits(void **state)
{
	(void)state;
	static char head[70000];
	struct h1_request r;
	struct fields f;
	for (unsigned count = H1_FIELDS_MAX - 1; count <= H1_FIELDS_MAX + 1; count++) {
		size_t n = (size_t)sprintf(head, "GET / HTTP/1.1\r\n");
		for (unsigned i = 0; i < count; i++)
			n += (size_t)sprintf(head + n, "X-%u: %u\r\n", i, i);
		n += (size_t)sprintf(head + n, "\r\n");
		unsigned status = h1_parse_request(head, n, &arena, &r, &f);
		assert_number(status, count <= H1_FIELDS_MAX ? 0 : 431, "fields");
		if (status == 0) {
			assert_int_equal(f.count, count);
			char last[16];
			sprintf(last, "%u", count - 1);
			assert_slice(f.list[count - 1].value, last);
			assert_slice(f.list[0].value, "0");
		}
	}
	for (size_t length = H1_TARGET_MAX; length <= H1_TARGET_MAX + 1; length++) {
		size_t n = (size_t)sprintf(head, "GET /");
		memset(head + n, 'a', length - 1);
		n += length - 1;
		n += (size_t)sprintf(head + n, " HTTP/1.1\r\n\r\n");
		assert_number(h1_parse_request(head, n, &arena, &r, &f),
			length <= H1_TARGET_MAX ? 0 : 414, "target");
	}
	size_t n = (size_t)sprintf(head, "GET / HTTP/1.1\r\nX: ");
	memset(head + n, 'v', 65536);
	n += 65536;
	n += (size_t)sprintf(head + n, "\r\n\r\n");
	assert_int_equal(h1_parse_request(head, n, &arena, &r, &f), 0);
	assert_int_equal(f.list[0].value.len, 65536);
}

/* RFC 9112, 2.2. */
static void leading_lines(void **state)
{
	(void)state;
	assert_int_equal(h1_leading_empty("GET", 3), 0);
	assert_int_equal(h1_leading_empty("", 0), 0);
	assert_int_equal(h1_leading_empty("\r", 1), 0);
	assert_int_equal(h1_leading_empty("\n\n", 2), 0);
	assert_int_equal(h1_leading_empty("\r\nGET", 5), 2);
	assert_int_equal(h1_leading_empty("\r\n\r\n\r", 5), 4);
	assert_int_equal(h1_leading_empty("\r\n\r\n\r\n\r\n\r\n\r\n", 12), 8);
}

/* What h1_head_length cuts off at a bare CR or LF is refused by the parser. */
static void cut_heads(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{400, TEXT("GET / HTTP/1.1\nHost: a\r\n\r\n")},
		{400, TEXT("GET / HTTP/1.1\rHost: a\r\n\r\n")},
		{400, TEXT("GET / HTTP/1.1\r\nHost: a\n\r\n")},
		{400, TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n")},
		{400, TEXT("GET / HTTP/1.1\r\nHost: a\r\n\n")},
		{400, TEXT("\r\nGET / HTTP/1.1\r\n\r\n")},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		size_t seen = 0, n = h1_head_length(rows[i].text, rows[i].length, &seen);
		assert_true(n > 0);
		assert_number(parse_request(rows[i].text, n), 400, rows[i].text);
	}
}

/* What is no request is told from its first octets; what may become one is not. */
static void begun(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{400, TEXT("\x16\x03\x01")},
		{400, TEXT("SSH-2.0-OpenSSH_9.2\r\n")},
		{400, TEXT("\r\n\r\n\0\r\nQUIT\n")},
		{400, TEXT("PROXY TCP4 1.2.3.4 ")},
		{400, TEXT("EHLO a\r\n")},
		{400, TEXT("\0")},
		{400, TEXT("\xff")},
		{400, TEXT("GET\r\n")},
		{400, TEXT("GET  ")},
		{400, TEXT(" / ")},
		{400, TEXT("GET /\r\n")},
		{400, TEXT("GET / HTTQ")},
		{400, TEXT("GET / HTTP/1.1 ")},
		{400, TEXT("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")},
		{0, TEXT("\r")},
		{0, TEXT("")},
		{0, TEXT("GET / HTTP/1.1\r\nX: \0")},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char *copy = exact(rows[i].text, rows[i].length);
		assert_number(h1_check_begun(copy, rows[i].length), rows[i].status, rows[i].text);
		free(copy);
	}
	static const char good[] = "PATCH http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n";
	for (size_t n = 0; n < sizeof(good) - 1; n++)
		assert_number(h1_check_begun(good, n), 0, "a good head");
	static char line[H1_TARGET_MAX + 10];
	memset(line, 'a', sizeof(line));
	memcpy(line, "GET /", 5);
	assert_int_equal(h1_check_begun(line, H1_TARGET_MAX + 4), 0);
	assert_int_equal(h1_check_begun(line, H1_TARGET_MAX + 5), 414);
}

static void sound_lines(void **state)
{
	(void)state;
	static const struct {
		const char *text, *method, *target;
		int minor; /* -1: not sound */
	} rows[] = {
		{"GET /a HTTP/1.1\r\nbad\r\n\r\n", "GET", "/a", 1},
		{"GET /a HTTP/1.0\r\n", "GET", "/a", 0},
		{"GET /a HTTP/1.1\r", "GET", "/a", -1},
		{"GET /a HTTP/1.1 \r\n", "GET", "/a", -1},
		{"GET /a HTTP/1.2\r\n", "GET", "/a", -1},
		{"GET /a HTTP/2.0\r\n\r\n", "GET", "/a", -1},
		{"GET /a  HTTP/1.1\r\n", "GET", "/a", -1},
		{"GET /a b HTTP/1.1\r\n", "GET", "/a", -1},
		{"GET /a", "GET", "/a", -1},
		{"GET /a\r\n\r\n", "GET", "", -1},
		{"GET /a\tb HTTP/1.1\r\n", "GET", "", -1},
		{"GET /\xc3\xa9 HTTP/1.1\r\n", "GET", "", -1},
		{"GET  /a HTTP/1.1\r\n", "GET", "", -1},
		{"GET ", "GET", "", -1},
		{"GET", "", "", -1},
		{"G\x01T / HTTP/1.1\r\n", "", "", -1},
		{" GET / HTTP/1.1\r\n", "", "", -1},
		{"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n", "", "", -1},
		{"\x16\x03\x01 / HTTP/1.1\r\n", "", "", -1},
		{"", "", "", -1},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct h1_request line;
		size_t length = strlen(rows[i].text);
		char *copy = exact(rows[i].text, length);
		bool sound = h1_sound_line(copy, length, &line);
		assert_number(sound, rows[i].minor >= 0, rows[i].text);
		assert_slice(line.method, rows[i].method);
		assert_slice(line.target, rows[i].target);
		if (sound)
			assert_number(line.minor, (unsigned)rows[i].minor, rows[i].text);
		free(copy);
	}
}

/* RFC 9112, 4. */
static void responses(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{0, TEXT("HTTP/1.1 200 OK\r\n\r\n")},
		{0, TEXT("HTTP/1.0 404 Not  Found \r\nX: y\r\n\r\n")},
		{0, TEXT("HTTP/1.1 200 \r\n\r\n")},
		{0, TEXT("HTTP/1.1 200\r\n\r\n")},
		{0, TEXT("HTTP/1.1 599 \xe9\tx\r\n\r\n")},
		{502, TEXT("HTTP/1.1 099 X\r\n\r\n")},
		{502, TEXT("HTTP/1.1 600 X\r\n\r\n")},
		{502, TEXT("HTTP/1.1 2000 X\r\n\r\n")},
		{502, TEXT("HTTP/1.1 20 X\r\n\r\n")},
		{502, TEXT("HTTP/1.1 2x0 X\r\n\r\n")},
		{502, TEXT("HTTP/1.1 -20 X\r\n\r\n")},
		{502, TEXT("HTTP/1.1  200 X\r\n\r\n")},
		{502, TEXT("HTTP/1.1\r\n\r\n")},
		{502, TEXT("HTTP/1.1 \r\n\r\n")},
		{502, TEXT("HTTP/1.1 200\tX\r\n\r\n")},
		{502, TEXT("HTTP/1.1 200OK\r\n\r\n")},
		{502, TEXT("HTTP/2.0 200 OK\r\n\r\n")},
		{502, TEXT("HTTP/1.2 200 OK\r\n\r\n")},
		{502, TEXT("HTTP/0.9 200 OK\r\n\r\n")},
		{502, TEXT("ICY 200 OK\r\n\r\n")},
		{502, TEXT(" HTTP/1.1 200 OK\r\n\r\n")},
		{502, TEXT("\r\nHTTP/1.1 200 OK\r\n\r\n")},
		{502, TEXT("<html>hello\r\n\r\n")},
		{502, TEXT("HTTP/1.1 200 a\0b\r\n\r\n")},
		{502, TEXT("HTTP/1.1 200 a\rb\r\n\r\n")},
		{502, TEXT("HTTP/1.1 200 OK\n\r\n\r\n")},
		{502, TEXT("HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n")},
		{502, TEXT("HTTP/1.1 200 OK\r\nX: a\0\r\n\r\n")},
		{502, TEXT("HTTP/1.1 200 OK\r\nX Y: a\r\n\r\n")},
		{502, TEXT("HTTP/1.1 200 OK\r\nX : a\r\n\r\n")},
		{502, TEXT("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n")},
		{502, TEXT("HTTP/1.1 200 OK\r\nX\r\n\r\n")},
		{502, TEXT("HTTP/1.1 200 OK\r\n")},
		{502, TEXT("")},
	};
	struct h1_response r;
	struct fields f;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char *copy = exact(rows[i].text, rows[i].length);
		assert_number(h1_parse_response(copy, rows[i].length, &arena, &r, &f),
			rows[i].status, rows[i].text);
		free(copy);
	}
	struct slice head = SLICE("HTTP/1.0 404 Not Here\r\nServer: x\r\n\r\n");
	assert_int_equal(h1_parse_response(head.ptr, head.len, &arena, &r, &f), 0);
	assert_int_equal(r.status, 404);
	assert_slice(r.reason, "Not Here");
	assert_int_equal(r.minor, 0);
	assert_int_equal(f.list[0].id, FIELD_SERVER);
}

/* RFC 9112, 7.1.2; RFC 9110, 6.5.1. */
static void trailers(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{0, TEXT("\r\n")},
		{0, TEXT("X: y\r\n\r\n")},
		{400, TEXT("")},
		{400, TEXT("\n")},
		{400, TEXT("\r")},
		{400, TEXT("X\r\n\r\n")},
		{400, TEXT("X : y\r\n\r\n")},
		{400, TEXT(" X: y\r\n\r\n")},
		{400, TEXT("X: y\r\n z\r\n\r\n")},
		{400, TEXT("X: \0\r\n\r\n")},
		{400, TEXT("X: y\n\r\n")},
		{400, TEXT("X: y\r\n")},
		{400, TEXT("\r\n\r\n")},
		{400, TEXT("Content-Length: 1\r\n\r\n")},
		{400, TEXT("X: y\r\nTransfer-Encoding: chunked\r\n\r\n")},
		{400, TEXT("host: b\r\n\r\n")},
	};
	struct fields f;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char *copy = exact(rows[i].text, rows[i].length);
		assert_number(h1_parse_trailers(copy, rows[i].length, &arena, &f), rows[i].status,
			rows[i].text);
		free(copy);
	}
	struct slice section = SLICE("X-Sum: 1\r\nAuthorization: a\r\nX-Forwarded-For: 1.2.3.4\r\n"
				     "Cookie: a\r\nConnection: close\r\nETag: \"a\"\r\n\r\n");
	assert_int_equal(h1_parse_trailers(section.ptr, section.len, &arena, &f), 0);
	assert_int_equal(f.count, 2);
	assert_slice(f.list[0].name, "X-Sum");
	assert_slice(f.list[1].name, "ETag");
	static char many[20000];
	size_t n = 0;
	for (unsigned i = 0; i < H1_FIELDS_MAX + 1; i++)
		n += (size_t)sprintf(many + n, "X: y\r\n");
	n += (size_t)sprintf(many + n, "\r\n");
	assert_int_equal(h1_parse_trailers(many, n, &arena, &f), 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request),
		cmocka_unit_test(request_lines),
		cmocka_unit_test(versions),
		cmocka_unit_test(field_lines),
		cmocka_unit_test(octets),
		cmocka_unit_test(limits),
		cmocka_unit_test(leading_lines),
		cmocka_unit_test(cut_heads),
		cmocka_unit_test(begun),
		cmocka_unit_test(sound_lines),
		cmocka_unit_test(responses),
		cmocka_unit_test(trailers),
	};
	return cmocka_run_group_tests_name("h1_syntax", tests, setup, teardown);
}
