/* SPDX-License-Identifier: BSD-2-Clause */
/* What a thread knows of files: lookup, and shelves with their bounds. */
#include "handlers/file/file_cache_priv.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"

#define LATE_MS         10000 /* a look that takes longer: its waiters get 503 */
#define GLANCE_SLOW_US  4000  /* a glance that takes longer waited for something */
#define SWEEP_S         10 /* after so many seconds a file that was deleted is closed, at the latest */
#define SCAN_MAX        32     /* entries that one eviction may spare because they were used */
#define IDLE_MS         600000 /* a copy of what nobody has looked for in so long is given back */
#define DESCRIPTORS_MAX 4096   /* that a thread keeps open */

/* --- Shelves. --- */

/* What a version counts for. */
static void count_version(struct file_entry *entry, const struct file *file)
{
	if (!file)
		return;
	entry->bytes += sizeof *file + ready_size(file->ready);
	entry->descriptors += file->fd >= 0;
}

static unsigned places(const struct file_entry *entry)
{
	return entry->descriptors ? entry->descriptors : 1;
}

void shelf_add(struct file_cache *cache, struct file_entry *entry)
{
	entry->bytes = sizeof *entry + entry->path_length;
	entry->descriptors = 0;
	count_version(entry, entry->file);
	if (entry->variants) {
		entry->bytes += sizeof *entry->variants;
		for (unsigned v = VARIANT_SELF + 1; v < VARIANT_COUNT; v++)
			count_version(entry, entry->variants->file[v]);
	}
	entry->shelf = !entry->file         ? SHELF_MISSES
		       : entry->listing     ? SHELF_LISTINGS
		       : entry->descriptors ? SHELF_OPEN
					    : SHELF_SMALL;
	struct file_shelf_state *shelf = &cache->shelves[entry->shelf];
	list_append(&shelf->entries, &entry->link);
	shelf->count += places(entry);
	shelf->bytes += entry->bytes;
	entry->shelved = true;
	if (entry->shelf == SHELF_OPEN && !ev_is_active(&cache->sweep)) {
		ev_timer_set(&cache->sweep, cache->sweep_s, cache->sweep_s);
		ev_timer_start(cache->thread->loop->ev, &cache->sweep);
	}
}

void shelf_take(struct file_cache *cache, struct file_entry *entry)
{
	if (!entry->shelved)
		return;
	struct file_shelf_state *shelf = &cache->shelves[entry->shelf];
	list_remove(&entry->link);
	shelf->count -= places(entry);
	shelf->bytes -= entry->bytes;
	entry->shelved = false;
}

void file_entry_free(struct file_cache *cache, struct file_entry *entry)
{
	shelf_take(cache, entry);
	table_remove(&cache->table, &entry->hashed);
	if (entry->depend)
		ref_put(&entry->depend->ref);
	versions_drop(entry);
	free(entry);
}

void shelf_evict(struct file_cache *cache, enum file_shelf which)
{
	struct file_shelf_state *shelf = &cache->shelves[which];
	unsigned spared = 0, passed = 0;
	while ((shelf->count > shelf->count_max || shelf->bytes > shelf->bytes_max) &&
		passed <= shelf->count) {
		struct file_entry *entry =
			container_of(shelf->entries.next, struct file_entry, link);
		bool held = entry->job || entry->pins;
		if (held || (entry->used && spared < SCAN_MAX)) {
			entry->used = false;
			passed += held;
			spared += !held;
			list_remove(&entry->link);
			list_append(&shelf->entries, &entry->link);
			continue;
		}
		file_entry_free(cache, entry);
	}
}

static bool is_kept_in_vain(const struct file_cache *cache, const struct file_entry *entry)
{
	bool idle = cache->thread->clock->monotonic_ms - entry->checked_ms > cache->idle_ms;
	if (entry->job || entry->pins)
		return false;
	return (idle && versions_copied(entry)) ||
	       (!file_entry_fresh(cache, entry) && versions_deleted(cache, entry));
}

/* What was deleted or replaced is closed though nobody asks for it any more: until then its octets stay on the disk. Copies are given
 * back as well: who asks again has one made anew. */
static void sweep(struct ev_loop *ev, ev_timer *timer, int events)
{
	(void)events;
	struct file_cache *cache = container_of(timer, struct file_cache, sweep);
	if (cache->thread->draining)
		file_copies_clear(cache->copies);
	file_copies_reap(cache->copies);
	list_each_safe (link, &cache->shelves[SHELF_OPEN].entries) {
		struct file_entry *entry = container_of(link, struct file_entry, link);
		if (is_kept_in_vain(cache, entry))
			file_entry_free(cache, entry);
	}
	if (list_empty(&cache->shelves[SHELF_OPEN].entries) &&
		!memory_files_left(cache->copies->memory))
		ev_timer_stop(ev, timer);
}

/* --- Lookup. --- */

struct file_entry *file_entry_find(
	struct file_cache *cache, uint32_t scope, struct slice path, uint64_t hash)
{
	for (struct table_entry *e = table_first(&cache->table, hash); e; e = e->next) {
		struct file_entry *entry = container_of(e, struct file_entry, hashed);
		if (e->hash == hash && entry->scope == scope && entry->path_length == path.len &&
			memcmp(entry->path, path.ptr, path.len) == 0)
			return entry;
	}
	return NULL;
}

struct file_entry *file_cache_find(
	struct file_cache *cache, const struct scope *scope, struct slice key)
{
	struct file_entry *entry =
		file_entry_find(cache, scope->id, key, table_hash(key.ptr, key.len, scope->id));
	if (!entry || !file_entry_fresh(cache, entry))
		return NULL;
	entry->used = true;
	return entry;
}

bool file_cache_lacks(struct file_cache *cache, const struct scope *scope, struct slice decoded)
{
	if (folders_lack(cache->folders, scope->id, decoded))
		return true;
	unsigned depth = 0;
	for (size_t i = 1; i < decoded.len && depth < FOLDER_DEPTH_MAX; i++) {
		if (decoded.ptr[i] != '/')
			continue;
		if (file_cache_find(cache, scope, (struct slice){decoded.ptr, i}))
			return true;
		depth++;
	}
	return false;
}

struct file_entry *file_entry_new(
	struct file_cache *cache, uint32_t scope, struct slice path, uint64_t hash)
{
	struct file_entry *entry = must_zalloc(sizeof *entry + path.len);
	entry->scope = scope;
	entry->path_length = (uint32_t)path.len;
	memcpy(entry->path, path.ptr, path.len);
	entry->kind = FILE_FAILED;
	list_init(&entry->waiting);
	list_init(&entry->late);
	table_add(&cache->table, &entry->hashed, hash);
	return entry;
}

/* --- The cache as a whole. --- */

/* A quarter of what the process may have, for all threads together: connections want theirs. */
static unsigned descriptors_max(unsigned threads)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return DESCRIPTORS_MAX;
	rlim_t share = limit.rlim_cur / 4 / (threads ? threads : 1);
	return share < 8 ? 8 : share > DESCRIPTORS_MAX ? DESCRIPTORS_MAX : (unsigned)share;
}

struct file_cache *file_cache_new(struct exchange_thread *thread, file_ready_fn *make_ready)
{
	static const struct {
		unsigned count;
		size_t bytes;
	} bounds[SHELF_COUNT] = {
		[SHELF_MISSES] = {8192, 4u << 20},
		[SHELF_SMALL] = {16384, 96u << 20},
		[SHELF_OPEN] = {0, 32u << 20}, /* as many as there are descriptors for */
		[SHELF_LISTINGS] = {1024, 8u << 20},
	};
	struct file_cache *cache = must_zalloc(sizeof *cache);
	cache->thread = thread;
	cache->make_ready = make_ready;
	cache->late_ms = LATE_MS;
	cache->glance_slow_us = GLANCE_SLOW_US;
	cache->sweep_s = SWEEP_S;
	cache->idle_ms = IDLE_MS;
	ev_timer_init(&cache->sweep, sweep, 0., 0.);
	table_init(&cache->table, 1024);
	list_init(&cache->jobs);
	for (int i = 0; i < SHELF_COUNT; i++) {
		list_init(&cache->shelves[i].entries);
		cache->shelves[i].count_max = bounds[i].count;
		cache->shelves[i].bytes_max = bounds[i].bytes;
	}
	unsigned descriptors = descriptors_max(thread->threads);
	cache->folders = folders_new(thread);
	cache->copies = file_copies_new(thread, descriptors / 4, thread->memory);
	cache->shelves[SHELF_OPEN].count_max = descriptors - descriptors / 4;
	return cache;
}

static void visit_free(struct table_entry *entry, void *context)
{
	file_entry_free(context, container_of(entry, struct file_entry, hashed));
}

void file_cache_free(struct file_cache *cache)
{
	list_each_safe (link, &cache->jobs) {
		struct file_look_job *job = container_of(link, struct file_look_job, link);
		deadline_clear(cache->thread->loop, &job->deadline);
		list_remove(&job->link);
		job->cache = NULL;
		job->entry = NULL;
	}
	ev_timer_stop(cache->thread->loop->ev, &cache->sweep);
	table_each(&cache->table, visit_free, cache);
	table_done(&cache->table);
	folders_free(cache->folders);
	file_copies_clear(cache->copies);
	ref_put(&cache->copies->ref);
	free(cache);
}
