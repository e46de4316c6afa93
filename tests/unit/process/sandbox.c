/* SPDX-License-Identifier: BSD-2-Clause */
/* The sandbox (DESIGN §4): what is granted can be reached, all else cannot, and no rights or programs can be had any more. Each case
 * locks in a child of its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/sandbox.h"

static char folder[] = "/tmp/weir-sandbox-XXXXXX";
static struct grants grants;

static void name(char to[128], const char *file)
{
	snprintf(to, 128, "%s/%s", folder, file);
}

static void make_file(const char *file)
{
	char path[128];
	name(path, file);
	close(open(path, O_WRONLY | O_CREAT, 0644));
}

static void make_folder(const char *file)
{
	char path[128];
	name(path, file);
	mkdir(path, 0755);
}

/* releases/1/index, live/root -> ../releases/1, other/secret, temp */
static int set_up(void **state)
{
	char path[128];
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	make_folder("releases");
	make_folder("releases/1");
	make_folder("releases/2");
	make_folder("live");
	make_folder("other");
	make_folder("temp");
	make_file("releases/1/index");
	make_file("releases/2/index");
	make_file("other/secret");
	name(path, "live/root");
	return symlink("../releases/1", path);
}

static int tear_down(void **state)
{
	char command[160];
	(void)state;
	grants_clear(&grants);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

static int opens(const char *file, int flags)
{
	char path[128];
	name(path, file);
	int fd = open(path, flags, 0600);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Runs a case in a locked child, which ends with the number of the first expectation that failed. */
static void locked(int (*body)(void))
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		char path[128];
		name(path, "live/root");
		grants_add(&grants, path, false);
		name(path, "temp");
		grants_add(&grants, path, true);
		if (sandbox_enter(SANDBOX_REQUIRE, &grants))
			_exit(100);
		_exit(body());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int files_body(void)
{
	if (!opens("releases/1/index", O_RDONLY) || !opens("live/root/index", O_RDONLY))
		return 1;
	if (!opens("releases/2/index", O_RDONLY)) /* a deploy may switch the link */
		return 2;
	if (opens("other/secret", O_RDONLY) || open("/etc/passwd", O_RDONLY) >= 0)
		return 3;
	if (opens("releases/1/index", O_WRONLY) || opens("releases/1/new", O_WRONLY | O_CREAT))
		return 4;
	if (!opens("temp/new", O_RDWR | O_CREAT) || opens("temp/../other/new", O_RDWR | O_CREAT))
		return 5;
	return 0;
}

static void test_files(void **state)
{
	(void)state;
	locked(files_body);
}

static int rights_body(void)
{
	char program[] = "/bin/true";
	char *const arguments[] = {program, NULL};
	execv(program, arguments);
	if (errno != EPERM && errno != EACCES)
		return 1;
	if (kill(getppid(), 0) == 0)
		return 2;
	if (socket(AF_NETLINK, SOCK_RAW, 0) >= 0 || socket(AF_PACKET, SOCK_RAW, 0) >= 0)
		return 3;
	if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
		MAP_FAILED)
		return 4;
	if (setuid(1) == 0 && getuid() == 1)
		return 5;
	return 0;
}

static void test_no_programs_and_no_rights(void **state)
{
	(void)state;
	locked(rights_body);
}

static int bind_body(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		return 1;
	any.sin_port = htons(1);
	/* from version 4 on; before it the worker has no rights to low ports anyway */
	return bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0;
}

static void test_no_port_can_be_bound(void **state)
{
	(void)state;
	locked(bind_body);
}

static void *nothing(void *argument)
{
	return argument;
}

static int threads_body(void)
{
	pthread_t thread;
	void *result = NULL;
	int fds[2];
	if (pthread_create(&thread, NULL, nothing, fds) || pthread_join(thread, &result) ||
		result != fds)
		return 1;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) || write(fds[0], "x", 1) != 1)
		return 2;
	free(malloc(1 << 22));
	return 0;
}

static void test_what_a_worker_does_still_works(void **state)
{
	(void)state;
	locked(threads_body);
}

static void test_the_top_folder_is_never_granted(void **state)
{
	struct grants some = {0};
	(void)state;
	grants_add(&some, "/srv", false);
	grants_add(&some, "/etc/passwd", false);
	grants_add(&some, "/etc/group", false);
	assert_int_equal(some.count, 2);
	assert_string_equal(some.list[0].path, "/srv");
	assert_string_equal(some.list[1].path, "/etc");
	grants_clear(&some);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#if !defined(WEIR_SANITIZERS) && !defined(WEIR_COVERAGE)
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_no_programs_and_no_rights),
		cmocka_unit_test(test_no_port_can_be_bound),
		cmocka_unit_test(test_what_a_worker_does_still_works),
#endif
		cmocka_unit_test(test_the_top_folder_is_never_granted),
	};
	(void)files_body, (void)test_files, (void)test_no_programs_and_no_rights,
		(void)test_no_port_can_be_bound, (void)test_what_a_worker_does_still_works;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
