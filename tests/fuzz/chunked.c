/* SPDX-License-Identifier: BSD-2-Clause */
/* Chunked bodies: over every split the same as a plain decoder, written from the grammar (RFC 9112,
 * 7.1), that sees all octets at once. */
#include <stdlib.h>

#include "base/check.h"
#include "http/h1_framing.h"

enum { SPLITS_MAX = 400 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 'm': more octets are needed; 'e': malformed; 'w': the last chunk's line was read. */
struct result {
	char verdict;
	size_t consumed; /* when malformed: with the octet that is to blame */
	size_t length;
	char *body;
};

struct reader {
	const char *bytes;
	size_t length, at;
};

/* The next octet, or -1 at the end. */
static int peek(const struct reader *r)
{
	return r->at < r->length ? (unsigned char)r->bytes[r->at] : -1;
}

/* 'o' when it is taken, else 'm' or 'e'; the octet to blame is taken too. */
static char take(struct reader *r, int octet)
{
	int c = peek(r);
	if (c < 0)
		return 'm';
	r->at++;
	return c == octet ? 'o' : 'e';
}

static char blame(struct reader *r)
{
	if (peek(r) < 0)
		return 'm';
	r->at++;
	return 'e';
}

struct budget {
	unsigned one, all;
};

/* Counts an octet of extension. */
static bool spend(struct budget *b)
{
	return ++b->one <= 1024 && ++b->all <= 16384;
}

/* 1*tchar; what follows is left. */
static char plain_token(struct reader *r, struct budget *b)
{
	size_t begin = r->at;
	while (peek(r) >= 0 && (octet_class[peek(r)] & OCTET_TOKEN)) {
		if (!spend(b))
			return blame(r);
		r->at++;
	}
	return r->at > begin ? 'o' : blame(r);
}

static char plain_quoted(struct reader *r, struct budget *b)
{
	if (!spend(b))
		return blame(r);
	r->at++;
	for (;;) {
		int c = peek(r);
		if (c < 0)
			return 'm';
		if (!(octet_class[c] & OCTET_VALUE) || !spend(b))
			return blame(r);
		r->at++;
		if (c == '"')
			return 'o';
		if (c != '\\')
			continue;
		c = peek(r);
		if (c < 0)
			return 'm';
		if (!(octet_class[c] & OCTET_VALUE) || !spend(b))
			return blame(r);
		r->at++;
	}
}

/* BWS (RFC 9110, 5.6.3). */
static char plain_space(struct reader *r, struct budget *b)
{
	while (peek(r) == ' ' || peek(r) == '\t') {
		if (!spend(b))
			return blame(r);
		r->at++;
	}
	return 'o';
}

/* An extension, after its semicolon. *spaced: white space follows, which only another extension may end. */
static char plain_extension(struct reader *r, struct budget *b, bool *spaced)
{
	char verdict;
	if ((verdict = plain_space(r, b)) != 'o' || (verdict = plain_token(r, b)) != 'o')
		return verdict;
	size_t end = r->at;
	if ((verdict = plain_space(r, b)) != 'o')
		return verdict;
	*spaced = r->at > end;
	if (peek(r) != '=')
		return 'o';
	if (!spend(b))
		return blame(r);
	r->at++;
	if ((verdict = plain_space(r, b)) != 'o')
		return verdict;
	verdict = peek(r) == '"' ? plain_quoted(r, b) : plain_token(r, b);
	if (verdict != 'o')
		return verdict;
	end = r->at;
	verdict = plain_space(r, b);
	*spaced = r->at > end;
	return verdict;
}

/* Extensions, after the size. The octet that follows the size is not counted. */
static char plain_extensions(struct reader *r, struct budget *b)
{
	char verdict;
	size_t begin = r->at;
	bool spaced = peek(r) == ' ' || peek(r) == '\t';
	if (spaced) {
		r->at++;
		if ((verdict = plain_space(r, b)) != 'o')
			return verdict;
	}
	while (peek(r) == ';') {
		if (r->at > begin && !spend(b))
			return blame(r);
		r->at++;
		if ((verdict = plain_extension(r, b, &spaced)) != 'o')
			return verdict;
	}
	return spaced ? blame(r) : 'o';
}

static char plain_size(struct reader *r, uint64_t *size)
{
	__uint128_t n = 0;
	unsigned digits = 0;
	int digit;
	while (peek(r) >= 0 && (digit = bytes_hex_digit((unsigned char)peek(r))) >= 0) {
		n = n * 16 + (unsigned)digit;
		if (++digits > 16 || n > INT64_MAX)
			return blame(r);
		r->at++;
	}
	*size = (uint64_t)n;
	return digits > 0 ? 'o' : blame(r);
}

static char plain_chunk(struct reader *r, struct budget *b, struct result *result)
{
	uint64_t size = 0;
	char verdict;
	b->one = 0;
	if ((verdict = plain_size(r, &size)) != 'o' || (verdict = plain_extensions(r, b)) != 'o' ||
		(verdict = take(r, '\r')) != 'o' || (verdict = take(r, '\n')) != 'o')
		return verdict;
	if (size == 0)
		return 'w';
	size_t here = r->length - r->at < size ? r->length - r->at : (size_t)size;
	memcpy(result->body + result->length, r->bytes + r->at, here);
	result->length += here;
	r->at += here;
	if (here < size)
		return 'm';
	if ((verdict = take(r, '\r')) != 'o')
		return verdict;
	return take(r, '\n');
}

static void plain_decode(const char *bytes, size_t length, struct result *result)
{
	struct reader r = {bytes, length, 0};
	struct budget b = {0, 0};
	result->length = 0;
	do
		result->verdict = plain_chunk(&r, &b, result);
	while (result->verdict == 'o');
	result->consumed = r.at;
}

/* Feeds one piece, from memory of exactly its size. False: nothing more is to be fed. */
static bool feed(struct chunked *c, const char *bytes, size_t length, struct result *result)
{
	char *piece = malloc(length + 1);
	size_t at = 0, used;
	struct slice data;
	enum chunked_event event;
	check(piece);
	memcpy(piece + 1, bytes, length);
	do {
		event = chunked_next(c, piece + 1 + at, length - at, &used, &data);
		check(used <= length - at);
		if (event == CHUNKED_DATA) {
			check(data.len > 0 && data.ptr + data.len == piece + 1 + at + used);
			memcpy(result->body + result->length, data.ptr, data.len);
			result->length += data.len;
		}
		at += used;
	} while (event == CHUNKED_DATA);
	free(piece);
	result->consumed += at;
	result->verdict = event == CHUNKED_ERROR ? 'e' : event == CHUNKED_TRAILERS ? 'w' : 'm';
	check(event != CHUNKED_MORE || at == length);
	return event == CHUNKED_MORE;
}

static void check_split(
	const char *bytes, size_t length, size_t split, const struct result *want, char *memory)
{
	struct result got = {0, 0, 0, memory};
	struct chunked c = {0};
	if (feed(&c, bytes, split, &got))
		feed(&c, bytes + split, length - split, &got);
	check(got.verdict == want->verdict && got.consumed == want->consumed);
	check(got.length == want->length && memcmp(got.body, want->body, got.length) == 0);
}

static void check_octets(const char *bytes, size_t length, const struct result *want, char *memory)
{
	struct result got = {'m', 0, 0, memory};
	struct chunked c = {0};
	for (size_t i = 0; i < length && feed(&c, bytes + i, 1, &got); i++)
		;
	check(got.verdict == want->verdict && got.consumed == want->consumed);
	check(got.length == want->length && memcmp(got.body, want->body, got.length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = size ? (const char *)data : "";
	char *memory = malloc(2 * size + 2);
	check(memory);
	struct result want = {0, 0, 0, memory};
	plain_decode(bytes, size, &want);
	for (size_t split = 0; split <= size && split < SPLITS_MAX; split++)
		check_split(bytes, size, split, &want, memory + size + 1);
	check_octets(bytes, size, &want, memory + size + 1);
	free(memory);
	return 0;
}
