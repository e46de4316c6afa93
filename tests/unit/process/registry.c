/* SPDX-License-Identifier: BSD-2-Clause */
/* Registered files (DESIGN §4): opened by a short-lived child, with the mode that was asked for, never by a wait, and never where a link
 * of somebody else leads. */
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

/* USR1 has both logs opened at once, and their folder may be gone: each of the two may be the one that makes it. */
static void test_two_at_once_in_a_folder_that_is_missing(void **state)
{
	enum { TIMES = 300 };
	static struct channel_message message;
	struct registry registry = {0};
	struct channel_file file;
	char parent[128], paths[2][160];
	int results[2], status;
	pid_t pids[2];
	(void)state;
	snprintf(parent, sizeof(parent), "%s/logs", folder);
	for (unsigned k = 0; k < 2; k++) {
		struct channel_register entry = log_entry;
		entry.number = k;
		snprintf(paths[k], sizeof(paths[k]), "%s/%u.log", parent, k);
		assert_int_equal(registry_add(&registry, &entry, paths[k]), 0);
	}
	for (int i = 0; i < TIMES; i++) {
		for (unsigned k = 0; k < 2; k++)
			assert_true((pids[k] = registry_open(&registry, k, &results[k])) > 0);
		for (unsigned k = 0; k < 2; k++) {
			assert_int_equal(channel_receive(results[k], &message, true), 1);
			assert_int_equal(channel_head(&message, &file, sizeof(file)), 0);
			channel_drop(&message);
			assert_int_equal(waitpid(pids[k], &status, 0), pids[k]);
			close(results[k]);
			assert_int_equal(file.error, 0);
			assert_int_equal(unlink(paths[k]), 0);
		}
		assert_int_equal(rmdir(parent), 0);
	}
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

/* --- Links. --- */

static char precious[128], link_path[128];

/* A file that is not to be reached, and its folder given to the account of the log. */
static void set_trap(void)
{
	unlink(path);
	unlink(precious);
	unlink(link_path);
	snprintf(precious, sizeof(precious), "%s/precious", folder);
	snprintf(link_path, sizeof(link_path), "%s/link", folder);
	close(open(precious, O_WRONLY | O_CREAT, 0600));
}

static int give_to_nobody(const char *file)
{
	return lchown(file, 65534, 65534);
}

static void clear_trap(void)
{
	unlink(path);
	unlink(precious);
	unlink(link_path);
}

static int opened(const char *file)
{
	int fd = registry_open_here(&log_entry, file);
	if (fd < 0)
		return -errno;
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	return 0;
}

static off_t size_of(const char *file)
{
	struct stat st;
	assert_int_equal(stat(file, &st), 0);
	return st.st_size;
}

/* Root opens the logs, and the account of the worker may own their folder. */
static void test_links_of_others_are_not_followed(void **state)
{
	(void)state;
	if (geteuid() != 0)
		return;
	set_trap();
	assert_int_equal(symlink(precious, path), 0);
	assert_int_equal(give_to_nobody(path), 0);
	assert_int_equal(opened(path), -ELOOP);
	/* not even by a link of our own that leads there */
	assert_int_equal(symlink("a.log", link_path), 0);
	assert_int_equal(opened(link_path), -ELOOP);
	assert_int_equal(size_of(precious), 0);
	/* nor is a file made where one leads */
	unlink(precious);
	assert_int_equal(opened(path), -ELOOP);
	assert_int_equal(access(precious, F_OK), -1);
	clear_trap();
}

static int read_by_root(const char *file)
{
	struct channel_register entry = {.role = FILE_KEY, .flags = O_RDONLY};
	int fd = registry_open_here(&entry, file);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* A key may be some other account's, with the links that lead to it (certbot's, if that is not root's); never root's by such links. */
static void test_links_of_others_lead_to_their_own_files_when_read(void **state)
{
	(void)state;
	if (geteuid() != 0)
		return;
	set_trap();
	assert_int_equal(symlink(precious, path), 0);
	assert_int_equal(symlink("a.log", link_path), 0);
	assert_int_equal(read_by_root(link_path), 0);
	assert_int_equal(give_to_nobody(path), 0);
	assert_int_equal(read_by_root(path), -ELOOP);
	assert_int_equal(read_by_root(link_path), -ELOOP);
	assert_int_equal(give_to_nobody(precious), 0);
	assert_int_equal(read_by_root(path), 0);
	assert_int_equal(read_by_root(link_path), 0);
	assert_int_equal(opened(path), -ELOOP); /* written to it is not */
	assert_int_equal(lchown(link_path, 1, 1), 0);
	assert_int_equal(read_by_root(link_path), -ELOOP); /* one of a third */
	clear_trap();
}

static void test_our_own_links_are_followed(void **state)
{
	char other[200];
	(void)state;
	set_trap();
	assert_int_equal(symlink("link", path), 0);
	assert_int_equal(symlink("precious", link_path), 0);
	assert_int_equal(opened(path), 0);
	assert_int_equal(size_of(precious), 1);
	unlink(precious); /* and what they lead to is made */
	assert_int_equal(opened(path), 0);
	assert_int_equal(size_of(precious), 1);
	unlink(link_path);
	snprintf(other, sizeof(other), "%s/precious", folder);
	assert_int_equal(symlink(other, link_path), 0);
	assert_int_equal(opened(path), 0);
	assert_int_equal(size_of(precious), 2);
	unlink(link_path);
	assert_int_equal(symlink("a.log", link_path), 0); /* in a circle */
	assert_int_equal(opened(path), -ELOOP);
	clear_trap();
}

/* Containers: /dev/stdout leads by /proc to whatever standard output is. */
static void test_standard_streams_by_their_links(void **state)
{
	int pipes[2];
	char byte = 0;
	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(pipes[1], STDOUT_FILENO);
		_exit(opened("/dev/stdout") ? 1 : 0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	close(pipes[0]);
	close(pipes[1]);
}

/* Where the kernel lets everybody give a second name to any file. */
static void test_second_names_of_files_are_refused_where_others_can_make_them(void **state)
{
	(void)state;
	set_trap();
	assert_int_equal(link(precious, path), 0);
	assert_int_equal(opened(path), 0); /* the folder is ours alone: so was the link */
	assert_int_equal(chmod(folder, 0770), 0);
	assert_int_equal(opened(path), -EMLINK);
	assert_int_equal(chmod(folder, 0700), 0);
	if (geteuid() == 0) {
		assert_int_equal(give_to_nobody(folder), 0);
		assert_int_equal(opened(path), -EMLINK);
		assert_int_equal(lchown(folder, 0, 0), 0);
		assert_int_equal(give_to_nobody(precious), 0);
		assert_int_equal(opened(path), -EMLINK);
		unlink(precious); /* one name is as good as any: the log of an account */
		assert_int_equal(opened(path), 0);
	}
	clear_trap();
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
		cmocka_unit_test(test_two_at_once_in_a_folder_that_is_missing),
		cmocka_unit_test(test_a_file_gets_its_owner),
		cmocka_unit_test(test_what_cannot_be_opened_says_why),
		cmocka_unit_test(test_a_fifo_without_a_reader_is_no_wait),
		cmocka_unit_test(test_links_of_others_are_not_followed),
		cmocka_unit_test(test_links_of_others_lead_to_their_own_files_when_read),
		cmocka_unit_test(test_our_own_links_are_followed),
		cmocka_unit_test(test_standard_streams_by_their_links),
		cmocka_unit_test(test_second_names_of_files_are_refused_where_others_can_make_them),
		cmocka_unit_test(test_only_absolute_paths_and_numbers_that_exist),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
