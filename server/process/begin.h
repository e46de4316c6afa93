/* SPDX-License-Identifier: BSD-2-Clause */
/* What workers and helpers do first: they find what the supervisor left open for them, and leave signals to it. */
#ifndef WEIR_PROCESS_BEGIN_H
#define WEIR_PROCESS_BEGIN_H

/* Checks that the supervisor has started this process as `command`, sets its name, ignores signals, and logs to WORKER_BIRTH. 0, or -1
 * after a message on standard error. */
int process_begin(const char *command, const char *name);

#endif
