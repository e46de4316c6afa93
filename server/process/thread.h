/* SPDX-License-Identifier: BSD-2-Clause */
/* The loop threads of a worker. A connection lives and dies on one of them; they are told what to do by messages. */
#ifndef WEIR_PROCESS_THREAD_H
#define WEIR_PROCESS_THREAD_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "process/tally.h"
#include "wire/wire.h"

struct disk;
struct line_log;
struct signer_client;
struct sniffer;
struct tls_kernel;
struct tls_store;
struct watch;

/* A listening socket of the worker. Several threads may watch one: the last that lets go of it closes it. */
struct listening {
	char text[128]; /* the address, as the supervisor knows it */
	const struct listener_settings *settings;
	int fd;
	atomic_uint users;
};

/* Which sockets are emptied, by accepting all that waits, before they are closed: nobody else accepts from them. */
struct drain_order {
	bool all;
	struct slice removed; /* texts of addresses, a NUL behind each */
};

struct thread;

/* What the threads of a worker share. */
struct crew {
	const struct handler *const *table;
	const struct snapshot *snapshot;
	struct disk *disk;
	struct watch *watch;
	struct sniffer *sniffer;
	struct line_log *access;
	struct tls_store *tls;           /* certificates; NULL: nobody listens for https */
	const struct tls_kernel *kernel; /* that sends by TLS itself; NULL: it does not */
	const unsigned char *tickets;    /* TLS_MASTER_SIZE octets */
	struct signer_client *signer;    /* who signs with their keys; NULL: nobody has to */
	struct tally *tally;
	unsigned place;
	int bell; /* an eventfd: rung when a thread has become empty */
	struct wire_shared wire;
	struct listening *listening;
	unsigned listening_count;
	struct drain_order order; /* set once, before crew_drain */
	atomic_uint let_go;       /* threads that accept nothing any more; the last one rings */
	struct thread *threads;
	unsigned count;
	uint64_t memory; /* octets that the process may have (process/memory.h); 0: not known */
};

/* Starts the threads and waits until each has all that it needs. Nothing is accepted yet. 0, or -1 after a message. */
int crew_start(struct crew *crew);
/* New connections are shown the certificates of another store, of which each thread takes a count of its own. While threads
 * run. */
void crew_use_tls(struct crew *crew, struct tls_store *store);
/* Begins to accept. */
void crew_listen(struct crew *crew);
/* Stops accepting as crew->order says, and finishes what is under way. */
void crew_drain(struct crew *crew);
/* Whether all threads of a draining crew have stopped accepting. */
bool crew_let_go(const struct crew *crew);
/* Whether a draining crew has no connection left. */
bool crew_empty(const struct crew *crew);
/* Cuts what is left; the threads go on until crew_end, so that answers of the I/O threads find them. Waits until all have done so: none
 * asks the I/O threads for anything afterwards. */
void crew_cut(struct crew *crew);
/* Ends the threads; the process ends next. */
void crew_end(struct crew *crew);

#endif
