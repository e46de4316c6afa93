/* SPDX-License-Identifier: BSD-2-Clause */
/* Certificates while a configuration is loaded: what is wrong with them is told where they are written. */
#ifndef WEIR_IO_TLS_LOAD_H
#define WEIR_IO_TLS_LOAD_H

#include "io/tls_cred.h"

struct load;

/* For snapshot_load's finish: adds the pairs that are to be obtained, makes the store and tells all that is wrong, and what is
 * only suspicious. A load of what was kept (after a crash) fails only where nothing could be shown. *store: NULL where no site listens for https, or after
 * a fault. `newer`: see tls_store_make_anyhow. 0, or -1 after load_error. */
int tls_load(struct load *load, struct snapshot *snapshot, struct tls_keys *keys,
	const struct tls_change *newer, size_t newer_count, struct tls_store **store);

/* For who only wants to know: the same without a word, with certificates of our own for those whose keys cannot be read. *store may be
 * NULL. 0. */
int tls_look(struct load *load, struct snapshot *snapshot, struct tls_store **store);

/* Does any site listen for https? */
bool tls_wanted(const struct snapshot *snapshot);

#endif
