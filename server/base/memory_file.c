/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory files in huge pages, filled from the front, given back whole. */
#include "base/memory_file.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define PAGE ((size_t)4096) /* a content that begins within one costs a round more at each piece */

struct memory_files {
	pthread_mutex_t lock;     /* of all that follows, and of what its files say */
	unsigned holders;         /* and each file */
	size_t size;              /* of all files */
	struct memory_file *open; /* has room for those that come; NULL: none */
};

/* --- All of them. --- */

struct memory_files *memory_files_new(void)
{
	struct memory_files *files = must_zalloc(sizeof *files);
	pthread_mutex_init(&files->lock, NULL);
	files->holders = 1;
	return files;
}

struct memory_files *memory_files_hold(struct memory_files *files)
{
	pthread_mutex_lock(&files->lock);
	files->holders++;
	pthread_mutex_unlock(&files->lock);
	return files;
}

static void let_locked(struct memory_files *files)
{
	bool last = --files->holders == 0;
	pthread_mutex_unlock(&files->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&files->lock);
	free(files);
}

/* A file lost a part. Unlocks; what is freed is freed then. */
static void part_gone(struct memory_file *file)
{
	struct memory_files *files = file->files;
	if (--file->parts > 0) {
		pthread_mutex_unlock(&files->lock);
		return;
	}
	files->size -= file->size;
	if (files->open == file)
		files->open = NULL;
	let_locked(files);
	close(file->fd);
	free(file);
}

void memory_files_let(struct memory_files *files)
{
	if (!files)
		return;
	pthread_mutex_lock(&files->lock);
	let_locked(files);
}

static size_t rounded(size_t length, size_t unit)
{
	return (length + unit - 1) / unit * unit;
}

size_t memory_files_size(struct memory_files *files)
{
	pthread_mutex_lock(&files->lock);
	size_t size = files->size;
	pthread_mutex_unlock(&files->lock);
	return size;
}

static size_t room_of(const struct memory_file *file)
{
	return file ? file->size - file->used : 0;
}

bool memory_files_fit(struct memory_files *files, size_t length, size_t most)
{
	pthread_mutex_lock(&files->lock);
	bool fit = room_of(files->open) >= length ||
		   (length <= most && rounded(length, MEMORY_FILE_SIZE) + files->size <= most);
	pthread_mutex_unlock(&files->lock);
	return fit;
}

/* --- One of them. --- */

/* A page in each huge one that is to be, for the kernel makes one of what is there; then it is asked to. It does, or not. */
static void in_huge_pages(int fd, size_t size)
{
	size_t reserved = size + MEMORY_FILE_SIZE;
	char *at = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return;
	char *aligned = at + (MEMORY_FILE_SIZE - (uintptr_t)at % MEMORY_FILE_SIZE);
	bool there = mmap(aligned, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED;
	for (size_t done = 0; there && done < size; done += MEMORY_FILE_SIZE)
		there = pwrite(fd, "", 1, (off_t)done) == 1;
	if (there)
		madvise(aligned, size, MADV_COLLAPSE);
	munmap(at, reserved);
}

static struct memory_file *file_new(size_t size)
{
	int fd = memfd_create("weir-file", MFD_CLOEXEC);
	/* ftruncate is nothing that a worker may do */
	if (fd >= 0 && pwrite(fd, "", 1, (off_t)size - 1) != 1) {
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		return NULL;
	in_huge_pages(fd, size);
	struct memory_file *file = must_zalloc(sizeof *file);
	file->fd = fd;
	file->size = size;
	return file;
}

/* Takes the next octets of a file with so much room. */
static void take_from(struct memory_file *file, size_t length, struct memory_part *part)
{
	*part = (struct memory_part){file, file->used, length};
	file->used += rounded(length, PAGE);
	file->parts++;
}

bool memory_take(struct memory_files *files, size_t length, struct memory_part *part)
{
	check(length > 0);
	*part = (struct memory_part){0};
	pthread_mutex_lock(&files->lock);
	if (room_of(files->open) >= length) {
		take_from(files->open, length, part);
		pthread_mutex_unlock(&files->lock);
		return true;
	}
	pthread_mutex_unlock(&files->lock); /* a new one takes its time */
	struct memory_file *file = file_new(rounded(length, MEMORY_FILE_SIZE));
	if (!file)
		return false;
	pthread_mutex_lock(&files->lock);
	file->files = files;
	files->holders++;
	files->size += file->size;
	take_from(file, length, part);
	if (room_of(file) > room_of(files->open))
		files->open = file;
	pthread_mutex_unlock(&files->lock);
	return true;
}

bool memory_fill(const struct memory_part *part, size_t at, struct slice bytes)
{
	check(at <= part->length && bytes.len <= part->length - at);
	off_t offset = (off_t)(part->offset + at);
	while (bytes.len > 0) {
		ssize_t n = pwrite(part->file->fd, bytes.ptr, bytes.len, offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes = slice_from(bytes, (size_t)n);
		offset += n;
	}
	return true;
}

/* Where nothing was taken since, the room is filled anew. */
void memory_untake(struct memory_part *part)
{
	struct memory_file *file = part->file;
	if (!file)
		return;
	pthread_mutex_lock(&file->files->lock);
	if (part->offset + rounded(part->length, PAGE) == file->used)
		file->used = part->offset;
	*part = (struct memory_part){0};
	part_gone(file);
}

void memory_give(struct memory_part *part)
{
	struct memory_file *file = part->file;
	if (!file)
		return;
	*part = (struct memory_part){0};
	pthread_mutex_lock(&file->files->lock);
	part_gone(file);
}

unsigned memory_file_parts(struct memory_file *file)
{
	pthread_mutex_lock(&file->files->lock);
	unsigned parts = file->parts;
	pthread_mutex_unlock(&file->files->lock);
	return parts;
}
