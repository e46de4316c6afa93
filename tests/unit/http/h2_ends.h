/* SPDX-License-Identifier: BSD-2-Clause */
/* The owner of a session, of either role, for tests: what it is told becomes text, and octets go from one to another through memory. */
#ifndef WEIR_TESTS_H2_ENDS_H
#define WEIR_TESTS_H2_ENDS_H

#include "base/bytes.h"
#include "http/h2_session.h"
#include "http/request.h"

#define END_STREAMS 128
#define END_WINDOW  1000
#define END_WINDOWS 100000

struct end_stream {
	struct h2_part part;
	struct h2_end *end;
	struct buffer got; /* of the body */
	bool closed;
	enum h2_code code;
};

struct h2_end {
	struct h2_session *session;
	struct end_stream streams[END_STREAMS]; /* a server's: by half of their ids */
	bool holds;                             /* what came is not consumed */
	bool refuses;                           /* new streams */
	bool over;                              /* receive has said so */
	unsigned frames;                        /* that came */
	uint32_t window;                        /* told to `window` last */
	char seen[8192];
	size_t length;
};

/* `streams`: at a time. */
struct h2_end *end_client(uint32_t streams);
struct h2_end *end_server(uint32_t streams);
void end_free(struct h2_end *end);
/* What was seen since this was asked last. */
const char *end_seen(struct h2_end *end);
/* A server's. */
struct end_stream *end_stream(struct h2_end *server, int32_t id);

/* Frames that wait go to the other, in pieces. True: there were some. */
bool end_pass(struct h2_end *from, struct h2_end *to, size_t piece);
/* Both, until nobody has anything to say. */
void end_talk(struct h2_end *one, struct h2_end *other);
/* What waits to be sent, as text: "HEADERS 1$;" and so on; RST_STREAM and GOAWAY with their codes. */
const char *end_sends(struct h2_end *end);

/* A request without a body; or with one, which is to follow. NULL: refused. */
struct end_stream *end_get(struct h2_end *client, const struct fields *fields);
struct end_stream *end_post(struct h2_end *client, uint64_t length);
/* CONNECT with :protocol. */
struct end_stream *end_connect(struct h2_end *client, const char *protocol);
/* The next octets of the body, and whether it is whole. They stay where they are. */
void end_write(
	struct h2_end *end, struct end_stream *stream, const char *bytes, size_t length, bool last);
void end_respond(struct h2_end *server, struct end_stream *stream, unsigned status, bool last);

#endif
