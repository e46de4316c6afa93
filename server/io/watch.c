/* SPDX-License-Identifier: BSD-2-Clause */
/* inotify made into generations. Objects stand for paths, nodes for the kernel's watches, which stand for inodes: several
 * paths may lead to one. An object dies when its path may mean another directory; a new one is made when the path is
 * asked for again. */
#include "io/watch.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "base/table.h"
#include "io/remote.h"
#include "io/watch_priv.h"

/* A name stands for something else now. */
#define NAME_CHANGED (IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE)
#define OF_NAMES                                                                                   \
	(NAME_CHANGED | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK)
/* Written is told at the write and at the close: a shared mapping shows only at the latter. */
#define OF_FILES  (OF_NAMES | IN_MODIFY | IN_CLOSE_WRITE)
/* The watched directory itself has left its path. */
#define SELF_GONE (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED)

#define READ_SIZE 16384
#define ATTEMPTS  16 /* to add a watch while events come in */

/* A watch of the kernel. */
struct node {
	struct table_entry by_number;
	struct link objects;
	int number;
	bool files; /* what is written into its files is told as well */
};

/* A path. Alive objects are in the table of paths and in their node; dead ones only wait for their last hold. */
struct object {
	struct watched watched;
	struct table_entry by_path;
	struct link of_node;
	struct link all;
	struct link doomed; /* in a list of those that are about to die or to rise */
	struct link parents;
	struct link children;
	struct node *node;
	size_t holds; /* the callers', and one for each child */
	bool dead;
	size_t length; /* of path, which has no slash at its end: "" is the root directory */
	char path[];
};

/* child is reached from parent; holds the parent. */
struct edge {
	struct link of_parent;
	struct link of_child;
	struct object *parent;
	struct object *child;
};

struct private
{
	struct watch watch;
	pthread_mutex_t lock;
	struct table paths;
	struct table nodes;
	struct link objects; /* all, dead ones as well */
	uint64_t version;    /* rises when events were taken or a watch was given up */
	bool limit_told;
	char events[READ_SIZE] __attribute__((aligned(__alignof__(struct inotify_event))));
};

/* What everybody gets whose directory cannot be watched: never changed, never freed. */
static struct watched unwatched;
/* The answer for those that were gone, or became others, while they were looked up. */
static struct watched vanished;

static struct private *private_of(struct watch *watch)
{
	return container_of(watch, struct private, watch);
}

static uint64_t number_hash(int number)
{
	return table_hash(&number, sizeof(number), 1);
}

static struct node *find_node(struct private *w, int number)
{
	uint64_t hash = number_hash(number);
	for (struct table_entry *e = table_first(&w->nodes, hash); e; e = e->next) {
		struct node *node = container_of(e, struct node, by_number);
		if (node->number == number)
			return node;
	}
	return NULL;
}

static struct object *find_object(struct private *w, const char *path, size_t length)
{
	uint64_t hash = table_hash(path, length, 0);
	for (struct table_entry *e = table_first(&w->paths, hash); e; e = e->next) {
		struct object *object = container_of(e, struct object, by_path);
		if (e->hash == hash && object->length == length &&
			memcmp(object->path, path, length) == 0)
			return object;
	}
	return NULL;
}

/* Ends a watch of the kernel. Where that has dropped it already this fails; its IN_IGNORED finds no node then. */
static void remove_watch(struct private *w, int number)
{
	inotify_rm_watch(w->watch.fd, number);
	w->version++;
}

/* A node without objects is of no use to anybody. */
static void leave_node(struct private *w, struct object *object)
{
	struct node *node = object->node;
	object->node = NULL;
	list_remove(&object->of_node);
	if (!list_empty(&node->objects))
		return;
	remove_watch(w, node->number);
	table_remove(&w->nodes, &node->by_number);
	free(node);
}

static void rise(struct object *object, uint64_t names)
{
	if (!object->dead)
		watched_rise(&object->watched, names);
}

static void doom(struct link *list, struct object *object)
{
	if (!link_listed(&object->doomed))
		list_append(list, &object->doomed);
}

/* Takes the next out of a list. Its children join the list; those of a dead one are dead already. */
static struct object *next_with_children(struct link *list)
{
	struct object *object = container_of(list->next, struct object, doomed);
	list_remove(&object->doomed);
	if (object->dead)
		return object;
	list_each (link, &object->children)
		doom(list, container_of(link, struct edge, of_parent)->child);
	return object;
}

/* All of the list and everything beneath will never be valid again. */
static void kill_all(struct private *w, struct link *list)
{
	while (!list_empty(list)) {
		struct object *object = next_with_children(list);
		if (object->dead)
			continue;
		object->dead = true;
		atomic_store_explicit(&object->watched.generation, 0, memory_order_release);
		table_remove(&w->paths, &object->by_path);
		leave_node(w, object);
	}
}

static void rise_all(struct link *list)
{
	while (!list_empty(list))
		rise(next_with_children(list), WATCH_ALL);
}

/* Whether `name` in the parent's directory is what leads to the child. Where the child's path does not continue the
 * parent's (it was reached through a link), any name may be. */
static bool leads_to(const struct object *parent, const struct object *child, const char *name)
{
	if (child->length <= parent->length ||
		memcmp(child->path, parent->path, parent->length) != 0 ||
		child->path[parent->length] != '/')
		return true;
	const char *step = child->path + parent->length + 1;
	size_t length = strlen(name);
	return strncmp(step, name, length) == 0 && (step[length] == '/' || step[length] == '\0');
}

static void visit_all(struct table_entry *entry, void *list)
{
	doom(list, container_of(entry, struct object, by_path));
}

/* Something happened to a name in a directory. */
static void take_name(struct private *w, struct node *node, const struct inotify_event *event)
{
	struct link named;
	list_init(&named);
	uint64_t set = watch_set(event->name, strlen(event->name));
	list_each (link, &node->objects) {
		struct object *object = container_of(link, struct object, of_node);
		rise(object, set);
		list_each (below, &object->children) {
			struct object *child = container_of(below, struct edge, of_parent)->child;
			if (leads_to(object, child, event->name))
				doom(&named, child);
		}
	}
	if (event->mask & NAME_CHANGED)
		kill_all(w, &named);
	else
		rise_all(&named);
}

/* No path can be relied upon. */
static void kill_each(struct private *w)
{
	struct link list;
	list_init(&list);
	table_each(&w->paths, visit_all, &list);
	kill_all(w, &list);
}

static void take_event(struct private *w, const struct inotify_event *event)
{
	struct link list;
	list_init(&list);
	if (event->mask & IN_Q_OVERFLOW) {
		/* a move may be among what was lost */
		log_at(NULL, LOG_LEVEL_WARN, LOG_FILE,
			"inotify lost events; all directories are watched anew");
		kill_each(w);
		return;
	}
	struct node *node = find_node(w, event->wd);
	if (!node)
		return;
	if (event->mask & SELF_GONE) {
		list_each (link, &node->objects) {
			doom(&list, container_of(link, struct object, of_node));
		}
		kill_all(w, &list);
		return;
	}
	if (event->len == 0) { /* its own rights or owner, on which everything beneath depends */
		list_each (link, &node->objects) {
			doom(&list, container_of(link, struct object, of_node));
		}
		rise_all(&list);
		return;
	}
	take_name(w, node, event);
}

/* With the lock held. Reads as much as is queued at the beginning: whoever goes on writing cannot hold us. */
static void drain(struct private *w)
{
	int queued = 0;
	if (ioctl(w->watch.fd, FIONREAD, &queued) < 0 || queued <= 0)
		return;
	while (queued > 0) {
		ssize_t got = read(w->watch.fd, w->events, sizeof(w->events));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return;
		queued -= (int)got;
		for (const char *at = w->events; at < w->events + got;) {
			const struct inotify_event *event = (const void *)at;
			take_event(w, event);
			at += sizeof(*event) + event->len;
		}
	}
}

void watch_drain(struct watch *watch)
{
	if (!watch)
		return;
	struct private *w = private_of(watch);
	int queued = 0;
	if (ioctl(w->watch.fd, FIONREAD, &queued) == 0 && queued == 0) {
		/* Another thread may have taken what was there, and be at it still. */
		if (atomic_load(&watch->epoch) & 1)
			watch_wait(watch);
		return;
	}
	pthread_mutex_lock(&w->lock);
	/* Odd before the first event leaves the queue: who finds the queue empty then finds this odd. */
	atomic_fetch_add(&watch->epoch, 1);
	w->version++;
	drain(w);
	atomic_fetch_add(&watch->epoch, 1);
	pthread_mutex_unlock(&w->lock);
}

void watch_forget(struct watch *watch)
{
	struct private *w = private_of(watch);
	pthread_mutex_lock(&w->lock);
	atomic_fetch_add(&watch->epoch, 1);
	w->version++;
	kill_each(w);
	atomic_fetch_add(&watch->epoch, 1);
	pthread_mutex_unlock(&w->lock);
}

void watch_wait(struct watch *watch)
{
	if (!watch)
		return;
	struct private *w = private_of(watch);
	pthread_mutex_lock(&w->lock);
	pthread_mutex_unlock(&w->lock);
}

struct watch *watch_new(void)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd < 0)
		return NULL;
	struct private *w = must_zalloc(sizeof(*w));
	w->watch.fd = fd;
	w->watch.mounts = -1;
	check(pthread_mutex_init(&w->lock, NULL) == 0);
	table_init(&w->paths, 64);
	table_init(&w->nodes, 64);
	list_init(&w->objects);
	return &w->watch;
}

/* Whether `above` is the object or one of its ancestors. With few parents each and paths of bounded depth. */
static bool is_beneath(const struct object *object, const struct object *above)
{
	if (object == above)
		return true;
	list_each (link, &object->parents) {
		if (is_beneath(container_of(link, struct edge, of_child)->parent, above))
			return true;
	}
	return false;
}

/* Notes that child is reached from parent as well. A ring, which links may make, is left open: the caller has the
 * objects of both. */
static void connect_to(struct object *child, struct object *parent)
{
	list_each (link, &child->parents) {
		if (container_of(link, struct edge, of_child)->parent == parent)
			return;
	}
	if (is_beneath(parent, child))
		return;
	struct edge *edge = must_zalloc(sizeof(*edge));
	edge->parent = parent;
	edge->child = child;
	parent->holds++;
	list_append(&parent->children, &edge->of_parent);
	list_append(&child->parents, &edge->of_child);
}

static void tell_limit(struct private *w, const char *path)
{
	if (w->limit_told)
		return;
	w->limit_told = true;
	log_warn(
		"fs.inotify.max_user_watches is reached: changes in %s and other directories are looked for once a second",
		path);
}

/* With the lock held, of a watch that is still good. */
static struct node *find_or_add_node(struct private *w, int number, bool files)
{
	struct node *node = find_node(w, number);
	if (!node) {
		node = must_zalloc(sizeof(*node));
		node->number = number;
		list_init(&node->objects);
		table_add(&w->nodes, &node->by_number, number_hash(number));
	}
	node->files |= files;
	return node;
}

static struct object *add_object(
	struct private *w, const char *path, size_t length, struct node *node)
{
	struct object *object = must_zalloc(sizeof(*object) + length + 1);
	atomic_init(&object->watched.generation, 1);
	list_init(&object->parents);
	list_init(&object->children);
	memcpy(object->path, path, length);
	object->length = length;
	object->node = node;
	list_append(&node->objects, &object->of_node);
	list_append(&w->objects, &object->all);
	table_add(&w->paths, &object->by_path, table_hash(object->path, length, 0));
	return object;
}

/* May block on slow disks. The kernel's number, or -1 with errno. */
static int add_watch(const struct private *w, const char *path, bool files)
{
	if (remote_path(path)) {
		if (errno == 0)
			errno = EXDEV; /* of what others do there nothing is told */
		return -1;
	}
	/* IN_MASK_ADD: by another path it may be watched for more */
	return inotify_add_watch(w->watch.fd, path, (files ? OF_FILES : OF_NAMES) | IN_MASK_ADD);
}

/* With the lock held, which is let go of while the kernel looks the path up: a disk that hangs must not stop those who
 * drain. What was drained or given up meanwhile may have been about the new watch, which is then asked for again.
 * Whatever the path leads to later is told by an event that is still in the queue. NULL: it cannot be watched, or, with *gone, is not what
 * it was. */
static struct object *find_or_add(struct private *w, const struct object *above, const char *path,
	size_t length, bool files, bool *gone)
{
	*gone = true;
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		if (above && above->dead)
			return NULL;
		struct object *object = find_object(w, path, length);
		if (object && (object->node->files || !files))
			return object;
		uint64_t version = w->version;
		pthread_mutex_unlock(&w->lock);
		int number = add_watch(w, length ? path : "/", files);
		int error = errno;
		pthread_mutex_lock(&w->lock);
		if (number < 0) {
			if (error == ENOSPC)
				tell_limit(w, path);
			*gone = error == ENOENT || error == ENOTDIR;
			return NULL;
		}
		object = find_object(w, path, length);
		if (w->version == version && (!object || object->node->number == number)) {
			struct node *node = find_or_add_node(w, number, files);
			return object ? object : add_object(w, path, length, node);
		}
		if (!find_node(w, number))
			remove_watch(w, number);
	}
	return NULL;
}

static struct watched *ask(
	struct watch *watch, struct watched *parent, const char *path, bool files)
{
	bool gone;
	if (parent == &vanished)
		return &vanished;
	if (!watch || path[0] != '/' || parent == &unwatched)
		return &unwatched;
	char clean[PATH_MAX];
	size_t length = strlen(path);
	while (length > 0 && path[length - 1] == '/')
		length--;
	if (length >= sizeof(clean))
		return &unwatched;
	memcpy(clean, path, length);
	clean[length] = '\0';

	struct private *w = private_of(watch);
	struct object *above = parent ? container_of(parent, struct object, watched) : NULL;
	pthread_mutex_lock(&w->lock);
	struct object *object = find_or_add(w, above, clean, length, files, &gone);
	if (object) {
		object->holds++;
		if (above)
			connect_to(object, above);
	}
	pthread_mutex_unlock(&w->lock);
	return object ? &object->watched : gone ? &vanished : &unwatched;
}

struct watched *watch_directory(struct watch *watch, struct watched *parent, const char *path)
{
	return ask(watch, parent, path, true);
}

struct watched *watch_names(struct watch *watch, struct watched *parent, const char *path)
{
	return ask(watch, parent, path, false);
}

bool watch_cannot(const struct watched *watched)
{
	return watched == &unwatched;
}

/* Gives up what an object without holds has; its parents may lose their last hold by it. */
static void free_object(struct private *w, struct object *object)
{
	struct link empty;
	list_init(&empty);
	list_append(&empty, &object->doomed);
	while (!list_empty(&empty)) {
		object = container_of(empty.next, struct object, doomed);
		list_remove(&object->doomed);
		check(list_empty(&object->children));
		if (!object->dead) {
			table_remove(&w->paths, &object->by_path);
			leave_node(w, object);
		}
		while (!list_empty(&object->parents)) {
			struct edge *edge =
				container_of(object->parents.next, struct edge, of_child);
			list_remove(&edge->of_child);
			list_remove(&edge->of_parent);
			if (--edge->parent->holds == 0)
				doom(&empty, edge->parent);
			free(edge);
		}
		list_remove(&object->all);
		free(object);
	}
}

/* Is it nobody's, and never freed? */
static bool is_shared(const struct watched *watched)
{
	return !watched || watched == &unwatched || watched == &vanished;
}

void watch_hold(struct watch *watch, struct watched *watched)
{
	if (!watch || is_shared(watched))
		return;
	struct private *w = private_of(watch);
	pthread_mutex_lock(&w->lock);
	container_of(watched, struct object, watched)->holds++;
	pthread_mutex_unlock(&w->lock);
}

void watch_release(struct watch *watch, struct watched *watched)
{
	if (!watch || is_shared(watched))
		return;
	struct private *w = private_of(watch);
	struct object *object = container_of(watched, struct object, watched);
	pthread_mutex_lock(&w->lock);
	check(object->holds > 0);
	if (--object->holds == 0)
		free_object(w, object);
	pthread_mutex_unlock(&w->lock);
}

size_t watch_count(struct watch *watch)
{
	if (!watch)
		return 0;
	struct private *w = private_of(watch);
	pthread_mutex_lock(&w->lock);
	size_t count = w->nodes.count;
	pthread_mutex_unlock(&w->lock);
	return count;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	struct private *w = private_of(watch);
	check(atomic_load(&watch->attached) == 0);
	while (!list_empty(&w->objects)) {
		struct object *object = container_of(w->objects.next, struct object, all);
		list_each_safe (link, &object->parents)
			free(container_of(link, struct edge, of_child));
		if (!object->dead)
			leave_node(w, object);
		list_remove(&object->all);
		free(object);
	}
	close(w->watch.fd);
	if (watch->mounts >= 0)
		close(watch->mounts);
	table_done(&w->paths);
	table_done(&w->nodes);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
