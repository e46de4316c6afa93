/* SPDX-License-Identifier: BSD-2-Clause */
/* A handler answers or passes: nothing else. Handlers, stages and observers stand in handlers/table.c, in order. */
#ifndef WEIR_HTTP_HANDLER_H
#define WEIR_HTTP_HANDLER_H

#include "http/request.h"

#define HANDLERS_MAX 32

struct stage_ops;

enum verdict {
	PASS,  /* nothing was begun: the next one is tried */
	TAKEN, /* it owes exactly one of: a response, a ready answer, exchange_pass later; maybe it has answered already */
};

/* What a worker is to reach on disk. */
enum grant {
	GRANT_ROOT,  /* must be readable; it is followed where it moves */
	GRANT_READ,  /* as far as the worker's account may */
	GRANT_WRITE, /* files are made there */
};

/* An absolute path, a folder or a file, with a NUL behind it. */
typedef void grant_fn(void *context, const char *path, enum grant grant);

struct handler {
	const char *name;
	const struct option_set *site_options; /* keys of sites and routes; NULL: none */
	const struct option_set *top_options;  /* keys of the file; NULL: none */
	/* Looks at a scope's settings after everything was read; may write to them. 1: takes part in the scope's chain,
	 * 0: does not, -1: after load_error. NULL: always takes part. */
	int (*configure)(struct load *load, struct snapshot *snapshot, const struct scope *scope,
		void *settings);
	/* Opens what must be open before the worker drops its rights, once a process. 0, or -1 after a message to the log. NULL: nothing. */
	int (*open)(const struct snapshot *snapshot);
	/* A thread's own state, kept in thread->state[index]. NULL functions: none. start: 0 or -1. */
	int (*thread_start)(struct exchange_thread *thread, void **state);
	void (*thread_stop)(struct exchange_thread *thread, void *state);
	/* The answer's way; NULL for those that only observe or stage. */
	enum verdict (*handle)(struct request *request);
	/* In place of `handle` where the request has an explanation and nothing may be sent: decides by the same functions, tells what it
	 * would do, sets explanation->elsewhere and holds the request. NULL: `handle` itself does no more than read. */
	enum verdict (*explain)(struct request *request);
	/* Asked for requests whose host no site of the listener has: like `handle`, but there are no site, scope and settings, and it neither
	 * answers nor tells why before it returns. What passes is a 421. NULL: passes. */
	enum verdict (*stray)(struct request *request);
	/* Offers a stage for an answer that is about to be sent; NULL: none. See stage.h. */
	const struct stage_ops *stage;
	/* Called once when the exchange has ended; the request is still whole. NULL: does not observe. */
	void (*observe)(struct request *request);
	/* Names what the handler has to reach on disk once the worker has locked itself in: calls `add` for each path (of a root the
	 * sandbox grants the folder that holds its link and the one that holds its target). NULL: nothing. */
	void (*grant)(const struct snapshot *snapshot, grant_fn *add, void *context);
};

/* What everything on one loop thread shares; made by process/thread, all zero but for what that sets, then exchange_thread_prepare. */
struct exchange_thread {
	const struct handler *const *
		table; /* all handlers in the order of every chain, ended by NULL: handlers/table.c, or a test's */
	struct loop *loop; /* see io/loop.h */
	const struct clock *clock;
	const struct snapshot *snapshot;
	struct counters *counters;
	struct ledger *ledger;     /* base/ledger.h: counters of sites and upstreams; NULL: none */
	struct ledger_line *lines; /* this thread's in it */
	unsigned place;            /* of its worker in it */
	struct disk *disk;         /* see io/disk.h; NULL: it ends, and so does the process */
	struct watch *watch;       /* see io/watch.h; NULL: check files by time */
	struct tls_thread *tls;    /* see io/tls.h; NULL: nobody listens for https */
	struct sniffer *sniffer;   /* see sniffer.h; NULL: types come from names alone */
	struct line_log *access;   /* base/line_log.h: the access log, queue `index`; NULL: off */
	unsigned index;            /* among `threads` of the worker */
	unsigned threads;
	/* Octets that the process may have: the machine's, or less by its control groups; 0: not known. */
	uint64_t memory;
	bool draining; /* answers say Connection: close */
	bool quiet; /* nothing may be sent to anybody, not even the question for a name: weir explain */
	void *state[HANDLERS_MAX]; /* of handlers, by their index in the table */
	/* Sorted out of the table by exchange_thread_prepare; ended by NULL. */
	void (*observers[16])(struct request *request);
	const struct stage_ops *stages[16];
};

/* The thread state of a handler. */
void *handler_state(const struct exchange_thread *thread, const struct handler *handler);
/* The settings of a handler in the request's scope. */
const void *handler_settings(const struct request *request, const struct handler *handler);
const void *handler_scope_settings(
	const struct snapshot *snapshot, const struct scope *scope, const struct handler *handler);

#endif
