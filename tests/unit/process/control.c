/* SPDX-License-Identifier: BSD-2-Clause */
/* How a command finds the running weir (DESIGN §1): by the absolute path of FILE, never by its contents or what is on the disk. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/log.h"
#include "process/control.h"

/* The lock of a supervisor that ends just when another has found it locked. */
static const char *goes;
static int goes_too;

/* In place of the library's. */
int flock(int fd, int operation)
{
	static int (*next)(int, int);
	if (goes) {
		unlink(goes);
		close(goes_too);
		goes = NULL;
		errno = EWOULDBLOCK;
		return -1;
	}
	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "flock");
	return next(fd, operation);
}

static void expect_absolute(const char *file, const char *expected)
{
	char *path = control_absolute(file);
	assert_string_equal(path, expected);
	free(path);
}

static void test_absolute_paths(void **state)
{
	(void)state;
	assert_int_equal(chdir("/tmp"), 0);
	expect_absolute("weir.yaml", "/tmp/weir.yaml");
	expect_absolute("./a//b/../weir.yaml", "/tmp/a/weir.yaml");
	expect_absolute("../../../weir.yaml", "/weir.yaml");
	expect_absolute("/etc/./weir/../weir.yaml", "/etc/weir.yaml");
	expect_absolute("/no/such/folder/x", "/no/such/folder/x");
}

static void test_socket_names(void **state)
{
	char a[CONTROL_PATH_MAX], b[CONTROL_PATH_MAX], long_name[600];
	(void)state;
	setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
	assert_int_equal(control_path("/etc/weir/weir.yaml", a), 0);
	assert_non_null(strstr(a, "/weir/weir-"));
	assert_string_equal(a + strlen(a) - 5, ".sock");
	assert_int_equal(control_path("/srv/weir.yaml", b), 0);
	assert_string_not_equal(a, b);
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[0] = '/';
	long_name[sizeof(long_name) - 1] = 0;
	assert_int_equal(control_path(long_name, b), 0); /* as long as the file's name may be */
	if (geteuid() != 0) {
		setenv("XDG_RUNTIME_DIR", long_name, 1);
		assert_int_equal(control_path("/etc/weir/weir.yaml", a), -1);
	}
}

/* In a child, for the account changes. */
static void assert_good(int (*body)(void))
{
	int status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(body());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The lock on a file that was removed meanwhile keeps nobody out: it must not be taken for one. */
static int open_while_another_ends(void)
{
	struct control control;
	char path[CONTROL_PATH_MAX + 8];
	const char *file = "/no/such/folder/weir.yaml";
	if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
		return 1;
	char folder[] = "/tmp/weir-control-XXXXXX";
	if (!mkdtemp(folder))
		return 2;
	setenv("XDG_RUNTIME_DIR", folder, 1);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	log_open(null, LOG_LEVEL_ERROR, NULL);
	if (control_open(&control, file)) /* the folder and the lock */
		return 3;
	snprintf(path, sizeof(path), "%s.lock", control.path);
	struct control second;
	goes = path;
	goes_too = control.lock;
	int result = control_open(&second, file);
	if (result == 0 && access(path, F_OK))
		return 4; /* it runs, and so would a third one */
	if (result)
		result = control_open(&second, file); /* it is asked for once more */
	control_close(&second);
	char command[64];
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command) || result ? 5 : 0;
}

static void test_a_lock_that_is_gone_is_not_taken(void **state)
{
	(void)state;
	assert_good(open_while_another_ends);
}

static void make(const char *folder, const char *name)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/weir/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		_exit(90);
	close(fd);
}

static bool is_there(const char *folder, const char *name)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/weir/%s", folder, name);
	return access(path, F_OK) == 0;
}

/* Another one that runs, or that was killed. */
static pid_t another(const char *file, bool killed)
{
	struct control control;
	int says[2], status;
	char octet;
	if (pipe(says))
		_exit(91);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (control_open(&control, file) || write(says[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	close(says[1]);
	if (read(says[0], &octet, 1) != 1)
		_exit(92);
	close(says[0]);
	if (killed && (kill(pid, SIGKILL) || waitpid(pid, &status, 0) != pid))
		_exit(93);
	return pid;
}

static int sweep_what_is_dead(void)
{
	static const char *const strange[] = {"weir-0123456789abcdef.sock.lock.old",
		"weir-0123456789abcdeg.sock.lock", "weir_0123456789abcdef.sock.lock", "a.sock.lock",
		"-0123456789abcdef.sock.lock", "weir-0123456789abcdef.sock"};
	struct control control;
	char folder[] = "/tmp/weir-control-XXXXXX", dead[CONTROL_PATH_MAX], live[CONTROL_PATH_MAX],
	     path[CONTROL_PATH_MAX + 8], command[64];
	if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
		return 1;
	if (!mkdtemp(folder))
		return 2;
	setenv("XDG_RUNTIME_DIR", folder, 1);
	another("/a/dead.yaml", true);
	pid_t lives = another("/a/live.yaml", false);
	control_path("/a/dead.yaml", dead);
	control_path("/a/live.yaml", live);
	if (access(dead, F_OK))
		return 3;
	make(folder, "early-0123456789abcdef.sock.lock"); /* being made just now */
	for (size_t i = 0; i < COUNT_OF(strange); i++)
		make(folder, strange[i]);
	if (control_open(&control, "/a/own.yaml"))
		return 4;
	control_sweep(&control);
	snprintf(path, sizeof(path), "%s.lock", dead);
	if (access(dead, F_OK) == 0 || access(path, F_OK) == 0 ||
		!is_there(folder, "early-0123456789abcdef.sock.lock"))
		return 5;
	snprintf(path, sizeof(path), "%s.lock", live);
	if (access(live, F_OK) || access(path, F_OK) || access(control.path, F_OK))
		return 6;
	for (size_t i = 0; i < COUNT_OF(strange); i++) {
		if (!is_there(folder, strange[i]))
			return 10 + (int)i;
	}
	/* a lock that is gone does not make one who listens a dead one */
	if (unlink(path))
		return 7;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	control_sweep(&control);
	if (fd < 0 || access(live, F_OK) || access(path, F_OK))
		return 8;
	kill(lives, SIGKILL);
	control_close(&control);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command) ? 9 : 0;
}

static void test_what_the_dead_left_is_swept(void **state)
{
	(void)state;
	assert_good(sweep_what_is_dead);
}

/* Who sweeps has the lock for a moment only. */
static int open_while_another_sweeps(void)
{
	struct control control;
	char folder[] = "/tmp/weir-control-XXXXXX", path[CONTROL_PATH_MAX + 8], command[64];
	int ready[2];
	char octet;
	if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
		return 1;
	if (!mkdtemp(folder) || pipe(ready))
		return 2;
	setenv("XDG_RUNTIME_DIR", folder, 1);
	another("/a/dead.yaml", true);
	control_path("/a/dead.yaml", control.path);
	snprintf(path, sizeof(path), "%s.lock", control.path);
	if (fork() == 0) {
		int fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) || write(ready[1], "", 1) != 1)
			_exit(1);
		poll(NULL, 0, 10);
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &octet, 1) != 1)
		return 3;
	if (control_open(&control, "/a/dead.yaml"))
		return 4;
	control_close(&control);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command) ? 5 : 0;
}

static void test_who_sweeps_is_not_taken_for_one_that_runs(void **state)
{
	(void)state;
	assert_good(open_while_another_sweeps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_absolute_paths),
		cmocka_unit_test(test_socket_names),
		cmocka_unit_test(test_a_lock_that_is_gone_is_not_taken),
		cmocka_unit_test(test_what_the_dead_left_is_swept),
		cmocka_unit_test(test_who_sweeps_is_not_taken_for_one_that_runs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
