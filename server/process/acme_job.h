/* SPDX-License-Identifier: BSD-2-Clause */
/* One run of uacme. */
#ifndef WEIR_PROCESS_ACME_JOB_H
#define WEIR_PROCESS_ACME_JOB_H

#include "process/acme_report.h"
#include "process/acme_state.h"
#include "settings/snapshot.h"

#define ACME_JOB_SECONDS                                                                           \
	600 /* uacme takes half a second, or a minute where the authority is slow; it would wait for an hour */
#define ACME_END_SECONDS 20 /* what it may still take when its worker is gone */

/* What tells that the work is to end. */
struct acme_leash {
	int fds[2]; /* that become readable, or hung up, when there may be something to hear; -1: none */
	/* Hears it, without waiting. Whether to end; true ever after. */
	bool (*pulled)(struct acme_leash *leash);
};

/* Waits for `ms`, less when there is something to hear. Whether to end. */
bool acme_leash_wait(struct acme_leash *leash, int ms);

enum acme_action { ACME_NEW_ACCOUNT, ACME_UPDATE_ACCOUNT, ACME_ISSUE };

struct acme_job {
	const char *program;
	const struct acme_certificate *certificate;
	enum acme_action action;
	enum sandbox_mode sandbox;
	int self; /* descriptor of weir's own binary: the hook */
	struct acme_leash *leash;
	int transcript;               /* where all that it says is written as well; -1: nowhere */
	const struct acme_lock *lock; /* touched meanwhile; NULL: none */
};

enum acme_outcome {
	ACME_DONE,
	ACME_FAILED,  /* the report tells */
	ACME_LATE,    /* it took too long, and was ended */
	ACME_LEFT,    /* it was ended since the leash said so */
	ACME_NOT_RUN, /* errno */
};

/* Runs uacme and waits for its end; *report is of what it said. */
enum acme_outcome acme_job_run(const struct acme_job *job, struct acme_report *report);

#endif
