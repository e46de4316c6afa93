/* SPDX-License-Identifier: BSD-2-Clause */
/* The helpers of a worker, as the worker sees them: ends of sockets. What passes there is for the client of each kind to know. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "process/worker_priv.h"

static int want(
	struct worker *w, enum helper_kind kind, unsigned ends, const struct account *account)
{
	bool is_root = geteuid() == 0;
	const struct core_settings *core = &w->snapshot->core;
	struct channel_want want = {.kind = kind,
		.ends = ends,
		.sandbox = (uint32_t)core->sandbox,
		.log_level = (uint32_t)core->error_log.level,
		.uid = is_root ? account->uid : (uint32_t)-1,
		.gid = is_root ? account->gid : (uint32_t)-1};
	return worker_send(w, CHANNEL_WANT_HELPER, &want, sizeof(want), NULL, NULL, 0);
}

int worker_helper(
	struct worker *w, enum helper_kind kind, unsigned ends, const struct account *account)
{
	struct worker_helper *helper = &w->helpers[kind];
	struct channel_ends head;
	check(ends > 0 && ends <= HELPER_ENDS_MAX && helper->count == 0);
	helper->ends = must_alloc(sizeof(int) * ends);
	if (want(w, kind, ends, account))
		return -1;
	do {
		if (worker_answer(w, CHANNEL_HELPER) ||
			channel_head(&w->message, &head, sizeof(head)))
			return -1;
		check(head.kind == (uint32_t)kind && helper->count + w->message.fd_count <= ends);
		for (unsigned i = 0; i < w->message.fd_count; i++)
			helper->ends[helper->count++] = channel_take(&w->message, i);
	} while (head.left > 0);
	check(helper->count == ends);
	return 0;
}

/* The new end takes the old one's number, so that threads need not know. One that waits at the old one sees its end. */
void worker_helper_again(struct worker *w)
{
	struct channel_ends head;
	if (channel_head(&w->message, &head, sizeof(head)) || head.kind >= HELPER_KINDS)
		return;
	struct worker_helper *helper = &w->helpers[head.kind];
	if (helper->taken + w->message.fd_count + head.left > helper->count)
		return;
	for (unsigned i = 0; i < w->message.fd_count; i++) {
		unsigned index = helper->taken++;
		if (helper->renewed)
			helper->renewed(helper->context, index, w->message.fds[i]);
		if (dup3(w->message.fds[i], helper->ends[index], O_CLOEXEC) < 0)
			log_error("a helper cannot be reached: %m");
	}
	if (head.left == 0)
		helper->taken = 0;
}
