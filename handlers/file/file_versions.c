/* SPDX-License-Identifier: BSD-2-Clause */
/* The versions that an entry of the file cache holds: the file itself and what stands beside it. */
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "handlers/file/file_body.h"
#include "handlers/file/file_cache_priv.h"

static void file_last(struct ref *ref)
{
	struct file *file = container_of(ref, struct file, ref);
	file_copy_drop(file);
	if (file->fd >= 0 && file->guarded)
		file_guarded_close(file);
	else if (file->fd >= 0)
		close(file->fd);
	if (file->ready)
		ref_put(&file->ready->ref);
	if (file->depend)
		ref_put(&file->depend->ref);
	free(file);
}

/* Those that only ask whether a kept version still stands leave half to those that are needed; without one it is believed for a second. */
static bool descriptors_are_short(const struct file_cache *cache)
{
	const struct file_shelf_state *shelf = &cache->shelves[SHELF_OPEN];
	return shelf->count >= shelf->count_max / 2;
}

static struct file *file_take(struct file_cache *cache, struct file_look *look,
	enum variant variant, const struct file_about *about, uint64_t copied_ms)
{
	struct file_version *v = &look->found[variant];
	size_t type_length = variant == VARIANT_SELF ? about->type.len : 0;
	struct file *file = must_zalloc(sizeof *file + type_length + 1);
	ref_init(&file->ref, file_last);
	file->thread = cache->thread;
	if (v->content && v->fd >= 0 && descriptors_are_short(cache)) {
		close(v->fd);
		v->fd = -1;
	}
	file->fd = v->fd;
	file->kept = v->content != NULL;
	file->remote = v->remote;
	file->guarded = v->guarded;
	v->fd = -1;
	file->length = (uint64_t)v->stamp.size;
	file->lane = look->root->lane;
	file->stamp = v->stamp;
	file->utf8 = v->utf8;
	file->text = v->text;
	if (v->warm)
		file->warm_until_ms = cache->thread->clock->monotonic_ms + FILE_WATCHED_MS;
	file->etag_length = v->etag_length;
	memcpy(file->etag, v->etag, v->etag_length);
	if (type_length)
		memcpy(file->type, about->type.ptr, type_length);
	file->copied_ms = copied_ms;
	file->copyable = v->copyable;
	file_copies_add(cache->copies, file, &v->copy);
	return file;
}

/* Replaces a version by what a look found, unless it is still the one. */
static void version_take(struct file_cache *cache, const struct scope *scope,
	struct file_look *look, enum variant variant, struct file_about *about,
	const struct file *self, struct file **at)
{
	struct file_version *v = &look->found[variant];
	if (v->unchanged) {
		(*at)->stamp.young = v->stamp.young;
		return;
	}
	uint64_t copied_ms = *at ? (*at)->copied_ms : 0;
	if (*at)
		ref_put(&(*at)->ref);
	*at = file_take(cache, look, variant, about, copied_ms);
	about->variant = variant;
	(*at)->utf8 = self ? self->utf8 : v->utf8; /* the charset is that of what is encoded */
	(*at)->ready = cache->make_ready(cache->thread, scope, *at, about, v->content);
}

static void variants_free(struct file_variants **variants)
{
	if (!*variants)
		return;
	for (unsigned v = VARIANT_SELF + 1; v < VARIANT_COUNT; v++)
		if ((*variants)->file[v])
			ref_put(&(*variants)->file[v]->ref);
	free(*variants);
	*variants = NULL;
}

void versions_take(struct file_cache *cache, struct file_entry *entry, const struct scope *scope,
	struct file_look *look)
{
	char name[PATH_MAX + NAME_MAX];
	size_t length = strlen(look->path), index = look->index.len;
	check(length + index <= sizeof name);
	memcpy(name, look->path, length);
	if (index)
		memcpy(name + length, look->index.ptr, index);
	struct file_about about = {
		.name = {name, length + index},
		.type = slice_of(look->type),
		.vary = variant_vary(look->variants),
		.generated = look->list != NULL,
	};
	version_take(cache, scope, look, VARIANT_SELF, &about, NULL, &entry->file);
	about.type = slice_of(entry->file->type);
	if (!look->variants) {
		variants_free(&entry->variants);
		return;
	}
	if (!entry->variants)
		entry->variants = must_zalloc(sizeof *entry->variants);
	entry->variants->which = look->variants;
	for (unsigned v = VARIANT_SELF + 1; v < VARIANT_COUNT; v++) {
		struct file **at = &entry->variants->file[v];
		if (look->variants & 1u << v) {
			version_take(cache, scope, look, v, &about, entry->file, at);
		} else if (*at) {
			ref_put(&(*at)->ref);
			*at = NULL;
		}
	}
}

void versions_drop(struct file_entry *entry)
{
	variants_free(&entry->variants);
	if (entry->file)
		ref_put(&entry->file->ref);
	entry->file = NULL;
}

/* The file itself, or what stands beside it; NULL: there is none. */
static struct file *version_at(const struct file_entry *entry, unsigned v)
{
	if (v == VARIANT_SELF)
		return entry->file;
	return entry->variants ? entry->variants->file[v] : NULL;
}

static bool file_deleted(const struct file *file, bool unasked)
{
	struct stat s;
	if (!file || file->fd < 0)
		return false;
	return file->remote ? unasked : fstat(file->fd, &s) == 0 && s.st_nlink == 0;
}

bool versions_deleted(const struct file_cache *cache, const struct file_entry *entry)
{
	bool unasked = cache->thread->clock->monotonic_ms - entry->checked_ms > FILE_WATCHED_MS;
	for (unsigned v = VARIANT_SELF; v < VARIANT_COUNT; v++)
		if (file_deleted(version_at(entry, v), unasked))
			return true;
	return false;
}

bool versions_copied(const struct file_entry *entry)
{
	for (unsigned v = VARIANT_SELF; v < VARIANT_COUNT; v++) {
		const struct file *file = version_at(entry, v);
		if (file && file->copy)
			return true;
	}
	return false;
}

static void file_depend(struct file *file, struct depend_shared *depend)
{
	if (file->depend)
		ref_put(&file->depend->ref);
	file->depend = depend;
	ref_get(&depend->ref);
}

static bool file_stands(const struct file *file)
{
	struct stat s;
	struct file_stamp now;
	if (!file || !file->stamp.linked || file->fd < 0)
		return true;
	if (fstat(file->fd, &s))
		return false;
	file_stamp(&now, &s);
	return file_stamp_equal(&now, &file->stamp);
}

bool file_entry_stands(const struct file_entry *entry)
{
	for (unsigned v = VARIANT_SELF; v < VARIANT_COUNT; v++)
		if (!file_stands(version_at(entry, v)))
			return false;
	return true;
}

static uint32_t ttl_ms_of(const struct file *file)
{
	const struct file_stamp *stamp = &file->stamp;
	if (stamp->linked && file->fd >= 0 && (stamp->racy || file->guarded))
		return 0;
	bool briefly = stamp->racy || (stamp->linked && (stamp->young || file->fd < 0));
	return briefly ? TTL_BY_TIME_MS : FILE_WATCHED_MS;
}

uint32_t versions_depend(struct file_entry *entry)
{
	uint32_t ttl_ms = FILE_WATCHED_MS;
	entry->linked = false;
	for (unsigned v = VARIANT_SELF; v < VARIANT_COUNT; v++) {
		struct file *file = version_at(entry, v);
		if (!file)
			continue;
		file_depend(file, entry->depend);
		uint32_t own_ms = ttl_ms_of(file);
		ttl_ms = own_ms < ttl_ms ? own_ms : ttl_ms;
		entry->linked = entry->linked || (file->stamp.linked && file->fd >= 0);
	}
	return ttl_ms;
}
