/* SPDX-License-Identifier: BSD-2-Clause */
/* The process that serves: begun by the supervisor with root's rights, if there are any, and without them when it reads the first
 * byte from the network. */
#ifndef WEIR_PROCESS_WORKER_H
#define WEIR_PROCESS_WORKER_H

#include "http/handler.h"
#include "settings/snapshot.h"

/* What every command is given by main: the handlers in their order, and the keys that they and the rooms obey. */
struct program {
	const struct handler *const *table;
	const struct option_sets *sets;
	const struct option_sets *check_sets; /* likewise for `weir check`, which looks further */
	/* Whether some handler connects to Unix sockets: otherwise none can be connected to. NULL: none does. */
	bool (*has_local_backend)(const struct snapshot *snapshot);
};

/* Runs a worker on the channel that the supervisor left open for it. Returns the exit code: 0 when it has drained, 1 when it could
 * not start, 2 when nobody has started it as a worker. */
int worker_run(const struct program *program);

#endif
