/* SPDX-License-Identifier: BSD-2-Clause */
/* What a peer may waste, and for how long it may be waited for: what is too much ends the connection, and honest use does not. */
#include <stdio.h>
#include <stdlib.h>

#include "h2_stage.h"
#include "http/h1_syntax.h"

/* Says the frames again and again, with stream ids that go up by two from `*id` on in place of “%u”, a hundred at a time, until the connection ends or
 * it was done `most` times. Returns how often it was. */
static unsigned flood(
	struct h2_client *c, unsigned *id, const char *frames, unsigned most, enum h2_code *code)
{
	unsigned done = 0;
	while (done < most) {
		for (unsigned i = 0; i < 50 && done < most; i++, done++, *id += 2) {
			char said[256];
			int n = 0;
			for (const char *at = frames; *at; at++) {
				if (*at == '@')
					n += snprintf(said + n, sizeof said - (size_t)n, "%u", *id);
				else
					said[n++] = *at;
			}
			said[n] = 0;
			h2_say(c, said);
		}
		const char *heard = h2_hear(c), *end = strstr(heard, "closed");
		if (!end)
			continue;
		const char *goaway = strstr(heard, "G");
		assert_non_null(goaway);
		*code = (enum h2_code)strtoul(strchr(goaway, ' '), NULL, 10);
		return done;
	}
	*code = H2_NO_ERROR;
	return done;
}

/* The same on a connection of its own, on which something may be said before. */
static unsigned flood_anew(const char *first, const char *frames, unsigned most, enum h2_code *code)
{
	struct h2_client *c = h2_connect();
	unsigned id = *first ? 3 : 1;
	if (*first) {
		h2_say(c, first);
		h2_hear(c);
	}
	unsigned done = flood(c, &id, frames, most, code);
	h2_disconnect(c);
	return done;
}

static void ends(const char *first, const char *frames, unsigned least, unsigned most)
{
	enum h2_code code;
	unsigned done = flood_anew(first, frames, most, &code);
	if (code != H2_ENHANCE_YOUR_CALM || done < least)
		fail_msg("“%s” %u times ends with %u", frames, done, (unsigned)code);
}

static void goes_on(const char *first, const char *frames, unsigned times)
{
	enum h2_code code;
	unsigned done = flood_anew(first, frames, times, &code);
	if (done != times || code != H2_NO_ERROR)
		fail_msg("“%s” ends after %u times with %u", frames, done, (unsigned)code);
}

/* A connection that has brought one answer. */
static struct h2_client *served(void)
{
	struct h2_client *c = h2_connect();
	h2_say(c, "H1$ GET /ready");
	assert_string_equal(h2_hear(c), "H1 200; D1 hello$");
	return c;
}

/* Time passes until the connection says this; it is over then. */
static void awaits(struct h2_client *c, const char *frames, const char *answer)
{
	h2_say(c, frames);
	h2_await(c, answer);
	h2_disconnect(c);
}

static void resets(void **state)
{
	(void)state;
	ends("", "H@$ GET /hold;R@ 8", 100, 20000); /* CVE-2023-44487 */
	assert_int_equal(stage.under_way, 0);
	goes_on("", "H@$ GET /hold;R@ 8", 100); /* a page that is left while it loads */
	/* a film in which somebody looks for a scene */
	goes_on("", "W0 65535;H@$ GET /large600000;R@ 8", 1);
	struct h2_client *c = h2_connect();
	for (unsigned id = 1; id < 1000; id += 2) {
		char frames[64];
		snprintf(frames, sizeof frames, "H%u$ GET /large600000", id);
		h2_say(c, frames);
		assert_non_null(strstr(h2_hear(c), "D"));
		snprintf(frames, sizeof frames, "R%u 8; W0 65535", id);
		h2_say(c, frames);
		assert_string_equal(h2_hear(c), "");
	}
	h2_disconnect(c);
}

static void resets_that_are_provoked(void **state)
{
	(void)state; /* CVE-2025-8671 */
	ends("", "H@$ GET /hold;W@ 2147483647", 50, 2000);
	ends("", "h@$ :method: GET", 50, 2000);
	ends("", "H@ POST /hold content-length: 1;D@ xx", 50, 2000);
	ends("", "H@ POST /hold;h@$ connection: x", 50, 2000);
	assert_int_equal(stage.under_way, 0);
	goes_on("", "h@$ :method: GET", 20);
}

static void floods(void **state)
{
	(void)state; /* CVE-2019-9512, -9513, -9515, -9518 */
	ends("", "P 12345678", 1000, 20000);
	ends("", "S 3=1", 100, 20000);
	ends("", "Q@ 0", 1000, 50000);
	ends("", "U@ u=1", 1000, 50000);
	ends("", "X 99 0 0 00", 1000, 50000);
	ends("H1 POST /hold", "D1", 500, 20000);
	ends("H1 POST /hold", "X 0 8 1 020000", 500, 20000); /* nothing but padding */
	ends("H1$ GET /hold", "W1 1", 1000, 50000);
	ends("", "W0 1", 1000, 50000);
	ends("S 4=0; H1$ GET /large600000", "W1 1", 1000, 50000); /* an octet for each */
	ends("H1$ GET /ready", "R1 8", 500, 50000);
	goes_on("", "P 12345678", 1000);
	goes_on("H1 POST /hold", "D1 x", 20000);
	goes_on("H1 POST /hold", "X 0 8 1 02780000", 20000);
}

static void continuations(void **state)
{
	(void)state; /* CVE-2024-27316 */
	struct h2_client *c = h2_connect();
	h2_say(c, "H1$- GET /ready; C1-; C1-; C1-; C1-; C1-; C1-; C1-; C1 x: y");
	assert_string_equal(h2_hear(c), "H1 200; D1 hello$");
	h2_say(c, "H3$- GET /ready; C3-; C3-; C3-; C3-; C3-; C3-; C3-; C3-; C3-");
	assert_string_equal(h2_hear(c), "G3 11; closed");
	h2_disconnect(c);
}

static void heads(void **state)
{
	(void)state;
	struct h2_client *c = h2_connect();
	char frames[8192];
	/* many small fields, without names, too: CVE-2019-9516 */
	int n = snprintf(
		frames, sizeof frames, "h1$ :method: GET|:path: /|:scheme: http|:authority: a");
	for (int i = 0; i <= H1_FIELDS_MAX; i++)
		n += snprintf(frames + n, sizeof frames - (size_t)n, "|x: y");
	h2_say(c, frames);
	assert_non_null(strstr(h2_hear(c), "H1 431"));
	h2_say(c, "H3$ GET /ready x: *4000");
	assert_non_null(strstr(h2_hear(c), "H3 431"));
	h2_say(c, "H5$ GET /ready x: *3800");
	assert_non_null(strstr(h2_hear(c), "H5 200"));
	h2_say(c, "H7$- GET /ready x: *9000; C7 y: *9000");
	assert_string_equal(h2_hear(c), "G7 11; closed");
	h2_disconnect(c);
	/* a bomb: an entry of the table, named again and again */
	c = served();
	struct buffer block = {0};
	buffer_format(&block, "X 1 5 3 8286844101614001787fa11e"); /* x: 4000 octets, kept */
	for (int i = 0; i < 4000; i++)
		buffer_format(&block, "61");
	for (int i = 0; i < 8000; i++)
		buffer_format(&block, "be");
	buffer_append(&block, "", 1);
	h2_say(c, block.ptr);
	buffer_free(&block);
	assert_string_equal(h2_hear(c), "G3 11; closed");
	h2_disconnect(c);
}

static void cookies_in_many_crumbs_are_one_field(void **state)
{
	(void)state;
	struct h2_client *c = h2_connect();
	char frames[8192];
	int n = snprintf(frames, sizeof frames, "H1$ GET /ready a: b");
	for (int i = 0; i < 90; i++)
		n += snprintf(frames + n, sizeof frames - (size_t)n, "|cookie: a=b");
	h2_say(c, frames);
	assert_string_equal(h2_hear(c), "H1 200; D1 hello$");
	h2_disconnect(c);
}

static void peers_that_do_not_read(void **state)
{
	(void)state;
	world.snapshot.core.limits.send_timeout = 300;
	struct h2_client *c = h2_connect();
	h2_say(c, "S 4=0; H1$ GET /ready; H3$ GET /large600000");
	assert_string_equal(h2_hear(c), "H1 200; H3 200");
	h2_await(c, "R1 8; R3 8"); /* no window */
	assert_int_equal(stage.observed, 2);
	assert_int_equal(stage.end, END_CLIENT_SEND);
	h2_say(c, "S 4=100; H5$ GET /ready");
	assert_string_equal(h2_hear(c), "H5 200; D5 hello$");
	h2_disconnect(c);
}

static void peers_that_read_too_slowly(void **state)
{
	(void)state; /* CVE-2019-9511, -9517: an octet at a time */
	world.snapshot.core.limits.min_rate = 10000000;
	world.snapshot.core.limits.send_timeout = 60000;
	struct h2_client *c = h2_connect();
	h2_say(c, "S 4=0; H1$ GET /large600000");
	assert_string_equal(h2_hear(c), "H1 200");
	struct h2_conn *h2 = one_wire_newest()->state;
	for (int i = 0; i < 3000; i++) {
		h2_say(c, "W1 1");
		const char *heard = h2_hear(c);
		if (strstr(heard, "R1 8")) {
			assert_int_equal(stage.end, END_CLIENT_RATE);
			h2_disconnect(c);
			return;
		}
		list_each (link, &h2->streams) { /* eleven seconds go by */
			struct h2_stream *s = container_of(link, struct h2_stream, link);
			s->window -= s->wait == CONN_WAIT_SEND ? 11000 : 0;
		}
		h2->sweep.expired(&h2->sweep);
	}
	fail_msg("it may go on for ever");
}

/* A sweep after a span of time in which the least rate is judged. */
static void sweep_later(struct h2_conn *h2)
{
	list_each (link, &h2->streams)
		container_of(link, struct h2_stream, link)->window -= 11000;
	h2->judged -= 11000;
	h2->sweep.expired(&h2->sweep);
}

/* The connection's window goes to the first of two answers: the other one waits for that, not for the peer. */
static void answers_behind_others(void **state)
{
	(void)state;
	struct h2_client *c = h2_connect();
	h2_say(c, "S 4=1000000; H1$ GET /large600000; H3$ GET /large600000");
	assert_null(strstr(h2_hear(c), "D3"));
	struct h2_conn *h2 = one_wire_newest()->state;
	for (int i = 0; i < 5; i++) {
		h2_say(c, "W0 20000");
		const char *heard = h2_hear(c);
		assert_non_null(strstr(heard, "D1"));
		assert_null(strstr(heard, "D3"));
		sweep_later(h2);
		assert_string_equal(h2_hear(c), "");
	}
	/* an octet now and then is no reading, whatever the streams' own windows are */
	for (int i = 0; i < 2; i++) {
		h2_say(c, "W0 1");
		assert_non_null(strstr(h2_hear(c), "D1"));
		sweep_later(h2);
	}
	assert_string_equal(h2_hear(c), "R1 8; R3 8");
	assert_int_equal(stage.end, END_CLIENT_RATE);
	h2_disconnect(c);
}

/* The peer sends one body after the other. */
static void bodies_behind_others(void **state)
{
	(void)state;
	struct h2_client *c = h2_connect();
	h2_say(c, "H1 POST /echo; H3 POST /echo");
	assert_string_equal(h2_hear(c), "");
	struct h2_conn *h2 = one_wire_newest()->state;
	for (int i = 0; i < 5; i++) {
		h2_say(c, "D1 *5000");
		assert_string_equal(h2_hear(c), "");
		sweep_later(h2);
	}
	/* each of them is to have as much as the least rate says */
	for (int i = 0; i < 2; i++) {
		h2_say(c, "D1 *300");
		assert_string_equal(h2_hear(c), "");
		sweep_later(h2);
	}
	assert_string_equal(h2_hear(c), "H1 408; H3 408; D1 *376$; D3 *376$");
	assert_int_equal(stage.end, END_CLIENT_RATE);
	h2_disconnect(c);
}

static void bodies_that_do_not_come(void **state)
{
	(void)state;
	world.snapshot.core.limits.body_timeout = 300;
	struct h2_client *c = h2_connect();
	h2_say(c, "H1 POST /echo; D1 x");
	h2_await(c, "H1 408; D1 *376$");
	assert_int_equal(stage.end, END_CLIENT_BODY);
	h2_disconnect(c);
}

/* One that comes to nothing is cut off within a tick of its time, not when the next sweep comes along. */
static void bodies_are_given_their_time_and_no_more(void **state)
{
	(void)state;
	world.snapshot.core.limits.body_timeout = 1000;
	struct h2_client *c = h2_connect();
	h2_say(c, "H1 POST /echo; D1 x");
	assert_string_equal(h2_hear(c), "");
	struct h2_conn *h2 = one_wire_newest()->state;
	struct h2_stream *s = container_of(h2->streams.next, struct h2_stream, link);
	s->progress -= 900; /* time goes by */
	deadline_clear(&world.loop, &h2->sweep);
	h2->sweep.expired(&h2->sweep);
	assert_string_equal(h2_hear(c), "");
	assert_int_equal(s->wait, CONN_WAIT_BODY);
	assert_in_range(h2->sweep.due * LOOP_TICK_MS, 1,
		world.loop.clock.monotonic_ms + 100 + LOOP_TICK_MS);
	s->progress -= 100;
	h2->sweep.expired(&h2->sweep);
	h2_await(c, "H1 408; D1 *376$");
	assert_int_equal(stage.end, END_CLIENT_BODY);
	/* what nobody has waited for is not the client's fault */
	h2_say(c, "H3 POST /hold; D3 x");
	assert_string_equal(h2_hear(c), "");
	s = container_of(h2->streams.prev, struct h2_stream, link);
	s->progress -= 5000;
	h2->sweep.expired(&h2->sweep);
	h2->sweep.expired(&h2->sweep);
	assert_string_equal(h2_hear(c), "");
	assert_int_equal(s->wait, CONN_WAIT_NONE);
	h2_disconnect(c);
}

/* DESIGN 5, Body source: what is left of a request that was answered has two seconds, however often an octet of it comes. */
static void bodies_that_nobody_waits_for(void **state)
{
	(void)state;
	struct h2_client *c = h2_connect();
	h2_say(c, "H1 POST /ready");
	assert_string_equal(h2_hear(c), "H1 200; D1 hello$");
	struct h2_conn *h2 = one_wire_newest()->state;
	struct h2_stream *s = container_of(h2->streams.next, struct h2_stream, link);
	for (int i = 0; i < 2; i++) {
		h2_say(c, "D1 x");
		assert_string_equal(h2_hear(c), "");
		s->progress -= 1100; /* time goes by */
	}
	h2->sweep.expired(&h2->sweep);
	assert_string_equal(h2_hear(c), "R1 0");
	h2_disconnect(c);
}

static void heads_that_do_not_come(void **state)
{
	(void)state;
	world.snapshot.core.limits.header_timeout = 300;
	awaits(h2_connect(), "H1$ GET /hold; H3$- GET /ready", "G3 11; closed");
	awaits(h2_connect(), "= 000005010500000001", "G1 11; closed");
	awaits(h2_connect_silent(), "= 505249202a20485454502f322e300d0a0d0a534d0d0a0d0a",
		"G0 11; closed");
}

static void idle_connections(void **state)
{
	(void)state;
	world.snapshot.core.limits.idle_timeout = 300;
	struct h2_client *c = served();
	h2_await(c, "G1 0; closed");
	h2_disconnect(c);
}

static void pings_and_halves_of_them_are_no_use(void **state)
{
	(void)state;
	world.snapshot.core.limits.idle_timeout = 300;
	struct h2_client *c = served();
	struct conn *conn = one_wire_newest();
	for (unsigned i = 0; i < 3;
		i++) { /* time goes by: it ends when that is over all the same */
		conn->idle_since -= 90;
		h2_say(c, i % 2 ? "= 31323334" : "P 12345678; = 00000806000000000031323334");
		assert_string_equal(h2_hear(c), "");
		assert_in_range(
			world.loop.clock.monotonic_ms - conn->idle_since, 90 * (i + 1), 3000);
	}
	awaits(c, "= 31323334", "G1 0; closed");
}

static void settings_that_nobody_acknowledges(void **state)
{
	(void)state; /* RFC 9113, 6.5.3 */
	for (int acknowledged = 0; acknowledged < 2; acknowledged++) {
		struct h2_client *c = h2_connect_silent();
		h2_say(c, "= 505249202a20485454502f322e300d0a0d0a534d0d0a0d0a; S ");
		h2_say(c, acknowledged ? "A; H1$ GET /hold" : "H1$ GET /hold");
		assert_string_equal(h2_hear(c), "");
		struct h2_conn *h2 = one_wire_newest()->state;
		h2->begun -= 400000;
		h2->sweep.expired(&h2->sweep);
		assert_string_equal(h2_hear(c), acknowledged ? "" : "G1 4; closed");
		h2_disconnect(c);
	}
}

static void drains(void **state)
{
	(void)state; /* RFC 9113, 6.8 */
	struct h2_client *c = h2_connect();
	h2_say(c, "H1 POST /echo; D1 x");
	assert_string_equal(h2_hear(c), "");
	wire_drain(world.wire);
	assert_string_equal(h2_hear_all(c), "G2147483647 0; P ");
	h2_say(c, "H3$ GET /ready; X 6 1 0 0000000000000000"); /* it was under way */
	assert_string_equal(h2_hear(c), "H3 200; G3 0; D3 hello$");
	h2_say(c, "H5$ GET /ready; D1$ y");
	assert_string_equal(h2_hear(c), "H1 200; D1 xy$; closed");
	h2_disconnect(c);
}

static void drains_what_does_not_answer(void **state)
{
	(void)state;
	struct h2_client *idle = served(), *busy = h2_connect();
	h2_say(busy, "H1 POST /echo; D1 x");
	h2_hear(busy);
	wire_drain(world.wire);
	h2_await(idle, "G2147483647 0; G1 0; closed");
	h2_await(busy, "G2147483647 0; G1 0");
	h2_say(busy, "D1$ y");
	assert_string_equal(h2_hear(busy), "H1 200; D1 xy$; closed");
	h2_disconnect(idle);
	h2_disconnect(busy);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, h2_set_up, h2_tear_down)
	const struct CMUnitTest tests[] = {
		CASE(resets),
		CASE(resets_that_are_provoked),
		CASE(floods),
		CASE(continuations),
		CASE(heads),
		CASE(cookies_in_many_crumbs_are_one_field),
		CASE(peers_that_do_not_read),
		CASE(peers_that_read_too_slowly),
		CASE(answers_behind_others),
		CASE(bodies_behind_others),
		CASE(bodies_that_do_not_come),
		CASE(bodies_are_given_their_time_and_no_more),
		CASE(bodies_that_nobody_waits_for),
		CASE(heads_that_do_not_come),
		CASE(idle_connections),
		CASE(pings_and_halves_of_them_are_no_use),
		CASE(settings_that_nobody_acknowledges),
		CASE(drains),
		CASE(drains_what_does_not_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
