/* SPDX-License-Identifier: BSD-2-Clause */
/* A real signer in a process of its own, with a supervisor that is played here, and the client of a worker. */
#ifndef WEIR_TESTS_PROCESS_SIGNER_WORLD_H
#define WEIR_TESTS_PROCESS_SIGNER_WORLD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "process/channel.h"
#include "process/signer_client.h"

#define ENDS 3

/* The name, argv[0], by which the program under test is its own signer: then main() is signer_run(). */
#define WORLD_SIGNER "signer under test"

/* One signer, and what the supervisor holds for it. */
struct stage {
	pid_t pid;
	int channel;
	int near[ENDS];
	int keepsake; /* -1: none */
	char *paths[16];
	pthread_t supervisor;
	atomic_uint locked;
	unsigned registered_late;
	struct signer_client *client;
	struct tls_keys *keys;
	atomic_uint stuck;
};

extern struct stage stage;
extern char folder[256];

/* For each case: a folder, a signer that was never there before, and its client. */
int world_set_up(void **state);
int world_tear_down(void **state);
/* A signer starts, and a client for it. */
void world_begin(enum start_kind kind, bool again);
void world_connect(void);
/* It dies, and another takes its place, which the client is told of as by a worker. */
void world_renew(void);
/* Its worker ends, and so it does. */
void world_end(void);

#endif
