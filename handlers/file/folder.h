/* SPDX-License-Identifier: BSD-2-Clause */
/* What a thread knows of the directories beneath roots: what each of them depends on, and which names are in it. A name that is in none is
 * told without a look, one that is there is looked at without a walk (file_glance.h). */
#ifndef WEIR_FILE_FOLDER_H
#define WEIR_FILE_FOLDER_H

#include "handlers/file/file.h"

struct folder;
struct folders; /* those of one thread: at most FOLDER_BYTES_MAX octets, and FOLDER_COUNT_MAX */

#define FOLDER_COUNT_MAX                                                                           \
	1024u /* directories of which something is kept; who was asked for longest ago goes */
#define FOLDER_NAMES_MAX 65536u /* of one: larger ones are not read */
#define FOLDER_BYTES_MAX (8u << 20)
#define FOLDER_DEPTH_MAX                                                                           \
	8 /* directories of a path that are asked about: a long path must not cost more than a look */

struct folders *folders_new(struct exchange_thread *thread);
/* What is being read then is read in vain. */
void folders_free(struct folders *folders);

/* The directory of a path as in struct file_question: up to its last stroke, with it; "" is the root itself. */
struct slice folder_of(struct slice path);

/* The sets (watch_set) of the name that is asked for in a directory, or of those that are tried there, where it is empty. */
uint64_t folder_sets(const struct file_root *root, struct slice name);
/* What is known of a directory, and has not changed for names of these sets (watch_set) since; NULL: nothing. Valid until folders_note or the next
 * turn of the loop. No system call. */
struct folder *folders_find(
	struct folders *folders, uint32_t scope, struct slice directory, uint64_t sets);
/* Is there nothing at a path, or at a directory on its way? false: that is not known. */
bool folders_lack(struct folders *folders, uint32_t scope, struct slice path);
/* A path had to be looked at, and its directory was found, or another one that lacks what is on its way (the first `lacks` octets; 0: none). Where
 * its names would have spared the look they are read before long, on an I/O thread. The more of them there are, the more looks that wants. */
void folders_note(struct folders *folders, uint32_t scope, const struct file_root *root,
	struct slice path, size_t lacks);

/* May a name be there? false: it is not. */
bool folder_may_have(const struct folder *folder, struct slice name);
/* May a file in it be opened on a loop? Where another program or machine may answer for the call, or it cannot be read without a wait, it is
 * not to be. */
bool folder_is_quick(const struct folder *folder);
/* When its names were read: what no event tells of is known since then (struct clock, monotonic_ms). */
uint64_t folder_read_ms(const struct folder *folder);
/* What a name of these sets in the directory depends on. As after depend_add; to be called before the file is opened. *to is all zero. */
void folder_depend(
	const struct folder *folder, struct watch *watch, uint64_t sets, struct depend *to);

/* How many directories something is kept of, and the octets of that; for tests. */
size_t folders_count(const struct folders *folders);
size_t folders_bytes(const struct folders *folders);

#endif
