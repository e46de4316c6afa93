/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads the files of a configuration and keeps every byte, so that a worker after a crash sees what its forerunner saw. */
#include "settings/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/whole.h"

static const char FIRST_LINE[] = "weir-kept 1\n";

struct frame {
	char kind;
	struct slice name, bytes;
};

/* A decimal length and the octet behind it. */
static int next_length(struct slice *text, char end, size_t *length)
{
	uint64_t number;
	const char *stop = text->len > 0 ? memchr(text->ptr, end, text->len) : NULL;
	if (!stop)
		return -1;
	struct slice digits = {text->ptr, (size_t)(stop - text->ptr)};
	if (slice_number(digits, &number) || number > KEPT_MAX)
		return -1;
	*text = slice_from(*text, digits.len + 1);
	*length = (size_t)number;
	return 0;
}

static int next_frame(struct slice *text, struct frame *frame)
{
	size_t name, bytes;
	if (text->len < 2 || text->ptr[1] != ' ')
		return -1;
	frame->kind = text->ptr[0];
	*text = slice_from(*text, 2);
	if (next_length(text, ' ', &name) || next_length(text, '\n', &bytes) ||
		text->len < name + bytes + 2 || text->ptr[name] != '\n' ||
		text->ptr[name + 1 + bytes] != '\n')
		return -1;
	frame->name = (struct slice){text->ptr, name};
	frame->bytes = (struct slice){text->ptr + name + 1, bytes};
	*text = slice_from(*text, name + bytes + 2);
	return 0;
}

int kept_begin(struct kept *kept, struct slice replay)
{
	memset(kept, 0, sizeof(*kept));
	if (!replay.ptr) {
		buffer_slice(&kept->text, SLICE(FIRST_LINE));
		return 0;
	}
	struct slice rest = slice_from(replay, sizeof(FIRST_LINE) - 1);
	struct frame frame;
	if (!slice_starts(replay, SLICE(FIRST_LINE)))
		return -1;
	while (rest.len > 0) {
		if (next_frame(&rest, &frame))
			return -1;
	}
	kept->replay = replay;
	kept->rest = slice_from(replay, sizeof(FIRST_LINE) - 1);
	buffer_slice(&kept->text, replay);
	return 0;
}

void kept_end(struct kept *kept)
{
	buffer_free(&kept->text);
}

void kept_add(struct kept *kept, enum kept_kind kind, struct slice name, struct slice bytes)
{
	if (kept->replay.ptr)
		return;
	buffer_format(&kept->text, "%c %zu %zu\n", kind, name.len, bytes.len);
	buffer_slice(&kept->text, name);
	buffer_append(&kept->text, "\n", 1);
	buffer_slice(&kept->text, bytes);
	buffer_append(&kept->text, "\n", 1);
}

static bool find(struct slice *rest, enum kept_kind kind, struct slice wanted, struct frame *frame)
{
	while (rest->len > 0 && next_frame(rest, frame) == 0) {
		if (frame->kind == (char)kind && (!wanted.ptr || slice_equal(frame->name, wanted)))
			return true;
	}
	return false;
}

int kept_find(struct kept *kept, enum kept_kind kind, struct slice wanted, struct slice *name,
	struct slice *bytes)
{
	struct slice all = slice_from(kept->replay, sizeof(FIRST_LINE) - 1);
	struct frame frame;
	if (!find(&kept->rest, kind, wanted, &frame)) {
		kept->rest = all;
		if (!find(&kept->rest, kind, wanted, &frame))
			return -1;
	}
	*name = frame.name;
	*bytes = frame.bytes;
	return 0;
}

/* Opens a file to be read. The main file may be anything that ends; one that it names must not be a pipe to wait at. */
static int open_file(enum kept_kind kind, const char *path, int *fd)
{
	struct stat s;
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (kind == KEPT_MAIN ? 0 : O_NONBLOCK));
	if (*fd < 0)
		return errno;
	if (kind == KEPT_MAIN || (fstat(*fd, &s) == 0 && S_ISREG(s.st_mode)))
		return 0;
	close(*fd);
	return S_ISDIR(s.st_mode) ? EISDIR : EINVAL;
}

int kept_read(struct kept *kept, enum kept_kind kind, struct arena *arena, struct slice path,
	struct slice *contents)
{
	struct slice name, bytes;
	if (kept->replay.ptr) {
		if (kept_find(kept, kind, path, &name, &bytes))
			return ENOENT;
		*contents = arena_slice(arena, bytes);
		return 0;
	}
	if (memchr(path.ptr, 0, path.len))
		return EINVAL;
	int fd, error = open_file(kind, arena_slice(arena, path).ptr, &fd);
	if (error)
		return error;
	struct buffer text = {0};
	error = whole_read(fd, &text, KEPT_FILE_MAX);
	close(fd);
	if (!error && kept->text.len + text.len > KEPT_MAX)
		error = EFBIG;
	if (!error) {
		bytes = (struct slice){text.ptr, text.len};
		kept_add(kept, kind, path, bytes);
		*contents = arena_slice(arena, bytes);
	}
	buffer_free(&text);
	return error;
}

int kept_glob(struct kept *kept, struct arena *arena, struct slice pattern, struct slice *paths)
{
	struct slice name;
	glob_t found;
	if (kept->replay.ptr) {
		if (kept_find(kept, KEPT_PATTERN, pattern, &name, paths))
			return ENOENT;
		/* a NUL behind each */
		return paths->len > 0 && paths->ptr[paths->len - 1] ? EINVAL : 0;
	}
	if (memchr(pattern.ptr, 0, pattern.len))
		return EINVAL;
	int result = glob(arena_slice(arena, pattern).ptr, 0, NULL, &found);
	if (result != 0 && result != GLOB_NOMATCH)
		return result == GLOB_NOSPACE ? ENOMEM : EIO;
	struct buffer list = {0};
	if (result == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			buffer_append(&list, found.gl_pathv[i], strlen(found.gl_pathv[i]) + 1);
		globfree(&found);
	}
	*paths = arena_slice(arena, (struct slice){list.ptr, list.len});
	kept_add(kept, KEPT_PATTERN, pattern, *paths);
	buffer_free(&list);
	return 0;
}

int kept_device(struct kept *kept, struct slice path, dev_t *device)
{
	struct slice name, bytes;
	struct stat s;
	uint64_t number = 0;
	if (kept->replay.ptr) {
		if (kept_find(kept, KEPT_DEVICE, path, &name, &bytes) ||
			slice_number(bytes, &number))
			return ENOENT;
		*device = (dev_t)number;
		return 0;
	}
	if (stat(path.ptr, &s))
		return errno;
	if (!S_ISDIR(s.st_mode))
		return ENOTDIR;
	char decimal[24];
	int length = snprintf(decimal, sizeof(decimal), "%ju", (uintmax_t)s.st_dev);
	kept_add(kept, KEPT_DEVICE, path, (struct slice){decimal, (size_t)length});
	*device = s.st_dev;
	return 0;
}
