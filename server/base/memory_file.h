/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory files: what is to be sent by sendfile, and nobody else can write. Several contents share one of 2 MiB or more, which the kernel is asked
 * to keep in huge pages: sent from these they cost what a file on a disk costs, from single pages up to half more (measured: Linux 6.18, 64 KB to
 * 16 MB), and are given back in a tenth of the time. Where it has none to give, single pages do.
 * What has been sent may wait in sockets long after it was given back: no room is filled twice. */
#ifndef WEIR_BASE_MEMORY_FILE_H
#define WEIR_BASE_MEMORY_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/list.h"

#define MEMORY_FILE_SIZE ((size_t)2 << 20) /* or a multiple, for what is larger */

/* The memory files of an owner. All calls are for any thread. */
struct memory_files;

/* One of them. It goes with its last part. */
struct memory_file {
	struct memory_files *files;
	int fd;
	size_t size;
	size_t used; /* octets that were taken, the first ones; the rest is for those that come */
	unsigned parts;             /* that were not given back */
	struct link link, contents; /* the owner's, who sets them up; NULL first */
};

/* Room for a content: octets offset … offset + length - 1 of file->fd. */
struct memory_part {
	struct memory_file *file; /* NULL: none */
	size_t offset, length;
};

/* With one holder. */
struct memory_files *memory_files_new(void);
struct memory_files *memory_files_hold(struct memory_files *files);
/* NULL is allowed. The last holder frees it, when all parts were given back. */
void memory_files_let(struct memory_files *files);

/* Octets of memory that all of them take, whether filled or not. */
size_t memory_files_size(struct memory_files *files);
/* Would a content of this length fit, without more than `most` octets in all? */
bool memory_files_fit(struct memory_files *files, size_t length, size_t most);

/* Room for a content of `length` > 0 octets, at the begin of a page. False, with *part none: there is no memory or no descriptor. */
bool memory_take(struct memory_files *files, size_t length, struct memory_part *part);
/* Fills a part from octet `at` of its own on. False: there is no memory. */
bool memory_fill(const struct memory_part *part, size_t at, struct slice bytes);
/* Gives back what was never sent: its room may be filled anew. None is allowed, and is what the part is then. */
void memory_untake(struct memory_part *part);
/* Gives back what was taken. None is allowed, and is what the part is then. */
void memory_give(struct memory_part *part);

/* How many parts of it were not given back. */
unsigned memory_file_parts(struct memory_file *file);

#endif
