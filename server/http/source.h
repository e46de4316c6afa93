/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a body comes from: pulled by whoever has room, so that back-pressure is a property of the design. */
#ifndef WEIR_HTTP_SOURCE_H
#define WEIR_HTTP_SOURCE_H

#include "base/chunk.h"
#include "http/end.h"
#include "http/field.h"

enum pull {
	PULL_MORE, /* spans were appended; more may follow: pull again when there is room */
	PULL_PAUSED, /* nothing now (or the spans appended); `wake` will be called once when it is worth pulling again */
	PULL_END, /* the body is whole with the spans appended (maybe none); trailers, if any, in source->trailers */
	PULL_FAILED, /* the body is broken off: never turned into END */
};

struct source;

struct source_ops {
	/* Appends at most `room` bytes of memory to `out` (spans of files do not count: they hold no memory).
	 * Called only when the taker has room, never again after END or FAILED, never from inside `wake`'s caller's pull. */
	enum pull (*pull)(struct source *source, struct chunks *out, size_t room);
	/* The taker wants no more, after END and FAILED as well: called exactly once, last; frees what the source holds. */
	void (*cancel)(struct source *source);
};

/* First member of what gives a body. */
struct source {
	const struct source_ops *ops;
	void (*wake)(struct source *
			source); /* set by the taker before its first pull; call through source_wake */
	void *taker;             /* the taker's */
	const struct fields *trailers; /* valid from END until cancel; NULL: none */
	enum exchange_end
		fault; /* valid with FAILED: why, for logs; 0: it does not say. The taker's to set before it cancels: why it wants no more */
};

/* Tells the taker that pulling is worth it again: after PULL_PAUSED only. The taker may pull, and even cancel, before this returns. */
static inline void source_wake(struct source *source)
{
	if (source->wake)
		source->wake(source);
}

/* Ends a source in any state and forgets it: *source is NULL afterwards. NULL is allowed. */
static inline void source_cancel(struct source **source)
{
	struct source *s = *source;
	*source = NULL;
	if (s) {
		s->wake = NULL;
		s->ops->cancel(s);
	}
}

#endif
