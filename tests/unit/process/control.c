/* SPDX-License-Identifier: BSD-2-Clause */
/* How a command finds the running weir (DESIGN §1): by the absolute path of FILE, never by its contents or what is on the disk. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

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
	int status;
	(void)state;
	pid_t pid = fork();
	if (pid == 0)
		_exit(open_while_another_ends());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_absolute_paths),
		cmocka_unit_test(test_socket_names),
		cmocka_unit_test(test_a_lock_that_is_gone_is_not_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
