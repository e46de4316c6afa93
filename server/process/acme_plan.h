/* SPDX-License-Identifier: BSD-2-Clause */
/* Which certificates are to be had, from whom, and where they go: made from the settings by the worker, written as text, read by the helper. */
#ifndef WEIR_PROCESS_ACME_PLAN_H
#define WEIR_PROCESS_ACME_PLAN_H

#include "settings/snapshot.h"

/* Texts are never NULL; an empty one was not given. */
struct acme_certificate {
	char *state;     /* the folder of the state, absolute */
	char *directory; /* URL */
	char *email;
	char *ca;     /* a file of authorities to trust when talking to the directory */
	char **names; /* the first one is the name of its folders */
	unsigned count;
};

struct acme_plan {
	struct acme_certificate *list;
	size_t count;
};

/* Of all certificates of a snapshot that weir is to obtain; those that would have the same files become one with all names. */
void acme_plan_make(struct acme_plan *plan, const struct snapshot *snapshot);
/* Adds a certificate, or names to the one that has its files. */
void acme_plan_add(struct acme_plan *plan, const struct acme_certificate *what);
void acme_plan_write(const struct acme_plan *plan, struct buffer *to);
/* 0, or -1 when this is no plan, which is empty then. */
int acme_plan_read(struct acme_plan *plan, struct slice text);
void acme_plan_free(struct acme_plan *plan);

/* Where uacme is: as found when weir was built, else in PATH or the usual places. A path that lasts, in `room`; NULL: nowhere. */
const char *acme_program(char *room, size_t size);

#endif
