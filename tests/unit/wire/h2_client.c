/* SPDX-License-Identifier: BSD-2-Clause */
/* A client that says any frames: HPACK by literals only, what it hears by nghttp2's inflater. */
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "h2_stage.h"

#define AWAIT_MS 15000

struct h2_client {
	int fd;
	nghttp2_hd_inflater *inflater;
	struct buffer out;  /* to be sent */
	struct buffer in;   /* heard, not yet a frame */
	struct buffer told; /* what was heard, as text */
	struct buffer head; /* of the last one: "name: value\n" */
	bool closed;
	char field[256];
};

/* --- What it says. --- */

static void put_frame(struct buffer *out, unsigned type, unsigned flags, unsigned stream,
	const void *payload, size_t length)
{
	unsigned char head[9] = {(unsigned char)(length >> 16), (unsigned char)(length >> 8),
		(unsigned char)length, (unsigned char)type, (unsigned char)flags,
		(unsigned char)(stream >> 24), (unsigned char)(stream >> 16),
		(unsigned char)(stream >> 8), (unsigned char)stream};
	buffer_append(out, head, sizeof head);
	buffer_append(out, payload, length);
}

static void put_length(struct buffer *block, size_t n)
{
	unsigned char c;
	if (n < 127) {
		c = (unsigned char)n;
		buffer_append(block, &c, 1);
		return;
	}
	buffer_append(block, "\x7f", 1);
	for (n -= 127; n >= 128; n >>= 7) {
		c = (unsigned char)(n | 128);
		buffer_append(block, &c, 1);
	}
	c = (unsigned char)n;
	buffer_append(block, &c, 1);
}

/* RFC 7541, 6.2.2: a literal without indexing, its name, too. "*500" is a value of so many octets. */
static void put_field(struct buffer *block, struct slice name, struct slice value)
{
	buffer_append(block, "\0", 1);
	put_length(block, name.len);
	buffer_slice(block, name);
	if (value.len > 1 && value.ptr[0] == '*' && value.ptr[1] >= '0' && value.ptr[1] <= '9') {
		size_t n = strtoul(value.ptr + 1, NULL, 10);
		put_length(block, n);
		while (n--)
			buffer_append(block, "v", 1);
		return;
	}
	put_length(block, value.len);
	buffer_slice(block, value);
}

/* "a: b|c: d" */
static void put_fields(struct buffer *block, struct slice text)
{
	while (text.len) {
		const char *bar = memchr(text.ptr, '|', text.len);
		struct slice one = {text.ptr, bar ? (size_t)(bar - text.ptr) : text.len};
		text = slice_from(text, one.len + 1);
		size_t colon = 1;
		while (colon < one.len && one.ptr[colon] != ':')
			colon++;
		struct slice value = slice_from(one, colon + 1);
		if (value.len && value.ptr[0] == ' ')
			value = slice_from(value, 1);
		put_field(block, (struct slice){one.ptr, colon < one.len ? colon : one.len}, value);
	}
}

static struct slice word(struct slice *text)
{
	size_t n = 0;
	while (n < text->len && text->ptr[n] != ' ')
		n++;
	struct slice first = {text->ptr, n};
	*text = slice_from(*text, n + 1);
	return first;
}

static void say_headers(
	struct buffer *out, unsigned stream, unsigned flags, struct slice text, bool exact)
{
	struct buffer block = {0};
	if (!exact) {
		put_field(&block, SLICE(":method"), word(&text));
		put_field(&block, SLICE(":path"), word(&text));
		put_field(&block, SLICE(":scheme"), SLICE("http"));
		put_field(&block, SLICE(":authority"), SLICE("a"));
	}
	put_fields(&block, text);
	put_frame(out, H2_HEADERS, flags, stream, block.ptr, block.len);
	buffer_free(&block);
}

static void say_data(struct buffer *out, unsigned stream, unsigned flags, struct slice text)
{
	struct buffer octets = {0};
	if (text.len > 1 && text.ptr[0] == '*') {
		size_t n = strtoul(text.ptr + 1, NULL, 10);
		while (n--)
			buffer_append(&octets, "x", 1);
	} else {
		buffer_slice(&octets, text);
	}
	put_frame(out, H2_DATA, flags, stream, octets.ptr, octets.len);
	buffer_free(&octets);
}

static void number32(unsigned char to[4], unsigned long n)
{
	for (int i = 3; i >= 0; i--, n >>= 8)
		to[i] = (unsigned char)n;
}

static void say_settings(struct buffer *out, struct slice text)
{
	struct buffer payload = {0};
	char *at = strndup(text.ptr, text.len), *from = at;
	while (*at) {
		unsigned char entry[6] = {0};
		entry[1] = (unsigned char)strtoul(at, &at, 10);
		number32(entry + 2, strtoul(at + 1, &at, 10));
		buffer_append(&payload, entry, sizeof entry);
		at += *at == ',';
	}
	free(from);
	put_frame(out, H2_SETTINGS, 0, 0, payload.ptr, payload.len);
	buffer_free(&payload);
}

static void put_hex(struct buffer *to, struct slice hex)
{
	for (size_t i = 0; i + 1 < hex.len; i += 2) {
		char octet = (char)(bytes_hex_digit((unsigned char)hex.ptr[i]) * 16 +
				    bytes_hex_digit((unsigned char)hex.ptr[i + 1]));
		buffer_append(to, &octet, 1);
	}
}

static void say_any(struct buffer *out, struct slice text)
{
	unsigned long n[3];
	for (int i = 0; i < 3; i++)
		n[i] = strtoul(word(&text).ptr, NULL, 10);
	struct buffer payload = {0};
	put_hex(&payload, text);
	put_frame(out, (unsigned)n[0], (unsigned)n[1], (unsigned)n[2], payload.ptr, payload.len);
	buffer_free(&payload);
}

static void say_one(struct buffer *out, struct slice text)
{
	char kind = text.ptr[0], *end = (char *)(uintptr_t)text.ptr + 1;
	unsigned stream = *end == ' ' ? 0 : (unsigned)strtoul(end, &end, 10);
	unsigned flags = H2_FLAG_END_HEADERS;
	for (; end < text.ptr + text.len && *end != ' '; end++) {
		if (*end == '$')
			flags |= H2_FLAG_END_STREAM;
		else if (*end == '-')
			flags &= ~(unsigned)H2_FLAG_END_HEADERS;
	}
	struct slice rest = slice_from(text, (size_t)(end - text.ptr) + 1);
	unsigned char payload[64] = {0};
	number32(payload, strtoul(rest.len ? rest.ptr : "0", NULL, 10));
	switch (kind) {
	case 'H':
	case 'h':
		say_headers(out, stream, flags, rest, kind == 'h');
		break;
	case 'C': {
		struct buffer block = {0};
		put_fields(&block, rest);
		put_frame(out, H2_CONTINUATION, flags & H2_FLAG_END_HEADERS, stream, block.ptr,
			block.len);
		buffer_free(&block);
		break;
	}
	case 'D':
		say_data(out, stream, flags & H2_FLAG_END_STREAM, rest);
		break;
	case 'R':
		put_frame(out, H2_RST_STREAM, 0, stream, payload, 4);
		break;
	case 'W':
		put_frame(out, H2_WINDOW_UPDATE, 0, stream, payload, 4);
		break;
	case 'G':
		put_frame(out, H2_GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
		break;
	case 'Q':
		put_frame(out, H2_PRIORITY, 0, stream, payload, 5);
		break;
	case 'U':
		number32(payload, stream);
		memcpy(payload + 4, rest.ptr, rest.len);
		put_frame(out, H2_PRIORITY_UPDATE, 0, 0, payload, 4 + rest.len);
		break;
	case 'P':
		put_frame(out, H2_PING, 0, 0, rest.ptr, rest.len);
		break;
	case 'S':
		say_settings(out, rest);
		break;
	case 'A':
		put_frame(out, H2_SETTINGS, H2_FLAG_ACK, 0, "", 0);
		break;
	case 'X':
		say_any(out, slice_from(text, 2));
		break;
	case '=':
		put_hex(out, slice_from(text, 2));
		break;
	default:
		fail_msg("no frame: %.*s", (int)text.len, text.ptr);
	}
}

void h2_say(struct h2_client *client, const char *frames)
{
	struct slice text = slice_of(frames);
	while (text.len) {
		const char *end = memchr(text.ptr, ';', text.len);
		struct slice one = {text.ptr, end ? (size_t)(end - text.ptr) : text.len};
		text = slice_from(text, one.len + 1);
		while (text.len && text.ptr[0] == ' ')
			text = slice_from(text, 1);
		if (one.len)
			say_one(&client->out, one);
	}
}

/* --- What it hears. --- */

static void tell(struct h2_client *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void tell(struct h2_client *c, const char *format, ...)
{
	char text[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	buffer_format(&c->told, "%s%s", c->told.len ? "; " : "", text);
}

static void hear_headers(struct h2_client *c, unsigned flags, unsigned stream,
	const unsigned char *bytes, size_t length)
{
	c->head.len = 0;
	for (;;) {
		nghttp2_nv nv;
		int inflate_flags = 0;
		ssize_t n =
			nghttp2_hd_inflate_hd2(c->inflater, &nv, &inflate_flags, bytes, length, 1);
		assert_true(n >= 0);
		bytes += n;
		length -= (size_t)n;
		if (inflate_flags & NGHTTP2_HD_INFLATE_EMIT)
			buffer_format(&c->head, "%.*s: %.*s\n", (int)nv.namelen, (char *)nv.name,
				(int)nv.valuelen, (char *)nv.value);
		if (inflate_flags & NGHTTP2_HD_INFLATE_FINAL)
			break;
	}
	nghttp2_hd_inflate_end_headers(c->inflater);
	buffer_append(&c->head, "", 1);
	const char *end = flags & H2_FLAG_END_STREAM ? "$" : "";
	if (strncmp(c->head.ptr, ":status: ", 9) == 0)
		tell(c, "H%u %.3s%s", stream, c->head.ptr + 9, end);
	else
		tell(c, "T%u %.*s%s", stream, (int)strcspn(c->head.ptr, "\n"), c->head.ptr, end);
}

static unsigned long read32(const unsigned char *b)
{
	return (unsigned long)b[0] << 24 | (unsigned long)b[1] << 16 | (unsigned long)b[2] << 8 |
	       b[3];
}

static void hear_data(struct h2_client *c, unsigned flags, unsigned stream,
	const unsigned char *bytes, size_t length)
{
	const char *end = flags & H2_FLAG_END_STREAM ? "$" : "";
	if (length > 20)
		tell(c, "D%u *%zu%s", stream, length, end);
	else
		tell(c, "D%u %.*s%s", stream, (int)length, (const char *)bytes, end);
}

static void hear_frame(struct h2_client *c, const unsigned char *frame, size_t length, bool all)
{
	unsigned type = frame[3], flags = frame[4];
	unsigned stream = (unsigned)read32(frame + 5);
	const unsigned char *payload = frame + 9;
	switch (type) {
	case H2_HEADERS:
		hear_headers(c, flags, stream, payload, length);
		break;
	case H2_DATA:
		hear_data(c, flags, stream, payload, length);
		break;
	case H2_RST_STREAM:
		tell(c, "R%u %lu", stream, read32(payload));
		break;
	case H2_GOAWAY:
		tell(c, "G%lu %lu", read32(payload), read32(payload + 4));
		break;
	case H2_SETTINGS:
		if (all)
			tell(c, flags & H2_FLAG_ACK ? "A" : "S");
		break;
	case H2_PING:
		if (all)
			tell(c, "%s %.8s", flags & H2_FLAG_ACK ? "P+" : "P", (const char *)payload);
		break;
	case H2_WINDOW_UPDATE:
		if (all)
			tell(c, "W%u %lu", stream, read32(payload));
		break;
	default:
		fail_msg("a frame of type %u", type);
	}
}

static bool say_some(struct h2_client *c)
{
	if (!c->out.len)
		return false;
	size_t most = c->out.len < world.piece ? c->out.len : world.piece;
	ssize_t n = send(c->fd, c->out.ptr, most, MSG_NOSIGNAL);
	if (n > 0)
		buffer_consume(&c->out, (size_t)n);
	else if (errno != EAGAIN)
		c->out.len = 0;
	return n > 0;
}

static bool hear_some(struct h2_client *c, bool all)
{
	char bytes[65536];
	ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		if (!c->closed)
			tell(c, "closed");
		c->closed = true;
		return false;
	}
	if (n > 0)
		buffer_append(&c->in, bytes, (size_t)n);
	while (c->in.len >= 9) {
		const unsigned char *head = (const unsigned char *)c->in.ptr;
		size_t length = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
		if (c->in.len < 9 + length)
			break;
		hear_frame(c, head, length, all);
		buffer_consume(&c->in, 9 + length);
	}
	return n > 0;
}

static const char *hear(struct h2_client *c, bool all)
{
	c->told.len = 0;
	for (int quiet = 0; quiet < 6 && !c->closed;) {
		bool said = say_some(c);
		one_wire_turn();
		bool heard = hear_some(c, all);
		quiet = said || heard || c->out.len ? 0 : quiet + 1;
	}
	buffer_append(&c->told, "", 1);
	return c->told.ptr;
}

const char *h2_hear(struct h2_client *c)
{
	return hear(c, false);
}

const char *h2_hear_all(struct h2_client *c)
{
	return hear(c, true);
}

void h2_await(struct h2_client *c, const char *answer)
{
	struct buffer all = {0};
	for (int ms = 0; ms < AWAIT_MS; ms += 5) {
		const char *more = h2_hear(c);
		if (*more)
			buffer_format(&all, "%s%s", all.len ? "; " : "", more);
		if (all.len == strlen(answer))
			break;
		poll(NULL, 0, 5);
	}
	buffer_append(&all, "", 1);
	assert_string_equal(all.ptr, answer);
	buffer_free(&all);
}

const char *h2_field(struct h2_client *c, const char *name)
{
	size_t length = strlen(name);
	c->field[0] = 0;
	for (const char *line = c->head.len ? c->head.ptr : ""; *line;
		line = strchr(line, '\n') + 1) {
		if (strncmp(line, name, length) == 0 && line[length] == ':') {
			const char *value = line + length + 2;
			snprintf(c->field, sizeof c->field, "%.*s", (int)strcspn(value, "\n"),
				value);
		}
	}
	return c->field;
}

/* --- Begin and end. --- */

struct h2_client *h2_connect_silent(void)
{
	int pair[2];
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	struct h2_client *c = calloc(1, sizeof *c);
	assert_int_equal(nghttp2_hd_inflate_new(&c->inflater), 0);
	c->fd = pair[0];
	one_wire_accept(pair[1]);
	return c;
}

struct h2_client *h2_connect(void)
{
	struct h2_client *c = h2_connect_silent();
	buffer_append(&c->out, H2_PREFACE, H2_PREFACE_LENGTH);
	h2_say(c, "S;A");
	const char *heard = h2_hear_all(c);
	if (strcmp(heard, "S; A; W0 983041") != 0)
		assert_string_equal(heard, "S; W0 983041; A");
	return c;
}

void h2_disconnect(struct h2_client *c)
{
	close(c->fd);
	nghttp2_hd_inflate_del(c->inflater);
	buffer_free(&c->in);
	buffer_free(&c->out);
	buffer_free(&c->told);
	buffer_free(&c->head);
	free(c);
	for (int i = 0; i < 4; i++)
		one_wire_turn();
}

void h2_expect(const char *frames, const char *answer)
{
	static const size_t pieces[] = {65536, 1, 2, 9, 61};
	for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
		world.piece = pieces[i];
		struct h2_client *c = h2_connect();
		h2_say(c, frames);
		const char *heard = h2_hear(c);
		if (strcmp(heard, answer) != 0)
			fail_msg("in pieces of %zu “%s” is answered by “%s”, not “%s”", pieces[i],
				frames, heard, answer);
		h2_disconnect(c);
		assert_int_equal(wire_open(world.wire), 0);
	}
	world.piece = 65536;
}
