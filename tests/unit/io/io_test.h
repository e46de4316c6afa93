/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of io share: a loop that gives up, and temporary folders. */
#ifndef WEIR_TESTS_IO_TEST_H
#define WEIR_TESTS_IO_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "io/loop.h"

static inline void too_late(struct ev_loop *ev, ev_timer *timer, int events)
{
	(void)timer, (void)events;
	ev_break(ev, EVBREAK_ALL);
}

/* Runs the loop until somebody stops it; 0, or -1 after 20 s. */
static inline int run_loop(struct loop *loop)
{
	ev_timer limit;
	ev_timer_init(&limit, too_late, 20., 0.);
	ev_now_update(loop->ev);
	ev_timer_start(loop->ev, &limit);
	loop_run(loop);
	int result = ev_is_active(&limit) ? 0 : -1;
	ev_timer_stop(loop->ev, &limit);
	return result;
}

/* A folder of its own; the caller removes it with remove_folder. */
static inline char *new_folder(void)
{
	static char path[64];
	snprintf(path, sizeof(path), "%s", "/tmp/weir-io-XXXXXX");
	assert_non_null(mkdtemp(path));
	return path;
}

static inline void remove_folder(const char *path)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", path);
	assert_int_equal(system(command), 0);
}

#endif
