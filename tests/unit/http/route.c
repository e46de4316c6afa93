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

static void expect_site(const struct listener_settings *l, const char *host,
	const struct site *wanted, const char *pattern)
{
	struct slice found;
	if (route_site(l, slice_of(host), &found) != wanted)
		fail_msg("%s leads to another site", host);
	assert_slice(found, pattern ? pattern : "");
	assert_int_equal(found.ptr == NULL, pattern == NULL);
}

static void a_host_finds_its_site(void **state)
{
	(void)state; /* route.h: exact name, then the longest wildcard, then the site without host */
	struct slice first[] = {SLICE("*.example"), SLICE("a.example")};
	struct slice second[] = {SLICE("*.b.example"), SLICE("b.example")};
	struct site one = {.hosts = first, .host_count = 2},
		    two = {.hosts = second, .host_count = 2};
	struct site none = {0};
	const struct site *all[] = {&one, &none, &two};
	struct listener_settings l = {.sites = all, .site_count = 3, .fallback = &none};
	expect_site(&l, "a.example", &one, "a.example");
	expect_site(&l, "x.example", &one, "*.example");
	expect_site(&l, "x.b.example", &two, "*.b.example");
	expect_site(&l, "b.example", &two, "b.example");
	expect_site(&l, "example", &none, NULL);
	l.fallback = NULL;
	expect_site(&l, "example", NULL, NULL);
	l = (struct listener_settings){.sites = all + 1, .site_count = 1, .fallback = &none};
	expect_site(&l, "a.example", &none, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_finds_its_site),
		cmocka_unit_test(the_longest_match_wins),
		cmocka_unit_test(no_spelling_leads_around_a_route),
		cmocka_unit_test(an_encoded_slash_separates_nothing),
		cmocka_unit_test(a_prefix_is_measured_in_the_paths_own_octets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
