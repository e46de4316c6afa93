/* SPDX-License-Identifier: BSD-2-Clause */
/* Quality values of Accept and Accept-Encoding (RFC 9110, 12.4.2, 12.5.1 and 12.5.3). */
#include "http/accept.h"

#include "http/token.h"

enum { QUALITY_MAX = 1000, QUALITY_LEAST = 1, QUALITY_NONE = -1 };

/* A qvalue: "0" or "1" with at most three decimals. In thousandths; what is malformed is not
 * acceptable: 0. */
static unsigned read_quality(struct slice text)
{
	if (text.len == 0 || text.len > 5 || (text.ptr[0] != '0' && text.ptr[0] != '1') ||
		(text.len > 1 && text.ptr[1] != '.'))
		return 0;
	unsigned quality = (unsigned)(text.ptr[0] - '0') * 1000, unit = 100;
	for (size_t i = 2; i < text.len; i++, unit /= 10) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return 0;
		quality += (unsigned)(text.ptr[i] - '0') * unit;
	}
	return quality <= QUALITY_MAX ? quality : 0;
}

unsigned accept_member(struct slice member, struct slice *name, bool *plain)
{
	const char *semicolon = memchr(member.ptr, ';', member.len);
	size_t n = semicolon ? (size_t)(semicolon - member.ptr) : member.len;
	struct slice parameters = slice_from(member, n), parameter, value;
	*name = slice_trim((struct slice){member.ptr, n});
	*plain = true;
	while (parameter_next(&parameters, &parameter, &value)) {
		if (slice_equal_nocase(parameter, SLICE("q")))
			return read_quality(value);
		*plain = false;
	}
	return parameters.len > 0 ? 0 : QUALITY_MAX;
}

/* The lower of two; QUALITY_NONE is nothing said yet. */
static int lower(int old, int quality)
{
	return old == QUALITY_NONE || quality < old ? quality : old;
}

/* "x-gzip" means gzip (8.4.1.3). */
static bool same_coding(struct slice a, struct slice b)
{
	return slice_equal_nocase(a, b) ||
	       (slice_equal_nocase(a, SLICE("x-gzip")) && slice_equal_nocase(b, SLICE("gzip")));
}

unsigned accept_encoding_quality(struct slice value, struct slice coding)
{
	bool identity = slice_equal_nocase(coding, SLICE("identity")), plain, some = false;
	int named = QUALITY_NONE, any = QUALITY_NONE;
	struct slice member, name;
	while (list_next(&value, &member)) {
		int quality = (int)accept_member(member, &name, &plain);
		some = true;
		if (same_coding(name, coding))
			named = lower(named, quality);
		else if (slice_equal(name, SLICE("*")))
			any = lower(any, quality);
	}
	if (named == QUALITY_NONE)
		named = any;
	if (named != QUALITY_NONE)
		return (unsigned)named;
	if (!identity)
		return 0;
	return some ? QUALITY_LEAST : QUALITY_MAX;
}

/* How narrow a media range is that covers the type: 3 the type itself, 2 "image/" + "*", 1 all, 0
 * does not cover it. */
static int range_narrowness(struct slice range, struct slice type)
{
	if (slice_equal_nocase(range, type))
		return 3;
	if (slice_equal(range, SLICE("*/*")))
		return 1;
	const char *slash = memchr(type.ptr, '/', type.len);
	size_t n = slash ? (size_t)(slash - type.ptr) + 1 : type.len;
	return range.len == n + 1 && range.ptr[n] == '*' && strncasecmp(range.ptr, type.ptr, n) == 0
		       ? 2
		       : 0;
}

unsigned accept_quality(struct slice value, struct slice type, bool wildcard)
{
	int best = QUALITY_NONE, best_narrowness = 0;
	struct slice member, name;
	bool plain;
	if (!value.ptr)
		return wildcard ? QUALITY_MAX : 0;
	while (list_next(&value, &member)) {
		int quality = (int)accept_member(member, &name, &plain);
		int narrowness = plain ? range_narrowness(name, type) : 0;
		if (narrowness == 0 || (narrowness < 3 && !wildcard))
			continue;
		if (narrowness == best_narrowness) {
			best = lower(best, quality);
		} else if (narrowness > best_narrowness) {
			best = quality;
			best_narrowness = narrowness;
		}
	}
	return best == QUALITY_NONE ? 0 : (unsigned)best;
}
