/* SPDX-License-Identifier: BSD-2-Clause */
/* What uacme says, which holds what an authority wrote, and the plan: bounded texts without controls, whatever the pieces they come in, and a
 * plan that is written as it was read. */
#include "base/check.h"
#include "process/acme_plan.h"
#include "process/acme_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t room)
{
	size_t length = strnlen(text, room);
	check(length < room);
	for (size_t i = 0; i < length; i++)
		check(text[i] >= ' ' && text[i] < 0x7f);
}

static void check_report(const char *bytes, size_t size)
{
	struct acme_report whole = {0}, pieces = {0};
	struct buffer told = {0};
	acme_report_add(&whole, bytes, size);
	acme_report_end(&whole);
	for (size_t i = 0; i < size; i++)
		acme_report_add(&pieces, bytes + i, 1);
	acme_report_end(&pieces);
	check(strcmp(whole.type, pieces.type) == 0 && strcmp(whole.detail, pieces.detail) == 0 &&
		strcmp(whole.last, pieces.last) == 0 && whole.busy == pieces.busy);
	check_text(whole.type, sizeof(whole.type));
	check_text(whole.detail, sizeof(whole.detail));
	check_text(whole.transfer, sizeof(whole.transfer));
	check_text(whole.last, sizeof(whole.last));
	acme_report_tell(&whole, &told);
	check(told.len > 0 && told.len < 2 * REPORT_TEXT + 200);
	buffer_free(&told);
	time_t when = acme_report_not_before(&whole, 1000000);
	check(when >= 0);
	acme_report_fault(&whole);
}

static void check_plan(struct slice text)
{
	struct acme_plan plan, again;
	struct buffer first = {0}, second = {0};
	if (acme_plan_read(&plan, text)) {
		check(plan.count == 0);
		return;
	}
	acme_plan_write(&plan, &first);
	check(acme_plan_read(&again, (struct slice){first.ptr ? first.ptr : "", first.len}) == 0);
	acme_plan_write(&again, &second);
	check(slice_equal(
		(struct slice){first.ptr, first.len}, (struct slice){second.ptr, second.len}));
	buffer_free(&first);
	buffer_free(&second);
	acme_plan_free(&plan);
	acme_plan_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_report((const char *)data, size);
	check_plan((struct slice){(const char *)data, size});
	return 0;
}
