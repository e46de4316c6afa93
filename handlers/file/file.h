/* SPDX-License-Identifier: BSD-2-Clause */
/* One version of a file, and how it is found and read: all that may block, done on an I/O thread. */
#ifndef WEIR_FILE_FILE_H
#define WEIR_FILE_FILE_H

#include <sys/stat.h>

#include "base/memory_file.h"
#include "base/ref.h"
#include "handlers/file/depend.h"
#include "handlers/file/mime.h"
#include "handlers/file/variant.h"
#include "http/explain.h"
#include "http/sniffer.h"
#include "settings/option.h"

struct exchange_thread;
struct file_copy;

#define FILE_SMALL_MAX  (32u << 10) /* bodies up to this are kept in memory */
#define FILE_DIGEST_MAX (4u << 20)  /* files up to this get their entity tag from their content */
#define FILE_ETAG_MAX   56
#define FILE_WATCHED_MS                                                                            \
	60000 /* so long is believed what events tell of: writes through mappings raise none */

enum symlinks { SYMLINKS_INSIDE, SYMLINKS_OFF, SYMLINKS_ANYWHERE };

/* How names beneath a root are read. Belongs to the snapshot, which outlives all work under way. */
struct file_root {
	struct slice path;        /* absolute, NUL behind it */
	struct option_list index; /* names tried in a directory */
	int symlinks;             /* enum symlinks */
	bool hidden_files;        /* names that begin with a dot are served */
	bool listing;             /* a directory without index has a page */
	unsigned lane;            /* of disk jobs: the same for the same path */
	const struct mime *mime;  /* whose names tell their type; NULL: none do */
};

/* A directory that is to be listed; descriptors stay the caller's. */
struct file_directory {
	int root_fd, fd;
	const struct file_root *root;
	const char *path; /* "" or with a final "/" */
};

/* Makes the page of a directory, on an I/O thread; `query` tells the pages of one directory apart. 0, or -1 with errno: ENOENT, there is no
 * such page. */
typedef int file_list_fn(
	const struct file_directory *directory, struct slice query, struct buffer *page);

/* What is asked of a root. Slices are valid as long as the request. */
struct file_question {
	const struct file_root *root;
	struct slice key; /* what tells questions of one scope apart */
	struct slice
		decoded; /* path, decoded, relative, without empty, "." and ".." segments; "" or a final "/": a directory */
	file_list_fn
		*list; /* NULL, or: the page of this directory is wanted, and nothing else of it */
	struct slice query;              /* for that */
	struct explanation *explanation; /* NULL: nobody asks why */
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
	bool restless; /* it was written in place since it was looked at first: it may be again, at any moment */
	bool linked; /* it has other names, by which it may be written unseen */
	bool young; /* changed so shortly before it was read that the call which did it may have lasted: it notes the time as it begins */
	bool racy; /* changed so shortly before it was read that the stamp would not show another change */
};

/* One version of a file. Lives on one thread. */
struct file {
	struct ref ref;
	struct exchange_thread *thread;
	int fd; /* -1: it is kept, and need not or cannot be asked whether it is written by another name */
	bool kept;    /* the whole content stands in the body of `ready` */
	bool remote;  /* on a file system that may hang (io/remote.h) */
	bool guarded; /* that, or written in place again and again: see file_guarded_body */
	struct file_copy *copy; /* from which it is sent; NULL: from the file itself */
	bool copyable;          /* it may have one */
	uint64_t copied_ms;     /* when one was made last, of it or a version before; 0: never */
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
	char type[]; /* where it does not come from the name; else "" */
};

static inline struct slice file_etag(const struct file *file)
{
	return (struct slice){file->etag, file->etag_length};
}

/* One version as a look found it. */
struct file_version {
	bool unchanged; /* it is the one at hand: what is kept of that stands */
	bool utf8, text, warm, remote, guarded;
	int fd; /* the taker's to close; -1: none, or none is needed beside `content` */
	struct file_stamp stamp;
	char *content;           /* the taker's to free; NULL: not kept */
	struct memory_part copy; /* of the content, the taker's to give back; none is allowed */
	bool copyable;           /* it may have one */
	uint8_t etag_length;
	char etag[FILE_ETAG_MAX];
};

/* What a look is told of a version at hand. */
struct file_known {
	struct file_stamp stamp; /* inode 0: there is none */
	bool again;              /* it is to be read though it is the one */
	bool copied;             /* a copy was made of it, or of a version before */
	bool copied_just_now; /* a copy is not to be made again, unless it is read whole anyway */
	uint8_t etag_length;
	char etag[FILE_ETAG_MAX];
};

/* A look at a file: what is asked, then what was found. */
struct file_look {
	/* asked */
	const struct file_root *root;
	const char *path;        /* as in struct file_question */
	struct watch *watch;     /* NULL: none */
	struct sniffer *sniffer; /* NULL: none */
	file_list_fn *list;
	struct slice query;
	struct explanation
		*explanation;        /* where each name that is tried is told; NULL: nobody asks */
	struct memory_files *memory; /* where copies are made (file_copy.h) */
	size_t copy_max;             /* of what has at most so many octets; 0: none are made */
	struct file_known known[VARIANT_COUNT];
	unsigned known_variants; /* bits of those beside the file itself */
	/* found */
	enum file_kind kind;
	int error;            /* errno of what stood in the way */
	bool root_closed;     /* the root itself may not be opened: by rights, or by the sandbox */
	struct depend depend; /* the taker's to release */
	size_t lacks; /* so many octets of the path name what is not there, and so nothing beneath it; 0: not known */
	struct slice index; /* the index that answers for a directory; empty: none */
	unsigned variants;  /* bits 1 << VARIANT_…: which there are beside the file itself */
	struct file_version found[VARIANT_COUNT];
	char type[SNIFFER_TYPE_MAX]; /* of the file, where its name does not tell; else "" */
};

/* Looks; may block. Fills all of what is found. */
void file_look(struct file_look *look);
/* Gives back what was found. */
void file_look_done(struct file_look *look);

/* Opens a path beneath a root (by its descriptor), reading only and never waiting: what it names may be anything.
 * `real`: its path without links, or "". A descriptor, or -1 with errno: EXDEV and ELOOP where `symlinks` forbids it. */
int file_open(int root_fd, const struct file_root *root, const char *path, const char *real);
/* As open of the root itself (O_PATH) and as file_open, without a wait for a disk: EAGAIN where that would be needed, also with openat2's other
 * reasons. (Whoever watches over each open, by fanotify, can still hold it up.) */
int file_open_root_cached(const struct file_root *root);
/* What is itself a link is not followed, nor, where links must stay inside, an absolute one on the way. What is mounted beneath the root is not
 * entered: it may be slow. */
int file_open_cached(int root_fd, const struct file_root *root, const char *path);

/* --- What a look and a glance have in common. --- */

/* Nothing was found yet. */
void file_look_begin(struct file_look *look);
/* By its stamp, is the version that was found the one at hand? Where that is young its content may be another (file_content_same). */
bool file_is_known(const struct file_look *look, enum variant variant);
/* What is kept of the version at hand stands: what was opened is closed. */
void file_keep(struct file_version *version);
/* Why what is open beside the file itself, which was found, may not answer for it; NULL: it may. */
const char *file_no_variant(
	const struct file_look *look, const struct file_version *version, mode_t mode);
/* Do the variants that were found make the same fields decide as those at hand? Heads say which these are. */
bool file_same_fields(const struct file_look *look);
/* The sets (watch_set) of the names that are tried in a directory. */
uint64_t file_index_sets(const struct file_root *root);

/* --- What was opened is read: file_read.c. --- */

void file_stamp(struct file_stamp *stamp, const struct stat *s);
bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);
/* Was it written within a day? What was is likely to be written again. */
bool file_written_of_late(const struct file_stamp *stamp);
/* Does the open file have the size and time of the stamp? Names may have come and gone. */
bool file_stamp_holds(const struct file_stamp *stamp, int fd);

enum file_read {
	FILE_READ_DONE,
	FILE_READ_CHANGED, /* it was written meanwhile: look again */
	FILE_READ_ERROR,   /* errno says why */
};
/* Reads the version that is open at v->fd with v->stamp: content, entity tag (with the variant's suffix), what kind of text. The content of small
 * ones is kept, and the descriptor closed where no loop will ask it. `last_try`: it changes all the time, or is young and there are no
 * events of its own to go by. */
enum file_read file_read(struct file_look *look, enum variant variant, bool last_try);
/* The same of what is in memory, without a wait: true, it is kept whole and closed. false: it is not in memory, or large, was changed just now, or
 * may be at any moment; it is still open. */
bool file_read_cached(struct file_look *look, enum variant variant);
/* Does the version at hand have the content of the open one, by its tag? Then `young` of the stamp that was found is known, too. Of one whose
 * tag does not come from the content it is not known. */
bool file_content_same(struct file_look *look, enum variant variant);
/* Forgets what was read of a version; it stays open. */
void file_unread(struct file_version *v);
/* Waits until a file that was just written is old enough for its times to tell the next write. */
void file_ripen(const struct file_stamp *stamp);
/* Tells the type of the file itself from its content; after file_read. */
void file_sniff(struct file_look *look);
/* A page that was made stands at the content of the file itself: gives it its tag and type. */
void file_generated(struct file_look *look, struct slice type);

#endif
