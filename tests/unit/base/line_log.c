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
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/line_log.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_every_line_whole_and_in_its_threads_order),
		cmocka_unit_test(counts_the_lines_that_a_full_disk_costs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
