/* SPDX-License-Identifier: BSD-2-Clause */
/* One request, the same for every version of HTTP, with the answer that becomes of it. Embedded in the carrier's own stream.
 * Handlers read the fields; they write through functions of exchange.h and respond.h, but for `response` before it is sent. */
#ifndef WEIR_HTTP_REQUEST_H
#define WEIR_HTTP_REQUEST_H

#include "base/arena.h"
#include "base/log.h"
#include "http/end.h"
#include "http/field.h"
#include "http/source.h"
#include "http/target.h"
#include "settings/snapshot.h"

struct carrier_ops;
struct exchange_thread;
struct explanation;
struct handler;
struct ready;
struct stage;
struct tls_settings;
struct trail;

#define LENGTH_UNKNOWN UINT64_MAX

/* What is known of the client's connection; lives as long as the connection. */
struct peer {
	const struct address *address;            /* of whoever is at its other end */
	const struct listener_settings *listener; /* NULL on internal carriers */
	uint64_t connection;                      /* its number */
	enum scheme scheme;
	const char *transport; /* "http", "tls1.3": for logs */
	const struct tls_settings *
		tls; /* the rules that its handshake was judged by (settings/tls.h); NULL in clear */
	bool tls_newest;                 /* it is TLS 1.3 */
	struct slice client_certificate; /* of a client that was verified: DER; empty: none */
	struct slice client_subject;     /* of it, by RFC 4514 */
};

/* The head of an answer. */
struct response {
	unsigned status; /* 0: none yet */
	struct fields
		fields; /* without Connection, Content-Length, Transfer-Encoding: the carrier writes these, and Date where there is none */
	uint64_t
		length; /* of the body that follows; LENGTH_UNKNOWN: by framing. For HEAD and 304: what GET would have had */
	struct slice reason; /* of a backend; empty: the usual one */
	struct slice
		upgrade; /* of 101: what is spoken from here on; else what might be. Empty: nothing. HTTP/1.1 alone can say it */
};

/* Where an exchange stands. Input: what was read of the request's body. Output: what was given to the carrier. */
enum exchange_input { INPUT_BODY, INPUT_DONE };
enum exchange_output { OUTPUT_WAITING, OUTPUT_HEAD, OUTPUT_BODY, OUTPUT_DONE };

/* What a backend had to do with it, for logs; filled by whoever asks it. Times are the clock's, 0: it did not come to that. */
struct backend_seen {
	struct slice upstream; /* its name */
	struct slice
		server; /* the one that was asked last: its address, or its name where it had none */
	uint64_t connected_us; /* when there was a connection, new or kept */
	uint64_t answered_us;  /* when the first octet of its answer came */
};

struct request {
	const struct carrier_ops *carrier;
	struct exchange_thread *thread;
	const struct peer *peer;
	struct arena arena;
	struct explanation *
		explanation; /* where it is told why; NULL: nobody asks, it is served. See explain.h */

	/* The request's head; set by the carrier before exchange_begin. */
	enum method method;
	struct slice method_name;
	struct slice method_text, target_text; /* as they came, whatever becomes of it: for logs */
	struct target target;
	struct slice host;    /* lower case, no port; empty in HTTP/1.0 without Host */
	int port;             /* of Host; -1: none */
	uint8_t major, minor; /* version of the client's message */
	struct fields fields;
	uint64_t length; /* of the body: 0, a number, or LENGTH_UNKNOWN */
	struct source *
		body; /* NULL: there is none (any more). Whoever takes it cancels it; else the carrier does */
	unsigned
		body_fault; /* after FAILED of the body: the status to answer with (400, 408, 413, 431); 0: the client is gone */
	bool expect_continue; /* the first pull of the body sends 100, unless the proxy clears this */
	struct slice
		upgrade; /* Upgrade's list, or extended CONNECT's protocol: both bodies go on unframed after the accepting head */
	uint32_t number; /* in its connection, from 1 */
	uint64_t begun_us; /* clock's monotonic time when the head was whole */

	/* Judged by exchange_begin. */
	const struct address *
		client; /* who asks, as policy and logs see it: the peer, or whom trusted proxies name */
	const struct trail *
		trail; /* what trusted proxies say of its way, see client.h; NULL: nothing is believed */
	const struct site *site;
	const struct scope *scope;
	struct slice route; /* the pattern of the route, or empty: for logs */

	/* The answer. */
	struct response response;
	enum exchange_input input;
	enum exchange_output output;
	enum exchange_end end;
	uint64_t sent;          /* octets of body handed to the carrier */
	uint64_t received;      /* octets of the request's body, or of a tunnel, that were read */
	const char *handled_by; /* name of the handler that answered: for logs */
	struct backend_seen backend;

	/* exchange's own. */
	struct {
		const struct handler *const *chain;      /* what is tried next */
		void (*cancel)(struct request *request); /* of the handler that took it */
		void *state;                             /* likewise: see request_state */
		struct source *source;                   /* of the answer's body */
		struct stage *stages;                    /* in the order of their ranks */
		struct ready *
			ready; /* the answer, when it stood ready: its fields are there; held until the end */
		unsigned reroutes;
		struct slice vary; /* fields that chose who answers; empty: none did */
		unsigned status;   /* the status to keep when an error page is answered; 0: none */
		bool pumping, again, paused;
		unsigned
			allow; /* methods, as bits 1 << METHOD_…, of a resource that exists: for 405 */
	} x;
};

#endif
