/* SPDX-License-Identifier: BSD-2-Clause */
/* A part of one version of a file as a body: spans of the file, read ahead by an I/O thread where its pages are cold. */
#include "handlers/file/file_body.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "handlers/file/file_copy.h"
#include "io/disk.h"

#define PROBES_ENOUGH                                                                              \
	32 /* parts of a file found warm one after the other: the next ones are believed to be, */
#define PROBES_MS 1000    /* for so long */
#define YOUNG_US  1000000 /* since a file changed: it may be about to change once more */
#define WARM_MS   60000 /* how long pages that were just seen in memory are believed to stay there */

struct read_ahead;

struct file_source {
	struct source source;
	struct request *request;
	struct file *file;
	uint64_t offset;
	uint64_t left;
	bool whole;   /* it began at the file's first octet and goes to its last */
	bool fetched; /* the next span was read ahead: it is not asked for again */
	bool broken;
	struct read_ahead *ahead; /* under way */
};

/* A span that is being read into memory; outlives the source if it must. */
struct read_ahead {
	struct disk_job job;
	struct file_source *source; /* NULL: nobody waits any more */
	struct file *file;
	int fd;
	off_t offset;
	size_t length;
	bool failed;
};

/* --- Cold pages. --- */

static void ahead_work(struct disk_job *job)
{
	struct read_ahead *ahead = container_of(job, struct read_ahead, job);
	char page[4096];
	posix_fadvise(ahead->fd, ahead->offset, (off_t)ahead->length, POSIX_FADV_WILLNEED);
	/* the last page is read for good, so that this ends when all are there */
	for (size_t at = 0; at < ahead->length; at += 64 * sizeof page) {
		size_t end = ahead->length - at > 64 * sizeof page ? at + 63 * sizeof page
								   : ahead->length - 1;
		if (pread(ahead->fd, page, 1, ahead->offset + (off_t)at) < 0 ||
			pread(ahead->fd, page, 1, ahead->offset + (off_t)end) < 0) {
			ahead->failed = true;
			break;
		}
	}
}

static void ahead_done(struct disk_job *job)
{
	struct read_ahead *ahead = container_of(job, struct read_ahead, job);
	struct file_source *body = ahead->source;
	bool failed = ahead->failed;
	ref_put(&ahead->file->ref);
	free(ahead);
	if (!body)
		return;
	body->ahead = NULL;
	body->fetched = true;
	body->broken = failed;
	source_wake(&body->source);
}

static bool ahead_start(struct file_source *body, size_t length)
{
	struct read_ahead *ahead = must_zalloc(sizeof *ahead);
	ahead->source = body;
	ahead->file = body->file;
	ahead->fd = body->file->fd;
	ahead->offset = (off_t)body->offset;
	ahead->length = length;
	ahead->job.work = ahead_work;
	ahead->job.done = ahead_done;
	ahead->job.lane = body->file->lane;
	if (!disk_submit(body->request->thread->disk, body->request->thread->loop, &ahead->job)) {
		free(ahead);
		return false; /* too much to do: this one may block the loop a little */
	}
	ref_get(&ahead->file->ref);
	body->ahead = ahead;
	return true;
}

/* Is the page with that octet in memory? Where the file system cannot say, yes. */
static bool page_is_warm(int fd, uint64_t offset)
{
	char octet;
	struct iovec iov = {&octet, 1};
	return preadv2(fd, &iov, 1, (off_t)offset, RWF_NOWAIT) >= 0 || errno != EAGAIN;
}

static bool span_is_warm(const struct file_source *body, uint64_t length)
{
	if (body->fetched || body->request->thread->clock->monotonic_ms < body->file->warm_until_ms)
		return true;
	struct file *file = body->file;
	if (!page_is_warm(file->fd, body->offset) ||
		!page_is_warm(file->fd, body->offset + length - 1)) {
		file->warm_probes = 0;
		return false;
	}
	if (++file->warm_probes < PROBES_ENOUGH)
		return true;
	file->warm_probes = 0;
	file->warm_until_ms = body->request->thread->clock->monotonic_ms + PROBES_MS;
	return true;
}

/* --- The source. --- */

/* Is the file still what it was? Replaced and removed files are; those that were written or cut are not. */
static bool version_stands(struct ref *ref, enum chunk_when when)
{
	const struct file *file = container_of(ref, struct file, ref);
	struct depend_shared *depend = file->depend;
	bool seen = depend && !depend->depend.by_time && !file->stamp.linked;
	return when == CHUNK_BEHIND || (seen && depend_holds(&depend->depend, depend->watch)) ||
	       file_stamp_holds(&file->stamp, file->fd);
}

/* Likewise for the end of a body. Events come when a write is over, its time is noted as it begins: before the last octets are sent the stamp
 * is asked whether all that was read is of one version. */
static bool version_stood(struct ref *ref, enum chunk_when when)
{
	const struct file *file = container_of(ref, struct file, ref);
	return when == CHUNK_BEHIND ? file_stamp_holds(&file->stamp, file->fd)
				    : version_stands(ref, when);
}

/* Likewise where the kernel sends it: nobody asks behind what it has sent, so that is done before the last piece of the span. */
static bool version_stood_so_far(struct ref *ref, enum chunk_when when)
{
	return version_stood(ref, when == CHUNK_AT_END ? CHUNK_BEHIND : when);
}

/* It was made just now, or has names by which it may be written unseen. (What was written in place of late is guarded.) Of others the call is
 * spared: who writes in place for longer than the rest takes to be sent is not noticed in time. */
static bool may_be_written(const struct file_source *body)
{
	const struct file_stamp *stamp = &body->file->stamp;
	const struct clock *clock = body->request->thread->clock;
	int64_t age_us = (int64_t)(clock->wall - stamp->changed.tv_sec) * 1000000 + clock->wall_us -
			 stamp->changed.tv_nsec / 1000;
	return stamp->linked || age_us < YOUNG_US;
}

static enum pull body_pull(struct source *source, struct chunks *out, size_t room)
{
	(void)room; /* spans of files hold no memory */
	struct file_source *body = container_of(source, struct file_source, source);
	uint64_t length = body->left < CHUNK_SPAN ? body->left : CHUNK_SPAN;
	chunk_stands_fn *stands = length < body->left    ? version_stands
				  : may_be_written(body) ? version_stood_so_far
							 : version_stood;
	if (body->broken || !stands(&body->file->ref, CHUNK_AHEAD)) {
		source->fault = body->broken ? END_DISK_ERROR : END_FILE_CHANGED;
		return PULL_FAILED;
	}
	if (!span_is_warm(body, length) && ahead_start(body, (size_t)length))
		return PULL_PAUSED;
	body->fetched = false;
	ref_get(&body->file->ref);
	chunks_file(out, &body->file->ref, body->file->fd, (off_t)body->offset, length, stands);
	body->offset += length;
	body->left -= length;
	if (body->left)
		return PULL_MORE;
	if (body->whole)
		body->file->warm_until_ms = body->request->thread->clock->monotonic_ms + WARM_MS;
	return PULL_END;
}

static void body_cancel(struct source *source)
{
	struct file_source *body = container_of(source, struct file_source, source);
	if (body->ahead)
		body->ahead->source = NULL;
	ref_put(&body->file->ref);
}

static const struct source_ops body_ops = {body_pull, body_cancel};

struct source *file_body(
	struct request *request, struct file *file, uint64_t first, uint64_t length)
{
	check(file->fd >= 0 && length > 0 && length <= file->length &&
		first <= file->length - length);
	if (file->copy)
		return file_copy_body(request, file, first, length);
	if (file->guarded)
		return file_guarded_body(request, file, first, length);
	struct file_source *body = arena_zalloc(&request->arena, sizeof *body);
	body->source.ops = &body_ops;
	body->request = request;
	body->file = file;
	ref_get(&file->ref);
	body->offset = first;
	body->left = length;
	body->whole = first == 0 && length == file->length;
	return &body->source;
}
