/* SPDX-License-Identifier: BSD-2-Clause */
/* The commands' side of the control socket. */
#ifndef WEIR_PROCESS_CONTROL_CLIENT_H
#define WEIR_PROCESS_CONTROL_CLIENT_H

#include <sys/types.h>

#include "process/channel.h"

/* Connects to the weir that runs with a configuration (absolute path) and asks. Returns the socket, or -1 after a message on standard
 * error. `pid` (may be NULL): of its supervisor. */
int control_ask(const char *file, enum channel_type question, pid_t *pid);

/* Waits for the answer: diagnostics go to standard error, the sentence at the end to `sentence`. Returns the exit code; 1 when the
 * running one ended without an answer. */
int control_await(int control, struct channel_message *message, char *sentence, size_t size);

#endif
