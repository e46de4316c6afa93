/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies of files in memory files: made as a version is read, kept within bounds, sent. */
#include "handlers/file/file_copy.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/whole.h"

#define BYTES_MAX                                                                                  \
	(64u << 20) /* of all threads: this memory is no cache that the kernel may take back */

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
	uint64_t first, length;
};

/* --- Made. --- */

int file_copy_begin(const struct file_stamp *stamp)
{
	if (!stamp->restless && !file_written_of_late(stamp))
		return -1;
	return memfd_create("weir-file", MFD_CLOEXEC);
}

void file_copy_add(int *fd, const char *bytes, size_t length)
{
	if (*fd < 0 || whole_write(*fd, (struct slice){bytes, length}) == 0)
		return;
	close(*fd);
	*fd = -1;
}

/* --- Kept. --- */

void file_copies_init(struct file_copies *copies, unsigned threads, unsigned descriptors)
{
	size_t share = BYTES_MAX / (threads ? threads : 1);
	list_init(&copies->list);
	copies->bytes_max = share < FILE_DIGEST_MAX ? FILE_DIGEST_MAX : share;
	copies->count_max = descriptors / 4;
}

static void copy_last(struct ref *ref)
{
	struct file_copy *copy = container_of(ref, struct file_copy, ref);
	close(copy->fd);
	free(copy);
}

void file_copy_drop(struct file *file)
{
	struct file_copy *copy = file->copy;
	if (!copy)
		return;
	list_remove(&copy->link);
	copy->copies->count--;
	copy->copies->bytes -= copy->length;
	file->copy = NULL;
	copy->file = NULL;
	ref_put(&copy->ref);
}

static void drop_oldest(struct file_copies *copies)
{
	file_copy_drop(container_of(copies->list.next, struct file_copy, link)->file);
}

void file_copies_add(struct file_copies *copies, struct file *file, int fd)
{
	check(!file->copy);
	struct file_copy *copy = must_zalloc(sizeof *copy);
	ref_init(&copy->ref, copy_last);
	copy->copies = copies;
	copy->file = file;
	copy->length = (size_t)file->length;
	copy->fd = fd;
	file->copy = copy;
	list_append(&copies->list, &copy->link);
	copies->count++;
	copies->bytes += copy->length;
	while (copies->count > copies->count_max || copies->bytes > copies->bytes_max)
		drop_oldest(copies);
}

void file_copies_clear(struct file_copies *copies)
{
	while (!list_empty(&copies->list))
		drop_oldest(copies);
}

/* --- Sent. --- */

static enum pull copy_pull(struct source *source, struct chunks *out, size_t room)
{
	(void)room; /* spans of files count for none, and nothing of this is read ahead */
	struct copy_source *body = container_of(source, struct copy_source, source);
	ref_get(&body->copy->ref);
	chunks_file(out, &body->copy->ref, body->copy->fd, (off_t)body->first, body->length, NULL);
	return PULL_END;
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
	body->first = first;
	body->length = length;
	return &body->source;
}
