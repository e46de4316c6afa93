/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of watching share: watch.c takes up events, watch_sets.c says for whom they count. */
#ifndef WEIR_IO_WATCH_PRIV_H
#define WEIR_IO_WATCH_PRIV_H

#include "io/watch.h"

/* Something happened to names of these sets (watch_set). Only the holder of the watch's lock may call this. */
void watched_rise(struct watched *watched, uint64_t names);

/* No directory is taken for what its path leads to any more: all are watched anew. */
void watch_forget(struct watch *watch);

/* A loop that hears of events, or rests from them. */
struct attachment {
	ev_io events;
	ev_io mounts;   /* where they are followed */
	ev_check woken; /* active while it rests, as is the timer */
	ev_timer rest;
	struct watch *watch;
	ev_tstamp since; /* events are counted */
	unsigned count;
	uint32_t epoch; /* of the watch, when they were looked for last */
};

#endif
