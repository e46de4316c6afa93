/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds one version of a file, with what stands beside it: runs on an I/O thread and touches nothing of a loop. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "handlers/file/file.h"

#define TRIES     4  /* then what was read twice, and was the same, is good enough */
#define TRIES_MAX 16 /* a file that is never the same twice */

/* --- What was opened. --- */

static void close_version(struct file_version *v)
{
	if (v->fd >= 0)
		close(v->fd);
	file_unread(v);
	*v = (struct file_version){.fd = -1};
}

static void close_all(struct file_look *look)
{
	for (unsigned v = 0; v < VARIANT_COUNT; v++)
		close_version(&look->found[v]);
	look->variants = 0;
}

void file_keep(struct file_version *v)
{
	close(v->fd);
	v->fd = -1;
	v->unchanged = true;
}

static void fail(struct file_look *look, enum file_kind kind, int error)
{
	close_all(look);
	look->kind = kind;
	look->error = error;
}

bool file_is_known(const struct file_look *look, enum variant variant)
{
	const struct file_stamp *stamp = &look->known[variant].stamp;
	return stamp->inode && !stamp->racy && !stamp->restless &&
	       file_stamp_equal(stamp, &look->found[variant].stamp);
}

/* Is the version that is open the one at hand? One that is young is read, to know. */
static bool is_known(struct file_look *look, enum variant variant)
{
	return file_is_known(look, variant) &&
	       (!look->known[variant].stamp.young || file_content_same(look, variant));
}

bool file_same_fields(const struct file_look *look)
{
	return slice_equal(variant_vary(look->known_variants), variant_vary(look->variants));
}

/* Takes one open version in. A variant that cannot be read is as good as none; of the file itself that is a failure. */
static enum file_read take_version(struct file_look *look, enum variant variant, bool last_try)
{
	struct file_version *v = &look->found[variant];
	enum file_read result = file_read(look, variant, last_try);
	if (result != FILE_READ_ERROR)
		return result;
	if (variant == VARIANT_SELF) {
		fail(look, FILE_FAILED, errno);
		return FILE_READ_ERROR;
	}
	close_version(v);
	look->variants &= ~(1u << variant);
	return last_try ? FILE_READ_DONE
			: FILE_READ_CHANGED; /* the others' heads are others then */
}

/* Reads what is new of the file and its variants. false: something changed meanwhile. */
static bool take_all(struct file_look *look, struct slice type, bool last_try)
{
	bool stand = is_known(look, VARIANT_SELF) && file_same_fields(look);
	look->kind = FILE_REGULAR;
	for (unsigned v = VARIANT_COUNT; v-- > VARIANT_SELF;) {
		struct file_version *version = &look->found[v];
		if (v != VARIANT_SELF && !(look->variants & 1u << v))
			continue;
		if (stand && !look->known[v].again && (v == VARIANT_SELF || is_known(look, v))) {
			file_keep(version);
			continue;
		}
		enum file_read result = take_version(look, v, last_try);
		if (result != FILE_READ_DONE)
			return result == FILE_READ_ERROR;
	}
	if (!look->found[VARIANT_SELF].unchanged && !type.len)
		file_sniff(look);
	return true;
}

/* --- Telling. --- */

static const char *why_not(const struct file_look *look, int error)
{
	switch (error) {
	case ENOENT:
		return "missing";
	case ENOTDIR:
		return "missing: a name on its way is no directory";
	case ENAMETOOLONG:
		return "missing: the name is too long";
	case EACCES:
	case EPERM:
		return "may not be read";
	case EXDEV:
		return "a link leads out of the root, or nowhere";
	case ELOOP:
		return look->root->symlinks == SYMLINKS_OFF
			       ? "there is a link on its way, and none is followed"
			       : "links go in a circle";
	case ENXIO:
	case ENODEV:
		return "not a regular file";
	default:
		return strerror(error);
	}
}

/* A name beneath the root, and what it was found to be. */
static void tell(struct file_look *look, const char *path, const char *found)
{
	struct explanation *e = look->explanation;
	if (!e)
		return;
	explain_list(e, "tried");
	explain_group(e, NULL);
	explain_format(e, "path", "%s/%s", look->root->path.ptr, path);
	explain_text(e, "found", slice_of(found));
	explain_close(e);
	explain_close(e);
}

/* What is to be sent, and what was told of how it was found. */
static void tell_file(struct file_look *look, const char *path)
{
	if (look->explanation)
		explain_format(look->explanation, "file", "%s/%s", look->root->path.ptr, path);
}

/* What stands beside the file, or does not. `usable`: it is for the request to choose. */
static void tell_variant(struct file_look *look, enum variant variant, const char *found)
{
	struct explanation *e = look->explanation;
	if (!e)
		return;
	explain_list(e, "variants");
	explain_group(e, NULL);
	explain_text(e, "variant", slice_of(variant_row(variant)->suffix + 1));
	explain_text(e, "found", slice_of(found));
	explain_close(e);
	explain_close(e);
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
		return FILE_MISSING;
	case EACCES:
	case EPERM:
	case EXDEV: /* a link that leads out of the root */
		return FILE_FORBIDDEN;
	default:
		return FILE_FAILED;
	}
}

/* Opens one name. 0: v->fd is open, and v->stamp is its; or an error number. */
static int open_name(struct file_look *look, struct file_version *v, int root_fd, const char *path,
	const char *real, mode_t *type)
{
	struct stat s;
	v->fd = file_open(root_fd, look->root, path, real);
	if (v->fd < 0)
		return errno;
	if (fstat(v->fd, &s)) {
		int error = errno;
		close_version(v);
		return error;
	}
	file_stamp(&v->stamp, &s);
	*type = s.st_mode & S_IFMT;
	return 0;
}

/* Opens the file itself. true: it is a file or a directory, and open. */
static bool open_self(
	struct file_look *look, int root_fd, const char *path, const char *real, mode_t *type)
{
	int error = open_name(look, &look->found[VARIANT_SELF], root_fd, path, real, type);
	if (error) {
		enum file_kind kind = kind_of_error(error);
		if (error == ELOOP)
			kind = look->root->symlinks == SYMLINKS_OFF ? FILE_FORBIDDEN : FILE_MISSING;
		tell(look, path, why_not(look, error));
		fail(look, kind, error);
		return false;
	}
	if (*type != S_IFREG && *type != S_IFDIR) {
		tell(look, path, "not a regular file");
		fail(look, FILE_MISSING, 0);
		return false;
	}
	size_t length = strlen(path);
	tell(look, path,
		*type == S_IFDIR                    ? "a directory"
		: length && path[length - 1] == '/' ? "a file and no directory"
						    : "a file");
	return true;
}

/* A directory that may be searched but not listed can still have an index. */
static bool is_closed_directory(const struct file_look *look, int root_fd, const char *path)
{
	struct stat s;
	return look->error == EACCES && look->root->symlinks != SYMLINKS_OFF &&
	       fstatat(root_fd, path, &s, 0) == 0 && S_ISDIR(s.st_mode);
}

/* A name in a directory, with the ways that lead to it. */
struct place {
	char path[PATH_MAX]; /* beneath the root */
	char real[PATH_MAX]; /* without links, or "" */
};

/* Puts a name behind a directory: `base` is "" or ends with "/", `real` is its way without links, or "". A link there has a way of its
 * own, which is to be watched before it is gone. 0, or an error number. */
static int place_in(struct file_look *look, int root_fd, const char *base, struct slice name,
	const char *real, struct place *place)
{
	struct stat s;
	int length =
		snprintf(place->path, sizeof place->path, "%s%.*s", base, (int)name.len, name.ptr);
	if (length < 0 || (size_t)length >= sizeof place->path)
		return ENAMETOOLONG;
	length =
		snprintf(place->real, sizeof place->real, "%s/%.*s", real, (int)name.len, name.ptr);
	if (!real[0] || length < 0 || (size_t)length >= sizeof place->real)
		place->real[0] = '\0';
	if (fstatat(root_fd, place->path, &s, AT_SYMLINK_NOFOLLOW))
		return errno;
	if (S_ISLNK(s.st_mode))
		depend_add(&look->depend, look->watch, look->root->path.ptr, place->path, 0,
			place->real);
	return 0;
}

/* --- Variants. --- */

/* Tools that make sidecars copy the time of the original, some of them without its fraction of a second. */
static bool is_stale(const struct file_stamp *variant, const struct file_stamp *self)
{
	if (variant->modified.tv_sec != self->modified.tv_sec)
		return variant->modified.tv_sec < self->modified.tv_sec;
	return variant->modified.tv_nsec && variant->modified.tv_nsec < self->modified.tv_nsec;
}

const char *file_no_variant(
	const struct file_look *look, const struct file_version *version, mode_t mode)
{
	if (mode != S_IFREG)
		return "not a regular file";
	if (version->stamp.size == 0)
		return "empty";
	if (is_stale(&version->stamp, &look->found[VARIANT_SELF].stamp))
		return "stale: older than the file";
	return NULL;
}

/* Opens what stands beside the file at `place` and may answer for it. What cannot be used is passed over. */
static void open_variants(
	struct file_look *look, int root_fd, const struct place *place, struct slice type)
{
	char base[PATH_MAX], real[PATH_MAX];
	const char *stroke = strrchr(place->path, '/');
	size_t base_length = stroke ? (size_t)(stroke - place->path) + 1 : 0;
	memcpy(base, place->path, base_length);
	base[base_length] = '\0';
	/* not beside the target of a link, but beside the name */
	size_t real_length = strlen(place->real), name_length = strlen(place->path) - base_length;
	bool direct =
		real_length > name_length && place->real[real_length - name_length - 1] == '/' &&
		strcmp(place->real + real_length - name_length, place->path + base_length) == 0;
	real_length = direct ? real_length - name_length - 1 : 0;
	memcpy(real, place->real, real_length);
	real[real_length] = '\0';
	unsigned possible = variant_possible(type);
	for (unsigned v = VARIANT_SELF + 1; v < VARIANT_COUNT; v++) {
		struct file_version *version = &look->found[v];
		struct place beside;
		char name[NAME_MAX + 8];
		mode_t mode;
		int length = snprintf(name, sizeof name, "%s%s", place->path + base_length,
			variant_row(v)->suffix);
		if (!(possible & 1u << v) || length < 0 || length > NAME_MAX)
			continue;
		struct slice s = {name, (size_t)length};
		int error = place_in(look, root_fd, base, s, real, &beside);
		if (!error)
			error = open_name(look, version, root_fd, beside.path, beside.real, &mode);
		const char *fault =
			error ? why_not(look, error) : file_no_variant(look, version, mode);
		tell_variant(look, v, fault ? fault : "usable");
		if (error)
			continue;
		if (fault)
			close_version(version);
		else
			look->variants |= 1u << v;
	}
}

/* --- Directories. --- */

/* Tries the names of an index in a directory: `base` is "" or ends with "/". true: one is open, at `place`. */
static bool open_index(struct file_look *look, int root_fd, const char *base, const char *real,
	struct place *place)
{
	for (size_t i = 0; i < look->root->index.count; i++) {
		struct slice name = look->root->index.items[i];
		mode_t type;
		int error = place_in(look, root_fd, base, name, real, place);
		if (error) {
			tell(look, place->path, why_not(look, error));
			fail(look, error == ELOOP ? FILE_MISSING : kind_of_error(error), error);
		}
		if (error || !open_self(look, root_fd, place->path, place->real, &type)) {
			if (look->kind != FILE_MISSING)
				return false;
			continue;
		}
		if (type == S_IFREG) {
			look->index = name;
			return true;
		}
		close_all(look);
	}
	fail(look, FILE_MISSING, 0);
	return false;
}

/* The page of a directory, in the place of a file's content. */
static void list_directory(struct file_look *look, int root_fd, const char *real)
{
	struct file_version *v = &look->found[VARIANT_SELF];
	struct buffer page = {NULL, 0, 0};
	mode_t type;
	if (!open_self(look, root_fd, look->path[0] ? look->path : ".", real, &type))
		return;
	const struct file_directory directory = {root_fd, v->fd, look->root, look->path};
	if (type != S_IFDIR) {
		fail(look, FILE_MISSING, 0);
		return;
	}
	if (look->list(&directory, look->query, &page)) {
		fail(look, kind_of_error(errno), errno);
		buffer_free(&page);
		return;
	}
	tell_file(look, look->path);
	explain_flag(look->explanation, "listing", true);
	close_version(v);
	v->content = page.ptr;
	v->stamp.size = (off_t)page.len;
	file_generated(look, SLICE("text/html; charset=utf-8"));
	look->kind = FILE_REGULAR;
}

/* A directory named without its slash: is there something that one may be sent to? */
static void look_at_directory(struct file_look *look, int root_fd, const char *real)
{
	char base[PATH_MAX];
	struct place place;
	int length = snprintf(base, sizeof base, "%s/", look->path);
	if (length < 0 || (size_t)length >= sizeof base) {
		fail(look, FILE_MISSING, ENAMETOOLONG);
		return;
	}
	bool found = open_index(look, root_fd, base, real, &place);
	if (found)
		close_all(look);
	if (found || (look->kind == FILE_MISSING && look->root->listing))
		look->kind = FILE_DIRECTORY;
}

/* --- The look. --- */

/* What stands at the path is opened. true: it is a regular file, at `place`. */
static bool open_path(struct file_look *look, int root_fd, struct place *place)
{
	size_t length = strlen(look->path);
	mode_t type = 0;
	if (look->list) {
		list_directory(look, root_fd, place->real);
		return false;
	}
	if (length == 0 || look->path[length - 1] == '/') {
		char real[PATH_MAX];
		memcpy(real, place->real, sizeof real);
		return open_index(look, root_fd, look->path, real, place);
	}
	if (open_self(look, root_fd, look->path, place->real, &type)) {
		if (type == S_IFREG) {
			memcpy(place->path, look->path, length + 1);
			return true;
		}
		close_all(look);
		look_at_directory(look, root_fd, place->real);
	} else if (is_closed_directory(look, root_fd, look->path)) {
		look_at_directory(look, root_fd, place->real);
	}
	return false;
}

uint64_t file_index_sets(const struct file_root *root)
{
	uint64_t names = 0;
	for (size_t i = 0; i < root->index.count; i++) {
		struct slice name = root->index.items[i];
		names |= watch_set(name.ptr, name.len);
	}
	return names;
}

/* One try. false: the file changed while it was read. */
static bool look_once(struct file_look *look, bool last_try)
{
	struct place place;
	bool taken = true;
	look->depend = (struct depend){0};
	look->lacks = depend_add(&look->depend, look->watch, look->root->path.ptr, look->path,
		look->list ? WATCH_ALL : file_index_sets(look->root), place.real);
	look->index = (struct slice){NULL, 0};
	int root_fd = open(look->root->path.ptr, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0) {
		fail(look, kind_of_error(errno), errno);
		tell(look, "", why_not(look, look->error));
		look->root_closed = look->kind == FILE_FORBIDDEN;
		return true;
	}
	if (open_path(look, root_fd, &place)) {
		struct slice type = look->root->mime
					    ? mime_find(look->root->mime, slice_of(place.path))
					    : SLICE("");
		tell_file(look, place.path);
		open_variants(look, root_fd, &place, type);
		taken = take_all(look, type, last_try);
	}
	close(root_fd);
	return taken;
}

/* Of what is open, the one that was changed last. */
static struct file_stamp youngest(const struct file_look *look)
{
	struct file_stamp young = look->found[VARIANT_SELF].stamp;
	for (unsigned v = VARIANT_SELF + 1; v < VARIANT_COUNT; v++) {
		const struct file_stamp *stamp = &look->found[v].stamp;
		if (look->variants & 1u << v && stamp->changed.tv_sec >= young.changed.tv_sec &&
			(stamp->changed.tv_sec > young.changed.tv_sec ||
				stamp->changed.tv_nsec > young.changed.tv_nsec))
			young = *stamp;
	}
	return young;
}

void file_look_begin(struct file_look *look)
{
	look->root_closed = false;
	look->error = 0;
	look->type[0] = '\0';
	look->variants = 0;
	for (unsigned v = 0; v < VARIANT_COUNT; v++)
		look->found[v] = (struct file_version){.fd = -1};
}

void file_look(struct file_look *look)
{
	file_look_begin(look);
	for (int try = 1; !look_once(look, try >= TRIES); try++) {
		/* the first time it may be chance; then it is waited for */
		struct file_stamp young = youngest(look);
		close_all(look);
		if (try == TRIES_MAX) {
			fail(look, FILE_FAILED, EBUSY);
			return;
		}
		depend_release(&look->depend, look->watch);
		if (look->explanation) { /* what was seen is no more */
			explain_free(look->explanation);
			explain_init(look->explanation);
		}
		if (try > 1)
			file_ripen(&young);
	}
}

void file_look_done(struct file_look *look)
{
	depend_release(&look->depend, look->watch);
	close_all(look);
}
