/* SPDX-License-Identifier: BSD-2-Clause */
/* A worker and its helper for certificates: the folders are made with the worker's first rights, the plan is told once it serves, for an authority
 * that asks must be answered. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "process/acme_plan.h"
#include "process/acme_state.h"
#include "process/keepsake.h"
#include "process/worker_priv.h"

static bool is_first(const struct acme_plan *plan, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (strcmp(plan->list[i].state, plan->list[index].state) == 0)
			return false;
	return true;
}

/* After a crash the rest is served, on what there is. */
static int make_folders(struct worker *w, const struct acme_plan *plan)
{
	bool is_root = geteuid() == 0;
	uid_t uid = is_root ? w->account.uid : (uid_t)-1;
	gid_t gid = is_root ? w->account.gid : (gid_t)-1;
	int result = 0;
	for (size_t i = 0; i < plan->count; i++) {
		if (is_first(plan, i) && acme_state_make(plan->list[i].state, uid, gid))
			result = -1;
		acme_state_make_name(plan->list[i].state, plan->list[i].names[0], uid, gid);
	}
	return w->hello.kind == START_CRASH ? 0 : result;
}

static void send_plan(const struct worker *w, int end)
{
	if (channel_send(end, CHANNEL_PLAN, NULL, 0, NULL, 0, &w->acme_plan, 1, false))
		log_error("acme: its helper does not listen: %m");
}

/* The helper was started again. */
static void renewed(void *context, unsigned index, int end)
{
	struct worker *w = context;
	(void)index;
	if (w->acme_over)
		shutdown(end, SHUT_RDWR);
	else
		send_plan(w, end);
}

int worker_acme_start(struct worker *w)
{
	struct acme_plan plan;
	struct buffer text = {0};
	w->acme_plan = -1;
	acme_plan_make(&plan, w->snapshot);
	int result = make_folders(w, &plan);
	if (result == 0 && plan.count > 0) {
		acme_plan_write(&plan, &text);
		w->acme_plan = keepsake_make("weir-acme", (struct slice){text.ptr, text.len});
		if (w->acme_plan < 0)
			log_error("acme: %m");
		result = w->acme_plan < 0 ? -1 : worker_helper(w, HELPER_ACME, 1, &w->account);
		w->helpers[HELPER_ACME].renewed = renewed;
		w->helpers[HELPER_ACME].context = w;
	}
	buffer_free(&text);
	acme_plan_free(&plan);
	return result;
}

void worker_acme_begin(struct worker *w)
{
	if (w->helpers[HELPER_ACME].count > 0)
		send_plan(w, w->helpers[HELPER_ACME].ends[0]);
}

void worker_acme_end(struct worker *w)
{
	w->acme_over = true;
	if (w->helpers[HELPER_ACME].count > 0)
		shutdown(w->helpers[HELPER_ACME].ends[0], SHUT_RDWR);
}
