/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs of bytes that somebody else owns (slice), bytes that grow (buffer), and numbers to and from text. */
#ifndef WEIR_BASE_BYTES_H
#define WEIR_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* Bytes that somebody else owns; not terminated by NUL. ptr may be NULL only when len is 0. */
struct slice {
	const char *ptr;
	size_t len;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})

static inline struct slice slice_of(const char *string)
{
	return (struct slice){string, string ? strlen(string) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII letters compare without regard to case; the process never leaves the C locale. */
static inline bool slice_equal_nocase(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len &&
	       (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool slice_ends(struct slice s, struct slice suffix)
{
	return s.len >= suffix.len &&
	       (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

/* The part of s from `from` on; nothing when that lies behind its end. */
static inline struct slice slice_from(struct slice s, size_t from)
{
	return from >= s.len ? (struct slice){s.ptr + s.len, 0}
			     : (struct slice){s.ptr + from, s.len - from};
}

/* s without SP and HTAB at both ends (OWS of RFC 9110, 5.6.3). */
struct slice slice_trim(struct slice s);

/* Reads a whole slice as decimal digits. Returns 0, or -1 when it is empty, has another octet or overflows. */
int slice_number(struct slice s, uint64_t *number);

/* Decimal digits of n at `to` (at least 20 bytes of room, no NUL). Returns how many. */
size_t bytes_decimal(char *to, uint64_t n);
/* The last so many decimal digits of n at `to`, with zeros before them. */
void bytes_decimal_fixed(char *to, uint64_t n, unsigned digits);

/* Lower-case hexadecimal digits of n at `to` (at least 16 bytes of room, no NUL). Returns how many. */
size_t bytes_hex(char *to, uint64_t n);

/* The value of a hexadecimal digit, or -1. */
int bytes_hex_digit(unsigned char c);

/* Is it base64url (RFC 4648, 5) without padding, at least one digit? */
bool bytes_base64url(struct slice s);

/* Bytes that grow. All zero is an empty one. Memory that cannot be had ends the process. */
struct buffer {
	char *ptr;
	size_t len;
	size_t capacity;
};

/* Makes room for `more` bytes behind len. */
void buffer_reserve(struct buffer *b, size_t more);
void buffer_append(struct buffer *b, const void *bytes, size_t len);
static inline void buffer_slice(struct buffer *b, struct slice s)
{
	buffer_append(b, s.ptr, s.len);
}
void buffer_format(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Drops the first `len` bytes. */
void buffer_consume(struct buffer *b, size_t len);
/* Gives the memory back; the buffer is empty then. */
void buffer_free(struct buffer *b);

/* malloc, calloc, realloc and strdup that end the process instead of returning NULL. For sizes that no peer chooses. */
void *must_alloc(size_t size) __attribute__((malloc));
void *must_zalloc(size_t size) __attribute__((malloc));
void *must_realloc(void *old, size_t size);
char *must_strdup(const char *string) __attribute__((malloc));

#endif
