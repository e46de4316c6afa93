/* SPDX-License-Identifier: BSD-2-Clause */
/* Names that no server is asked for: those of the hosts file, and localhost. */
#ifndef WEIR_IO_HOSTS_H
#define WEIR_IO_HOSTS_H

#include "settings/value.h"

/* Writes at most `most` addresses of a name (without a dot at its end), each with the port, and returns how many: of all lines of
 * the file, in their order; else those of the loopback for localhost and what is beneath it. `path` NULL: /etc/hosts. One that
 * cannot be read is empty. Blocks as long as the disk does. */
unsigned hosts_find(
	const char *path, const char *name, uint16_t port, struct address *to, unsigned most);

/* An address from its 4 or 16 octets. */
struct address hosts_address(int family, const void *octets, uint16_t port);

#endif
