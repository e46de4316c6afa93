/* SPDX-License-Identifier: BSD-2-Clause */
/* Hash tables with chains, and the keyed hash: products of 64 by 64 bits folded together, as in the wyhash family. */
#include "base/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "base/check.h"

/* This process's key. Set before main, so that no hash has to look whether it is there. */
static uint64_t key[4];

__attribute__((constructor)) static void choose_key(void)
{
	ssize_t got;
	do {
		got = getrandom(key, sizeof(key), 0);
	} while (got < 0 && errno == EINTR);
	check(got == (ssize_t)sizeof(key));
	/* An even factor would lose high bits. */
	for (size_t i = 0; i < COUNT_OF(key); i++)
		key[i] |= 1;
}

static inline uint64_t read8(const unsigned char *p)
{
	uint64_t n;
	memcpy(&n, p, sizeof(n));
	return n;
}

static inline uint64_t read4(const unsigned char *p)
{
	uint32_t n;
	memcpy(&n, p, sizeof(n));
	return n;
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Reads never leave the `len` bytes: short keys are read from both ends, so that the pieces overlap. */
uint64_t table_hash(const void *bytes, size_t len, uint64_t seed)
{
	const unsigned char *p = bytes;
	uint64_t state = fold(seed ^ key[0], key[1]);
	uint64_t a, b;
	if (len > 16) {
		size_t left = len;
		if (left > 48) {
			uint64_t second = state, third = state;
			do {
				state = fold(read8(p) ^ key[1], read8(p + 8) ^ state);
				second = fold(read8(p + 16) ^ key[2], read8(p + 24) ^ second);
				third = fold(read8(p + 32) ^ key[3], read8(p + 40) ^ third);
				p += 48;
				left -= 48;
			} while (left > 48);
			state ^= second ^ third;
		}
		while (left > 16) {
			state = fold(read8(p) ^ key[2], read8(p + 8) ^ state);
			p += 16;
			left -= 16;
		}
		a = read8(p + left - 16);
		b = read8(p + left - 8);
	} else if (len >= 8) {
		a = read8(p);
		b = read8(p + len - 8);
	} else if (len >= 4) {
		a = read4(p);
		b = read4(p + len - 4);
	} else if (len > 0) {
		a = (uint64_t)p[0] << 16 | (uint64_t)p[len / 2] << 8 | p[len - 1];
		b = 0;
	} else {
		a = b = 0;
	}
	return fold(fold(a ^ key[3], b ^ state) ^ key[0] ^ len, key[2]);
}

void table_init(struct table *t, size_t buckets_at_least)
{
	size_t buckets = 8;
	while (buckets < buckets_at_least)
		check(!__builtin_mul_overflow(buckets, 2, &buckets));
	t->buckets = calloc(buckets, sizeof(struct table_entry *));
	check(t->buckets);
	t->mask = buckets - 1;
	t->count = 0;
}

void table_done(struct table *t)
{
	free(t->buckets);
	*t = (struct table){NULL, 0, 0};
}

static void grow(struct table *t)
{
	struct table larger;
	table_init(&larger, (t->mask + 1) * 2);
	for (size_t i = 0; i <= t->mask; i++) {
		struct table_entry *entry = t->buckets[i];
		while (entry) {
			struct table_entry *next = entry->next;
			struct table_entry **bucket = &larger.buckets[entry->hash & larger.mask];
			entry->next = *bucket;
			*bucket = entry;
			entry = next;
		}
	}
	larger.count = t->count;
	free(t->buckets);
	*t = larger;
}

void table_add(struct table *t, struct table_entry *entry, uint64_t hash)
{
	if (t->count > t->mask)
		grow(t);
	struct table_entry **bucket = &t->buckets[hash & t->mask];
	entry->hash = hash;
	entry->next = *bucket;
	*bucket = entry;
	t->count++;
}

void table_remove(struct table *t, struct table_entry *entry)
{
	struct table_entry **at = &t->buckets[entry->hash & t->mask];
	while (*at != entry) {
		check(*at);
		at = &(*at)->next;
	}
	*at = entry->next;
	entry->next = NULL;
	t->count--;
}

void table_each(
	struct table *t, void (*visit)(struct table_entry *entry, void *context), void *context)
{
	for (size_t i = 0; i <= t->mask && t->buckets; i++) {
		struct table_entry *entry = t->buckets[i];
		while (entry) {
			struct table_entry *next = entry->next;
			visit(entry, context);
			entry = next;
		}
	}
}
