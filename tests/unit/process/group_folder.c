/* SPDX-License-Identifier: BSD-2-Clause */
/* A folder of control groups, filled and emptied. */
#include "group_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

char group_folder[] = "/tmp/weir-groups-XXXXXX";

void group_put(const char *folder, const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof(path), "%s%s", group_folder, folder);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s%s/%s", group_folder, folder, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int remove_entry(const char *path, const struct stat *s, int kind, struct FTW *ftw)
{
	(void)s, (void)kind, (void)ftw;
	return remove(path);
}

int group_folder_empty(void **state)
{
	(void)state;
	nftw(group_folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	return mkdir(group_folder, 0700);
}
