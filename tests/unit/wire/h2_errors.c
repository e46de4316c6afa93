/* SPDX-License-Identifier: BSD-2-Clause */
/* What a peer may not say: states, frames, windows, settings, HPACK, by the sections of RFC 9113 and RFC 7541. The codes are those that the sections
 * name; where they leave a choice, the connection ends. */
#include <stdio.h>
#include <stdlib.h>

#include "h2_stage.h"

/* The connection ends with that code, after what was answered before. */
static void ends(const char *frames, unsigned last, enum h2_code code)
{
	char answer[64];
	snprintf(answer, sizeof answer, "G%u %u; closed", last, code);
	h2_expect(frames, answer);
}

/* Once the first frames were answered, the next end the connection. */
static void then_ends(const char *first, const char *answers, const char *frames, unsigned last,
	enum h2_code code)
{
	char answer[64];
	snprintf(answer, sizeof answer, "G%u %u; closed", last, code);
	struct h2_client *c = h2_connect();
	h2_say(c, first);
	assert_string_equal(h2_hear(c), answers);
	h2_say(c, frames);
	const char *heard = h2_hear(c);
	if (strcmp(heard, answer) != 0)
		fail_msg("after “%s” “%s” is answered by “%s”, not “%s”", first, frames, heard,
			answer);
	h2_disconnect(c);
}

/* Likewise, and nothing comes of them. */
static void then_goes_on(const char *first, const char *answers, const char *frames)
{
	struct h2_client *c = h2_connect();
	h2_say(c, first);
	assert_string_equal(h2_hear(c), answers);
	h2_say(c, frames);
	h2_say(c, "H9$ GET /ready");
	assert_string_equal(h2_hear(c), "H9 200; D9 hello$");
	h2_disconnect(c);
}

static void goes_on(const char *frames, const char *answers)
{
	char said[512], heard[512];
	snprintf(said, sizeof said, "%s; H9$ GET /ready", frames);
	snprintf(heard, sizeof heard, "%s%sH9 200; D9 hello$", answers, *answers ? "; " : "");
	h2_expect(said, heard);
}

static void preface_3_4(void **state)
{
	(void)state;
	struct h2_client *c = h2_connect_silent();
	/* the first frame is SETTINGS */
	h2_say(c, "= 505249202a20485454502f322e300d0a0d0a534d0d0a0d0a; P 12345678");
	assert_string_equal(h2_hear_all(c), "S; G0 1; closed");
	h2_disconnect(c);
}

static void frame_size_4_2(void **state)
{
	(void)state;
	ends("H1 POST /echo; D1 *16385", 1, H2_FRAME_SIZE_ERROR);
	ends("X 6 0 0 0102", 0, H2_FRAME_SIZE_ERROR);
	ends("X 3 0 1 010203", 0, H2_FRAME_SIZE_ERROR);
	ends("X 2 0 1 01020304", 0, H2_FRAME_SIZE_ERROR);
	ends("X 4 0 0 010203", 0, H2_FRAME_SIZE_ERROR);
	ends("X 4 1 0 000400000001", 0, H2_FRAME_SIZE_ERROR);
	ends("X 8 0 0 010203", 0, H2_FRAME_SIZE_ERROR);
	ends("X 7 0 0 01020304", 0, H2_FRAME_SIZE_ERROR);
}

static void unknown_frames_are_passed_over_4_1(void **state)
{
	(void)state;
	goes_on("X 99 255 0 0102030405", "");
	goes_on("X 22 0 5 01", "");
	goes_on("P 12345678", "");
	goes_on("X 6 254 0 0102030405060708", ""); /* unknown flags */
	/* but not inside of a header section: 4.3, 6.10 */
	ends("H1$- GET /ready; X 99 0 0 01", 1, H2_PROTOCOL_ERROR);
	ends("H1$- GET /ready; P 12345678", 1, H2_PROTOCOL_ERROR);
	ends("H1$- GET /ready; Q1 3", 1, H2_PROTOCOL_ERROR);
	ends("H1$- GET /ready; H3$ GET /ready", 1, H2_PROTOCOL_ERROR);
	ends("H1$- GET /ready; C3 x: y", 1, H2_PROTOCOL_ERROR);
}

static void idle_streams_5_1(void **state)
{
	(void)state;
	ends("D1 x", 0, H2_PROTOCOL_ERROR);
	ends("R1 8", 0, H2_PROTOCOL_ERROR);
	ends("W1 1", 0, H2_PROTOCOL_ERROR);
	ends("C1 x: y", 0, H2_PROTOCOL_ERROR);
	goes_on("Q1 3", ""); /* PRIORITY may come at any time */
}

static void half_closed_streams_5_1(void **state)
{
	(void)state;
	ends("H1$ GET /hold; D1 x", 1, H2_STREAM_CLOSED);
	ends("H1$ GET /hold; h1$ x: y", 1, H2_STREAM_CLOSED);
	ends("H1$ GET /hold; C1 x: y", 1, H2_PROTOCOL_ERROR);
	goes_on("H1$ GET /hold; W1 100; Q1 3; R1 8", "");
}

static void closed_streams_5_1(void **state)
{
	(void)state;
	static const char ready[] = "H1 200; D1 hello$";
	then_ends("H1$ GET /ready", ready, "D1 x", 1, H2_STREAM_CLOSED);
	then_ends("H1$ GET /ready", ready, "H1$ GET /ready", 1, H2_STREAM_CLOSED);
	then_ends("H1$ GET /ready", ready, "C1 x: y", 1, H2_PROTOCOL_ERROR);
	then_ends("H1$ GET /ready; H3$ GET /ready", "H1 200; H3 200; D1 hello$; D3 hello$",
		"H1$ GET /ready", 3, H2_STREAM_CLOSED);
	/* closed by the peer's own reset */
	then_ends("H1 POST /echo; R1 8", "", "D1 x", 1, H2_STREAM_CLOSED);
	then_ends("H1 POST /echo; R1 8", "", "h1$ x: y", 1, H2_STREAM_CLOSED);
	ends("H1 POST /echo; R1 8; D1 x", 1, H2_STREAM_CLOSED);
	ends("H1 POST /echo; R1 8; h1$ x: y", 1, H2_STREAM_CLOSED);
	ends("H1 POST /echo; R1 8; C1 x: y", 1, H2_PROTOCOL_ERROR);
	/* these may still have been under way */
	then_goes_on("H1$ GET /ready", ready, "W1 1; Q1 3; R1 8; U1 u=1;");
	/* closed by a reset of ours: the peer did not know yet */
	then_goes_on(
		"H1 POST /echo content-length: 1; D1 *2", "R1 1", "D1 *100; h1$ x: y; D1 *100;");
}

static void stream_ids_5_1_1(void **state)
{
	(void)state;
	ends("H2$ GET /ready", 0, H2_PROTOCOL_ERROR);
	ends("H0$ GET /ready", 0, H2_PROTOCOL_ERROR);
	then_ends("H5$ GET /hold", "", "H3$ GET /ready", 5, H2_PROTOCOL_ERROR);
	then_ends("H1$ GET /hold; H7$ GET /hold", "", "H5$ GET /ready", 7, H2_PROTOCOL_ERROR);
	ends("D0 x", 0, H2_PROTOCOL_ERROR);
	ends("R0 8", 0, H2_PROTOCOL_ERROR);
	ends("Q0 3", 0, H2_PROTOCOL_ERROR);
	ends("C0 x: y", 0, H2_PROTOCOL_ERROR);
	ends("X 4 0 1 000300000064", 0, H2_PROTOCOL_ERROR);
	ends("X 6 0 1 0102030405060708", 0, H2_PROTOCOL_ERROR);
	ends("X 7 0 1 0000000000000000", 0, H2_PROTOCOL_ERROR);
}

static void concurrent_streams_5_1_2(void **state)
{
	(void)state;
	struct h2_client *c = h2_connect();
	char frames[64];
	for (unsigned i = 0; i < H2_STREAMS; i++) {
		snprintf(frames, sizeof frames, "H%u$ GET /hold", 2 * i + 1);
		h2_say(c, frames);
	}
	assert_string_equal(h2_hear(c), "");
	assert_int_equal(stage.under_way, H2_STREAMS);
	snprintf(frames, sizeof frames, "H%u$ GET /hold", 2 * H2_STREAMS + 1);
	h2_say(c, frames);
	snprintf(frames, sizeof frames, "R%u 7", 2 * H2_STREAMS + 1);
	assert_string_equal(h2_hear(c), frames);
	assert_int_equal(stage.under_way, H2_STREAMS);
	h2_say(c, "R1 8");
	h2_hear(c);
	snprintf(frames, sizeof frames, "H%u$ GET /ready", 2 * H2_STREAMS + 3);
	h2_say(c, frames);
	snprintf(frames, sizeof frames, "H%u 200; D%u hello$", 2 * H2_STREAMS + 3,
		2 * H2_STREAMS + 3);
	assert_string_equal(h2_hear(c), frames);
	h2_disconnect(c);
}

static void dependencies_5_3(void **state)
{
	(void)state;
	ends("Q1 1", 0, H2_PROTOCOL_ERROR);
	/* HEADERS with a priority, on itself; padded, too */
	ends("X 1 37 1 00000001ff828684", 0, H2_PROTOCOL_ERROR);
	ends("X 1 45 1 0000000001ff828684", 0, H2_PROTOCOL_ERROR);
	goes_on("Q1 3; Q3 1; Q1 3", "");
}

static void padding_6_1(void **state)
{
	(void)state;
	ends("H1 POST /echo; X 0 8 1 0568690000", 1, H2_PROTOCOL_ERROR);
	ends("X 1 13 1 0a8286840000", 0, H2_PROTOCOL_ERROR);
}

static void settings_6_5(void **state)
{
	(void)state;
	ends("S 2=2", 0, H2_PROTOCOL_ERROR);
	ends("S 4=2147483648", 0, H2_FLOW_CONTROL_ERROR);
	ends("S 5=16383", 0, H2_PROTOCOL_ERROR);
	ends("S 5=16777216", 0, H2_PROTOCOL_ERROR);
	ends("S 8=2", 0, H2_PROTOCOL_ERROR);
	ends("A", 0, H2_PROTOCOL_ERROR);
	goes_on("S 99=5,1=0,4=100,4=65535,5=16777215,6=1", "");
	struct h2_client *c = h2_connect();
	h2_say(c, "S 3=100; S; P abcdefgh; X 6 1 0 3132333435363738");
	assert_string_equal(h2_hear_all(c), "A; A; P+ abcdefgh");
	h2_disconnect(c);
}

static void push_promise_8_4(void **state)
{
	(void)state;
	ends("X 5 4 1 00000002828684", 0, H2_PROTOCOL_ERROR);
}

static void goaway_6_8(void **state)
{
	(void)state;
	/* what is under way is finished */
	struct h2_client *c = h2_connect();
	h2_say(c, "H1 POST /echo; G0 0");
	assert_string_equal(h2_hear(c), "");
	h2_say(c, "D1$ x");
	assert_string_equal(h2_hear(c), "H1 200; D1 x$; closed");
	h2_disconnect(c);
}

static void windows_6_9(void **state)
{
	(void)state;
	ends("W0 0", 0, H2_PROTOCOL_ERROR);
	ends("W0 2147483647", 0, H2_FLOW_CONTROL_ERROR);
	ends("H1$ GET /hold; W1 0", 1, H2_PROTOCOL_ERROR); /* or of the stream: 5.4.2 */
	h2_expect("H1$ GET /hold; W1 2147483647; H3$ GET /ready", "R1 3; H3 200; D3 hello$");
	/* more than its window holds */
	struct h2_client *c = h2_connect();
	h2_say(c, "H1 POST /hold");
	for (unsigned i = 0; i < H2_WINDOW / 16384; i++)
		h2_say(c, "D1 *16384");
	assert_string_equal(h2_hear(c), "");
	h2_say(c, "D1 x");
	assert_string_equal(h2_hear(c), "R1 3");
	h2_disconnect(c);
}

static void keeps_to_windows_6_9(void **state)
{
	(void)state;
	struct h2_client *c = h2_connect();
	h2_say(c, "S 4=0; H1$ GET /ready");
	assert_string_equal(h2_hear(c), "H1 200");
	h2_say(c, "W1 1");
	assert_string_equal(h2_hear(c), "D1 h");
	h2_say(c, "S 4=2");
	assert_string_equal(h2_hear(c), "D1 el");
	h2_say(c, "S 4=0; S 4=3"); /* may become negative: 6.9.2 */
	assert_string_equal(h2_hear(c), "D1 l");
	h2_say(c, "S 4=1; W1 2");
	assert_string_equal(h2_hear(c), "");
	h2_say(c, "W1 1");
	assert_string_equal(h2_hear(c), "D1 o$");
	h2_disconnect(c);
	/* of the connection */
	c = h2_connect();
	h2_say(c, "S 4=1000000; H1$ GET /large100000");
	const char *heard = h2_hear(c);
	assert_string_equal(heard, "H1 200; D1 *16384; D1 *16384; D1 *16384; D1 *16383");
	h2_say(c, "W0 1000000");
	assert_string_equal(h2_hear(c), "D1 *16384; D1 *16384; D1 *1697$");
	h2_disconnect(c);
}

static void windows_beyond_their_top_by_settings_6_9_2(void **state)
{
	(void)state;
	then_ends("S 4=0; H1$ GET /hold", "", "W1 2147483647; S 4=1", 1, H2_FLOW_CONTROL_ERROR);
	then_ends("H1$ GET /hold; H3$ GET /hold", "", "W1 10; S 4=2147483637; S 4=2147483638", 3,
		H2_FLOW_CONTROL_ERROR);
	/* any of them, in order: 6.5.3 */
	then_ends("H1$ GET /hold", "", "W1 10; S 4=2147483647,4=1", 1, H2_FLOW_CONTROL_ERROR);
	/* where no stream's is opened further, or where it is below zero */
	then_goes_on("H1$ GET /hold; H3$ GET /ready", "H3 200; D3 hello$",
		"S 4=2147483647; S 4=0; W1 2147418112; S 4=65535");
	then_goes_on("H1$ GET /large100", "H1 200; D1 *100$", "W1 10; S 4=2147483647; S 4=65535");
	struct h2_client *c = h2_connect();
	h2_say(c, "S 4=50; H1$ GET /large100");
	assert_string_equal(h2_hear(c), "H1 200; D1 *50");
	h2_say(c, "S 4=0; S 4=2147483647");
	assert_string_equal(h2_hear(c), "D1 *50$");
	h2_disconnect(c);
}

/* How much of a body the peer may send when it has sent so much more. */
static unsigned credit_behind(struct h2_client *c, unsigned credit, unsigned octets)
{
	for (; octets > 0; octets -= 8192) {
		h2_say(c, "D1 *8192");
		assert_true(credit >= 8192);
		credit -= 8192;
		char *heard = strdup(h2_hear_all(c)), *save = NULL;
		for (char *one = strtok_r(heard, ";", &save); one;
			one = strtok_r(NULL, ";", &save)) {
			unsigned n;
			if (sscanf(one, " W1 %u", &n) == 1)
				credit += n;
		}
		free(heard);
		assert_true(credit <= H2_WINDOW);
	}
	return credit;
}

static void where_many_bodies_come_each_is_allowed_less_meanwhile(void **state)
{
	static const unsigned sizes[] = {8192, 65536, 131072, 262144, 524288};
	(void)state;
	struct h2_client *c = h2_connect();
	unsigned credit = H2_WINDOW;
	world.snapshot.core.limits.body_size = INT64_C(1) << 30;
	h2_say(c, "H1 POST /echo");
	credit = credit_behind(c, credit, 65536);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		world.wire->h2_bodies = 3 * H2_BODIES;
		credit = credit_behind(c, credit, 524288);
		assert_true(credit <= H2_WINDOW / 4);
		world.wire->h2_bodies = 2 * H2_BODIES; /* a few less */
		credit = credit_behind(c, credit, 524288);
		assert_true(credit <= H2_WINDOW / 4);
		world.wire->h2_bodies = 2 * H2_BODIES - H2_BODIES_SPARE;
		credit = credit_behind(c, credit, sizes[i]);
		world.wire->h2_bodies = 3 * H2_BODIES;
		credit = credit_behind(c, credit, sizes[i]);
		world.wire->h2_bodies = 1;
		credit = credit_behind(c, credit, 524288);
		assert_true(credit >= H2_WINDOW / 2);
	}
	h2_disconnect(c);
}

static void gives_windows_back(void **state)
{
	(void)state;
	struct h2_client *c = h2_connect();
	unsigned stream = 0, connection = 0, sent = 0;
	h2_say(c, "H1 POST /echo");
	for (int i = 0; i < 12; i++) {
		h2_say(c, "D1 *16384");
		sent += 16384;
		char *heard = strdup(h2_hear_all(c)), *save = NULL;
		for (char *one = strtok_r(heard, ";", &save); one;
			one = strtok_r(NULL, ";", &save)) {
			unsigned id, n;
			if (sscanf(one, " W%u %u", &id, &n) == 2)
				*(id ? &stream : &connection) += n;
		}
		free(heard);
	}
	/* what was consumed, but for the last, which is not worth a frame */
	assert_true(stream > 0 && stream <= sent && sent - stream <= H2_WINDOW / 2);
	assert_true(connection <= sent && sent - connection <= H2_WINDOWS / 2);
	h2_disconnect(c);
}

static void hpack(void **state)
{
	(void)state;
	ends("X 1 5 1 80", 1, H2_COMPRESSION_ERROR);         /* RFC 7541, 6.1: index 0 */
	ends("X 1 5 1 ff8001", 1, H2_COMPRESSION_ERROR);     /* 2.3.3: beyond the tables */
	ends("X 1 5 1 828684413f", 1, H2_COMPRESSION_ERROR); /* cut */
	ends("X 1 5 1 8286843fe21f", 1,
		H2_COMPRESSION_ERROR); /* 4.2: an update of the table at the end */
	ends("X 1 5 1 3fe2ffffff0f828684", 1,
		H2_COMPRESSION_ERROR); /* 6.3: larger than was allowed */
	ends("X 1 5 1 8286844085f2b24a84ff83497f", 1,
		H2_COMPRESSION_ERROR); /* 5.2: padding over 7 bits */
	ends("X 1 5 1 8286844085f2b24a87ff81fe", 1, H2_COMPRESSION_ERROR);
	ends("X 1 5 1 ffffffffffffffffffff", 1, H2_COMPRESSION_ERROR); /* 5.1: too large a number */
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, h2_set_up, h2_tear_down)
	const struct CMUnitTest tests[] = {
		CASE(preface_3_4),
		CASE(frame_size_4_2),
		CASE(unknown_frames_are_passed_over_4_1),
		CASE(idle_streams_5_1),
		CASE(half_closed_streams_5_1),
		CASE(closed_streams_5_1),
		CASE(stream_ids_5_1_1),
		CASE(concurrent_streams_5_1_2),
		CASE(dependencies_5_3),
		CASE(padding_6_1),
		CASE(settings_6_5),
		CASE(push_promise_8_4),
		CASE(goaway_6_8),
		CASE(windows_6_9),
		CASE(keeps_to_windows_6_9),
		CASE(windows_beyond_their_top_by_settings_6_9_2),
		CASE(gives_windows_back),
		CASE(where_many_bodies_come_each_is_allowed_less_meanwhile),
		CASE(hpack),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
