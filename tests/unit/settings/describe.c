/* SPDX-License-Identifier: BSD-2-Clause */
/* What schema and manual are made of (DESIGN, 2): all rows, groups of several sets joined, texts made harmless. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sample.h"
#include "settings/describe.h"

static const struct option_sets sets = {.sets = sample_list};

static char *text_of(
	void (*describe)(struct buffer *, const struct option_sets *), struct buffer *to)
{
	describe(to, &sets);
	buffer_append(to, "", 1);
	return to->ptr;
}

static size_t occurrences(const char *text, const char *words)
{
	size_t count = 0;
	for (; (text = strstr(text, words)); text++)
		count++;
	return count;
}

static void schema_has_all_rows(void **state)
{
	struct buffer schema = {0};
	const char *text = text_of(describe_schema, &schema);
	(void)state;
	assert_int_equal(occurrences(text, "\"threads\": {"), 1);
	assert_int_equal(occurrences(text, "\"root\": {"), 2); /* of sites and of routes */
	assert_int_equal(occurrences(text, "\"age\": {"), 2);
	assert_int_equal(occurrences(text, "\"host\": {"), 1);
	assert_int_equal(occurrences(text, "\"required\": [\"listen\"]"), 1);
	assert_int_equal(occurrences(text, "\"required\": [\"address\"]"), 1);
	assert_int_equal(occurrences(text, "\"enum\": [\"inside\", \"off\", false, "), 2);
	buffer_free(&schema);
}

static void groups_of_one_name_are_joined(void **state)
{
	struct buffer schema = {0};
	const char *text = text_of(describe_schema, &schema);
	(void)state;
	assert_int_equal(occurrences(text, "\"limits\": {"), 1);
	const char *limits = strstr(text, "\"limits\": {"), *share = strstr(text, "\"share\": {");
	assert_true(share > limits && share < strstr(limits, "\"include\": {"));
	buffer_free(&schema);
}

static void members_have_rows(void **state)
{
	struct buffer schema = {0}, manual = {0};
	const char *text = strstr(text_of(describe_schema, &schema), "\"members\": {");
	(void)state;
	assert_non_null(text);
	assert_non_null(strstr(text, "\"description\": \".a \\\\ \\\"b\\\"\""));
	assert_non_null(strstr(text, "\"additionalProperties\": {"));
	assert_non_null(strstr(text, "\"required\": [\"weight\"]"));
	assert_non_null(strstr(text_of(describe_manual, &manual), ".It Ic members.NAME.weight\n"));
	buffer_free(&schema);
	buffer_free(&manual);
}

static void manual_is_harmless(void **state)
{
	struct buffer manual = {0};
	const char *text = text_of(describe_manual, &manual);
	(void)state;
	assert_non_null(strstr(text, ".It Ic limits.timeouts.header\n"));
	assert_non_null(strstr(text, ".It Ic compress.deep.age\n"));
	assert_non_null(strstr(text, "\n\\&.a \\e \\(dqb\\(dq\n"));
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (*line == '.')
			assert_true(
				strncmp(line, ".It ", 4) == 0 || strncmp(line, ".Dl ", 4) == 0 ||
				strncmp(line, ".Ss ", 4) == 0 || strncmp(line, ".Bl ", 4) == 0 ||
				strncmp(line, ".El\n", 4) == 0);
	}
	buffer_free(&manual);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(schema_has_all_rows),
		cmocka_unit_test(groups_of_one_name_are_joined),
		cmocka_unit_test(members_have_rows),
		cmocka_unit_test(manual_is_harmless),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
