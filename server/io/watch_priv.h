/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two halves of watching share: watch.c takes up events, watch_names.c says for whom they count. */
#ifndef WEIR_IO_WATCH_PRIV_H
#define WEIR_IO_WATCH_PRIV_H

#include "io/watch.h"

/* Something happened to names of these sets (watch_set). Only the holder of the watch's lock may call this. */
void watched_rise(struct watched *watched, uint64_t names);

#endif
