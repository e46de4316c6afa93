/* SPDX-License-Identifier: BSD-2-Clause */
/* http/condition: entity tags, the order of the preconditions, If-Range. */
#include "http/condition.h"

#include <stdio.h>

#include "http_test.h"

#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define SAME   "Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER  "Sun, 06 Nov 1994 08:49:38 GMT"
#define AGAIN  "Sunday, 06-Nov-94 08:49:37 GMT"

enum { MODIFIED = 784111777, NOW = 1795478400 };

static const struct validators strong = {{"\"a\"", 3}, MODIFIED};
static const struct validators weak = {{"W/\"a\"", 5}, MODIFIED};
static const struct validators none = {{NULL, 0}, 0};

struct row {
	enum condition_result want;
	struct field list[3]; /* ends with a name of no length */
};

#define FIELD(id, value)                                                                           \
	{                                                                                          \
		{"x", 1}, {value, sizeof(value) - 1}, FIELD_##id                                   \
	}

static enum condition_result evaluate(
	const struct row *row, enum method method, const struct validators *v, bool exists)
{
	struct field list[3];
	struct fields fields = {list, 0, 3};
	memcpy(list, row->list, sizeof(list));
	while (fields.count < 3 && list[fields.count].name.len)
		fields.count++;
	return condition_evaluate(&fields, method, v, exists, NOW);
}

static void expect_rows(const struct row *rows, size_t count, enum method method,
	const struct validators *v, bool exists)
{
	for (size_t i = 0; i < count; i++) {
		char what[32];
		snprintf(what, sizeof(what), "row %zu", i);
		assert_number(evaluate(&rows[i], method, v, exists), rows[i].want, what);
	}
}

#define T CONDITION_TRUE
#define N CONDITION_NOT_MODIFIED
#define F CONDITION_FAILED

/* RFC 9110, 13.2.2: the order, for GET of what exists and has a strong tag. */
static void order(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{T, {{{NULL, 0}, {NULL, 0}, 0}}},
		{T, {FIELD(IF_MATCH, "\"a\"")}},
		{T, {FIELD(IF_MATCH, "*")}},
		{T, {FIELD(IF_MATCH, "\"b\", \"a\"")}},
		{F, {FIELD(IF_MATCH, "\"b\"")}},
		{F, {FIELD(IF_MATCH, "W/\"a\"")}},
		{F, {FIELD(IF_MATCH, "a")}},
		{F, {FIELD(IF_MATCH, "")}},
		{T, {FIELD(IF_MATCH, "\"b\""), FIELD(IF_MATCH, "\"a\"")}},
		{T, {FIELD(IF_UNMODIFIED_SINCE, SAME)}},
		{T, {FIELD(IF_UNMODIFIED_SINCE, AFTER)}},
		{F, {FIELD(IF_UNMODIFIED_SINCE, BEFORE)}},
		{T, {FIELD(IF_UNMODIFIED_SINCE, "yesterday")}},
		{T, {FIELD(IF_UNMODIFIED_SINCE, BEFORE), FIELD(IF_UNMODIFIED_SINCE, BEFORE)}},
		{T, {FIELD(IF_MATCH, "\"a\""), FIELD(IF_UNMODIFIED_SINCE, BEFORE)}},
		{F, {FIELD(IF_MATCH, "\"b\""), FIELD(IF_UNMODIFIED_SINCE, AFTER)}},
		{N, {FIELD(IF_NONE_MATCH, "\"a\"")}},
		{N, {FIELD(IF_NONE_MATCH, "W/\"a\"")}},
		{N, {FIELD(IF_NONE_MATCH, "*")}},
		{N, {FIELD(IF_NONE_MATCH, "\"b\""), FIELD(IF_NONE_MATCH, "\"c\",\"a\"")}},
		{T, {FIELD(IF_NONE_MATCH, "\"b\"")}},
		{T, {FIELD(IF_NONE_MATCH, "a")}},
		{N, {FIELD(IF_MODIFIED_SINCE, SAME)}},
		{N, {FIELD(IF_MODIFIED_SINCE, AGAIN)}},
		{N, {FIELD(IF_MODIFIED_SINCE, AFTER)}},
		{T, {FIELD(IF_MODIFIED_SINCE, BEFORE)}},
		{T, {FIELD(IF_MODIFIED_SINCE, "0")}},
		{T, {FIELD(IF_MODIFIED_SINCE, SAME), FIELD(IF_MODIFIED_SINCE, SAME)}},
		{T, {FIELD(IF_NONE_MATCH, "\"b\""), FIELD(IF_MODIFIED_SINCE, AFTER)}},
		{N, {FIELD(IF_NONE_MATCH, "\"a\""), FIELD(IF_MODIFIED_SINCE, BEFORE)}},
		{F, {FIELD(IF_MATCH, "\"b\""), FIELD(IF_NONE_MATCH, "\"a\"")}},
		{N, {FIELD(IF_MATCH, "\"a\""), FIELD(IF_NONE_MATCH, "\"a\"")}},
		{F, {FIELD(IF_UNMODIFIED_SINCE, BEFORE), FIELD(IF_NONE_MATCH, "\"a\"")}},
		{N, {FIELD(IF_UNMODIFIED_SINCE, AFTER), FIELD(IF_MODIFIED_SINCE, SAME)}},
	};
	expect_rows(rows, COUNT_OF(rows), METHOD_GET, &strong, true);
	expect_rows(rows, COUNT_OF(rows), METHOD_HEAD, &strong, true);
}

/* 13.1.2, 13.1.3: other methods fail, and know no If-Modified-Since. */
static void other_methods(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{F, {FIELD(IF_NONE_MATCH, "\"a\"")}},
		{F, {FIELD(IF_NONE_MATCH, "*")}},
		{T, {FIELD(IF_NONE_MATCH, "\"b\"")}},
		{T, {FIELD(IF_MODIFIED_SINCE, AFTER)}},
		{F, {FIELD(IF_UNMODIFIED_SINCE, BEFORE)}},
		{F, {FIELD(IF_MATCH, "\"b\"")}},
	};
	expect_rows(rows, COUNT_OF(rows), METHOD_PUT, &strong, true);
	expect_rows(rows, COUNT_OF(rows), METHOD_DELETE, &strong, true);
}

static void weak_tags(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{F, {FIELD(IF_MATCH, "\"a\"")}},
		{F, {FIELD(IF_MATCH, "W/\"a\"")}},
		{T, {FIELD(IF_MATCH, "*")}},
		{N, {FIELD(IF_NONE_MATCH, "\"a\"")}},
		{N, {FIELD(IF_NONE_MATCH, "W/\"a\"")}},
		{T, {FIELD(IF_NONE_MATCH, "w/\"a\"")}},
	};
	expect_rows(rows, COUNT_OF(rows), METHOD_GET, &weak, true);
}

static void without_validators(void **state)
{
	(void)state;
	static const struct row absent[] = {
		{F, {FIELD(IF_MATCH, "*")}},
		{F, {FIELD(IF_MATCH, "\"a\"")}},
		{T, {FIELD(IF_NONE_MATCH, "*")}},
		{T, {FIELD(IF_NONE_MATCH, "\"a\"")}},
		{T, {FIELD(IF_UNMODIFIED_SINCE, BEFORE)}},
		{T, {FIELD(IF_MODIFIED_SINCE, AFTER)}},
	};
	expect_rows(absent, COUNT_OF(absent), METHOD_GET, &none, false);
	static const struct row bare[] = {
		{T, {FIELD(IF_MATCH, "*")}},
		{F, {FIELD(IF_MATCH, "\"a\"")}},
		{N, {FIELD(IF_NONE_MATCH, "*")}},
		{T, {FIELD(IF_NONE_MATCH, "\"\"")}},
		{T, {FIELD(IF_UNMODIFIED_SINCE, BEFORE)}},
		{T, {FIELD(IF_MODIFIED_SINCE, AFTER)}},
	};
	expect_rows(bare, COUNT_OF(bare), METHOD_GET, &none, true);
}

/* 8.8.3: a tag may hold commas, and a backslash is nothing special. */
static void tag_lists(void **state)
{
	(void)state;
	static const struct {
		const char *list, *tag;
		bool strong, want;
	} rows[] = {
		{"\"a\"", "\"a\"", true, true},
		{" ,, \"a\" ,", "\"a\"", true, true},
		{"\"x,y\", \"a\"", "\"a\"", true, true},
		{"\"x,y\"", "\"x,y\"", true, true},
		{"\"x\\\", \"a\"", "\"a\"", true, true},
		{"\"x\\\"", "\"x\\\"", true, true},
		{"\"\"", "\"\"", true, true},
		{"\"A\"", "\"a\"", true, false},
		{"W/\"a\"", "\"a\"", true, false},
		{"W/\"a\"", "\"a\"", false, true},
		{"\"a\"", "W/\"a\"", false, true},
		{"W/\"a\"", "W/\"a\"", true, false},
		{"*", "\"a\"", true, true},
		{" * ", "\"a\"", true, true},
		{"\"*\"", "\"a\"", true, false},
		{"*, \"a\"", "\"a\"", true, false},
		{"\"b\", *", "\"a\"", true, false},
		{"b, \"a\"", "\"a\"", true, false},
		{"\"b\"\"a\"", "\"a\"", true, false},
		{"\"b\" \"a\"", "\"a\"", true, false},
		{"\"a\"x", "\"a\"", true, false},
		{"\"a", "\"a\"", true, false},
		{"\"a b\", \"a\"", "\"a\"", true, false},
		{"W/ \"a\"", "\"a\"", false, false},
		{"W/", "\"a\"", false, false},
		{"", "\"a\"", false, false},
		{"\"a\"", "", false, false},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_number(
			etag_in_list(slice_of(rows[i].list), slice_of(rows[i].tag), rows[i].strong),
			rows[i].want, rows[i].list);
}

static bool range_allowed(const char *value, const struct validators *v, time_t now)
{
	struct field list[] = {{{"If-Range", 8}, slice_of(value), FIELD_IF_RANGE}};
	struct fields fields = {list, 1, 1};
	return condition_range(&fields, v, now);
}

/* 13.1.5: strong comparison, or the very date; else everything is sent. */
static void if_range(void **state)
{
	(void)state;
	struct fields empty = {0};
	assert_true(condition_range(&empty, &strong, NOW));
	assert_true(range_allowed("\"a\"", &strong, NOW));
	assert_false(range_allowed("\"b\"", &strong, NOW));
	assert_false(range_allowed("W/\"a\"", &strong, NOW));
	assert_false(range_allowed("\"a\"", &weak, NOW));
	assert_false(range_allowed("W/\"a\"", &weak, NOW));
	assert_false(range_allowed("*", &strong, NOW));
	assert_false(range_allowed("\"b\", \"a\"", &strong, NOW));
	assert_false(range_allowed("a", &strong, NOW));
	assert_false(range_allowed("", &strong, NOW));
	assert_false(range_allowed("\"a", &strong, NOW));
	assert_true(range_allowed(SAME, &strong, NOW));
	assert_true(range_allowed(AGAIN, &strong, NOW));
	assert_false(range_allowed(AFTER, &strong, NOW));
	assert_false(range_allowed(BEFORE, &strong, NOW));
	assert_false(range_allowed(SAME, &strong, MODIFIED));
	assert_true(range_allowed(SAME, &strong, MODIFIED + 1));
	assert_false(range_allowed(SAME, &none, NOW));
	struct field twice[] = {{{"If-Range", 8}, {"\"a\"", 3}, FIELD_IF_RANGE},
		{{"If-Range", 8}, {"\"a\"", 3}, FIELD_IF_RANGE}};
	struct fields fields = {twice, 2, 2};
	assert_false(condition_range(&fields, &strong, NOW));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order),
		cmocka_unit_test(other_methods),
		cmocka_unit_test(weak_tags),
		cmocka_unit_test(without_validators),
		cmocka_unit_test(tag_lists),
		cmocka_unit_test(if_range),
	};
	return cmocka_run_group_tests_name("condition", tests, NULL, NULL);
}
