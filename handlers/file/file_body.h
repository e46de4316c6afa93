/* SPDX-License-Identifier: BSD-2-Clause */
/* A part of one version of a file as a body: spans of the file, never of another version, never waiting for a disk. */
#ifndef WEIR_FILE_FILE_BODY_H
#define WEIR_FILE_FILE_BODY_H

#include "handlers/file/file.h"
#include "http/exchange.h"

/* A source over octets first … first + length - 1 of an open file (file->fd >= 0), in the request's arena; it takes references of its
 * own and outlives the entry that the file came from.
 * From the file's copy where it has one (file_copy.h). Else the source FAILS when the file was written or truncated meanwhile, and PAUSES while
 * cold pages are read ahead. A version is checked before each piece that is handed to the kernel; what is overwritten (not truncated) while the
 * kernel holds it for a slow reader cannot be told. */
struct source *file_body(
	struct request *request, struct file *file, uint64_t first, uint64_t length);

/* The same for file->guarded. Where a file system may hang, reading, and even asking, is not for a loop; and of a file that is written in place
 * the kernel may send two versions by one call. So pieces are read into memory on I/O threads, and each is checked before it is sent. */
struct source *file_guarded_body(
	struct request *request, struct file *file, uint64_t first, uint64_t length);
/* Closes its descriptor, which may wait as well, on an I/O thread. */
void file_guarded_close(struct file *file);

#endif
