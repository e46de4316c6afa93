/* SPDX-License-Identifier: BSD-2-Clause */
/* http/route: which route a path belongs to (DESIGN 2, routes; DESIGN 3: one path, judged once). */
#include "http/route.h"

#include "http_test.h"

static struct route routes[] = {
	{.kind = ROUTE_EXACT, .pattern = {"/private", 8}},
	{.kind = ROUTE_PREFIX, .pattern = {"/private/keys/", 14}},
	{.kind = ROUTE_PREFIX, .pattern = {"/private/", 9}},
	{.kind = ROUTE_PREFIX, .pattern = {"/caf%C3%A9/", 11}},
	{.kind = ROUTE_EXTENSION, .pattern = {".php", 4}},
};
static struct site site = {.routes = routes, .route_count = COUNT_OF(routes)};

static void expect(const char *path, const char *pattern)
{
	struct slice got;
	const struct scope *scope = route_scope(&site, slice_of(path), &got);
	if (!slice_equal(got, slice_of(pattern)))
		fail_msg(
			"%s belongs to \"%.*s\", not \"%s\"", path, (int)got.len, got.ptr, pattern);
	assert_int_equal(scope == &site.scope, pattern[0] == 0);
}

static void the_longest_match_wins(void **state)
{
	(void)state;
	expect("/", "");
	expect("/privat/", "");
	expect("/privatex", "");
	expect("/private", "/private");
	expect("/private/", "/private/");
	expect("/private/x.php", "/private/");
	expect("/private/keys", "/private/");
	expect("/private/keys/a", "/private/keys/");
	expect("/x.php", ".php");
	expect("/x.phps", "");
	expect("/x.php/", "");
}

static void no_spelling_leads_around_a_route(void **state)
{
	(void)state; /* RFC 3986, 6.2.2.2, and what files and backends make of the rest */
	expect("/%70rivate/x", "/private/");
	expect("/privat%65", "/private");
	expect("//private/x", "/private/");
	expect("/private//keys///a", "/private/keys/");
	expect("///private", "/private");
	expect("/private/%6beys/a", "/private/keys/");
	expect("/x.ph%70", ".php");
	expect("/x%2Ephp", ".php");
	expect("/caf%c3%a9/x", "/caf%C3%A9/");
	expect("/caf%C3%A9/x", "/caf%C3%A9/");
	expect("/%63af%c3%A9/", "/caf%C3%A9/");
}

static void an_encoded_slash_separates_nothing(void **state)
{
	(void)state; /* DESIGN 3 */
	expect("/private%2Fx", "");
	expect("/%2Fprivate/", "");
	expect("/%", "");
	expect("/%7", "");
}

static void a_prefix_is_measured_in_the_paths_own_octets(void **state)
{
	(void)state;
	size_t length;
	assert_true(route_prefix(SLICE("//%6fld/x"), SLICE("/old/"), &length));
	assert_int_equal(length, strlen("//%6fld/"));
	assert_false(route_prefix(SLICE("/ol"), SLICE("/old/"), &length));
	assert_true(route_prefix(SLICE("/"), SLICE("/"), &length));
	assert_int_equal(length, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_match_wins),
		cmocka_unit_test(no_spelling_leads_around_a_route),
		cmocka_unit_test(an_encoded_slash_separates_nothing),
		cmocka_unit_test(a_prefix_is_measured_in_the_paths_own_octets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
