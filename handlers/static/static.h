/* SPDX-License-Identifier: BSD-2-Clause */
/* Files: answers GET and HEAD where the path names a regular file beneath the scope's root, and passes all else. */
#ifndef WEIR_STATIC_STATIC_H
#define WEIR_STATIC_STATIC_H

#include "handlers/file/file.h"
#include "handlers/file/mime.h"
#include "http/handler.h"

extern const struct handler static_handler;

/* `max_age`: Cache-Control by name. */
struct max_age_rule {
	struct slice
		pattern; /* with * and ?, NUL behind it: of the whole path when it begins with "/", else of the last name */
	int64_t seconds;
};

struct max_age {
	struct max_age_rule *rules; /* the first that fits counts */
	size_t count;
};

/* The keys of a site or route. */
struct static_settings {
	struct file_root root; /* path.ptr NULL: off */
	struct max_age max_age;
};

extern const struct option_set static_options;

/* handler.configure: checks the root, makes or shares the table of media types. */
int static_configure(
	struct load *load, struct snapshot *snapshot, const struct scope *scope, void *settings);
/* handler.grant: the roots. */
void static_grant(const struct snapshot *snapshot, grant_fn *add, void *context);
/* Seconds for Cache-Control of a path (decoded, with its first "/"); -1: says nothing. */
int64_t static_max_age(const struct static_settings *settings, const char *path);

#endif
