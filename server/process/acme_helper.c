/* SPDX-License-Identifier: BSD-2-Clause */
/* The helper has the account of its worker and no rights besides. It works while its worker takes new connections: when that drains, or is gone,
 * what is under way is ended and nothing more is begun, for the next worker's helper does it. Then it waits for the supervisor to let it go. */
#include "process/acme_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "process/acme.h"
#include "process/helper_self.h"
#include "process/keepsake.h"

#define FOREVER_MS 600000

struct acme_helper {
	struct helper_self self;
	struct acme_leash leash;
	bool alone;  /* the supervisor is gone, or lets go of us */
	bool pulled; /* the worker wants no more */
	int plan;    /* a descriptor; -1: not told yet */
};

/* The worker says nothing but the plan, once; then the end is all there is to hear. */
static bool hear_worker(struct acme_helper *helper)
{
	struct channel_message *message = &helper->self.message;
	int got = channel_receive(helper->self.ends[0], message, false);
	if (got < 0)
		return errno == EAGAIN;
	if (got == 1 && message->type == CHANNEL_PLAN && message->fd_count == 1 && helper->plan < 0)
		helper->plan = channel_take(message, 0);
	if (got == 1)
		channel_drop(message);
	return got == 1;
}

static bool pulled(struct acme_leash *leash)
{
	struct acme_helper *helper = container_of(leash, struct acme_helper, leash);
	if (!helper->alone && !helper_self_hear(&helper->self)) {
		helper->alone = true;
		leash->fds[0] = -1;
	}
	if (!helper->pulled && !hear_worker(helper)) {
		helper->pulled = true;
		leash->fds[1] = -1;
	}
	return helper->alone || helper->pulled;
}

static int read_plan(struct acme_helper *helper, struct acme_plan *plan)
{
	while (helper->plan < 0)
		if (acme_leash_wait(&helper->leash, FOREVER_MS))
			return -1;
	struct slice text = keepsake_map(helper->plan);
	int result = acme_plan_read(plan, text);
	keepsake_unmap(text);
	if (result)
		log_error("acme: the worker's plan is none");
	return result;
}

int acme_helper_run(void)
{
	static struct acme_helper helper; /* one a process */
	struct acme_plan plan = {0};
	helper.plan = -1;
	int result = helper_self_begin(&helper.self, HELPER_ACME, "acme");
	if (result)
		return result;
	/* before the rights go: whoever took another account is not allowed to look at itself */
	int self = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (self < 0 || helper_self_account(&helper.self)) {
		log_error("acme: cannot begin: %m");
		return 1;
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (helper_self_locked(&helper.self))
		return 1;
	helper.leash = (struct acme_leash){{WORKER_CHANNEL, helper.self.ends[0]}, pulled};
	struct acme_means means = {.sandbox = (enum sandbox_mode)helper.self.hello.want.sandbox,
		.self = self,
		.leash = &helper.leash};
	if (read_plan(&helper, &plan) == 0)
		acme_tend(&plan, &means);
	acme_plan_free(&plan);
	while (!helper.alone)
		acme_leash_wait(&helper.leash, FOREVER_MS);
	return 0;
}
