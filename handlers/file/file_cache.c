/* SPDX-License-Identifier: BSD-2-Clause */
/* What a thread knows of files: lookup, shelves with their bounds, and the looks that fill them. */
#include "handlers/file/file_cache_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "http/respond.h"

#define LATE_MS         10000 /* a look that takes longer: its waiters get 503 */
#define SWEEP_S         10 /* after so many seconds a file that was deleted is closed, at the latest */
#define SCAN_MAX        32     /* entries that one eviction may spare because they were used */
#define IDLE_MS         600000 /* a copy of what nobody has looked for in so long is given back */
#define LISTINGS_MAX    8 /* pages of directories that a thread has made at a time: they cost much */
#define DESCRIPTORS_MAX 4096 /* that a thread keeps open */
#define LACK_DEPTH                                                                                 \
	8 /* directories of a path that are asked about: a long path must not cost more than a look */

/* A request that waits for a look; in its arena. */
struct waiter {
	struct link link;
	struct request *request;
	struct file_entry *entry;
	file_found_fn *found;
	struct file_question question;
};

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

static void shelve(struct file_cache *cache, struct file_entry *entry)
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

static void unshelve(struct file_cache *cache, struct file_entry *entry)
{
	if (!entry->shelved)
		return;
	struct file_shelf_state *shelf = &cache->shelves[entry->shelf];
	list_remove(&entry->link);
	shelf->count -= places(entry);
	shelf->bytes -= entry->bytes;
	entry->shelved = false;
}

static void entry_free(struct file_cache *cache, struct file_entry *entry)
{
	unshelve(cache, entry);
	table_remove(&cache->table, &entry->hashed);
	if (entry->depend)
		ref_put(&entry->depend->ref);
	versions_drop(entry);
	free(entry);
}

/* Makes a shelf keep its bounds: who was used since it was last considered gets a second chance. */
static void evict(struct file_cache *cache, enum file_shelf which)
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
		entry_free(cache, entry);
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
			entry_free(cache, entry);
	}
	if (list_empty(&cache->shelves[SHELF_OPEN].entries) &&
		!memory_files_left(cache->copies->memory))
		ev_timer_stop(ev, timer);
}

/* --- Lookup. --- */

static struct file_entry *lookup(
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
		lookup(cache, scope->id, key, table_hash(key.ptr, key.len, scope->id));
	if (!entry || !file_entry_fresh(cache, entry))
		return NULL;
	entry->used = true;
	return entry;
}

bool file_cache_lacks(struct file_cache *cache, const struct scope *scope, struct slice decoded)
{
	unsigned depth = 0;
	for (size_t i = 1; i < decoded.len && depth < LACK_DEPTH; i++) {
		if (decoded.ptr[i] != '/')
			continue;
		if (file_cache_find(cache, scope, (struct slice){decoded.ptr, i}))
			return true;
		depth++;
	}
	return false;
}

static struct file_entry *entry_new(
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

/* --- Looks. --- */

/* Answers all of a list; those that are answered may make others go away. */
static void answer(struct file_entry *entry, struct link *waiters)
{
	entry->pins++;
	while (!list_empty(waiters)) {
		struct waiter *waiter = container_of(waiters->next, struct waiter, link);
		list_remove(&waiter->link);
		if (entry->kind == FILE_FAILED)
			waiter->request->end = END_DISK_ERROR;
		waiter->found(waiter->request, entry);
	}
	entry->pins--;
}

static void look_work(struct disk_job *job)
{
	struct file_look_job *look = container_of(job, struct file_look_job, job);
	look->skipped = atomic_load(&look->abandoned);
	if (!look->skipped)
		file_look(&look->look);
}

/* The outcome becomes what the entry says. */
static void take_outcome(
	struct file_cache *cache, struct file_entry *entry, struct file_look_job *job)
{
	struct file_look *look = &job->look;
	unshelve(cache, entry);
	bool watched = !look->depend.by_time;
	if (entry->depend)
		ref_put(&entry->depend->ref);
	entry->depend = depend_share(&look->depend, look->watch);
	entry->checked_ms = job->begun_ms;
	if (look->kind == FILE_REGULAR)
		versions_take(cache, entry, job);
	else
		versions_drop(entry);
	uint32_t ttl_ms = versions_depend(entry);
	entry->kind = (uint8_t)look->kind;
	shelve(cache, entry);
	if (look->kind == FILE_FAILED || entry->depend->depend.disturbed)
		entry->ttl_ms = 0;
	else if (!watched && entry->descriptors)
		entry->ttl_ms = 0; /* what was announced from memory would not be what is sent */
	else if (!watched && ttl_ms > TTL_BY_TIME_MS)
		entry->ttl_ms = TTL_BY_TIME_MS;
	else
		entry->ttl_ms = ttl_ms;
}

/* What an application answers has many names beneath one that no directory has. That one is known by an entry of its own, the key of which
 * no question has, for it does not begin with a stroke. */
static void take_lack(
	struct file_cache *cache, const struct file_entry *entry, const struct file_look_job *job)
{
	struct slice above = {job->path, job->look.lacks};
	if (entry->kind != FILE_MISSING || entry->ttl_ms != TTL_WATCHED_MS || above.len == 0 ||
		job->path[above.len] != '/' || job->look.list)
		return;
	uint64_t hash = table_hash(above.ptr, above.len, entry->scope);
	struct file_entry *lack = lookup(cache, entry->scope, above, hash);
	if (!lack)
		lack = entry_new(cache, entry->scope, above, hash);
	unshelve(cache, lack);
	if (lack->depend)
		ref_put(&lack->depend->ref);
	lack->depend = entry->depend;
	ref_get(&lack->depend->ref);
	lack->checked_ms = entry->checked_ms;
	lack->ttl_ms = entry->ttl_ms;
	lack->kind = FILE_MISSING;
	shelve(cache, lack);
}

static void job_free(struct file_look_job *job)
{
	if (!job->skipped)
		file_look_done(&job->look);
	if (job->look.explanation)
		explain_free(&job->notes);
	memory_files_let(job->look.memory);
	free(job);
}

/* An entry of which nothing is known, and that nobody looks at, is no use. */
static void drop_unknown(struct file_cache *cache, struct file_entry *entry)
{
	if (!entry->job && !entry->shelved && !entry->pins)
		entry_free(cache, entry);
}

static bool look_start(struct file_cache *cache, struct file_entry *entry,
	const struct scope *scope, const struct file_question *question);

/* Requests that came while the look was under way may ask for something newer than what it saw. */
static void settle_late(
	struct file_cache *cache, struct file_entry *entry, const struct scope *scope)
{
	if (list_empty(&entry->late))
		return;
	struct waiter *first = container_of(entry->late.next, struct waiter, link);
	list_move(&entry->waiting, &entry->late);
	const struct depend *depend = &entry->depend->depend;
	if (entry->kind == FILE_FAILED || (depend->by_time && !depend->disturbed) ||
		file_entry_fresh(cache, entry) ||
		!look_start(cache, entry, scope, &first->question))
		answer(entry, &entry->waiting);
}

/* Nobody waited for the look, so that it was not begun; somebody may have come since. */
static void look_again(
	struct file_cache *cache, struct file_entry *entry, const struct scope *scope)
{
	list_move(&entry->waiting, &entry->late);
	if (!list_empty(&entry->waiting)) {
		struct waiter *first = container_of(entry->waiting.next, struct waiter, link);
		if (look_start(cache, entry, scope, &first->question))
			return;
		uint8_t kind = entry->kind;
		entry->kind = FILE_FAILED;
		answer(entry, &entry->waiting);
		entry->kind = kind;
	}
	drop_unknown(cache, entry);
}

/* A failed look is told. Where it failed for want of descriptors half of those that are kept open are given back. */
static void take_failure(struct file_cache *cache, const struct file_look_job *job)
{
	struct file_shelf_state *shelf = &cache->shelves[SHELF_OPEN];
	if (job->look.error == EMFILE || job->look.error == ENFILE) {
		unsigned most = shelf->count_max;
		shelf->count_max = shelf->count / 2;
		evict(cache, SHELF_OPEN);
		shelf->count_max = most;
	}
	log_at(NULL, LOG_LEVEL_ERROR, LOG_FILE, "%s/%s: %s", job->look.root->path.ptr, job->path,
		strerror(job->look.error));
}

static void tell_waiters(struct file_entry *entry, const struct explanation *notes)
{
	list_each_safe (link, &entry->waiting) {
		struct waiter *waiter = container_of(link, struct waiter, link);
		if (waiter->question.explanation)
			explain_copy(waiter->question.explanation, notes);
	}
}

static void look_done(struct disk_job *disk_job)
{
	struct file_look_job *job = container_of(disk_job, struct file_look_job, job);
	struct file_cache *cache = job->cache;
	if (!cache) {
		job_free(job);
		return;
	}
	struct file_entry *entry = job->entry;
	deadline_clear(cache->thread->loop, &job->deadline);
	list_remove(&job->link);
	entry->job = NULL;
	cache->listings -= job->look.list != NULL;
	if (job->skipped) {
		const struct scope *skipped = job->scope;
		job_free(job);
		look_again(cache, entry, skipped);
		return;
	}
	entry->pins++;
	if (job->look.kind == FILE_FAILED)
		take_failure(cache, job);
	else if (job->look.root_closed)
		log_at(NULL, LOG_LEVEL_ERROR, LOG_FILE,
			"the root %s cannot be opened: %s; where it was moved or switched to another "
			"folder, a reload makes that known",
			job->look.root->path.ptr, strerror(job->look.error));
	take_outcome(cache, entry, job);
	take_lack(cache, entry, job);
	const struct scope *scope = job->scope;
	if (job->look.explanation)
		tell_waiters(entry, &job->notes);
	job_free(job);
	struct link waiting;
	list_init(&waiting);
	list_move(&waiting, &entry->waiting);
	answer(entry, &waiting);
	if (!entry->job) /* else a request of those has begun another look, which answers the late ones */
		settle_late(cache, entry, scope);
	entry->pins--;
	evict(cache, entry->shelf);
}

/* The disk is slow or hangs: those who wait are told, the look goes on. */
static void look_overdue(struct deadline *deadline)
{
	struct file_look_job *job = container_of(deadline, struct file_look_job, deadline);
	struct file_entry *entry = job->entry;
	job->overdue = true;
	log_at(NULL, LOG_LEVEL_WARN, LOG_FILE, "%s/%s: no answer from the disk in time",
		job->look.root->path.ptr, job->path);
	uint8_t kind = entry->kind;
	entry->kind = FILE_FAILED;
	answer(entry, &entry->waiting);
	answer(entry, &entry->late);
	entry->kind = kind;
}

static void tell_known(
	const struct file_cache *cache, const struct file *file, struct file_known *known)
{
	known->stamp = file->stamp;
	known->again = file_lacks_copy(cache->copies, file);
	known->copied = file->copied_ms > 0;
	known->copied_just_now = file_copied_just_now(file);
	known->etag_length = file->etag_length;
	memcpy(known->etag, file->etag, file->etag_length);
}

static bool look_start(struct file_cache *cache, struct file_entry *entry,
	const struct scope *scope, const struct file_question *question)
{
	struct slice decoded = question->decoded, query = question->query;
	if (question->list && cache->listings >= LISTINGS_MAX)
		return false;
	struct file_look_job *job = must_zalloc(sizeof *job + decoded.len + 1 + query.len);
	memcpy(job->path, decoded.ptr, decoded.len);
	if (query.len)
		memcpy(job->path + decoded.len + 1, query.ptr, query.len);
	job->cache = cache;
	job->entry = entry;
	job->scope = scope;
	job->begun_ms = cache->thread->clock->monotonic_ms;
	job->look.root = question->root;
	job->look.path = job->path;
	job->look.watch = cache->thread->watch;
	job->look.sniffer = cache->thread->sniffer;
	job->look.memory = memory_files_hold(cache->copies->memory);
	job->look.copy_max = cache->thread->draining ? 0 : cache->copies->length_max;
	job->look.list = question->list;
	if (question->explanation) {
		explain_init(&job->notes);
		job->look.explanation = &job->notes;
	}
	job->look.query = (struct slice){job->path + decoded.len + 1, query.len};
	if (entry->file)
		tell_known(cache, entry->file, &job->look.known[VARIANT_SELF]);
	if (entry->variants) {
		job->look.known_variants = entry->variants->which;
		for (unsigned v = VARIANT_SELF + 1; v < VARIANT_COUNT; v++)
			if (entry->variants->file[v])
				tell_known(cache, entry->variants->file[v], &job->look.known[v]);
	}
	job->job.work = look_work;
	job->job.done = look_done;
	/* directories that take long to list hold up no files */
	job->job.lane = question->list ? ~question->root->lane : question->root->lane;
	if (!disk_submit(cache->thread->disk, cache->thread->loop, &job->job)) {
		if (job->look.explanation)
			explain_free(&job->notes);
		memory_files_let(job->look.memory);
		free(job);
		return false;
	}
	entry->job = job;
	entry->listing = question->list != NULL;
	cache->listings += entry->listing;
	list_append(&cache->jobs, &job->link);
	job->deadline.expired = look_overdue;
	deadline_set(cache->thread->loop, &job->deadline, cache->late_ms);
	return true;
}

static void waiter_cancel(struct request *request)
{
	struct waiter *waiter = request_state(request);
	struct file_entry *entry = waiter->entry;
	list_remove(&waiter->link);
	if (entry->job && list_empty(&entry->waiting) && list_empty(&entry->late))
		atomic_store(&entry->job->abandoned, true);
}

void file_cache_look(struct file_cache *cache, struct request *request,
	const struct file_question *question, file_found_fn *found)
{
	struct slice key = question->key;
	uint64_t hash = table_hash(key.ptr, key.len, request->scope->id);
	struct file_entry *entry = lookup(cache, request->scope->id, key, hash);
	if (!entry)
		entry = entry_new(cache, request->scope->id, key, hash);
	struct waiter *waiter = arena_zalloc(&request->arena, sizeof *waiter);
	*waiter = (struct waiter){
		.request = request, .entry = entry, .found = found, .question = *question};
	bool begun = entry->job != NULL;
	if (begun && !entry->job->overdue) {
		atomic_store(&entry->job->abandoned, false);
		list_append(&entry->late, &waiter->link);
		exchange_hold(request, waiter_cancel, waiter);
		return;
	}
	if (!begun && look_start(cache, entry, request->scope, question)) {
		list_append(&entry->waiting, &waiter->link);
		exchange_hold(request, waiter_cancel, waiter);
		return;
	}
	/* too much to do, or the disk hangs: nothing can be said in time */
	drop_unknown(cache, entry);
	respond_status(request, 503);
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
	cache->copies = file_copies_new(thread, descriptors / 4, thread->memory);
	cache->shelves[SHELF_OPEN].count_max = descriptors - descriptors / 4;
	return cache;
}

static void visit_free(struct table_entry *entry, void *context)
{
	entry_free(context, container_of(entry, struct file_entry, hashed));
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
	file_copies_clear(cache->copies);
	ref_put(&cache->copies->ref);
	free(cache);
}
