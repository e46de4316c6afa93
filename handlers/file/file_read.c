/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads one version of a file: its content, its entity tag, what kind of content it is. On an I/O thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/whole.h"
#include "handlers/file/digest.h"
#include "handlers/file/file_copy.h"
#include "io/remote.h"

#define DAY            86400ll
#define PIECE          (64u << 10)      /* of what is read at a time; a multiple of DIGEST_BLOCK */
#define SNIFFED        4096             /* octets that are enough to tell a type */
#define RACY_NS        (50 * 1000000ll) /* file times advance in steps of some milliseconds */
#define WRITE_NS       10000000ll /* so long a call that writes lasts, with the step of its time, and */
#define WRITE_OCTET_NS 4          /* for each octet, unless it is held up */
#define RESTLESS_NS    60000000000ll /* who wrote a file in place that long ago has done so */
#define CALL_NS        60000000000ll /* so long one call may write, */
#define CALL_UNTOLD_NS                                                                             \
	2000000000ll /* and so long it is reckoned with where events do not tell of its end */
#define MAKING_S  10 /* who still writes so long after a file was made does more than make it */
#define STEADY_NS 1000000000ll /* left alone so long, its time tells it (RFC 9110, 8.8.2.2) */

/* Of the present and of a time that anybody may have given a file: years are as good as a day. */
static int64_t nanoseconds_since(struct timespec then)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (then.tv_sec < now.tv_sec - DAY || then.tv_sec > now.tv_sec + DAY)
		return (then.tv_sec < now.tv_sec ? DAY : -DAY) * 1000000000ll;
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
		.linked = s->st_nlink > 1,
		.racy = nanoseconds_since(s->st_ctim) < RACY_NS,
	};
}

bool file_written_of_late(const struct file_stamp *stamp)
{
	return nanoseconds_since(stamp->modified) < DAY * 1000000000ll;
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

bool file_stamp_holds(const struct file_stamp *stamp, int fd)
{
	struct stat s;
	return fstat(fd, &s) == 0 && s.st_size == stamp->size &&
	       same_time(s.st_mtim, stamp->modified);
}

/* Variants have tags of their own even where their octets are the same (RFC 9110, 8.8.3.3): "…-gz". */
static void write_etag(struct file_version *v, enum variant variant, const struct digest *d)
{
	int length;
	/* not since it was modified: anybody may have given it a time to come, which would never end */
	bool weak = !d && nanoseconds_since(v->stamp.changed) < STEADY_NS;
	const char *suffix = variant_row(variant)->suffix;
	const char *dash = suffix[0] ? "-" : "";
	suffix += suffix[0] == '.';
	if (d)
		length = snprintf(v->etag, sizeof v->etag, "\"%016llx%016llx%s%s\"",
			(unsigned long long)d->result[0], (unsigned long long)d->result[1], dash,
			suffix);
	else
		length = snprintf(v->etag, sizeof v->etag, "%s\"%llx-%llx%s%s\"", weak ? "W/" : "",
			(unsigned long long)v->stamp.size,
			(unsigned long long)v->stamp.modified.tv_sec * 1000000000ull +
				(unsigned long long)v->stamp.modified.tv_nsec,
			dash, suffix);
	check(length > 0 && (size_t)length < sizeof v->etag);
	v->etag_length = (uint8_t)length;
	v->stamp.racy =
		v->stamp.racy || weak; /* so that it is looked at again, and becomes a strong one */
}

void file_unread(struct file_version *v)
{
	free(v->content);
	v->content = NULL;
	memory_untake(&v->copy);
}

/* Reads all of it: keeps it when it is small, else a copy where there is to be one. 0, or -1 with errno (0: it is shorter). */
static int read_content(const struct file_look *look, struct file_version *v, struct digest *d)
{
	size_t length = (size_t)v->stamp.size;
	bool keep = length <= FILE_SMALL_MAX;
	char *buffer = malloc(keep ? (length ? length : 1) : PIECE);
	if (!buffer)
		return -1;
	if (!keep && look)
		file_copy_begin(look, v);
	digest_begin(d);
	size_t done = 0;
	int result = 0;
	while (done < length && result == 0) {
		size_t want = length - done < PIECE ? length - done : PIECE;
		errno = 0;
		ssize_t n = whole_read_at(v->fd, keep ? buffer + done : buffer, want, (off_t)done);
		if (n != (ssize_t)want) {
			result = -1;
			break;
		}
		digest_update(d, keep ? buffer + done : buffer, want);
		file_copy_add(v, done, (struct slice){buffer, want});
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
	ssize_t n = whole_read_at(v->fd, buffer, PIECE, 0);
	if (n > 0)
		digest_update(&d, buffer, (size_t)n);
	v->utf8 = n > 0 && digest_is_utf8(&d);
	v->text = n > 0 && digest_is_text(&d);
	free(buffer);
}

/* Do events tell of each write to the file? */
static bool events_tell(const struct file_look *look, const struct file_version *v)
{
	return !look->depend.by_time && !v->stamp.linked;
}

/* Is it still the version that was opened? Its times may not tell, where they are so young that they advance in steps: events do then. */
static bool stands_still(struct file_look *look, const struct file_version *v)
{
	struct stat s;
	struct file_stamp now;
	watch_drain(look->watch);
	if (fstat(v->fd, &s))
		return false;
	file_stamp(&now, &s);
	return file_stamp_equal(&now, &v->stamp) &&
	       (!v->stamp.racy ||
		       (events_tell(look, v) && depend_holds(&look->depend, look->watch)));
}

/* Waits until a file is so old, if it is not; at most RACY_NS. */
static void await_age(const struct file_stamp *stamp, long long ns)
{
	long long left = (ns < RACY_NS ? ns : RACY_NS) - nanoseconds_since(stamp->changed);
	if (left > 0 && left <= RACY_NS)
		nanosleep(&(struct timespec){0, (long)left + 1}, NULL);
}

/* A call that writes notes the file's time as it begins, its event comes when it is over: half of what it wrote is no version. So where one began
 * just now it is waited until it is over, as a rule. One that lasts longer brings its event, and the file is read again. (What was put in the
 * file's place is not waited for: as it is written it grows, which is seen. What is kept beside its head is written too fast to be met.) */
static void await_call(
	const struct file_look *look, const struct file_version *v, const struct file_stamp *known)
{
	const struct file_stamp *stamp = &v->stamp;
	bool written = stamp->racy && same_time(stamp->modified, stamp->changed) &&
		       (!known->inode || known->inode == stamp->inode);
	if (written && !v->content && events_tell(look, v))
		await_age(stamp, WRITE_NS + WRITE_OCTET_NS * (long long)stamp->size);
}

static bool is_digested(const struct file_version *v)
{
	return v->stamp.size <= (off_t)FILE_DIGEST_MAX;
}

/* Reads as much of the content as its tag wants. 0, or -1 with errno (0: it is shorter). */
static int read_for_tag(const struct file_look *look, struct file_version *v, struct digest *d)
{
	if (is_digested(v))
		return read_content(look, v, d);
	sample_content(v);
	return 0;
}

/* The copy of one that is not read for its tag. Where no events tell of each write what a call wrote behind the look, with the tag of all, would
 * be kept: of those only what was left alone has one, and may have one later. */
static void copy_large(struct file_look *look, enum variant variant)
{
	struct file_version *v = &look->found[variant];
	if (v->guarded || look->known[variant].copied_just_now || look->depend.by_time)
		return;
	v->copyable = (size_t)v->stamp.size <= look->copy_max;
	if (v->copyable && !(v->stamp.linked && v->stamp.young))
		file_copy_whole(look, v);
}

/* It changes all the time. What was read twice, and was the same, was a version of it; what is kept in memory is that one whatever becomes
 * of the file, what is not is checked before it is sent. */
static enum file_read settle_for(struct file_look *look, enum variant variant, struct digest *d)
{
	struct file_version *v = &look->found[variant];
	struct digest before = *d;
	bool digested = is_digested(v);
	file_unread(v);
	if (read_for_tag(look, v, d))
		return errno ? FILE_READ_ERROR : FILE_READ_CHANGED;
	if (digested && memcmp(before.result, d->result, sizeof d->result) != 0)
		return FILE_READ_CHANGED;
	write_etag(v, variant, digested ? d : NULL);
	v->stamp.racy = true;
	return FILE_READ_DONE;
}

/* Was it written after it was made? Asked of a file that nobody has looked at before. */
static bool written_anew(int fd, const struct file_stamp *stamp)
{
	struct statx s;
	return statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &s) == 0 && s.stx_mask & STATX_BTIME &&
	       stamp->modified.tv_sec - s.stx_btime.tv_sec > MAKING_S;
}

/* It has another content than it had: until it was left alone for a while. */
static void note_writing(struct file_version *v, const struct file_stamp *known)
{
	struct file_stamp *stamp = &v->stamp;
	bool same = known->inode == stamp->inode && known->device == stamp->device;
	bool written = same && (known->restless || known->size != stamp->size ||
				       !same_time(known->modified, stamp->modified));
	stamp->restless = nanoseconds_since(stamp->changed) < RESTLESS_NS &&
			  (written || (!same && written_anew(v->fd, stamp)));
}

/* May the call that wrote it last, as its content is read? Where there are events its end brings one; else it is asked again before long, and
 * reckoned with for a short time only. */
static void note_youth(const struct file_look *look, struct file_version *v)
{
	v->stamp.young = nanoseconds_since(v->stamp.changed) <
			 (look->depend.by_time ? CALL_UNTOLD_NS : CALL_NS);
}

bool file_content_same(struct file_look *look, enum variant variant)
{
	struct file_version *v = &look->found[variant];
	const struct file_known *known = &look->known[variant];
	struct digest d;
	struct file_version again = {.fd = v->fd, .stamp = v->stamp};
	if (!is_digested(v))
		return false; /* its tag does not tell */
	note_youth(look, v);
	bool same = read_content(NULL, &again, &d) == 0;
	if (same) {
		write_etag(&again, variant, &d);
		same = again.etag_length == known->etag_length &&
		       memcmp(again.etag, known->etag, again.etag_length) == 0;
	}
	file_unread(&again);
	return same;
}

enum file_read file_read(struct file_look *look, enum variant variant, bool last_try)
{
	struct file_version *v = &look->found[variant];
	struct digest d;
	note_writing(v, &look->known[variant].stamp);
	note_youth(look, v);
	v->remote = remote_descriptor(v->fd);
	v->guarded = v->stamp.restless || v->remote;
	if (read_for_tag(look, v, &d))
		return errno ? FILE_READ_ERROR : FILE_READ_CHANGED;
	if (!is_digested(v))
		copy_large(look, variant);
	await_call(look, v, &look->known[variant].stamp);
	if (stands_still(look, v)) {
		write_etag(v, variant, is_digested(v) ? &d : NULL);
	} else {
		enum file_read result =
			last_try ? settle_for(look, variant, &d) : FILE_READ_CHANGED;
		if (result != FILE_READ_DONE)
			return result;
	}
	v->warm = is_digested(v);
	if (!v->warm) {
		v->stamp.young = v->stamp.young && v->copy.file; /* else nothing is kept */
		v->stamp.racy = v->stamp.racy ||
				look->known[variant].copied_just_now; /* so that it has one later */
	}
	if (v->content && (!v->stamp.linked || v->remote || look->depend.by_time)) {
		close(v->fd);
		v->fd = -1;
	}
	return FILE_READ_DONE;
}

bool file_read_cached(struct file_look *look, enum variant variant)
{
	struct file_version *v = &look->found[variant];
	struct digest d;
	struct stat s;
	struct file_stamp now;
	note_writing(v, &look->known[variant].stamp);
	note_youth(look, v);
	if (v->stamp.size > (off_t)FILE_SMALL_MAX || v->stamp.racy || v->stamp.restless ||
		v->stamp.linked)
		return false;
	size_t length = (size_t)v->stamp.size;
	struct iovec whole = {must_alloc(length ? length : 1), length};
	v->content = whole.iov_base;
	if (length && preadv2(v->fd, &whole, 1, 0, RWF_NOWAIT) != (ssize_t)length)
		return false;
	digest_begin(&d);
	digest_update(&d, v->content, length);
	digest_end(&d);
	if (fstat(v->fd, &s))
		return false;
	file_stamp(&now, &s);
	if (!file_stamp_equal(&now, &v->stamp))
		return false;
	v->utf8 = digest_is_utf8(&d);
	v->text = digest_is_text(&d);
	v->warm = true;
	write_etag(v, variant, &d);
	close(v->fd);
	v->fd = -1;
	return true;
}

void file_ripen(const struct file_stamp *stamp)
{
	await_age(stamp, RACY_NS);
}

void file_sniff(struct file_look *look)
{
	const struct file_version *v = &look->found[VARIANT_SELF];
	char piece[SNIFFED];
	const char *bytes = v->content;
	ssize_t length = v->stamp.size < SNIFFED ? v->stamp.size : SNIFFED;
	if (!bytes) {
		bytes = piece;
		length = whole_read_at(v->fd, piece, sizeof piece, 0);
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
