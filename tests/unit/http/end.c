/* SPDX-License-Identifier: BSD-2-Clause */
/* The reasons for which exchanges end: each has a code of its own and a sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "http/end.h"

static void every_reason_has_a_code_and_a_sentence(void **state)
{
	(void)state;
	for (unsigned i = 0; i < END_COUNT; i++) {
		const struct end_row *row = end_row((enum exchange_end)i);
		assert_true(strspn(row->code, "abcdefghijklmnopqrstuvwxyz-") == strlen(row->code));
		assert_true(strlen(row->code) <= strlen("backend-malformed"));
		assert_int_equal(row->meaning[strlen(row->meaning) - 1], '.');
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(row->code, end_row((enum exchange_end)k)->code);
	}
	assert_string_equal(end_row(END_COMPLETE)->code, "-");
}

static void refusals_have_reasons_by_status(void **state)
{
	(void)state;
	static const struct {
		unsigned status;
		const char *head, *body;
	} rows[] = {
		{400, "bad-head", "bad-body"},
		{408, "client-header", "client-body"},
		{413, "body-size", "body-size"},
		{431, "head-size", "head-size"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_string_equal(end_row(end_of_head(rows[i].status))->code, rows[i].head);
		assert_string_equal(end_row(end_of_body(rows[i].status))->code, rows[i].body);
	}
	assert_string_equal(end_row(end_of_head(414))->code, "target-size");
	assert_string_equal(end_row(end_of_head(417))->code, "expectation");
	assert_string_equal(end_row(end_of_head(421))->code, "misdirected");
	assert_string_equal(end_row(end_of_head(501))->code, "unsupported");
	assert_string_equal(end_row(end_of_head(505))->code, "unsupported");
	assert_string_equal(end_row(end_of_body(0))->code, "client-gone");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason_has_a_code_and_a_sentence),
		cmocka_unit_test(refusals_have_reasons_by_status),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
