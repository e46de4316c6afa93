/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a head ends, and the scanners under their names for tests. */
#include "http/h1_scan.h"

#include "http/h1_framing.h"
#include "http/h1_syntax.h"

size_t h1_scan_value_scalar(const char *bytes, size_t length)
{
	return (size_t)(scan_value_octets(bytes, bytes + length) - bytes);
}

size_t h1_scan_value_swar(const char *bytes, size_t length)
{
	return (size_t)(scan_value_words(bytes, bytes + length) - bytes);
}

size_t h1_scan_value(const char *bytes, size_t length)
{
	return (size_t)(scan_value(bytes, bytes + length) - bytes);
}

/* Does the search end at this octet? It looks only backwards, so that a search can go on where an
 * earlier one ended. */
static inline bool ends_at(const char *bytes, size_t at)
{
	bool lf = bytes[at] == '\n';
	bool cr = at > 0 && bytes[at - 1] == '\r';
	if (lf != cr)
		return true;
	return lf && (at == 1 || bytes[at - 2] == '\n');
}

/* The length of what ends with the first empty line, bare CR or bare LF; 0: none of them is
 * there. */
static size_t find_end(const char *bytes, size_t length, size_t *seen)
{
	size_t at = *seen;
	for (; at < length && at < 2; at++)
		if (ends_at(bytes, at))
			return at + 1;
#ifdef __SSE2__
	const __m128i lf = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r');
	for (; length - at >= 16; at += 16) {
		__m128i lfs = _mm_cmpeq_epi8(sse2_load(bytes + at), lf);
		__m128i crs_before = _mm_cmpeq_epi8(sse2_load(bytes + at - 1), cr);
		__m128i lfs_before = _mm_cmpeq_epi8(sse2_load(bytes + at - 2), lf);
		int mask = _mm_movemask_epi8(_mm_or_si128(
			_mm_xor_si128(lfs, crs_before), _mm_and_si128(lfs, lfs_before)));
		if (mask)
			return at + (size_t)__builtin_ctz((unsigned)mask) + 1;
	}
#endif
	for (; at < length; at++)
		if (ends_at(bytes, at))
			return at + 1;
	*seen = at;
	return 0;
}

size_t h1_head_length(const char *bytes, size_t length, size_t *seen)
{
	return find_end(bytes, length, seen);
}

size_t h1_trailer_length(const char *bytes, size_t length, size_t *seen)
{
	return find_end(bytes, length, seen);
}
