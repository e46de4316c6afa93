/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds, opens and reads one version of a file: runs on an I/O thread and touches nothing of a loop. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "handlers/file/digest.h"
#include "handlers/file/file.h"

#define TRIES   3
#define PIECE   (64u << 10)      /* of what is read at a time; a multiple of DIGEST_BLOCK */
#define RACY_NS (50 * 1000000ll) /* file times advance in steps of some milliseconds */
#define STEADY_NS                                                                                  \
	1000000000ll /* a modification time that old tells versions apart (RFC 9110, 8.8.2.2) */

static int64_t nanoseconds_since(struct timespec then)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (now.tv_sec - then.tv_sec) * 1000000000ll + now.tv_nsec - then.tv_nsec;
}

static struct file_stamp stamp_of(const struct stat *s)
{
	return (struct file_stamp){
		.device = s->st_dev,
		.inode = s->st_ino,
		.size = s->st_size,
		.modified = s->st_mtim,
		.changed = s->st_ctim,
		.racy = nanoseconds_since(s->st_ctim) < RACY_NS,
	};
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_version(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->inode == b->inode && a->device == b->device && a->size == b->size &&
	       same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}

/* --- Reading. --- */

/* Fills a piece as far as the file goes. Octets, or -1. */
static ssize_t read_piece(int fd, char *to, size_t size, off_t offset)
{
	size_t done = 0;
	while (done < size) {
		ssize_t n = pread(fd, to + done, size - done, offset + (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static void write_etag(struct file_look *look, const struct digest *d)
{
	int length;
	if (d)
		length = snprintf(look->etag, sizeof look->etag, "\"%016llx%016llx\"",
			(unsigned long long)d->result[0], (unsigned long long)d->result[1]);
	else
		length = snprintf(look->etag, sizeof look->etag, "%s\"%llx-%llx\"",
			nanoseconds_since(look->stamp.modified) < STEADY_NS ? "W/" : "",
			(unsigned long long)look->stamp.size,
			(unsigned long long)look->stamp.modified.tv_sec * 1000000000ull +
				(unsigned long long)look->stamp.modified.tv_nsec);
	check(length > 0 && (size_t)length < sizeof look->etag);
	look->etag_length = (uint8_t)length;
}

/* Reads the first `length` octets: keeps them when they are few. 0, or -1 with errno (0: it is shorter). */
static int read_content(struct file_look *look, size_t length, struct digest *d)
{
	bool keep = length <= FILE_SMALL_MAX && (size_t)look->stamp.size == length;
	char *buffer = malloc(keep ? (length ? length : 1) : PIECE);
	if (!buffer)
		return -1;
	digest_begin(d);
	size_t done = 0;
	int result = 0;
	while (done < length && result == 0) {
		size_t want = length - done < PIECE ? length - done : PIECE;
		errno = 0;
		ssize_t n = read_piece(look->fd, keep ? buffer + done : buffer, want, (off_t)done);
		if (n != (ssize_t)want) {
			result = -1;
			break;
		}
		digest_update(d, keep ? buffer + done : buffer, want);
		done += want;
	}
	digest_end(d);
	look->utf8 = digest_is_utf8(d);
	look->text = digest_is_text(d);
	if (keep && result == 0)
		look->content = buffer;
	else
		free(buffer);
	return result;
}

/* What begins a large file tells whether it is text; a sequence cut at the end of the piece is no fault. */
static void sample_content(struct file_look *look)
{
	struct digest d;
	char *buffer = malloc(PIECE);
	if (!buffer)
		return;
	digest_begin(&d);
	ssize_t n = read_piece(look->fd, buffer, PIECE, 0);
	if (n > 0)
		digest_update(&d, buffer, (size_t)n);
	look->utf8 = n > 0 && digest_is_utf8(&d);
	look->text = n > 0 && digest_is_text(&d);
	free(buffer);
}

/* Is it still the version that was opened? Its times may not tell when they advance in steps: events do. */
static bool stands_still(struct file_look *look)
{
	struct stat s;
	watch_drain(look->watch);
	if (fstat(look->fd, &s))
		return false;
	struct file_stamp now = stamp_of(&s);
	return same_version(&now, &look->stamp) && depend_holds(&look->depend, look->watch);
}

static void close_file(struct file_look *look)
{
	if (look->fd >= 0)
		close(look->fd);
	look->fd = -1;
	free(look->content);
	look->content = NULL;
}

static void fail(struct file_look *look, enum file_kind kind, int error)
{
	close_file(look);
	look->kind = kind;
	look->error = error;
}

/* Takes the open regular file in. false: it changed meanwhile. */
static bool take_regular(struct file_look *look, bool last_try)
{
	look->kind = FILE_REGULAR;
	if (look->known.inode && !look->known.racy && same_version(&look->known, &look->stamp)) {
		look->unchanged = true;
		close_file(look);
		return true;
	}
	struct digest d;
	if (look->stamp.size > (off_t)FILE_DIGEST_MAX || last_try) {
		sample_content(look);
		write_etag(look, NULL);
		return true;
	}
	if (read_content(look, (size_t)look->stamp.size, &d)) {
		if (errno == 0)
			return false;
		fail(look, FILE_FAILED, errno);
		return true;
	}
	if (!stands_still(look))
		return false;
	write_etag(look, &d);
	look->warm = true;
	if (look->content) {
		close(look->fd);
		look->fd = -1;
	}
	return true;
}

/* --- Finding. --- */

/* What an error of open says about a name. */
static enum file_kind kind_of_error(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ENAMETOOLONG:
	case EINVAL: /* a name that this file system cannot hold */
	case ENXIO:  /* a socket */
	case ENODEV:
	case ESTALE:
		return FILE_MISSING;
	case EACCES:
	case EPERM:
	case EXDEV: /* a link that leads out of the root */
		return FILE_FORBIDDEN;
	default:
		return FILE_FAILED;
	}
}

/* Opens one name. true: look->fd is open, and look->stamp is its. */
static bool open_name(
	struct file_look *look, int root_fd, const char *path, const char *real, mode_t *type)
{
	look->fd = file_open(root_fd, look->root, path, real);
	if (look->fd < 0) {
		enum file_kind kind = kind_of_error(errno);
		if (errno == ELOOP)
			kind = look->root->symlinks == SYMLINKS_OFF ? FILE_FORBIDDEN : FILE_MISSING;
		fail(look, kind, errno);
		return false;
	}
	struct stat s;
	if (fstat(look->fd, &s)) {
		fail(look, FILE_FAILED, errno);
		return false;
	}
	look->stamp = stamp_of(&s);
	*type = s.st_mode & S_IFMT;
	if (*type != S_IFREG && *type != S_IFDIR) {
		fail(look, FILE_MISSING, 0);
		return false;
	}
	return true;
}

/* A directory that may be searched but not listed can still have an index. */
static bool is_closed_directory(const struct file_look *look, int root_fd, const char *path)
{
	struct stat s;
	return look->error == EACCES && look->root->symlinks != SYMLINKS_OFF &&
	       fstatat(root_fd, path, &s, 0) == 0 && S_ISDIR(s.st_mode);
}

/* Opens a name in a directory. A link there has a way of its own, which is to be watched before it is gone. */
static bool open_in(struct file_look *look, int root_fd, const char *base, struct slice name,
	const char *real_base, mode_t *type)
{
	char path[PATH_MAX], real[PATH_MAX];
	struct stat s;
	int length = snprintf(path, sizeof path, "%s%.*s", base, (int)name.len, name.ptr);
	if (length < 0 || (size_t)length >= sizeof path) {
		fail(look, FILE_MISSING, ENAMETOOLONG);
		return false;
	}
	length = snprintf(real, sizeof real, "%s/%.*s", real_base, (int)name.len, name.ptr);
	if (!real_base[0] || length < 0 || (size_t)length >= sizeof real)
		real[0] = '\0';
	if (fstatat(root_fd, path, &s, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(s.st_mode))
		depend_add(&look->depend, look->watch, look->root->path.ptr, path, real);
	return open_name(look, root_fd, path, real, type);
}

/* Tries the names of an index in a directory: `base` is "" or ends with "/". true: one is open. */
static bool open_index(struct file_look *look, int root_fd, const char *base, const char *real)
{
	for (size_t i = 0; i < look->root->index.count; i++) {
		struct slice name = look->root->index.items[i];
		mode_t type;
		if (!open_in(look, root_fd, base, name, real, &type)) {
			if (look->kind != FILE_MISSING)
				return false;
			continue;
		}
		if (type == S_IFREG) {
			look->index = name;
			return true;
		}
		close_file(look);
	}
	fail(look, FILE_MISSING, 0);
	return false;
}

/* A directory named without its slash: is there an index, so that one may be sent to it? */
static void look_at_directory(struct file_look *look, int root_fd, const char *real)
{
	char base[PATH_MAX];
	int length = snprintf(base, sizeof base, "%s/", look->path);
	if (length < 0 || (size_t)length >= sizeof base) {
		fail(look, FILE_MISSING, ENAMETOOLONG);
		return;
	}
	if (open_index(look, root_fd, base, real)) {
		close_file(look);
		look->kind = FILE_DIRECTORY;
	}
}

/* One try. false: the file changed while it was read. */
static bool look_once(struct file_look *look, bool last_try)
{
	char real[PATH_MAX];
	look->depend = (struct depend){0};
	depend_add(&look->depend, look->watch, look->root->path.ptr, look->path, real);
	look->fd = -1;
	look->content = NULL;
	look->index = (struct slice){NULL, 0};
	int root_fd = open(look->root->path.ptr, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0) {
		fail(look, kind_of_error(errno), errno);
		look->root_closed = look->kind == FILE_FORBIDDEN;
		return true;
	}
	size_t length = strlen(look->path);
	mode_t type = 0;
	bool open_file = false;
	if (length == 0 || look->path[length - 1] == '/') {
		open_file = open_index(look, root_fd, look->path, real);
	} else if (open_name(look, root_fd, look->path, real, &type)) {
		open_file = type == S_IFREG;
		if (!open_file) {
			close_file(look);
			look_at_directory(look, root_fd, real);
		}
	} else if (is_closed_directory(look, root_fd, look->path)) {
		look_at_directory(look, root_fd, real);
	}
	close(root_fd);
	return !open_file || take_regular(look, last_try);
}

void file_look(struct file_look *look)
{
	look->root_closed = look->unchanged = look->utf8 = look->text = look->warm = false;
	look->error = 0;
	for (int try = 1; !look_once(look, try == TRIES); try++) {
		close_file(look);
		depend_release(&look->depend, look->watch);
	}
}
