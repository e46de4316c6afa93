/* SPDX-License-Identifier: BSD-2-Clause */
/* Quotas of control groups, of both versions, as the kernel's documentation (admin-guide/cgroup-v2, scheduler/sched-bwc) writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sched.h>
#include <unistd.h>

#include "base/check.h"
#include "group_folder.h"
#include "process/cpus.h"

static unsigned quota(const char *self)
{
	return cpus_of_quota(slice_of(self), group_folder);
}

static void version_2(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		unsigned cpus;
	} cases[] = {{"max 100000\n", 0}, {"100000 100000\n", 1}, {"50000 100000\n", 1},
		{"1000 100000\n", 1}, {"150000 100000\n", 2}, {"200000 100000\n", 2},
		{"200001 100000\n", 3}, {"6400000 100000\n", 64}, {"", 0}, {"max", 0},
		{"-1 100000", 0}, {"0 0", 0}, {"1 0", 0}, {"99999999999999999999 1", 0},
		{"nonsense", 0}};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		group_put("/service", "cpu.max", cases[i].text);
		assert_int_equal(quota("0::/service\n"), cases[i].cpus);
	}
}

/* The narrowest of all above counts; names of outside a container lead nowhere, and its own group stands at the top. */
static void groups_above(void **state)
{
	(void)state;
	group_put("/a", "cpu.max", "300000 100000\n");
	group_put("/a/b", "cpu.max", "max 100000\n");
	group_put("/a/b/c", "cpu.max", "800000 100000\n");
	assert_int_equal(quota("0::/a/b/c\n"), 3);
	assert_int_equal(quota("0::/a/b\n"), 3);
	assert_int_equal(quota("0::/\n"), 0);
	group_put("", "cpu.max", "200000 100000\n");
	assert_int_equal(quota("0::/a/b/c\n"), 2);
	assert_int_equal(quota("0::/\n"), 2);
	assert_int_equal(quota("0::/docker/0123456789abcdef\n"), 2);
	assert_int_equal(quota("0::/../..\n"), 2);
	assert_int_equal(quota(""), 0);
	assert_int_equal(quota("0:\n::\n\n:"), 2);
}

static void version_1(void **state)
{
	(void)state;
	group_put("/cpu,cpuacct", "cpu.cfs_quota_us", "-1\n");
	group_put("/cpu,cpuacct", "cpu.cfs_period_us", "100000\n");
	static const char self[] =
		"12:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n2:cpuset:/docker/x\n1:name=systemd:/\n0::/\n";
	assert_int_equal(quota(self), 0);
	group_put("/cpu,cpuacct/docker", "none", "");
	group_put("/cpu,cpuacct/docker/x", "cpu.cfs_quota_us", "250000\n");
	assert_int_equal(quota(self), 0); /* without a period */
	group_put("/cpu,cpuacct/docker/x", "cpu.cfs_period_us", "100000\n");
	assert_int_equal(quota(self), 3);
	assert_int_equal(quota("1:cpuacct:/docker/x\n"), 0);
}

static void those_of_this_process(void **state)
{
	(void)state;
	cpu_set_t all, one;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	unsigned usable = cpus_usable();
	assert_true(usable >= 1 && usable <= (unsigned)CPU_COUNT(&all));
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
		if (CPU_ISSET(i, &all))
			CPU_SET(i, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(cpus_usable(), 1);
	sched_setaffinity(0, sizeof(all), &all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(version_2, group_folder_empty),
		cmocka_unit_test_teardown(groups_above, group_folder_empty),
		cmocka_unit_test_teardown(version_1, group_folder_empty),
		cmocka_unit_test(those_of_this_process),
	};
	if (!mkdtemp(group_folder))
		return 1;
	int result = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(group_folder);
	return result;
}
