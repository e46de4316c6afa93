/* SPDX-License-Identifier: BSD-2-Clause */
/* What an answer's body passes on its way to the carrier: storing, encoding. */
#ifndef WEIR_HTTP_STAGE_H
#define WEIR_HTTP_STAGE_H

#include "http/request.h"

/* The order in which stages see an answer. */
enum stage_rank { STAGE_STORE, STAGE_ENCODE };

enum stage_event { STAGE_MORE, STAGE_PAUSED, STAGE_END, STAGE_FAILED };

struct stage;

struct stage_ops {
	const char *name;
	enum stage_rank rank;
	/* Looks at request->response before it is sent; may edit it (length becomes LENGTH_UNKNOWN when the body changes). Returns the
	 * stage (arena), or NULL to decline. */
	struct stage *(*begin)(struct request *request);
	/* Takes the spans of `in` and appends to `out` what is ready; may hold input back until END. PAUSED: the source has nothing
	 * just now, flush what can be flushed. After END everything must be in `out`. -1: it cannot go on, the answer is aborted. */
	int (*push)(
		struct stage *stage, enum stage_event event, struct chunks *in, struct chunks *out);
	/* Exactly once, last: frees. */
	void (*cancel)(struct stage *stage);
};

/* First member of a stage. */
struct stage {
	const struct stage_ops *ops;
	struct stage *next;
	struct request *request;
};

/* Lets every handler of the table that has a stage begin one; links them by rank. */
void stage_begin_all(struct request *request);
/* Pushes spans through all stages: `body` is replaced by what comes out. 0 or -1. */
int stage_push_all(struct request *request, enum stage_event event, struct chunks *body);
void stage_cancel_all(struct request *request);

#endif
