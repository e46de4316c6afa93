/* SPDX-License-Identifier: BSD-2-Clause */
/* The body queue, and the pools from which its spans and blocks of memory come. */
#include "base/chunk.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/pool.h"

#define SPANS_POOLED 1024 /* spans that a thread keeps */

/* The sizes of blocks, and how many of each a thread keeps: 2.4 MB at most. */
static const struct {
	uint32_t capacity;
	unsigned limit;
} classes[] = {{512, 256}, {4096, 64}, {16384, 64}, {65536, 16}};

static _Thread_local struct pool spans;
static _Thread_local struct pool blocks[COUNT_OF(classes)];

static void block_last(struct ref *ref)
{
	struct chunk_block *block = container_of(ref, struct chunk_block, ref);
	for (size_t i = 0; i < COUNT_OF(classes); i++) {
		if (block->capacity == classes[i].capacity) {
			pool_give(&blocks[i], block, classes[i].limit);
			return;
		}
	}
	free(block);
}

/* Marks blocks that chunks_copy made, whose rest it may go on to fill. */
static void copy_last(struct ref *ref)
{
	block_last(ref);
}

struct chunk_block *chunk_block(size_t capacity)
{
	check(capacity <= UINT32_MAX - sizeof(struct chunk_block));
	struct chunk_block *block = NULL;
	for (size_t i = 0; i < COUNT_OF(classes); i++) {
		if (capacity <= classes[i].capacity) {
			capacity = classes[i].capacity;
			block = pool_take(&blocks[i], sizeof(*block) + capacity);
			break;
		}
	}
	if (!block)
		block = must_alloc(sizeof(*block) + capacity);
	ref_init(&block->ref, block_last);
	block->capacity = (uint32_t)capacity;
	block->used = 0;
	return block;
}

void chunk_trim(void)
{
	pool_trim(&spans);
	for (size_t i = 0; i < COUNT_OF(classes); i++)
		pool_trim(&blocks[i]);
	arena_trim();
}

void chunks_init(struct chunks *q)
{
	q->first = NULL;
	q->last = &q->first;
	q->length = 0;
	q->memory = 0;
}

static inline struct chunk *last_span(const struct chunks *q)
{
	return q->first ? container_of(q->last, struct chunk, next) : NULL;
}

static inline void append(struct chunks *q, struct chunk span)
{
	struct chunk *chunk = pool_take(&spans, sizeof(*chunk));
	*chunk = span;
	chunk->next = NULL;
	*q->last = chunk;
	q->last = &chunk->next;
	q->length += chunk->length;
	if (chunk->ptr)
		q->memory += chunk->length;
}

void chunks_memory(struct chunks *q, struct ref *owner, const char *ptr, size_t length)
{
	if (length == 0) {
		ref_put(owner);
		return;
	}
	check(ptr);
	append(q, (struct chunk){.owner = owner, .ptr = ptr, .fd = -1, .length = length});
}

void chunks_file(struct chunks *q, struct ref *owner, int fd, off_t offset, uint64_t length,
	chunk_stands_fn *stands)
{
	if (length == 0) {
		ref_put(owner);
		return;
	}
	check(fd >= 0 && offset >= 0);
	append(q, (struct chunk){.owner = owner,
			  .fd = fd,
			  .stands = stands,
			  .offset = offset,
			  .length = length});
}

/* A peer that sends a byte at a time must not cost a block each: what fits behind the last copy goes there. */
static size_t fill_last(struct chunks *q, const char *bytes, size_t length)
{
	struct chunk *last = last_span(q);
	if (!last || !last->owner || last->owner->last != copy_last || last->owner->count != 1)
		return 0;
	struct chunk_block *block = container_of(last->owner, struct chunk_block, ref);
	if (last->ptr + last->length != block->bytes + block->used)
		return 0;
	size_t room = block->capacity - block->used;
	if (length > room)
		length = room;
	memcpy(block->bytes + block->used, bytes, length);
	block->used += (uint32_t)length;
	last->length += length;
	q->length += length;
	q->memory += length;
	return length;
}

void chunks_copy(struct chunks *q, const void *bytes, size_t length)
{
	if (length == 0)
		return;
	const char *from = bytes;
	size_t filled = fill_last(q, from, length);
	from += filled;
	length -= filled;
	while (length > 0) {
		size_t largest = classes[COUNT_OF(classes) - 1].capacity;
		size_t part = length < largest ? length : largest;
		struct chunk_block *block = chunk_block(part);
		block->ref.last = copy_last;
		memcpy(block->bytes, from, part);
		block->used = (uint32_t)part;
		chunks_memory(q, &block->ref, block->bytes, part);
		from += part;
		length -= part;
	}
}

void chunks_write(struct chunks *q, struct chunk_block **tail, const void *bytes, size_t length)
{
	struct chunk_block *block = *tail;
	check(length <= CHUNK_WRITE_MOST);
	if (!block || block->capacity - block->used < length) {
		if (block)
			ref_put(&block->ref);
		block = *tail = chunk_block(CHUNK_WRITE_MOST);
	}
	char *to = block->bytes + block->used;
	memcpy(to, bytes, length);
	block->used += (uint32_t)length;
	struct chunk *last = last_span(q);
	if (last && last->owner == &block->ref && last->ptr + last->length == to) {
		last->length += length;
		q->length += length;
		q->memory += length;
		return;
	}
	ref_get(&block->ref);
	chunks_memory(q, &block->ref, to, length);
}

void chunks_move(struct chunks *to, struct chunks *from)
{
	if (!from->first)
		return;
	*to->last = from->first;
	to->last = from->last;
	to->length += from->length;
	to->memory += from->memory;
	chunks_init(from);
}

void chunks_gather(struct chunks *to, struct chunks *from, uint64_t least)
{
	while (!chunks_empty(from)) {
		const struct chunk *span = from->first;
		uint64_t length = span->length;
		if (span->ptr && length < least) {
			chunks_copy(to, span->ptr, (size_t)length);
			chunks_consume(from, length);
		} else {
			chunks_move_some(to, from, length);
		}
	}
}

/* Takes the first span out of the queue, still whole. */
static struct chunk *take_first(struct chunks *q)
{
	struct chunk *chunk = q->first;
	q->first = chunk->next;
	if (!q->first)
		q->last = &q->first;
	q->length -= chunk->length;
	if (chunk->ptr)
		q->memory -= chunk->length;
	return chunk;
}

/* Shortens the first span by its leading `length` bytes; its reference stays. */
static void cut_front(struct chunks *q, uint64_t length)
{
	struct chunk *chunk = q->first;
	if (chunk->ptr) {
		chunk->ptr += length;
		q->memory -= length;
	} else {
		chunk->offset += (off_t)length;
	}
	chunk->length -= length;
	q->length -= length;
}

void chunks_move_some(struct chunks *to, struct chunks *from, uint64_t limit)
{
	if (limit >= from->length) {
		chunks_move(to, from);
		return;
	}
	while (limit > 0 && from->first->length <= limit) {
		struct chunk *chunk = take_first(from);
		limit -= chunk->length;
		chunk->next = NULL;
		*to->last = chunk;
		to->last = &chunk->next;
		to->length += chunk->length;
		if (chunk->ptr)
			to->memory += chunk->length;
	}
	if (limit == 0)
		return;
	struct chunk part = *from->first;
	if (part.owner)
		ref_get(part.owner);
	part.length = limit;
	part.cut = true;
	append(to, part);
	cut_front(from, limit);
}

void chunks_consume(struct chunks *q, uint64_t length)
{
	check(length <= q->length);
	while (length > 0) {
		if (q->first->length > length) {
			cut_front(q, length);
			return;
		}
		struct chunk *chunk = take_first(q);
		length -= chunk->length;
		struct ref *owner = chunk->owner;
		pool_give(&spans, chunk, SPANS_POOLED);
		ref_put(owner);
	}
}

void chunks_clear(struct chunks *q)
{
	chunks_consume(q, q->length);
}

size_t chunks_peek(const struct chunks *q, char *to, size_t size)
{
	size_t copied = 0;
	for (const struct chunk *chunk = q->first; chunk && chunk->ptr && copied < size;
		chunk = chunk->next) {
		size_t part = chunk->length < size - copied ? (size_t)chunk->length : size - copied;
		memcpy(to + copied, chunk->ptr, part);
		copied += part;
	}
	return copied;
}
