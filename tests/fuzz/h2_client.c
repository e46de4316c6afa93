/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/2 as a client, from the octets that a server sends, in pieces of a size that the input chooses too: whatever comes, what is sent is a client's
 * frames, an answer is told in its order, each stream ends once, and none begins that may not. */
#include <stdlib.h>

#include "base/check.h"
#include "http/h2_session.h"
#include "http/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	STREAMS = 6,
	REQUESTS = 40,
	WINDOW = 500,
	WINDOWS = 70000,
	BODY = 3000,
	UNSETTLED = 65535 /* the window until the server acknowledges ours */
};

/* What the owner does, by bits of the second octet. */
enum { SILENT = 1, HOLDS = 2, RESETS = 4, ENDS = 8, REPEATS = 16 };

struct stream {
	struct h2_part part;
	bool used, head, whole;
	uint64_t held; /* octets that were not consumed */
};

struct owner {
	struct h2_session *session;
	struct stream streams[STREAMS];
	unsigned open, made, does;
	bool goaway;
	size_t preface;               /* of it, sent */
	uint8_t frame[H2_FRAME_HEAD]; /* that is sent */
	size_t have, left;
	int32_t begun; /* the highest stream */
};

/* Events of a part have no owner; there is one at a time. */
static _Thread_local struct owner *the_owner;

static struct stream *stream_of(struct h2_part *part)
{
	struct stream *s = container_of(part, struct stream, part);
	check(s->used && part->id > 0);
	return s;
}

static enum h2_code on_frame(void *owner, const struct h2_frame_head *head)
{
	(void)owner;
	return head->type == H2_PING && head->length == 1 ? H2_ENHANCE_YOUR_CALM : H2_NO_ERROR;
}

static enum h2_code on_hollow(void *owner)
{
	(void)owner;
	return H2_NO_ERROR;
}

static enum h2_code on_window(void *owner, uint32_t window)
{
	struct owner *o = owner;
	check(window <= H2_WINDOW_MOST);
	for (int i = 0; i < STREAMS; i++)
		if (o->streams[i].used &&
			!h2_session_window_fits(o->session, &o->streams[i].part, window))
			return H2_FLOW_CONTROL_ERROR;
	return H2_NO_ERROR;
}

static void on_field(struct h2_part *part, struct slice name, struct slice value, bool lasting)
{
	struct stream *s = stream_of(part);
	(void)value, (void)lasting;
	check(name.len == 0 || name.ptr[0] != ':');
	check(s->head == (part->section == H2_SECTION_TRAILERS) && !s->whole);
}

static void on_section(struct h2_part *part)
{
	struct stream *s = stream_of(part);
	check(!s->whole && part->answer >= 100 && part->answer <= 599 && part->answer != 101);
	switch (part->section) {
	case H2_SECTION_INTERIM:
		check(!s->head && part->answer < 200 && !part->ended);
		break;
	case H2_SECTION_HEAD:
		check(!s->head && part->answer >= 200);
		s->head = true;
		break;
	default:
		check(part->section == H2_SECTION_TRAILERS && s->head && part->ended);
	}
	s->whole = part->ended;
	if (the_owner->does & RESETS && part->answer == 404)
		h2_session_reset(the_owner->session, part, H2_CANCEL);
}

static void on_data(struct h2_part *part, const char *bytes, size_t length)
{
	struct stream *s = stream_of(part);
	(void)bytes;
	check(s->head && !s->whole && length > 0);
	s->held += length;
	check(s->held <= UNSETTLED);
	if (the_owner->does & HOLDS)
		return;
	h2_session_consume(the_owner->session, part, length);
	s->held = 0;
}

static void on_end(struct h2_part *part)
{
	struct stream *s = stream_of(part);
	check(s->head && !s->whole && part->ended);
	s->whole = true;
}

static void on_framed(struct h2_part *part, uint64_t length)
{
	stream_of(part);
	check(length <= BODY);
}

static void on_closed(struct h2_part *part, enum h2_code code, bool by_peer)
{
	struct stream *s = stream_of(part);
	(void)by_peer;
	check(code <= H2_HTTP_1_1_REQUIRED && the_owner->open > 0);
	h2_session_consume(the_owner->session, NULL, s->held);
	chunks_clear(&part->out);
	s->used = false;
	the_owner->open--;
}

static void on_pong(void *owner)
{
	(void)owner;
}

static void on_goaway(void *owner, int32_t last, enum h2_code code)
{
	struct owner *o = owner;
	check(last >= 0 && code <= H2_HTTP_1_1_REQUIRED && h2_session_room(o->session) == 0);
	o->goaway = true;
}

static void on_settings(void *owner)
{
	struct owner *o = owner;
	check(h2_session_room(o->session) + o->open <= STREAMS || h2_session_room(o->session) == 0);
}

static const struct h2_events events = {
	.frame = on_frame,
	.hollow = on_hollow,
	.window = on_window,
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

/* --- What is sent. --- */

static void check_frame(struct owner *o)
{
	const uint8_t *h = o->frame;
	int32_t id = (h[5] & 0x7f) << 24 | h[6] << 16 | h[7] << 8 | h[8];
	o->left = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
	check(o->left <= H2_FRAME_MOST);
	switch (h[3]) {
	case H2_HEADERS:
		if (id > o->begun) {
			check(!o->goaway);
			o->begun = id;
		}
		check(id % 2 == 1);
		break;
	case H2_DATA:
	case H2_RST_STREAM:
	case H2_CONTINUATION:
		check(id % 2 == 1 && id <= o->begun);
		break;
	case H2_WINDOW_UPDATE:
		check(id <= o->begun);
		break;
	default:
		check(id == 0 && (h[3] == H2_SETTINGS || h[3] == H2_PING || h[3] == H2_GOAWAY));
	}
}

static void check_octet(struct owner *o, uint8_t octet)
{
	if (o->preface < H2_PREFACE_LENGTH) {
		check(octet == (uint8_t)H2_PREFACE[o->preface]);
		o->preface++;
		return;
	}
	if (o->left) {
		o->left--;
		return;
	}
	o->frame[o->have++] = octet;
	if (o->have < H2_FRAME_HEAD)
		return;
	o->have = 0;
	check_frame(o);
}

static void send_out(struct owner *o)
{
	struct chunks out;
	chunks_init(&out);
	while (h2_session_send(o->session, &out, 400, 400)) {
		char octets[512];
		for (size_t n; (n = chunks_peek(&out, octets, sizeof octets)) > 0;) {
			for (size_t i = 0; i < n; i++)
				check_octet(o, (uint8_t)octets[i]);
			chunks_consume(&out, n);
		}
	}
}

/* --- Requests. --- */

static struct stream *free_stream(struct owner *o)
{
	for (int i = 0; i < STREAMS; i++)
		if (!o->streams[i].used)
			return &o->streams[i];
	return NULL;
}

static void ask(struct owner *o)
{
	static const char body[BODY];
	static struct field list[] = {{SLICE("te"), SLICE("trailers"), FIELD_OTHER}};
	static const struct fields fields = {list, 1, 1};
	struct h2_request request = {.method = SLICE("POST"),
		.scheme = SLICE("http"),
		.authority = SLICE("weir.test"),
		.path = SLICE("/"),
		.fields = &fields,
		.length = BODY};
	struct stream *s = free_stream(o);
	bool room = h2_session_room(o->session) > 0;
	check(!room || s);
	if (!room)
		return;
	*s = (struct stream){.used = true};
	request.end = o->made % 2 == 0;
	if (o->made % 5 == 4)
		request.protocol = SLICE("websocket");
	bool may = !request.protocol.len || h2_session_takes_protocol(o->session);
	s->used = h2_session_request(o->session, &s->part, &request) == 0;
	o->made++;
	check(s->used == may);
	if (!s->used)
		return;
	o->open++;
	if (request.end)
		return;
	chunks_memory(&s->part.out, NULL, body, BODY);
	s->part.out_end = true;
	s->part.trailers = o->made % 3 ? NULL : &fields;
}

static void act(struct owner *o, size_t turn)
{
	while (o->made < REQUESTS && (o->made < STREAMS || o->does & REPEATS) &&
		h2_session_room(o->session) > 0)
		ask(o);
	struct stream *s = &o->streams[turn % STREAMS];
	if (!s->used)
		return;
	h2_session_consume(o->session, &s->part, s->held);
	s->held = 0;
	if (o->does & RESETS && turn % 7 == 6)
		h2_session_reset(o->session, &s->part, H2_CANCEL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct h2_limits limits = {STREAMS, 2048, WINDOW, WINDOWS, 4096};
	struct owner o = {.does = size > 1 ? data[1] : 0};
	if (size < 2)
		return 0;
	size_t piece = data[0] ? data[0] : size;
	the_owner = &o;
	o.session = h2_session_client(&events, &o, &limits);
	if (!(o.does & SILENT))
		h2_session_receive(o.session, "\0\0\0\4\0\0\0\0\0", H2_FRAME_HEAD);
	for (size_t at = 2, turn = 0; at < size && !h2_session_over(o.session); turn++) {
		size_t n = size - at < piece ? size - at : piece;
		act(&o, turn);
		if (turn % 3 == 0) /* what comes may find requests that are not sent yet */
			send_out(&o);
		if (h2_session_receive(o.session, (const char *)data + at, n))
			break;
		at += n;
	}
	if (o.does & ENDS)
		h2_session_end_gently(o.session);
	send_out(&o);
	for (int i = 0; i < STREAMS; i++)
		if (o.streams[i].used)
			chunks_clear(&o.streams[i].part.out);
	h2_session_free(o.session);
	return 0;
}
