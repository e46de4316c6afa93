/* SPDX-License-Identifier: BSD-2-Clause */
/* Connecting to backends without waiting for them. */
#include "io/dial.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

static void stop_watching(struct dial *dial)
{
	ev_io_stop(dial->loop->ev, &dial->watch);
	ev_timer_stop(dial->loop->ev, &dial->timeout);
	loop_forget(&dial->report);
}

/* The last thing that touches `dial`: the caller may free it in `done`. */
static void finish(struct dial *dial, int error)
{
	stop_watching(dial);
	int fd = dial->fd;
	dial->fd = -1;
	if (error != 0 && fd >= 0) {
		close(fd);
		fd = -1;
	}
	dial->done(dial, fd, error);
}

static void on_report(struct task *task)
{
	struct dial *dial = container_of(task, struct dial, report);
	finish(dial, dial->error);
}

static void on_writable(struct ev_loop *ev, ev_io *watch, int events)
{
	(void)ev, (void)events;
	struct dial *dial = container_of(watch, struct dial, watch);
	int error = 0;
	socklen_t size = sizeof(error);
	if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	finish(dial, error);
}

static void on_timeout(struct ev_loop *ev, ev_timer *timer, int events)
{
	(void)ev, (void)events;
	finish(container_of(timer, struct dial, timeout), ETIMEDOUT);
}

/* An outcome that is known already; the caller of dial_start hears of it later. */
static void report(struct dial *dial, int error)
{
	dial->error = error;
	loop_defer(dial->loop, &dial->report);
}

void dial_start(struct dial *dial, struct loop *loop, const struct address *to, uint64_t timeout_ms,
	dial_done_fn *done)
{
	memset(dial, 0, sizeof(*dial));
	dial->loop = loop;
	dial->done = done;
	dial->report.run = on_report;
	ev_init(&dial->watch, on_writable);
	ev_init(&dial->timeout, on_timeout);

	dial->fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (dial->fd < 0) {
		report(dial, errno);
		return;
	}
	if (to->any.sa_family != AF_UNIX) {
		int on = 1;
		setsockopt(dial->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	}
	int connected = connect(dial->fd, &to->any, to->length);
	if (connected < 0 && errno != EINPROGRESS && errno != EINTR) {
		report(dial, errno);
		return;
	}
	if (connected == 0) {
		report(dial, 0);
		return;
	}
	ev_io_set(&dial->watch, dial->fd, EV_WRITE);
	ev_io_start(loop->ev, &dial->watch);
	if (timeout_ms > 0) {
		ev_timer_set(&dial->timeout, (double)timeout_ms / 1000.0, 0.);
		ev_timer_start(loop->ev, &dial->timeout);
	}
}

void dial_cancel(struct dial *dial)
{
	if (!dial->loop)
		return;
	stop_watching(dial);
	if (dial->fd >= 0)
		close(dial->fd);
	dial->fd = -1;
}
