/* SPDX-License-Identifier: BSD-2-Clause */
/* Free lists of equal pieces of memory: one a thread, bounded, so that the way of a request never meets malloc. */
#ifndef WEIR_BASE_POOL_H
#define WEIR_BASE_POOL_H

#include <stdlib.h>

#include "base/bytes.h"

/* Under ASan and valgrind-like builds nothing is pooled, so that use after free is seen. */
#if defined(__SANITIZE_ADDRESS__)
#define POOL_OFF 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_OFF 1
#endif
#endif
#ifndef POOL_OFF
#define POOL_OFF 0
#endif

struct pooled {
	struct pooled *next;
};

/* All zero is an empty one. Pieces are of the caller's one size, at least a pointer; any thread's pool may take them back. */
struct pool {
	struct pooled *free;
	unsigned count;
};

/* A piece of `size` bytes, not cleared; never NULL. */
static inline void *pool_take(struct pool *pool, size_t size)
{
	struct pooled *piece = pool->free;
	if (!piece)
		return must_alloc(size);
	pool->free = piece->next;
	pool->count--;
	return piece;
}

/* Gives a piece back; to the allocator when the pool holds `limit` already. */
static inline void pool_give(struct pool *pool, void *memory, unsigned limit)
{
	if (POOL_OFF || pool->count >= limit) {
		free(memory);
		return;
	}
	struct pooled *piece = memory;
	piece->next = pool->free;
	pool->free = piece;
	pool->count++;
}

/* Gives all pieces back to the allocator. */
static inline void pool_trim(struct pool *pool)
{
	while (pool->free) {
		struct pooled *piece = pool->free;
		pool->free = piece->next;
		free(piece);
	}
	pool->count = 0;
}

#endif
