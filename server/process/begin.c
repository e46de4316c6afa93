/* SPDX-License-Identifier: BSD-2-Clause */
/* The first steps of every process that the supervisor starts. */
#include "process/begin.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "process/channel.h"

/* The supervisor speaks by the channel. Signals to the whole group (Ctrl-C) are its business; until here they were blocked. What may
 * not be written, to a pipe without a reader or beyond the limit of files, is an error and no death. */
static void ignore_signals(void)
{
	sigset_t none;
	static const int ignored[] = {
		SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};
	for (size_t i = 0; i < COUNT_OF(ignored); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool has_channel(void)
{
	int type = 0;
	socklen_t length = sizeof(type);
	return getsockopt(WORKER_CHANNEL, SOL_SOCKET, SO_TYPE, &type, &length) == 0 &&
	       type == SOCK_SEQPACKET && fcntl(WORKER_BIRTH, F_GETFD) >= 0;
}

void process_follow(bool on)
{
	struct ucred supervisor;
	socklen_t length = sizeof(supervisor);
	prctl(PR_SET_PDEATHSIG, on ? SIGKILL : 0);
	/* it may have died before */
	if (on && getsockopt(WORKER_CHANNEL, SOL_SOCKET, SO_PEERCRED, &supervisor, &length) == 0 &&
		supervisor.pid != getppid())
		_exit(1);
}

int process_begin(const char *command, const char *name)
{
	if (!has_channel()) {
		fprintf(stderr, "weir: `weir %s` is started by `weir run` and by nobody else\n",
			command);
		return -1;
	}
	process_follow(true);
	prctl(PR_SET_NAME, name);
	fcntl(WORKER_CHANNEL, F_SETFD, FD_CLOEXEC);
	fcntl(WORKER_BIRTH, F_SETFD, FD_CLOEXEC);
	ignore_signals();
	log_open(WORKER_BIRTH, LOG_LEVEL_INFO, command);
	return 0;
}
