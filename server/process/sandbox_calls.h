/* SPDX-License-Identifier: BSD-2-Clause */
/* Which system calls each kind of process may make. */
#ifndef WEIR_PROCESS_SANDBOX_CALLS_H
#define WEIR_PROCESS_SANDBOX_CALLS_H

#include "process/sandbox.h"

/* Allowed with certain values of one argument only: (argument & mask) == value. */
struct sandbox_narrow {
	const char *name;
	unsigned argument;
	uint64_t mask, value;
};

/* Names of calls that are allowed whatever the arguments, ended by NULL. */
const char *const *sandbox_calls(enum sandbox_kind kind);
/* Ended by one without a name. */
const struct sandbox_narrow *sandbox_narrow(enum sandbox_kind kind);

#endif
