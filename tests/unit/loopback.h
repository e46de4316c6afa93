/* SPDX-License-Identifier: BSD-2-Clause */
/* The loopback carrier (DESIGN 5): runs requests through a table of handlers with a real loop, I/O threads and watches, but
 * without sockets, and collects the answers. */
#ifndef WEIR_TESTS_LOOPBACK_H
#define WEIR_TESTS_LOOPBACK_H

#include "base/counters.h"
#include "http/exchange.h"
#include "io/disk.h"
#include "io/loop.h"
#include "io/watch.h"

struct loopback {
	struct loop loop;
	struct counters counters;
	struct exchange_thread thread;
	struct listener_settings listener;
	struct peer peer;
	struct snapshot *snapshot;
	struct explanation *explanation; /* of the requests to come; NULL: none */
	size_t quantum;                  /* of their answers: see below */
};

/* One request and what became of it. */
struct exchange_seen {
	struct request request;
	struct loopback *loopback;
	unsigned infos; /* interim answers */
	bool head, ended, aborted, finished;
	bool ready;          /* it was sent as a ready answer */
	unsigned file_spans; /* spans of files in the body */
	unsigned bodies;     /* calls of send_body that brought octets */
	size_t room;         /* what the carrier takes; 0 holds the answer back */
	size_t quantum; /* octets of files that it takes before it must be asked again; 0: any */
	struct buffer body;
};

/* Starts a thread's world for a configuration (YAML text; relative paths count from `folder`). `watching`: with inotify.
 * Fails the test when the configuration is refused. */
struct loopback *loopback_start(
	const struct handler *const *table, const char *yaml, const char *folder, bool watching);
void loopback_stop(struct loopback *loopback);

/* Begins a request: target in origin form, `fields` as lines "Name: value\n" or NULL. Host is "localhost" unless among the fields. */
struct exchange_seen *loopback_begin(
	struct loopback *loopback, const char *method, const char *target, const char *fields);
/* Turns the loop until the exchange has ended, at most 10 s. */
void loopback_await(struct exchange_seen *seen);
/* Turns the loop once without waiting for long. */
void loopback_turn(struct loopback *loopback);
/* Both in one. */
struct exchange_seen *loopback_ask(
	struct loopback *loopback, const char *method, const char *target, const char *fields);
/* The client goes away, whatever the state. */
void loopback_gone(struct exchange_seen *seen);
/* Forgets an exchange; one that has not ended is broken off. */
void loopback_free(struct exchange_seen *seen);

/* The value of a field of the answer, or NULL; valid until loopback_free. */
const char *loopback_field(struct exchange_seen *seen, const char *name);

#endif
