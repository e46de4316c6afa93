/* SPDX-License-Identifier: BSD-2-Clause */
/* What a worker leaves to the one after a crash: certificates and responses that were renewed since the configuration was read. The bytes are as
 * those of any file: whoever takes them checks them whole, and has others where they are no good. */
#ifndef WEIR_PROCESS_RENEWED_H
#define WEIR_PROCESS_RENEWED_H

#include "io/tls_cred.h"

/* Appends one; the first one begins the list. 0, or -1: there is no room. */
int renewed_add(struct buffer *list, struct slice path, struct slice bytes);

/* Appends another list, if there is room. */
void renewed_join(struct buffer *list, struct slice other);

struct renewed {
	struct tls_change *files; /* into the list */
	size_t count;
};

/* Reads a list that anybody may have written. 0, or -1 (then it is empty): it is none. */
int renewed_read(struct slice list, struct renewed *renewed);
void renewed_free(struct renewed *renewed);
/* NULL: it is not among them. */
const struct tls_change *renewed_find(const struct renewed *renewed, struct slice path);

#endif
