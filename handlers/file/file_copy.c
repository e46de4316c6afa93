/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies of files in memory files: made as a version is read, kept within bounds, sent. */
#include "handlers/file/file_copy.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/whole.h"
#include "io/disk.h"

#define BYTES_MAX                                                                                  \
	(128u << 20) /* of all threads: this memory is no cache that the kernel may take back */
#define LENGTH_MAX   (16u << 20)
#define SHARE_OF_ONE 4   /* a copy is at most this part of what its thread may have */
#define REST_MS      500 /* between two of a file; less than what is racy waits to be looked at */
#define PIECE        (64u << 10)  /* of what is read at a time */
#define LANE         UINT32_MAX   /* seldom that of a disk */
#define LONG_CLOSE   (256u << 10) /* to give so much memory back takes long for a loop */

struct file_copy {
	struct ref ref;
	struct link link;
	struct file_copies *copies;
	struct file *file; /* that has it; NULL: none any more */
	size_t length;
	int fd;
};

struct copy_source {
	struct source source;
	struct file_copy *copy;
	uint64_t offset, left;
};

/* --- Made. --- */

static bool is_to_have_one(const struct file_stamp *stamp)
{
	return !stamp->linked && (stamp->restless || file_written_of_late(stamp));
}

int file_copy_begin(const struct file_stamp *stamp)
{
	return is_to_have_one(stamp) ? memfd_create("weir-file", MFD_CLOEXEC) : -1;
}

void file_copy_add(int *fd, const char *bytes, size_t length)
{
	if (*fd < 0 || whole_write(*fd, (struct slice){bytes, length}) == 0)
		return;
	close(*fd);
	*fd = -1;
}

/* Octets that are in memory; where the file system cannot say, it is taken to be fast. As pread, with EAGAIN: the next ones are not. */
static ssize_t read_warm(int fd, char *to, size_t length, off_t offset)
{
	struct iovec iov = {to, length};
	ssize_t n = preadv2(fd, &iov, 1, offset, RWF_NOWAIT);
	return n < 0 && errno == EOPNOTSUPP ? pread(fd, to, length, offset) : n;
}

int file_copy_whole(int fd, const struct file_stamp *stamp, size_t length_max)
{
	off_t done = 0;
	int copy = stamp->size <= (off_t)length_max ? file_copy_begin(stamp) : -1;
	char *buffer = copy >= 0 ? malloc(PIECE) : NULL;
	while (buffer && copy >= 0 && done < stamp->size) {
		off_t left = stamp->size - done;
		ssize_t n = read_warm(fd, buffer, left < PIECE ? (size_t)left : PIECE, done);
		if (n <= 0)
			break;
		file_copy_add(&copy, buffer, (size_t)n);
		done += n;
	}
	if (copy >= 0 && done < stamp->size) {
		close(copy);
		copy = -1;
	}
	free(buffer);
	return copy;
}

/* --- Kept. --- */

static void copies_last(struct ref *ref)
{
	free(container_of(ref, struct file_copies, ref));
}

struct file_copies *file_copies_new(struct exchange_thread *thread, unsigned descriptors)
{
	struct file_copies *copies = must_zalloc(sizeof *copies);
	size_t share = BYTES_MAX / (thread->threads ? thread->threads : 1);
	ref_init(&copies->ref, copies_last);
	copies->thread = thread;
	list_init(&copies->list);
	copies->bytes_max = share < FILE_DIGEST_MAX ? FILE_DIGEST_MAX : share;
	share /= SHARE_OF_ONE;
	copies->length_max = share < FILE_DIGEST_MAX ? FILE_DIGEST_MAX
			     : share > LENGTH_MAX    ? LENGTH_MAX
						     : share;
	copies->count_max = descriptors;
	return copies;
}

struct closing {
	struct file_copies *copies;
	size_t length;
};

static void is_closed(void *context)
{
	struct closing *closing = context;
	closing->copies->closing -= closing->length;
	ref_put(&closing->copies->ref);
	free(closing);
}

static bool close_later(struct file_copies *copies, int fd, size_t length)
{
	const struct exchange_thread *thread = copies->thread;
	/* one at a time at least: where threads are many it is more than that part of what each has */
	bool much = copies->closing && copies->closing + length > copies->bytes_max / 4;
	if (length < LONG_CLOSE || !thread->disk || much)
		return false;
	struct closing *closing = must_zalloc(sizeof *closing);
	*closing = (struct closing){copies, length};
	if (!disk_close(thread->disk, thread->loop, LANE, fd, is_closed, closing)) {
		free(closing);
		return false;
	}
	ref_get(&copies->ref);
	copies->closing += length;
	return true;
}

static void close_copy(struct file_copies *copies, int fd, size_t length)
{
	if (!close_later(copies, fd, length))
		close(fd);
}

static void copy_last(struct ref *ref)
{
	struct file_copy *copy = container_of(ref, struct file_copy, ref);
	struct file_copies *copies = copy->copies;
	copies->count--;
	copies->bytes -= copy->length;
	close_copy(copies, copy->fd, copy->length);
	free(copy);
	ref_put(&copies->ref);
}

void file_copy_drop(struct file *file)
{
	struct file_copy *copy = file->copy;
	if (!copy)
		return;
	list_remove(&copy->link);
	file->copy = NULL;
	copy->file = NULL;
	ref_put(&copy->ref);
}

/* Would there be room, if so much were given back? */
static bool has_room(const struct file_copies *copies, size_t length, unsigned count, size_t bytes)
{
	return copies->count - count < copies->count_max &&
	       copies->bytes - bytes + length <= copies->bytes_max;
}

bool file_copied_just_now(const struct file *file)
{
	return file->copied_ms && file->thread->clock->monotonic_ms - file->copied_ms < REST_MS;
}

bool file_lacks_copy(const struct file_copies *copies, const struct file *file)
{
	return file->copied && !file->copy && !copies->thread->draining &&
	       has_room(copies, (size_t)file->length, 0, 0) && is_to_have_one(&file->stamp);
}

/* Those that are being sent stay: to drop them would give nothing back. Where the others are too few, these stay as well. */
static bool make_room(struct file_copies *copies, size_t length)
{
	unsigned count = 0;
	size_t bytes = 0;
	list_each (link, &copies->list) {
		const struct file_copy *copy = container_of(link, struct file_copy, link);
		if (has_room(copies, length, count, bytes))
			break;
		count += copy->ref.count == 1;
		bytes += copy->ref.count == 1 ? copy->length : 0;
	}
	if (!has_room(copies, length, count, bytes))
		return false;
	list_each_safe (link, &copies->list) {
		struct file_copy *copy = container_of(link, struct file_copy, link);
		if (has_room(copies, length, 0, 0))
			break;
		if (copy->ref.count == 1)
			file_copy_drop(copy->file);
	}
	return true;
}

void file_copies_add(struct file_copies *copies, struct file *file, int fd)
{
	check(!file->copy);
	file->copied = true;
	file->copied_ms = copies->thread->clock->monotonic_ms;
	size_t length = (size_t)file->length;
	if (copies->thread->draining || !make_room(copies, length)) {
		close_copy(copies, fd, length);
		return;
	}
	struct file_copy *copy = must_zalloc(sizeof *copy);
	ref_init(&copy->ref, copy_last);
	copy->copies = copies;
	ref_get(&copies->ref);
	copy->file = file;
	copy->length = length;
	copy->fd = fd;
	file->copy = copy;
	list_append(&copies->list, &copy->link);
	copies->count++;
	copies->bytes += length;
}

void file_copies_clear(struct file_copies *copies)
{
	list_each_safe (link, &copies->list)
		file_copy_drop(container_of(link, struct file_copy, link)->file);
}

/* --- Sent. --- */

static enum pull copy_pull(struct source *source, struct chunks *out, size_t room)
{
	(void)room; /* spans of files hold no memory of the queue's */
	struct copy_source *body = container_of(source, struct copy_source, source);
	struct file_copy *copy = body->copy;
	uint64_t length = body->left < CHUNK_SPAN ? body->left : CHUNK_SPAN;
	ref_get(&copy->ref);
	chunks_file(out, &copy->ref, copy->fd, (off_t)body->offset, length, NULL);
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
	list_remove(&copy->link);
	list_append(&copy->copies->list, &copy->link);
	struct copy_source *body = arena_zalloc(&request->arena, sizeof *body);
	body->source.ops = &copy_ops;
	body->copy = copy;
	ref_get(&copy->ref);
	body->offset = first;
	body->left = length;
	return &body->source;
}
