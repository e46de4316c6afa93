/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies of files in memory files: made as a version is read, kept within bounds, sent. */
#include "handlers/file/file_copy.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "io/disk.h"

#define BYTES_MAX    ((size_t)128 << 20) /* of all threads: no cache that the kernel may take back */
#define LENGTH_MAX   ((size_t)16 << 20)
#define SHARE_OF_ALL 8   /* and at most this part of the machine's memory */
#define SHARE_OF_ONE 4   /* a copy is at most this part of what its thread may have */
#define REST_MS      500 /* between two of a file; less than what is racy waits to be looked at */
#define UNUSED_MS                                                                                  \
	10000 /* what was used again since then makes room only for what was written of late */
#define PIECE     ((size_t)64 << 10) /* of what is read at a time */
#define HELD_MOST 4                  /* memory files that sockets hold, asked at a time */
#define LANE      UINT32_MAX         /* seldom that of a disk */

struct file_copy {
	struct ref ref;
	struct link link; /* in the contents of its memory file, as long as a file has it */
	struct file_copies *copies;
	struct file *file; /* that has it; NULL: none any more */
	bool used;         /* it was sent, or is being sent */
	struct memory_part part;
};

struct copy_source {
	struct source source;
	struct file_copy *copy;
	uint64_t offset, left; /* in the memory file */
};

/* --- Made. --- */

void file_copy_begin(const struct file_look *look, struct file_version *v)
{
	const struct file_known *known = &look->known[v - look->found];
	bool brief =
		v->stamp.restless || (known->copied && !file_stamp_equal(&known->stamp, &v->stamp));
	size_t length = (size_t)v->stamp.size;
	v->copyable = length <= look->copy_max;
	if (v->copyable)
		memory_take(look->memory, length, brief, &v->copy);
}

void file_copy_add(struct file_version *v, size_t at, struct slice bytes)
{
	if (v->copy.file && !memory_fill(&v->copy, at, bytes))
		memory_untake(&v->copy);
}

/* Octets that are in memory; where the file system cannot say, it is taken to be fast. As pread, with EAGAIN: the next ones are not. */
static ssize_t read_warm(int fd, char *to, size_t length, off_t offset)
{
	struct iovec iov = {to, length};
	ssize_t n = preadv2(fd, &iov, 1, offset, RWF_NOWAIT);
	return n < 0 && errno == EOPNOTSUPP ? pread(fd, to, length, offset) : n;
}

void file_copy_whole(const struct file_look *look, struct file_version *v)
{
	size_t length = (size_t)v->stamp.size, done = 0;
	char last;
	if (read_warm(v->fd, &last, 1, (off_t)length - 1) <= 0)
		return;
	file_copy_begin(look, v);
	char *buffer = v->copy.file ? malloc(PIECE) : NULL;
	while (buffer && v->copy.file && done < length) {
		size_t want = length - done < PIECE ? length - done : PIECE;
		ssize_t n = read_warm(v->fd, buffer, want, (off_t)done);
		if (n <= 0)
			break;
		file_copy_add(v, done, (struct slice){buffer, (size_t)n});
		done += (size_t)n;
	}
	free(buffer);
	if (done < length)
		memory_untake(&v->copy);
}

/* --- Kept. --- */

static void copies_last(struct ref *ref)
{
	struct file_copies *copies = container_of(ref, struct file_copies, ref);
	memory_files_let(copies->memory);
	free(copies);
}

static size_t at_least(size_t value, size_t least)
{
	return value < least ? least : value;
}

struct file_copies *file_copies_new(
	struct exchange_thread *thread, unsigned descriptors, uint64_t memory)
{
	struct file_copies *copies = must_zalloc(sizeof *copies);
	bool little = memory && memory / SHARE_OF_ALL < BYTES_MAX;
	size_t all = little ? (size_t)memory / SHARE_OF_ALL : BYTES_MAX;
	size_t share = all / (thread->threads ? thread->threads : 1);
	if (share > descriptors * MEMORY_FILE_SIZE)
		share = descriptors * MEMORY_FILE_SIZE;
	ref_init(&copies->ref, copies_last);
	copies->thread = thread;
	list_init(&copies->list);
	copies->bytes_max = at_least(share, FILE_DIGEST_MAX);
	copies->length_max = at_least(share / SHARE_OF_ONE, FILE_DIGEST_MAX);
	if (copies->length_max > LENGTH_MAX)
		copies->length_max = LENGTH_MAX;
	/* what others make room for is made before, and sockets hold what was given back */
	copies->memory = memory_files_new(
		copies->bytes_max + copies->bytes_max / 2 + copies->length_max + MEMORY_FILE_SIZE);
	return copies;
}

struct reap {
	struct disk_job job;
	struct file_copies *copies;
};

static void reap_work(struct disk_job *job)
{
	memory_files_reap(container_of(job, struct reap, job)->copies->memory, HELD_MOST);
}

static void reap_done(struct disk_job *job)
{
	struct reap *reap = container_of(job, struct reap, job);
	reap->copies->reaping = false;
	ref_put(&reap->copies->ref);
	free(reap);
}

void file_copies_reap(struct file_copies *copies)
{
	const struct exchange_thread *thread = copies->thread;
	if (copies->reaping || !thread->disk || !memory_files_left(copies->memory))
		return;
	struct reap *reap = must_zalloc(sizeof *reap);
	*reap = (struct reap){
		.job = {.work = reap_work, .done = reap_done, .lane = LANE}, .copies = copies};
	if (!disk_submit(thread->disk, thread->loop, &reap->job)) {
		free(reap);
		return;
	}
	copies->reaping = true;
	ref_get(&copies->ref);
}

static void copy_last(struct ref *ref)
{
	struct file_copy *copy = container_of(ref, struct file_copy, ref);
	memory_give(&copy->part);
	file_copies_reap(copy->copies);
	ref_put(&copy->copies->ref);
	free(copy);
}

/* A memory file was used; from now on it is the last of which its room is wanted. */
static void note_use(struct file_copies *copies, struct memory_file *memory)
{
	list_remove(&memory->link);
	list_append(&copies->list, &memory->link);
}

void file_copy_drop(struct file *file)
{
	struct file_copy *copy = file->copy;
	if (!copy)
		return;
	struct memory_file *memory = copy->part.file;
	list_remove(&copy->link);
	if (list_empty(&memory->contents))
		list_remove(&memory->link);
	file->copy = NULL;
	copy->file = NULL;
	ref_put(&copy->ref);
}

bool file_copied_just_now(const struct file *file)
{
	return file->copied_ms && file->thread->clock->monotonic_ms - file->copied_ms < REST_MS;
}

/* How many copies a memory file holds, if it goes when these are dropped: if none is being sent, or made. Else 0. */
static unsigned idle_copies(struct memory_file *memory)
{
	unsigned count = 0;
	list_each (link, &memory->contents)
		count += container_of(link, struct file_copy, link)->ref.count == 1;
	return count == memory_file_parts(memory) ? count : 0;
}

/* Those of which something is being sent stay: to drop it would give nothing back. */
static bool may_go(const struct file_copies *copies, struct memory_file *memory, bool lately)
{
	uint64_t unused_ms = copies->thread->clock->monotonic_ms - memory->again_ms;
	return (lately || unused_ms >= UNUSED_MS) && idle_copies(memory) > 0;
}

/* Can memory files have so many octets less that these keep their bound? */
static bool can_make_room(const struct file_copies *copies, size_t size, bool lately)
{
	size_t most = copies->bytes_max;
	list_each (link, &copies->list) {
		struct memory_file *memory = container_of(link, struct memory_file, link);
		if (size <= most)
			break;
		most += may_go(copies, memory, lately) ? memory->size : 0;
	}
	return size <= most;
}

/* Makes memory files keep their bound. Where all that may go are too few, these stay as well, and the result is false. */
static bool make_room(struct file_copies *copies, bool lately)
{
	if (!can_make_room(copies, memory_files_size(copies->memory), lately))
		return false;
	list_each_safe (link, &copies->list) {
		struct memory_file *memory = container_of(link, struct memory_file, link);
		if (memory_files_size(copies->memory) <= copies->bytes_max)
			break;
		if (!may_go(copies, memory, lately))
			continue;
		/* it goes with the last one */
		for (unsigned left = idle_copies(memory); left > 0; left--)
			file_copy_drop(
				container_of(memory->contents.next, struct file_copy, link)->file);
	}
	return true;
}

bool file_lacks_copy(const struct file_copies *copies, const struct file *file)
{
	size_t size = ((size_t)file->length / MEMORY_FILE_SIZE + 1) * MEMORY_FILE_SIZE;
	return file->copyable && !file->copy && !copies->thread->draining &&
	       can_make_room(copies, memory_files_size(copies->memory) + size,
		       file_written_of_late(&file->stamp));
}

void file_copies_add(struct file_copies *copies, struct file *file, struct memory_part *part)
{
	check(!file->copy);
	if (!part->file)
		return;
	file->copied_ms = copies->thread->clock->monotonic_ms;
	if (copies->thread->draining || !make_room(copies, file_written_of_late(&file->stamp))) {
		memory_untake(part);
		return;
	}
	struct memory_file *memory = part->file;
	struct file_copy *copy = must_zalloc(sizeof *copy);
	ref_init(&copy->ref, copy_last);
	copy->copies = copies;
	ref_get(&copies->ref);
	copy->file = file;
	copy->part = *part;
	*part = (struct memory_part){0};
	file->copy = copy;
	if (!link_listed(&memory->contents))
		list_init(&memory->contents);
	list_append(&memory->contents, &copy->link);
	note_use(copies, memory);
}

void file_copies_clear(struct file_copies *copies)
{
	while (!list_empty(&copies->list)) {
		struct memory_file *memory =
			container_of(copies->list.next, struct memory_file, link);
		file_copy_drop(container_of(memory->contents.next, struct file_copy, link)->file);
	}
}

/* --- Sent. --- */

static enum pull copy_pull(struct source *source, struct chunks *out, size_t room)
{
	(void)room; /* spans of files hold no memory of the queue's */
	struct copy_source *body = container_of(source, struct copy_source, source);
	struct file_copy *copy = body->copy;
	uint64_t length = body->left < CHUNK_SPAN ? body->left : CHUNK_SPAN;
	ref_get(&copy->ref);
	chunks_file(out, &copy->ref, copy->part.file->fd, (off_t)body->offset, length, NULL);
	body->offset += length;
	body->left -= length;
	return body->left ? PULL_MORE : PULL_END;
}

static void copy_cancel(struct source *source)
{
	ref_put(&container_of(source, struct copy_source, source)->copy->ref);
}

static const struct source_ops copy_ops = {copy_pull, copy_cancel};

struct source *file_copy_body(
	struct request *request, struct file *file, uint64_t first, uint64_t length)
{
	struct file_copy *copy = file->copy;
	note_use(copy->copies, copy->part.file);
	if (copy->used)
		copy->part.file->again_ms = request->thread->clock->monotonic_ms;
	copy->used = true;
	struct copy_source *body = arena_zalloc(&request->arena, sizeof *body);
	body->source.ops = &copy_ops;
	body->copy = copy;
	ref_get(&copy->ref);
	body->offset = copy->part.offset + first;
	body->left = length;
	return &body->source;
}
