/* SPDX-License-Identifier: BSD-2-Clause */
/* Files of other machines, and files that are written in place: no call on them is made by a loop. A piece is read into memory on an I/O
 * thread, with a look whether the version still stands, and sent from there. Slower than sendfile; a disk that hangs holds up its own
 * readers alone. */
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/whole.h"
#include "handlers/file/file_body.h"
#include "io/disk.h"

#define PIECE (128u << 10)

struct piece_job;

struct guarded_source {
	struct source source;
	struct request *request;
	struct file *file;
	uint64_t offset, left;
	struct piece_job *job;     /* under way */
	struct chunk_block *piece; /* was read */
	enum exchange_end broken;  /* 0: it is not */
};

/* A piece that is being read; outlives the source if it must. */
struct piece_job {
	struct disk_job job;
	struct guarded_source *source; /* NULL: nobody waits any more */
	struct file *file;
	struct file_stamp stamp;
	int fd;
	off_t offset;
	struct chunk_block *piece; /* `used` octets are wanted */
	enum exchange_end failed;  /* 0: it was read */
};

static void piece_work(struct disk_job *job)
{
	struct piece_job *piece = container_of(job, struct piece_job, job);
	size_t length = piece->piece->used;
	ssize_t n = whole_read_at(piece->fd, piece->piece->bytes, length, piece->offset);
	if (n < 0)
		piece->failed = END_DISK_ERROR;
	else if ((size_t)n < length || !file_stamp_holds(&piece->stamp, piece->fd))
		piece->failed = END_FILE_CHANGED;
}

static void piece_done(struct disk_job *job)
{
	struct piece_job *piece = container_of(job, struct piece_job, job);
	struct guarded_source *body = piece->source;
	ref_put(&piece->file->ref);
	if (!body) {
		ref_put(&piece->piece->ref);
		free(piece);
		return;
	}
	body->job = NULL;
	body->broken = piece->failed;
	body->piece = piece->piece;
	free(piece);
	source_wake(&body->source);
}

/* False: there is too much to do. */
static bool piece_start(struct guarded_source *body, size_t length)
{
	struct piece_job *piece = must_zalloc(sizeof *piece);
	piece->source = body;
	piece->file = body->file;
	piece->stamp = body->file->stamp;
	piece->fd = body->file->fd;
	piece->offset = (off_t)body->offset;
	piece->job.work = piece_work;
	piece->job.done = piece_done;
	piece->job.lane = body->file->lane;
	piece->piece = chunk_block(length);
	piece->piece->used = (uint32_t)length;
	if (!disk_submit(body->request->thread->disk, body->request->thread->loop, &piece->job)) {
		ref_put(&piece->piece->ref);
		free(piece);
		return false;
	}
	ref_get(&piece->file->ref);
	body->job = piece;
	return true;
}

static enum pull guarded_pull(struct source *source, struct chunks *out, size_t room)
{
	struct guarded_source *body = container_of(source, struct guarded_source, source);
	if (body->broken) {
		source->fault = body->broken;
		return PULL_FAILED;
	}
	if (!body->piece) {
		size_t length = room < PIECE ? room : PIECE;
		if (body->left < length)
			length = (size_t)body->left;
		source->fault = END_DISK_ERROR;
		return piece_start(body, length) ? PULL_PAUSED : PULL_FAILED;
	}
	struct chunk_block *piece = body->piece;
	body->piece = NULL;
	body->offset += piece->used;
	body->left -= piece->used;
	chunks_memory(out, &piece->ref, piece->bytes, piece->used);
	return body->left ? PULL_MORE : PULL_END;
}

static void guarded_cancel(struct source *source)
{
	struct guarded_source *body = container_of(source, struct guarded_source, source);
	if (body->job)
		body->job->source = NULL;
	if (body->piece)
		ref_put(&body->piece->ref);
	ref_put(&body->file->ref);
}

static const struct source_ops guarded_ops = {guarded_pull, guarded_cancel};

struct source *file_guarded_body(
	struct request *request, struct file *file, uint64_t first, uint64_t length)
{
	struct guarded_source *body = arena_zalloc(&request->arena, sizeof *body);
	body->source.ops = &guarded_ops;
	body->request = request;
	body->file = file;
	ref_get(&file->ref);
	body->offset = first;
	body->left = length;
	return &body->source;
}

/* --- Closing. --- */

void file_guarded_close(struct file *file)
{
	struct exchange_thread *thread = file->thread;
	if (!thread->disk)
		return; /* closed with the process, which must not wait for a disk that hangs */
	if (!disk_close(thread->disk, thread->loop, file->lane, file->fd))
		close(file->fd); /* thousands wait there already: better one too many to wait than a descriptor lost */
}
