/* SPDX-License-Identifier: BSD-2-Clause */
/* Certificates from an authority, obtained and renewed by uacme: one at a time, remembered in the folder of the state. */
#ifndef WEIR_PROCESS_ACME_H
#define WEIR_PROCESS_ACME_H

#include "process/acme_job.h"
#include "process/acme_plan.h"
#include "settings/snapshot.h"

/* What there is to work with. */
struct acme_means {
	enum sandbox_mode sandbox;
	const char *program; /* uacme's path; NULL: it is looked for */
	int self;            /* descriptor of weir's own binary */
	struct acme_leash *leash;
};

/* When this certificate is to be asked for, as things stand, and why: 0 is at once. `now` tells what in a record cannot be true. */
struct acme_due {
	time_t when;
	const char *why; /* "there is none yet" */
	bool renewal;    /* one that is good is there, and old then */
	time_t ends;     /* of the one that is there; 0: there is none */
};
struct acme_due acme_due(int state, const struct acme_certificate *certificate, time_t now);

/* Looks at one, and obtains it when it is due. When to look again; messages go to the log. */
time_t acme_look(const struct acme_certificate *certificate, const struct acme_means *means);

/* Looks after all of them until the leash says so. */
void acme_tend(const struct acme_plan *plan, const struct acme_means *means);

#endif
