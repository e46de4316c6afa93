/* SPDX-License-Identifier: BSD-2-Clause */
/* Several ranges of one representation as one body: heads of parts in memory between the sources of the ranges. */
#include "http/multipart.h"

#include <string.h>

#include "base/table.h"

struct multipart {
	struct source source;
	struct source *parts[RANGES_MAX];          /* NULL: done */
	struct chunk_block *heads[RANGES_MAX + 1]; /* the last is the end; NULL: sent */
	unsigned count;
	unsigned at;
};

/* The part under way has something again: so have we. */
static void part_woken(struct source *part)
{
	struct multipart *m = part->taker;
	source_wake(&m->source);
}

static void give_head(struct multipart *m, struct chunks *out)
{
	struct chunk_block *head = m->heads[m->at];
	m->heads[m->at] = NULL;
	if (head)
		chunks_memory(out, &head->ref, head->bytes, head->used);
}

/* Heads are small and few: they are given without regard to room. */
static enum pull multipart_pull(struct source *source, struct chunks *out, size_t room)
{
	struct multipart *m = container_of(source, struct multipart, source);
	give_head(m, out);
	if (m->at == m->count)
		return PULL_END;
	struct source *part = m->parts[m->at];
	enum pull verdict = part->ops->pull(part, out, room);
	source->fault = part->fault;
	if (verdict != PULL_END)
		return verdict;
	source_cancel(&m->parts[m->at++]);
	return PULL_MORE;
}

static void multipart_cancel(struct source *source)
{
	struct multipart *m = container_of(source, struct multipart, source);
	for (unsigned i = 0; i < m->count; i++)
		source_cancel(&m->parts[i]);
	for (unsigned i = 0; i <= m->count; i++)
		if (m->heads[i])
			ref_put(&m->heads[i]->ref);
}

static const struct source_ops multipart_ops = {multipart_pull, multipart_cancel};

static struct chunk_block *block_of(struct slice text)
{
	struct chunk_block *block = chunk_block(text.len);
	memcpy(block->bytes, text.ptr, text.len);
	block->used = (uint32_t)text.len;
	return block;
}

/* Nobody can choose content that holds it: it comes from this process's random key. */
static struct slice make_boundary(struct request *request)
{
	struct {
		uint64_t connection, time;
		uint32_t number, thread;
	} seed = {request->peer->connection, request->begun_us, request->number,
		request->thread->index};
	return arena_format(&request->arena, "%016llx%016llx",
		(unsigned long long)table_hash(&seed, sizeof seed, 1),
		(unsigned long long)table_hash(&seed, sizeof seed, 2));
}

struct source *multipart_source(struct request *request, const struct entity *entity,
	struct slice type, const struct byte_range *ranges, unsigned count, uint64_t *length,
	struct slice *content_type)
{
	struct arena *arena = &request->arena;
	struct multipart *m = arena_zalloc(arena, sizeof *m);
	struct slice boundary = make_boundary(request);
	m->source.ops = &multipart_ops;
	m->count = count;
	*length = 0;
	for (unsigned i = 0; i < count; i++) {
		struct slice head = arena_format(arena,
			"%s--%.*s\r\n%s%.*s%sContent-Range: bytes %llu-%llu/%llu\r\n\r\n",
			i ? "\r\n" : "", (int)boundary.len, boundary.ptr,
			type.len ? "Content-Type: " : "", (int)type.len, type.len ? type.ptr : "",
			type.len ? "\r\n" : "", (unsigned long long)ranges[i].first,
			(unsigned long long)(ranges[i].first + ranges[i].length - 1),
			(unsigned long long)entity->length);
		m->heads[i] = block_of(head);
		m->parts[i] = entity->open(request, entity, ranges[i].first, ranges[i].length);
		if (!m->parts[i]) {
			m->source.ops->cancel(&m->source);
			return NULL;
		}
		m->parts[i]->wake = part_woken;
		m->parts[i]->taker = m;
		*length += head.len + ranges[i].length;
	}
	struct slice end = arena_format(arena, "\r\n--%.*s--\r\n", (int)boundary.len, boundary.ptr);
	m->heads[count] = block_of(end);
	*length += end.len;
	*content_type = arena_format(
		arena, "multipart/byteranges; boundary=%.*s", (int)boundary.len, boundary.ptr);
	return &m->source;
}
