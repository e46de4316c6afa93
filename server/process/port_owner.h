/* SPDX-License-Identifier: BSD-2-Clause */
/* Who listens on a port already: a hint for whoever could not. */
#ifndef WEIR_PROCESS_PORT_OWNER_H
#define WEIR_PROCESS_PORT_OWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "settings/value.h"

/* Writes "process 123 (nginx)" about whoever listens on the address's TCP port; "" when that cannot be seen. */
void port_owner(const struct address *address, char *to, size_t size);
/* Does this process hold every socket that listens on the address's TCP port, at whatever address? False where that cannot be seen. */
bool port_is_held_by(const struct address *address, pid_t pid);

#endif
