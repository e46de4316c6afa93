/* SPDX-License-Identifier: BSD-2-Clause */
/* A sorted list of names: thousands of sites cost a dozen comparisons. */
#include "io/tls_index.h"

#include <stdlib.h>

enum { NAME_MAX_LENGTH = 255 };

struct tls_index_entry {
	struct slice name;
	const void *leads_to;
	size_t order;
};

static const struct tls_index_entry *entries(const struct tls_index *index)
{
	return (const void *)index->entries.ptr;
}

size_t tls_index_count(const struct tls_index *index)
{
	return index->entries.len / sizeof(struct tls_index_entry);
}

struct slice tls_index_name(const struct tls_index *index, size_t at)
{
	return entries(index)[at].name;
}

void tls_index_free(struct tls_index *index)
{
	buffer_free(&index->entries);
}

void tls_index_add(struct tls_index *index, struct slice name, const void *leads_to)
{
	struct tls_index_entry entry = {name, leads_to, tls_index_count(index)};
	buffer_append(&index->entries, &entry, sizeof(entry));
}

static int compare(struct slice a, struct slice b)
{
	size_t shorter = a.len < b.len ? a.len : b.len;
	int order = shorter > 0 ? memcmp(a.ptr, b.ptr, shorter) : 0;
	return order != 0 ? order : a.len < b.len ? -1 : a.len > b.len;
}

static int entry_order(const void *left, const void *right)
{
	const struct tls_index_entry *a = left, *b = right;
	int order = compare(a->name, b->name);
	return order != 0 ? order : a->order < b->order ? -1 : a->order > b->order;
}

void tls_index_sort(struct tls_index *index)
{
	struct tls_index_entry *all = (void *)index->entries.ptr;
	size_t count = tls_index_count(index), kept = 0;
	if (count == 0)
		return;
	qsort(all, count, sizeof(all[0]), entry_order);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || compare(all[kept - 1].name, all[i].name) != 0)
			all[kept++] = all[i];
	index->entries.len = kept * sizeof(all[0]);
}

const void *tls_index_exact(const struct tls_index *index, struct slice name)
{
	size_t low = 0, high = tls_index_count(index);
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare(name, entries(index)[middle].name);
		if (order == 0)
			return entries(index)[middle].leads_to;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const void *tls_index_find(const struct tls_index *index, struct slice name, unsigned labels)
{
	char star[NAME_MAX_LENGTH + 1];
	const void *found = tls_index_exact(index, name);
	for (unsigned i = 0; !found && (labels == 0 || i < labels); i++) {
		const char *dot = name.len > 0 ? memchr(name.ptr, '.', name.len) : NULL;
		if (!dot || name.len > NAME_MAX_LENGTH)
			break;
		struct slice rest = slice_from(name, (size_t)(dot - name.ptr));
		star[0] = '*';
		memcpy(star + 1, rest.ptr, rest.len);
		found = tls_index_exact(index, (struct slice){star, rest.len + 1});
		name = slice_from(rest, 1);
	}
	return found;
}
