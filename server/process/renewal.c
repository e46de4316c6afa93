/* SPDX-License-Identifier: BSD-2-Clause */
/* Certificates that are renewed on disk. Events tell within moments; a look at the files' times finds what no event told (a network
 * file system, a folder that came later). Whoever writes two files writes one of them first: what does not fit is tried again before
 * anybody is told. */
#include "process/renewal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/table.h"
#include "base/whole.h"
#include "process/renewed.h"
#include "process/roots.h"

enum {
	SETTLE_MS = 300,      /* without another event, before files are looked at */
	SETTLE_MAX_MS = 2000, /* with any number of events */
	AGAIN_MS = 2000,      /* what does not fit is tried again before it is told */
	LOOK_MS = 30000,
	BLIND_A_LOOK =
		16, /* files of which not even the times can be seen are read, so many a look */
	LATE_SECONDS = 2,
	FILE_MAX = 1 << 20,
	FILES_OF_UNIT = 2,
};

/* Files that belong together: of a pair, or of authorities. */
struct unit {
	const struct tls_pair *pair;      /* or: */
	const struct tls_settings *rules; /* whose client_ca it is */
	unsigned first, count;            /* of its files */
	struct stat key_seen;             /* see struct file */
	uint64_t due;                     /* 0: not */
	uint64_t since;                   /* the first of the events that make it due */
	uint64_t taken;      /* what its files held when they were taken last: a hash */
	uint64_t told;       /* what they held when it was told that they are no good */
	bool failed;         /* the last attempt */
	struct buffer newer; /* of its files, see renewed.h: what is other than in the snapshot */
};

struct file {
	struct slice path;
	struct stat seen; /* all zero: not to be seen */
	unsigned unit;
};

/* A name in a folder that leads to files of a unit. */
struct hint {
	int watch;
	unsigned unit;
	uint64_t name;
};

struct renewal {
	const struct snapshot *snapshot;
	struct tls_keys *keys;
	struct tls_store *store;
	int inotify;
	struct unit *units;
	unsigned unit_count;
	struct file *files;
	unsigned file_count;
	struct buffer hints; /* of struct hint */
	uint64_t look_at;    /* the next look at all */
	unsigned blind;      /* the file of which a look begins with what cannot be seen */
	/* the unit that is being read */
	struct unit *reading;
	unsigned asked; /* of its files */
	bool waiting;   /* for the answer */
	struct buffer bytes[FILES_OF_UNIT];
	int errors[FILES_OF_UNIT];
	char said[512];         /* what is wrong with it */
	struct buffer warnings; /* lines that end with a NUL: told when it is taken */
};

static uint64_t hash_of(struct slice s, uint64_t seed)
{
	return table_hash(s.ptr ? s.ptr : "", s.len, seed ^ s.len);
}

static uint64_t hash_bytes(struct slice first, struct slice second)
{
	return hash_of(second, hash_of(first, 1)) | 1;
}

/* --- What there is. --- */

static void add_file(struct renewal *r, struct slice path)
{
	struct unit *unit = &r->units[r->unit_count];
	r->files[r->file_count] = (struct file){.path = path, .unit = r->unit_count};
	r->file_count++;
	unit->count++;
}

static void add_unit(
	struct renewal *r, const struct tls_pair *pair, const struct tls_settings *rules)
{
	r->units[r->unit_count] =
		(struct unit){.pair = pair, .rules = rules, .first = r->file_count};
	struct unit *unit = &r->units[r->unit_count];
	add_file(r, pair ? pair->certificate_path : rules->client_ca_path);
	if (pair && pair->ocsp_path.ptr)
		add_file(r, pair->ocsp_path);
	unit->taken = pair ? hash_bytes(pair->certificate, pair->ocsp)
			   : hash_bytes(rules->client_ca, SLICE(""));
	r->unit_count++;
}

static void collect(struct renewal *r)
{
	const struct snapshot *snapshot = r->snapshot;
	size_t pairs = 0;
	for (size_t i = 0; i < snapshot->tls_count; i++)
		pairs += snapshot->tls[i].pair_count + 1;
	r->units = must_zalloc(pairs * sizeof(r->units[0]));
	r->files = must_zalloc(pairs * FILES_OF_UNIT * sizeof(r->files[0]));
	for (size_t i = 0; i < snapshot->tls_count; i++) {
		const struct tls_settings *rules = &snapshot->tls[i];
		bool inherited = i > 0 && rules->pairs == snapshot->tls[0].pairs;
		for (size_t k = 0; !inherited && k < rules->pair_count; k++)
			add_unit(r, &rules->pairs[k], NULL);
		if (rules->client_ca.ptr &&
			(i == 0 || rules->client_ca.ptr != snapshot->tls[0].client_ca.ptr))
			add_unit(r, NULL, rules);
	}
}

/* --- Watching. --- */

struct watching {
	struct renewal *renewal;
	unsigned unit;
};

static int add_watch(const struct renewal *r, const char *folder)
{
	return inotify_add_watch(r->inotify, folder,
		IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE | IN_ATTRIB |
			IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
}

static void add_hint(struct renewal *r, int watch, unsigned unit, const char *name)
{
	struct hint hint = {watch, unit, hash_of(slice_of(name), 0)};
	const struct hint *known = (const void *)r->hints.ptr;
	for (size_t i = 0; i < r->hints.len / sizeof(hint); i++)
		if (known[i].watch == watch && known[i].unit == unit && known[i].name == hint.name)
			return;
	buffer_append(&r->hints, &hint, sizeof(hint));
}

/* A folder that is not there yet is waited for in the one above it. */
static void watch_folder(void *context, const char *folder, const char *name)
{
	const struct watching *watching = context;
	struct renewal *r = watching->renewal;
	char path[PATH_MAX];
	int watch = add_watch(r, folder);
	snprintf(path, sizeof(path), "%s", folder);
	for (char *slash; watch < 0 && errno == ENOENT && (slash = strrchr(path, '/'));) {
		*slash = 0;
		watch = add_watch(r, path[0] ? path : "/");
		name = folder + (slash - path) + 1;
	}
	if (watch < 0)
		return; /* the look finds it */
	char part[NAME_MAX + 1];
	snprintf(part, sizeof(part), "%.*s", (int)strcspn(name, "/"), name);
	add_hint(r, watch, watching->unit, part);
}

/* The key is watched as well: it may be what comes last. */
static void watch_unit(struct renewal *r, unsigned index)
{
	const struct unit *unit = &r->units[index];
	struct watching watching = {r, index};
	if (r->inotify < 0)
		return;
	for (unsigned i = 0; i < unit->count; i++)
		roots_visit(r->files[unit->first + i].path.ptr, watch_folder, &watching);
	if (unit->pair)
		roots_visit(unit->pair->key_path.ptr, watch_folder, &watching);
}

static void make_due(struct unit *unit, uint64_t now)
{
	if (unit->due == 0)
		unit->since = now;
	unit->due = now + SETTLE_MS < unit->since + SETTLE_MAX_MS ? now + SETTLE_MS
								  : unit->since + SETTLE_MAX_MS;
}

static void hear_event(struct renewal *r, const struct inotify_event *event, uint64_t now)
{
	const struct hint *hints = (const void *)r->hints.ptr;
	uint64_t name = event->len > 0 ? hash_of(slice_of(event->name), 0) : 0;
	if (event->mask & IN_Q_OVERFLOW)
		renewal_look(r, now);
	for (size_t i = 0; i < r->hints.len / sizeof(hints[0]); i++)
		if (hints[i].watch == event->wd && (event->len == 0 || hints[i].name == name))
			make_due(&r->units[hints[i].unit], now);
}

void renewal_hear(struct renewal *r, uint64_t now)
{
	char events[16384] __attribute__((aligned(8)));
	ssize_t length;
	while (r->inotify >= 0 && (length = read(r->inotify, events, sizeof(events))) > 0) {
		for (ssize_t at = 0; at < length;) {
			const struct inotify_event *event = (const void *)(events + at);
			hear_event(r, event, now);
			at += (ssize_t)(sizeof(*event) + event->len);
		}
	}
}

/* --- Looking. --- */

static bool same_look(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Is a file another than at the last look? Of one in a folder that the worker may not enter nothing can be seen. */
static bool looks_changed(struct slice path, struct stat *seen, bool *blind)
{
	struct stat now;
	if (stat(path.ptr, &now)) {
		if (errno == EACCES) {
			*blind = true;
			return false;
		}
		memset(&now, 0, sizeof(now));
	}
	bool changed = !same_look(&now, seen);
	*seen = now;
	return changed;
}

/* Likewise; the key is looked at with the certificate. */
static bool looks_new(struct renewal *r, unsigned index, bool *blind)
{
	struct file *file = &r->files[index];
	struct unit *unit = &r->units[file->unit];
	bool changed = looks_changed(file->path, &file->seen, blind);
	if (unit->pair && unit->first == index)
		changed |= looks_changed(unit->pair->key_path, &unit->key_seen, blind);
	return changed;
}

static void look(struct renewal *r, uint64_t now)
{
	unsigned blind_left = BLIND_A_LOOK, begin = r->blind;
	for (unsigned k = 0; k < r->file_count; k++) {
		unsigned i = (begin + k) % r->file_count;
		bool blind = false;
		struct unit *unit = &r->units[r->files[i].unit];
		if (looks_new(r, i, &blind) || unit->failed)
			make_due(unit, now);
		else if (blind && blind_left > 0) {
			make_due(unit, now);
			blind_left--;
			r->blind = i + 1;
		}
	}
	r->look_at = now + LOOK_MS;
}

void renewal_look(struct renewal *r, uint64_t now)
{
	for (unsigned i = 0; i < r->unit_count; i++)
		make_due(&r->units[i], now);
}

/* --- From without. --- */

static bool is_late(const struct renewal *r, struct slice path, struct stat *seen)
{
	if (stat(path.ptr, seen) == 0)
		return seen->st_ctim.tv_sec >= r->snapshot->loaded - LATE_SECONDS;
	memset(seen, 0, sizeof(*seen));
	return false;
}

/* What was written about when the configuration was read: nobody knows which of the two was first. */
static void look_at_late_ones(struct renewal *r, uint64_t now)
{
	for (unsigned i = 0; i < r->file_count; i++) {
		struct file *file = &r->files[i];
		if (is_late(r, file->path, &file->seen))
			make_due(&r->units[file->unit], now);
	}
	for (unsigned i = 0; i < r->unit_count; i++) {
		struct unit *unit = &r->units[i];
		if (unit->pair && is_late(r, unit->pair->key_path, &unit->key_seen))
			make_due(unit, now);
	}
}

struct renewal *renewal_new(const struct snapshot *snapshot, struct tls_keys *keys,
	struct tls_store *store, uint64_t now, bool all)
{
	struct renewal *r = must_zalloc(sizeof(*r));
	r->snapshot = snapshot;
	r->keys = keys;
	r->store = tls_store_get(store);
	r->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	collect(r);
	for (unsigned i = 0; i < r->unit_count; i++)
		watch_unit(r, i);
	look_at_late_ones(r, now);
	if (all)
		renewal_look(r, now);
	r->look_at = now + LOOK_MS;
	return r;
}

void renewal_remember(struct renewal *r, const struct renewed *renewed)
{
	for (unsigned i = 0; i < r->unit_count; i++) {
		struct unit *unit = &r->units[i];
		for (unsigned k = 0; unit->pair && k < unit->count; k++) {
			const struct tls_change *file =
				renewed_find(renewed, r->files[unit->first + k].path);
			if (file && renewed_add(&unit->newer, file->path, file->bytes) == 0)
				unit->taken = 0; /* the files are believed */
		}
	}
}

void renewal_newer(const struct renewal *r, struct buffer *to)
{
	for (unsigned i = 0; i < r->unit_count; i++) {
		const struct buffer *newer = &r->units[i].newer;
		renewed_join(to, (struct slice){newer->ptr, newer->len});
	}
}

void renewal_free(struct renewal *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < r->unit_count; i++)
		buffer_free(&r->units[i].newer);
	if (r->inotify >= 0)
		close(r->inotify);
	tls_store_put(r->store);
	for (unsigned i = 0; i < FILES_OF_UNIT; i++)
		buffer_free(&r->bytes[i]);
	buffer_free(&r->hints);
	buffer_free(&r->warnings);
	free(r->units);
	free(r->files);
	free(r);
}

unsigned renewal_file_count(const struct renewal *r)
{
	return r->file_count;
}

const char *renewal_file(const struct renewal *r, unsigned number)
{
	return r->files[number].path.ptr;
}

int renewal_descriptor(const struct renewal *r)
{
	return r->inotify;
}

struct tls_store *renewal_store(const struct renewal *r)
{
	return r->store;
}

uint64_t renewal_due(const struct renewal *r)
{
	uint64_t due = r->look_at;
	if (r->reading)
		return r->waiting ? UINT64_MAX : 0;
	for (unsigned i = 0; i < r->unit_count; i++)
		if (r->units[i].due != 0 && r->units[i].due < due)
			due = r->units[i].due;
	return due;
}

static void begin(struct renewal *r, uint64_t now)
{
	for (unsigned i = 0; i < r->unit_count; i++) {
		struct unit *unit = &r->units[i];
		if (unit->due == 0 || unit->due > now)
			continue;
		unit->due = 0;
		watch_unit(r, i); /* links may lead elsewhere now */
		r->reading = unit;
		r->asked = 0;
		return;
	}
}

int renewal_next(struct renewal *r, uint64_t now)
{
	if (!r->reading && now >= r->look_at)
		look(r, now);
	if (!r->reading)
		begin(r, now);
	if (!r->reading || r->waiting)
		return -1;
	r->waiting = true;
	return (int)(r->reading->first + r->asked);
}

/* --- Taking. --- */

static void on_fault(void *context, const struct tls_settings *rules, const struct tls_pair *pair,
	const char *key, bool warning, const char *text)
{
	struct renewal *r = context;
	(void)rules, (void)pair, (void)key;
	if (warning)
		buffer_append(&r->warnings, text, strlen(text) + 1);
	else if (!r->said[0])
		snprintf(r->said, sizeof(r->said), "%s", text);
}

static void tell_end(void *context, const struct tls_certificate_facts *facts)
{
	const struct unit *unit = context;
	char day[32] = "?";
	struct tm tm;
	if (!slice_equal(facts->pair->certificate_path, unit->pair->certificate_path) ||
		!slice_equal(facts->pair->key_path, unit->pair->key_path))
		return;
	if (gmtime_r(&facts->ends, &tm))
		strftime(day, sizeof(day), "%Y-%m-%d %H:%M UTC", &tm);
	log_info("the certificate %s was renewed: it is valid until %s",
		facts->pair->certificate_path.ptr, day);
}

/* What is no good is told once, and only when it has not become good by itself. */
static void tell_failure(struct renewal *r, struct unit *unit, uint64_t held, uint64_t now)
{
	uint64_t what = hash_of(slice_of(r->said), held) | 1;
	if (!unit->failed) {
		unit->failed = true;
		unit->due = now + AGAIN_MS;
		unit->since = now;
		return;
	}
	if (unit->told != what)
		log_error("%s: what was there before serves on", r->said);
	unit->told = what;
}

static void tell_warnings(const struct renewal *r)
{
	struct slice rest = {r->warnings.ptr, r->warnings.len};
	while (rest.len > 0) {
		log_warn("%s", rest.ptr);
		rest = slice_from(rest, strlen(rest.ptr) + 1);
	}
}

static bool try(struct renewal *r, struct unit *unit, uint64_t held, uint64_t now)
{
	struct tls_change changes[FILES_OF_UNIT + 1];
	size_t count = 0;
	for (unsigned i = 0; i < unit->count; i++)
		changes[count++] = (struct tls_change){
			r->files[unit->first + i].path, {r->bytes[i].ptr, r->bytes[i].len}};
	r->warnings.len = 0;
	struct tls_store *store = tls_store_renew(r->store, changes, count, r->keys, on_fault, r);
	if (!store) {
		tell_failure(r, unit, held, now);
		return false;
	}
	tell_warnings(r);
	tls_store_put(r->store);
	r->store = store;
	unit->taken = held;
	unit->told = 0;
	unit->failed = false;
	unit->newer.len = 0;
	for (size_t i = 0; unit->pair && i < count; i++)
		renewed_add(&unit->newer, changes[i].path, changes[i].bytes);
	if (unit->pair)
		tls_store_each(store, tell_end, unit);
	else
		log_info("the authorities in %s were taken up", unit->rules->client_ca_path.ptr);
	return true;
}

/* The certificate is what it was; its key may not be. A pair that no start would take is told of. */
static bool finish_same(struct renewal *r, struct unit *unit, uint64_t held, uint64_t now)
{
	struct slice certificate = {r->bytes[0].ptr, r->bytes[0].len};
	struct slice ocsp = {r->bytes[1].ptr, r->bytes[1].len};
	r->warnings.len = 0;
	if (unit->pair && tls_pair_check(unit->pair, certificate, ocsp, r->keys, on_fault, r)) {
		tell_failure(r, unit, held, now);
		return false;
	}
	if (unit->pair && tls_store_stands_in(r->store, unit->pair)) /* the key is there again */
		return try(r, unit, held, now);
	unit->failed = false;
	unit->told = 0;
	return false;
}

static bool finish(struct renewal *r, uint64_t now)
{
	struct unit *unit = r->reading;
	struct slice path = r->files[unit->first].path;
	r->reading = NULL;
	r->said[0] = 0;
	if (unit->count > 1 && r->errors[1])
		r->bytes[1].len = 0; /* no response, or none that can be read */
	else if (unit->count == 1)
		r->bytes[1].len = 0;
	uint64_t held = hash_bytes((struct slice){r->bytes[0].ptr, r->bytes[0].len},
		(struct slice){r->bytes[1].ptr, r->bytes[1].len});
	if (r->errors[0]) {
		if (r->errors[0] == ENOENT && unit->pair && unit->pair->acme)
			return false; /* not there yet */
		snprintf(r->said, sizeof(r->said), "cannot read %s: %s", path.ptr,
			strerror(r->errors[0]));
		tell_failure(r, unit, 0, now);
		return false;
	}
	return held == unit->taken ? finish_same(r, unit, held, now) : try(r, unit, held, now);
}

bool renewal_take(struct renewal *r, int fd, int error, uint64_t now)
{
	struct unit *unit = r->reading;
	if (!unit || !r->waiting)
		return false;
	r->waiting = false;
	if (error == EAGAIN) { /* the supervisor has too much to open just now */
		r->reading = NULL;
		unit->due = now + AGAIN_MS;
		return false;
	}
	r->bytes[r->asked].len = 0;
	r->errors[r->asked] = error ? error : whole_read(fd, &r->bytes[r->asked], FILE_MAX);
	r->asked++;
	return r->asked == unit->count ? finish(r, now) : false;
}
