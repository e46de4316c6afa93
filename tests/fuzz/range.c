/* SPDX-License-Identifier: BSD-2-Clause */
/* Ranges: inside of the representation, apart from each other, and the very octets that a plain
 * reading of the field asks for. Two octets choose the size. */
#include "http/range.h"
#include "base/check.h"

enum { SIZE_MAX_PLAIN = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads digits; the greatest number when there are too many. */
static bool plain_number(struct slice *s, uint64_t *n)
{
	__uint128_t sum = 0;
	size_t i = 0;
	for (; i < s->len && s->ptr[i] >= '0' && s->ptr[i] <= '9'; i++) {
		sum = sum * 10 + (unsigned)(s->ptr[i] - '0');
		if (sum > UINT64_MAX)
			sum = UINT64_MAX;
	}
	if (i > 0)
		*n = (uint64_t)sum;
	*s = slice_from(*s, i);
	return i > 0;
}

/* Marks what one range asks for. False: it is malformed. */
static bool plain_range(struct slice s, uint64_t size, bool asked[SIZE_MAX_PLAIN])
{
	uint64_t first = 0, last = size;
	bool has_first = plain_number(&s, &first);
	if (s.len == 0 || s.ptr[0] != '-')
		return false;
	s = slice_from(s, 1);
	bool has_last = plain_number(&s, &last);
	if (s.len > 0 || (!has_first && !has_last) || (has_first && has_last && last < first))
		return false;
	for (uint64_t i = 0; i < size; i++)
		asked[i] |= has_first ? i >= first && (!has_last || i <= last) : size - i <= last;
	return true;
}

/* False: the field is ignored, being malformed or too long a list. */
static bool plain_parse(struct slice value, uint64_t size, bool asked[SIZE_MAX_PLAIN])
{
	unsigned count = 0;
	if (value.len < 7 || strncasecmp(value.ptr, "bytes=", 6) != 0 || value.ptr[6] == ' ' ||
		value.ptr[6] == '\t')
		return false;
	for (size_t begin = 6, i = 6; i <= value.len; i++) {
		if (i < value.len && value.ptr[i] != ',')
			continue;
		struct slice member = slice_trim((struct slice){value.ptr + begin, i - begin});
		begin = i + 1;
		if (member.len > 0 && (++count > RANGES_MAX || !plain_range(member, size, asked)))
			return false;
	}
	return count > 0;
}

static void check_ranges(const struct byte_range *r, unsigned count, uint64_t size)
{
	check(count > 0 && count <= RANGES_MAX);
	for (unsigned i = 0; i < count; i++) {
		check(r[i].length > 0 && r[i].first < size && r[i].length <= size - r[i].first);
		for (unsigned k = 0; k < i; k++)
			check(r[i].first + r[i].length < r[k].first ||
				r[k].first + r[k].length < r[i].first);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct byte_range r[RANGES_MAX];
	bool asked[SIZE_MAX_PLAIN] = {false};
	unsigned count;
	if (size < 2)
		return 0;
	struct slice value = {(const char *)data + 2, size - 2};
	if (data[1] & 1) {
		uint64_t large = UINT64_MAX >> (data[0] & 63);
		if (range_parse(value, large, r, &count) == RANGE_SATISFIABLE)
			check_ranges(r, count, large);
		return 0;
	}
	enum range_result result = range_parse(value, data[0], r, &count);
	bool good = plain_parse(value, data[0], asked), some = false;
	for (unsigned i = 0; i < data[0]; i++)
		some |= asked[i];
	if (data[0] > 0)
		check(result == (!good         ? RANGE_IGNORE
					: some ? RANGE_SATISFIABLE
					       : RANGE_UNSATISFIABLE));
	check(data[0] > 0 || result != RANGE_SATISFIABLE);
	if (result != RANGE_SATISFIABLE)
		return 0;
	check_ranges(r, count, data[0]);
	for (unsigned i = 0; i < count; i++)
		for (uint64_t k = 0; k < r[i].length; k++) {
			check(asked[r[i].first + k]);
			asked[r[i].first + k] = false;
		}
	for (unsigned i = 0; i < data[0]; i++)
		check(!asked[i]);
	return 0;
}
