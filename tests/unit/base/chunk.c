/* SPDX-License-Identifier: BSD-2-Clause */
/* The body queue: order, splitting, references, what back-pressure counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/chunk.h"

static unsigned freed;

static void count_last(struct ref *ref)
{
	(void)ref;
	freed++;
}

/* The sums of a queue are those of its spans, and its end is its last span. */
static void assert_whole(const struct chunks *q)
{
	uint64_t length = 0, memory = 0;
	struct chunk *const *end = &q->first;
	for (struct chunk *const *at = &q->first; *at; at = &(*at)->next) {
		assert_true((*at)->length > 0);
		length += (*at)->length;
		if ((*at)->ptr)
			memory += (*at)->length;
		end = &(*at)->next;
	}
	assert_int_equal(q->length, length);
	assert_int_equal(q->memory, memory);
	assert_ptr_equal(q->last, end);
}

static void gives_references_back(void **state)
{
	(void)state;
	freed = 0;
	struct ref owner;
	ref_init(&owner, count_last);
	ref_get(&owner);
	struct chunks q;
	chunks_init(&q);
	chunks_memory(&q, &owner, "hello", 5);
	chunks_file(&q, &owner, 3, 100, 50, NULL);
	assert_whole(&q);
	assert_int_equal(q.length, 55);
	assert_int_equal(q.memory, 5);
	chunks_consume(&q, 4);
	assert_int_equal(owner.count, 2);
	assert_int_equal(*q.first->ptr, 'o');
	chunks_consume(&q, 11);
	assert_int_equal(owner.count, 1);
	assert_int_equal(q.first->offset, 110);
	assert_int_equal(q.length, 40);
	assert_int_equal(q.memory, 0);
	chunks_clear(&q);
	assert_int_equal(freed, 1);
	assert_true(chunks_empty(&q));
	assert_whole(&q);
}

static void empty_span_is_dropped_with_its_reference(void **state)
{
	(void)state;
	freed = 0;
	struct ref owner;
	ref_init(&owner, count_last);
	ref_get(&owner);
	struct chunks q;
	chunks_init(&q);
	chunks_memory(&q, &owner, "", 0);
	chunks_file(&q, &owner, 3, 0, 0, NULL);
	chunks_copy(&q, "", 0);
	assert_int_equal(freed, 1);
	assert_true(chunks_empty(&q));
}

/* Wherever a queue is cut, both parts have their bytes and each span its own reference. */
static void splits_anywhere(void **state)
{
	(void)state;
	for (uint64_t cut = 0; cut <= 31; cut++) {
		freed = 0;
		struct ref owner;
		ref_init(&owner, count_last);
		ref_get(&owner);
		struct chunks from, to;
		chunks_init(&from);
		chunks_init(&to);
		chunks_memory(&from, &owner, "0123456789", 10);
		chunks_file(&from, &owner, 7, 1000, 10, NULL);
		chunks_memory(&from, NULL, "abcdefghij", 10);
		chunks_move_some(&to, &from, cut);
		assert_whole(&from);
		assert_whole(&to);
		uint64_t moved = cut > 30 ? 30 : cut;
		assert_int_equal(to.length, moved);
		assert_int_equal(from.length, 30 - moved);
		unsigned parts = 2 + (cut > 0 && cut < 20 && cut != 10);
		assert_int_equal(owner.count, parts);
		if (cut > 10 && cut < 20) {
			assert_int_equal(from.first->offset, 1000 + cut - 10);
			assert_int_equal(from.first->fd, 7);
			char text[16];
			assert_int_equal(chunks_peek(&to, text, sizeof(text)), 10);
			assert_memory_equal(text, "0123456789", 10);
			assert_int_equal(chunks_peek(&from, text, sizeof(text)), 0);
		}
		chunks_move(&to, &from);
		assert_whole(&to);
		assert_int_equal(to.length, 30);
		chunks_clear(&to);
		assert_int_equal(freed, 1);
	}
}

static void copies_fill_their_block(void **state)
{
	(void)state;
	struct chunks q;
	chunks_init(&q);
	for (int i = 0; i < 512; i++)
		chunks_copy(&q, &"abcdefghijklmnop"[i % 16], 1);
	/* One block for all, so that a peer cannot make us spend a block a byte. */
	assert_null(q.first->next);
	assert_int_equal(q.memory, 512);
	assert_whole(&q);
	chunks_copy(&q, "!", 1);
	assert_non_null(q.first->next);
	char text[600];
	assert_int_equal(chunks_peek(&q, text, sizeof(text)), 513);
	assert_memory_equal(text + 496, "abcdefghijklmnop!", 17);
	chunks_clear(&q);
}

/* A block that another queue still sends from is not written to. */
static void split_copies_are_not_filled(void **state)
{
	(void)state;
	struct chunks q, part;
	chunks_init(&q);
	chunks_init(&part);
	chunks_copy(&q, "abcdef", 6);
	chunks_move_some(&part, &q, 3);
	chunks_copy(&part, "X", 1);
	chunks_copy(&q, "Y", 1);
	char text[8];
	assert_int_equal(chunks_peek(&part, text, sizeof(text)), 4);
	assert_memory_equal(text, "abcX", 4);
	assert_int_equal(chunks_peek(&q, text, sizeof(text)), 4);
	assert_memory_equal(text, "defY", 4);
	chunks_clear(&q);
	chunks_clear(&part);
}

/* Of a file's span that is split only the last part is its end. */
static void split_files_end_once(void **state)
{
	(void)state;
	struct chunks q, part;
	chunks_init(&q);
	chunks_init(&part);
	chunks_file(&q, NULL, 3, 100, 10, NULL);
	chunks_move_some(&part, &q, 4);
	assert_int_equal(part.length, 4);
	assert_true(part.first->cut);
	assert_false(q.first->cut);
	chunks_clear(&part);
	chunks_move_some(&part, &q, 6);
	assert_int_equal(part.first->offset, 104);
	assert_false(part.first->cut);
	chunks_clear(&part);
}

static void large_copies(void **state)
{
	(void)state;
	size_t size = 200000;
	unsigned char *bytes = malloc(size);
	assert_non_null(bytes);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(i * 7);
	struct chunks q;
	chunks_init(&q);
	chunks_copy(&q, bytes, size);
	assert_whole(&q);
	size_t at = 0;
	for (const struct chunk *chunk = q.first; chunk; chunk = chunk->next) {
		assert_memory_equal(chunk->ptr, bytes + at, chunk->length);
		at += chunk->length;
	}
	assert_int_equal(at, size);
	chunks_clear(&q);
	free(bytes);
}

static void gathered_pieces_keep_no_block(void **state)
{
	(void)state;
	struct chunks from, to;
	chunks_init(&from);
	chunks_init(&to);
	struct chunk_block *block = chunk_block(65536);
	memset(block->bytes, 'a', 200);
	for (unsigned i = 0; i < 3; i++) {
		ref_get(&block->ref);
		chunks_memory(&from, &block->ref, block->bytes, i == 1 ? 100 : 99);
	}
	chunks_gather(&to, &from, 100);
	assert_whole(&to);
	assert_true(chunks_empty(&from));
	assert_int_equal(to.length, 298);
	assert_int_equal(block->ref.count, 2); /* ours, and that of the long piece */
	assert_ptr_equal(to.first->next->ptr, block->bytes);
	chunks_clear(&to);
	assert_int_equal(block->ref.count, 1);
	ref_put(&block->ref);
}

static void blocks_have_room(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 512, 513, 4096, 16384, 65536, 65537, 1000000};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct chunk_block *block = chunk_block(sizes[i]);
		assert_true(block->capacity >= sizes[i]);
		assert_int_equal(block->used, 0);
		assert_int_equal(block->ref.count, 1);
		memset(block->bytes, 0xff, block->capacity);
		ref_put(&block->ref);
	}
	chunk_trim();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_references_back),
		cmocka_unit_test(empty_span_is_dropped_with_its_reference),
		cmocka_unit_test(splits_anywhere),
		cmocka_unit_test(copies_fill_their_block),
		cmocka_unit_test(split_copies_are_not_filled),
		cmocka_unit_test(split_files_end_once),
		cmocka_unit_test(large_copies),
		cmocka_unit_test(gathered_pieces_keep_no_block),
		cmocka_unit_test(blocks_have_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
