/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory limits of control groups, of both versions, as the kernel's documentation (admin-guide/cgroup-v2, cgroup-v1/memory) writes
 * them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/check.h"
#include "group_folder.h"
#include "process/memory.h"

static uint64_t limit(const char *self)
{
	return memory_of_groups(slice_of(self), group_folder);
}

struct example {
	const char *text;
	uint64_t octets;
};

static const struct example examples[] = {{"max\n", 0}, {"536870912\n", 536870912},
	{"536870912", 536870912}, {"4096\n", 4096}, {"8589934592\n", 8589934592},
	{"1152921504606846975\n", 1152921504606846975}, {"1152921504606846976\n", 0},
	{"9223372036854771712\n", 0}, {"9223372036854775807\n", 0}, {"18446744073709551615\n", 0},
	{"99999999999999999999\n", 0}, {"0\n", 0}, {"-1\n", 0}, {"", 0}, {"\n", 0},
	{"nonsense\n", 0}, {"4096 octets\n", 0}, {" 4096\n", 0}};

static void version_2(void **state)
{
	(void)state;
	assert_int_equal(limit("0::/service\n"), 0); /* neither folder nor file */
	for (size_t i = 0; i < COUNT_OF(examples); i++) {
		group_put("/service", "memory.max", examples[i].text);
		assert_int_equal(limit("0::/service\n"), examples[i].octets);
	}
	group_put("/service", "memory.max", "max\n");
	group_put("/service", "memory.limit_in_bytes", "4096\n"); /* of the other version */
	assert_int_equal(limit("0::/service\n"), 0);
}

static void high(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(examples); i++) {
		group_put("/service", "memory.high", examples[i].text);
		assert_int_equal(limit("0::/service\n"), examples[i].octets);
	}
	group_put("/service", "memory.max", "1000000\n");
	group_put("/service", "memory.high", "max\n");
	assert_int_equal(limit("0::/service\n"), 1000000);
	group_put("/service", "memory.high", "2000000\n");
	assert_int_equal(limit("0::/service\n"), 1000000);
	group_put("/service", "memory.high", "900000\n");
	assert_int_equal(limit("0::/service\n"), 900000);
	group_put("/service", "memory.high", "0\n");
	assert_int_equal(limit("0::/service\n"), 1000000);
}

/* The least of all above counts; names of outside a container lead nowhere, and its own group stands at the top. */
static void groups_above(void **state)
{
	(void)state;
	group_put("/a", "memory.max", "3000000\n");
	group_put("/a/b", "memory.max", "max\n");
	group_put("/a/b/c", "memory.max", "8000000\n");
	assert_int_equal(limit("0::/a/b/c\n"), 3000000);
	assert_int_equal(limit("0::/a/b\n"), 3000000);
	assert_int_equal(limit("0::/a/b/c/missing/d\n"), 3000000);
	assert_int_equal(limit("0::/\n"), 0);
	group_put("/a/b", "memory.high", "2500000\n");
	assert_int_equal(limit("0::/a/b/c\n"), 2500000);
	assert_int_equal(limit("0::/a\n"), 3000000);
	group_put("", "memory.max", "2000000\n");
	assert_int_equal(limit("0::/a/b/c\n"), 2000000);
	assert_int_equal(limit("0::/\n"), 2000000);
	assert_int_equal(limit("0::/docker/0123456789abcdef\n"), 2000000);
	assert_int_equal(limit("0::/../..\n"), 2000000);
	assert_int_equal(limit(""), 0);
	assert_int_equal(limit("nonsense\n"), 0);
	assert_int_equal(limit("0:\n::\n\n:"), 2000000);
}

static void version_1(void **state)
{
	(void)state;
	static const char self[] =
		"12:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n1:name=systemd:/\n0::/\n";
	assert_int_equal(limit(self), 0);
	group_put("/memory", "memory.limit_in_bytes", "9223372036854771712\n");
	group_put("/memory/docker", "memory.limit_in_bytes", "9223372036854771712\n");
	group_put("/cpu,cpuacct", "memory.limit_in_bytes", "4096\n"); /* not of this hierarchy */
	assert_int_equal(limit(self), 0);
	for (size_t i = 0; i < COUNT_OF(examples); i++) {
		group_put("/memory/docker/x", "memory.limit_in_bytes", examples[i].text);
		assert_int_equal(limit(self), examples[i].octets);
	}
	group_put("/memory/docker/x", "memory.limit_in_bytes", "5000000\n");
	group_put("/memory/docker/x", "memory.max", "4096\n"); /* of the other version */
	assert_int_equal(limit(self), 5000000);
	group_put("/memory/docker", "memory.limit_in_bytes", "4000000\n");
	assert_int_equal(limit(self), 4000000);
	assert_int_equal(limit("12:memory:/docker/y\n"), 4000000);
	assert_int_equal(limit("12:memory:/\n"), 0);
	assert_int_equal(limit("12:memory2,hugetlb:/docker/x\n"), 0);
	group_put("/hugetlb,memory", "memory.limit_in_bytes", "6000000\n");
	assert_int_equal(limit("12:hugetlb,memory:/docker/x\n"), 6000000);
}

/* Controllers of both versions may be in use at a time. */
static void both_versions(void **state)
{
	(void)state;
	group_put("/memory", "memory.limit_in_bytes", "5000000\n");
	group_put("/service", "memory.max", "6000000\n");
	assert_int_equal(limit("4:memory:/service\n0::/service\n"), 5000000);
	group_put("/service", "memory.max", "4000000\n");
	assert_int_equal(limit("4:memory:/service\n0::/service\n"), 4000000);
}

static void that_of_this_process(void **state)
{
	(void)state;
	uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t usable = memory_usable();
	assert_true(usable > 0 && usable <= machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(version_2, group_folder_empty),
		cmocka_unit_test_teardown(high, group_folder_empty),
		cmocka_unit_test_teardown(groups_above, group_folder_empty),
		cmocka_unit_test_teardown(version_1, group_folder_empty),
		cmocka_unit_test_teardown(both_versions, group_folder_empty),
		cmocka_unit_test(that_of_this_process),
	};
	if (!mkdtemp(group_folder))
		return 1;
	int result = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(group_folder);
	return result;
}
