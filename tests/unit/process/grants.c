/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of what is left open: by folder, for thousands of sites, and of what stood there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "process/grants.h"

static void test_the_top_folder_is_never_granted(void **state)
{
	struct grants some = {0};
	(void)state;
	grants_add(&some, "/srv", false);
	grants_add(&some, "/etc/passwd", false);
	grants_add(&some, "/etc/group", false);
	assert_int_equal(some.count, 2);
	assert_string_equal(some.list[0].path, "/etc");
	assert_string_equal(some.list[1].path, "/srv");
	grants_clear(&some);
}

static void test_a_path_is_covered_by_a_folder_above_it(void **state)
{
	static const char *const in[] = {"/a/b", "/a/b/c", "/a/b/c/d.e", "/x"};
	static const char *const out[] = {"/", "/a", "/a/bc", "/a/b.c", "/a/c", "/xy", "/w"};
	struct grants some = {0};
	(void)state;
	assert_false(grants_cover(&some, "/a"));
	grants_add_one(&some, "/x");
	grants_add_one(&some, "/a/b");
	grants_add_one(&some, "/a/b");
	assert_int_equal(some.count, 2);
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++)
		assert_true(grants_cover(&some, in[i]));
	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++)
		assert_false(grants_cover(&some, out[i]));
	grants_add_one(&some, "/");
	assert_true(grants_cover(&some, "/w"));
	grants_clear(&some);
}

/* What takes the place of a granted folder is not granted, whatever its name. */
static void test_what_is_granted_is_what_stood_there(void **state)
{
	char home[] = "/tmp/weir-grants-XXXXXX", a[64], b[64], beneath[80];
	struct grants some = {0}, again = {0};
	struct buffer packed = {0};
	(void)state;
	assert_non_null(mkdtemp(home));
	snprintf(a, sizeof(a), "%s/a", home);
	snprintf(b, sizeof(b), "%s/b", home);
	snprintf(beneath, sizeof(beneath), "%s/www", a);
	assert_int_equal(mkdir(a, 0755), 0);
	assert_int_equal(mkdir(beneath, 0755), 0);
	grants_add(&some, beneath, false);
	grants_add(&some, b, true); /* nothing stands there */
	grants_pack(&some, &packed);
	struct slice rest = {packed.ptr, packed.len};
	assert_int_equal(grants_unpack(&again, &rest), 0);
	assert_int_equal(rest.len, 0);
	struct grants *both[] = {&some, &again};
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(both[i]->count, 2);
		assert_string_equal(both[i]->list[0].path, a);
		assert_string_equal(both[i]->list[1].path, b);
		assert_false(both[i]->list[0].writable);
		assert_true(both[i]->list[1].writable);
		assert_true(granted_stands(&both[i]->list[0]));
		assert_true(grants_hold(both[i], beneath));
		assert_false(grants_hold(both[i], b));
		assert_true(grants_cover(both[i], b));
	}
	assert_int_equal(rename(a, b), 0);
	assert_false(grants_hold(&again, beneath));
	assert_int_equal(mkdir(a, 0755), 0);
	assert_int_equal(mkdir(beneath, 0755), 0);
	assert_false(grants_hold(&again, beneath));
	assert_true(grants_cover(&again, beneath));
	for (size_t cut = 0; cut < packed.len; cut++) { /* damaged in any place */
		struct grants part = {0};
		rest = (struct slice){packed.ptr, cut};
		assert_int_equal(grants_unpack(&part, &rest), -1);
		grants_clear(&part);
	}
	rmdir(beneath);
	rmdir(a);
	snprintf(beneath, sizeof(beneath), "%s/www", b);
	rmdir(beneath);
	rmdir(b);
	assert_int_equal(rmdir(home), 0);
	buffer_free(&packed);
	grants_clear(&some);
	grants_clear(&again);
}

/* Each of many sites has a root of its own. */
static void test_there_is_room_for_thousands(void **state)
{
	struct grants some = {0};
	char path[32];
	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(path, sizeof(path), "/sites/%u/www", i * 7919 % 3000);
		grants_add(&some, path, i % 2);
		grants_add(&some, path, false);
	}
	assert_int_equal(
		some.count, 4500); /* half of them twice: the folder, and what is written to */
	for (unsigned i = 1; i < some.count; i++)
		assert_true(strcmp(some.list[i - 1].path, some.list[i].path) < 0);
	assert_true(grants_cover(&some, "/sites/2999/www/index.html"));
	assert_false(grants_cover(&some, "/sites/3000/www"));
	grants_clear(&some);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_top_folder_is_never_granted),
		cmocka_unit_test(test_a_path_is_covered_by_a_folder_above_it),
		cmocka_unit_test(test_what_is_granted_is_what_stood_there),
		cmocka_unit_test(test_there_is_room_for_thousands),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
