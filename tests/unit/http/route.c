/* SPDX-License-Identifier: BSD-2-Clause */
/* http/route: which route a path belongs to (DESIGN 2, routes; DESIGN 3: one path, judged once). */
#include "http/route.h"
#include "http/route_index.h"

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

/* --- Where they are many. --- */

#define MANY 400

static uint32_t seed = 1;

static unsigned any(unsigned below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

/* A path of few letters, so that many of them meet; some octets encoded, some slashes more than once. */
static struct slice any_path(struct arena *arena, unsigned parts, bool odd)
{
	static const char *const letters[] = {"a", "b", ".php", "%61", "%2F", "%2e", "%", "ab"};
	struct buffer text = {0};
	for (unsigned i = 0; i < parts; i++) {
		buffer_format(&text, "%s", odd && any(4) == 0 ? "//" : "/");
		for (unsigned k = any(3); k > 0; k--)
			buffer_format(&text, "%s", letters[any(odd ? 8 : 6)]);
		buffer_format(&text, "%s", letters[any(3)]);
	}
	if (any(2))
		buffer_format(&text, "/");
	struct slice path = arena_slice(arena, (struct slice){text.ptr, text.len});
	buffer_free(&text);
	return path;
}

static size_t stands_for(struct slice pattern)
{
	char octets[256];
	return route_octets(pattern, octets, sizeof octets);
}

static int in_order(const void *left, const void *right)
{
	static const int rank[] = {[ROUTE_EXACT] = 0, [ROUTE_PREFIX] = 1, [ROUTE_EXTENSION] = 2};
	const struct route *a = left, *b = right;
	size_t x = stands_for(a->pattern), y = stands_for(b->pattern);
	if (a->kind != b->kind)
		return rank[a->kind] - rank[b->kind];
	return x == y ? (a > b) - (a < b) : x > y ? -1 : 1;
}

static void many_routes_are_found_as_few_are(void **state)
{
	static struct route many[MANY];
	struct site one = {.routes = many, .route_count = MANY};
	struct arena arena;
	unsigned hits = 0;
	(void)state;
	arena_init(&arena, NULL, 0);
	for (unsigned i = 0; i < MANY; i++) {
		many[i].pattern = any_path(&arena, 1 + any(3), false);
		many[i].kind = slice_ends(many[i].pattern, SLICE("/")) ? ROUTE_PREFIX : ROUTE_EXACT;
	}
	many[7] = (struct route){.kind = ROUTE_EXTENSION, .pattern = SLICE(".php")};
	many[8] = (struct route){.kind = ROUTE_EXTENSION, .pattern = SLICE(".p%68p")};
	qsort(many, MANY, sizeof many[0], in_order);
	const struct route_index *index = route_index_make(&arena, &one);
	assert_non_null(index);
	for (unsigned i = 0; i < 20000; i++) {
		struct slice path = any_path(&arena, 1 + any(4), true), with, without;
		one.index = index;
		const struct scope *found = route_scope(&one, path, &with);
		one.index = NULL;
		if (route_scope(&one, path, &without) != found && !slice_equal(with, without))
			fail_msg("%.*s: \"%.*s\" among many, \"%.*s\" among few", (int)path.len,
				path.ptr, (int)with.len, with.ptr, (int)without.len, without.ptr);
		hits += found != &one.scope;
	}
	assert_true(hits > 2000 && hits < 19900);
	one.route_count = 4;
	assert_null(route_index_make(&arena, &one));
	arena_reset(&arena);
}

static void a_long_path_finds_its_prefix(void **state)
{
	static struct route many[20];
	struct site one = {.routes = many, .route_count = 20};
	struct arena arena;
	char text[8000];
	struct slice pattern;
	(void)state;
	arena_init(&arena, NULL, 0);
	for (unsigned i = 0; i < 20; i++)
		many[i] = (struct route){.kind = i < 10 ? ROUTE_EXACT : ROUTE_PREFIX,
			.pattern = arena_format(&arena, i < 10 ? "/%u" : "/%u/", i)};
	one.index = route_index_make(&arena, &one);
	memset(text, 'a', sizeof text);
	memcpy(text, "/12/", 4);
	assert_ptr_equal(
		route_scope(&one, (struct slice){text, sizeof text}, &pattern), &many[12].scope);
	memcpy(text, "/1/2", 4);
	assert_ptr_equal(
		route_scope(&one, (struct slice){text, sizeof text}, &pattern), &one.scope);
	many[3].pattern = (struct slice){text, 2000};
	assert_null(route_index_make(&arena, &one)); /* what is not looked at whole */
	arena_reset(&arena);
}

static void many_hosts_are_found_as_few_are(void **state)
{
	static const char *const labels[] = {"a", "b", "cd", "example", "org"};
	static struct site sites[MANY];
	static const struct site *list[MANY];
	static struct slice hosts[MANY];
	struct listener_settings l = {.sites = list, .site_count = MANY};
	struct arena arena;
	unsigned hits = 0;
	(void)state;
	arena_init(&arena, NULL, 0);
	for (unsigned i = 0; i < MANY; i++) {
		hosts[i] = arena_format(&arena, "%s%s.%s.%s", any(2) ? "*." : "", labels[any(5)],
			labels[any(5)], labels[any(5)]);
		for (unsigned k = 0; k < i; k++)
			if (slice_equal(hosts[k], hosts[i])) /* settings do not allow that */
				hosts[i] = arena_format(&arena, "x%u.org", i);
		sites[i] = (struct site){.hosts = &hosts[i], .host_count = 1};
		list[i] = &sites[i];
	}
	const struct host_index *index = host_index_make(&arena, &l);
	assert_non_null(index);
	for (unsigned i = 0; i < 20000; i++) {
		struct slice with, without, host = {"", 0};
		for (unsigned k = any(5); k > 0; k--)
			host = arena_format(&arena, "%.*s%s%s", (int)host.len, host.ptr,
				host.len ? "." : "", labels[any(5)]);
		l.fallback = any(2) ? &site : NULL;
		l.index = index;
		const struct site *found = route_site(&l, host, &with);
		l.index = NULL;
		assert_ptr_equal(route_site(&l, host, &without), found);
		assert_true(slice_equal(with, without));
		hits += found && found != &site;
	}
	assert_true(hits > 2000 && hits < 19900);
	l.site_count = 4;
	assert_null(host_index_make(&arena, &l));
	arena_reset(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_finds_its_site),
		cmocka_unit_test(the_longest_match_wins),
		cmocka_unit_test(no_spelling_leads_around_a_route),
		cmocka_unit_test(an_encoded_slash_separates_nothing),
		cmocka_unit_test(a_prefix_is_measured_in_the_paths_own_octets),
		cmocka_unit_test(many_routes_are_found_as_few_are),
		cmocka_unit_test(a_long_path_finds_its_prefix),
		cmocka_unit_test(many_hosts_are_found_as_few_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
