/* SPDX-License-Identifier: BSD-2-Clause */
/* What a thread knows of files: versions with their ready answers, and names that are no files, found by one lookup and
 * checked by one load of a generation. */
#ifndef WEIR_FILE_FILE_CACHE_H
#define WEIR_FILE_FILE_CACHE_H

#include "base/list.h"
#include "base/table.h"
#include "handlers/file/file_copy.h"
#include "handlers/file/folder.h"
#include "http/exchange.h"
#include "http/ready.h"
#include "io/loop.h"

struct file_look_job;

/* What stands beside a file and may answer for it. */
struct file_variants {
	unsigned which;                   /* bits 1 << VARIANT_… */
	struct file *file[VARIANT_COUNT]; /* VARIANT_SELF is not used */
};

/* What a path means in a scope. Lives on one thread; its file may outlive it by its own reference. */
struct file_entry {
	struct table_entry hashed;
	struct link link; /* in the list of its shelf, the one that was used longest ago first */
	struct depend_shared *depend; /* NULL: nobody has looked yet */
	uint64_t checked_ms;          /* when the look that it stands on began */
	uint32_t ttl_ms;              /* how long that is believed without a sign of change */
	uint32_t scope;
	uint32_t path_length;
	uint8_t kind; /* enum file_kind; FILE_FAILED: nothing is known yet, or the last look failed */
	uint8_t shelf;
	bool used; /* since it was last considered for eviction */
	bool shelved;
	bool listing; /* it is the page of a directory */
	bool linked; /* a version has other names, by which it may be written without an event: it is asked */
	unsigned pins;                  /* it must stay: requests are being answered from it */
	size_t bytes;                   /* that it counts for */
	unsigned descriptors;           /* that its versions hold */
	struct file *file;              /* FILE_REGULAR */
	struct file_variants *variants; /* beside it; NULL: none */
	struct file_look_job *job;      /* the look under way */
	struct link waiting;            /* requests whose look that is */
	struct link late;               /* requests that came after it had begun */
	char path[];
};

/* Entries are kept on shelves with bounds of their own, so that no kind drives out another. */
enum file_shelf { SHELF_MISSES, SHELF_SMALL, SHELF_OPEN, SHELF_LISTINGS, SHELF_COUNT };

struct file_shelf_state {
	struct link entries;
	unsigned count, count_max;
	size_t bytes, bytes_max;
};

/* What the head of a version says beside what the version itself knows. */
struct file_about {
	struct slice name; /* the decoded path, with the index's name for a directory */
	enum variant variant;
	struct slice type; /* of the file itself, where the name does not tell; else empty */
	struct slice vary; /* empty: nothing is negotiated */
	bool generated;    /* the page of a directory */
};

/* Makes the answer to a plain GET of a version, with its body where `content` is not NULL (file->length octets). */
typedef struct ready *file_ready_fn(struct exchange_thread *thread, const struct scope *scope,
	const struct file *file, const struct file_about *about, const char *content);

/* A thread's cache. */
struct file_cache {
	struct exchange_thread *thread;
	struct table table;
	file_ready_fn *make_ready;
	struct file_shelf_state shelves[SHELF_COUNT];
	struct file_copies *copies;
	struct folders *folders;
	uint64_t turn_us;        /* the turn of the loop (struct clock, monotonic_us) in which */
	uint64_t glances_us;     /* glances took so long */
	long waits;              /* of the thread, before these */
	uint64_t glance_slow_us; /* one that takes longer, and waited, was held up: */
	uint64_t slow_ms;        /* until then (monotonic_ms) there are none, */
	uint64_t rest_ms;        /* which is so long */
	struct link jobs;        /* looks under way */
	unsigned listings;       /* looks under way that make pages of directories */
	uint64_t late_ms;        /* how long requests wait for a look */
	ev_timer sweep;          /* while there are open files: looks for what is kept in vain */
	double sweep_s;          /* how often */
	uint64_t idle_ms; /* copies of what nobody has looked for in this time are given back */
};

struct file_cache *file_cache_new(struct exchange_thread *thread, file_ready_fn *make_ready);
/* Looks that are under way end into nothing. No request may be waiting. */
void file_cache_free(struct file_cache *cache);

/* Called with what was found; the entry is valid within the call. The request is the called one's to answer or pass. Whatever
 * it answers was true at some time after the request had begun. entry->kind FILE_FAILED: answer 503. */
typedef void file_found_fn(struct request *request, const struct file_entry *entry);

/* Are the versions that have other names what they were? A system call each. Not to be asked where a file system may hang. */
bool file_entry_stands(const struct file_entry *entry);

/* Is what the entry says still true? */
static inline bool file_entry_fresh(const struct file_cache *cache, const struct file_entry *entry)
{
	return !entry->job && entry->depend &&
	       cache->thread->clock->monotonic_ms - entry->checked_ms < entry->ttl_ms &&
	       depend_holds(&entry->depend->depend, cache->thread->watch) &&
	       (!entry->linked || file_entry_stands(entry));
}

/* The entry of a question's key (the path, normalized, as in the request) if it is known and true; else NULL: ask by file_cache_look. No
 * system call, no allocation. */
struct file_entry *file_cache_find(
	struct file_cache *cache, const struct scope *scope, struct slice key);
/* Is it known that what a question's path names is not there, or a directory on its way? Then no look need tell that. No system call. */
bool file_cache_lacks(struct file_cache *cache, const struct scope *scope, struct slice decoded);
/* The entry of a question that can be answered without waiting for anything (file_glance.h); NULL: ask by file_cache_look. */
struct file_entry *file_cache_glance(
	struct file_cache *cache, const struct scope *scope, const struct file_question *question);
/* Takes the request (exchange_hold) and looks on an I/O thread; several requests with one question share a look. `found` is called
 * later, never from inside. */
void file_cache_look(struct file_cache *cache, struct request *request,
	const struct file_question *question, file_found_fn *found);

#endif
