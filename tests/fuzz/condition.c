/* SPDX-License-Identifier: BSD-2-Clause */
/* Conditions, dates and negotiation: each line of the input is a field, its first octet chooses
 * which. What passes a precondition passes it for a reason that can be named. */
#include "http/condition.h"
#include "base/check.h"
#include "base/clock.h"
#include "http/accept.h"
#include "http/date.h"

enum { NOW = 1795478400, LINES_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_date(struct slice text)
{
	time_t when, again;
	char written[30];
	if (date_parse(text, NOW, &when) != 0)
		return;
	check(text.len >= 24 && text.len <= 33);
	check(when >= -62167219200 && when <= 253402300800);
	if (when < 0 || when >= 253402300800)
		return;
	clock_http_date(written, when);
	check(date_parse((struct slice){written, 29}, NOW, &again) == 0 && again == when);
}

static void check_values(struct slice value)
{
	unsigned gzip = accept_encoding_quality(value, SLICE("gzip"));
	unsigned with = accept_quality(value, SLICE("image/avif"), true);
	unsigned without = accept_quality(value, SLICE("image/avif"), false);
	check(gzip <= 1000 && with <= 1000 && without <= with);
	check(accept_encoding_quality(value, SLICE("identity")) <= 1000);
	check(!etag_in_list(value, SLICE("\"a\""), true) ||
		etag_in_list(value, SLICE("W/\"a\""), false));
	check_date(value);
}

static void check_conditions(
	const struct fields *f, enum method method, const struct validators *v, bool exists)
{
	enum condition_result result = condition_evaluate(f, method, v, exists, NOW);
	bool reads = method == METHOD_GET || method == METHOD_HEAD;
	check(result != CONDITION_NOT_MODIFIED || (reads && exists));
	if (f->count == 0)
		check(result == CONDITION_TRUE);
	if (!exists && fields_find(f, FIELD_IF_MATCH))
		check(result == CONDITION_FAILED);
	if (condition_range(f, v, NOW) && fields_find(f, FIELD_IF_RANGE)) {
		struct slice value = fields_find(f, FIELD_IF_RANGE)->value;
		time_t when;
		check(value.ptr[0] == '"'
				? slice_equal(value, v->etag)
				: date_parse(value, NOW, &when) == 0 && when == v->last_modified);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum field_id ids[] = {FIELD_IF_MATCH, FIELD_IF_NONE_MATCH,
		FIELD_IF_MODIFIED_SINCE, FIELD_IF_UNMODIFIED_SINCE, FIELD_IF_RANGE, FIELD_RANGE};
	static const struct validators validators[] = {
		{{"\"a\"", 3}, 784111777},
		{{"W/\"a\"", 5}, 784111777},
		{{"\"x,\\\"", 5}, 0},
		{{NULL, 0}, 0},
	};
	struct field list[LINES_MAX];
	struct fields fields = {list, 0, LINES_MAX};
	if (size == 0)
		return 0;
	for (size_t begin = 1, i = 1; i <= size && fields.count < LINES_MAX; i++) {
		if (i < size && data[i] != '\n')
			continue;
		if (i > begin) {
			struct slice value = {(const char *)data + begin + 1, i - begin - 1};
			enum field_id id = ids[data[begin] % COUNT_OF(ids)];
			check_values(value);
			list[fields.count++] =
				(struct field){field_known_name(id), slice_trim(value), id};
		}
		begin = i + 1;
	}
	for (unsigned v = 0; v < COUNT_OF(validators); v++)
		check_conditions(&fields, data[0] & 1 ? METHOD_PUT : METHOD_GET, &validators[v],
			!(data[0] & 2));
	return 0;
}
