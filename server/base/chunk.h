/* SPDX-License-Identifier: BSD-2-Clause */
/* The body queue: spans of memory and spans of files, in the order in which they are to be sent. */
#ifndef WEIR_BASE_CHUNK_H
#define WEIR_BASE_CHUNK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/ref.h"

/* When it is asked whether a file still stands. The first two cost no system call, as a rule. */
enum chunk_when {
	CHUNK_AHEAD,  /* before a piece is read, or sent by the kernel */
	CHUNK_AT_END, /* before the kernel sends the last piece of the span, unless that was cut */
	CHUNK_BEHIND, /* octets were read into memory just now and are not sent yet, or sent in this turn of the loop: who writes meanwhile may
			 not have been told of */
};

/* The most of a file that one call should send: the others wait so long. */
#define CHUNK_QUANTUM       (960 * 1024)
/* Likewise where sending is paced. sendfile takes a file by 64 KB, and what these are longer than the loopback's longest segment becomes a short
 * one, as soon as an acknowledgment comes between them; then each costs a timer. In 120 KB there are two such parts, and the rest of the first
 * fits into the second's segment. (Over networks, with segments of 1.4 KB, this does not matter.) */
#define CHUNK_QUANTUM_PACED (120 * 1024)
/* How long spans of files are: so much of a cold one is read ahead at once. */
#define CHUNK_SPAN          (2 * CHUNK_QUANTUM)

/* Is the file behind a span still the version that the span was made of? */
typedef bool chunk_stands_fn(struct ref *owner, enum chunk_when when);

/* A span holds one reference to its owner, whose memory or descriptor stays valid and unchanged until then.
 * owner NULL: memory that is never freed (literals). Never memory of an arena. */
struct chunk {
	struct chunk *next;
	struct ref *owner;
	const char *ptr;         /* memory; NULL for a span of a file */
	int fd;                  /* file */
	bool cut;                /* more of the span stood behind, and is sent later */
	chunk_stands_fn *stands; /* file: NULL, or to be asked: see enum chunk_when */
	off_t offset;            /* file: where the span begins */
	uint64_t length;         /* > 0 */
};

/* What one call should send of a span of a file, in octets. */
static inline size_t chunk_piece(const struct chunk *file, size_t quantum)
{
	return file->length < quantum ? (size_t)file->length : quantum;
}

/* All zero but for `last` is empty: use chunks_init. Lives on one thread. */
struct chunks {
	struct chunk *first;
	struct chunk **last;
	uint64_t length; /* bytes in all spans */
	uint64_t memory; /* bytes of it in memory spans: what back-pressure counts */
};

void chunks_init(struct chunks *q);
static inline int chunks_empty(const struct chunks *q)
{
	return q->first == NULL;
}
/* Appends a span of memory; takes over one reference to owner. A span of length 0 is dropped (the reference too). */
void chunks_memory(struct chunks *q, struct ref *owner, const char *ptr, size_t length);
/* Appends a span of a file; takes over one reference to owner, which keeps the descriptor open. */
void chunks_file(struct chunks *q, struct ref *owner, int fd, off_t offset, uint64_t length,
	chunk_stands_fn *stands);
/* Appends a copy of the bytes in memory of its own. */
void chunks_copy(struct chunks *q, const void *bytes, size_t length);
/* Moves all spans of `from` behind those of `to`. */
void chunks_move(struct chunks *to, struct chunks *from);
/* Likewise, but memory spans shorter than `least` are copied: where much waits, each would keep somebody's whole block. */
void chunks_gather(struct chunks *to, struct chunks *from, uint64_t least);
/* Moves spans of at most `limit` bytes in all from the front of `from`; splits the last where needed. */
void chunks_move_some(struct chunks *to, struct chunks *from, uint64_t limit);
/* May a span of a file still be read; or behind that, is what was read of it its own? */
static inline bool chunk_stands(const struct chunk *span, enum chunk_when when)
{
	return !span->stands || span->stands(span->owner, when);
}
/* Drops the first `length` bytes, with the references of the spans that end there. */
void chunks_consume(struct chunks *q, uint64_t length);
/* Drops everything. */
void chunks_clear(struct chunks *q);
/* Copies up to `size` bytes of leading memory spans; returns how many. Stops at a file span. */
size_t chunks_peek(const struct chunks *q, char *to, size_t size);
/* A counted block of memory with `capacity` bytes behind it, in pooled sizes; free with ref_put(&b->ref). */
struct chunk_block {
	struct ref ref;
	uint32_t capacity;
	uint32_t used; /* for the owner's book-keeping; nothing here reads it */
	char bytes[];
};
struct chunk_block *chunk_block(size_t capacity);
/* Appends a copy of the bytes, at most CHUNK_WRITE_MOST of them, to a block that the caller keeps between calls (*tail, NULL at first): spans of
 * others may come between, and the block is still filled. */
#define CHUNK_WRITE_MOST 16384
void chunks_write(struct chunks *q, struct chunk_block **tail, const void *bytes, size_t length);
/* Gives this thread's pools of spans and blocks back to the allocator; for the end of a thread and idle times. */
void chunk_trim(void);

#endif
