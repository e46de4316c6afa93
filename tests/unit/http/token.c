/* SPDX-License-Identifier: BSD-2-Clause */
/* http/token: octet classes against the grammar, lists, parameters, methods. */
#include "http/token.h"

#include "http_test.h"

/* RFC 9110, 5.6.2 and 5.5; RFC 3986, 2 and 3.2.2; RFC 5234, B.1: every octet by the grammar's own
 * words. */
static void classes(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		bool alnum =
			(c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		bool tchar = alnum || (c && strchr("!#$%&'*+-.^_`|~", (int)c));
		bool value = c == '\t' || (c >= 0x20 && c <= 0x7e) || c >= 0x80;
		bool target = c > 0x20 && c < 0x7f && !strchr("\"<>\\`{}#", (int)c);
		/* beyond RFC 3986, what the URL standard lets browsers send as it is */
		bool query = target || (c && strchr("\\`{}", (int)c));
		bool host = alnum || (c && strchr("-._~!$&'()*+;=[]:", (int)c));
		bool hex =
			(c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
		bool path = target && !strchr(".%?", (int)c);
		unsigned want = tchar * OCTET_TOKEN + value * OCTET_VALUE + target * OCTET_TARGET +
				host * OCTET_HOST + hex * OCTET_HEX + path * OCTET_PATH +
				query * OCTET_QUERY;
		if (octet_class[c] != want)
			fail_msg("octet 0x%02x: %#x, not %#x", c, octet_class[c], want);
	}
}

/* RFC 9110, 5.6.2: 1*tchar. */
static void tokens(void **state)
{
	(void)state;
	assert_true(token_valid(SLICE("a")));
	assert_true(token_valid(SLICE("x-!#$%&'*+.^_`|~9")));
	assert_false(token_valid(SLICE("")));
	assert_false(token_valid(SLICE("a b")));
	assert_false(token_valid(SLICE("a:")));
	assert_false(token_valid(SLICE("a\0b")));
	assert_false(token_valid(SLICE("\xc3\xa9")));
}

/* RFC 9110, 5.5. */
static void values(void **state)
{
	(void)state;
	assert_true(field_value_valid(SLICE("")));
	assert_true(field_value_valid(SLICE("a\tb \xff")));
	assert_false(field_value_valid(SLICE("a\rb")));
	assert_false(field_value_valid(SLICE("a\nb")));
	assert_false(field_value_valid(SLICE("a\0b")));
	assert_false(field_value_valid(SLICE("a\x7f")));
}

static void expect_list(struct slice list, const char *const *members)
{
	struct slice member;
	while (list_next(&list, &member)) {
		assert_non_null(*members);
		assert_slice(member, *members);
		members++;
	}
	assert_null(*members);
}

/* RFC 9110, 5.6.1: empty members are passed over; commas inside of quoted strings (5.6.4) separate
 * nothing. */
static void lists(void **state)
{
	(void)state;
	expect_list(SLICE(""), (const char *[]){NULL});
	expect_list(SLICE(" , ,\t,"), (const char *[]){NULL});
	expect_list(SLICE("a"), (const char *[]){"a", NULL});
	expect_list(SLICE(",a ,\tb,,c d "), (const char *[]){"a", "b", "c d", NULL});
	expect_list(SLICE("a=\"x, y\", b"), (const char *[]){"a=\"x, y\"", "b", NULL});
	expect_list(SLICE("a=\"x\\\", y\",b"), (const char *[]){"a=\"x\\\", y\"", "b", NULL});
	expect_list(SLICE("\"open, b"), (const char *[]){"\"open, b", NULL});
	expect_list(SLICE("\"open\\"), (const char *[]){"\"open\\", NULL});
}

static void expect_parameters(struct slice text, const char *const *pairs, bool whole)
{
	struct slice name, value;
	while (parameter_next(&text, &name, &value)) {
		assert_non_null(*pairs);
		assert_slice(name, pairs[0]);
		assert_slice(value, pairs[1]);
		pairs += 2;
	}
	assert_null(*pairs);
	assert_int_equal(text.len == 0, whole);
}

/* RFC 9110, 5.6.6. */
static void parameters(void **state)
{
	(void)state;
	expect_parameters(SLICE(""), (const char *[]){NULL}, true);
	expect_parameters(SLICE(" ; ;"), (const char *[]){NULL}, true);
	expect_parameters(SLICE(";q=0.5"), (const char *[]){"q", "0.5", NULL}, true);
	expect_parameters(
		SLICE(" ; a=1;;\tb=\"x;y\" "), (const char *[]){"a", "1", "b", "x;y", NULL}, true);
	expect_parameters(SLICE(";a=\"\";b=2"), (const char *[]){"a", "", "b", "2", NULL}, true);
	expect_parameters(SLICE(";a=\"\\\"\""), (const char *[]){"a", "\\\"", NULL}, true);
	expect_parameters(SLICE("a=1"), (const char *[]){NULL}, false);
	expect_parameters(SLICE(";a"), (const char *[]){NULL}, false);
	expect_parameters(SLICE(";a="), (const char *[]){NULL}, false);
	expect_parameters(SLICE(";a =1"), (const char *[]){NULL}, false);
	expect_parameters(SLICE(";a=\"open"), (const char *[]){NULL}, false);
	expect_parameters(SLICE(";a=\""), (const char *[]){NULL}, false);
	expect_parameters(SLICE(";a=\"x\\\""), (const char *[]){NULL}, false);
	expect_parameters(SLICE(";a=1 b=2"), (const char *[]){NULL}, false);
	expect_parameters(SLICE(";a=1;b"), (const char *[]){"a", "1", NULL}, false);
}

/* RFC 9110, 9.1 (case-sensitive), 9.2.1 and 9.2.2. */
static void methods(void **state)
{
	(void)state;
	assert_int_equal(method_identify(SLICE("GET")), METHOD_GET);
	assert_int_equal(method_identify(SLICE("HEAD")), METHOD_HEAD);
	assert_int_equal(method_identify(SLICE("POST")), METHOD_POST);
	assert_int_equal(method_identify(SLICE("PUT")), METHOD_PUT);
	assert_int_equal(method_identify(SLICE("DELETE")), METHOD_DELETE);
	assert_int_equal(method_identify(SLICE("CONNECT")), METHOD_CONNECT);
	assert_int_equal(method_identify(SLICE("OPTIONS")), METHOD_OPTIONS);
	assert_int_equal(method_identify(SLICE("TRACE")), METHOD_TRACE);
	assert_int_equal(method_identify(SLICE("PATCH")), METHOD_PATCH);
	assert_int_equal(method_identify(SLICE("get")), METHOD_OTHER);
	assert_int_equal(method_identify(SLICE("PROPFIND")), METHOD_OTHER);
	assert_int_equal(method_identify(SLICE("")), METHOD_OTHER);
	assert_true(method_safe(METHOD_GET) && method_safe(METHOD_TRACE));
	assert_false(method_safe(METHOD_PUT) || method_safe(METHOD_OTHER));
	assert_true(method_idempotent(METHOD_PUT) && method_idempotent(METHOD_HEAD));
	assert_false(method_idempotent(METHOD_POST) || method_idempotent(METHOD_PATCH) ||
		     method_idempotent(METHOD_OTHER) || method_idempotent(METHOD_CONNECT));
}

/* RFC 9110, 15. */
static void reasons(void **state)
{
	(void)state;
	assert_string_equal(status_reason(200), "OK");
	assert_string_equal(status_reason(404), "Not Found");
	assert_string_equal(status_reason(511), "Network Authentication Required");
	assert_string_equal(status_reason(299), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes),
		cmocka_unit_test(tokens),
		cmocka_unit_test(values),
		cmocka_unit_test(lists),
		cmocka_unit_test(parameters),
		cmocka_unit_test(methods),
		cmocka_unit_test(reasons),
	};
	return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
