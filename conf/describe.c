/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints what the option rows say of the configuration, while weir is built and tested: `describe schema` is
 * conf/weir.schema.json, `describe manual` the reference part of weir.yaml(5), `describe reasons` its table of how requests end. Not installed. */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "handlers/table.h"
#include "http/end.h"
#include "http/route.h"
#include "settings/describe.h"

static void describe_reasons(struct buffer *to)
{
	for (unsigned end = 0; end < END_COUNT; end++) {
		const struct end_row *row = end_row((enum exchange_end)end);
		buffer_format(to, ".It %s\n%s\n", end ? row->code : "\\-", row->meaning);
	}
}

int main(int argc, char **argv)
{
	const struct option_set *list[2 * HANDLERS_MAX + 1];
	struct option_sets sets = {.sets = list};
	struct buffer text = {0};
	bool written;

	route_option_sets(handler_table, list);
	if (argc == 2 && strcmp(argv[1], "schema") == 0) {
		describe_schema(&text, &sets);
	} else if (argc == 2 && strcmp(argv[1], "manual") == 0) {
		describe_manual(&text, &sets);
	} else if (argc == 2 && strcmp(argv[1], "reasons") == 0) {
		describe_reasons(&text);
	} else {
		fputs("usage: describe schema | manual | reasons\n", stderr);
		return 2;
	}
	written = fwrite(text.ptr, 1, text.len, stdout) == text.len && fflush(stdout) == 0;
	buffer_free(&text);
	return written ? 0 : 1;
}
