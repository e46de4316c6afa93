/* SPDX-License-Identifier: BSD-2-Clause */
/* Owners of sessions whose events are text. */
#include "tests/unit/http/h2_ends.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

#define LITTLE 16 /* octets of a body that are shown */

static void see(struct h2_end *end, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void see(struct h2_end *end, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	size_t room = sizeof end->seen - end->length;
	size_t n = (size_t)vsnprintf(end->seen + end->length, room, format, arguments);
	end->length += n < room ? n : room - 1;
	va_end(arguments);
}

static struct end_stream *stream_of(struct h2_part *part)
{
	return container_of(part, struct end_stream, part);
}

static enum h2_code on_frame(void *owner, const struct h2_frame_head *head)
{
	struct h2_end *end = owner;
	(void)head;
	end->frames++;
	return H2_NO_ERROR;
}

static enum h2_code on_hollow(void *owner)
{
	see(owner, "hollow;");
	return H2_NO_ERROR;
}

static enum h2_code on_window(void *owner, uint32_t size)
{
	struct h2_end *end = owner;
	end->window = size;
	for (unsigned i = 0; i < END_STREAMS; i++)
		if (end->streams[i].end && !end->streams[i].closed &&
			!h2_session_window_fits(end->session, &end->streams[i].part, size))
			return H2_FLOW_CONTROL_ERROR;
	return H2_NO_ERROR;
}

static struct h2_part *on_open(void *owner, int32_t id)
{
	struct h2_end *end = owner;
	if (end->refuses)
		return NULL;
	struct end_stream *stream = end_stream(end, id);
	buffer_free(&stream->got);
	*stream = (struct end_stream){.end = end};
	return &stream->part;
}

static void on_refused(void *owner)
{
	see(owner, "refused;");
}

static void on_field(struct h2_part *part, struct slice name, struct slice value, bool lasting)
{
	(void)lasting;
	see(stream_of(part)->end, "%.*s=%.*s,", (int)name.len, name.ptr, (int)value.len, value.ptr);
}

static void on_section(struct h2_part *part)
{
	static const char *const names[] = {"request", "interim", "head", "trailers"};
	struct h2_end *end = stream_of(part)->end;
	if (part->answer)
		see(end, "%s %d %u%s;", names[part->section], part->id, part->answer,
			part->ended ? "$" : "");
	else
		see(end, "section %d%s;", part->id, part->ended ? "$" : "");
}

static void on_data(struct h2_part *part, const char *bytes, size_t length)
{
	struct end_stream *stream = stream_of(part);
	if (length <= LITTLE)
		see(stream->end, "data %d %.*s;", part->id, (int)length, bytes);
	buffer_append(&stream->got, bytes, length);
	if (!stream->end->holds)
		h2_session_consume(stream->end->session, part, length);
}

static void on_end(struct h2_part *part)
{
	see(stream_of(part)->end, "end %d;", part->id);
}

static void on_framed(struct h2_part *part, uint64_t length)
{
	(void)part, (void)length;
}

static void on_closed(struct h2_part *part, enum h2_code code, bool by_peer)
{
	struct end_stream *stream = stream_of(part);
	see(stream->end, "closed %d %u%s;", part->id, code, by_peer ? " by peer" : "");
	check(!stream->closed);
	stream->closed = true;
	stream->code = code;
	chunks_clear(&part->out);
}

static void on_pong(void *owner)
{
	see(owner, "pong;");
}

static void on_goaway(void *owner, int32_t last, enum h2_code code)
{
	see(owner, "goaway %d %u;", last, code);
}

static void on_settings(void *owner)
{
	struct h2_end *end = owner;
	see(end, "settings, room %u%s;", h2_session_room(end->session),
		h2_session_takes_protocol(end->session) ? ", protocol" : "");
}

static const struct h2_events events = {
	.frame = on_frame,
	.hollow = on_hollow,
	.window = on_window,
	.open = on_open,
	.refused = on_refused,
	.field = on_field,
	.section = on_section,
	.data = on_data,
	.end = on_end,
	.framed = on_framed,
	.closed = on_closed,
	.pong = on_pong,
	.goaway = on_goaway,
	.settings = on_settings,
};

static struct h2_end *make(uint32_t streams, bool client)
{
	struct h2_limits limits = {streams, 4096, END_WINDOW, END_WINDOWS, 4096};
	struct h2_end *end = must_zalloc(sizeof *end);
	end->session = client ? h2_session_client(&events, end, &limits)
			      : h2_session_server(&events, end, &limits);
	return end;
}

struct h2_end *end_client(uint32_t streams)
{
	return make(streams, true);
}

struct h2_end *end_server(uint32_t streams)
{
	return make(streams, false);
}

void end_free(struct h2_end *end)
{
	h2_session_free(end->session);
	for (unsigned i = 0; i < END_STREAMS; i++) {
		if (end->streams[i].end)
			chunks_clear(&end->streams[i].part.out);
		buffer_free(&end->streams[i].got);
	}
	free(end);
}

const char *end_seen(struct h2_end *end)
{
	end->seen[end->length] = 0;
	end->length = 0;
	return end->seen;
}

struct end_stream *end_stream(struct h2_end *server, int32_t id)
{
	return &server->streams[id / 2 % END_STREAMS];
}

static size_t take_out(struct h2_end *end, char **all)
{
	struct chunks out;
	chunks_init(&out);
	h2_session_send(end->session, &out, 1 << 20, 1 << 20);
	size_t length = (size_t)out.length, got = 0;
	*all = must_alloc(length + 1);
	while (got < length) {
		size_t n = chunks_peek(&out, *all + got, length - got);
		check(n > 0);
		chunks_consume(&out, n);
		got += n;
	}
	return length;
}

bool end_pass(struct h2_end *from, struct h2_end *to, size_t piece)
{
	char *all;
	size_t length = take_out(from, &all);
	for (size_t at = 0; at < length && !to->over; at += piece) {
		size_t left = length - at;
		to->over =
			h2_session_receive(to->session, all + at, left < piece ? left : piece) != 0;
	}
	free(all);
	return length > 0;
}

void end_talk(struct h2_end *one, struct h2_end *other)
{
	bool said = true;
	while (said) {
		said = end_pass(one, other, SIZE_MAX / 2);
		said |= end_pass(other, one, SIZE_MAX / 2);
	}
}

static void see_frame(struct h2_end *end, const unsigned char *h)
{
	static const char *const names[] = {"DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS",
		"PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION"};
	check(h[3] < COUNT_OF(names));
	see(end, "%s", names[h[3]]);
	if (h[8])
		see(end, " %u", h[8]);
	if (h[3] == H2_RST_STREAM)
		see(end, " code %u", h[12]);
	if (h[3] == H2_GOAWAY)
		see(end, " code %u", h[16]);
	see(end, "%s;", h[3] <= H2_HEADERS && h[4] & H2_FLAG_END_STREAM ? "$" : "");
}

const char *end_sends(struct h2_end *end)
{
	char *all;
	size_t length = take_out(end, &all), at = 0;
	end->length = 0;
	if (length >= H2_PREFACE_LENGTH && memcmp(all, H2_PREFACE, H2_PREFACE_LENGTH) == 0)
		at = H2_PREFACE_LENGTH;
	while (at < length) {
		const unsigned char *h = (const unsigned char *)all + at;
		see_frame(end, h);
		at += H2_FRAME_HEAD + ((size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2]);
	}
	check(at == length);
	free(all);
	return end_seen(end);
}

static struct end_stream *request(struct h2_end *client, const struct h2_request *request)
{
	struct h2_part part = {0};
	struct end_stream *stream = NULL;
	for (unsigned i = 0; i < END_STREAMS && !stream; i++)
		if (!client->streams[i].end || client->streams[i].closed)
			stream = &client->streams[i];
	check(stream);
	if (h2_session_room(client->session) == 0) {
		check(h2_session_request(client->session, &part, request) == -1);
		return NULL;
	}
	buffer_free(&stream->got);
	*stream = (struct end_stream){.end = client};
	if (h2_session_request(client->session, &stream->part, request) == 0)
		return stream;
	stream->end = NULL;
	return NULL;
}

struct end_stream *end_get(struct h2_end *client, const struct fields *fields)
{
	struct h2_request get = {.method = SLICE("GET"),
		.scheme = SLICE("http"),
		.authority = SLICE("weir.test"),
		.path = SLICE("/"),
		.fields = fields,
		.length = LENGTH_UNKNOWN,
		.end = true};
	return request(client, &get);
}

struct end_stream *end_post(struct h2_end *client, uint64_t length)
{
	struct h2_request post = {.method = SLICE("POST"),
		.scheme = SLICE("http"),
		.path = SLICE("/"),
		.length = length};
	return request(client, &post);
}

struct end_stream *end_connect(struct h2_end *client, const char *protocol)
{
	struct h2_request connect = {.method = SLICE("CONNECT"),
		.scheme = SLICE("http"),
		.authority = SLICE("weir.test"),
		.path = SLICE("/"),
		.protocol = slice_of(protocol),
		.length = LENGTH_UNKNOWN};
	return request(client, &connect);
}

void end_write(
	struct h2_end *end, struct end_stream *stream, const char *bytes, size_t length, bool last)
{
	chunks_memory(&stream->part.out, NULL, bytes, length);
	stream->part.out_end = last;
	h2_session_resume(end->session, &stream->part);
}

void end_respond(struct h2_end *server, struct end_stream *stream, unsigned status, bool last)
{
	static const struct fields none;
	h2_session_respond(
		server->session, &stream->part, status, NULL, &none, LENGTH_UNKNOWN, last);
}
