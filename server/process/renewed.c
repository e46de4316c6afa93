/* SPDX-License-Identifier: BSD-2-Clause */
/* A list of paths with their bytes. */
#include "process/renewed.h"

#include <stdlib.h>

#include "process/keepsake.h"

#define MAGIC UINT32_C(0x57524e57)

struct entry {
	uint32_t path, bytes; /* their lengths; what they measure follows */
};

int renewed_add(struct buffer *list, struct slice path, struct slice bytes)
{
	uint32_t magic = MAGIC;
	struct entry entry = {(uint32_t)path.len, (uint32_t)bytes.len};
	if (path.len > KEEPSAKE_RENEWED_MAX || bytes.len > KEEPSAKE_RENEWED_MAX ||
		list->len + sizeof(magic) + sizeof(entry) + path.len + bytes.len >
			KEEPSAKE_RENEWED_MAX)
		return -1;
	if (list->len == 0)
		buffer_append(list, &magic, sizeof(magic));
	buffer_append(list, &entry, sizeof(entry));
	buffer_slice(list, path);
	buffer_slice(list, bytes);
	return 0;
}

void renewed_join(struct buffer *list, struct slice other)
{
	if (list->len > 0 && other.len > 0)
		other = slice_from(other, sizeof(uint32_t));
	if (list->len + other.len <= KEEPSAKE_RENEWED_MAX)
		buffer_slice(list, other);
}

/* Takes the first `length` octets off. */
static int take(struct slice *from, size_t length, struct slice *to)
{
	if (from->len < length)
		return -1;
	*to = (struct slice){from->ptr, length};
	*from = slice_from(*from, length);
	return 0;
}

static int take_entry(struct slice *from, struct tls_change *file)
{
	struct slice head;
	struct entry entry;
	if (take(from, sizeof(entry), &head))
		return -1;
	memcpy(&entry, head.ptr, sizeof(entry));
	return take(from, entry.path, &file->path) || take(from, entry.bytes, &file->bytes) ? -1
											    : 0;
}

int renewed_read(struct slice list, struct renewed *renewed)
{
	struct buffer files = {0};
	struct slice head;
	uint32_t magic = 0;
	int result = list.len > 0 && take(&list, sizeof(magic), &head) ? -1 : 0;
	if (list.len > 0 && result == 0)
		memcpy(&magic, head.ptr, sizeof(magic));
	if (list.len > 0 && magic != MAGIC)
		result = -1;
	while (result == 0 && list.len > 0) {
		struct tls_change file;
		result = take_entry(&list, &file);
		buffer_append(&files, &file, sizeof(file));
	}
	if (result)
		buffer_free(&files);
	*renewed = (struct renewed){(void *)files.ptr, files.len / sizeof(struct tls_change)};
	return result;
}

void renewed_free(struct renewed *renewed)
{
	free(renewed->files);
	*renewed = (struct renewed){NULL, 0};
}

const struct tls_change *renewed_find(const struct renewed *renewed, struct slice path)
{
	for (size_t i = 0; path.ptr && i < renewed->count; i++)
		if (slice_equal(renewed->files[i].path, path))
			return &renewed->files[i];
	return NULL;
}
