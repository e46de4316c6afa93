/* SPDX-License-Identifier: BSD-2-Clause */
/* A session by itself: what its owner is told, how bodies are framed, whose turn it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "http/h2_session.h"
#include "http/request.h"

#define PARTS 8

/* What an owner sees, as text, and its streams. */
struct owner {
	struct h2_session *session;
	struct h2_part parts[PARTS];
	char seen[4096];
	size_t length;
};

static void see(struct owner *o, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void see(struct owner *o, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	o->length += (size_t)vsnprintf(
		o->seen + o->length, sizeof o->seen - o->length, format, arguments);
	va_end(arguments);
}

static struct owner *the_owner;

static enum h2_code on_frame(void *owner, const struct h2_frame_head *head)
{
	(void)owner;
	return head->type == 99 ? H2_ENHANCE_YOUR_CALM : H2_NO_ERROR;
}

static enum h2_code on_hollow(void *owner)
{
	see(owner, "hollow;");
	return H2_NO_ERROR;
}

static enum h2_code on_window(void *owner, uint32_t size)
{
	see(owner, "window %u;", size);
	return H2_NO_ERROR;
}

static struct h2_part *on_open(void *owner, int32_t id)
{
	struct owner *o = owner;
	see(o, "open %d;", id);
	return id / 2 < PARTS ? &o->parts[id / 2] : NULL;
}

static void on_refused(void *owner)
{
	see(owner, "refused;");
}

static void on_field(struct h2_part *part, struct slice name, struct slice value, bool lasting)
{
	see(the_owner, "%d %.*s=%.*s%s;", part->id, (int)name.len, name.ptr, (int)value.len,
		value.ptr, lasting ? "!" : "");
}

static void on_section(struct h2_part *part)
{
	see(the_owner, "section %d%s;", part->id, part->ended ? "$" : "");
}

static void on_data(struct h2_part *part, const char *bytes, size_t length)
{
	see(the_owner, "data %d %.*s;", part->id, (int)length, bytes);
}

static void on_end(struct h2_part *part)
{
	see(the_owner, "end %d;", part->id);
}

static void on_framed(struct h2_part *part, uint64_t length)
{
	(void)part, (void)length;
}

static void on_closed(struct h2_part *part, enum h2_code code, bool by_peer)
{
	see(the_owner, "closed %d %u%s;", part->id, code, by_peer ? " by peer" : "");
	chunks_clear(&part->out);
}

static void on_pong(void *owner)
{
	see(owner, "pong;");
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
};

static struct owner begin(void)
{
	return (struct owner){.length = 0};
}

static void start(struct owner *o)
{
	static const struct h2_limits limits = {100, 4096, 65536, 1 << 20, 4096};
	the_owner = o;
	o->session = h2_session_server(&events, o, &limits);
	assert_int_equal(h2_session_receive(o->session, H2_PREFACE "\0\0\0\4\0\0\0\0\0", 33), 0);
	assert_int_equal(h2_session_receive(o->session, "\0\0\0\4\1\0\0\0\0", 9), 0);
	struct chunks out;
	chunks_init(&out);
	assert_true(h2_session_send(o->session, &out, 65536, 65536));
	chunks_clear(&out);
}

static void stop(struct owner *o)
{
	for (unsigned i = 0; i < PARTS; i++)
		if (o->parts[i].id)
			chunks_clear(&o->parts[i].out);
	h2_session_free(o->session);
}

/* GET / of a stream, with END_STREAM, and a field "priority". */
static int ask(struct owner *o, unsigned id, const char *priority)
{
	char frame[128] = "\0\0\0\1\5\0\0\0\0\x82\x84\x86";
	size_t n = strlen(priority), length = 12;
	frame[8] = (char)id;
	if (n) {
		memcpy(frame + length, "\0\x8priority", 10);
		frame[length + 10] = (char)n;
		memcpy(frame + length + 11, priority, n);
		length += 11 + n;
	}
	frame[2] = (char)(length - 9);
	return h2_session_receive(o->session, frame, length);
}

static void tells_what_comes(void **state)
{
	(void)state;
	struct owner o = begin();
	start(&o);
	assert_int_equal(ask(&o, 1, "u=1"), 0);
	assert_string_equal(o.seen,
		"open 1;1 :method=GET!;1 :path=/!;1 :scheme=http!;1 priority=u=1;section 1$;");
	o.length = 0;
	/* HEADERS, DATA with END_STREAM, RST_STREAM */
	static const char frames[] = "\0\0\3\1\4\0\0\0\3\x83\x84\x86"
				     "\0\0\2\0\1\0\0\0\3hi"
				     "\0\0\4\3\0\0\0\0\3\0\0\0\x8";
	assert_int_equal(h2_session_receive(o.session, frames, sizeof frames - 1), 0);
	assert_string_equal(o.seen, "open 3;3 :method=POST!;3 :path=/!;3 :scheme=http!;section 3;"
				    "data 3 hi;end 3;closed 3 8 by peer;");
	assert_int_equal(h2_session_receive(o.session, "\0\0\0\x63\0\0\0\0\0", 9), -1);
	stop(&o);
}

static void tells_what_is_in_frames(void **state)
{
	(void)state;
	/* HEADERS; DATA: empty, padding alone, twice, with content, which ends; SETTINGS without and with INITIAL_WINDOW_SIZE */
	static const char frames[] = "\0\0\3\1\4\0\0\0\1\x83\x84\x86"
				     "\0\0\0\0\0\0\0\0\1"
				     "\0\0\1\0\x8\0\0\0\1\0"
				     "\0\0\3\0\x8\0\0\0\1\2\0\0"
				     "\0\0\3\0\x8\0\0\0\1\1x\0"
				     "\0\0\1\0\x9\0\0\0\1\0"
				     "\0\0\6\4\0\0\0\0\0\0\3\0\0\0\5"
				     "\0\0\x18\4\0\0\0\0\0\0\4\0\0\0\5\0\4\0\0\2\1\0\4\0\0\0\7"
				     "\1\4\0\0\3\0";
	for (size_t piece = 1; piece < sizeof frames; piece++) {
		struct owner o = begin();
		start(&o);
		for (size_t at = 0; at < sizeof frames - 1; at += piece) {
			size_t left = sizeof frames - 1 - at;
			assert_int_equal(h2_session_receive(o.session, frames + at,
						 left < piece ? left : piece),
				0);
		}
		assert_string_equal(strstr(o.seen, "section"),
			"section 1;hollow;hollow;hollow;data 1 x;end 1;window 513;");
		stop(&o);
	}
}

static void moves_bodies_and_copies_heads(void **state)
{
	(void)state;
	static const char body[40000];
	struct fields fields = {0};
	struct owner o = begin();
	start(&o);
	ask(&o, 1, "");
	struct h2_part *part = &o.parts[0];
	h2_session_respond(o.session, part, 200, NULL, &fields, sizeof body, false);
	chunks_memory(&part->out, NULL, body, sizeof body);
	part->out_end = true;
	struct chunks out;
	chunks_init(&out);
	o.length = 0;
	assert_true(h2_session_send(o.session, &out, 1 << 20, 1 << 20));
	const char *at = body;
	size_t heads = 0;
	for (const struct chunk *span = out.first; span; span = span->next) {
		if (span->ptr == at)
			at += span->length;
		else
			heads += span->length;
	}
	assert_ptr_equal(at, body + sizeof body);
	assert_true(heads < 4 * 9 + 40);
	assert_string_equal(o.seen, "closed 1 0;");
	chunks_clear(&out);
	assert_false(h2_session_send(o.session, &out, 1 << 20, 1 << 20));
	stop(&o);
}

static void stops_where_there_is_enough(void **state)
{
	(void)state;
	static const char body[60000];
	struct fields fields = {0};
	struct owner o = begin();
	start(&o);
	ask(&o, 1, "");
	h2_session_respond(o.session, &o.parts[0], 200, NULL, &fields, LENGTH_UNKNOWN, false);
	chunks_memory(&o.parts[0].out, NULL, body, sizeof body);
	o.parts[0].out_end = true;
	struct chunks out;
	chunks_init(&out);
	uint64_t all = 0;
	for (unsigned times = 0; h2_session_send(o.session, &out, 20000, 20000); times++) {
		assert_true(out.length < 20000 + 16384 + 9);
		all += out.length;
		chunks_clear(&out);
		assert_true(times < 4);
	}
	assert_true(all > sizeof body);
	stop(&o);
}

/* Whatever one session has sent in part, another writes nothing into it. */
static void sessions_do_not_disturb_each_other(void **state)
{
	(void)state;
	static char body[2][50000];
	static const struct fields fields;
	struct owner o[2] = {begin(), begin()};
	struct buffer got[2] = {{0}, {0}};
	for (int i = 0; i < 2; i++) {
		memset(body[i], 'a' + i, sizeof body[i]);
		start(&o[i]);
		ask(&o[i], 1, "");
		h2_session_respond(
			o[i].session, &o[i].parts[0], 200, NULL, &fields, sizeof body[i], false);
		chunks_memory(&o[i].parts[0].out, NULL, body[i], sizeof body[i]);
		o[i].parts[0].out_end = true;
	}
	for (int turn = 0; turn < 20; turn++) {
		struct chunks out;
		chunks_init(&out);
		h2_session_send(o[turn % 2].session, &out, 1, 1);
		while (!chunks_empty(&out)) {
			char octets[4096];
			size_t n = chunks_peek(&out, octets, sizeof octets);
			buffer_append(&got[turn % 2], octets, n);
			chunks_consume(&out, n);
		}
	}
	assert_int_equal(got[0].len, got[1].len);
	assert_true(got[0].len > sizeof body[0] + 4 * 9);
	for (size_t i = 0; i < got[0].len; i++) /* all but the octets of the bodies is the same */
		assert_true(got[0].ptr[i] == got[1].ptr[i] ||
			    (got[0].ptr[i] == 'a' && got[1].ptr[i] == 'b'));
	for (int i = 0; i < 2; i++) {
		buffer_free(&got[i]);
		stop(&o[i]);
	}
}

static bool stands(struct ref *owner, enum chunk_when when)
{
	(void)owner;
	(void)when;
	return false;
}

static void mixes_no_versions_of_a_file(void **state)
{
	(void)state;
	struct fields fields = {0};
	struct owner o = begin();
	start(&o);
	ask(&o, 1, "");
	h2_session_respond(o.session, &o.parts[0], 200, NULL, &fields, 1000, false);
	chunks_file(&o.parts[0].out, NULL, 0, 0, 1000, stands);
	o.parts[0].out_end = true;
	o.length = 0;
	struct chunks out;
	chunks_init(&out);
	assert_true(h2_session_send(o.session, &out, 1 << 20, 1 << 20));
	assert_string_equal(o.seen, "closed 1 2;");
	assert_true(o.parts[0].stale);
	chunks_clear(&out);
	stop(&o);
}

static void gives_up_heads_that_are_too_large(void **state)
{
	(void)state;
	static char value[300000];
	struct field field = {SLICE("x"), {value, sizeof value}, FIELD_OTHER};
	struct fields fields = {&field, 1, 1};
	struct owner o = begin();
	start(&o);
	struct chunks out;
	chunks_init(&out);
	memset(value, 'v', sizeof value);
	ask(&o, 1, "");
	h2_session_respond(o.session, &o.parts[0], 200, NULL, &fields, 0, true);
	o.length = 0;
	assert_true(h2_session_send(o.session, &out, 1 << 20, 1 << 20));
	assert_string_equal(o.seen, "closed 1 2;");
	chunks_clear(&out);
	field.value.len = 100000; /* several frames */
	ask(&o, 3, "");
	h2_session_respond(o.session, &o.parts[1], 200, NULL, &fields, 0, true);
	o.length = 0;
	assert_true(h2_session_send(o.session, &out, 1 << 20, 1 << 20));
	assert_string_equal(o.seen, "closed 3 0;");
	assert_true(out.length > 50000);
	chunks_clear(&out);
	stop(&o);
}

/* Which streams' DATA frames stand in the queue, in order. */
static void order(struct owner *o, char *text)
{
	struct chunks out;
	chunks_init(&out);
	h2_session_send(o->session, &out, 1 << 20, 1 << 20);
	size_t length = (size_t)out.length, at = 0;
	char *all = must_alloc(length);
	assert_int_equal(chunks_peek(&out, all, length), length);
	while (at < length) {
		const unsigned char *h = (const unsigned char *)all + at;
		if (h[3] == H2_DATA)
			*text++ = (char)('0' + h[8]);
		at += 9 + ((size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2]);
	}
	*text = 0;
	free(all);
	chunks_clear(&out);
}

static void answer(struct owner *o, unsigned id, const char *priority, bool ours)
{
	static const char body[20000];
	static const struct fields fields;
	struct h2_part *part = &o->parts[id / 2];
	struct priority p = {.urgency = PRIORITY_URGENCY_USUAL};
	priority_read(slice_of(priority), &p);
	h2_session_prioritize(o->session, part, &p, ours);
	h2_session_respond(o->session, part, 200, NULL, &fields, sizeof body, false);
	chunks_memory(&part->out, NULL, body, sizeof body);
	part->out_end = true;
}

static void keeps_to_priorities(void **state)
{
	(void)state; /* RFC 9218, 10 */
	char text[32];
	struct owner o = begin();
	start(&o);
	ask(&o, 1, "");
	ask(&o, 3, "");
	ask(&o, 5, "");
	answer(&o, 1, "u=5", false);
	answer(&o, 3, "", false);
	answer(&o, 5, "u=0", false);
	order(&o, text);
	assert_string_equal(text, "553311");
	stop(&o);
	o = begin();
	start(&o);
	ask(&o, 1, "");
	ask(&o, 3, "");
	answer(&o, 1, "i", false);
	answer(&o, 3, "i", false);
	order(&o, text);
	assert_string_equal(text, "1313");
	stop(&o);
}

static void who_answers_knows_best(void **state)
{
	(void)state; /* RFC 9218, 7 and 8 */
	char text[32];
	struct owner o = begin();
	start(&o);
	/* PRIORITY_UPDATE of stream 3 before it begins */
	assert_int_equal(h2_session_receive(o.session, "\0\0\7\x10\0\0\0\0\0\0\0\0\3u=0", 16), 0);
	ask(&o, 1, "");
	ask(&o, 3, "");
	answer(&o, 1, "", false);
	answer(&o, 3, "u=6", false); /* the frame said otherwise */
	order(&o, text);
	assert_string_equal(text, "3311");
	stop(&o);
	o = begin();
	start(&o);
	ask(&o, 1, "");
	ask(&o, 3, "");
	answer(&o, 1, "u=4", true);
	answer(&o, 3, "", false);
	assert_int_equal(h2_session_receive(o.session, "\0\0\7\x10\0\0\0\0\0\0\0\0\1u=0", 16), 0);
	order(&o, text);
	assert_string_equal(text, "3311");
	stop(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_what_comes),
		cmocka_unit_test(tells_what_is_in_frames),
		cmocka_unit_test(moves_bodies_and_copies_heads),
		cmocka_unit_test(stops_where_there_is_enough),
		cmocka_unit_test(sessions_do_not_disturb_each_other),
		cmocka_unit_test(mixes_no_versions_of_a_file),
		cmocka_unit_test(gives_up_heads_that_are_too_large),
		cmocka_unit_test(keeps_to_priorities),
		cmocka_unit_test(who_answers_knows_best),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
