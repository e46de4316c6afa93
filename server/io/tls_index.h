/* SPDX-License-Identifier: BSD-2-Clause */
/* Names, some of which begin with a star, and what they lead to: sorted once, then only read. */
#ifndef WEIR_IO_TLS_INDEX_H
#define WEIR_IO_TLS_INDEX_H

#include "base/bytes.h"

struct tls_index {
	struct buffer entries; /* of struct tls_index_entry */
};

/* All zero is an empty one. The name's bytes are borrowed. */
void tls_index_add(struct tls_index *index, struct slice name, const void *leads_to);
/* After the last add: of equal names the first stays. */
void tls_index_sort(struct tls_index *index);
/* What the very name leads to, or NULL. */
const void *tls_index_exact(const struct tls_index *index, struct slice name);
/* What the name leads to, or the longest "*.REST" that it ends with: `labels` labels in front at most (1: as in certificates; 0: any number, as
 * in hosts of sites). NULL: nothing. */
const void *tls_index_find(const struct tls_index *index, struct slice name, unsigned labels);
size_t tls_index_count(const struct tls_index *index);
struct slice tls_index_name(const struct tls_index *index, size_t at);
void tls_index_free(struct tls_index *index);

#endif
