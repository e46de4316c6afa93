/* SPDX-License-Identifier: BSD-2-Clause */
/* How a command finds the running weir (DESIGN §1): by the absolute path of FILE, never by its contents or what is on the disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/control.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_absolute_paths),
		cmocka_unit_test(test_socket_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
