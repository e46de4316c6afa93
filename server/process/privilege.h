/* SPDX-License-Identifier: BSD-2-Clause */
/* The rights that a worker gives up before it reads the first byte from the network. */
#ifndef WEIR_PROCESS_PRIVILEGE_H
#define WEIR_PROCESS_PRIVILEGE_H

#include <sys/types.h>

#include "base/bytes.h"

/* The account that the worker takes. */
struct account {
	uid_t uid;
	gid_t gid;
	char name[64];
};

/* Finds the account, which may need files that are out of reach later. No such one: nobody, with a warning in the log. 0, or -1
 * after a message. */
int account_find(const char *name, struct account *account);
/* Takes it, with its groups, for good: only when the process is root's; root itself changes nothing. 0, or -1 after a message. */
int account_take(const struct account *account);
/* Raises the limit of open files to the highest allowed. */
void privilege_raise_files(void);

#endif
