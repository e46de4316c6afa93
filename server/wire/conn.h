/* SPDX-License-Identifier: BSD-2-Clause */
/* One connection of a client: its transport, input and output queues, watcher and deadline. What the bytes mean is its
 * protocol's business (h1.h). */
#ifndef WEIR_WIRE_CONN_H
#define WEIR_WIRE_CONN_H

#include <netinet/in.h>

#include "base/chunk.h"
#include "io/loop.h"
#include "io/tls.h"
#include "io/transport.h"
#include "wire/wire.h"

#define CONN_HIGH_WATER                                                                            \
	(64 * 1024) /* bytes of memory that wait for the peer before its source is held back */
#define CONN_TURN                                                                                  \
	(512 * 1024) /* bytes that one connection sends before others have their turn; a whole quantum of a file ends it as well */
#define CONN_ROUND                                                                                 \
	(16 * 1024) /* what a look at the protocol costs of it: many small answers are work, too */
#define CONN_READ_MOST                                                                             \
	(64 * 1024) /* what one read takes: so much a connection may be left with of requests to come */
#define CONN_READ_BLOCK     (16 * 1024) /* what is read at once into memory of the connection's own */
#define CONN_RATE_WINDOW_MS 10000       /* the span of time that the least rate is judged by */
#define CONN_ACKS_MS                                                                               \
	250 /* what the peer has acknowledged is asked behind so long a wait, as most have taken all by then */
#define CONN_LINGER_MS 2000 /* how long a closed connection is still read from */
#define CONN_SIGN_MS   2000 /* how long nobody asks whether a peer is there */
#define CONN_LINGER_MAX                                                                            \
	(64 * 1024 * 1024) /* and how much: a reset would take the answer from a fast sender */

struct conn;
struct conn_cold;

/* What a connection waits for; each has a deadline of its own. */
enum conn_wait {
	CONN_WAIT_NONE,      /* for somebody else than the client: no deadline here */
	CONN_WAIT_HANDSHAKE, /* of the transport, all of it in one span of time */
	CONN_WAIT_IDLE,      /* the next request */
	CONN_WAIT_HEAD,      /* the rest of a head, all of it in one span of time */
	CONN_WAIT_BODY,      /* octets of a body that there is room for; has a least rate */
	CONN_WAIT_SEND,      /* the peer's taking what is sent; has a least rate */
	CONN_WAIT_LINGER,    /* the peer's closing */
	CONN_WAIT_SIGN,      /* whether a peer that has ended its half is there still */
};

/* Whether changes on disk that came before the octets now looked at are known. The loop has heard of all that came before what woke it,
 * and a read may bring more than that. */
enum conn_news {
	CONN_NEWS_LATE,  /* perhaps not */
	CONN_NEWS_KNOWN, /* those before the first octet of the last read */
	CONN_NEWS_HEARD, /* those before all of it */
};

/* What a version of HTTP does on a connection. None of these frees the connection: conn_break and conn_close mark it. */
struct protocol {
	const char *name;
	/* There may be something to read: calls conn_read or conn_input_read. */
	void (*readable)(struct conn *c);
	/* What was queued left, or somebody used the connection from elsewhere: goes on with what is next. True: something was
	 * done, look again. */
	bool (*settle)(struct conn *c);
	/* What is waited for now; asked when everything has settled. CONN_WAIT_SEND is for it to say, too. */
	enum conn_wait (*wait)(const struct conn *c);
	/* The deadline of that was missed (or the least rate). */
	void (*expired)(struct conn *c, enum conn_wait wait);
	/* The wire drains: what is under way is to be the last. NULL: answers say so, and an idle connection is closed. */
	void (*drain)(struct conn *c);
	/* The transport is dead: ends what is under way. */
	void (*gone)(struct conn *c, enum exchange_end why);
};

/* Memory of an idle connection: this struct and nothing else. */
struct conn {
	ev_io watch;
	struct transport transport;
	struct task task;
	struct deadline deadline;
	struct link link; /* in the wire */
	struct wire *wire;
	const struct protocol *protocol;
	void *state; /* the protocol's: NULL while idle */
	const struct listener_settings *listener;
	struct chunks out;
	struct conn_cold *cold; /* pages that an I/O thread reads for the queue's first span */
	struct chunk_block
		*input; /* what was read and not yet used: from input_start to input->used */
	uint32_t input_start;
	uint32_t head_seen; /* h1: how far the end of the head was looked for */
	uint64_t number;
	uint32_t requests;
	uint32_t progress;    /* last octet that moved, in ms of the loop's clock (wraps) */
	uint32_t window;      /* begin of the span in which the rate is counted, likewise */
	uint32_t rate_bytes;  /* in that span */
	uint32_t acked;       /* what the peer has taken, when that was looked at last */
	uint32_t idle_since;  /* when something was under way last, likewise in ms */
	uint32_t idle_after;  /* requests, of which that was the last */
	uint32_t file_turn;   /* of the loop, in which octets of a file were sent last */
	uint8_t told_in_vain; /* of room, since somebody waited for that */
	uint8_t wait;         /* enum conn_wait */
	bool entered; /* inside of one of this connection's own callbacks: settling comes at their end */
	bool more;         /* what is queued is not the end of the answer's body */
	bool blocked;      /* the kernel takes no more just now */
	bool room_watched; /* the loop tells when it does: see loop_watch_room */
	bool reading_paused;
	bool read_full; /* the last read filled its buffer: more is likely there */
	bool woken;     /* an event tells of what is read next */
	uint8_t news;   /* enum conn_news */
	bool peer_eof;
	bool closing; /* close when the queue is empty */
	bool linger;  /* and then read on for a while */
	bool lingering;
	bool broken;     /* to be ended at the end of the callback */
	bool reset;      /* the peer is to see a reset */
	bool told;       /* broken, but the peer was told why */
	bool dead;       /* ended; memory goes in the next turn */
	bool acks_stale; /* that was before it was waited for */
	bool too_slow;   /* the least rate was missed, not the time between two octets */
	uint8_t fault;   /* enum exchange_end: why it was broken, where that was not the client */
	struct sockaddr_in6 peer; /* or sockaddr_in; family AF_UNIX: nothing is known */
};

/* Not all that was queued has reached the kernel. */
static inline bool conn_unsent(const struct conn *c)
{
	return !chunks_empty(&c->out) || c->transport.unsent;
}
/* What TLS has made of the client; NULL in clear. */
static inline const struct tls_facts *conn_tls(const struct conn *c)
{
	return c->listener->scheme == SCHEME_HTTPS ? tls_facts(&c->transport) : NULL;
}

/* Begins a connection whose transport is set: reads at once, for clients speak first. */
void conn_start(struct conn *c);
/* Ends it at once, from outside of its callbacks; what is under way ends with `why`. */
void conn_cut(struct conn *c, enum exchange_end why);

/* Reads into the loop's scratch: > 0 octets, else IO_AGAIN, IO_EOF (peer_eof is set) or IO_ERROR (broken is set). */
ssize_t conn_read(struct conn *c, char **bytes);
/* Reads behind what waits in the input block, making one where there is none. Likewise. 0 room: IO_AGAIN and reading pauses. */
ssize_t conn_input_read(struct conn *c, size_t limit);
/* What waits in the input block. */
static inline struct slice conn_input(const struct conn *c)
{
	return c->input ? (struct slice){c->input->bytes + c->input_start,
				  c->input->used - c->input_start}
			: (struct slice){NULL, 0};
}
/* Drops octets from its front; an empty block is given back. */
void conn_input_consume(struct conn *c, size_t length);
/* Keeps octets of the scratch as input. */
void conn_input_keep(struct conn *c, const char *bytes, size_t length);

/* What was looked at of the last read is not the begin of a request: what follows may be younger than what is known of the disk. */
static inline void conn_passed(struct conn *c)
{
	if (c->news == CONN_NEWS_KNOWN)
		c->news = CONN_NEWS_LATE;
}
/* A request begins: it sees what changed on disk before it was sent (DESIGN, 3). A system call for one that does not stand first in what
 * was read, or was read without an event; one for all of a read. */
void conn_hear(struct conn *c);

/* Reads no more until conn_resume. */
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);

/* Something was queued or changed: it settles at the end of the present callback, or of the loop's turn. */
void conn_touch(struct conn *c);
/* How many more octets of memory may be queued. */
size_t conn_room(const struct conn *c);
/* Closes when all is sent; `linger`: the peer may still be sending. */
void conn_close(struct conn *c, bool linger);
/* Says that nothing more is written; a result of the transport's. What is held back of it leaves by itself. */
int conn_finish(struct conn *c);
/* Ends it as soon as the present callback is over. */
void conn_break(struct conn *c, bool reset);

#endif
