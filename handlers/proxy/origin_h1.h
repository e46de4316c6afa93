/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/1.1 to backends: see http/origin.h. */
#ifndef WEIR_HANDLERS_PROXY_ORIGIN_H1_H
#define WEIR_HANDLERS_PROXY_ORIGIN_H1_H

#include "handlers/proxy/pool.h"
#include "http/origin.h"

/* The backend of `send` is a struct backend of the same thread. It chooses a server in turn; where no connection can be made
 * the next one is tried. On a kept connection that turns out to be closed an idempotent request of which no more than 64 KB
 * had gone out is sent once more on a new one. */
extern const struct origin_ops origin_h1_ops;

/* Frees the origins that a thread keeps for reuse. */
void origin_h1_drop_spare(struct backends *backends);

#endif
