/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections that we open: to backends. */
#ifndef WEIR_IO_DIAL_H
#define WEIR_IO_DIAL_H

#include "io/loop.h"
#include "io/transport.h"
#include "settings/value.h"

struct dial;
/* Called once, never from inside dial_start: fd >= 0 is connected, non-blocking, TCP_NODELAY; else -1 and error is an errno (ETIMEDOUT for the timeout). */
typedef void dial_done_fn(struct dial *dial, int fd, int error);

struct dial {
	ev_io watch;
	ev_timer timeout;
	struct task report; /* an outcome that is known at once is still told from the loop */
	struct loop *loop;
	dial_done_fn *done;
	int fd;
	int error;
};

/* Begins to connect; `dial` is the caller's and must stay until `done`, which may free it, or dial_cancel. timeout_ms 0: as long as
 * the kernel tries. */
void dial_start(struct dial *dial, struct loop *loop, const struct address *to, uint64_t timeout_ms,
	dial_done_fn *done);
/* `done` is not called any more. Nothing happens after `done`, or when `dial` is all zero. */
void dial_cancel(struct dial *dial);

#endif
