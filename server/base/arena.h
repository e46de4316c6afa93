/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that lives as long as one request (or one snapshot) and is given back all at once. */
#ifndef WEIR_BASE_ARENA_H
#define WEIR_BASE_ARENA_H

#include "base/bytes.h"

struct arena_block;

/* Nothing of an arena is ever freed by itself. Spans in output queues never point into one: they outlive it. */
struct arena {
	char *next;
	char *end;
	struct arena_block *blocks; /* what was allocated beyond the first memory */
	char *first;                /* memory given by the owner, or NULL */
	size_t first_size;
};

/* An empty arena that uses `memory` (owned by the caller, may be NULL with size 0) before it allocates. */
void arena_init(struct arena *a, void *memory, size_t size);

void *arena_grow(struct arena *a, size_t size);

/* `size` bytes, aligned to 8, not cleared. Never NULL: what a peer sizes is limited before. */
static inline void *arena_alloc(struct arena *a, size_t size)
{
	size = (size + 7) & ~(size_t)7;
	if ((size_t)(a->end - a->next) < size)
		return arena_grow(a, size);
	void *memory = a->next;
	a->next += size;
	return memory;
}

void *arena_zalloc(struct arena *a, size_t size);

/* A copy of s, with a NUL behind it that len does not count. */
struct slice arena_slice(struct arena *a, struct slice s);
struct slice arena_format(struct arena *a, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Everything is given back; the first memory is used again. Also the way to end an arena. */
void arena_reset(struct arena *a);

/* Gives this thread's pool of blocks back to the allocator; part of chunk_trim. */
void arena_trim(void);

#endif
