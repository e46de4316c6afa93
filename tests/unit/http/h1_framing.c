/* SPDX-License-Identifier: BSD-2-Clause */
/* http/h1_framing: which octets are the body, chunk by chunk, and what one hop keeps for itself. */
#include "http/h1_framing.h"

#include <stdlib.h>

#include "http/h1_syntax.h"
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

/* Fields from lines, read by the parser itself. */
static struct fields fields_of(const char *lines)
{
	struct fields fields;
	struct h1_request request;
	struct slice head = arena_format(&arena, "GET / HTTP/1.1\r\n%s\r\n", lines);
	assert_number(h1_parse_request(head.ptr, head.len, &arena, &request, &fields), 0, lines);
	return fields;
}

struct framing_row {
	unsigned status;
	const char *lines;
	enum framing kind;
	uint64_t length;
};

/* RFC 9112, 6.1 to 6.3; CASES, framing. */
static void requests(void **state)
{
	(void)state;
	static const struct framing_row rows[] = {
		{0, "", FRAMING_NONE, 0},
		{0, "Content-Length: 0\r\n", FRAMING_LENGTH, 0},
		{0, "CONTENT-LENGTH:\t5 \r\n", FRAMING_LENGTH, 5},
		{0, "Content-Length: 0000000000000000005\r\n", FRAMING_LENGTH, 5},
		{0, "Content-Length: 4294967296\r\n", FRAMING_LENGTH, 4294967296},
		{0, "Content-Length: 9223372036854775807\r\n", FRAMING_LENGTH, INT64_MAX},
		{0, "Transfer-Encoding: chunked\r\n", FRAMING_CHUNKED, 0},
		{0, "Transfer-Encoding:\tChUnKeD\t\r\n", FRAMING_CHUNKED, 0},
		{0, "Content-Length: 5\r\nConnection: close, keep-alive\r\n", FRAMING_LENGTH, 5},
		{400, "Content-Length: 5\r\nContent-Length: 5\r\n", 0, 0},
		{400, "Content-Length: 5\r\ncontent-length: 6\r\n", 0, 0},
		{400, "Content-Length: 5, 5\r\n", 0, 0},
		{400, "Content-Length: 5,6\r\n", 0, 0},
		{400, "Content-Length: 5,\r\n", 0, 0},
		{400, "Content-Length: \r\n", 0, 0},
		{400, "Content-Length: +5\r\n", 0, 0},
		{400, "Content-Length: -5\r\n", 0, 0},
		{400, "Content-Length: -0\r\n", 0, 0},
		{400, "Content-Length: 0x5\r\n", 0, 0},
		{400, "Content-Length: 5.0\r\n", 0, 0},
		{400, "Content-Length: 5e1\r\n", 0, 0},
		{400, "Content-Length: 1_0\r\n", 0, 0},
		{400, "Content-Length: 1 0\r\n", 0, 0},
		{400, "Content-Length: 1\t0\r\n", 0, 0},
		{400, "Content-Length: \"5\"\r\n", 0, 0},
		{400, "Content-Length: '5'\r\n", 0, 0},
		{400, "Content-Length: 5;a=b\r\n", 0, 0},
		{400, "Content-Length: a\r\n", 0, 0},
		{400, "Content-Length: \xd9\xa5\r\n", 0, 0},
		{400, "Content-Length: \xc2\xb2\r\n", 0, 0},
		{400, "Content-Length: 5\xa0\r\n", 0, 0},
		{400,
			"Content-Length: \x85"
			"5\r\n",
			0, 0},
		{400, "Content-Length: 9223372036854775808\r\n", 0, 0},
		{400, "Content-Length: 18446744073709551616\r\n", 0, 0},
		{400, "Content-Length: 18446744073709551621\r\n", 0, 0},
		{400, "Content-Length: 00000000000000000005\r\n", 0, 0},
		{400, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 0, 0},
		{400, "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 0, 0},
		{400, "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", 0, 0},
		{400, "Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", 0, 0},
		{400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 0, 0},
		{400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 0, 0},
		{400, "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 0, 0},
		{400, "Transfer-Encoding: \r\n", 0, 0},
		{400, "Transfer-Encoding: ,chunked\r\n", 0, 0},
		{400, "Transfer-Encoding: chunked,\r\n", 0, 0},
		{400, "Transfer-Encoding: chunked, chunked\r\n", 0, 0},
		{400, "Transfer-Encoding: chunked, gzip\r\n", 0, 0},
		{400, "Transfer-Encoding: chunked, identity\r\n", 0, 0},
		{400, "Transfer-Encoding: gzip, deflate\r\n", 0, 0},
		{400, "Transfer-Encoding: gzip,, chunked\r\n", 0, 0},
		{400, "Transfer-Encoding: \"chunked\"\r\n", 0, 0},
		{400, "Transfer-Encoding: 'chunked', x y\r\n", 0, 0},
		{400, "Transfer-Encoding: chunked;a=b\r\n", 0, 0},
		{400, "Transfer-Encoding: chunked;\r\n", 0, 0},
		{400, "Transfer-Encoding: gzip;q=1\r\n", 0, 0},
		{400, "Transfer-Encoding: chun ked\r\n", 0, 0},
		{400, "Transfer-Encoding: chunked chunked\r\n", 0, 0},
		{400, "Transfer-Encoding: : chunked\r\n", 0, 0},
		{400, "Transfer-Encoding: =chunked\r\n", 0, 0},
		{400, "Transfer-Encoding: chunked\xa0\r\n", 0, 0},
		{400,
			"Transfer-Encoding: \xa0"
			"chunked\r\n",
			0, 0},
		{400, "Transfer-Encoding: chunked\x85\r\n", 0, 0},
		{400, "Transfer-Encoding: chunked\xc2\x85\r\n", 0, 0},
		{501, "Transfer-Encoding: identity\r\n", 0, 0},
		{501, "Transfer-Encoding: xchunked\r\n", 0, 0},
		{501, "Transfer-Encoding: chunked-x\r\n", 0, 0},
		{501, "Transfer-Encoding: chunke\r\n", 0, 0},
		{501, "Transfer-Encoding: gzip\r\n", 0, 0},
		{501, "Transfer-Encoding: gzip , chunked\r\n", 0, 0},
		{400, "Content-Length: 5\r\nConnection: content-length\r\n", 0, 0},
		{400, "Connection: close, Content-Length\r\nContent-Length: 5\r\n", 0, 0},
		{400, "Connection: ,,Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", 0, 0},
		{400, "Connection: a\r\nConnection: transfer-encoding\r\n", 0, 0},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct fields fields = fields_of(rows[i].lines);
		struct body_framing f;
		assert_number(framing_request(&fields, 1, &f), rows[i].status, rows[i].lines);
		if (rows[i].status)
			continue;
		assert_number(f.kind, rows[i].kind, rows[i].lines);
		assert_number(f.length, rows[i].length, rows[i].lines);
		assert_false(f.last);
	}
}

/* RFC 9112, 6.1: Transfer-Encoding in an HTTP/1.0 message is faulty framing. */
static void http_1_0(void **state)
{
	(void)state;
	struct body_framing f;
	struct fields fields = fields_of("Transfer-Encoding: chunked\r\n");
	assert_int_equal(framing_request(&fields, 0, &f), 400);
	assert_int_equal(framing_response(&fields, 0, 200, METHOD_GET, &f), 502);
	fields = fields_of("Content-Length: 3\r\n");
	assert_int_equal(framing_request(&fields, 0, &f), 0);
	assert_int_equal(f.length, 3);
}

/* Connection cannot be made to cost much. */
static void many_options(void **state)
{
	(void)state;
	char lines[512] = "Content-Length: 1\r\nConnection: ";
	struct body_framing f;
	for (unsigned i = 0; i < CONNECTION_OPTIONS_MAX; i++)
		memcpy(lines + strlen(lines), "a,\0", 3);
	memcpy(lines + strlen(lines), "\r\n\0", 3);
	struct fields fields = fields_of(lines);
	assert_int_equal(framing_request(&fields, 1, &f), 0);
	memcpy(lines + strlen(lines) - 2, "b\r\n\0", 4);
	fields = fields_of(lines);
	assert_int_equal(framing_request(&fields, 1, &f), 400);
}

/* RFC 9112, 6.3; RFC 9110, 6.4.1. */
static void responses(void **state)
{
	(void)state;
	static const struct {
		unsigned result, status;
		enum method method;
		const char *lines;
		enum framing kind;
		uint64_t length;
		bool last;
	} rows[] = {
		{0, 200, METHOD_GET, "", FRAMING_CLOSE, 0, true},
		{0, 200, METHOD_GET, "Content-Length: 7\r\n", FRAMING_LENGTH, 7, false},
		{0, 200, METHOD_GET, "Content-Length: 0\r\n", FRAMING_LENGTH, 0, false},
		{0, 200, METHOD_GET, "Transfer-Encoding: chunked\r\n", FRAMING_CHUNKED, 0, false},
		{0, 200, METHOD_HEAD, "Content-Length: 7\r\n", FRAMING_NONE, 0, false},
		{0, 200, METHOD_HEAD, "Transfer-Encoding: chunked\r\n", FRAMING_NONE, 0, false},
		{0, 200, METHOD_HEAD, "", FRAMING_NONE, 0, false},
		{0, 304, METHOD_GET, "Content-Length: 7\r\n", FRAMING_NONE, 0, false},
		{0, 304, METHOD_GET, "", FRAMING_NONE, 0, false},
		{0, 204, METHOD_GET, "", FRAMING_NONE, 0, false},
		{0, 204, METHOD_GET, "Content-Length: 0\r\n", FRAMING_NONE, 0, false},
		{0, 204, METHOD_GET, "Content-Length: 7\r\n", FRAMING_NONE, 0, true},
		{0, 204, METHOD_GET, "Transfer-Encoding: chunked\r\n", FRAMING_NONE, 0, true},
		{0, 100, METHOD_GET, "", FRAMING_NONE, 0, false},
		{0, 103, METHOD_GET, "Link: </a>\r\n", FRAMING_NONE, 0, false},
		{0, 101, METHOD_GET, "Connection: upgrade\r\n", FRAMING_NONE, 0, false},
		{502, 100, METHOD_GET, "Content-Length: 7\r\n", 0, 0, false},
		{502, 103, METHOD_GET, "Transfer-Encoding: chunked\r\n", 0, 0, false},
		{0, 200, METHOD_CONNECT, "", FRAMING_NONE, 0, true},
		{0, 403, METHOD_CONNECT, "Content-Length: 7\r\n", FRAMING_LENGTH, 7, false},
		{502, 200, METHOD_GET, "Content-Length: 7\r\nContent-Length: 7\r\n", 0, 0, false},
		{502, 200, METHOD_GET, "Content-Length: 7\r\nContent-Length: 8\r\n", 0, 0, false},
		{502, 200, METHOD_HEAD, "Content-Length: 7\r\nContent-Length: 8\r\n", 0, 0, false},
		{502, 200, METHOD_GET, "Content-Length: -7\r\n", 0, 0, false},
		{502, 200, METHOD_GET, "Content-Length: 7, 7\r\n", 0, 0, false},
		{502, 200, METHOD_GET, "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n", 0, 0,
			false},
		{502, 200, METHOD_GET, "Transfer-Encoding: gzip\r\n", 0, 0, false},
		{502, 200, METHOD_GET, "Transfer-Encoding: chunked, chunked\r\n", 0, 0, false},
		{502, 200, METHOD_GET, "Connection: content-length\r\nContent-Length: 7\r\n", 0, 0,
			false},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct fields fields = fields_of(rows[i].lines);
		struct body_framing f;
		assert_number(framing_response(&fields, 1, rows[i].status, rows[i].method, &f),
			rows[i].result, rows[i].lines);
		if (rows[i].result)
			continue;
		assert_number(f.kind, rows[i].kind, rows[i].lines);
		assert_number(f.length, rows[i].length, rows[i].lines);
		assert_number(f.last, rows[i].last, rows[i].lines);
	}
}

/* What a decoder made of a body. */
struct decoded {
	bool error, whole;
	size_t consumed, length;
	char body[512];
};

/* Decodes octets that arrive in pieces cut at the given places. */
static struct decoded decode(const char *text, size_t length, size_t cut1, size_t cut2)
{
	struct decoded d = {0};
	struct chunked c = {0};
	size_t ends[3] = {cut1, cut2, length}, at = 0;
	for (unsigned i = 0; i < 3; i++) {
		size_t size = ends[i] - at;
		char *piece = malloc(size ? size : 1);
		assert_non_null(piece);
		if (size)
			memcpy(piece, text + at, size);
		size_t done = 0;
		enum chunked_event event;
		do {
			size_t used = 0;
			struct slice data;
			event = chunked_next(&c, piece + done, size - done, &used, &data);
			assert_true(used <= size - done);
			if (event == CHUNKED_DATA) {
				assert_true(
					data.len > 0 && data.ptr + data.len == piece + done + used);
				memcpy(d.body + d.length, data.ptr, data.len);
				d.length += data.len;
			}
			done += used;
		} while (event == CHUNKED_DATA);
		free(piece);
		at += done;
		if (event == CHUNKED_ERROR || event == CHUNKED_TRAILERS) {
			d.error = event == CHUNKED_ERROR;
			d.whole = !d.error;
			break;
		}
		assert_true(at == ends[i]);
	}
	d.consumed = at;
	return d;
}

struct chunked_row {
	char verdict; /* 'w' whole, 'm' more is needed, 'e' error */
	const char *body;
	const char *text;
	size_t length;
};

/* RFC 9112, 7.1; CASES, chunks. The same body and verdict for every two cuts. */
static void chunks(void **state)
{
	(void)state;
	static const struct chunked_row rows[] = {
		{'w', "", TEXT("0\r\n\r\n")},
		{'w', "", TEXT("0000000000000000\r\n")},
		{'w', "hello", TEXT("5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n")},
		{'w', "hello", TEXT("2\r\nhe\r\n003\r\nllo\r\n0\r\nX: y\r\n\r\n")},
		{'w', "0123456789abcdef", TEXT("1\r\n0\r\nF\r\n123456789abcdef\r\n0\r\n")},
		{'w', "\r\n0\r\n", TEXT("5\r\n\r\n0\r\n\r\n0\r\n\r\n")},
		{'w', "a", TEXT("1;x\r\na\r\n0;y=z\r\n\r\n")},
		{'w', "a", TEXT("1;x=\"a b;\\\"\t\xe9\";z\r\na\r\n0;a=b;c=d\r\n")},
		{'w', "a", TEXT("1 \t;\t x = y ; z ;v\t=\t\"a b\" ;w\r\na\r\n0 ;x\r\n")},
		{'m', "he", TEXT("5\r\nhe")},
		{'m', "hello", TEXT("5\r\nhello")},
		{'m', "hello", TEXT("5\r\nhello\r\n")},
		{'m', "", TEXT("5")},
		{'m', "", TEXT("")},
		{'m', "", TEXT("7fffffffffffffff\r\n")},
		{'m', "", TEXT("0\r")},
		{'e', "", TEXT("\r\n")},
		{'e', "", TEXT("\n")},
		{'e', "", TEXT(" 5\r\nhello\r\n0\r\n\r\n")},
		{'e', "", TEXT("\t5\r\nhello\r\n")},
		{'e', "", TEXT("5 \r\nhello\r\n")},
		{'e', "", TEXT("5\t\r\nhello\r\n")},
		{'e', "", TEXT("5; \r\nhello\r\n")},
		{'e', "", TEXT("5;x \r\nhello\r\n")},
		{'e', "", TEXT("5;x=y \r\nhello\r\n")},
		{'e', "", TEXT("5;x=\"y\" \r\nhello\r\n")},
		{'e', "", TEXT("5;x= \r\nhello\r\n")},
		{'e', "", TEXT("5;x y\r\nhello\r\n")},
		{'e', "", TEXT("5;x=y z\r\nhello\r\n")},
		{'e', "", TEXT("5 x\r\nhello\r\n")},
		{'e', "", TEXT("5 =x\r\nhello\r\n")},
		{'e', "", TEXT("5 5;x\r\nhello\r\n")},
		{'e', "", TEXT("+5\r\nhello\r\n")},
		{'e', "", TEXT("-5\r\nhello\r\n")},
		{'e', "", TEXT("-0\r\n")},
		{'e', "", TEXT("0x5\r\nhello\r\n")},
		{'e', "", TEXT("5h\r\nhello\r\n")},
		{'e', "", TEXT("1_0\r\n")},
		{'e', "", TEXT("5.0\r\nhello\r\n")},
		{'e', "", TEXT("5,5\r\n")},
		{'e', "", TEXT("\"5\"\r\n")},
		{'e', "", TEXT("\xd9\xa5\r\n")},
		{'e', "", TEXT("5\0\r\n")},
		{'e', "", TEXT("5\x0b\r\n")},
		{'e', "", TEXT("8000000000000000\r\n")},
		{'e', "", TEXT("ffffffffffffffff\r\n")},
		{'e', "", TEXT("10000000000000005\r\nhello\r\n")},
		{'e', "", TEXT("00000000000000005\r\nhello\r\n")},
		{'e', "", TEXT("5\nhello\n0\n\n")},
		{'e', "", TEXT("5\rhello\r\n")},
		{'e', "", TEXT("5\r\rhello\r\n")},
		{'e', "hello", TEXT("5\r\nhello\n0\r\n\r\n")},
		{'e', "hello", TEXT("5\r\nhello\r0\r\n\r\n")},
		{'e', "hello", TEXT("5\r\nhello0\r\n\r\n")},
		{'e', "hello", TEXT("5\r\nhello!\r\n0\r\n\r\n")},
		{'e', "hell\r", TEXT("5\r\nhell\r\n0\r\n\r\n")},
		{'e', "hello", TEXT("5\r\nhello\r\n\r\n")},
		{'e', "hello", TEXT("5\r\nhello\r\n0\n\r\n")},
		{'e', "hello", TEXT("5\r\nhello\r\n0\rX\n")},
		{'e', "", TEXT("5;\r\nhello\r\n")},
		{'e', "", TEXT("5;;\r\nhello\r\n")},
		{'e', "", TEXT("5;x=\r\nhello\r\n")},
		{'e', "", TEXT("5;=y\r\nhello\r\n")},
		{'e', "", TEXT("5;x\nhello\r\n")},
		{'e', "", TEXT("5;x\rhello\r\n")},
		{'e', "", TEXT("5;x\0\r\nhello\r\n")},
		{'e', "", TEXT("5;x=\"a\r\nhello\r\n")},
		{'e', "", TEXT("5;x=\"a\nb\"\r\nhello\r\n")},
		{'e', "", TEXT("5;x=\"a\\\r\nhello\r\n")},
		{'e', "", TEXT("5;x=\"a\"b\r\nhello\r\n")},
		{'e', "", TEXT("5;x=\"a\0\"\r\nhello\r\n")},
		{'e', "", TEXT("5;x=y\"\r\nhello\r\n")},
		{'e', "", TEXT("G\r\n")},
		{'e', "", TEXT("GET / HTTP/1.1\r\n\r\n")},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const struct chunked_row *row = &rows[i];
		struct decoded first = decode(row->text, row->length, row->length, row->length);
		char verdict = first.error ? 'e' : first.whole ? 'w' : 'm';
		assert_number(verdict, row->verdict, row->text);
		assert_slice(((struct slice){first.body, first.length}), row->body);
		for (size_t a = 0; a <= row->length; a++) {
			for (size_t b = a; b <= row->length; b++) {
				struct decoded d = decode(row->text, row->length, a, b);
				assert_int_equal(d.error, first.error);
				assert_int_equal(d.whole, first.whole);
				assert_int_equal(d.consumed, first.consumed);
				assert_int_equal(d.length, first.length);
				assert_memory_equal(d.body, first.body, first.length);
			}
		}
	}
}

/* What is behind the last chunk's line is the trailer section's, and an error stays one. */
static void chunked_ends(void **state)
{
	(void)state;
	struct chunked c = {0};
	struct slice text = SLICE("1\r\na\r\n0\r\nX: y\r\n\r\nrest"), data;
	size_t used, at = 0, seen = 0;
	assert_int_equal(chunked_next(&c, text.ptr, text.len, &used, &data), CHUNKED_DATA);
	at += used;
	assert_int_equal(
		chunked_next(&c, text.ptr + at, text.len - at, &used, &data), CHUNKED_TRAILERS);
	at += used;
	assert_int_equal(h1_trailer_length(text.ptr + at, text.len - at, &seen), 8);
	seen = 0;
	assert_int_equal(h1_trailer_length("\r\n", 2, &seen), 2);
	seen = 0;
	assert_int_equal(h1_trailer_length("\r", 1, &seen), 0);
	assert_int_equal(h1_trailer_length("\r\n", 2, &seen), 2);
	c = (struct chunked){0};
	assert_int_equal(chunked_next(&c, "x", 1, &used, &data), CHUNKED_ERROR);
	assert_int_equal(chunked_next(&c, "0\r\n", 3, &used, &data), CHUNKED_ERROR);
	assert_int_equal(chunked_next(&c, "", 0, &used, &data), CHUNKED_ERROR);
}

/* DESIGN: everything a peer sizes has a limit. 1 KB of extension a chunk, 16 KB a body. */
static void extensions(void **state)
{
	(void)state;
	static char text[4096];
	struct slice data;
	size_t used;
	for (size_t size = 1023; size <= 1026; size++) {
		struct chunked c = {0};
		memset(text, 'x', sizeof(text));
		text[0] = '0';
		text[1] = ';';
		memcpy(text + 2 + size, "\r\n", 2);
		assert_number(chunked_next(&c, text, size + 4, &used, &data),
			size <= 1024 ? CHUNKED_TRAILERS : CHUNKED_ERROR, "one extension");
	}
	struct chunked c = {0};
	size_t chunks_read = 0;
	memset(text, 'x', sizeof(text));
	text[0] = '1';
	text[1] = ';';
	memcpy(text + 2 + 1000, "\r\na\r\n", 5);
	while (chunked_next(&c, text, 1007, &used, &data) == CHUNKED_DATA) {
		assert_int_equal(used, 1005);
		assert_int_equal(chunked_next(&c, "\r\n", 2, &used, &data), CHUNKED_MORE);
		chunks_read++;
		assert_true(chunks_read < 100);
	}
	assert_int_equal(chunks_read, 16);
}

static void heads_of_chunks(void **state)
{
	(void)state;
	static const struct {
		uint64_t size;
		const char *text;
	} rows[] = {
		{0, "0\r\n"},
		{10, "a\r\n"},
		{65536, "10000\r\n"},
		{UINT64_MAX, "ffffffffffffffff\r\n"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char to[18];
		size_t n = chunked_head(to, rows[i].size);
		assert_slice(((struct slice){to, n}), rows[i].text);
	}
}

/* RFC 9110, 7.6.1. */
static void hop_by_hop(void **state)
{
	(void)state;
	struct fields f =
		fields_of("Host: a\r\nConnection: close, X-Secret, Host\r\nx-secret: 1\r\n"
			  "Keep-Alive: 5\r\nX-Stays: 1\r\nProxy-Connection: x\r\nTE: gzip\r\n"
			  "Transfer-Encoding: chunked\r\nUpgrade: a\r\nX-SECRET: 2\r\n"
			  "HTTP2-Settings: x\r\nconnection: ,x-two\r\nX-Two: 1\r\n"
			  "X-Three: 3\r\nClose: 1\r\n");
	framing_remove_hop(&f, &arena);
	assert_int_equal(f.count, 4);
	assert_slice(f.list[0].name, "Host");
	assert_slice(f.list[1].name, "X-Stays");
	assert_slice(f.list[2].name, "X-Three");
	assert_slice(f.list[3].name, "Close");
	f = fields_of("");
	framing_remove_hop(&f, &arena);
	assert_int_equal(f.count, 0);
}

/* RFC 9110, 7.8; RFC 9113, 3.1. */
static void upgrades(void **state)
{
	(void)state;
	static const struct {
		const char *lines, *kept;
	} rows[] = {
		{"", ""},
		{"Upgrade: websocket\r\n", "websocket"},
		{"Upgrade: a/1,, b ,c\r\n", "a/1, b, c"},
		{"Upgrade: a\r\nX: y\r\nupgrade: b\r\n", "a, b"},
		{"Upgrade: h2c\r\n", ""},
		{"Upgrade: H2, a, H2C, b, h2\r\n", "a, b"},
		{"Upgrade: a, b c\r\n", ""},
		{"Upgrade: a/\r\n", ""},
		{"Upgrade: /1\r\n", ""},
		{"Upgrade: a/1/2\r\n", ""},
		{"Upgrade: \"a\"\r\n", ""},
		{"Upgrade:\r\n", ""},
		{"Upgrade: a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a\r\n",
			""},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct fields f = fields_of(rows[i].lines);
		assert_slice(framing_upgrade(&f, &arena), rows[i].kept);
	}
	assert_true(framing_upgrade_among(SLICE("B"), SLICE("a, b")));
	assert_true(framing_upgrade_among(SLICE("b, a"), SLICE("a, b")));
	assert_false(framing_upgrade_among(SLICE("b, c"), SLICE("a, b")));
	assert_false(framing_upgrade_among(SLICE("a"), SLICE("a/1")));
	assert_false(framing_upgrade_among(SLICE(""), SLICE("a")));
	assert_false(framing_upgrade_among(SLICE("a"), SLICE("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests),
		cmocka_unit_test(http_1_0),
		cmocka_unit_test(many_options),
		cmocka_unit_test(responses),
		cmocka_unit_test(chunks),
		cmocka_unit_test(chunked_ends),
		cmocka_unit_test(extensions),
		cmocka_unit_test(heads_of_chunks),
		cmocka_unit_test(hop_by_hop),
		cmocka_unit_test(upgrades),
	};
	return cmocka_run_group_tests_name("h1_framing", tests, setup, teardown);
}
