/* SPDX-License-Identifier: BSD-2-Clause */
/* The error log: what a line looks like, that no peer can forge one, limits, descriptors that change, failed checks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/counters.h"
#include "base/log.h"

static char text[1 << 20];

/* What was logged since the last call. */
static const char *taken(int fd)
{
	ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(len >= 0);
	text[len] = '\0';
	assert_int_equal(ftruncate(fd, 0), 0);
	lseek(fd, 0, SEEK_SET);
	return text;
}

static int begin(enum log_level level)
{
	int fd = memfd_create("log", MFD_CLOEXEC);
	assert_true(fd >= 0);
	log_open(fd, level, "worker");
	return fd;
}

static unsigned count(const char *haystack, const char *needle)
{
	unsigned n = 0;
	for (const char *at = haystack; (at = strstr(at, needle)); at += strlen(needle))
		n++;
	return n;
}

static void line_has_all_parts(void **state)
{
	(void)state;
	int fd = begin(LOG_LEVEL_INFO);
	struct log_scope scope = {.connection = 12, .request = 3, .what = "site example.com"};
	errno = ENOENT;
	log_at(&scope, LOG_LEVEL_WARN, LOG_ALWAYS, "cannot open %s: %m", "x");
	assert_int_equal(errno, ENOENT);
	const char *line = taken(fd);
	char expected[128];
	snprintf(expected, sizeof(expected),
		" warn worker[%d] connection 12 request 3 site example.com: cannot open x: No such file or directory\n",
		(int)getpid());
	assert_string_equal(line + 24, expected);
	assert_int_equal(line[10], 'T');
	assert_int_equal(line[23], 'Z');
	log_debug("below the level");
	assert_string_equal(taken(fd), "");
	log_open(2, LOG_LEVEL_INFO, NULL);
	close(fd);
}

static void controls_are_escaped(void **state)
{
	(void)state;
	int fd = begin(LOG_LEVEL_INFO);
	static const char *const cases[][2] = {
		{"a\n2026-01-01 forged", "a\\x0A2026-01-01 forged"},
		{"\r\t\x1b[2J\x7f", "\\x0D\\x09\\x1B[2J\\x7F"},
		{"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
			"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
		{"\xff\xc0\xaf", "\\xFF\\xC0\\xAF"},          /* overlong */
		{"\xed\xa0\x80", "\\xED\\xA0\\x80"},          /* a surrogate */
		{"\xf4\x90\x80\x80", "\\xF4\\x90\\x80\\x80"}, /* above U+10FFFF */
		{"\xc2\x85", "\\xC2\\x85"},                   /* NEL */
		{"\xe2\x80\xa8", "\\xE2\\x80\\xA8"},          /* LINE SEPARATOR */
		{"\xe2\x80\xae", "\\xE2\\x80\\xAE"},          /* RIGHT-TO-LEFT OVERRIDE */
		{"\xe2\x82", "\\xE2\\x82"},                   /* cut short */
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct log_scope scope = {.what = cases[i][0]};
		log_at(&scope, LOG_LEVEL_ERROR, LOG_ALWAYS, "<%s>", cases[i][0]);
		const char *line = taken(fd);
		char expected[128];
		snprintf(expected, sizeof(expected), " %s: <%s>\n", cases[i][1], cases[i][1]);
		assert_non_null(strstr(line, expected));
		assert_int_equal(count(line, "\n"), 1);
	}
	log_open(2, LOG_LEVEL_INFO, NULL);
	close(fd);
}

static void long_messages_are_cut(void **state)
{
	(void)state;
	int fd = begin(LOG_LEVEL_INFO);
	static char large[10000];
	memset(large, 'x', sizeof(large) - 1);
	log_error("%s", large);
	const char *line = taken(fd);
	assert_true(strlen(line) <= 4096);
	assert_string_equal(line + strlen(line) - 6, "x ...\n");
	memset(large, '\x01', sizeof(large) - 1);
	log_error("%s", large);
	line = taken(fd);
	assert_true(strlen(line) <= 4096);
	assert_string_equal(line + strlen(line) - 9, "\\x01 ...\n");
	log_open(2, LOG_LEVEL_INFO, NULL);
	close(fd);
}

/* Ten of one cause a second; the next second says how many were left out. */
/* By the clock that the log goes by: time() may lag behind it by a tick. */
static time_t second(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec;
}

static void causes_are_limited(void **state)
{
	(void)state;
	int fd = begin(LOG_LEVEL_INFO);
	time_t begun, ended;
	do { /* again when a second ended just here */
		taken(fd);
		begun = second();
		for (int i = 0; i < 100; i++) {
			log_at(NULL, LOG_LEVEL_WARN, LOG_CLIENT, "peer");
			log_at(NULL, LOG_LEVEL_WARN, LOG_ALWAYS, "ours");
		}
		ended = second();
		log_at(NULL, LOG_LEVEL_WARN, LOG_BACKEND, "backend");
	} while (begun != ended);
	const char *lines = taken(fd);
	assert_true(count(lines, "peer") <= 10);
	assert_int_equal(count(lines, "ours"), 100);
	assert_int_equal(count(lines, "backend"), 1);
	while (second() == ended)
		usleep(20000);
	log_at(NULL, LOG_LEVEL_WARN, LOG_CLIENT, "peer");
	lines = taken(fd);
	assert_non_null(strstr(lines, ": peer ("));
	assert_non_null(strstr(lines, " more like this left out)\n"));
	log_open(2, LOG_LEVEL_INFO, NULL);
	close(fd);
}

static _Atomic int go_on;

static void *write_lines(void *context)
{
	(void)context;
	while (atomic_load(&go_on))
		log_error("line");
	return NULL;
}

/* After log_reopen the old descriptor belongs to others, and not a byte may go there. */
static void nobody_writes_to_the_old_one(void **state)
{
	(void)state;
	int first = begin(LOG_LEVEL_INFO);
	atomic_store(&go_on, 1);
	pthread_t threads[2];
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, NULL), 0);
	int now = first;
	for (int i = 0; i < 100; i++) {
		int next = memfd_create("log", MFD_CLOEXEC);
		log_reopen(next);
		off_t size = lseek(now, 0, SEEK_END);
		sched_yield();
		assert_int_equal(lseek(now, 0, SEEK_END), size);
		close(now);
		now = next;
	}
	assert_int_equal(log_descriptor(), now);
	atomic_store(&go_on, 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	log_open(2, LOG_LEVEL_INFO, NULL);
	close(now);
}

/* What waits in a pipe. */
static const char *piped(int fd)
{
	ssize_t len = read(fd, text, sizeof(text) - 1);
	assert_true(len >= 0);
	text[len] = '\0';
	return text;
}

static bool deceived; /* a look says that there is room, and another process is quicker */

/* In place of the library's. */
int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	if (!deceived)
		return ppoll(fds, count, timeout < 0 ? NULL : &(struct timespec){0}, NULL);
	fds[0].revents = POLLOUT;
	return 1;
}

/* CASES, Logs: who reads standard error has stopped. Nobody waits for it, and it learns what it missed. */
static void nobody_waits_for_a_full_pipe(void **state)
{
	(void)state;
	int pipes[2];
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_true(fcntl(pipes[1], F_SETPIPE_SZ, 4096) >= 4096);
	log_open(pipes[1], LOG_LEVEL_INFO, "worker");
	alarm(20);
	for (int i = 0; i < 1000; i++)
		log_error("line %d", i);
	/* others share the stream: it stays as it was */
	assert_int_equal(fcntl(pipes[1], F_GETFL) & O_NONBLOCK, 0);
	unsigned whole = count(piped(pipes[0]), "\n");
	assert_true(whole > 0 && whole < 1000);
	assert_null(strstr(text, "lost"));
	log_error("again");
	char expected[64];
	snprintf(expected, sizeof(expected), ": again (%u lines before this one were lost)\n",
		1000 - whole);
	assert_non_null(strstr(piped(pipes[0]), expected));
	log_error("once more");
	assert_null(strstr(piped(pipes[0]), "lost"));
	alarm(0);
	log_open(2, LOG_LEVEL_INFO, NULL);
	close(pipes[0]);
	close(pipes[1]);
}

/* Kernels before 6.4 cannot be told. */
static bool pipes_can_be_told(int fd)
{
	struct iovec part = {(char[]){'x'}, 1};
	return pwritev2(fd, &part, 1, -1, RWF_NOWAIT) >= 0 || errno == EAGAIN;
}

static void nobody_waits_where_another_process_was_quicker(void **state)
{
	(void)state;
	int pipes[2];
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_true(fcntl(pipes[1], F_SETPIPE_SZ, 4096) >= 4096);
	log_open(pipes[1], LOG_LEVEL_INFO, NULL);
	static const char page[4096];
	assert_int_equal(write(pipes[1], page, sizeof(page)), sizeof(page));
	if (pipes_can_be_told(pipes[1])) {
		alarm(20);
		deceived = true;
		log_error("once more");
		deceived = false;
		alarm(0);
	}
	piped(pipes[0]);
	log_error("again");
	const char *line = piped(pipes[0]);
	assert_null(strstr(line, "once more"));
	assert_non_null(strstr(line, "again"));
	log_open(2, LOG_LEVEL_INFO, NULL);
	close(pipes[0]);
	close(pipes[1]);
}

/* Likewise what a worker said before it was READY, which may be long. */
static void nobody_waits_with_lines_of_others(void **state)
{
	(void)state;
	static char lines[40 * 1000 + 1];
	int pipes[2];
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_true(fcntl(pipes[1], F_SETPIPE_SZ, 4096) >= 4096);
	log_open(pipes[1], LOG_LEVEL_INFO, NULL);
	for (int i = 0; i < 1000; i++)
		snprintf(lines + 40 * i, 41, "%039d\n", i);
	alarm(20);
	log_lines(lines, 120);
	assert_memory_equal(piped(pipes[0]), lines, 120);
	assert_int_equal(strlen(text), 120);
	log_lines(lines, sizeof(lines) - 1);
	piped(pipes[0]);
	unsigned whole = count(text, "\n");
	assert_int_equal(strlen(text), 40 * whole); /* no line is cut in two */
	assert_true(whole > 0 && whole < 1000);
	log_error("again");
	char expected[64];
	snprintf(expected, sizeof(expected), ": again (%u lines before this one were lost)\n",
		1000 - whole);
	assert_non_null(strstr(piped(pipes[0]), expected));
	alarm(0);
	log_open(2, LOG_LEVEL_INFO, NULL);
	close(pipes[0]);
	close(pipes[1]);
}

static void failed_check_aborts_and_says_where(void **state)
{
	(void)state;
	int fd = begin(LOG_LEVEL_INFO);
	pid_t child = fork();
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		int nowhere = memfd_create("stderr", 0);
		dup2(nowhere, 2);
		int one = 1;
		check(one == 2);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(taken(fd), "broken invariant: one == 2 ("));
	log_open(2, LOG_LEVEL_INFO, NULL);
	close(fd);
}

static void counters_have_names(void **state)
{
	(void)state;
	struct counters counters = {0};
	for (unsigned i = 0; i < COUNTER_COUNT; i++) {
		assert_true(strlen(counter_name((enum counter)i)) > 0);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(
				counter_name((enum counter)i), counter_name((enum counter)j));
	}
	counter_add(&counters, COUNTER_OPEN, 2);
	counter_add(&counters, COUNTER_OPEN, -1);
	assert_int_equal(counter_read(&counters, COUNTER_OPEN), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_has_all_parts),
		cmocka_unit_test(controls_are_escaped),
		cmocka_unit_test(long_messages_are_cut),
		cmocka_unit_test(causes_are_limited),
		cmocka_unit_test(nobody_writes_to_the_old_one),
		cmocka_unit_test(nobody_waits_for_a_full_pipe),
		cmocka_unit_test(nobody_waits_where_another_process_was_quicker),
		cmocka_unit_test(nobody_waits_with_lines_of_others),
		cmocka_unit_test(failed_check_aborts_and_says_where),
		cmocka_unit_test(counters_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
