/* SPDX-License-Identifier: BSD-2-Clause */
/* An explanation's entries in their two forms: JSON for scripts, lines for people. */
#include "http/explain.h"

#include <stdio.h>

#include "http_test.h"

static struct buffer text;

static const char *json(const struct explanation *e)
{
	text.len = 0;
	explain_json(e, &text);
	buffer_append(&text, "", 1);
	return text.ptr;
}

static const char *lines(const struct explanation *e)
{
	text.len = 0;
	explain_lines(e, &text);
	buffer_append(&text, "", 1);
	return text.ptr;
}

/* Entries stand in the order in which they were written, whatever they hold. */
static void order_and_kinds(void **state)
{
	(void)state;
	struct explanation e;
	explain_init(&e);
	assert_string_equal(json(&e), "{}\n");
	assert_string_equal(lines(&e), "");
	explain_text(&e, "z", SLICE("last letter"));
	explain_format(&e, "a", "%d%%", 50);
	explain_number(&e, "n", UINT64_MAX);
	explain_flag(&e, "yes", true);
	explain_flag(&e, "no", false);
	explain_nothing(&e, "null");
	explain_group(&e, "group");
	explain_close(&e);
	explain_list(&e, "list");
	explain_close(&e);
	explain_list(&e, "more");
	explain_text(&e, NULL, SLICE("1"));
	explain_group(&e, NULL);
	explain_list(&e, "deep");
	explain_text(&e, NULL, SLICE(""));
	explain_close(&e);
	explain_close(&e);
	explain_close(&e);
	explain_text(&e, "end", SLICE("."));
	assert_string_equal(json(&e),
		"{\"z\":\"last letter\",\"a\":\"50%\",\"n\":18446744073709551615,\"yes\":true,"
		"\"no\":false,\"null\":null,\"group\":{},\"list\":[],\"more\":[\"1\",{\"deep\":[\"\"]}],"
		"\"end\":\".\"}\n");
	explain_free(&e);
}

/* What is written twice stands where it stood; a group or list is gone on with. */
static void written_again(void **state)
{
	(void)state;
	struct explanation e;
	explain_init(&e);
	explain_nothing(&e, "verdict");
	explain_list(&e, "tried");
	explain_text(&e, NULL, SLICE("one"));
	explain_close(&e);
	explain_text(&e, "verdict", SLICE("passes"));
	explain_list(&e, "tried");
	explain_text(&e, NULL, SLICE("two"));
	explain_close(&e);
	assert_string_equal(json(&e), "{\"verdict\":\"passes\",\"tried\":[\"one\",\"two\"]}\n");
	assert_slice(explain_told(&e.root, "verdict"), "passes");
	assert_slice(explain_told(&e.root, "absent"), "");
	assert_null(explain_find(NULL, "x"));
	struct explain_entry *tried = explain_find(&e.root, "tried");
	struct explain_entry *before = explain_enter(&e, tried);
	explain_text(&e, NULL, SLICE("three"));
	explain_enter(&e, before);
	explain_flag(&e, "back", true);
	assert_string_equal(json(&e),
		"{\"verdict\":\"passes\",\"tried\":[\"one\",\"two\",\"three\"],\"back\":true}\n");
	explain_free(&e);
}

/* What was told elsewhere goes into what is open here. */
static void copied(void **state)
{
	(void)state;
	struct explanation e, other;
	explain_init(&e);
	explain_init(&other);
	explain_list(&other, "tried");
	explain_group(&other, NULL);
	explain_text(&other, "path", SLICE("/x"));
	explain_close(&other);
	explain_text(&other, NULL, SLICE("y"));
	explain_close(&other);
	explain_number(&other, "n", 1);
	explain_flag(&other, "f", true);
	explain_nothing(&other, "z");
	explain_group(&e, "handler");
	explain_list(&e, "tried");
	explain_text(&e, NULL, SLICE("w"));
	explain_close(&e);
	explain_copy(&e, &other);
	explain_free(&other);
	explain_text(&e, "after", SLICE("."));
	assert_string_equal(json(&e),
		"{\"handler\":{\"tried\":[\"w\",{\"path\":\"/x\"},\"y\"],\"n\":1,"
		"\"f\":true,\"z\":null,\"after\":\".\"}}\n");
	explain_free(&e);
}

/* Paths and fields are octets of anybody's: none may end a string, a line, or move a terminal's cursor. */
static void foreign_octets(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t length;
		const char *json, *line;
	} rows[] = {
		{TEXT("\"\\"), "\"\\\"\\\\\"", "\"\\"},
		{TEXT("a\nb\r\t\x1b[2J\x7f"), "\"a\\u000ab\\u000d\\u0009\\u001b[2J\\u007f\"",
			"a\\x0ab\\x0d\\x09\\x1b[2J\\x7f"},
		{TEXT("\0"), "\"\\u0000\"", "\\x00"},
		{TEXT("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"),
			"\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"",
			"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
		{TEXT("\xc2\x9b"), "\"\xc2\x9b\"", "\\xc2\\x9b"},
		{TEXT("\xe9"), "\"\\u00e9\"", "\\xe9"},
		{TEXT("\xe2\x82"), "\"\\u00e2\\u0082\"", "\\xe2\\x82"},
		{TEXT("\xc0\xaf"), "\"\\u00c0\\u00af\"", "\\xc0\\xaf"},
		{TEXT("\xed\xa0\x80"), "\"\\u00ed\\u00a0\\u0080\"", "\\xed\\xa0\\x80"},
		{TEXT("\xf4\x90\x80\x80"), "\"\\u00f4\\u0090\\u0080\\u0080\"",
			"\\xf4\\x90\\x80\\x80"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct explanation e;
		char wanted[128], *copy = exact(rows[i].text, rows[i].length);
		explain_init(&e);
		explain_text(&e, "x", (struct slice){copy, rows[i].length});
		free(copy); /* texts are copied */
		snprintf(wanted, sizeof wanted, "{\"x\":%s}\n", rows[i].json);
		assert_string_equal(json(&e), wanted);
		snprintf(wanted, sizeof wanted, "x  %s\n", rows[i].line);
		assert_string_equal(lines(&e), wanted);
		explain_free(&e);
	}
}

/* The forms that explain.h promises: columns, the first text and the reason in one line, the rest further in. */
static void lines_for_people(void **state)
{
	(void)state;
	struct explanation e;
	explain_init(&e);
	explain_group(&e, "site");
	explain_text(&e, "name", SLICE("example.com"));
	explain_number(&e, "routes", 2);
	explain_text(&e, "why", SLICE("exactly this host"));
	explain_close(&e);
	explain_group(&e, "listener");
	explain_nothing(&e, "address");
	explain_text(&e, "why", SLICE("nobody listens"));
	explain_close(&e);
	explain_list(&e, "handlers");
	explain_group(&e, NULL);
	explain_text(&e, "name", SLICE("static"));
	explain_text(&e, "verdict", SLICE("passes"));
	explain_list(&e, "tried");
	explain_group(&e, NULL);
	explain_text(&e, "path", SLICE("/srv/\xc3\xa9"));
	explain_text(&e, "found", SLICE("missing"));
	explain_close(&e);
	explain_group(&e, NULL);
	explain_text(&e, "path", SLICE("/srv/ab"));
	explain_text(&e, "found", SLICE("a file"));
	explain_close(&e);
	explain_close(&e);
	explain_flag(&e, "listing", true);
	explain_text(&e, "why", SLICE("no file"));
	explain_close(&e);
	explain_group(&e, NULL);
	explain_text(&e, "name", SLICE("fallback"));
	explain_text(&e, "why", SLICE("off"));
	explain_list(&e, "fields");
	explain_text(&e, NULL, SLICE("Host: x"));
	explain_close(&e);
	explain_close(&e);
	explain_close(&e);
	assert_string_equal(lines(&e), "site      example.com: exactly this host\n"
				       "  routes  2\n"
				       "listener  none: nobody listens\n"
				       "handlers\n"
				       "  static    passes: no file\n"
				       "    tried\n"
				       "      /srv/\xc3\xa9   missing\n"
				       "      /srv/ab  a file\n"
				       "    listing  yes\n"
				       "  fallback  off\n"
				       "    fields\n"
				       "      Host: x\n");
	explain_free(&e);
}

/* Whoever serves asks nobody why. */
static void nobody_asks(void **state)
{
	(void)state;
	explain_text(NULL, "a", SLICE("b"));
	explain_format(NULL, "a", "%d", 1);
	explain_number(NULL, "a", 1);
	explain_flag(NULL, "a", true);
	explain_nothing(NULL, "a");
	explain_group(NULL, "a");
	explain_list(NULL, "a");
	explain_close(NULL);
}

static int done(void **state)
{
	(void)state;
	buffer_free(&text);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_and_kinds),
		cmocka_unit_test(written_again),
		cmocka_unit_test(copied),
		cmocka_unit_test(foreign_octets),
		cmocka_unit_test(lines_for_people),
		cmocka_unit_test(nobody_asks),
	};
	return cmocka_run_group_tests_name("http/explain", tests, NULL, done);
}
