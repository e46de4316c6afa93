/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies of files. sendfile sends a file's own pages: who writes in place changes also what was sent already, and waits for a slow reader. So
 * what is too large to be kept beside its head leaves by the same calls, but from a memory file (base/memory_file.h) that holds what was read of
 * one version, and that nobody writes. There is room for some: what was written of late, and is likely to be written again, takes it from what was
 * used longest ago, all else from what was not used again just now. Files without a copy are checked as they leave (file_body.h). Over TLS a copy
 * is read by one call more, for the kernel cannot say of memory files whether that would wait. */
#ifndef WEIR_FILE_FILE_COPY_H
#define WEIR_FILE_FILE_COPY_H

#include "base/list.h"
#include "handlers/file/file.h"
#include "http/exchange.h"

/* The copies of a thread's files, and how much memory they may have. */
struct file_copies {
	struct ref ref; /* the cache has one, and each copy */
	struct exchange_thread *thread;
	struct memory_files *memory;
	struct link
		list; /* memory files of what files have; the one that was used longest ago first */
	size_t bytes_max;  /* of memory files, also of those that are only being sent */
	size_t length_max; /* of each copy */
	bool reaping;      /* an I/O thread asks which memory files nothing holds any more */
};

/* --- On an I/O thread, while a version is read. --- */

/* Begins the copy of a version that is read whole for its tag, where there is to be one. */
void file_copy_begin(const struct file_look *look, struct file_version *v);
/* What was read of it at an offset; where there is no memory it is to have none. */
void file_copy_add(struct file_version *v, size_t at, struct slice bytes);
/* The copy of one that is not read whole for its tag, of at most look->copy_max octets: if these are in memory, for no disk is waited for. */
void file_copy_whole(const struct file_look *look, struct file_version *v);

/* --- On the thread of the files. --- */

/* `descriptors`: how many memory files there may be. `memory`: octets that the process may have in all, 0: not known. */
struct file_copies *file_copies_new(
	struct exchange_thread *thread, unsigned descriptors, uint64_t memory);
/* The file has this copy (file->copy), which is taken over: as long as both live, and until others need the room. Where what is in use leaves
 * none, it has none. None is allowed. */
void file_copies_add(struct file_copies *copies, struct file *file, struct memory_part *part);
/* Was a copy of the file made just now? Then none is made of what it has become: names nearby that are written all the time have it looked at
 * as often. */
bool file_copied_just_now(const struct file *file);
/* May the file have a copy, and has none, for it lost it, or there was no room, or it was not in memory; and is there room now? */
bool file_lacks_copy(const struct file_copies *copies, const struct file *file);
/* Takes a file's copy from it, if it has one; what is being sent of it is sent. */
void file_copy_drop(struct file *file);
/* Likewise from all files. */
void file_copies_clear(struct file_copies *copies);
/* Has those closed that sockets held when they were given back, and do not hold any more. */
void file_copies_reap(struct file_copies *copies);

/* As file_body, from the copy that the file has. Never fails. */
struct source *file_copy_body(
	struct request *request, struct file *file, uint64_t first, uint64_t length);

#endif
