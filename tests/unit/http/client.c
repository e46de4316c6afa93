/* SPDX-License-Identifier: BSD-2-Clause */
/* Who asks, behind which proxies (DESIGN 2, trusted_proxies; RFC 7239): what can be believed is, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>

#include "base/check.h"
#include "http/client.h"
#include "http/handler.h"

static struct network networks[3];
static struct snapshot snapshot;
static struct exchange_thread thread = {.snapshot = &snapshot};
static struct address address;
static struct peer peer = {.address = &address};
static struct request request;

static void from(const char *text)
{
	if (value_ip(slice_of(text), &address) == 0)
		return;
	address = (struct address){.length = sizeof(sa_family_t)};
	address.any.sa_family = AF_UNIX;
}

static int set_up(void **state)
{
	(void)state;
	static const char *const written[] = {"10.0.0.0/8", "192.0.2.7", "2001:db8::/32"};
	const char *expected;
	for (size_t i = 0; i < COUNT_OF(networks); i++)
		assert_int_equal(value_network(slice_of(written[i]), &networks[i], &expected), 0);
	snapshot.core.trusted = (struct trusted_proxies){networks, COUNT_OF(networks), true};
	memset(&request, 0, sizeof request);
	arena_init(&request.arena, NULL, 0);
	request.thread = &thread;
	request.peer = &peer;
	request.major = request.minor = 1;
	peer.scheme = SCHEME_HTTP;
	from("10.0.0.1");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_reset(&request.arena);
	return 0;
}

static void said(enum field_id id, const char *value)
{
	fields_add(&request.fields, &request.arena, id, slice_of(value));
}

/* The client that comes out of it. */
static const char *client(void)
{
	static char text[64];
	client_identify(&request);
	text[client_text(request.client, text)] = 0;
	return text;
}

/* Likewise from these fields alone. */
static const char *client_by(enum field_id id, const char *value)
{
	request.fields.count = 0;
	request.trail = NULL;
	said(id, value);
	return client();
}

static void assert_slice(struct slice slice, const char *text)
{
	if (!slice_equal(slice, slice_of(text)))
		fail_msg("\"%.*s\", not \"%s\"", (int)slice.len, slice.ptr, text);
}

static void believes_nobody_who_is_not_trusted(void **state)
{
	(void)state;
	from("203.0.113.9");
	said(FIELD_X_FORWARDED_FOR, "198.51.100.1");
	said(FIELD_FORWARDED, "for=198.51.100.1;proto=https;host=evil");
	said(FIELD_X_FORWARDED_PROTO, "https");
	assert_string_equal(client(), "203.0.113.9");
	assert_null(request.trail);
	assert_int_equal(client_scheme(&request), SCHEME_HTTP);
	from("10.0.0.1");
	snapshot.core.trusted = (struct trusted_proxies){0};
	assert_string_equal(client(), "10.0.0.1");
	assert_null(request.trail);
}

static void believes_nothing_of_a_head_that_could_not_be_read(void **state)
{
	(void)state;
	said(FIELD_X_FORWARDED_FOR, "198.51.100.1");
	request.major = 0;
	assert_string_equal(client(), "10.0.0.1");
	assert_null(request.trail);
}

static void takes_the_rightmost_address_that_is_not_trusted(void **state)
{
	(void)state;
	static const char *const lists[][2] = {
		{"198.51.100.1", "198.51.100.1"},
		{"1.1.1.1, 198.51.100.1", "198.51.100.1"},
		{"1.1.1.1, 198.51.100.1, 10.2.3.4,192.0.2.7", "198.51.100.1"},
		{"1.1.1.1,198.51.100.1 ,\t2001:db8::5", "198.51.100.1"},
		{"10.1.1.1, 10.1.1.2", "10.1.1.1"},
		{"198.51.100.1, , ,", "198.51.100.1"},
		{"198.51.100.1:4711", "198.51.100.1"},
		{"2a00::1", "2a00::1"},
		{"[2a00::1]", "2a00::1"},
		{"[2a00::1]:80", "2a00::1"},
		{"::ffff:198.51.100.1", "198.51.100.1"},
		{"evil, ::ffff:10.0.0.9", "10.0.0.9"},
		{"", "10.0.0.1"},
		{",,,", "10.0.0.1"},
	};
	for (size_t i = 0; i < COUNT_OF(lists); i++)
		assert_string_equal(client_by(FIELD_X_FORWARDED_FOR, lists[i][0]), lists[i][1]);
}

static void ends_at_the_last_good_address(void **state)
{
	(void)state;
	static const char *const bad[] = {"unknown", "_hidden", "198.51.100.1:", "198.51.100.1:x",
		"198.51.100.1:70000", "198.51.100.256", "198.51.100.01", "198.51.100", "[2a00::1",
		"[2a00::1]x", "[198.51.100.1]", "2a00::1]", "[]", ":", "2a00::1%eth0", "\"", "\\",
		"198.51.100.1 198.51.100.2", "198.51.100.1;", "localhost", "unix:"};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		char list[100];
		assert_string_equal(client_by(FIELD_X_FORWARDED_FOR, bad[i]), "10.0.0.1");
		snprintf(list, sizeof list, "198.51.100.9, %s, 10.9.9.9", bad[i]);
		assert_string_equal(client_by(FIELD_X_FORWARDED_FOR, list), "10.9.9.9");
		assert_int_equal(request.trail->count, 1);
	}
}

static void reads_forwarded_from_the_right(void **state)
{
	(void)state; /* RFC 7239, 4 and 6 */
	static const char *const lists[][2] = {
		{"for=198.51.100.1", "198.51.100.1"},
		{"For=\"[2a00::1]:4711\";proto=https", "2a00::1"},
		{"for=1.1.1.1, proto=http;for=198.51.100.1;by=10.0.0.1, for=10.0.0.2",
			"198.51.100.1"},
		{"for=\"198.51.100.1:80\"", "198.51.100.1"},
		{"for=\"evil, for=198.51.100.1", "198.51.100.1"},
		{"for=\"a\\\", for=198.51.100.1", "198.51.100.1"},
		{"for=198.51.100.1;host=\"a,b\\\"\\\\\"", "198.51.100.1"},
		{"for=1.1.1.1, for=198.51.100.1;for=198.51.100.2", "10.0.0.1"},
		{"for=1.1.1.1, for=unknown", "10.0.0.1"},
		{"for=1.1.1.1, for=_x, for=10.0.0.2", "10.0.0.2"},
		{"for=1.1.1.1, proto=https", "10.0.0.1"},
		{"for=1.1.1.1, x", "10.0.0.1"},
		{"for=198.51.100.1\"", "10.0.0.1"},
		{"for", "10.0.0.1"},
		{";;", "10.0.0.1"},
		{"=", "10.0.0.1"},
	};
	for (size_t i = 0; i < COUNT_OF(lists); i++) {
		const char *got = client_by(FIELD_FORWARDED, lists[i][0]);
		if (strcmp(got, lists[i][1]) != 0)
			fail_msg("%s: %s, not %s", lists[i][0], got, lists[i][1]);
	}
}

static void joins_lines_and_prefers_x_forwarded_for(void **state)
{
	(void)state;
	said(FIELD_FORWARDED, "for=203.0.113.77");
	said(FIELD_X_FORWARDED_FOR, "1.1.1.1");
	said(FIELD_X_FORWARDED_FOR, "198.51.100.1, 10.0.0.3");
	said(FIELD_X_FORWARDED_FOR, "10.0.0.2");
	assert_string_equal(client(), "198.51.100.1");
	assert_int_equal(request.trail->count, 3);
	assert_slice(request.trail->addresses[0], "198.51.100.1");
	assert_slice(request.trail->addresses[1], "10.0.0.3");
	assert_slice(request.trail->addresses[2], "10.0.0.2");
}

static void believes_proto_and_host_of_the_nearest(void **state)
{
	(void)state;
	said(FIELD_X_FORWARDED_FOR, "1.1.1.1, 198.51.100.1, 10.0.0.2");
	said(FIELD_X_FORWARDED_PROTO, "http, HTTPS");
	said(FIELD_X_FORWARDED_HOST, "evil, example.com:8443");
	client();
	assert_slice(request.trail->proto, "https");
	assert_slice(request.trail->host, "example.com:8443");
	assert_int_equal(client_scheme(&request), SCHEME_HTTPS);
	/* one that all proxies behind the first have left alone */
	request.fields.count = 0;
	said(FIELD_X_FORWARDED_FOR, "198.51.100.1, 10.0.0.2");
	said(FIELD_X_FORWARDED_PROTO, "https");
	client();
	assert_slice(request.trail->proto, "https");
	assert_slice(request.trail->host, "");
	/* without an address the peer's word alone */
	client_by(FIELD_X_FORWARDED_PROTO, "http, https");
	assert_slice(request.trail->proto, "https");
	client_by(FIELD_FORWARDED,
		"for=1.1.1.1;proto=http;host=evil, for=unknown;proto=https;host=a");
	assert_slice(request.trail->proto, "https");
	assert_slice(request.trail->host, "a");
	client_by(FIELD_FORWARDED,
		"for=1.1.1.1;proto=http, for=198.51.100.1;proto=https;host=\"a:1\", for=10.1.1.1;proto=http");
	assert_slice(request.trail->proto, "https");
	assert_slice(request.trail->host, "a:1");
}

static void passes_over_what_is_no_proto_and_no_host(void **state)
{
	(void)state;
	static const char *const bad[] = {"ftp", "https x", "", "\"https\"", "a/b", "a b", "\\"};
	peer.scheme = SCHEME_HTTPS;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		client_by(FIELD_X_FORWARDED_PROTO, bad[i]);
		assert_slice(request.trail->proto, "");
		assert_int_equal(client_scheme(&request), SCHEME_HTTPS);
	}
	client_by(FIELD_X_FORWARDED_HOST, "a/b");
	assert_slice(request.trail->host, "");
	client_by(FIELD_X_FORWARDED_HOST, "user@a");
	assert_slice(request.trail->host, "");
}

static void counts_unix_sockets_as_listed(void **state)
{
	(void)state;
	from("unix");
	assert_string_equal(client_by(FIELD_X_FORWARDED_FOR, "198.51.100.1"), "198.51.100.1");
	snapshot.core.trusted.local = false;
	assert_string_equal(client_by(FIELD_X_FORWARDED_FOR, "198.51.100.1"), "");
}

static void looks_at_so_many_proxies_and_no_more(void **state)
{
	(void)state;
	static char list[20000];
	size_t length = 0;
	for (int i = 0; i < 1000; i++)
		length += (size_t)snprintf(
			list + length, sizeof list - length, "10.0.%d.%d,", i / 200, i % 200 + 1);
	assert_string_equal(client_by(FIELD_X_FORWARDED_FOR, list), "10.0.4.137");
	assert_int_equal(request.trail->count, 64);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(believes_nobody_who_is_not_trusted),
		CASE(believes_nothing_of_a_head_that_could_not_be_read),
		CASE(takes_the_rightmost_address_that_is_not_trusted),
		CASE(ends_at_the_last_good_address),
		CASE(reads_forwarded_from_the_right),
		CASE(joins_lines_and_prefers_x_forwarded_for),
		CASE(believes_proto_and_host_of_the_nearest),
		CASE(passes_over_what_is_no_proto_and_no_host),
		CASE(counts_unix_sockets_as_listed),
		CASE(looks_at_so_many_proxies_and_no_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
