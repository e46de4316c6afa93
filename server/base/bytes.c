/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers to and from text, bytes that grow, and allocation that cannot fail. */
#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

struct slice slice_trim(struct slice s)
{
	while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
		s.ptr++;
		s.len--;
	}
	while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
		s.len--;
	return s;
}

int slice_number(struct slice s, uint64_t *number)
{
	if (s.len == 0)
		return -1;
	uint64_t n = 0;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned char)s.ptr[i] - (unsigned)'0';
		if (digit > 9)
			return -1;
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, digit, &n))
			return -1;
	}
	*number = n;
	return 0;
}

static const char pairs[] = "0001020304050607080910111213141516171819"
			    "2021222324252627282930313233343536373839"
			    "4041424344454647484950515253545556575859"
			    "6061626364656667686970717273747576777879"
			    "8081828384858687888990919293949596979899";

/* How many digits it has: by its bits, one too many at most. */
static unsigned digits_of(uint64_t n)
{
	static const uint64_t powers[] = {0, 10, 100, 1000, 10000, 100000, 1000000, 10000000,
		100000000, 1000000000, 10000000000, 100000000000, 1000000000000, 10000000000000,
		100000000000000, 1000000000000000, 10000000000000000, 100000000000000000,
		1000000000000000000, 10000000000000000000u};
	unsigned bits = 64 - (unsigned)__builtin_clzll(n | 1);
	unsigned digits = bits * 1233 >> 12; /* log10(2) */
	return digits + (n >= powers[digits]);
}

void bytes_decimal_fixed(char *to, uint64_t n, unsigned digits)
{
	for (; digits >= 2; n /= 100) {
		digits -= 2;
		memcpy(to + digits, pairs + n % 100 * 2, 2);
	}
	if (digits)
		to[0] = (char)('0' + n % 10);
}

static size_t up_to_three(char *to, unsigned n)
{
	if (n < 10) {
		to[0] = (char)('0' + n);
		return 1;
	}
	if (n < 100) {
		memcpy(to, pairs + n * 2, 2);
		return 2;
	}
	to[0] = (char)('0' + n / 100);
	memcpy(to + 1, pairs + n % 100 * 2, 2);
	return 3;
}

size_t bytes_decimal(char *to, uint64_t n)
{
	if (n < 1000) /* most are */
		return up_to_three(to, (unsigned)n);
	unsigned digits = digits_of(n);
	bytes_decimal_fixed(to, n, digits);
	return digits;
}

size_t bytes_hex(char *to, uint64_t n)
{
	char digits[16];
	size_t at = sizeof(digits);
	do {
		digits[--at] = "0123456789abcdef"[n & 15];
		n >>= 4;
	} while (n);
	memcpy(to, digits + at, sizeof(digits) - at);
	return sizeof(digits) - at;
}

int bytes_hex_digit(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool bytes_base64url(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i], letter = c | 0x20;
		if (!(letter >= 'a' && letter <= 'z') && !(c >= '0' && c <= '9') && c != '-' &&
			c != '_')
			return false;
	}
	return s.len > 0;
}

void buffer_reserve(struct buffer *b, size_t more)
{
	size_t need;
	check(!__builtin_add_overflow(b->len, more, &need));
	if (need <= b->capacity && b->ptr)
		return;
	size_t capacity = b->capacity ? b->capacity : 64;
	while (capacity < need)
		check(!__builtin_mul_overflow(capacity, 2, &capacity));
	b->ptr = must_realloc(b->ptr, capacity);
	b->capacity = capacity;
}

void buffer_append(struct buffer *b, const void *bytes, size_t len)
{
	if (len == 0)
		return;
	buffer_reserve(b, len);
	memcpy(b->ptr + b->len, bytes, len);
	b->len += len;
}

void buffer_format(struct buffer *b, const char *format, ...)
{
	va_list arguments, again;
	va_start(arguments, format);
	va_copy(again, arguments);
	buffer_reserve(b, 64);
	int len = vsnprintf(b->ptr + b->len, b->capacity - b->len, format, arguments);
	check(len >= 0);
	if ((size_t)len >= b->capacity - b->len) {
		buffer_reserve(b, (size_t)len + 1);
		len = vsnprintf(b->ptr + b->len, b->capacity - b->len, format, again);
		check(len >= 0);
	}
	b->len += (size_t)len;
	va_end(again);
	va_end(arguments);
}

void buffer_consume(struct buffer *b, size_t len)
{
	check(len <= b->len);
	b->len -= len;
	if (len > 0 && b->len > 0)
		memmove(b->ptr, b->ptr + len, b->len);
}

void buffer_free(struct buffer *b)
{
	free(b->ptr);
	*b = (struct buffer){NULL, 0, 0};
}

void *must_alloc(size_t size)
{
	void *memory = malloc(size ? size : 1);
	check(memory);
	return memory;
}

void *must_zalloc(size_t size)
{
	void *memory = calloc(1, size ? size : 1);
	check(memory);
	return memory;
}

void *must_realloc(void *old, size_t size)
{
	void *memory = realloc(old, size ? size : 1);
	check(memory);
	return memory;
}

char *must_strdup(const char *string)
{
	size_t size = strlen(string) + 1;
	return memcpy(must_alloc(size), string, size);
}
