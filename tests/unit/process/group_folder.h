/* SPDX-License-Identifier: BSD-2-Clause */
/* A folder that looks like that of the kernel's control groups. */
#ifndef WEIR_TESTS_GROUP_FOLDER_H
#define WEIR_TESTS_GROUP_FOLDER_H

/* A template for mkdtemp, with which a test begins. */
extern char group_folder[];

/* Writes a file of a group: `folder` is "" or "/GROUP", and is made if its own folder is there. */
void group_put(const char *folder, const char *name, const char *text);
/* Behind each test. */
int group_folder_empty(void **state);

#endif
