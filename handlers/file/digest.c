/* SPDX-License-Identifier: BSD-2-Clause */
/* A digest of a file's content for its entity tag, and what kind of text the content is. */
#include "handlers/file/digest.h"

#include <endian.h>
#include <string.h>

#include "base/check.h"

#define PRIME_1 0x9E3779B185EBCA87u
#define PRIME_2 0xC2B2AE3D27D4EB4Fu
#define PRIME_3 0x165667B19E3779F9u
#define PRIME_4 0x85EBCA77C2B2AE63u
#define PRIME_5 0x27D4EB2F165667C5u

static const uint64_t seeds[2] = {0, 0x7765697200000001u};

static inline uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline uint64_t read64(const unsigned char *from)
{
	uint64_t word;
	memcpy(&word, from, sizeof word);
	return le64toh(word);
}

static inline uint32_t read32(const unsigned char *from)
{
	uint32_t word;
	memcpy(&word, from, sizeof word);
	return le32toh(word);
}

static inline uint64_t round_of(uint64_t lane, uint64_t input)
{
	return rotate(lane + input * PRIME_2, 31) * PRIME_1;
}

void digest_begin(struct digest *d)
{
	memset(d, 0, sizeof *d);
	for (int s = 0; s < 2; s++) {
		d->lane[s][0] = seeds[s] + PRIME_1 + PRIME_2;
		d->lane[s][1] = seeds[s] + PRIME_2;
		d->lane[s][2] = seeds[s];
		d->lane[s][3] = seeds[s] - PRIME_1;
	}
}

/* The last octets, and the mixing at the end. */
static uint64_t finish(const uint64_t lane[4], uint64_t seed, uint64_t total,
	const unsigned char *tail, size_t left)
{
	uint64_t hash = seed + PRIME_5;
	if (total >= DIGEST_BLOCK) {
		hash = rotate(lane[0], 1) + rotate(lane[1], 7) + rotate(lane[2], 12) +
		       rotate(lane[3], 18);
		for (int i = 0; i < 4; i++)
			hash = (hash ^ round_of(0, lane[i])) * PRIME_1 + PRIME_4;
	}
	hash += total;
	for (; left >= 8; tail += 8, left -= 8)
		hash = rotate(hash ^ round_of(0, read64(tail)), 27) * PRIME_1 + PRIME_4;
	if (left >= 4) {
		hash = rotate(hash ^ read32(tail) * PRIME_1, 23) * PRIME_2 + PRIME_3;
		tail += 4;
		left -= 4;
	}
	for (; left; tail++, left--)
		hash = rotate(hash ^ *tail * PRIME_5, 11) * PRIME_1;
	hash = (hash ^ hash >> 33) * PRIME_2;
	hash = (hash ^ hash >> 29) * PRIME_3;
	return hash ^ hash >> 32;
}

/* --- Text. --- */

/* Does a word hold only octets from 0x20 to 0x7f? */
static inline bool word_is_plain(uint64_t word)
{
	const uint64_t high = 0x8080808080808080u;
	return ((word | (word - 0x2020202020202020u)) & high) == 0;
}

static void utf8_begin(struct digest *d, unsigned char c)
{
	if (c >= 0xc2 && c <= 0xdf)
		d->utf8_length = 2, d->utf8_code = c & 0x1f;
	else if (c >= 0xe0 && c <= 0xef)
		d->utf8_length = 3, d->utf8_code = c & 0x0f;
	else if (c >= 0xf0 && c <= 0xf4)
		d->utf8_length = 4, d->utf8_code = c & 0x07;
	else {
		d->not_utf8 = true;
		return;
	}
	d->utf8_left = (uint8_t)(d->utf8_length - 1);
}

/* RFC 3629: no surrogates, nothing above U+10FFFF, no longer form than needed. */
static void utf8_continue(struct digest *d, unsigned char c)
{
	if ((c & 0xc0) != 0x80) {
		d->not_utf8 = true;
		return;
	}
	d->utf8_code = d->utf8_code << 6 | (c & 0x3f);
	if (--d->utf8_left)
		return;
	uint32_t code = d->utf8_code;
	if ((d->utf8_length == 3 && (code < 0x800 || (code >= 0xd800 && code <= 0xdfff))) ||
		(d->utf8_length == 4 && (code < 0x10000 || code > 0x10ffff)))
		d->not_utf8 = true;
}

static inline bool is_text_control(unsigned char c)
{
	return (c >= 0x09 && c <= 0x0d) || c == 0x1b;
}

static void look_at_text(struct digest *d, const unsigned char *p, size_t length)
{
	const unsigned char *end = p + length;
	while (p < end && !d->not_utf8) {
		if (!d->utf8_left && end - p >= 8 && word_is_plain(read64(p))) {
			p += 8;
			continue;
		}
		unsigned char c = *p++;
		if (d->utf8_left)
			utf8_continue(d, c);
		else if (c >= 0x80)
			utf8_begin(d, c);
		else if (c < 0x20 && !is_text_control(c))
			d->controls = true;
	}
}

/* --- */

void digest_update(struct digest *d, const void *bytes, size_t length)
{
	check(d->length % DIGEST_BLOCK == 0);
	const unsigned char *p = bytes;
	size_t left = length;
	d->length += length;
	look_at_text(d, p, length);
	for (; left >= DIGEST_BLOCK; p += DIGEST_BLOCK, left -= DIGEST_BLOCK) {
		for (int i = 0; i < 4; i++) {
			uint64_t word = read64(p + 8 * i);
			d->lane[0][i] = round_of(d->lane[0][i], word);
			d->lane[1][i] = round_of(d->lane[1][i], word);
		}
	}
	/* the piece with a rest is the last: its end is worked in at once */
	if (left)
		for (int s = 0; s < 2; s++)
			d->result[s] = finish(d->lane[s], seeds[s], d->length, p, left);
}

void digest_end(struct digest *d)
{
	if (d->length % DIGEST_BLOCK == 0)
		for (int s = 0; s < 2; s++)
			d->result[s] = finish(d->lane[s], seeds[s], d->length, NULL, 0);
	if (d->utf8_left)
		d->not_utf8 = true;
}
