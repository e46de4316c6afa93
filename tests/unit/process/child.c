/* SPDX-License-Identifier: BSD-2-Clause */
/* One worker as the supervisor sees it, and the files that are opened for it (DESIGN §4): nothing that goes wrong there ends a worker
 * that is well, and no worker keeps the supervisor for itself. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "process/supervisor_priv.h"

static struct supervisor s;
static struct child child;
static int worker_end; /* of its channel */
static struct channel_message message;
static char folder[] = "/tmp/weir-child-XXXXXX";
static char path[64];

/* A worker that serves, as a process that only waits. */
static int set_up(void **state)
{
	int ends[2];
	(void)state;
	s = (struct supervisor){.log = -1};
	list_init(&s.children);
	list_init(&s.helpers);
	list_init(&s.openings);
	child = (struct child){.state = WORKER_SERVING, .birth = -1, .log = -1};
	if (channel_pair(ends))
		return -1;
	child.channel = ends[0];
	worker_end = ends[1];
	child.pid = fork();
	if (child.pid == 0) {
		close(ends[0]);
		for (;;)
			pause();
	}
	list_append(&s.children, &child.link);
	struct channel_register entry = {.number = 1,
		.role = FILE_ACCESS_LOG,
		.flags = O_WRONLY | O_APPEND | O_CREAT,
		.mode = 0640,
		.uid = (uint32_t)-1,
		.gid = (uint32_t)-1};
	return registry_add(&child.files, &entry, path);
}

static int tear_down(void **state)
{
	int status;
	(void)state;
	kill(child.pid, SIGKILL);
	waitpid(child.pid, &status, 0);
	registry_clear(&child.files);
	close(child.channel);
	close(worker_end);
	return 0;
}

static bool lives(void)
{
	int status;
	return !child.killed && waitpid(child.pid, &status, WNOHANG) == 0;
}

static struct opening *begin_opening(void)
{
	struct asker asker = child_asker(&child);
	opening_start(&s, &asker, 1);
	assert_false(list_empty(&s.openings));
	return container_of(s.openings.next, struct opening, link);
}

/* What the worker was answered: 0 or an errno. */
static int answered(void)
{
	struct channel_file file;
	assert_int_equal(channel_receive(worker_end, &message, false), 1);
	assert_int_equal(message.type, CHANNEL_FILE);
	assert_int_equal(channel_head(&message, &file, sizeof(file)), 0);
	assert_int_equal(message.fd_count, file.error == 0);
	channel_drop(&message);
	assert_int_equal(file.number, 1);
	return file.error;
}

static void test_an_opened_file_is_passed_on(void **state)
{
	(void)state;
	struct opening *opening = begin_opening();
	int status;
	assert_int_equal(waitpid(opening->pid, &status, 0), opening->pid);
	opening_finish(&s, opening);
	assert_int_equal(answered(), 0);
	assert_true(list_empty(&s.openings));
	assert_true(lives());
}

/* A worker that serves may have read from the network: of its files it gets certificates, and nothing for writing. */
static void test_a_serving_worker_reads_certificates_and_nothing_else(void **state)
{
	(void)state;
	struct channel_register entry = {.number = 2,
		.role = FILE_CERTIFICATE,
		.flags = O_RDONLY,
		.uid = (uint32_t)-1,
		.gid = (uint32_t)-1};
	struct channel_count number = {2};
	assert_int_equal(registry_add(&child.files, &entry, path), 0);
	assert_int_equal(channel_send(worker_end, CHANNEL_OPEN, &number, sizeof(number), NULL, 0,
				 NULL, 0, false),
		0);
	child_receive(&s, &child);
	assert_true(lives());
	assert_false(list_empty(&s.openings));
	struct opening *opening = container_of(s.openings.next, struct opening, link);
	opening_give_up(&s, opening);
	number.count = 1; /* the access log */
	assert_int_equal(channel_send(worker_end, CHANNEL_OPEN, &number, sizeof(number), NULL, 0,
				 NULL, 0, false),
		0);
	child_receive(&s, &child);
	assert_true(child.killed);
	assert_true(list_empty(&s.openings));
}

/* Files are named at the start, and a certificate is not written to. */
static void test_files_are_named_at_the_start(void **state)
{
	(void)state;
	struct channel_register entry = {.number = 2, .role = FILE_CERTIFICATE, .flags = O_RDWR};
	child.state = WORKER_STARTING;
	assert_int_equal(channel_send(worker_end, CHANNEL_REGISTER, &entry, sizeof(entry), path,
				 strlen(path), NULL, 0, false),
		0);
	child_receive(&s, &child);
	assert_true(child.killed);
	assert_null(registry_find(&child.files, 2));
}

/* The error log that a worker has opened at its start becomes the supervisor's once the worker serves; no other file does. */
static void test_the_log_is_taken_at_the_start(void **state)
{
	(void)state;
	static const enum file_role roles[] = {FILE_ACCESS_LOG, FILE_ERROR_LOG};
	child.state = WORKER_STARTING;
	child.log = -1;
	for (unsigned i = 0; i < 2; i++) {
		struct stat sent, taken;
		struct channel_register entry = {
			.number = 2 + i, .role = roles[i], .flags = O_WRONLY | O_APPEND};
		int log = memfd_create("log", MFD_CLOEXEC);
		assert_int_equal(fstat(log, &sent), 0);
		assert_int_equal(channel_send(worker_end, CHANNEL_REGISTER, &entry, sizeof(entry),
					 path, strlen(path), &log, 1, false),
			0);
		close(log);
		child_receive(&s, &child);
		assert_true(lives());
		assert_non_null(registry_find(&child.files, 2 + i));
		if (roles[i] != FILE_ERROR_LOG) {
			assert_int_equal(child.log, -1);
			continue;
		}
		assert_int_equal(fstat(child.log, &taken), 0);
		assert_int_equal(taken.st_ino, sent.st_ino);
		close(child.log);
		child.log = -1;
	}
}

/* A file system that hangs: the worker serves on with the log that it has. */
static void test_an_opening_that_hangs_costs_no_worker(void **state)
{
	(void)state;
	struct opening *opening = begin_opening();
	pid_t pid = opening->pid;
	int status;
	opening_give_up(&s, opening);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(answered(), ETIMEDOUT);
	assert_true(list_empty(&s.openings));
	assert_true(lives());
}

static void test_a_killed_opening_is_answered(void **state)
{
	(void)state;
	struct opening *opening = begin_opening();
	int status;
	/* what it may have answered already is taken away, as if it had died before */
	assert_int_equal(waitpid(opening->pid, &status, 0), opening->pid);
	assert_int_equal(channel_receive(opening->result, &message, true), 1);
	channel_drop(&message);
	opening_finish(&s, opening);
	assert_int_equal(answered(), EIO);
	assert_true(list_empty(&s.openings));
	assert_true(lives());
}

/* Others have their turn while one worker sends without an end. */
static void test_few_messages_are_heard_a_turn(void **state)
{
	unsigned left = 0;
	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(
			channel_send(worker_end, CHANNEL_LET_GO, NULL, 0, NULL, 0, NULL, 0, false),
			0);
	child_receive(&s, &child);
	while (channel_receive(child.channel, &message, false) == 1)
		left++;
	assert_int_equal(left, 100 - 32);
	assert_true(lives());
}

/* Its number may be another process's by now. */
static void test_what_has_ended_is_not_killed(void **state)
{
	(void)state;
	child.reaped = true;
	child_kill(&child);
	assert_true(lives());
	child.reaped = false;
	child_kill(&child);
	int status;
	assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* One that ends by itself just when it is told to drain is no fault; one that does not read its messages is. */
static void test_an_order_to_one_that_ends_kills_nobody(void **state)
{
	(void)state;
	const struct slice none = {NULL, 0};
	assert_int_equal(shutdown(worker_end, SHUT_RDWR), 0);
	child_drain(&s, &child, 1000, true, none);
	assert_true(lives());
	close(child.channel);
	close(worker_end);
	int ends[2];
	assert_int_equal(channel_pair(ends), 0);
	child.channel = ends[0];
	worker_end = ends[1];
	for (int i = 0; i < 100000 && lives(); i++)
		child_drain(&s, &child, 1000, true, none);
	assert_false(lives());
}

/* Nor by the last words of the dead, which are heard after its pid was given back. */
static void test_the_last_words_of_a_worker_kill_nobody(void **state)
{
	(void)state;
	struct child *dead = must_zalloc(sizeof(*dead));
	int ends[2];
	assert_int_equal(channel_pair(ends), 0);
	*dead = (struct child){.state = WORKER_DRAINING,
		.birth = -1,
		.log = -1,
		.place = 1,
		.channel = ends[0],
		.pid = child.pid}; /* as if it had come again */
	list_remove(&child.link);
	list_append(&s.children, &dead->link);
	sockets_init(&s.sockets);
	assert_int_equal(send(ends[1], "no message", 10, 0), 10);
	child_reap(&s, dead, 0);
	assert_true(list_empty(&s.children));
	assert_true(lives());
	close(ends[1]);
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof(path), "%s/a.log", folder);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_an_opened_file_is_passed_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_serving_worker_reads_certificates_and_nothing_else, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			test_files_are_named_at_the_start, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_the_log_is_taken_at_the_start, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_an_opening_that_hangs_costs_no_worker, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_killed_opening_is_answered, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_few_messages_are_heard_a_turn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_what_has_ended_is_not_killed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_the_last_words_of_a_worker_kill_nobody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_an_order_to_one_that_ends_kills_nobody, set_up, tear_down),
	};
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	log_open(null, LOG_LEVEL_ERROR, NULL);
	int result = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	rmdir(folder);
	return result;
}
