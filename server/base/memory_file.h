/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory files: what is to be sent by sendfile, and nobody else can write. Several contents share one of 2 MiB or more, which the kernel is asked
 * to keep in huge pages: sent from these they cost what a file on a disk costs, from single pages up to half more (measured: Linux 6.18, 64 KB to
 * 16 MB). Where it has none to give, single pages do.
 * What was sent may wait in sockets long after its content was given back, and one octet there holds a whole page, huge or not. So no room that
 * was sent from is filled twice, and a file counts until the kernel says that nothing holds its pages any more. */
#ifndef WEIR_BASE_MEMORY_FILE_H
#define WEIR_BASE_MEMORY_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/list.h"

#define MEMORY_FILE_SIZE ((size_t)2 << 20) /* or a multiple, for what is larger */

/* The memory files of an owner. All calls are for any thread. */
struct memory_files;

/* One of them. What is below `fd` and `size` is not for others than who is named. */
struct memory_file {
	struct memory_files *files;
	int fd;
	size_t size;
	struct link link, contents; /* the owner's, as long as there are parts; NULL first */
	uint64_t again_ms;          /* the owner's */
	size_t filled;              /* octets that were taken, the first ones */
	unsigned parts;             /* that were not given back */
};

/* Room for a content: octets offset … offset + length - 1 of file->fd. */
struct memory_part {
	struct memory_file *file; /* NULL: none */
	size_t offset, length;
};

/* With one holder. `most`: octets that all may take, those in sockets included. */
struct memory_files *memory_files_new(size_t most);
struct memory_files *memory_files_hold(struct memory_files *files);
/* NULL is allowed. The last holder frees it, when all parts were given back. */
void memory_files_let(struct memory_files *files);

/* Octets of the files that have parts, whether filled or not. */
size_t memory_files_size(struct memory_files *files);
/* Are there files without parts, which are to be closed? */
bool memory_files_left(struct memory_files *files);
/* Closes those of them that nothing holds any more; the others count on, and are asked another time. Each of these makes it wait for a sixth of a
 * second: no more than `held` of them are asked. For an I/O thread. */
void memory_files_reap(struct memory_files *files, unsigned held);

/* Room for a content of `length` > 0 octets, at the begin of 4 KB. `brief`: it will not stay for long; such ones stand beside each other, so that
 * what stays does not keep the room of what went. False, with *part none: there is no memory, no descriptor, or it would be more than may be. For an
 * I/O thread. */
bool memory_take(struct memory_files *files, size_t length, bool brief, struct memory_part *part);
/* Fills a part from octet `at` of its own on. False: there is no memory. */
bool memory_fill(const struct memory_part *part, size_t at, struct slice bytes);
/* Gives back what was never sent: its room may be filled anew. None is allowed, and is what the part is then. */
void memory_untake(struct memory_part *part);
/* Gives back what was taken. None is allowed, and is what the part is then. */
void memory_give(struct memory_part *part);

/* How many parts of it were not given back. */
unsigned memory_file_parts(struct memory_file *file);

#endif
