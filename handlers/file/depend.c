/* SPDX-License-Identifier: BSD-2-Clause */
/* Which directories decide what a path beneath a root names: a walk like the kernel's own, for watching only. Nothing is
 * opened by what is found here but where a link names its target absolutely. */
#include "handlers/file/depend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"

#define LINKS_MAX 40 /* as the kernel */
#define TRIES     3

struct walk {
	struct depend *depend;
	struct watch *watch;
	struct watched *here; /* of the directory `real`; NULL while not watching */
	uint32_t generation;  /* of `here`, when it became that */
	char *real;           /* where we are, without links; "" is the root of the file system */
	size_t length;
	char top[PATH_MAX];      /* where watching began: the directory that holds the root */
	size_t top_length;       /* 0: not yet */
	char rest[2 * PATH_MAX]; /* what is still to be walked */
	size_t at;               /* how much of it is done */
	size_t beneath;          /* so much at its end is beneath the root */
	unsigned quiet;          /* components until watching begins (again) */
	uint64_t inside;         /* names that decide where the way ends in a directory */
	uint64_t names;          /* those that decide in `here`, should the way end there */
	bool holds;              /* `top` holds the root: of it only names count */
	bool disturbed;          /* something changed during the walk */
	bool found;
	bool lacks;  /* the walk ended at a name that is not there */
	bool linked; /* a link stood in what is beneath the root */
	bool lost;   /* `real` is not where the walk ended */
};

static unsigned components(const char *path)
{
	unsigned count = 0;
	for (const char *p = path; *p; p++)
		count += *p != '/' && (p[1] == '/' || p[1] == '\0');
	return count;
}

/* Notes the deepest directory of a way. What was noted before stands: it is the older and so the safer one. */
static void end_way(struct walk *w)
{
	struct depend *d = w->depend;
	if (!w->here)
		return;
	bool noted = false;
	for (unsigned i = 0; i < d->count; i++)
		if (d->on[i] == w->here) {
			d->names[i] |= w->names;
			noted = true;
		}
	if (noted || d->count == DEPEND_MAX || w->generation == 0) {
		if (!noted && w->generation == 0 && !watch_cannot(w->here))
			w->disturbed = true;
		d->by_time = d->by_time || !noted;
		watch_release(w->watch, w->here);
	} else {
		d->on[d->count] = w->here;
		d->names[d->count] = w->names;
		d->generation[d->count++] = w->generation;
	}
	w->here = NULL;
}

/* Makes `real` up to `length` octets, a directory, the one we are in; `names`: no file in it is asked for. Where it cannot be watched, the
 * way ends here: what holds it tells when it goes or may be read. */
static void step_into(struct walk *w, size_t length, bool names)
{
	char kept = w->real[length];
	w->real[length] = '\0';
	const char *path = length ? w->real : "/", *name = strrchr(path, '/') + 1;
	struct watched *next = names ? watch_names(w->watch, w->here, path)
				     : watch_directory(w->watch, w->here, path);
	uint64_t set = watch_set(name, strlen(name));
	w->real[length] = kept;
	if (w->here && w->generation != 0 && watch_cannot(next)) {
		w->names = set;
		end_way(w);
	} else if (w->here) {
		w->disturbed |= !watch_unchanged(w->watch, w->here, set, &w->generation);
		watch_release(w->watch, w->here);
	}
	w->names = w->inside;
	w->here = next;
	w->generation = watch_generation(w->watch, next);
}

/* Begins to watch where we are. What lies beneath the first top hangs on that. */
static void begin_way(struct walk *w)
{
	if (!w->watch)
		return;
	bool first = !w->top_length;
	if (first) {
		memcpy(w->top, w->real, w->length + 1);
		w->top_length = w->length ? w->length : 1;
	}
	bool beneath = w->top[0] && strncmp(w->real, w->top, w->top_length) == 0 &&
		       w->real[w->top_length] == '/';
	if (beneath) {
		step_into(w, w->top_length, w->holds);
		for (size_t i = w->top_length + 1; i < w->length; i++)
			if (w->real[i] == '/')
				step_into(w, i, false);
	}
	step_into(w, w->length, first && w->holds);
}

/* Puts a link's target in place of its name. 0, or -1 when that cannot be followed. */
static int follow(struct walk *w, size_t link_length)
{
	char target[PATH_MAX];
	ssize_t length = readlink(w->real, target, sizeof target - 1);
	w->real[link_length] = '\0'; /* back to the directory that holds the link */
	w->length = link_length;
	size_t left = strlen(w->rest + w->at);
	w->linked |= left < w->beneath;
	if (length <= 0 || (size_t)length + 1 + left >= sizeof w->rest)
		return -1;
	target[length] = '\0';
	end_way(w); /* a way of its own: the target's does not depend on the name that is the link's */
	memmove(w->rest + length + 1, w->rest + w->at, left + 1);
	memcpy(w->rest, target, (size_t)length);
	w->rest[length] = '/';
	w->at = 0;
	if (target[0] == '/') {
		w->length = 0;
		w->real[0] = '\0';
	}
	unsigned count = components(target);
	w->quiet = count ? count - 1 : 0;
	if (!w->quiet)
		begin_way(w);
	return 0;
}

static void go_up(struct walk *w)
{
	char *stroke = strrchr(w->real, '/');
	if (stroke)
		*stroke = '\0';
	w->length = strlen(w->real);
	if (w->here) {
		w->names = WATCH_ALL;
		end_way(w);
		begin_way(w);
	}
}

/* Where we are is not known. */
static int lose(struct walk *w)
{
	w->lost = true;
	w->names = WATCH_ALL;
	return 0;
}

/* Watching has not begun (again), but the name behind `length` octets decides: it is a link, or missing. */
static void watch_alone(struct walk *w, size_t length)
{
	char kept = w->real[length];
	w->real[length] = '\0';
	w->here = watch_names(w->watch, NULL, length ? w->real : "/");
	w->generation = watch_generation(w->watch, w->here);
	w->real[length] = kept;
}

/* Looks at where we are, which is no directory. A root that is missing without a link having led there may be about to be mounted, of which no
 * event tells. */
static int look_twice(struct walk *w, size_t before, struct stat *s)
{
	int result = lstat(w->real, s);
	bool directory = result == 0 && S_ISDIR(s->st_mode),
	     link = result == 0 && S_ISLNK(s->st_mode);
	if (!w->watch || w->here || directory || !(link || w->top_length || w->depend->count))
		return result;
	watch_alone(w, before);
	return lstat(w->real, s);
}

/* One component. 1: go on, 0: this is the end. */
static int step(struct walk *w, const char *name, size_t length, unsigned *links)
{
	size_t before = w->length;
	if (before + 1 + length >= PATH_MAX)
		return lose(w);
	w->real[before] = '/';
	memcpy(w->real + before + 1, name, length);
	w->length = before + 1 + length;
	w->real[w->length] = '\0';
	w->names = watch_set(name, length);
	struct stat s;
	if (look_twice(w, before, &s)) {
		w->lacks = errno == ENOENT;
		return 0;
	}
	if (S_ISLNK(s.st_mode) && ++*links > LINKS_MAX)
		return 0;
	if (S_ISLNK(s.st_mode))
		return follow(w, before) == 0 ? 1 : lose(w);
	bool more = w->rest[w->at + strspn(w->rest + w->at, "/")] != '\0';
	w->found = !more;
	if (!S_ISDIR(s.st_mode))
		return 0;
	if (w->here)
		step_into(w, w->length, false);
	else if (w->quiet && --w->quiet == 0)
		begin_way(w);
	return more;
}

static void walk_all(struct walk *w)
{
	unsigned links = 0;
	if (!w->quiet)
		begin_way(w);
	for (;;) {
		w->at += strspn(w->rest + w->at, "/");
		const char *name = w->rest + w->at;
		size_t length = strcspn(name, "/");
		if (length == 0) {
			w->found = true;
			break;
		}
		w->at += length;
		if (length == 1 && name[0] == '.')
			continue;
		if (length == 2 && name[0] == '.' && name[1] == '.') {
			go_up(w);
			if (!w->here && w->quiet && --w->quiet == 0)
				begin_way(w);
			continue;
		}
		if (!step(w, name, length, &links))
			break;
	}
	end_way(w);
}

/* Puts what is still to be walked behind where the walk ended. */
static void add_rest(struct walk *w)
{
	const char *rest = w->rest + w->at + strspn(w->rest + w->at, "/");
	size_t length = strlen(rest);
	if (w->lost || w->length + 1 + length >= PATH_MAX) {
		w->real[0] = '\0';
	} else if (length > 0) {
		w->real[w->length] = '/';
		memcpy(w->real + w->length + 1, rest, length + 1);
	}
}

/* Back to what was noted before a walk. */
static void drop_beyond(struct depend *d, struct watch *watch, unsigned count)
{
	while (d->count > count)
		watch_release(watch, d->on[--d->count]);
}

/* How much of what is beneath the root names what is missing. */
static size_t lacking(const struct walk *w)
{
	size_t above = strlen(w->rest) - w->beneath;
	return w->lacks && !w->linked && w->at > above ? w->at - above : 0;
}

size_t depend_add(struct depend *d, struct watch *watch, const char *root, const char *path,
	uint64_t inside, char real[PATH_MAX])
{
	struct walk w;
	unsigned before = d->count;
	d->by_time = d->by_time || watch == NULL;
	bool by_time = d->by_time;
	for (int try = 0;; try++) {
		w.depend = d;
		w.watch = watch;
		w.here = NULL;
		w.real = real;
		w.length = w.top_length = w.at = 0;
		w.top[0] = real[0] = '\0';
		w.inside = w.names = inside;
		w.disturbed = w.found = w.lost = w.lacks = w.linked = false;
		size_t root_length = strlen(root), path_length = strlen(path);
		if (root_length + path_length + 2 > sizeof w.rest) {
			d->by_time = true;
			return 0;
		}
		w.beneath = path_length;
		memcpy(w.rest, root, root_length);
		w.rest[root_length] = '/';
		memcpy(w.rest + root_length + 1, path, path_length + 1);
		unsigned count = components(root);
		w.quiet = count ? count - 1 : 0;
		w.holds = count > 0 && !strstr(root, "/."); /* `.` and `..` name no child of it */
		walk_all(&w);
		if (!w.disturbed || try == TRIES)
			break;
		drop_beyond(d, watch, before);
		d->by_time = by_time;
	}
	d->disturbed = d->disturbed || w.disturbed;
	if (w.disturbed || d->count == 0)
		d->by_time = true;
	if (!w.found)
		add_rest(&w);
	return lacking(&w);
}

void depend_release(struct depend *d, struct watch *watch)
{
	drop_beyond(d, watch, 0);
	*d = (struct depend){0};
}

static void shared_last(struct ref *ref)
{
	struct depend_shared *shared = container_of(ref, struct depend_shared, ref);
	depend_release(&shared->depend, shared->watch);
	free(shared);
}

struct depend_shared *depend_share(struct depend *d, struct watch *watch)
{
	struct depend_shared *shared = must_alloc(sizeof *shared);
	ref_init(&shared->ref, shared_last);
	shared->watch = watch;
	shared->depend = *d;
	*d = (struct depend){0};
	return shared;
}
