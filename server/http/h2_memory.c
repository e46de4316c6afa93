/* SPDX-License-Identifier: BSD-2-Clause */
/* Pools by size, and the buffer that sessions share. */
#include "http/h2_memory.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/pool.h"

#define KEPT 256 /* pieces of a size */

/* Stands before each piece. */
struct piece {
	uint32_t capacity;
	uint32_t size_class;
};

static const uint32_t classes[] = {56, 120, 248, 504};
enum { CLASSES = COUNT_OF(classes), NO_CLASS, SHARED };

static _Thread_local struct pool pools[CLASSES];
static _Thread_local struct piece *shared;
static _Thread_local unsigned shared_users;

static uint32_t class_of(size_t size)
{
	uint32_t class = 0;
	while (class < CLASSES && size > classes[class])
		class ++;
	return class < CLASSES ? class : NO_CLASS;
}

static struct piece *take_shared(size_t size)
{
	if (shared_users++ == 0)
		shared = must_alloc(sizeof *shared + size);
	check(shared_users == 1 || shared->capacity == size);
	return shared;
}

static void leave_shared(void)
{
	check(shared_users > 0);
	if (--shared_users == 0)
		free(shared);
}

void *h2_memory_alloc(size_t size, void *context)
{
	const struct h2_memory *memory = context;
	uint32_t class = size == memory->shared_size && size ? SHARED : class_of(size);
	struct piece *piece;
	if (size > UINT32_MAX - sizeof *piece)
		return NULL;
	if (class == SHARED) {
		piece = take_shared(size);
	} else if (class == NO_CLASS) {
		piece = malloc(size + sizeof *piece);
	} else {
		size = classes[class];
		piece = pool_take(&pools[class], size + sizeof *piece);
	}
	if (!piece)
		return NULL;
	*piece = (struct piece){(uint32_t)size, class};
	return piece + 1;
}

void h2_memory_free(void *memory, void *context)
{
	struct piece *piece = memory;
	(void)context;
	if (!piece)
		return;
	piece--;
	if (piece->size_class == SHARED)
		leave_shared();
	else if (piece->size_class == NO_CLASS)
		free(piece);
	else
		pool_give(&pools[piece->size_class], piece,
			KEPT << (CLASSES - 1 - piece->size_class));
}

void *h2_memory_zalloc(size_t count, size_t size, void *context)
{
	size_t all;
	if (__builtin_mul_overflow(count, size, &all))
		return NULL;
	void *memory = h2_memory_alloc(all, context);
	return memory ? memset(memory, 0, all) : NULL;
}

void *h2_memory_realloc(void *memory, size_t size, void *context)
{
	if (!memory)
		return h2_memory_alloc(size, context);
	const struct piece *piece = (struct piece *)memory - 1;
	if (size <= piece->capacity)
		return memory;
	void *larger = h2_memory_alloc(size, context);
	if (!larger)
		return NULL;
	memcpy(larger, memory, piece->capacity);
	h2_memory_free(memory, context);
	return larger;
}

void h2_memory_trim(void)
{
	for (size_t i = 0; i < CLASSES; i++)
		pool_trim(&pools[i]);
}
