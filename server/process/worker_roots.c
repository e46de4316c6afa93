/* SPDX-License-Identifier: BSD-2-Clause */
/* The thread of a worker that follows its roots. It looks at their disks, which may hang, and then it hangs with them, not the worker's own
 * thread. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "process/bell.h"
#include "process/roots.h"
#include "process/worker_priv.h"

#define PAUSE_MS 50 /* between two looks, at least: where roots stand much may come and go */
#define REST     20 /* and so many times what a look takes, where there are thousands */

struct following {
	struct worker *worker;
	pthread_t id;
	bool begun;
	int over; /* rung when it is to end */
	int gone; /* rung by the thread as the last thing it does */
};

static void look(struct worker *w, int watch)
{
	bool locked = w->snapshot->core.sandbox != SANDBOX_OFF;
	if (!roots_moved(watch, &w->roots, &w->grants, locked))
		return;
	log_info("a root has moved: asking for a reload");
	if (channel_send(WORKER_CHANNEL, CHANNEL_RELOAD, NULL, 0, NULL, 0, NULL, 0, false))
		log_error("the supervisor does not listen: %m");
}

/* Is it to end within the time (-1: any) before something happens? */
static bool ends(const struct following *f, int watch, int ms)
{
	struct pollfd polls[2] = {
		{.fd = f->over, .events = POLLIN}, {.fd = watch, .events = POLLIN}};
	while (poll(polls, COUNT_OF(polls), ms) < 0 && errno == EINTR)
		;
	return polls[0].revents != 0;
}

/* What has moved since the grants were made is found by the first look. */
static void *run(void *argument)
{
	struct following *f = argument;
	prctl(PR_SET_NAME, "weir-roots");
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (watch < 0)
		log_warn("no inotify (%m): roots that move are not followed");
	while (watch >= 0) {
		uint64_t before = worker_now();
		look(f->worker, watch);
		if (ends(f, -1, PAUSE_MS + REST * (int)(worker_now() - before)) ||
			ends(f, watch, -1))
			break;
	}
	if (watch >= 0)
		close(watch);
	bell_ring(f->gone);
	return NULL;
}

void worker_roots_begin(struct worker *w)
{
	if (w->roots.count == 0)
		return;
	struct following *f = must_zalloc(sizeof(*f));
	f->worker = w;
	f->over = bell_new();
	f->gone = bell_new();
	int error = f->over < 0 || f->gone < 0 ? errno : pthread_create(&f->id, NULL, run, f);
	if (error)
		log_error("roots that move are not followed: cannot start a thread: %s",
			strerror(error));
	f->begun = error == 0;
	w->following = f;
}

void worker_roots_end(struct worker *w)
{
	if (w->following)
		bell_ring(w->following->over);
}

bool worker_roots_join(struct worker *w, int ms)
{
	struct following *f = w->following;
	return !f || !f->begun || bell_join(f->gone, f->id, ms);
}
