/* SPDX-License-Identifier: BSD-2-Clause */
/* A worker's start, for the files that it is made of. */
#ifndef WEIR_PROCESS_WORKER_PRIV_H
#define WEIR_PROCESS_WORKER_PRIV_H

#include <time.h>

#include "io/tls.h"
#include "process/channel.h"
#include "process/privilege.h"
#include "process/renewed.h"
#include "process/sandbox.h"
#include "process/thread.h"
#include "process/worker.h"

/* The numbers of its registered files; those of certificates follow. */
enum { WORKER_ERROR_LOG, WORKER_ACCESS_LOG, WORKER_FILE_COUNT };

/* Milliseconds of a clock that is never set. */
uint64_t worker_now(void);

struct certificates;
struct following;
struct renewal;
struct renewing;

/* A helper of the worker: its ends, which keep their numbers when it is started again. */
struct worker_helper {
	int *ends;
	unsigned count; /* 0: none was asked for */
	unsigned taken; /* of the new ones, after a restart */
	/* A new end, about to take the place of another; may be NULL. The whole set is there after the last one. */
	void (*renewed)(void *context, unsigned index, int fd);
	void *context;
};

struct worker {
	const struct program *program;
	struct channel_hello hello;
	char *file;
	struct snapshot *snapshot;
	int files
		[WORKER_FILE_COUNT]; /* descriptors that keep their number when a log is opened anew; -1: none */
	struct account account;
	struct grants grants;
	struct grants roots; /* what the handlers named: looked at with the worker's rights */
	struct following *following; /* of the roots, on a thread; NULL: it is not needed */
	struct crew crew;
	int mounts;                        /* /proc/self/mountinfo; -1: there is none */
	struct tls_keys *keys;             /* who holds private keys */
	struct renewing *renewing;         /* of certificates, on a thread; NULL: there are none */
	struct renewal *renewal;           /* likewise: that thread's, as all up to expiry_told */
	struct slice kept;                 /* what was renewed before a crash: mapped */
	struct renewed newer;              /* in that */
	struct certificates *certificates; /* what is known of them, for `weir status` */
	time_t expiry_told;                /* when the log was told last of those that expire */
	unsigned char tickets[TLS_MASTER_SIZE];
	struct worker_helper helpers[HELPER_KINDS];
	int acme_plan;       /* what its helper is told; -1: nothing */
	bool acme_over;      /* the next worker's does it */
	uint64_t lost_lines; /* of the access log, as far as they are counted */
	struct channel_message message;
};

/* --- worker_sockets.c --- */

/* Asks the supervisor for the sockets of each address, binds what it does not have, and sends that up. 0, or -1 after messages about
 * all addresses that cannot be had. */
int worker_sockets(struct worker *w);
/* Listens on all of them: the last act before READY. 0, or -1 after a message. */
int worker_listen(struct worker *w);
/* What is served where: "http://127.0.0.1:80 http://[::1]:80". */
void worker_serving(const struct worker *w, struct buffer *to);

/* --- worker_helper.c --- */

/* Has the supervisor start a helper, which runs as `account` (the worker's own where it is root's, else as it is). Before READY. Its
 * ends are then in w->helpers[kind], blocking. 0, or -1 after a message. */
int worker_helper(
	struct worker *w, enum helper_kind kind, unsigned ends, const struct account *account);
/* Takes up new ends of one that was started again: a message that came unasked. */
void worker_helper_again(struct worker *w);

/* --- worker_tls.c --- */

/* While the configuration is loaded, and all of it is there: who holds the private keys (w->keys), and the certificates (w->crew.tls) where
 * somebody listens for https. 0, or -1 after load_error. */
int worker_tls_load(struct worker *w, struct load *load, struct snapshot *snapshot);
/* The master key of tickets. 0, or -1 after messages. */
int worker_tls(struct worker *w);

/* --- worker_renewal.c --- */

/* Begins to watch the files of certificates, while there are rights. 0, or -1 after a message. */
int worker_renewal(struct worker *w, uint64_t now);
/* This worker serves: starts the thread that renews, from which it may be that w->crew.tls is another one at any time. */
void worker_renewal_begin(struct worker *w);
/* A message came with a file that the thread has asked for. */
void worker_renewal_file(struct worker *w);
/* No new connection will be shown anything: nothing is told to the crew any more. May be called again. */
void worker_renewal_end(struct worker *w);
/* After worker_renewal_end: waits for the thread's end. False: it hangs. */
bool worker_renewal_join(struct worker *w, int ms);

/* --- worker_roots.c --- */

/* This worker serves: starts the thread that asks for a reload when a root leads where the sandbox does not reach. */
void worker_roots_begin(struct worker *w);
/* It is not to ask any more. May be called again. */
void worker_roots_end(struct worker *w);
/* After worker_roots_end: waits for the thread's end. False: it hangs. */
bool worker_roots_join(struct worker *w, int ms);

/* --- worker_acme.c --- */

/* Makes the folders of the state and has the helper started, where certificates are to be obtained. Before the rights go. 0, or -1 after a
 * message. */
int worker_acme_start(struct worker *w);
/* This worker serves: its helper may begin. */
void worker_acme_begin(struct worker *w);
/* It does not take new connections any more. */
void worker_acme_end(struct worker *w);

/* --- worker_start.c --- */

/* The account that the worker will take, looked up once, where it is root's. 0, or -1 after a message. */
int worker_account(struct worker *w);
/* All that comes before READY. 0, or -1 after messages. */
int worker_start(struct worker *w);

/* Receives the answer to a question; a message of another type is an error. 0, or -1 after a message. */
int worker_answer(struct worker *w, enum channel_type type);
/* A descriptor, -1 when the supervisor has no such keepsake, -2 after a message. */
int worker_want_keepsake(struct worker *w, const char *name);
/* Gives one to the supervisor; -1 in place of a descriptor is an errno. 0, or -1 after a message. */
int worker_keep(struct worker *w, const char *name, int fd);
/* Makes one of bytes, which nobody can change any more, and gives that. Likewise. */
int worker_keep_bytes(struct worker *w, const char *name, struct slice bytes);
/* Sends to the supervisor, with text as the tail. 0, or -1 after a message. */
int worker_send(struct worker *w, enum channel_type type, const void *head, size_t length,
	const char *text, const int *fds, unsigned count);

#endif
