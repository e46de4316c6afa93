/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that is given back all at once; its first block comes from a pool of the thread. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/pool.h"

#define ARENA_BLOCK   4096  /* the first one; the next ones double */
#define ARENA_LARGEST 65536 /* no doubling beyond */
#define ARENA_POOLED  64    /* blocks of ARENA_BLOCK that a thread keeps */

struct arena_block {
	struct arena_block *next;
	size_t size; /* with this head */
	char bytes[];
};

static _Thread_local struct pool pool;

/* Where an arena without memory points: an empty run that is not NULL. */
static char nothing[8] __attribute__((aligned(8)));

static void use_first(struct arena *a)
{
	if (a->first_size < 8) {
		a->next = a->end = nothing;
		return;
	}
	size_t skip = -(uintptr_t)a->first & 7;
	a->next = a->first + skip;
	a->end = a->first + a->first_size;
}

void arena_init(struct arena *a, void *memory, size_t size)
{
	a->blocks = NULL;
	a->first = memory;
	a->first_size = memory ? size : 0;
	use_first(a);
}

void *arena_grow(struct arena *a, size_t size)
{
	check(size <= SIZE_MAX / 2);
	size = (size + 7) & ~(size_t)7;
	size_t need = sizeof(struct arena_block) + size;
	size_t block_size = a->blocks ? a->blocks->size * 2 : ARENA_BLOCK;
	if (block_size > ARENA_LARGEST)
		block_size = ARENA_LARGEST;
	if (block_size < ARENA_BLOCK)
		block_size = ARENA_BLOCK;

	bool alone = need > block_size;
	struct arena_block *block;
	if (alone)
		block = must_alloc(need);
	else if (block_size == ARENA_BLOCK)
		block = pool_take(&pool, ARENA_BLOCK);
	else
		block = must_alloc(block_size);
	block->size = alone ? need : block_size;

	/* A large piece stands behind the newest block, whose rest goes on being used. */
	if (alone && a->blocks) {
		block->next = a->blocks->next;
		a->blocks->next = block;
		return block->bytes;
	}
	block->next = a->blocks;
	a->blocks = block;
	if (alone && a->next != a->end)
		return block->bytes;
	a->next = block->bytes + size;
	a->end = (char *)block + block->size;
	return block->bytes;
}

void *arena_zalloc(struct arena *a, size_t size)
{
	void *memory = arena_alloc(a, size);
	memset(memory, 0, size);
	return memory;
}

struct slice arena_slice(struct arena *a, struct slice s)
{
	char *copy = arena_alloc(a, s.len + 1);
	if (s.len > 0)
		memcpy(copy, s.ptr, s.len);
	copy[s.len] = '\0';
	return (struct slice){copy, s.len};
}

struct slice arena_format(struct arena *a, const char *format, ...)
{
	va_list arguments, again;
	va_start(arguments, format);
	va_copy(again, arguments);
	size_t room = (size_t)(a->end - a->next);
	int len = vsnprintf(a->next, room, format, arguments);
	check(len >= 0);
	char *text = arena_alloc(a, (size_t)len + 1);
	if ((size_t)len >= room)
		vsnprintf(text, (size_t)len + 1, format, again);
	va_end(again);
	va_end(arguments);
	return (struct slice){text, (size_t)len};
}

void arena_reset(struct arena *a)
{
	while (a->blocks) {
		struct arena_block *block = a->blocks;
		a->blocks = block->next;
		if (block->size == ARENA_BLOCK)
			pool_give(&pool, block, ARENA_POOLED);
		else
			free(block);
	}
	use_first(a);
}

void arena_trim(void)
{
	pool_trim(&pool);
}
