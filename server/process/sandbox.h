/* SPDX-License-Identifier: BSD-2-Clause */
/* How a process locks itself in: no new privileges, Landlock, seccomp. */
#ifndef WEIR_PROCESS_SANDBOX_H
#define WEIR_PROCESS_SANDBOX_H

#include <stdbool.h>

#include "settings/snapshot.h"

#define GRANTS_MAX 512

/* Who is locked in: each has a list of system calls of its own (sandbox_calls.c). */
enum sandbox_kind { SANDBOX_WORKER, SANDBOX_SIGNER };

/* What is left open to the process. All zero is nothing. */
struct grants {
	struct {
		char *path;
		bool writable;
	} list[GRANTS_MAX];
	unsigned count;
	bool local; /* streams to Unix sockets that have a file */
};

/* Opens up the folder that holds the path's last link and the one that holds what it leads to; never "/": then the path itself. */
void grants_add(struct grants *grants, const char *path, bool writable);
void grants_clear(struct grants *grants);

/* Before any thread is started, for Landlock binds only the caller and its children to come. What the kernel lacks (Landlock before
 * version 6 lacks something) is said in the log and, with SANDBOX_REQUIRE, an error. 0 or -1. */
int sandbox_enter(enum sandbox_mode mode, enum sandbox_kind kind, const struct grants *grants);

/* For a program that is about to be run in a process of its own, and does not take root's rights: it may write beneath these paths alone (ended by NULL),
 * listen nowhere, and signal nobody outside. Nothing is said; 0, or -1 with errno where SANDBOX_REQUIRE wants more than the kernel has. */
int sandbox_writes(enum sandbox_mode mode, const char *const *paths);

#endif
