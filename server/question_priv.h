/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the files of weir explain. */
#ifndef WEIR_QUESTION_PRIV_H
#define WEIR_QUESTION_PRIV_H

#include "http/explain.h"
#include "question.h"
#include "settings/snapshot.h"

struct tls_store;

/* A question as it is understood. In an arena, but for the head. */
struct asked {
	enum scheme scheme;
	struct slice host;   /* of the URL, lower case, without port: what is connected to */
	int port;            /* with the scheme's own where there is none */
	struct slice target; /* path and query, as written */
	struct address from;
	struct buffer head; /* the request as HTTP/1.1 has it; buffer_free */
};

/* Reads URL, method, fields and address. 0, or -1 after a message to standard error. */
int question_read(const struct question *question, struct arena *arena, struct asked *asked);

/* The listener that a client of the URL reaches, which is told. Where there is none, one that has the sites of all. `host`: what the request
 * says, by which one of several is preferred. In the arena, or the snapshot's. */
const struct listener_settings *question_listener(const struct snapshot *snapshot,
	const struct asked *asked, struct slice host, struct arena *arena, struct explanation *e);

/* The rules by which the listener's handshake would be judged, for the name of the URL; and which certificate is shown: both are told. NULL: in
 * clear, or nobody listens. */
const struct tls_settings *question_tls(const struct tls_store *store,
	const struct snapshot *snapshot, const struct listener_settings *listener,
	const struct asked *asked, struct explanation *e);

#endif
