/* SPDX-License-Identifier: BSD-2-Clause */
/* What uacme said: its lines, condensed to what went wrong and what is to be done. Pure; the lines hold what an authority wrote, or whoever
 * sits in its place. */
#ifndef WEIR_PROCESS_ACME_REPORT_H
#define WEIR_PROCESS_ACME_REPORT_H

#include <stdbool.h>
#include <time.h>

#include "base/bytes.h"

#define REPORT_TEXT 320  /* octets of what is kept of a line */
#define REPORT_LINE 2048 /* of a line that are looked at */

struct acme_report {
	char type[48];            /* of the authority's error: "connection"; empty: it told none */
	char detail[REPORT_TEXT]; /* of it */
	char transfer[REPORT_TEXT]; /* what could not be fetched, and why */
	char last[REPORT_TEXT];     /* the last line that was no JSON */
	bool account_exists;        /* the account to be made is there already */
	bool no_account;            /* there is none (any more) */
	bool external;              /* the authority wants an account made elsewhere */
	unsigned
		busy; /* seconds that uacme sleeps because the authority asked for it; 0: it did not */
	bool in_error; /* the lines that come are the authority's error */
	size_t length; /* of the line that is not whole yet */
	char line[REPORT_LINE];
};

/* Why it failed, for what comes next. */
enum acme_fault {
	ACME_FAULT_NAMES,   /* this certificate: others may be had */
	ACME_FAULT_ACCOUNT, /* nothing can be had by this account, at this authority, until later */
};

/* Takes what uacme wrote, as it comes. All zero is a report of nothing. */
void acme_report_add(struct acme_report *report, const char *bytes, size_t length);
/* All was taken. */
void acme_report_end(struct acme_report *report);

enum acme_fault acme_report_fault(const struct acme_report *report);
/* When the authority wants to be asked again; 0: it did not say. */
time_t acme_report_not_before(const struct acme_report *report, time_t now);
/* One sentence: what went wrong, and what to do where that is known. */
void acme_report_tell(const struct acme_report *report, struct buffer *to);

#endif
