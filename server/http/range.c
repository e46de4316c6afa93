/* SPDX-License-Identifier: BSD-2-Clause */
/* The Range field (RFC 9110, 14.1 and 14.2). What is malformed is ignored, which is always right:
 * the whole is sent. */
#include "http/range.h"

/* Reads 1*DIGIT; stays at the greatest number when there are too many. 0, or -1 when there
 * is none. */
static int read_number(struct slice *s, uint64_t *number)
{
	size_t i = 0;
	uint64_t n = 0;
	for (; i < s->len && s->ptr[i] >= '0' && s->ptr[i] <= '9'; i++) {
		unsigned digit = (unsigned)(s->ptr[i] - '0');
		n = n > (UINT64_MAX - digit) / 10 ? UINT64_MAX : n * 10 + digit;
	}
	*s = slice_from(*s, i);
	*number = n;
	return i > 0 ? 0 : -1;
}

/* Takes "-" off. */
static int read_dash(struct slice *s)
{
	if (s->len == 0 || s->ptr[0] != '-')
		return -1;
	*s = slice_from(*s, 1);
	return 0;
}

/* One range-spec, clipped to the representation; length 0 when it lies outside of it. 0, or -1 when
 * malformed. */
static int read_range(struct slice spec, uint64_t size, struct byte_range *range)
{
	uint64_t first, last = UINT64_MAX;
	if (read_dash(&spec) == 0) {
		uint64_t suffix;
		if (read_number(&spec, &suffix) || spec.len > 0)
			return -1;
		range->length = suffix < size ? suffix : size;
		range->first = size - range->length;
		return 0;
	}
	if (read_number(&spec, &first) || read_dash(&spec))
		return -1;
	if (spec.len > 0 && (read_number(&spec, &last) || spec.len > 0 || last < first))
		return -1;
	*range = (struct byte_range){first, 0};
	if (first < size)
		range->length = last < size ? last - first + 1 : size - first;
	return 0;
}

static inline bool touches(const struct byte_range *a, const struct byte_range *b)
{
	return a->first <= b->first + b->length && b->first <= a->first + a->length;
}

/* Adds a range; those that it overlaps or touches become one, at the place of the first of them. */
static void add_joined(struct byte_range *ranges, unsigned *count, struct byte_range range)
{
	unsigned place = *count, kept = 0;
	for (unsigned i = 0; i < *count; i++) {
		if (!touches(&ranges[i], &range)) {
			ranges[kept++] = ranges[i];
			continue;
		}
		uint64_t end = ranges[i].first + ranges[i].length;
		if (range.first + range.length > end)
			end = range.first + range.length;
		if (ranges[i].first < range.first)
			range.first = ranges[i].first;
		range.length = end - range.first;
		if (place == *count)
			place = kept++;
	}
	if (place == *count)
		place = kept++;
	ranges[place] = range;
	*count = kept;
}

/* Takes the next member off: SP and HTAB around it go. false at the end; an empty member has length
 * 0. */
static bool next_member(struct slice *list, struct slice *member)
{
	if (list->len == 0)
		return false;
	const char *comma = memchr(list->ptr, ',', list->len);
	size_t n = comma ? (size_t)(comma - list->ptr) : list->len;
	*member = slice_trim((struct slice){list->ptr, n});
	*list = slice_from(*list, n + 1);
	return true;
}

enum range_result range_parse(
	struct slice value, uint64_t size, struct byte_range ranges[RANGES_MAX], unsigned *count)
{
	const struct slice unit = SLICE("bytes=");
	struct slice member;
	unsigned specs = 0;
	*count = 0;
	if (value.len <= unit.len || strncasecmp(value.ptr, unit.ptr, unit.len) != 0)
		return RANGE_IGNORE;
	value = slice_from(value, unit.len);
	if (value.ptr[0] == ' ' || value.ptr[0] == '\t')
		return RANGE_IGNORE;
	while (next_member(&value, &member)) {
		struct byte_range range;
		if (member.len == 0)
			continue;
		if (++specs > RANGES_MAX || read_range(member, size, &range))
			return RANGE_IGNORE;
		if (range.length > 0)
			add_joined(ranges, count, range);
		else if (size == 0 && member.ptr[0] == '-')
			return RANGE_IGNORE; /* satisfiable, but there is no Content-Range for it */
	}
	if (specs == 0)
		return RANGE_IGNORE;
	return *count > 0 ? RANGE_SATISFIABLE : RANGE_UNSATISFIABLE;
}
