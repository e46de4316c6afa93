/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies of files that were written of late. sendfile sends a file's own pages: who writes in place changes also what was sent already, and
 * waits for a slow reader. Such a file is likely to be written again; it leaves by the same calls, but from a memory file that holds what was
 * read of one version, and that nobody writes. There is room for some; files without a copy are checked as they leave (file_body.h). Over TLS
 * a copy is read by one call more, for the kernel cannot say of memory files whether that would wait. */
#ifndef WEIR_FILE_FILE_COPY_H
#define WEIR_FILE_FILE_COPY_H

#include "base/list.h"
#include "handlers/file/file.h"
#include "http/exchange.h"

/* The copies of a thread's files, and how many of them there may be. */
struct file_copies {
	struct ref ref; /* the cache has one, and each copy */
	struct exchange_thread *thread;
	struct link list; /* that files have; the one that was used longest ago first */
	unsigned count, count_max;
	size_t bytes, bytes_max; /* those that are only being sent count as well */
	size_t closing;          /* bytes of those that I/O threads are to give back, beside */
	size_t length_max;       /* of each */
};

/* --- On an I/O thread, while a version is read. --- */

/* Begins the copy of a version, where it was written of late and has no other name by which it may be written unseen. A descriptor; -1: there
 * is to be none. */
int file_copy_begin(const struct file_stamp *stamp);
/* Adds what was read to a copy; where there is no memory it is closed, and *fd becomes -1. */
void file_copy_add(int *fd, const char *bytes, size_t length);
/* The copy of a version that is not read whole for its tag: of one of at most `length_max` octets that are in memory, for no disk is waited
 * for. A descriptor; -1: there is to be none. */
int file_copy_whole(int fd, const struct file_stamp *stamp, size_t length_max);

/* --- On the thread of the files. --- */

/* `descriptors`: how many copies there may be. */
struct file_copies *file_copies_new(struct exchange_thread *thread, unsigned descriptors);
/* The file has this copy (file->copy), which is taken over: as long as both live, and until others need the room. Where what is in use leaves
 * none, it has none. */
void file_copies_add(struct file_copies *copies, struct file *file, int fd);
/* Was a copy of the file made just now? Then none is made of what it has become: names nearby that are written all the time have it looked at
 * as often. */
bool file_copied_just_now(const struct file *file);
/* Has the file lost its copy, or was there no room for it, and there is now? (Not where none could be made.) */
bool file_lacks_copy(const struct file_copies *copies, const struct file *file);
/* Takes a file's copy from it, if it has one; what is being sent of it is sent. */
void file_copy_drop(struct file *file);
/* Likewise from all files. */
void file_copies_clear(struct file_copies *copies);

/* As file_body, from the copy that the file has. Never fails. */
struct source *file_copy_body(
	struct request *request, struct file *file, uint64_t first, uint64_t length);

#endif
