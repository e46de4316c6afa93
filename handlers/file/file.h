/* SPDX-License-Identifier: BSD-2-Clause */
/* One version of a file, and how it is found and read: all that may block, done on an I/O thread. */
#ifndef WEIR_FILE_FILE_H
#define WEIR_FILE_FILE_H

#include <sys/stat.h>

#include "base/ref.h"
#include "handlers/file/depend.h"
#include "settings/option.h"

#define FILE_SMALL_MAX  (32u << 10) /* bodies up to this are kept in memory */
#define FILE_DIGEST_MAX (4u << 20)  /* files up to this get their entity tag from their content */
#define FILE_ETAG_MAX   48

enum symlinks { SYMLINKS_INSIDE, SYMLINKS_OFF, SYMLINKS_ANYWHERE };

/* How names beneath a root are read. Belongs to the snapshot, which outlives all work under way. */
struct file_root {
	struct slice path;        /* absolute, NUL behind it */
	struct option_list index; /* names tried in a directory */
	int symlinks;             /* enum symlinks */
	unsigned lane;            /* of disk jobs: the same for the same path */
};

enum file_kind {
	FILE_MISSING, /* names no regular file */
	FILE_REGULAR,
	FILE_DIRECTORY, /* named without its slash, and there is an index */
	FILE_FORBIDDEN, /* it is there and must not or cannot be read */
	FILE_FAILED,    /* the machine is at fault: nothing is known */
};

/* What tells versions of a file apart without reading it. */
struct file_stamp {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified, changed;
	bool racy; /* changed so shortly before it was read that the stamp would not show another change */
};

/* One version of a file. Lives on one thread. */
struct file {
	struct ref ref;
	int fd; /* -1: the whole content stands in the body of `ready` */
	uint64_t length;
	struct file_stamp stamp;
	struct ready
		*ready; /* the answer to a plain GET; its body only when that is kept in memory */
	struct depend_shared *depend; /* as long as it holds nothing was changed */
	unsigned lane;                /* of disk jobs */
	uint64_t warm_until_ms;       /* until then its pages are taken to be in memory */
	unsigned warm_probes; /* parts of it that were found in memory, without one that was not */
	bool utf8;            /* its content, as far as it was read, is UTF-8 */
	bool text;            /* its content, as far as it was read, is plain text */
	uint8_t etag_length;
	char etag[FILE_ETAG_MAX];
};

static inline struct slice file_etag(const struct file *file)
{
	return (struct slice){file->etag, file->etag_length};
}

/* A look at a file: what is asked, then what was found. */
struct file_look {
	/* asked */
	const struct file_root *root;
	const char *
		path; /* decoded, relative, without empty, "." and ".." segments; "" or a final "/": a directory */
	struct watch *watch;     /* NULL: none */
	struct file_stamp known; /* of the version at hand; inode 0: none */
	/* found */
	enum file_kind kind;
	int error;            /* errno of what stood in the way */
	bool root_closed;     /* the root itself may not be opened: by rights, or by the sandbox */
	bool unchanged;       /* the version at hand is still the one */
	struct depend depend; /* the taker's to release */
	int fd; /* the taker's to close; -1: none, or the content is whole at `content` */
	struct file_stamp stamp;
	char *content; /* the taker's to free; NULL: not kept */
	bool utf8, text, warm;
	struct slice index; /* the index that answers for a directory; empty: none */
	uint8_t etag_length;
	char etag[FILE_ETAG_MAX];
};

/* Looks; may block. Fills all of what is found. */
void file_look(struct file_look *look);

/* Opens a path beneath a root (by its descriptor), reading only and never waiting: what it names may be anything.
 * `real`: its path without links, or "". A descriptor, or -1 with errno: EXDEV and ELOOP where `symlinks` forbids it. */
int file_open(int root_fd, const struct file_root *root, const char *path, const char *real);

#endif
