/* SPDX-License-Identifier: BSD-2-Clause */
/* A wire with handlers of the test's own, and a client of HTTP/2 that says frames as they are written down, however wrong they are. */
#ifndef WEIR_TESTS_UNIT_WIRE_H2_STAGE_H
#define WEIR_TESTS_UNIT_WIRE_H2_STAGE_H

#include "http/respond.h"
#include "one_wire.h"
#include "wire/h2_stream.h"

struct h2_stage {
	unsigned observed;                     /* exchanges that have ended */
	enum exchange_end end;                 /* how the last one did */
	unsigned under_way;                    /* held by the handler of /hold */
	char path[64], host[64], fields[1024]; /* of the last request: fields as "Name: value|…" */
	uint64_t sent, received;
	struct request *held; /* of /hold */
};
extern struct h2_stage stage;

int h2_set_up(void **state);
int h2_tear_down(void **state);

struct h2_client;
/* A connection on which nothing was said yet, or the preface, SETTINGS and their answers. */
struct h2_client *h2_connect_silent(void);
struct h2_client *h2_connect(void);
void h2_disconnect(struct h2_client *client);

/* Says frames, separated by ";":
 *   H1$ GET /path a: b|c: d     HEADERS of a request, with END_STREAM where there is $, without END_HEADERS where there is -
 *   h1$ a: b|c: d               HEADERS with exactly these fields
 *   C1 a: b                     CONTINUATION
 *   D1$ text, D1 *500           DATA, or so many octets of it
 *   R1 8, W1 5, P 8octets, S 4=1,3=7, A (ack of SETTINGS), G1 0, Q1 3 (PRIORITY, on 3), U1 u=1 (PRIORITY_UPDATE)
 *   X type flags stream hex     any frame
 *   = hex                       any octets */
void h2_say(struct h2_client *client, const char *frames);
/* What it said since the last call, once it has nothing more to say, as "H1 200; D1 hello$; R1 8; G1 0; closed". Only with `all`: SETTINGS, PING,
 * WINDOW_UPDATE. Valid until the next call. */
const char *h2_hear(struct h2_client *client);
const char *h2_hear_all(struct h2_client *client);
/* A new connection: what is said, what must be heard, whatever the pieces are in which octets come. */
void h2_expect(const char *frames, const char *answer);
/* Likewise, with time passing until that is heard. */
void h2_await(struct h2_client *client, const char *answer);
/* A field of the last head that was heard; "" where there was none. */
const char *h2_field(struct h2_client *client, const char *name);

#endif
