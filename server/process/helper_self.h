/* SPDX-License-Identifier: BSD-2-Clause */
/* What the programs of all helpers have in common (process/channel.h tells what a helper is): begin, keepsakes, registered files,
 * the drop of rights. The order is: begin; what needs rights; account; sandbox; locked; then the ends. */
#ifndef WEIR_PROCESS_HELPER_SELF_H
#define WEIR_PROCESS_HELPER_SELF_H

#include <stdbool.h>

#include "base/bytes.h"
#include "process/channel.h"

struct helper_self {
	struct channel_helper_hello hello;
	int *ends; /* towards the worker, blocking; hello.want.ends of them */
	struct channel_message message;
};

/* 0, or the exit code after a message. */
int helper_self_begin(struct helper_self *self, enum helper_kind kind, const char *command);
/* Takes the account that the worker has named, without any other groups: only when the process is root's. 0, or -1 after a message. */
int helper_self_account(struct helper_self *self);
/* Tells the supervisor that the rights are gone. 0, or -1: it is gone. */
int helper_self_locked(struct helper_self *self);

/* The keepsake of this name, which begins with the kind's. A descriptor, -1: there is none, -2: the supervisor is gone. */
int helper_self_keepsake(struct helper_self *self, const char *name);
/* Keeps a descriptor, which stays the caller's. 0, or -1: the supervisor is gone. */
int helper_self_keep(struct helper_self *self, const char *name, int fd);
/* Registers a file that is only read (FILE_KEY), by an absolute path; only while the worker starts. 0, or -1: the supervisor is gone. */
int helper_self_register(struct helper_self *self, unsigned number, const char *path);
/* Has a registered file opened; takes at most a little more than REGISTRY_OPENING_MS. A descriptor, or -1 with errno. */
int helper_self_open(struct helper_self *self, unsigned number);

/* Hears what came unasked, when the channel has become readable: another log. false: the supervisor is gone. */
bool helper_self_hear(struct helper_self *self);

#endif
