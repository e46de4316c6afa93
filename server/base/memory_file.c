/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory files in huge pages, filled from the front, given back whole. */
#include "base/memory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define UNIT                                                                                       \
	((size_t)4096) /* a content that begins within a page costs a round more at each piece */

struct memory_files {
	size_t most;
	pthread_mutex_t making; /* one at a time: the others want room in the same one */
	pthread_mutex_t lock;   /* of all that follows, and of what its files say */
	unsigned holders;       /* and each file */
	size_t size;            /* of the files that have parts */
	size_t left_size;       /* and of the others */
	time_t asked;           /* when room was wanted of these, last */
	struct link left;       /* without parts */
	struct memory_file
		*open[2]; /* have room for what stays, and for what does not; NULL: none */
};

/* --- All of them. --- */

struct memory_files *memory_files_new(size_t most)
{
	struct memory_files *files = must_zalloc(sizeof *files);
	files->most = most;
	list_init(&files->left);
	pthread_mutex_init(&files->making, NULL);
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

/* With the last holder those go that sockets may hold. */
static void free_all(struct memory_files *files)
{
	while (!list_empty(&files->left)) {
		struct memory_file *file = container_of(files->left.next, struct memory_file, link);
		list_remove(&file->link);
		close(file->fd);
		free(file);
	}
	pthread_mutex_destroy(&files->lock);
	pthread_mutex_destroy(&files->making);
	free(files);
}

/* Unlocks. */
static void let_locked(struct memory_files *files)
{
	bool last = --files->holders == 0;
	pthread_mutex_unlock(&files->lock);
	if (last)
		free_all(files);
}

void memory_files_let(struct memory_files *files)
{
	if (!files)
		return;
	pthread_mutex_lock(&files->lock);
	let_locked(files);
}

size_t memory_files_size(struct memory_files *files)
{
	pthread_mutex_lock(&files->lock);
	size_t size = files->size;
	pthread_mutex_unlock(&files->lock);
	return size;
}

/* --- Files without parts. --- */

/* A file lost a part. Unlocks. */
static void part_gone(struct memory_file *file)
{
	struct memory_files *files = file->files;
	if (--file->parts > 0) {
		pthread_mutex_unlock(&files->lock);
		return;
	}
	for (int i = 0; i < 2; i++)
		if (files->open[i] == file)
			files->open[i] = NULL;
	files->size -= file->size;
	files->left_size += file->size;
	list_append(&files->left, &file->link);
	let_locked(files);
}

bool memory_files_left(struct memory_files *files)
{
	pthread_mutex_lock(&files->lock);
	bool left = !list_empty(&files->left);
	pthread_mutex_unlock(&files->lock);
	return left;
}

/* The kernel seals no file of which something else than itself holds a page; it waits a little for that to end. */
static bool is_held(const struct memory_file *file)
{
	return fcntl(file->fd, F_ADD_SEALS, F_SEAL_WRITE) && errno == EBUSY;
}

void memory_files_reap(struct memory_files *files, unsigned held)
{
	struct link asked;
	list_init(&asked);
	pthread_mutex_lock(&files->lock);
	while (!list_empty(&files->left) && held > 0) {
		struct memory_file *file = container_of(files->left.next, struct memory_file, link);
		list_remove(&file->link);
		pthread_mutex_unlock(&files->lock);
		bool goes = !is_held(file);
		if (goes)
			close(file->fd);
		pthread_mutex_lock(&files->lock);
		files->left_size -= goes ? file->size : 0;
		if (goes)
			free(file);
		else
			list_append(&asked, &file->link);
		held -= !goes;
	}
	list_move(&files->left, &asked);
	pthread_mutex_unlock(&files->lock);
}

/* --- Making one. --- */

static size_t rounded(size_t length, size_t unit)
{
	return (length + unit - 1) / unit * unit;
}

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
	int fd = memfd_create("weir-file", MFD_CLOEXEC | MFD_ALLOW_SEALING);
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

/* --- Parts. --- */

static size_t room_of(const struct memory_file *file)
{
	return file ? file->size - file->filled : 0;
}

/* The next octets of a file with so much room. */
static void take_from(struct memory_file *file, size_t length, struct memory_part *part)
{
	*part = (struct memory_part){file, file->filled, length};
	file->filled += rounded(length, UNIT);
	file->parts++;
}

/* Takes room where there is some. Else false; may one of this size be made? */
static bool take_open(struct memory_files *files, size_t length, bool brief, size_t size, bool *may,
	struct memory_part *part)
{
	pthread_mutex_lock(&files->lock);
	struct memory_file *open = files->open[brief];
	bool taken = room_of(open) >= length;
	if (taken)
		take_from(open, length, part);
	*may = files->size + files->left_size + size <= files->most;
	pthread_mutex_unlock(&files->lock);
	return taken;
}

/* There may be room by now; but to ask in vain takes a while, for which others wait as well: it is done once a second. */
static bool may_ask(struct memory_files *files)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&files->lock);
	bool may = now.tv_sec != files->asked;
	files->asked = now.tv_sec;
	pthread_mutex_unlock(&files->lock);
	return may;
}

/* A new one is one of the others from now on, and filled next where it has more room. */
static void take_new(struct memory_files *files, size_t length, bool brief,
	struct memory_file *file, struct memory_part *part)
{
	pthread_mutex_lock(&files->lock);
	file->files = files;
	files->holders++;
	files->size += file->size;
	take_from(file, length, part);
	if (room_of(file) > room_of(files->open[brief]))
		files->open[brief] = file;
	pthread_mutex_unlock(&files->lock);
}

bool memory_take(struct memory_files *files, size_t length, bool brief, struct memory_part *part)
{
	bool may;
	check(length > 0);
	*part = (struct memory_part){0};
	if (length > files->most)
		return false;
	size_t size = rounded(length, MEMORY_FILE_SIZE);
	if (take_open(files, length, brief, size, &may, part))
		return true;
	pthread_mutex_lock(&files->making);
	bool taken = take_open(files, length, brief, size, &may, part);
	if (!taken && !may && may_ask(files)) {
		memory_files_reap(files, 1);
		taken = take_open(files, length, brief, size, &may, part);
	}
	if (!taken && may) {
		struct memory_file *file = file_new(size);
		if (file)
			take_new(files, length, brief, file, part);
	}
	pthread_mutex_unlock(&files->making);
	return part->file != NULL;
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
	if (part->offset + rounded(part->length, UNIT) == file->filled)
		file->filled = part->offset;
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
