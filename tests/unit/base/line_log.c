/* SPDX-License-Identifier: BSD-2-Clause */
/* The thread that writes log lines: every line whole, none lost at the end, a full disk costs lines and is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/line_log.h"
#include "base/log.h"

#define WRITERS 4
#define LINES   5000

struct writer {
	struct line_log *log;
	unsigned queue;
};

static void *write_lines(void *argument)
{
	struct writer *w = argument;
	for (int i = 0; i < LINES; i++) {
		char *line = line_log_reserve(w->log, w->queue, 40);
		if (!line)
			return w;
		line_log_commit(
			w->log, w->queue, (size_t)snprintf(line, 40, "%u %d end\n", w->queue, i));
	}
	return NULL;
}

static void writes_every_line_whole_and_in_its_threads_order(void **state)
{
	(void)state; /* DESIGN 6: gathered per thread and written by another */
	char path[] = "/tmp/weir-line-log-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	unlink(path);
	struct line_log *log = line_log_start(fd, WRITERS);
	assert_non_null(log);
	pthread_t threads[WRITERS];
	struct writer writers[WRITERS];
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){log, i};
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &writers[i]), 0);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		void *failed;
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	line_log_stop(log);
	FILE *file = fdopen(fd, "r");
	rewind(file);
	char line[64];
	int next[WRITERS] = {0}, total = 0;
	while (fgets(line, sizeof line, file)) {
		unsigned writer;
		int number, end = 0;
		assert_int_equal(sscanf(line, "%u %d end%n", &writer, &number, &end), 2);
		assert_true(end > 0 && writer < WRITERS);
		assert_int_equal(number, next[writer]++);
		total++;
	}
	assert_int_equal(total, WRITERS * LINES);
	fclose(file);
}

static void counts_the_lines_that_a_full_disk_costs(void **state)
{
	(void)state; /* CASES, Machine: a full disk stops nothing */
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	struct line_log *log = line_log_start(fd, 1);
	for (int i = 0; i < 3; i++) {
		char *line = line_log_reserve(log, 0, 8);
		assert_non_null(line);
		memcpy(line, "line\n", 5);
		line_log_commit(log, 0, 5);
	}
	for (int i = 0; i < 2000 && line_log_lost(log) < 3; i++)
		poll(NULL, 0, 1);
	assert_int_equal(line_log_lost(log), 3);
	line_log_stop(log);
	close(fd);
}

static void put(struct line_log *log, const char *text)
{
	size_t length = strlen(text);
	char *line = line_log_reserve(log, 0, length);
	assert_non_null(line);
	memcpy(line, text, length);
	line_log_commit(log, 0, length);
}

static void await_lost(struct line_log *log, uint64_t lost)
{
	for (int i = 0; i < 5000 && line_log_lost(log) < lost; i++)
		poll(NULL, 0, 1);
	assert_int_equal(line_log_lost(log), lost);
}

static int temporary(void)
{
	char path[] = "/tmp/weir-line-log-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	unlink(path);
	fcntl(fd, F_SETFL, O_APPEND);
	return fd;
}

static const char *contents(int fd)
{
	static char text[65536];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	assert_true(n >= 0);
	text[n] = 0;
	return text;
}

static void limit_files(rlim_t most)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = most == RLIM_INFINITY ? limit.rlim_max : most;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The limit of a file's size stands for the size of a disk: a piece is taken, then nothing. */
static void mends_a_line_that_a_full_disk_has_torn(void **state)
{
	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	int fd = temporary();
	struct line_log *log = line_log_start(fd, 1);
	limit_files(10);
	put(log, "one one\ntwo two\nthree\n");
	await_lost(log, 2);
	put(log, "four\n");
	await_lost(log, 3);
	limit_files(RLIM_INFINITY);
	put(log, "five\n");
	put(log, "six\n");
	assert_int_equal(line_log_stop(log), 3);
	assert_string_equal(contents(fd), "one one\ntw\nfive\nsix\n");
	close(fd);
}

static void begins_a_new_file_with_a_whole_line(void **state)
{
	(void)state; /* after a rotation that made room */
	int fd = temporary(), other = temporary();
	struct line_log *log = line_log_start(fd, 1);
	limit_files(2);
	put(log, "one\n");
	await_lost(log, 1);
	limit_files(RLIM_INFINITY);
	assert_int_equal(dup3(other, fd, O_CLOEXEC), fd);
	put(log, "two\n");
	line_log_stop(log);
	assert_string_equal(contents(other), "two\n");
	close(fd);
	close(other);
}

static void tells_at_once_and_then_what_came_since(void **state)
{
	(void)state;
	int errors = temporary(), full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	log_open(errors, LOG_LEVEL_INFO, NULL);
	struct line_log *log = line_log_start(full, 1);
	put(log, "1\n2\n");
	await_lost(log, 2);
	for (uint64_t lost = 3; lost < 10; lost++) {
		put(log, "line\n");
		await_lost(log, lost);
	}
	assert_int_equal(line_log_stop(log), 9);
	log_open(2, LOG_LEVEL_INFO, NULL);
	const char *told = contents(errors);
	const char *first = strstr(told, "access log: No space left on device; 2 lines are lost\n");
	assert_non_null(first);
	assert_non_null(
		strstr(first + 1, "access log: No space left on device; 7 lines are lost\n"));
	unsigned lines = 0;
	for (; *told; told++)
		lines += *told == '\n';
	assert_int_equal(lines, 2);
	close(errors);
	close(full);
}

struct reader {
	int fd;
	size_t length;
};

static void *read_late(void *argument)
{
	struct reader *reader = argument;
	static char bytes[1 << 16];
	poll(NULL, 0, 50);
	for (ssize_t n; (n = read(reader->fd, bytes, sizeof bytes)) > 0;)
		reader->length += (size_t)n;
	return NULL;
}

/* A stop while more than a pipe holds is waiting: who reads gets it all. */
static void a_pipe_gets_all_lines_from_who_stops(void **state)
{
	(void)state;
	int ends[2];
	pthread_t thread;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	struct reader reader = {ends[0], 0};
	struct line_log *log = line_log_start(ends[1], 1);
	char line[500];
	memset(line, 'x', sizeof line);
	line[sizeof line - 2] = '\n';
	line[sizeof line - 1] = 0;
	for (int i = 0; i < 1000; i++)
		put(log, line);
	assert_int_equal(pthread_create(&thread, NULL, read_late, &reader), 0);
	assert_int_equal(line_log_stop(log), 0);
	close(ends[1]);
	pthread_join(thread, NULL);
	assert_int_equal(reader.length, 1000 * strlen(line));
	close(ends[0]);
}

/* Also where the pipe has taken the place of a file. */
static void nobody_who_does_not_read_holds_up_a_stop(void **state)
{
	(void)state;
	int ends[2], fd = temporary();
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_true(fcntl(ends[1], F_SETPIPE_SZ, 4096) > 0);
	struct line_log *log = line_log_start(fd, 1);
	put(log, "to the file\n");
	while (lseek(fd, 0, SEEK_END) == 0)
		sched_yield();
	assert_int_equal(dup3(ends[1], fd, O_CLOEXEC), fd);
	line_log_reopened(log);
	for (int i = 0; i < 1000; i++)
		put(log, "line of ten\n");
	time_t before = time(NULL);
	uint64_t lost = line_log_stop(log);
	assert_true(lost > 500 && lost < 1000);
	assert_true(time(NULL) - before <= 4);
	close(ends[0]);
	close(ends[1]);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_every_line_whole_and_in_its_threads_order),
		cmocka_unit_test(counts_the_lines_that_a_full_disk_costs),
		cmocka_unit_test(mends_a_line_that_a_full_disk_has_torn),
		cmocka_unit_test(begins_a_new_file_with_a_whole_line),
		cmocka_unit_test(tells_at_once_and_then_what_came_since),
		cmocka_unit_test(a_pipe_gets_all_lines_from_who_stops),
		cmocka_unit_test(nobody_who_does_not_read_holds_up_a_stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
