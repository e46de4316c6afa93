/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads one version of a file: its content, its entity tag, what kind of content it is. On an I/O thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "handlers/file/digest.h"
#include "handlers/file/file.h"
#include "io/remote.h"

#define PIECE   (64u << 10)      /* of what is read at a time; a multiple of DIGEST_BLOCK */
#define SNIFFED 4096             /* octets that are enough to tell a type */
#define RACY_NS (50 * 1000000ll) /* file times advance in steps of some milliseconds */
#define STEADY_NS                                                                                  \
	1000000000ll /* a modification time that old tells versions apart (RFC 9110, 8.8.2.2) */

static int64_t nanoseconds_since(struct timespec then)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (now.tv_sec - then.tv_sec) * 1000000000ll + now.tv_nsec - then.tv_nsec;
}

void file_stamp(struct file_stamp *stamp, const struct stat *s)
{
	*stamp = (struct file_stamp){
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

bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->inode == b->inode && a->device == b->device && a->size == b->size &&
	       same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}

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

/* Variants have tags of their own even where their octets are the same (RFC 9110, 8.8.3.3): "…-gz". */
static void write_etag(struct file_version *v, enum variant variant, const struct digest *d)
{
	int length;
	const char *suffix = variant_row(variant)->suffix;
	const char *dash = suffix[0] ? "-" : "";
	suffix += suffix[0] == '.';
	if (d)
		length = snprintf(v->etag, sizeof v->etag, "\"%016llx%016llx%s%s\"",
			(unsigned long long)d->result[0], (unsigned long long)d->result[1], dash,
			suffix);
	else
		length = snprintf(v->etag, sizeof v->etag, "%s\"%llx-%llx%s%s\"",
			nanoseconds_since(v->stamp.modified) < STEADY_NS ? "W/" : "",
			(unsigned long long)v->stamp.size,
			(unsigned long long)v->stamp.modified.tv_sec * 1000000000ull +
				(unsigned long long)v->stamp.modified.tv_nsec,
			dash, suffix);
	check(length > 0 && (size_t)length < sizeof v->etag);
	v->etag_length = (uint8_t)length;
}

/* Reads all of it: keeps it when it is small. 0, or -1 with errno (0: it is shorter). */
static int read_content(struct file_version *v, struct digest *d)
{
	size_t length = (size_t)v->stamp.size;
	bool keep = length <= FILE_SMALL_MAX;
	char *buffer = malloc(keep ? (length ? length : 1) : PIECE);
	if (!buffer)
		return -1;
	digest_begin(d);
	size_t done = 0;
	int result = 0;
	while (done < length && result == 0) {
		size_t want = length - done < PIECE ? length - done : PIECE;
		errno = 0;
		ssize_t n = read_piece(v->fd, keep ? buffer + done : buffer, want, (off_t)done);
		if (n != (ssize_t)want) {
			result = -1;
			break;
		}
		digest_update(d, keep ? buffer + done : buffer, want);
		done += want;
	}
	digest_end(d);
	v->utf8 = digest_is_utf8(d);
	v->text = digest_is_text(d);
	if (keep && result == 0)
		v->content = buffer;
	else
		free(buffer);
	return result;
}

/* What begins a large file tells whether it is text; a sequence cut at the end of the piece is no fault. */
static void sample_content(struct file_version *v)
{
	struct digest d;
	char *buffer = malloc(PIECE);
	if (!buffer)
		return;
	digest_begin(&d);
	ssize_t n = read_piece(v->fd, buffer, PIECE, 0);
	if (n > 0)
		digest_update(&d, buffer, (size_t)n);
	v->utf8 = n > 0 && digest_is_utf8(&d);
	v->text = n > 0 && digest_is_text(&d);
	free(buffer);
}

/* Is it still the version that was opened? Its times may not tell when they advance in steps: events do. */
static bool stands_still(const struct file_look *look, const struct file_version *v)
{
	struct stat s;
	struct file_stamp now;
	watch_drain(look->watch);
	if (fstat(v->fd, &s))
		return false;
	file_stamp(&now, &s);
	return file_stamp_equal(&now, &v->stamp) && depend_holds(&look->depend, look->watch);
}

/* It changes all the time, or its neighbours do: what was read has the tag of what was read, unless the file itself was written. Nothing is
 * believed of it for long. */
static enum file_read settle_for(
	struct file_version *v, enum variant variant, const struct digest *d)
{
	struct stat s;
	struct file_stamp now;
	if (fstat(v->fd, &s))
		return FILE_READ_ERROR;
	file_stamp(&now, &s);
	bool written = now.size != v->stamp.size || !same_time(now.modified, v->stamp.modified);
	/* what is kept in memory is one version whatever became of the file */
	write_etag(v, variant, written && !v->content ? NULL : d);
	v->stamp.racy = true;
	return FILE_READ_DONE;
}

enum file_read file_read(struct file_look *look, enum variant variant, bool last_try)
{
	struct file_version *v = &look->found[variant];
	struct digest d;
	v->remote = remote_descriptor(v->fd);
	if (v->stamp.size > (off_t)FILE_DIGEST_MAX) {
		sample_content(v);
		write_etag(v, variant, NULL);
		return FILE_READ_DONE;
	}
	if (read_content(v, &d)) {
		if (errno)
			return FILE_READ_ERROR;
		if (!last_try)
			return FILE_READ_CHANGED;
		write_etag(v, variant, NULL);
		return FILE_READ_DONE;
	}
	if (stands_still(look, v))
		write_etag(v, variant, &d);
	else if (!last_try)
		return FILE_READ_CHANGED;
	else if (settle_for(v, variant, &d) == FILE_READ_ERROR)
		return FILE_READ_ERROR;
	v->warm = true;
	if (v->content) {
		close(v->fd);
		v->fd = -1;
	}
	return FILE_READ_DONE;
}

void file_sniff(struct file_look *look)
{
	const struct file_version *v = &look->found[VARIANT_SELF];
	char piece[SNIFFED];
	const char *bytes = v->content;
	ssize_t length = v->stamp.size < SNIFFED ? v->stamp.size : SNIFFED;
	if (!bytes) {
		bytes = piece;
		length = read_piece(v->fd, piece, sizeof piece, 0);
	}
	char type[SNIFFER_TYPE_MAX] = "";
	if (look->sniffer && length > 0)
		look->sniffer->type(look->sniffer, bytes, (size_t)length, type);
	struct slice passive = mime_passive(slice_of(type), v->text);
	memcpy(look->type, passive.ptr, passive.len);
	look->type[passive.len] = '\0';
}

void file_generated(struct file_look *look, struct slice type)
{
	struct file_version *v = &look->found[VARIANT_SELF];
	struct digest d;
	digest_begin(&d);
	digest_update(&d, v->content, (size_t)v->stamp.size);
	digest_end(&d);
	write_etag(v, VARIANT_SELF, &d);
	v->utf8 = digest_is_utf8(&d);
	v->text = digest_is_text(&d);
	check(type.len < sizeof look->type);
	memcpy(look->type, type.ptr, type.len);
	look->type[type.len] = '\0';
}
