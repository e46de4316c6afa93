/* SPDX-License-Identifier: BSD-2-Clause */
/* The listening sockets that the supervisor holds, by the text of their address, so that nothing that waits in one is lost. */
#ifndef WEIR_PROCESS_SOCKETS_H
#define WEIR_PROCESS_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/list.h"

/* LISTENERS_MAX of each worker: one serves, one starts, others drain. */
#define SOCKETS_ADDRESSES_MAX 4096
#define SOCKETS_EACH_MAX      256 /* descriptors of one address */

struct kept_socket {
	int fd;
	int owner; /* the place of the worker that made it and was not READY yet; -1: it stays */
};

struct kept_address {
	struct link link;
	char *text;
	bool system;    /* given by the service manager: never closed, for that holds it as well */
	uint32_t users; /* bits of the places that asked for it or made it */
	unsigned count;
	struct kept_socket sockets[SOCKETS_EACH_MAX];
};

/* All zero but for sockets_init. */
struct sockets {
	struct link addresses;
	unsigned count;
};

void sockets_init(struct sockets *set);
/* The address that a worker at `place` asks for and uses from now on, or NULL. */
struct kept_address *sockets_use(struct sockets *set, const char *text, unsigned place);
/* Takes over descriptors that a worker made; they stay only once that is READY. 0, or -1 (they are closed): too many. */
int sockets_keep(
	struct sockets *set, const char *text, const int *fds, unsigned count, unsigned place);
/* The worker is READY: what it made stays. */
void sockets_commit(struct sockets *set, unsigned place);
/* The worker is gone: what it made and was not committed is closed. */
void sockets_forget(struct sockets *set, unsigned place);
/* Closes what none of the places (bits) uses; appends each such address to `removed`, a NUL behind it. */
void sockets_close_unused(struct sockets *set, uint32_t places, struct buffer *removed);
/* Warns of those of the service manager that the worker at this place does not use: who connects there waits for nobody. */
void sockets_tell_idle(const struct sockets *set, unsigned place);
/* Closes all, those of the service manager too. */
void sockets_close(struct sockets *set);

/* Takes up the sockets of the service manager (LISTEN_PID, LISTEN_FDS), matched by their address; the variables are removed from the
 * environment. Returns how many. */
unsigned sockets_adopt(struct sockets *set);

#endif
