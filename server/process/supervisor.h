/* SPDX-License-Identifier: BSD-2-Clause */
/* The process that must not fail: starts workers, keeps what they share, restarts them, takes orders. Calls only libc and
 * interprets nothing: what it knows of a configuration a worker has told it. */
#ifndef WEIR_PROCESS_SUPERVISOR_H
#define WEIR_PROCESS_SUPERVISOR_H

#include <stdbool.h>

#include "base/bytes.h"

struct supervisor_options {
	const char *
		file; /* absolute path of the configuration, or what to call it when there is `text` */
	struct slice text; /* a configuration that stands in no file (weir serve), or { NULL, 0 } */
	const char *folder; /* with text: what its relative paths count from */
	bool unprivileged;  /* the presets for another than root */
	bool control;       /* offer a control socket */
	void (*ready)(const char *serving,
		void *context); /* the first worker is READY; NULL: nobody cares */
	void *context;
};

/* Runs until it is told to stop. Returns the exit code: 0; 1 when it could not start, after a message. */
int supervisor_run(const struct supervisor_options *options);

#endif
