/* SPDX-License-Identifier: BSD-2-Clause */
/* Durations, sizes, rates, addresses, host patterns (DESIGN, 2), and near words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "base/check.h"
#include "settings/value.h"

static void durations(void **state)
{
	static const struct {
		const char *text;
		int64_t milliseconds;
	} good[] = {{"250ms", 250}, {"5s", 5000}, {"2m", 120000}, {"1h", 3600000},
		{"7d", 604800000}, {"0", 0}, {"0s", 0}, {"106751991167d", 106751991167 * 86400000}};
	static const char *const bad[] = {"", "5", "s", "-5s", "+5s", "5 s", " 5s", "5s ", "1.5s",
		"5S", "1h30m", "5sec", "0x5s", "106751991168d", "9223372036854775808ms"};
	const char *expected;
	int64_t result;
	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		assert_int_equal(value_duration(slice_of(good[i].text), &result, &expected), 0);
		assert_int_equal(result, good[i].milliseconds);
	}
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(value_duration(slice_of(bad[i]), &result, &expected), -1);
		assert_string_equal(expected, "a duration such as 250ms, 5s, 2m, 1h or 7d");
	}
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		int64_t bytes;
	} good[] = {{"512", 512}, {"64k", 65536}, {"64K", 65536}, {"10M", 10485760},
		{"1G", 1073741824}, {"3T", INT64_C(3) << 40}, {"0", 0},
		{"9223372036854775807", INT64_MAX}};
	static const char *const bad[] = {"", "k", "1kB", "1 k", "-1", "1.5M", "1KiB", "0x10",
		"9223372036854775808", "8589934592G"};
	const char *expected;
	int64_t result;
	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		assert_int_equal(value_size(slice_of(good[i].text), &result, &expected), 0);
		assert_int_equal(result, good[i].bytes);
	}
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(value_size(slice_of(bad[i]), &result, &expected), -1);
}

static void rates(void **state)
{
	static const char *const bad[] = {
		"", "100", "100/", "/s", "100/d", "100 /s", "-1/s", "0/s"};
	const char *expected;
	double rate;
	(void)state;
	assert_int_equal(value_rate(SLICE("100/s"), &rate, &expected), 0);
	assert_true(rate == 100);
	assert_int_equal(value_rate(SLICE("600/m"), &rate, &expected), 0);
	assert_true(rate == 10);
	assert_int_equal(value_rate(SLICE("7200/h"), &rate, &expected), 0);
	assert_true(rate == 2);
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(value_rate(slice_of(bad[i]), &rate, &expected), -1);
}

static void booleans_and_integers(void **state)
{
	static const char *const on[] = {"on", "true", "yes", "On"};
	static const char *const off[] = {"off", "false", "no", "FALSE"};
	const char *expected;
	bool value;
	int64_t number;
	(void)state;
	for (size_t i = 0; i < COUNT_OF(on); i++) {
		value = false;
		assert_int_equal(value_bool(slice_of(on[i]), &value, &expected), 0);
		assert_true(value);
		assert_int_equal(value_bool(slice_of(off[i]), &value, &expected), 0);
		assert_false(value);
	}
	assert_int_equal(value_bool(SLICE("1"), &value, &expected), -1);
	assert_int_equal(value_bool(SLICE(""), &value, &expected), -1);
	assert_int_equal(value_integer(SLICE("-42"), &number, &expected), 0);
	assert_int_equal(number, -42);
	assert_int_equal(value_integer(SLICE("-"), &number, &expected), -1);
	assert_int_equal(value_integer(SLICE("4k"), &number, &expected), -1);
}

static void addresses(void **state)
{
	static const struct {
		const char *text;
		int family;
		unsigned port;
		bool wildcard;
		const char *again;
	} good[] = {{"127.0.0.1:80", AF_INET, 80, false, "127.0.0.1:80"},
		{"0.0.0.0:0", AF_INET, 0, false, "0.0.0.0:0"},
		{"[::1]:65535", AF_INET6, 65535, false, "[::1]:65535"},
		{"[2001:DB8:0::1]:443", AF_INET6, 443, false, "[2001:db8::1]:443"},
		{":8080", AF_INET6, 8080, true, "[::]:8080"},
		{"unix:/run/app.sock", AF_UNIX, 0, false, "unix:/run/app.sock"}};
	static const char *const bad[] = {"", ":", "80", "127.0.0.1",
		"127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 80",
		"127.0.0.1:000080", "1.2.3:80", "256.0.0.1:80", "::1:80", "[::1]", "[::1",
		"[::1:80", "[]:80", "[127.0.0.1]:80", "localhost:80", "http://:80",
		"unix:", "unix:run/x", "[:80",
		("unix:/01234567890123456789012345678901234567890123456789012345678901234567"
		 "01234567890123456789012345678901234567890123456789")};
	const char *expected;
	char text[128];
	struct address address, other;
	bool wildcard;
	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		assert_int_equal(
			value_address(slice_of(good[i].text), &address, &wildcard, &expected), 0);
		assert_int_equal(address.any.sa_family, good[i].family);
		assert_int_equal(wildcard, good[i].wildcard);
		assert_int_equal(address_text(&address, text), strlen(good[i].again));
		assert_string_equal(text, good[i].again);
		if (good[i].family != AF_UNIX)
			assert_int_equal(ntohs(address.v4.sin_port), good[i].port);
		assert_true(address_equal(&address, &address));
		if (i > 0)
			assert_false(address_equal(&address, &other));
		other = address;
	}
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(
			value_address(slice_of(bad[i]), &address, &wildcard, &expected), -1);
}

static bool holds(const char *network, const char *address)
{
	struct network n;
	struct address a;
	const char *expected;
	if (value_network(slice_of(network), &n, &expected))
		fail_msg("%s: %s", network, expected);
	assert_int_equal(value_ip(slice_of(address), &a), 0);
	return network_holds(&n, &a);
}

static void networks(void **state)
{
	(void)state;
	assert_true(holds("10.0.0.0/8", "10.255.0.1"));
	assert_false(holds("10.0.0.0/8", "11.0.0.1"));
	assert_true(holds("192.0.2.128/25", "192.0.2.129"));
	assert_false(holds("192.0.2.128/25", "192.0.2.127"));
	assert_true(holds("192.0.2.1", "192.0.2.1"));
	assert_true(holds("192.0.2.1", "::ffff:192.0.2.1"));
	assert_false(holds("192.0.2.1", "192.0.2.2"));
	assert_true(holds("0.0.0.0/0", "203.0.113.1"));
	assert_false(holds("0.0.0.0/0", "2001:db8::1"));
	assert_false(holds("::/0", "203.0.113.1"));
	assert_true(holds("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(holds("2001:db8::/33", "2001:db8:8000::1"));
	struct network n;
	struct address local = {.length = sizeof(sa_family_t)};
	const char *expected;
	local.any.sa_family = AF_UNIX;
	assert_int_equal(value_network(SLICE("::/0"), &n, &expected), 0);
	assert_false(network_holds(&n, &local));
	static const char *const bad[] = {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
		"10.0.0/8", "10.0.0.0/8/8", "10.0.0.0:80", "[::1]", "::/129", "localhost", "*",
		"10.0.0.1/8", "2001:db8::1/32", "10.0.0.0 /8", "unix:/x"};
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(value_network(slice_of(bad[i]), &n, &expected), -1);
}

static void hosts(void **state)
{
	static const char *const good[][2] = {{"Example.COM", "example.com"},
		{"*.Example.com", "*.example.com"}, {"localhost", "localhost"},
		{"a_b.xn--bcher-kva.example", "a_b.xn--bcher-kva.example"},
		{"127.0.0.1", "127.0.0.1"}, {"[::1]", "[::1]"}, {"example.com.", "example.com"}};
	static const char *const bad[] = {"", ".", "*", "*.", "a..b", ".a", "a.*.b", "*a.b", "a b",
		"a:80", "-a.b", "a-.b", "a/b", "[::1", "[x]", "[", "a\xc3\xbc.b", "*.*.a",
		"0123456789012345678901234567890123456789012345678901234567890123.a"};
	const char *expected;
	char lower[256];
	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		assert_int_equal(value_host(slice_of(good[i][0]), lower, &expected), 0);
		assert_string_equal(lower, good[i][1]);
	}
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(value_host(slice_of(bad[i]), lower, &expected), -1);
}

static void patterns_of_hosts(void **state)
{
	(void)state;
	assert_true(host_matches(SLICE("example.com"), SLICE("example.com")));
	assert_false(host_matches(SLICE("example.com"), SLICE("www.example.com")));
	assert_true(host_matches(SLICE("*.example.com"), SLICE("www.example.com")));
	assert_true(host_matches(SLICE("*.example.com"), SLICE("a.b.example.com")));
	assert_false(host_matches(SLICE("*.example.com"), SLICE("example.com")));
	assert_false(host_matches(SLICE("*.example.com"), SLICE(".example.com")));
	assert_false(host_matches(SLICE("*.example.com"), SLICE("badexample.com")));
	assert_false(host_matches(SLICE("*.example.com"), SLICE("")));
}

static void paths_of_pages(void **state)
{
	static const char *const good[] = {
		"/", "/a.html", "/a%20b/", "/.a", "/..a/b", "/a./b..", "/%c3%A4"};
	static const char *const bad[] = {"", "a", "/a b", "/\xc3\xa4", "/a?b", "/a#b", "/a\\b",
		"/%", "/%a", "/%zz", "/%a/", "/.", "/..", "/a/..", "/a/./b", "/../a"};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++)
		assert_null(value_page_fault(slice_of(good[i])));
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_non_null(value_page_fault(slice_of(bad[i])));
}

static void near_words(void **state)
{
	static const char *const words[] = {
		"threads", "limits", "listen", "linger", "drain", "on", "off", "connections"};
	static const char *const pairs[][2] = {{"threds", "threads"}, {"thraeds", "threads"},
		{"Threads", "threads"}, {"limit", "limits"}, {"listem", "listen"},
		{"darin", "drain"}, {"conn", "connections"}, {"offf", "off"}, {"xyzzy", NULL},
		{"", NULL}, {"l", NULL}, {"t", NULL}, {"clients", NULL},
		{"wholly-different", NULL}};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(pairs); i++) {
		const char *near = value_nearest(slice_of(pairs[i][0]), words, COUNT_OF(words));
		if (pairs[i][1])
			assert_string_equal(near ? near : "(none)", pairs[i][1]);
		else
			assert_null(near);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations),
		cmocka_unit_test(sizes),
		cmocka_unit_test(rates),
		cmocka_unit_test(booleans_and_integers),
		cmocka_unit_test(addresses),
		cmocka_unit_test(networks),
		cmocka_unit_test(hosts),
		cmocka_unit_test(patterns_of_hosts),
		cmocka_unit_test(paths_of_pages),
		cmocka_unit_test(near_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
