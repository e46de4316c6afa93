/* SPDX-License-Identifier: BSD-2-Clause */
/* Looks, which fill the file cache: requests wait for one that is made on an I/O thread. */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "handlers/file/file_cache_priv.h"
#include "handlers/file/file_glance.h"
#include "http/respond.h"

#define LISTINGS_MAX       8 /* pages of directories that a thread has made at a time: they cost much */
#define GLANCES_TURN_US    500   /* of a turn of the loop are for glances */
#define GLANCE_REST_MS     1000  /* there are none for so long, */
#define GLANCE_REST_MAX_MS 60000 /* and at most so long, when one was held up */

/* A request that waits for a look; in its arena. */
struct waiter {
	struct link link;
	struct request *request;
	struct file_entry *entry;
	file_found_fn *found;
	struct file_question question;
};

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
static void take_outcome(struct file_cache *cache, struct file_entry *entry,
	const struct scope *scope, struct file_look *look, uint64_t begun_ms)
{
	shelf_take(cache, entry);
	bool watched = !look->depend.by_time;
	if (entry->depend)
		ref_put(&entry->depend->ref);
	entry->depend = depend_share(&look->depend, look->watch);
	entry->checked_ms = begun_ms;
	if (look->kind == FILE_REGULAR)
		versions_take(cache, entry, scope, look);
	else
		versions_drop(entry);
	uint32_t ttl_ms = versions_depend(entry);
	entry->kind = (uint8_t)look->kind;
	shelf_add(cache, entry);
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
	if (entry->kind != FILE_MISSING || entry->ttl_ms != FILE_WATCHED_MS || above.len == 0 ||
		job->path[above.len] != '/' || job->look.list)
		return;
	uint64_t hash = table_hash(above.ptr, above.len, entry->scope);
	struct file_entry *lack = file_entry_find(cache, entry->scope, above, hash);
	if (!lack)
		lack = file_entry_new(cache, entry->scope, above, hash);
	shelf_take(cache, lack);
	if (lack->depend)
		ref_put(&lack->depend->ref);
	lack->depend = entry->depend;
	ref_get(&lack->depend->ref);
	lack->checked_ms = entry->checked_ms;
	lack->ttl_ms = entry->ttl_ms;
	lack->kind = FILE_MISSING;
	shelf_add(cache, lack);
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
		file_entry_free(cache, entry);
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
		shelf_evict(cache, SHELF_OPEN);
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
	take_outcome(cache, entry, job->scope, &job->look, job->begun_ms);
	take_lack(cache, entry, job);
	bool placed = entry->kind == FILE_REGULAR || entry->kind == FILE_DIRECTORY ||
		      job->look.lacks; /* its directory was found */
	if (placed && !job->look.list && !entry->depend->depend.by_time)
		folders_note(cache->folders, job->scope->id, job->look.root, slice_of(job->path),
			job->look.lacks);
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
	shelf_evict(cache, entry->shelf);
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

/* What is told to a look of what is known. */
static void tell_all_known(
	const struct file_cache *cache, const struct file_entry *entry, struct file_look *look)
{
	if (entry->file)
		tell_known(cache, entry->file, &look->known[VARIANT_SELF]);
	if (!entry->variants)
		return;
	look->known_variants = entry->variants->which;
	for (unsigned v = VARIANT_SELF + 1; v < VARIANT_COUNT; v++)
		if (entry->variants->file[v])
			tell_known(cache, entry->variants->file[v], &look->known[v]);
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
	tell_all_known(cache, entry, &job->look);
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
	struct file_entry *entry = file_entry_find(cache, request->scope->id, key, hash);
	if (!entry)
		entry = file_entry_new(cache, request->scope->id, key, hash);
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

/* --- Glances. --- */

/* How often this thread has waited for something. */
static long waits(void)
{
	struct rusage usage;
	return getrusage(RUSAGE_THREAD, &usage) ? 0 : usage.ru_nvcsw;
}

/* May there be one in this turn of the loop, on which others wait as well? */
static bool may_glance(struct file_cache *cache)
{
	const struct clock *clock = cache->thread->clock;
	if (cache->turn_us != clock->monotonic_us) {
		cache->turn_us = clock->monotonic_us;
		cache->glances_us = 0;
		cache->waits = waits();
	}
	return cache->glances_us < GLANCES_TURN_US && clock->monotonic_ms >= cache->slow_ms;
}

/* Books what one has cost. Who watches over each open of a file (fanotify) may hold it up: then there are none for a while, which is longer each time
 * that it soon happens again. (That it took long by itself says nothing: the machine may be busy.) */
static void count_glance(struct file_cache *cache, uint64_t us)
{
	uint64_t now_ms = cache->thread->clock->monotonic_ms;
	cache->glances_us += us;
	if (us <= cache->glance_slow_us || waits() == cache->waits)
		return;
	bool again = cache->slow_ms && now_ms - cache->slow_ms < GLANCE_REST_MAX_MS;
	cache->rest_ms = again ? cache->rest_ms * 2 : GLANCE_REST_MS;
	if (cache->rest_ms > GLANCE_REST_MAX_MS)
		cache->rest_ms = GLANCE_REST_MAX_MS;
	cache->slow_ms = now_ms + cache->rest_ms;
}

static uint64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

struct file_entry *file_cache_glance(
	struct file_cache *cache, const struct scope *scope, const struct file_question *question)
{
	struct slice key = question->key, decoded = question->decoded;
	uint64_t hash = table_hash(key.ptr, key.len, scope->id), since_ms;
	struct file_entry *entry = file_entry_find(cache, scope->id, key, hash);
	char path[PATH_MAX];
	if (question->list || question->explanation || decoded.len >= sizeof path ||
		(entry && (entry->job || entry->pins)) || !may_glance(cache))
		return NULL;
	memcpy(path, decoded.ptr, decoded.len);
	path[decoded.len] = '\0';
	struct file_look look = {
		.root = question->root, .path = path, .watch = cache->thread->watch};
	if (entry)
		tell_all_known(cache, entry, &look);
	uint64_t begun_us = now_us();
	bool found = file_glance(&look, cache->folders, scope->id, &since_ms);
	count_glance(cache, now_us() - begun_us);
	if (!found)
		return NULL;
	if (!entry)
		entry = file_entry_new(cache, scope->id, key, hash);
	entry->pins++;
	take_outcome(cache, entry, scope, &look, since_ms);
	file_look_done(&look);
	shelf_evict(cache, entry->shelf);
	entry->pins--;
	entry->used = true;
	return entry;
}
