/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/2 (RFC 9113) by nghttp2, wrapped once: octets in, frames out into a queue; no I/O. Who owns a session is told of header sections, data
 * and ends of streams, and keeps what waits to be sent on each. Both roles: a server takes requests, a client begins streams for its own and refuses
 * pushes. What messages mean is the owner's to judge, but for the order in which an answer's sections and data come, and its :status. */
#ifndef WEIR_HTTP_H2_SESSION_H
#define WEIR_HTTP_H2_SESSION_H

#include "base/chunk.h"
#include "base/list.h"
#include "http/field.h"
#include "http/h2_frame.h"
#include "http/priority.h"

#define H2_INTERIM_MOST 32 /* interim answers to one request */

/* What a header section of an answer was. */
enum h2_section { H2_SECTION_NONE, H2_SECTION_INTERIM, H2_SECTION_HEAD, H2_SECTION_TRAILERS };

/* One stream as the session knows it: stands in the owner's own. All zero begins. */
struct h2_part {
	int32_t id;
	struct chunks out; /* of the body: what waits to be framed */
	const struct fields *trailers;
	bool out_end; /* the body is whole with these, and the trailers */
	bool idle;    /* nothing was there to be sent: h2_session_resume */
	bool ended;   /* END_STREAM has come */
	bool stale;   /* a file in `out` became another version: the stream was reset */
	bool sent;    /* END_STREAM was framed */
	char status[4];
	char length[20];
	/* of a request in the client's role */
	enum h2_section section; /* the last that came, or comes */
	uint16_t answer;         /* its status, 100 to 599, or that of the head before trailers */
	uint8_t interim;         /* interim answers that came */
	bool fields_begun;       /* of the section that comes */
	bool given_up;           /* it was not sent, and will not be */
	enum h2_code fault;      /* what the stream was reset with by the session */
	struct link queued;      /* nothing of it was framed */
};

/* None of them may free the session, or send. */
struct h2_events {
	/* A frame's head has come. A code other than H2_NO_ERROR ends the connection with it. */
	enum h2_code (*frame)(void *owner, const struct h2_frame_head *head);
	/* DATA came without octets of content, whatever its padding, that ended no stream. Likewise. */
	enum h2_code (*hollow)(void *owner);
	/* The peer sets INITIAL_WINDOW_SIZE: may it, by h2_session_window_fits of each stream? Likewise. */
	enum h2_code (*window)(void *owner, uint32_t size);
	/* Server: a header section begins on a new stream. NULL: refused. */
	struct h2_part *(*open)(void *owner, int32_t id);
	/* Server: a stream was refused: the peer has begun more than it may. */
	void (*refused)(void *owner);
	/* One of its fields, or of its trailers: octets as they came, nothing is checked. `lasting`: the name stays where it is for ever.
	 * Client: pseudo-fields are not told; part->answer has the status. Whether trailers or a head, also an interim one: part->section,
	 * which is H2_SECTION_TRAILERS or not before the section is whole. */
	void (*field)(struct h2_part *part, struct slice name, struct slice value, bool lasting);
	/* The section is whole; part->ended says whether anything follows. Client: part->section and part->answer say what it was. */
	void (*section)(struct h2_part *part);
	/* Octets of the body; each is to be given back by h2_session_consume. */
	void (*data)(struct h2_part *part, const char *bytes, size_t length);
	/* The body is whole: END_STREAM came with DATA. */
	void (*end)(struct h2_part *part);
	/* Some of part->out was framed (as much as the windows allow: more may be there), or nothing was there (part->idle), or it is whole. */
	void (*framed)(struct h2_part *part, uint64_t length);
	/* The stream is over; the session forgets the part. `by_peer`: it was reset by the peer, or not taken by its GOAWAY.
	 * Client: H2_NO_ERROR and part->ended: the answer is whole, even where not all of the request was sent. H2_REFUSED_STREAM, and no head came:
	 * the server has done nothing with it, it may be repeated (RFC 9113, 8.7). */
	void (*closed)(struct h2_part *part, enum h2_code code, bool by_peer);
	/* An answer to a ping of ours. */
	void (*pong)(void *owner);
	/* Client: the server ends. No request is taken any more; those on streams above `last` were not: each is closed with H2_REFUSED_STREAM.
	 * It may come again, with a lower `last`. */
	void (*goaway)(void *owner, int32_t last, enum h2_code code);
	/* Client: the server's SETTINGS came: h2_session_room and h2_session_takes_protocol may say something else. */
	void (*settings)(void *owner);
};

struct h2_limits {
	uint32_t streams;     /* at a time: that the peer may begin; client: that are begun here */
	uint32_t header_list; /* announced; the owner counts */
	uint32_t
		window; /* of a stream: octets that may come before some are consumed; 65535 until the peer acknowledges */
	uint32_t connection_window;
	uint32_t table; /* HPACK's, of each direction */
};

struct h2_session;

/* The version of nghttp2, for --version. */
const char *h2_session_library(void);

struct h2_session *h2_session_server(
	const struct h2_events *events, void *owner, const struct h2_limits *limits);
/* The preface is sent by the first h2_session_send; requests may be made before the server has said anything. */
struct h2_session *h2_session_client(
	const struct h2_events *events, void *owner, const struct h2_limits *limits);
/* Streams that are not closed yet are forgotten without a word. */
void h2_session_free(struct h2_session *session);

/* Takes octets that came, of a client's the preface first. 0, or -1: the connection is over as soon as what is to be sent (GOAWAY) has left. */
int h2_session_receive(struct h2_session *session, const char *bytes, size_t length);
/* Appends frames to `out` until `memory` octets of memory or `file` octets of files stand there, or there is nothing to be sent. False:
 * there was nothing. */
bool h2_session_send(
	struct h2_session *session, struct chunks *out, uint64_t memory, uint64_t file);
/* Nothing more will be sent or read. */
bool h2_session_over(const struct h2_session *session);
/* Is it in the middle of a frame, or of a header section? Of a header section? */
bool h2_session_amid(const struct h2_session *session);
bool h2_session_in_head(const struct h2_session *session);

/* --- Requests, in the client's role. --- */

/* How many may be made now: what the server takes at a time (100, until it has said so) and limits->streams, less those that are not closed, and
 * ids that are left. */
uint32_t h2_session_room(const struct h2_session *session);
/* Will there never be room again? A GOAWAY came or was sent, or all ids were used. */
bool h2_session_spent(const struct h2_session *session);
/* Does the server take requests with :protocol (RFC 8441)? */
bool h2_session_takes_protocol(const struct h2_session *session);

/* Names in lower case, without connection-specific ones; all stays where it is until the stream is closed. */
struct h2_request {
	struct slice method, scheme, authority, path, protocol; /* empty: not said */
	const struct fields *fields;                            /* NULL: none */
	uint64_t length; /* of the body; LENGTH_UNKNOWN: not said */
	bool end;        /* no body follows; otherwise part->out is sent */
};

/* Begins a stream; may be called from events. What the part held is lost. 0, or -1: there is no room, or the server does not take :protocol; the
 * part is as it was. It is sent in the order in which it was made; where the server then takes fewer at a time, it waits. */
int h2_session_request(
	struct h2_session *session, struct h2_part *part, const struct h2_request *request);

/* --- Answers, in the server's role. --- */

/* The head of an answer: names in lower case, without connection-specific ones. Fields and date (29 octets; NULL: none) stay where they are until
 * the stream is closed. `length` LENGTH_UNKNOWN: not said. `end`: no body follows; otherwise part->out is sent. */
void h2_session_respond(struct h2_session *session, struct h2_part *part, unsigned status,
	const char *date, const struct fields *fields, uint64_t length, bool end);
/* An interim answer; the fields are copied. */
void h2_session_inform(struct h2_session *session, struct h2_part *part, unsigned status,
	const struct fields *fields);
/* Its place among others. `ours`: what the peer says later does not count. */
void h2_session_prioritize(struct h2_session *session, struct h2_part *part,
	const struct priority *priority, bool ours);

/* --- Of a stream. --- */

/* Would its window stay within what windows may have, if INITIAL_WINDOW_SIZE were `size`? */
bool h2_session_window_fits(
	const struct h2_session *session, const struct h2_part *part, uint32_t size);
/* May octets of its body be sent, as far as its own window goes? */
bool h2_session_window_open(const struct h2_session *session, const struct h2_part *part);
/* There is something in part->out, or it is whole. */
void h2_session_resume(struct h2_session *session, struct h2_part *part);
/* `closed` is told by h2_session_send. */
void h2_session_reset(struct h2_session *session, struct h2_part *part, enum h2_code code);
/* Gives octets back to the peer's window; part NULL: to the connection's only. */
void h2_session_consume(struct h2_session *session, struct h2_part *part, size_t length);

/* The stream's window is smaller from here on. The difference is the owner's not to give back. Not before the peer has acknowledged our SETTINGS. */
void h2_session_narrow(struct h2_session *session, const struct h2_part *part, uint32_t window);
/* It is larger again. Octets that the owner did not give back for it, because it was to be smaller, are now: `length`. */
void h2_session_widen(
	struct h2_session *session, const struct h2_part *part, uint32_t window, size_t length);

/* --- Of the connection. --- */

/* It ends with a GOAWAY. */
void h2_session_end(struct h2_session *session, enum h2_code code);
/* Server: says that it is going to end (GOAWAY with the highest id), and asks for a sign of life, whose answer is `pong`. */
void h2_session_announce_end(struct h2_session *session);
/* Says which of the peer's streams are still served; no other is. Client: none is, and no request is made any more; it is over when those under way
 * have ended. */
void h2_session_end_gently(struct h2_session *session);

#endif
