/* SPDX-License-Identifier: BSD-2-Clause */
/* A session in the client's role against frames that no server may send, or not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "tests/unit/http/h2_ends.h"

/* Frames are written as TIMES*LETTER.FLAGS.STREAM:PAYLOAD*TIMES, in which times are 1 and the payload is empty unless said, in hexadecimal otherwise;
 * a space stands between two. */
static const char letters[] = "DHPRSUIGWC      X"; /* by type: DATA, HEADERS and so on */

#define GREETING "S.0.0 "
/* Fields, and statuses. */
#define A        "0001610162"
#define S103     "0803313033"
#define S200     "88"

static unsigned times_of(const char **text)
{
	char *end;
	unsigned long times = strtoul(*text, &end, 10);
	if (end == *text || *end != '*')
		return 1;
	*text = end + 1;
	return (unsigned)times;
}

static void put_payload(struct buffer *to, const char **text)
{
	struct buffer once = {0};
	while (**text && strchr("0123456789abcdef", **text)) {
		char octet[3] = {(*text)[0], (*text)[1], 0};
		char value = (char)strtoul(octet, NULL, 16);
		buffer_append(&once, &value, 1);
		*text += 2;
	}
	unsigned long times = **text == '*' ? strtoul(*text + 1, (char **)(uintptr_t)text, 10) : 1;
	while (times--)
		buffer_append(to, once.ptr, once.len);
	buffer_free(&once);
}

static void put_frame(struct buffer *to, const char **text)
{
	char *at;
	unsigned times = times_of(text);
	char type = (char)(strchr(letters, **text) - letters);
	char flags = (char)strtoul(*text + 2, &at, 10);
	unsigned long stream = strtoul(at + 1, &at, 10);
	struct buffer payload = {0};
	*text = at + (*at == ':');
	if (*at == ':')
		put_payload(&payload, text);
	size_t n = payload.len;
	const char head[H2_FRAME_HEAD] = {(char)(n >> 16), (char)(n >> 8), (char)n, type, flags, 0,
		0, (char)(stream >> 8), (char)stream};
	while (times--) {
		buffer_append(to, head, sizeof head);
		buffer_append(to, payload.ptr, n);
	}
	buffer_free(&payload);
}

static void put_frames(struct buffer *to, const char *text)
{
	while (*text) {
		put_frame(to, &text);
		text += *text == ' ';
	}
}

struct fault {
	const char *frames;
	const char *seen;  /* by the client, but for the first settings */
	const char *sends; /* the client, but for what acknowledges them */
};

static void assert_behind(const char *text, const char *skipped, const char *expected)
{
	size_t n = strlen(skipped);
	assert_string_equal(strncmp(text, skipped, n) == 0 ? text + n : text, expected);
}

/* Requests: 1 without a body, 3 with one that goes on. */
static void try_fault(const struct fault *fault, const struct buffer *sent, size_t piece)
{
	struct h2_end *client = end_client(100);
	end_get(client, NULL);
	end_post(client, LENGTH_UNKNOWN);
	end_sends(client);
	for (size_t at = 0; at < sent->len && !client->over; at += piece) {
		size_t left = sent->len - at;
		client->over = h2_session_receive(client->session, sent->ptr + at,
				       left < piece ? left : piece) != 0;
	}
	assert_behind(end_seen(client), "settings, room 98;", fault->seen);
	assert_behind(end_sends(client), "SETTINGS;", fault->sends);
	end_free(client);
}

static void try_faults(const struct fault *faults, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct buffer sent = {0};
		put_frames(&sent, faults[i].frames);
		for (size_t piece = 1; piece < 40; piece += 1 + piece / 10)
			try_fault(&faults[i], &sent, piece);
		try_fault(&faults[i], &sent, sent.len);
		buffer_free(&sent);
	}
}

static void some_faults_end_the_connection(void **state)
{
	static const struct fault faults[] = {
		/* RFC 9113, 3.4: its SETTINGS come first; there is one of ours to be acknowledged */
		{"H.5.1:" S200, "", "GOAWAY code 1;"},
		{"S.1.0", "", "GOAWAY code 1;"},
		{GREETING "2*S.1.0", "", "GOAWAY code 1;"},
		/* 6.5.2: it enables pushes; RFC 8441, 3: it takes :protocol back */
		{"S.0.0:000200000001", "", "GOAWAY code 1;"},
		{GREETING "S.0.0:000800000001 S.0.0:000800000000", "settings, room 98, protocol;",
			"GOAWAY code 1;"},
		/* 6.5: too many in one frame */
		{GREETING "S.0.0:000300000064*33", "", "GOAWAY code 11;"},
		/* 8.4: a push; RFC 9218, 7.1: a priority */
		{GREETING "U.4.1:00000002828486", "", "GOAWAY code 1;"},
		{GREETING "X.0.0:00000001753d30", "", "GOAWAY code 1;"},
		/* 5.1: on streams that are idle, or are none */
		{GREETING "H.5.5:" S200 " H.5.7:" S200, "", "GOAWAY code 1;"},
		{GREETING "H.5.2:" S200, "", "GOAWAY code 1;"},
		{GREETING "H.5.0:" S200, "", "GOAWAY code 1;"},
		{GREETING "D.0.5:78", "", "GOAWAY code 1;"},
		{GREETING "D.0.2:78", "", "GOAWAY code 1;"},
		{GREETING "D.0.0:78", "", "GOAWAY code 1;"},
		{GREETING "R.0.5:00000000", "", "GOAWAY code 1;"},
		{GREETING "R.0.0:00000000", "", "GOAWAY code 1;"},
		{GREETING "W.0.5:00000001", "", "GOAWAY code 1;"},
		/* on streams that are closed, or half closed */
		{GREETING "2*H.5.1:" S200, "head 1 200$;closed 1 0;", "GOAWAY code 5;"},
		{GREETING "H.5.1:" S200 " D.0.1:78", "head 1 200$;closed 1 0;", "GOAWAY code 5;"},
		{GREETING "R.0.3:00000007 D.0.3:78", "closed 3 7 by peer;", "GOAWAY code 5;"},
		{GREETING "R.0.3:00000007 H.5.3:" S200, "closed 3 7 by peer;", "GOAWAY code 5;"},
		{GREETING "2*H.5.3:" S200, "head 3 200$;", "GOAWAY code 5;"},
		{GREETING "H.5.3:" S200 " D.0.3:78", "head 3 200$;", "GOAWAY code 5;"},
		/* DATA before anything else */
		{GREETING "D.0.1:78", "", "GOAWAY code 1;"},
		/* 6.10: CONTINUATION for ever, elsewhere, out of place */
		{GREETING "H.0.1:" S200 " 100*C.0.1", "", "GOAWAY code 11;"},
		{GREETING "H.0.1:" S200 " 100*C.0.1:" A, "a=b,a=b,a=b,a=b,a=b,a=b,a=b,a=b,",
			"GOAWAY code 11;"},
		{GREETING "H.0.1:" S200 " C.4.3", "", "GOAWAY code 1;"},
		{GREETING "C.4.1", "", "GOAWAY code 1;"},
		{GREETING "H.0.1:" S200 " D.0.3:78", "", "GOAWAY code 1;"},
		/* 6.8: GOAWAY takes more than before, or streams that are not the client's */
		{GREETING "G.0.0:0000000300000000 G.0.0:0000000500000000", "goaway 3 0;",
			"GOAWAY code 1;"},
		{GREETING "G.0.0:0000000200000000", "", "GOAWAY code 1;"},
		/* 6.9: windows are opened too far */
		{GREETING "W.0.0:7fffffff", "", "GOAWAY code 3;"},
		{GREETING "W.0.3:7fff0000 S.0.0:00047fffffff", "", "GOAWAY code 3;"},
		{GREETING "W.0.0:00000000", "", "GOAWAY code 1;"},
		/* RFC 7541: what is no field */
		{GREETING "H.4.1:ffffffffffff", "", "GOAWAY code 9;"},
	};
	(void)state;
	try_faults(faults, COUNT_OF(faults));
}

static void http1_is_told_apart(void **state)
{
	static const struct fault fault = {.seen = "", .sends = "GOAWAY code 1;"};
	struct buffer sent = {0};
	(void)state;
	buffer_append(&sent, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
	try_fault(&fault, &sent, 1);
	try_fault(&fault, &sent, sent.len);
	buffer_free(&sent);
}

static void some_faults_end_a_stream(void **state)
{
	static const struct fault faults[] = {
		/* RFC 9113, 8.3.2: there is one pseudo-field, :status, before all others */
		{GREETING "H.4.1", "", "RST_STREAM 1 code 1;"},
		{GREETING "H.4.1:" A, "a=b,", "RST_STREAM 1 code 1;"},
		{GREETING "H.5.1:" A, "a=b,closed 1 1;", "RST_STREAM 1 code 1;"},
		{GREETING "H.4.1:" A S200, "a=b,", "RST_STREAM 1 code 1;"},
		{GREETING "H.4.1:" S200 S200, "", "RST_STREAM 1 code 1;"},
		{GREETING "H.4.1:" S200 "84" A, "", "RST_STREAM 1 code 1;"},
		{GREETING "H.4.1:84", "", "RST_STREAM 1 code 1;"},
		/* which has three digits, from 100 to 599, and is not 101 (8.6) */
		{GREETING "H.4.1:08023230", "", "RST_STREAM 1 code 1;"},
		{GREETING "H.4.1:080432303030", "", "RST_STREAM 1 code 1;"},
		{GREETING "H.4.1:0803303939", "", "RST_STREAM 1 code 1;"},
		{GREETING "H.4.1:0803363030", "", "RST_STREAM 1 code 1;"},
		{GREETING "H.4.1:0803324f4f", "", "RST_STREAM 1 code 1;"},
		{GREETING "H.4.1:0800", "", "RST_STREAM 1 code 1;"},
		{GREETING "H.4.1:0803313031", "", "RST_STREAM 1 code 1;"},
		/* 8.1: an interim answer is not the end, and has no body */
		{GREETING "H.5.1:" S103, "closed 1 1;", "RST_STREAM 1 code 1;"},
		{GREETING "H.4.1:" S103 " D.0.1:78", "interim 1 103;", "RST_STREAM 1 code 1;"},
		{GREETING "H.4.1:" S103 " D.1.1", "interim 1 103;closed 1 1;",
			"RST_STREAM 1 code 1;"},
		/* only trailers, without pseudo-fields, come behind a head, and they are the end */
		{GREETING "H.4.1:" S200 " H.5.1:" S200, "head 1 200;", "RST_STREAM 1 code 1;"},
		{GREETING "H.4.1:" S200 " H.4.1:" S103, "head 1 200;", "RST_STREAM 1 code 1;"},
		{GREETING "H.4.3:" S200 " H.4.3:" A " D.1.3:78", "head 3 200;a=b,",
			"RST_STREAM 3 code 1;"},
		/* what comes behind the fault is not told, and counts for no window */
		{GREETING "H.4.3:84 600*D.0.3:78*100 H.5.3:" A, "",
			"RST_STREAM 3 code 1;WINDOW_UPDATE;"},
		/* 6.9: more than the window, which nobody opens while nothing is consumed */
		{GREETING "W.0.3:7fffffff", "", "RST_STREAM 3 code 3;"},
		{GREETING "W.0.3:00000000", "", "GOAWAY code 1;"},
	};
	(void)state;
	try_faults(faults, COUNT_OF(faults));
}

/* What is refused is given back to the connection's window. */
static void refused_data_is_consumed(void **state)
{
	struct buffer sent = {0};
	struct h2_end *client = end_client(100);
	(void)state;
	put_frames(&sent, GREETING);
	for (int i = 0; i < 60; i++) {
		char frames[64];
		snprintf(frames, sizeof frames, "H.4.%d:" S103 " D.0.%d:78*900", 2 * i + 1,
			2 * i + 1);
		put_frames(&sent, frames);
		end_get(client, NULL);
	}
	end_sends(client);
	assert_int_equal(h2_session_receive(client->session, sent.ptr, sent.len), 0);
	assert_non_null(strstr(end_sends(client), "WINDOW_UPDATE;"));
	buffer_free(&sent);
	end_free(client);
}

static void interim_answers_have_an_end(void **state)
{
	static const char informed[] = "a=b,interim 3 103;";
	size_t length = sizeof informed - 1;
	char seen[H2_INTERIM_MOST * (sizeof informed - 1) + sizeof "a=b,"];
	for (size_t i = 0; i < H2_INTERIM_MOST; i++)
		memcpy(seen + i * length, informed, length);
	memcpy(seen + H2_INTERIM_MOST * length, "a=b,", sizeof "a=b,");
	const struct fault fault = {GREETING "100*H.4.3:" S103 A, seen, "RST_STREAM 3 code 11;"};
	(void)state;
	try_faults(&fault, 1);
}

/* What a server may send, though it seldom does. */
static void some_frames_are_no_faults(void **state)
{
	static const struct fault faults[] = {
		{"S.0.0:000200000000", "", ""},
		{GREETING "S.1.0 I.0.0:0000000000000000", "", "PING;"},
		{GREETING "P.0.1:0000000310 P.0.5:0000000310", "", ""},
		{GREETING "H.36.1:0000000310" S200 " D.0.1 D.8.1:0400000000 D.9.1:0378000000",
			"head 1 200;hollow;hollow;data 1 x;end 1;closed 1 0;", ""},
		{GREETING "H.4.3:" S200 " R.0.3:00000000", "head 3 200;closed 3 0 by peer;", ""},
		{GREETING "R.0.1:00000063", "closed 1 2 by peer;", ""}, /* an unknown code */
		{GREETING "H.5.1:" S200 " W.0.1:00000001 R.0.1:00000000 P.0.1:0000000310",
			"head 1 200$;closed 1 0;", ""},
		{GREETING "G.0.0:0000000100000063 G.0.0:0000000000000007646562756721",
			"goaway 1 2;closed 3 7 by peer;goaway 0 7;closed 1 7 by peer;", ""},
		/* fewer streams than there are, then more than anybody has */
		{GREETING "S.0.0:000300000001 S.0.0:0003ffffffff",
			"settings, room 0;settings, room 98;", "SETTINGS;SETTINGS;"},
	};
	(void)state;
	try_faults(faults, COUNT_OF(faults));
}

/* Acknowledgments that nobody takes are not heaped up. */
static void floods_are_seen(void **state)
{
	static const char *const floods[] = {
		GREETING "2000*I.0.0:0000000000000000", GREETING "2000*S.0.0"};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(floods); i++) {
		struct buffer sent = {0};
		struct h2_end *client = end_client(100);
		end_sends(client);
		put_frames(&sent, floods[i]);
		assert_int_equal(h2_session_receive(client->session, sent.ptr, sent.len), -1);
		assert_true(client->frames < 200);
		assert_non_null(strstr(end_sends(client), "GOAWAY code 11;"));
		buffer_free(&sent);
		end_free(client);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(some_faults_end_the_connection),
		cmocka_unit_test(http1_is_told_apart),
		cmocka_unit_test(some_faults_end_a_stream),
		cmocka_unit_test(refused_data_is_consumed),
		cmocka_unit_test(interim_answers_have_an_end),
		cmocka_unit_test(some_frames_are_no_faults),
		cmocka_unit_test(floods_are_seen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
