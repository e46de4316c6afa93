/* SPDX-License-Identifier: BSD-2-Clause */
/* The stages of an answer: begun by rank, pushed through in order, each exactly once ended. */
#include "http/stage.h"

#include "http/handler.h"

static void insert_by_rank(struct request *request, struct stage *stage)
{
	struct stage **at = &request->x.stages;
	while (*at && (*at)->ops->rank <= stage->ops->rank)
		at = &(*at)->next;
	stage->next = *at;
	*at = stage;
}

void stage_begin_all(struct request *request)
{
	for (const struct stage_ops *const *ops = request->thread->stages; *ops; ops++) {
		struct stage *stage = (*ops)->begin(request);
		if (!stage)
			continue;
		stage->ops = *ops;
		stage->request = request;
		insert_by_rank(request, stage);
	}
}

int stage_push_all(struct request *request, enum stage_event event, struct chunks *body)
{
	for (struct stage *stage = request->x.stages; stage; stage = stage->next) {
		struct chunks out;
		chunks_init(&out);
		if (stage->ops->push(stage, event, body, &out)) {
			chunks_clear(&out);
			return -1;
		}
		chunks_clear(body);
		chunks_move(body, &out);
	}
	return 0;
}

void stage_cancel_all(struct request *request)
{
	while (request->x.stages) {
		struct stage *stage = request->x.stages;
		request->x.stages = stage->next;
		stage->ops->cancel(stage);
	}
}
