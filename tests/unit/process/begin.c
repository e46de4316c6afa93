/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether a process dies with the supervisor that has started it (process/begin.h). */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/begin.h"
#include "process/channel.h"

enum course { STARTS, TAKES_AN_ACCOUNT, HAS_STARTED, IS_LATE };

struct pipes {
	int ping[2], echo[2]; /* it answers each octet while it lives, and has said one before */
};

static _Noreturn void live(enum course course, pid_t supervisor, int channel, struct pipes pipes)
{
	char octet = 0;
	int in = fcntl(pipes.ping[0], F_DUPFD, 100), out = fcntl(pipes.echo[1], F_DUPFD, 100),
	    far = fcntl(channel, F_DUPFD, 100);
	if (dup2(far, WORKER_CHANNEL) < 0 || dup2(2, WORKER_BIRTH) < 0)
		_exit(2);
	close_range(WORKER_BIRTH + 1, 99, 0);
	while (course == IS_LATE && getppid() == supervisor)
		poll(NULL, 0, 1);
	if (process_begin("worker", "weir-test"))
		_exit(3);
	if (course == TAKES_AN_ACCOUNT && geteuid() == 0 && setresuid(65534, 65534, 65534))
		_exit(4);
	if (course == TAKES_AN_ACCOUNT)
		process_follow(true);
	if (course == HAS_STARTED)
		process_follow(false);
	do
		if (write(out, &octet, 1) != 1)
			_exit(5);
	while (read(in, &octet, 1) == 1);
	_exit(0);
}

static bool outlives(enum course course)
{
	struct pipes pipes;
	int pair[2], status;
	char octet;
	assert_int_equal(pipe(pipes.ping) | pipe(pipes.echo), 0);
	pid_t supervisor = fork();
	if (supervisor == 0) {
		pid_t self = getpid();
		if (channel_pair(pair))
			_exit(1);
		if (fork() == 0)
			live(course, self, pair[1], pipes);
		_exit(course == IS_LATE || read(pipes.echo[0], &octet, 1) == 1 ? 0 : 1);
	}
	close(pipes.echo[1]);
	assert_int_equal(waitpid(supervisor, &status, 0), supervisor);
	assert_int_equal(status, 0);
	assert_int_equal(write(pipes.ping[1], "", 1), 1);
	bool result = read(pipes.echo[0], &octet, 1) == 1;
	close(pipes.ping[0]);
	close(pipes.ping[1]); /* it ends now */
	close(pipes.echo[0]);
	return result;
}

static void test_who_starts_dies_with_the_supervisor(void **state)
{
	(void)state;
	assert_false(outlives(STARTS));
	assert_false(outlives(TAKES_AN_ACCOUNT));
}

static void test_who_starts_too_late_ends_itself(void **state)
{
	(void)state;
	assert_false(outlives(IS_LATE));
}

static void test_who_has_started_goes_on(void **state)
{
	(void)state;
	assert_true(outlives(HAS_STARTED));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_starts_dies_with_the_supervisor),
		cmocka_unit_test(test_who_starts_too_late_ends_itself),
		cmocka_unit_test(test_who_has_started_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
