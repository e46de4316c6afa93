/* SPDX-License-Identifier: BSD-2-Clause */
/* File systems that another machine or another program answers for: they change unseen, and any call may wait for ever. */
#ifndef WEIR_IO_REMOTE_H
#define WEIR_IO_REMOTE_H

#include <stdbool.h>

/* Whether what is named or open there lies on one; where that cannot be told it does, and errno says why (else it is 0). May
 * block: from an I/O thread. */
bool remote_path(const char *path);
bool remote_descriptor(int fd);

#endif
