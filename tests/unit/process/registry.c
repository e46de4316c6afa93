/* SPDX-License-Identifier: BSD-2-Clause */
/* Registered files (DESIGN §4): opened by a short-lived child, with the mode that was asked for, and never by a wait. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "process/registry.h"

static char folder[] = "/tmp/weir-registry-XXXXXX";
static char path[128];
static const struct channel_register log_entry = {.number = 5,
	.flags = O_WRONLY | O_APPEND | O_CREAT,
	.mode = 0640,
	.uid = (uint32_t)-1,
	.gid = (uint32_t)-1};

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/a.log", folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

/* Opens by number; returns the descriptor or minus the errno. */
static int open_by_number(const struct registry *registry, unsigned number)
{
	static struct channel_message message;
	struct channel_file file;
	int result, status, fd = -1;
	pid_t pid = registry_open(registry, number, &result);
	if (pid < 0)
		return -errno;
	assert_int_equal(channel_receive(result, &message, true), 1);
	assert_int_equal(channel_head(&message, &file, sizeof(file)), 0);
	assert_int_equal(file.number, number);
	if (file.error == 0)
		fd = channel_take(&message, 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(result);
	return file.error ? -file.error : fd;
}

static void test_a_log_is_made_and_appended_to(void **state)
{
	struct registry registry = {0};
	struct stat st;
	(void)state;
	mode_t mask = umask(0);
	assert_int_equal(registry_add(&registry, &log_entry, path), 0);
	for (int i = 0; i < 2; i++) {
		int fd = open_by_number(&registry, 5);
		assert_true(fd >= 0);
		assert_int_equal(fcntl(fd, F_GETFL) & (O_APPEND | O_ACCMODE | O_NONBLOCK),
			O_APPEND | O_WRONLY);
		assert_int_equal(write(fd, "line\n", 5), 5);
		close(fd);
	}
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 10);
	assert_int_equal(st.st_mode & 0777, 0640);
	umask(mask);
	registry_clear(&registry);
}

static void test_a_file_gets_its_owner(void **state)
{
	struct channel_register entry = log_entry;
	struct stat st;
	(void)state;
	if (geteuid() != 0)
		return;
	unlink(path);
	entry.uid = 65534;
	entry.gid = 65534;
	close(registry_open_here(&entry, path));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 65534);
	assert_int_equal(st.st_gid, 65534);
}

static void test_what_cannot_be_opened_says_why(void **state)
{
	struct registry registry = {0};
	char other[200];
	(void)state;
	assert_int_equal(open_by_number(&registry, 5), -ENOENT);
	assert_int_equal(open_by_number(&registry, REGISTRY_FILES_MAX), -ENOENT);
	snprintf(other, sizeof(other), "%s/none/deeper/a.log", folder);
	registry_add(&registry, &log_entry, other);
	assert_int_equal(open_by_number(&registry, 5), -ENOENT);
	registry_add(&registry, &log_entry, folder);
	assert_int_equal(open_by_number(&registry, 5), -EISDIR);
	registry_clear(&registry);
}

static void test_a_fifo_without_a_reader_is_no_wait(void **state)
{
	struct registry registry = {0};
	(void)state;
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	registry_add(&registry, &log_entry, path);
	assert_int_equal(open_by_number(&registry, 5), -ENXIO);
	registry_clear(&registry);
}

static void test_only_absolute_paths_and_numbers_that_exist(void **state)
{
	struct registry registry = {0};
	struct channel_register entry = log_entry;
	(void)state;
	assert_int_equal(registry_add(&registry, &entry, "a.log"), -1);
	assert_int_equal(registry_add(&registry, &entry, ""), -1);
	entry.number = REGISTRY_FILES_MAX;
	assert_int_equal(registry_add(&registry, &entry, path), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_log_is_made_and_appended_to),
		cmocka_unit_test(test_a_file_gets_its_owner),
		cmocka_unit_test(test_what_cannot_be_opened_says_why),
		cmocka_unit_test(test_a_fifo_without_a_reader_is_no_wait),
		cmocka_unit_test(test_only_absolute_paths_and_numbers_that_exist),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
