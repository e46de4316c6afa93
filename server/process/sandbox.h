/* SPDX-License-Identifier: BSD-2-Clause */
/* How a process locks itself in: no new privileges, Landlock, seccomp. */
#ifndef WEIR_PROCESS_SANDBOX_H
#define WEIR_PROCESS_SANDBOX_H

#include "process/grants.h"
#include "settings/snapshot.h"

/* Who is locked in: each has a list of system calls of its own (sandbox_calls.c). */
enum sandbox_kind { SANDBOX_WORKER, SANDBOX_SIGNER };

/* Before any thread is started, for Landlock binds only the caller and its children to come. What the kernel lacks (Landlock before
 * version 6 lacks something) is said in the log and, with SANDBOX_REQUIRE, an error. `ruleset`: made before, and the caller's still; where
 * there is none (-1), one is made of the grants. 0 or -1. */
int sandbox_enter(
	enum sandbox_mode mode, enum sandbox_kind kind, const struct grants *grants, int ruleset);
/* The ruleset of Landlock that leaves the grants open. A descriptor; -1: the kernel has no Landlock, which sandbox_enter tells, or none is
 * wanted. Looks the paths up. */
int sandbox_ruleset(enum sandbox_mode mode, const struct grants *grants);

/* For a program that is about to be run in a process of its own, and does not take root's rights: it may write beneath these paths alone (ended by NULL),
 * listen nowhere, and signal nobody outside. Nothing is said; 0, or -1 with errno where SANDBOX_REQUIRE wants more than the kernel has. */
int sandbox_writes(enum sandbox_mode mode, const char *const *paths);

#endif
