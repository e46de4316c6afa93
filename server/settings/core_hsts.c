/* SPDX-License-Identifier: BSD-2-Clause */
/* The value of hsts: a duration, or a mapping. */
#include "settings/core.h"

#define A_YEAR_MS (INT64_C(365) * 24 * 3600 * 1000)

struct hsts_written {
	int64_t max_age; /* ms */
	bool include_subdomains, preload;
};

static const struct option hsts_rows[] = {
	{.name = "max_age",
		.type = OPTION_DURATION,
		.flags = OPTION_REQUIRED,
		.offset = offsetof(struct hsts_written, max_age),
		.example = "365d"},
	{.name = "include_subdomains",
		.type = OPTION_BOOL,
		.offset = offsetof(struct hsts_written, include_subdomains),
		.example = "on"},
	{.name = "preload",
		.type = OPTION_BOOL,
		.offset = offsetof(struct hsts_written, preload),
		.example = "on"},
	{0},
};

static int read_written(struct load *load, const struct node *node, struct hsts_written *written)
{
	const char *expected;
	if (node->kind == NODE_MAPPING)
		return load_rows(load, node, hsts_rows, written);
	if (node->kind == NODE_SCALAR &&
		value_duration(node->text, &written->max_age, &expected) == 0)
		return 0;
	return load_error(load, node,
		"\"hsts\" wants a duration such as 365d, or off, or { max_age: 365d, "
		"include_subdomains: on }");
}

int core_hsts(struct load *load, const struct node *node, void *target)
{
	struct slice *value = target;
	struct hsts_written written = {0};
	if (node_is_off(node)) {
		*value = (struct slice){NULL, 0};
		return 0;
	}
	if (read_written(load, node, &written))
		return -1;
	/* what the lists of browsers demand */
	if (written.preload && (!written.include_subdomains || written.max_age < A_YEAR_MS))
		load_warn(load, node,
			"preload is taken by no list of browsers but with include_subdomains: on "
			"and a max_age of 365d or more");
	*value = arena_format(load_arena(load), "max-age=%lld%s%s",
		(long long)(written.max_age / 1000),
		written.include_subdomains ? "; includeSubDomains" : "",
		written.preload ? "; preload" : "");
	return 0;
}
