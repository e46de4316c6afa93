/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds what somebody may have meant: the word that is the fewest slips of the finger away. */
#include "settings/value.h"

enum { WORD_MAX = 48 };

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Insertions, losses, exchanges of a letter and swaps of two neighbours that lead from a to b; at most WORD_MAX octets each. */
static unsigned distance(struct slice a, struct slice b)
{
	unsigned rows[3][WORD_MAX + 1];
	unsigned *before = rows[0], *above = rows[1], *row = rows[2];
	for (unsigned k = 0; k <= b.len; k++)
		above[k] = k;
	for (unsigned i = 1; i <= a.len; i++) {
		row[0] = i;
		for (unsigned k = 1; k <= b.len; k++) {
			bool same = lower(a.ptr[i - 1]) == lower(b.ptr[k - 1]);
			row[k] = least(above[k - 1] + !same, least(above[k], row[k - 1]) + 1);
			if (i > 1 && k > 1 && lower(a.ptr[i - 1]) == lower(b.ptr[k - 2]) &&
				lower(a.ptr[i - 2]) == lower(b.ptr[k - 1]))
				row[k] = least(row[k], before[k - 2] + 1);
		}
		unsigned *spare = before;
		before = above;
		above = row;
		row = spare;
	}
	return above[b.len];
}

/* One is the beginning of the other, and enough of it: "conn" for "connections". */
static bool is_beginning(struct slice a, struct slice b)
{
	size_t shorter = a.len < b.len ? a.len : b.len;
	return shorter >= 4 && strncasecmp(a.ptr, b.ptr, shorter) == 0;
}

const char *value_nearest(struct slice written, const char *const *words, size_t count)
{
	const char *best = NULL;
	if (written.len == 0 || written.len > WORD_MAX)
		return NULL;
	unsigned allowed = written.len <= 5 ? 1 : written.len <= 10 ? 2 : 3;
	for (size_t i = 0; i < count; i++) {
		struct slice word = slice_of(words[i]);
		if (word.len > WORD_MAX)
			continue;
		unsigned d = distance(written, word);
		if (d <= allowed && d < word.len && d < written.len) {
			best = words[i];
			allowed = d > 0 ? d - 1 : 0;
			if (d == 0)
				break;
		}
	}
	for (size_t i = 0; !best && i < count; i++) {
		if (is_beginning(written, slice_of(words[i])))
			best = words[i];
	}
	return best;
}
