/* SPDX-License-Identifier: BSD-2-Clause */
/* Directories are read on I/O threads. Of a name only 32 bits of its hash are kept: that a name is not there is certain, that it is there
 * is for the kernel to say. */
#include "handlers/file/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/table.h"
#include "http/exchange.h"
#include "io/disk.h"

#define LOOKS_FIRST 2     /* so many looks in a directory are worth reading its names, */
#define LOOK_NAMES  512   /* and each of them is worth reading so many */
#define LOOKS_RETRY 128   /* until one is tried again that could not be read, then twice as many, */
#define LOOKS_MAX   65536 /* and so on */

/* --- Names. --- */

/* Open addressing; 0 is no name. */
struct names {
	uint32_t *slots;
	size_t mask; /* slots - 1; at most half of them are taken */
	size_t count;
};

static uint32_t name_hash(const char *name, size_t length)
{
	uint32_t hash = (uint32_t)(table_hash(name, length, 0) >> 32);
	return hash ? hash : 1;
}

static void names_put(struct names *names, uint32_t hash)
{
	size_t at = hash & names->mask;
	while (names->slots[at] && names->slots[at] != hash)
		at = (at + 1) & names->mask;
	names->slots[at] = hash;
}

static void names_add(struct names *names, const char *name)
{
	if (!names->slots || (names->count + 1) * 2 > names->mask + 1) {
		struct names old = *names;
		names->mask = old.slots ? old.mask * 2 + 1 : 15;
		names->slots = must_zalloc((names->mask + 1) * sizeof(*names->slots));
		for (size_t i = 0; old.slots && i <= old.mask; i++)
			if (old.slots[i])
				names_put(names, old.slots[i]);
		free(old.slots);
	}
	names_put(names, name_hash(name, strlen(name)));
	names->count++;
}

static bool names_have(const struct names *names, struct slice name)
{
	if (!names->slots)
		return false;
	uint32_t hash = name_hash(name.ptr, name.len);
	size_t at = hash & names->mask;
	while (names->slots[at] && names->slots[at] != hash)
		at = (at + 1) & names->mask;
	return names->slots[at] != 0;
}

static size_t names_bytes(const struct names *names)
{
	return names->slots ? (names->mask + 1) * sizeof(*names->slots) : 0;
}

static void names_free(struct names *names)
{
	free(names->slots);
	*names = (struct names){0};
}

/* --- Reading, on an I/O thread. --- */

enum outcome { FOLDER_READ, FOLDER_TOO_MANY, FOLDER_UNREADABLE };

struct folder_job {
	struct disk_job job;
	struct folders *folders;
	struct folder *folder; /* NULL: it was given up, and so may be all */
	const struct file_root *root;
	struct watch *watch;
	uint64_t begun_ms;
	size_t most; /* names */
	/* found */
	enum outcome outcome;
	struct depend depend;
	struct names names;
	size_t seen; /* hidden names as well */
	bool quick;
	char path[]; /* "" or with a final stroke */
};

/* The first letter of a name in ASCII; NULL: there is none, or not all of the name is ASCII. */
static char *letter_of(char *name)
{
	char *letter = NULL;
	for (char *p = name; *p; p++) {
		if (*p & 0x80)
			return NULL;
		if (!letter && ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z'))
			letter = p;
	}
	return letter;
}

/* Is it on a file system that lists whatever it opens? An overlay does, if its layers do. *quick: of its files those that are in memory can be read
 * without a wait. */
static bool lists_all(int fd, bool *quick)
{
	static const unsigned long disks[] = {
		EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC};
	struct statfs info;
	if (fstatfs(fd, &info))
		return false;
	*quick = false;
	for (size_t i = 0; i < COUNT_OF(disks); i++)
		*quick = *quick || (uint32_t)info.f_type == (uint32_t)disks[i];
	return *quick || (uint32_t)info.f_type == (uint32_t)TMPFS_MAGIC ||
	       (uint32_t)info.f_type == (uint32_t)OVERLAYFS_SUPER_MAGIC;
}

/* The number of what a name stands for; 0: nothing, or errno says why it is not known. Nobody else is asked about it, should it be a mount point. */
static uint64_t number_of(int fd, const char *name)
{
	struct statx s;
	errno = 0;
	return statx(fd, name, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_INO, &s) ? 0
											: s.stx_ino;
}

/* Directories may be told to take capitals for small letters: then what is not in the list may well be there. `name` is a file's in the
 * directory. */
static bool tells_spellings_apart(int fd, char *name)
{
	char *letter = letter_of(name);
	*letter ^= 0x20;
	uint64_t other = number_of(fd, name);
	bool known = other || errno == ENOENT;
	*letter ^= 0x20; /* now, for it may have gone meanwhile */
	uint64_t number = number_of(fd, name);
	return known && number && number != other;
}

/* Of a directory in which no file's name has a letter it is not known how it takes names. (Others are not asked about: where directories are file
 * systems may be mounted that hang.) */
static enum outcome read_names(struct folder_job *job, DIR *directory)
{
	bool apart = false;
	for (;; job->seen++) {
		errno = 0;
		struct dirent *entry = readdir(directory);
		if (!entry)
			return errno || !apart ? FOLDER_UNREADABLE : FOLDER_READ;
		if (job->seen == job->most)
			return FOLDER_TOO_MANY;
		if (entry->d_name[0] == '.')
			continue;
		names_add(&job->names, entry->d_name);
		if (!apart && entry->d_type == DT_REG && letter_of(entry->d_name)) {
			apart = tells_spellings_apart(dirfd(directory), entry->d_name);
			if (!apart)
				return FOLDER_UNREADABLE;
		}
	}
}

static enum outcome read_folder(struct folder_job *job)
{
	char real[PATH_MAX];
	depend_add(&job->depend, job->watch, job->root->path.ptr, job->path, 0, real);
	if (job->depend.by_time || job->depend.disturbed)
		return FOLDER_UNREADABLE;
	int root_fd = open(job->root->path.ptr, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return FOLDER_UNREADABLE;
	int fd = file_open(root_fd, job->root, job->path[0] ? job->path : ".", real);
	close(root_fd);
	DIR *directory = fd >= 0 && lists_all(fd, &job->quick) ? fdopendir(fd) : NULL;
	if (!directory) {
		if (fd >= 0)
			close(fd);
		return FOLDER_UNREADABLE;
	}
	enum outcome outcome = read_names(job, directory);
	closedir(directory);
	return outcome;
}

static void folder_work(struct disk_job *disk_job)
{
	struct folder_job *job = container_of(disk_job, struct folder_job, job);
	job->outcome = read_folder(job);
}

/* --- What is known. --- */

struct folder {
	struct table_entry hashed;
	struct link link; /* who was used longest ago comes first */
	struct folder_job *job;
	bool read;      /* else looks are counted only */
	bool quick;     /* see folder_is_quick */
	unsigned looks; /* that names would have spared */
	unsigned next;  /* so many are wanted for the next try */
	struct depend depend;
	struct names names;
	uint64_t read_ms; /* when that began */
	uint32_t scope;
	uint32_t path_length;
	char path[];
};

struct folders {
	struct exchange_thread *thread;
	struct table table;
	struct link all;
	size_t bytes;
};

static size_t folder_bytes(const struct folder *folder)
{
	return sizeof(*folder) + folder->path_length;
}

static void forget_names(struct folders *folders, struct folder *folder)
{
	folders->bytes -= names_bytes(&folder->names);
	names_free(&folder->names);
	depend_release(&folder->depend, folders->thread->watch);
	folder->read = false;
}

static void folder_free(struct folders *folders, struct folder *folder)
{
	if (folder->job)
		folder->job->folder = NULL;
	forget_names(folders, folder);
	table_remove(&folders->table, &folder->hashed);
	list_remove(&folder->link);
	folders->bytes -= folder_bytes(folder);
	free(folder);
}

static void keep_bounds(struct folders *folders)
{
	while (folders->table.count > FOLDER_COUNT_MAX || folders->bytes > FOLDER_BYTES_MAX)
		folder_free(folders, container_of(folders->all.next, struct folder, link));
}

static struct folder *lookup(
	struct folders *folders, uint32_t scope, struct slice path, uint64_t hash)
{
	for (struct table_entry *e = table_first(&folders->table, hash); e; e = e->next) {
		struct folder *folder = container_of(e, struct folder, hashed);
		if (e->hash == hash && folder->scope == scope && folder->path_length == path.len &&
			memcmp(folder->path, path.ptr, path.len) == 0)
			return folder;
	}
	return NULL;
}

static struct folder *find_or_add(struct folders *folders, uint32_t scope, struct slice path)
{
	uint64_t hash = table_hash(path.ptr, path.len, scope);
	struct folder *folder = lookup(folders, scope, path, hash);
	if (folder) {
		list_remove(&folder->link);
	} else {
		folder = must_zalloc(sizeof(*folder) + path.len);
		folder->scope = scope;
		folder->path_length = (uint32_t)path.len;
		folder->next = LOOKS_FIRST;
		memcpy(folder->path, path.ptr, path.len);
		table_add(&folders->table, &folder->hashed, hash);
		folders->bytes += folder_bytes(folder);
	}
	list_append(&folders->all, &folder->link);
	keep_bounds(folders);
	return folder;
}

static void folder_done(struct disk_job *disk_job)
{
	struct folder_job *job = container_of(disk_job, struct folder_job, job);
	struct folder *folder = job->folder;
	if (folder) {
		folder->job = NULL;
		forget_names(job->folders, folder);
	}
	if (folder && job->outcome == FOLDER_READ) {
		folder->depend = job->depend;
		folder->names = job->names;
		folder->quick = job->quick;
		folder->read_ms = job->begun_ms;
		folder->read = true;
		folder->looks = 0;
		folder->next = 1 + (unsigned)(job->seen / LOOK_NAMES);
		job->depend = (struct depend){0};
		job->names = (struct names){0};
		job->folders->bytes += names_bytes(&folder->names);
		keep_bounds(job->folders);
	} else if (folder && job->outcome == FOLDER_TOO_MANY && job->most < FOLDER_NAMES_MAX) {
		folder->next = folder->looks * 2;
	} else if (folder) {
		folder->looks = 0;
		folder->next = folder->next < LOOKS_RETRY ? LOOKS_RETRY : folder->next * 2;
		if (folder->next > LOOKS_MAX)
			folder->next = LOOKS_MAX;
	}
	names_free(&job->names);
	depend_release(&job->depend, job->watch);
	free(job);
}

static void read_soon(struct folders *folders, struct folder *folder, const struct file_root *root)
{
	struct folder_job *job = must_zalloc(sizeof(*job) + folder->path_length + 1);
	memcpy(job->path, folder->path, folder->path_length);
	size_t most = (size_t)folder->looks * LOOK_NAMES;
	job->folders = folders;
	job->folder = folder;
	job->root = root;
	job->watch = folders->thread->watch;
	job->begun_ms = folders->thread->clock->monotonic_ms;
	job->most = most < FOLDER_NAMES_MAX ? most : FOLDER_NAMES_MAX;
	job->job.work = folder_work;
	job->job.done = folder_done;
	job->job.lane =
		~root->lane; /* as for pages of directories: what takes long to read holds up no files */
	if (disk_submit(folders->thread->disk, folders->thread->loop, &job->job))
		folder->job = job;
	else
		free(job);
}

/* --- Asking. --- */

struct slice folder_of(struct slice path)
{
	while (path.len > 0 && path.ptr[path.len - 1] != '/')
		path.len--;
	return path;
}

uint64_t folder_sets(const struct file_root *root, struct slice name)
{
	return name.len ? watch_set(name.ptr, name.len) : file_index_sets(root);
}

/* Has nothing happened to these names since the directory was read? All on the way counts as well. */
static bool holds(const struct folders *folders, const struct folder *folder, uint64_t sets)
{
	struct watch *watch = folders->thread->watch;
	if (!folder->read ||
		folders->thread->clock->monotonic_ms - folder->read_ms >= FILE_WATCHED_MS)
		return false;
	for (unsigned i = 0; i < folder->depend.count; i++) {
		uint32_t generation = folder->depend.generation[i];
		if (!watch_unchanged(watch, folder->depend.on[i], folder->depend.names[i] | sets,
			    &generation))
			return false;
	}
	return true;
}

struct folder *folders_find(
	struct folders *folders, uint32_t scope, struct slice directory, uint64_t sets)
{
	uint64_t hash = table_hash(directory.ptr, directory.len, scope);
	struct folder *folder = lookup(folders, scope, directory, hash);
	if (!folder || !holds(folders, folder, sets))
		return NULL;
	list_remove(&folder->link);
	list_append(&folders->all, &folder->link);
	return folder;
}

bool folder_may_have(const struct folder *folder, struct slice name)
{
	/* others may be spelled in more than one way; what begins with a dot some file systems do not list */
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] & 0x80)
			return true;
	return name.len == 0 || name.ptr[0] == '.' || names_have(&folder->names, name);
}

bool folders_lack(struct folders *folders, uint32_t scope, struct slice path)
{
	size_t begin = 0;
	for (unsigned depth = 0; depth < FOLDER_DEPTH_MAX && begin < path.len; depth++) {
		const char *stroke = memchr(path.ptr + begin, '/', path.len - begin);
		size_t end = stroke ? (size_t)(stroke - path.ptr) : path.len;
		struct slice name = {path.ptr + begin, end - begin};
		const struct folder *folder = folders_find(folders, scope,
			(struct slice){path.ptr, begin}, watch_set(name.ptr, name.len));
		if (folder && !folder_may_have(folder, name))
			return true;
		begin = end + 1;
	}
	return false;
}

void folders_note(struct folders *folders, uint32_t scope, const struct file_root *root,
	struct slice path, size_t lacks)
{
	if (lacks)
		path.len = lacks;
	struct slice directory = folder_of(path), name = slice_from(path, directory.len);
	/* the last looks of a thread end when there is no I/O any more */
	if (!folders->thread->watch || !folders->thread->disk ||
		folders_find(folders, scope, directory, folder_sets(root, name)))
		return;
	struct folder *folder = find_or_add(folders, scope, directory);
	folder->looks++;
	if (!folder->job && folder->looks >= folder->next)
		read_soon(folders, folder, root);
}

bool folder_is_quick(const struct folder *folder)
{
	return folder->quick;
}

uint64_t folder_read_ms(const struct folder *folder)
{
	return folder->read_ms;
}

void folder_depend(
	const struct folder *folder, struct watch *watch, uint64_t sets, struct depend *to)
{
	*to = folder->depend;
	for (unsigned i = 0; i < to->count; i++) {
		to->names[i] |= sets;
		watch_hold(watch, to->on[i]);
		watch_unchanged(watch, to->on[i], to->names[i], &to->generation[i]);
	}
}

/* --- All of them. --- */

struct folders *folders_new(struct exchange_thread *thread)
{
	struct folders *folders = must_zalloc(sizeof(*folders));
	folders->thread = thread;
	table_init(&folders->table, 64);
	list_init(&folders->all);
	return folders;
}

void folders_free(struct folders *folders)
{
	list_each_safe (link, &folders->all) {
		struct folder *folder = container_of(link, struct folder, link);
		folder_free(folders, folder);
	}
	table_done(&folders->table);
	free(folders);
}

size_t folders_count(const struct folders *folders)
{
	return folders->table.count;
}

size_t folders_bytes(const struct folders *folders)
{
	return folders->bytes;
}
