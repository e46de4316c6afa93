/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding the end of runs of octets, inline: SSE2, words of 8 octets (SWAR), and octet by octet as
 * the reference. Private to this room. */
#ifndef WEIR_HTTP_H1_SCAN_H
#define WEIR_HTTP_H1_SCAN_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "http/token.h"

/* All of these take [p, end), never read outside of it, and return where the run ends. Vectors and
 * words are only read where they lie inside; what is left is looked at octet by octet. */

static inline const char *scan_value_octets(const char *p, const char *end)
{
	while (p < end && (octet_class[(unsigned char)*p] & OCTET_VALUE))
		p++;
	return p;
}

static inline uint64_t swar_load(const char *p)
{
	uint64_t x;
	memcpy(&x, p, sizeof(x));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	x = __builtin_bswap64(x);
#endif
	return x;
}

#define SWAR_ALL(octet) (0x0101010101010101u * (uint64_t)(octet))

/* 0x80 in every octet of x that is zero; exact: nothing is carried from one octet to the next. */
static inline uint64_t swar_zero(uint64_t x)
{
	return ~(((x & SWAR_ALL(0x7f)) + SWAR_ALL(0x7f)) | x) & SWAR_ALL(0x80);
}

static inline const char *scan_value_words(const char *p, const char *end)
{
	for (; end - p >= 8; p += 8) {
		uint64_t x = swar_load(p);
		/* 0x60 + 0x20 sets the top bit: what does not get it is a control. */
		uint64_t control = ~(((x & SWAR_ALL(0x7f)) + SWAR_ALL(0x60)) | x) & SWAR_ALL(0x80);
		uint64_t bad =
			(control & ~swar_zero(x ^ SWAR_ALL('\t'))) | swar_zero(x ^ SWAR_ALL(0x7f));
		if (bad)
			return p + __builtin_ctzll(bad) / 8;
	}
	return scan_value_octets(p, end);
}

#ifdef __SSE2__

static inline __m128i sse2_load(const char *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* Octets that may stand in a field value. */
static inline const char *scan_value(const char *p, const char *end)
{
	const __m128i last_control = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8('\t'),
		      del = _mm_set1_epi8(0x7f);
	for (; end - p >= 16; p += 16) {
		__m128i x = sse2_load(p);
		__m128i control = _mm_cmpeq_epi8(_mm_max_epu8(x, last_control), last_control);
		__m128i bad = _mm_or_si128(
			_mm_andnot_si128(_mm_cmpeq_epi8(x, tab), control), _mm_cmpeq_epi8(x, del));
		int mask = _mm_movemask_epi8(bad);
		if (mask)
			return p + __builtin_ctz((unsigned)mask);
	}
	return scan_value_octets(p, end);
}

#else

static inline const char *scan_value(const char *p, const char *end)
{
	return scan_value_words(p, end);
}

#endif

/* Printable ASCII without SP: what target_parse then looks at more closely. */
static inline const char *scan_printable(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i first = _mm_set1_epi8(0x21), del = _mm_set1_epi8(0x7f);
	for (; end - p >= 16; p += 16) {
		__m128i x = sse2_load(p);
		/* Signed: octets from 0x80 on are below. */
		int mask = _mm_movemask_epi8(
			_mm_or_si128(_mm_cmplt_epi8(x, first), _mm_cmpeq_epi8(x, del)));
		if (mask)
			return p + __builtin_ctz((unsigned)mask);
	}
#endif
	while (p<end && * p> 0x20 && *p < 0x7f)
		p++;
	return p;
}

/* Where the next colon is; what is before it need not be a token. end: there is none. */
static inline const char *scan_colon(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i colon = _mm_set1_epi8(':');
	for (; end - p >= 16; p += 16) {
		int mask = _mm_movemask_epi8(_mm_cmpeq_epi8(sse2_load(p), colon));
		if (mask)
			return p + __builtin_ctz((unsigned)mask);
	}
#endif
	while (p < end && *p != ':')
		p++;
	return p;
}

#endif
