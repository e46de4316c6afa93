/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/2 on a client's connection (RFC 9113): many streams, each the carrier of an exchange. Frames of many streams leave together, once
 * a turn of the loop. */
#ifndef WEIR_WIRE_H2_H
#define WEIR_WIRE_H2_H

#include "http/h2_session.h"
#include "wire/conn.h"
#include "wire/h2_guard.h"

#define H2_STREAMS      128          /* at a time */
#define H2_WINDOW       (256 * 1024) /* of a stream: what its consumer may leave waiting */
#define H2_BODIES       32           /* more of a thread at a time are allowed less each */
#define H2_BODIES_SPARE 8 /* so many fewer than were too many: then they are allowed more again */
#define H2_WINDOWS      (1024 * 1024) /* of all streams of a connection together */
#define H2_STREAM_HIGH                                                                             \
	(64 * 1024) /* octets of memory that wait on one stream before its source is held back */
#define H2_QUEUED_HIGH                                                                             \
	(512 * 1024) /* and on all of a connection: more than a little waits nowhere then */
#define H2_QUEUED_LITTLE (16 * 1024)
#define H2_FILES_HIGH                                                                              \
	(256 * 1024) /* octets of files that are queued at once: what is more urgent waits behind them */
#define H2_TABLE 4096

extern const struct protocol h2_protocol;

/* Bodies of one direction, on all of the connection. */
struct h2_flow {
	uint64_t octets; /* that went, or came, since the last sweep */
	bool enough; /* at that one they were as many as the least rate wants of all that wait for their peer: who gets none waits for the others */
};

struct h2_conn {
	struct conn *conn;
	struct h2_session *session;
	struct peer peer;
	struct address address;
	struct link streams; /* all */
	struct link hungry;  /* those whose queue has room again */
	struct link fed;     /* those of whose body something came in the present read */
	struct link
		whole; /* those whose last octet stands in the connection's queue: in this order */
	uint64_t queued; /* octets that were ever put into the connection's queue */
	uint64_t
		standing; /* octets in that queue before the present frames, which `queued` does not count yet */
	uint64_t waiting;      /* octets of memory in the queues of streams */
	struct deadline sweep; /* looks at streams that wait for the peer, each for itself */
	struct h2_flow answers, requests;
	struct h2_guard guard;
	uint32_t begun;     /* when it began, in ms of the loop's clock */
	uint32_t judged;    /* when its flows were, likewise */
	uint32_t announced; /* when a drain began, likewise */
	uint32_t
		block_begun; /* when a header section that is not whole was seen first; 0: none is */
	bool settled;        /* the peer has acknowledged our settings */
	enum { H2_SERVING, H2_ANNOUNCED, H2_ENDING } drain;
};

/* The connection speaks HTTP/2 from here on; nothing was read yet (ALPN said so). */
void h2_start(struct conn *c);
/* Likewise, when something was: octets that begin with the preface. */
void h2_start_with(struct conn *c, const char *bytes, size_t length);

/* Could these octets, the first of a connection, be HTTP/2's preface? */
enum h2_claim { H2_NOT, H2_MAYBE, H2_SURELY };
enum h2_claim h2_claims(struct slice octets);

#endif
