/* SPDX-License-Identifier: BSD-2-Clause */
/* What workers and helpers do first: they find what the supervisor left open for them, and leave signals to it. */
#ifndef WEIR_PROCESS_BEGIN_H
#define WEIR_PROCESS_BEGIN_H

#include <stdbool.h>

/* Checks that the supervisor has started this process as `command`, sets its name, ignores signals, and logs to WORKER_BIRTH. 0, or -1
 * after a message on standard error. */
int process_begin(const char *command, const char *name);

/* A process that starts dies with the supervisor, whatever it waits for (a FIFO, a disk that hangs): nobody would know of it. One that has
 * started sees the end of its channel, and goes on with what is under way: then it is turned off. The kernel forgets it when the account
 * changes: it has to be turned on again. Of the first thread. */
void process_follow(bool on);

#endif
