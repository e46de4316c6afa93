/* SPDX-License-Identifier: BSD-2-Clause */
/* http/target: forms of targets, dot segments, percent-encoding, hosts. */
#include "http/target.h"

#include "http_test.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, NULL, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_reset(&arena);
	return 0;
}

/* RFC 9112, 3.2.1: what needs no change points into the text. */
static void origin_form(void **state)
{
	(void)state;
	static const struct {
		const char *text, *path, *query;
	} rows[] = {
		{"/", "/", NULL},
		{"/a/b.css", "/a/b.css", NULL},
		{"/a|b^c?{x|y}`\\", "/a|b^c", "{x|y}`\\"},
		{"/a?", "/a", ""},
		{"/a?x=1&y=/../?z", "/a", "x=1&y=/../?z"},
		{"/?%zz%00", "/", "%zz%00"},
		{"//evil.test/x", "//evil.test/x", NULL},
		{"/a//b///", "/a//b///", NULL},
		{"/.well-known/x", "/.well-known/x", NULL},
		{"/a/.hidden/..x/...", "/a/.hidden/..x/...", NULL},
		{"/%41%2f%5c;p=1", "/%41%2f%5c;p=1", NULL},
		{"/a.%2Fb", "/a.%2Fb", NULL},
		{"/[x]@:!$&'()*+,=~-_", "/[x]@:!$&'()*+,=~-_", NULL},
		{"/%252e%252e/", "/%252e%252e/", NULL},
		{"/%c0%ae%c0%ae/", "/%c0%ae%c0%ae/", NULL},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct target t;
		struct slice text = slice_of(rows[i].text);
		assert_number(target_parse(text, METHOD_GET, &arena, &t), 0, rows[i].text);
		assert_int_equal(t.form, TARGET_ORIGIN);
		assert_slice(t.path, rows[i].path);
		assert_ptr_equal(t.path.ptr, text.ptr);
		if (rows[i].query)
			assert_slice(t.query, rows[i].query);
		else
			assert_null(t.query.ptr);
	}
}

/* RFC 3986, 5.2.4; a dot is a dot however it is spelled (6.2.2.2). */
static void dot_segments(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"/.", "/"},
		{"/./", "/"},
		{"/a/..", "/"},
		{"/a/../", "/"},
		{"/a/./b", "/a/b"},
		{"/a/b/.", "/a/b/"},
		{"/a/b/..", "/a/"},
		{"/a/b/../c", "/a/c"},
		{"/a/b/../../c", "/c"},
		{"/a//../b", "/a/b"},
		{"/x/..//evil.test", "//evil.test"},
		{"/a/%2e/b", "/a/b"},
		{"/a/%2E%2e/b", "/b"},
		{"/a/.%2e/b", "/b"},
		{"/a/%2e./b?q", "/b"},
		{"/a;p/../b", "/b"},
		{"/./.hidden", "/.hidden"},
		{"/a%2fb/./c", "/a%2fb/c"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct target t;
		assert_number(
			target_parse(slice_of(rows[i][0]), METHOD_GET, &arena, &t), 0, rows[i][0]);
		assert_slice(t.path, rows[i][1]);
	}
}

/* DESIGN 3: what names no file, and what two readers could split differently, is a 400. */
static void refused_paths(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t length;
	} rows[] = {
		{TEXT("")},
		{TEXT("a")},
		{TEXT("a/b")},
		{TEXT("?")},
		{TEXT("*")},
		{TEXT("/..")},
		{TEXT("/../etc/passwd")},
		{TEXT("/a/../../etc")},
		{TEXT("/%2e%2e/etc")},
		{TEXT("/.%2e/etc")},
		{TEXT("/%2e./etc")},
		{TEXT("/a/..%2fb")},
		{TEXT("/a/..%2Fb")},
		{TEXT("/..%2f..%2fetc")},
		{TEXT("/a%2f..%2fb")},
		{TEXT("/a%2f../b")},
		{TEXT("/a%2fb/../c")},
		{TEXT("/a%2f..")},
		{TEXT("/a%2f%2e%2e/b")},
		{TEXT("/a/..%5cb")},
		{TEXT("/a%5c..%5cb")},
		{TEXT("/a%5Cb/../c")},
		{TEXT("/a/..;/b")},
		{TEXT("/..;/b")},
		{TEXT("/..;x=1/b")},
		{TEXT("/%2e%2e;/b")},
		{TEXT("/a/..%3bx/b")},
		{TEXT("/a/.;/b")},
		{TEXT("/.;2ex/b")},
		{TEXT("/..;2fx/b")},
		{TEXT("/a\\b")},
		{TEXT("/..\\..\\etc")},
		{TEXT("\\etc")},
		{TEXT("/a%00")},
		{TEXT("/%00/b")},
		{TEXT("/a%")},
		{TEXT("/a%2")},
		{TEXT("/a%zz")},
		{TEXT("/a%2x?b")},
		{TEXT("/%u002e%u002e/")},
		{TEXT("/a#b")},
		{TEXT("/a?b#c")},
		{TEXT("/a b")},
		{TEXT("/a\tb")},
		{TEXT("/a\0b")},
		{TEXT("/a\x7f")},
		{TEXT("/a\r\nb")},
		{TEXT("/\xc3\xa9")},
		{TEXT("/a?\xc3\xa9")},
		{TEXT("/a?b c")},
		{TEXT("/a?\x01")},
		{TEXT("/<a>")},
		{TEXT("/\"a\"")},
		{TEXT("/a^`{|}")},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct target t;
		struct slice text = {rows[i].text, rows[i].length};
		assert_number(target_parse(text, METHOD_GET, &arena, &t), 400, rows[i].text);
	}
	/* In asterisk and authority form dots are no matter, but forms go with methods (RFC 9112,
	 * 3.2.3 and 3.2.4). */
	struct target t;
	assert_int_equal(target_parse(SLICE("*"), METHOD_OPTIONS, &arena, &t), 0);
	assert_int_equal(t.form, TARGET_ASTERISK);
	assert_slice(t.path, "*");
	assert_int_equal(target_parse(SLICE("**"), METHOD_OPTIONS, &arena, &t), 400);
	assert_int_equal(target_parse(SLICE("*?a"), METHOD_OPTIONS, &arena, &t), 400);
	assert_int_equal(target_parse(SLICE("/a"), METHOD_OTHER, &arena, &t), 0);
}

/* RFC 9112, 3.2.2. */
static void absolute_form(void **state)
{
	(void)state;
	static const struct {
		const char *text, *scheme, *authority, *path, *query;
	} good[] = {
		{"http://a/b?c", "http", "a", "/b", "c"},
		{"HTTPS://A.test:8443/", "https", "A.test:8443", "/", NULL},
		{"http://a", "http", "a", "/", NULL},
		{"http://a?x", "http", "a", "/", "x"},
		{"http://a/b/../c", "http", "a", "/c", NULL},
		{"http://[::1]:80//x", "http", "[::1]:80", "//x", NULL},
	};
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		struct target t;
		assert_number(target_parse(slice_of(good[i].text), METHOD_GET, &arena, &t), 0,
			good[i].text);
		assert_int_equal(t.form, TARGET_ABSOLUTE);
		assert_slice(t.scheme, good[i].scheme);
		assert_slice(t.authority, good[i].authority);
		assert_slice(t.path, good[i].path);
		if (good[i].query)
			assert_slice(t.query, good[i].query);
		else
			assert_null(t.query.ptr);
	}
	static const char *const bad[] = {"http://", "http:///a", "http://?a", "https://",
		"http:/a", "http:a", "http:", "ftp://a/", "file:///etc/passwd", "javascript:1",
		"http://u@a/", "http://u:p@a/", "http://a:b/", "http://a:99999/", "http://a b/",
		"http://a\\b/", "http://a#b", "http://:80/", "http://a%00/", "http://a,b/",
		"http://a/../b/..;/", "http://a/../..", "http ://a/", "a:80", "a.test:80/",
		"http//a", "://a/"};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct target t;
		assert_number(target_parse(slice_of(bad[i]), METHOD_GET, &arena, &t), 400, bad[i]);
	}
}

/* RFC 9112, 3.2.3; RFC 9110, 9.3.6: CONNECT names host and port, and nothing else does. */
static void authority_form(void **state)
{
	(void)state;
	struct target t;
	assert_int_equal(target_parse(SLICE("a.test:443"), METHOD_CONNECT, &arena, &t), 0);
	assert_int_equal(t.form, TARGET_AUTHORITY);
	assert_slice(t.authority, "a.test:443");
	assert_int_equal(target_parse(SLICE("[::1]:1"), METHOD_CONNECT, &arena, &t), 0);
	static const char *const bad[] = {"a.test", "a.test:", "a.test:0", "a.test:65536", ":443",
		"/", "/a:1", "*", "http://a:80/", "a:1/", "u@a:1", "a:1:2", "a: 1"};
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_number(
			target_parse(slice_of(bad[i]), METHOD_CONNECT, &arena, &t), 400, bad[i]);
}

/* A path of any size is read once: nothing grows with the number of dot segments but time, in
 * proportion. */
static void long_targets(void **state)
{
	(void)state;
	static char text[8193];
	struct target t;
	for (size_t i = 0; i + 1 < sizeof(text); i += 4)
		memcpy(text + i, i % 8 ? "/..." : "/a/.", 4);
	text[0] = '/';
	assert_int_equal(target_parse((struct slice){text, 8192}, METHOD_GET, &arena, &t), 0);
	memset(text, '/', sizeof(text));
	assert_int_equal(target_parse((struct slice){text, 8192}, METHOD_GET, &arena, &t), 0);
	assert_int_equal(t.path.len, 8192);
	assert_int_equal(target_parse((struct slice){text, 8193}, METHOD_GET, &arena, &t), 400);
}

/* DESIGN 3: %2F is no separator. */
static void decoding(void **state)
{
	(void)state;
	struct slice d, path = SLICE("/a+b/c.txt");
	assert_int_equal(target_decode(path, &arena, &d), 0);
	assert_ptr_equal(d.ptr, path.ptr);
	assert_int_equal(d.len, path.len);
	assert_int_equal(target_decode(SLICE("/%41%c3%a9%20%25"), &arena, &d), 0);
	assert_slice(d, "/A\xc3\xa9 %");
	assert_int_equal(d.ptr[d.len], '\0');
	assert_int_equal(target_decode(SLICE("/a%2fb%2Fc%5c"), &arena, &d), 0);
	assert_slice(d, "/a%2fb%2Fc\\");
	assert_int_equal(target_decode(SLICE("/%252e"), &arena, &d), 0);
	assert_slice(d, "/%2e");
	assert_int_equal(target_decode(SLICE("/%00"), &arena, &d), 400);
	assert_int_equal(target_decode(SLICE("/%"), &arena, &d), 400);
	assert_int_equal(target_decode(SLICE("/%4"), &arena, &d), 400);
	assert_int_equal(target_decode(SLICE("/%g0"), &arena, &d), 400);
	assert_int_equal(target_decode(SLICE(""), &arena, &d), 0);
}

/* RFC 9110, 4.2.3 and 7.2; RFC 3986, 3.2.2. */
static void hosts(void **state)
{
	(void)state;
	static const struct {
		const char *text, *host;
		int port;
	} good[] = {
		{"example.com", "example.com", -1},
		{"Example.COM:80", "example.com", 80},
		{"example.com.", "example.com", -1},
		{"EXAMPLE.com.:8080", "example.com", 8080},
		{"a_b-c~d", "a_b-c~d", -1},
		{"127.0.0.1:65535", "127.0.0.1", 65535},
		{"localhost:", "localhost", -1},
		{"localhost:0", "localhost", 0},
		{"localhost:00080", "localhost", 80},
		{"[::1]", "[::1]", -1},
		{"[FE80::A]:443", "[fe80::a]", 443},
		{"[::ffff:10.0.0.1]", "[::ffff:10.0.0.1]", -1},
	};
	struct slice host;
	int port;
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		assert_number(
			host_parse(slice_of(good[i].text), &arena, &host, &port), 0, good[i].text);
		assert_slice(host, good[i].host);
		assert_number(port, good[i].port, good[i].text);
	}
	static const struct {
		const char *text;
		size_t length;
	} bad[] = {
		{TEXT("")},
		{TEXT(".")},
		{TEXT(".a")},
		{TEXT("a..b")},
		{TEXT("a..")},
		{TEXT(":80")},
		{TEXT("a:b")},
		{TEXT("a:-1")},
		{TEXT("a:+1")},
		{TEXT("a:65536")},
		{TEXT("a:000080")},
		{TEXT("a:99999999999999999999")},
		{TEXT("a:80:80")},
		{TEXT("a:80 ")},
		{TEXT("a b")},
		{TEXT(" a")},
		{TEXT("a,b")},
		{TEXT("a, b")},
		{TEXT("u@a")},
		{TEXT("u:p@a")},
		{TEXT("a/b")},
		{TEXT("a/")},
		{TEXT("http://a")},
		{TEXT("a?b")},
		{TEXT("a#b")},
		{TEXT("a\\b")},
		{TEXT("a%41")},
		{TEXT("a%00")},
		{TEXT("a\0b")},
		{TEXT("a\tb")},
		{TEXT("a\"b")},
		{TEXT("<a>")},
		{TEXT("\xc3\xa9")},
		{TEXT("[::1")},
		{TEXT("::1")},
		{TEXT("[]")},
		{TEXT("[")},
		{TEXT("[::1]a")},
		{TEXT("[::1]]")},
		{TEXT("a[::1]")},
		{TEXT("[1.2.3.4]")},
		{TEXT("[::g]")},
		{TEXT("[fe80::1%25eth0]")},
		{TEXT("[v1.a]")},
		{TEXT("[::1\0]")},
		{TEXT("[0000000000000000000000000000000000000000000000000000000000000001]")},
	};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct slice text = {bad[i].text, bad[i].length};
		assert_number(host_parse(text, &arena, &host, &port), 400, bad[i].text);
	}
	static char many[256];
	memset(many, 'a', sizeof(many));
	assert_int_equal(host_parse((struct slice){many, 255}, &arena, &host, &port), 0);
	assert_int_equal(host_parse((struct slice){many, 256}, &arena, &host, &port), 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(origin_form),
		cmocka_unit_test(dot_segments),
		cmocka_unit_test(refused_paths),
		cmocka_unit_test(absolute_form),
		cmocka_unit_test(authority_form),
		cmocka_unit_test(long_targets),
		cmocka_unit_test(decoding),
		cmocka_unit_test(hosts),
	};
	return cmocka_run_group_tests_name("target", tests, setup, teardown);
}
