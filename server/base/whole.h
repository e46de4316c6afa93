/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors that are read or written to the end, however many calls that takes. They wait: not for sockets, nor for a loop. */
#ifndef WEIR_BASE_WHOLE_H
#define WEIR_BASE_WHOLE_H

#include <sys/types.h>

#include "base/bytes.h"

/* Appends what is left of fd, a file or a pipe. 0, or an errno, EFBIG when it is more than `most`; what was read until then is
 * in the buffer, at most `most` + 1 octets. Where the buffer has room for all of these, it does not move. */
int whole_read(int fd, struct buffer *to, size_t most);

/* Fills `to` from an offset on. How many octets there were, fewer only at the end of the file, or -1 with errno. */
ssize_t whole_read_at(int fd, void *to, size_t size, off_t offset);

/* 0, or an errno; some of it may be written then. */
int whole_write(int fd, struct slice bytes);

/* Puts bytes in a file's place in one step: who reads it sees the old or the new one. They are written, and on the disk, as `new`
 * first, in whose place nothing of worth may be. Both names are beneath `folder` (AT_FDCWD: the working directory). 0, or an errno
 * and what was there. */
int whole_replace(int folder, const char *path, const char *new, struct slice bytes, mode_t mode);

#endif
