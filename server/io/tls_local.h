/* SPDX-License-Identifier: BSD-2-Clause */
/* A certificate for this machine alone, by an authority of its own that its user may trust: for `weir serve --tls`. Both are kept in a folder. */
#ifndef WEIR_IO_TLS_LOCAL_H
#define WEIR_IO_TLS_LOCAL_H

#include "base/arena.h"

/* Absolute paths. */
struct tls_local {
	struct slice authority;   /* its certificate, for who is to trust it */
	struct slice certificate; /* the leaf's, with the authority's behind it */
	struct slice key;
	bool made; /* the authority is new: nobody trusts it yet */
};

/* Where it is kept: $XDG_DATA_HOME/weir/local or ~/.local/share/weir/local, for root below the state folder. */
struct slice tls_local_folder(struct arena *arena, bool unprivileged);

/* Makes what the folder lacks, and anew what expires soon or is not for all names (hosts and addresses, a NUL behind each) besides those of the
 * machine itself. 0, or -1 with a sentence in *fault. */
int tls_local_prepare(struct slice folder, const struct slice *names, size_t count,
	struct arena *arena, struct tls_local *local, struct buffer *fault);

#endif
