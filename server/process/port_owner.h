/* SPDX-License-Identifier: BSD-2-Clause */
/* Who listens on a port already: a hint for whoever could not. */
#ifndef WEIR_PROCESS_PORT_OWNER_H
#define WEIR_PROCESS_PORT_OWNER_H

#include <stddef.h>

#include "settings/value.h"

/* Writes "process 123 (nginx)" about whoever listens on the address's TCP port; "" when that cannot be seen. */
void port_owner(const struct address *address, char *to, size_t size);

#endif
