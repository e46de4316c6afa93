/* SPDX-License-Identifier: BSD-2-Clause */
/* What decides that an authority is asked, and remembers how that went. An authority limits what it does for a name, for an account, and what fails;
 * so nothing is tried that was tried lately, by whichever process on whichever machine, and what is decided is decided under the lock. */
#include "process/acme.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "process/acme_certificate.h"
#include "process/acme_schedule.h"

#define BUSY_SECONDS    5            /* another works in the folder */
#define TROUBLE_SECONDS 300          /* the folder itself is the trouble */
#define LOOK_SECONDS    (6 * 3600)   /* files may come and go without us */
#define WAIT_MS         (10 * 60000) /* the clock may be set */
#define LATE_SECONDS    (7 * 86400)  /* less than that left: no mere warning */
#define EARLY_MAX       4            /* issues of one name before their time… */
#define EARLY_SECONDS   (7 * 86400)  /* …within a week: Let's Encrypt makes five */

/* --- Names of records. --- */

static uint64_t about_certificate(const struct acme_certificate *c)
{
	uint64_t hash = acme_seed(slice_of(c->directory), 0);
	for (unsigned i = 0; i < c->count; i++)
		hash = acme_seed(slice_of(c->names[i]), hash);
	return hash;
}

static uint64_t about_account(const struct acme_certificate *c)
{
	return acme_seed(slice_of(c->email), acme_seed(slice_of(c->directory), 1));
}

/* An account is of one authority. */
static void account_name(char room[40], const struct acme_certificate *c)
{
	snprintf(room, 40, "account@%016" PRIx64, acme_seed(slice_of(c->directory), 0));
}

/* Issues of whatever was asked for under this name: whom the last one came from (`about`), for an authority's certificate for tests must not keep
 * the real one from being had; and how many (`failures`) were made since `next` before the one that was there was old. */
static void issues_name(char room[300], const struct acme_certificate *c)
{
	snprintf(room, 300, "issues@%s", c->names[0]);
}

static void read_issues(int state, const struct acme_certificate *c, struct acme_record *record)
{
	char name[300];
	issues_name(name, c);
	acme_record_read(state, name, 0, record);
}

static void when_text(char room[32], time_t when)
{
	struct tm tm;
	if (!gmtime_r(&when, &tm) || !strftime(room, 32, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(room, 32, "?");
}

/* --- When. --- */

/* Until when a record holds back. One that the clock makes impossible does not. */
static time_t held(const struct acme_record *record, time_t now)
{
	if (record->failures == 0 || record->last > now + 3600 ||
		record->next > now + ACME_PAUSE_MOST + ACME_RETRY_MOST)
		return 0;
	return (time_t)record->next;
}

/* Machines that share the folder but not what they ask for would take turns for ever. */
static time_t held_early(const struct acme_record *issues, time_t now)
{
	time_t ends = (time_t)issues->next + EARLY_SECONDS;
	return issues->failures >= EARLY_MAX && ends > now && issues->next <= now ? ends : 0;
}

static void look_at_files(
	int state, const struct acme_certificate *c, time_t now, struct acme_due *due)
{
	struct acme_facts facts;
	struct acme_record issues;
	read_issues(state, c, &issues);
	if (acme_certificate_read(state, c, &facts)) {
		due->why = "there is none yet";
	} else {
		due->ends = facts.ends;
		due->why = facts.wrong;
		if (!due->why && issues.good &&
			issues.about != acme_seed(slice_of(c->directory), 0))
			due->why = "it is from another directory";
		if (!due->why) {
			due->renewal = true;
			due->why = "two thirds of its time are over";
			due->when = acme_renewal(facts.begins, facts.ends,
				acme_seed(slice_of(c->names[0]), (uint64_t)facts.begins));
			return;
		}
	}
	due->when = held_early(&issues, now);
}

struct acme_due acme_due(int state, const struct acme_certificate *c, time_t now)
{
	char name[40];
	struct acme_record record, account;
	struct acme_due due = {0};
	look_at_files(state, c, now, &due);
	acme_record_read(state, c->names[0], about_certificate(c), &record);
	account_name(name, c);
	acme_record_read(state, name, about_account(c), &account);
	time_t until = held(&record, now), all_until = held(&account, now);
	if (until < all_until)
		until = all_until;
	if (due.when < until)
		due.when = until;
	return due;
}

/* --- What came of it. --- */

/* Everything that one attempt needs. */
struct attempt {
	const struct acme_certificate *certificate;
	const struct acme_means *means;
	int state;
	struct acme_lock *lock;
	struct acme_due due;
	char account[40];
	int transcript;
	struct acme_report report;
};

static void names_text(struct buffer *to, const struct acme_certificate *c)
{
	for (unsigned i = 0; i < c->count && to->len < 200; i++)
		buffer_format(to, "%s%s", i ? ", " : "", c->names[i]);
	if (to->len >= 200)
		buffer_format(to, " and more (%u)", c->count);
}

static void note(int state, const char *name, const struct acme_record *record)
{
	if (acme_record_write(state, name, record))
		log_error("acme: cannot note in the folder of the state how it went: %m");
}

/* Counts a failure in the record of the certificate or of the account, which goes on being there. */
static void note_failure(
	const struct attempt *a, bool is_account, time_t not_before, const char *text)
{
	struct acme_record record;
	const char *name = is_account ? a->account : a->certificate->names[0];
	uint64_t about =
		is_account ? about_account(a->certificate) : about_certificate(a->certificate);
	time_t now = time(NULL);
	acme_record_read(a->state, name, about, &record);
	if (record.failures < UINT_MAX)
		record.failures++;
	record.last = now;
	record.next = acme_retry(
		now, record.failures, not_before, acme_seed(slice_of(name), (uint64_t)now));
	if (!is_account || a->report.no_account)
		record.good = false;
	snprintf(record.text, sizeof(record.text), "%s", text);
	note(a->state, name, &record);
	char when[32];
	when_text(when, (time_t)record.next);
	struct buffer names = {0};
	names_text(&names, a->certificate);
	bool late = a->due.ends != 0 && a->due.ends < now + LATE_SECONDS;
	log_at(NULL, late ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, LOG_ALWAYS,
		"acme: no certificate for %.*s (attempt %u): %s. Next attempt after %s; for one at once "
		"remove %s/%s/%s.state and reload. uacme's own words: %s/%s/%s.log",
		(int)names.len, names.ptr, record.failures, text, when, a->certificate->state,
		ACME_OWN, name, a->certificate->state, ACME_OWN, a->certificate->names[0]);
	buffer_free(&names);
}

static void note_issue(const struct attempt *a, time_t now)
{
	const struct acme_certificate *c = a->certificate;
	char name[300], when[32];
	struct acme_record issues;
	read_issues(a->state, c, &issues);
	issues.about = acme_seed(slice_of(c->directory), 0);
	issues.last = now;
	issues.good = true;
	if (!a->due.renewal && (issues.next + EARLY_SECONDS < now || issues.next > now)) {
		issues.next = now;
		issues.failures = 0;
	}
	issues.failures += !a->due.renewal;
	snprintf(issues.text, sizeof(issues.text), "%s", c->directory);
	issues_name(name, c);
	note(a->state, name, &issues);
	if (!held_early(&issues, now))
		return;
	when_text(when, held_early(&issues, now));
	log_warn(
		"acme: %s was asked for %u times within a week though not old: do machines share %s "
		"that want other names, or another directory? Not before %s again",
		c->names[0], issues.failures, c->state, when);
}

static void note_success(const struct attempt *a, time_t renewal, time_t ends)
{
	const struct acme_certificate *c = a->certificate;
	char until[32], from[32];
	time_t now = time(NULL);
	struct acme_record account;
	struct acme_record record = {
		.about = about_certificate(c), .last = now, .next = renewal, .good = true};
	when_text(until, ends);
	when_text(from, renewal);
	snprintf(record.text, sizeof(record.text), "valid until %s", until);
	note(a->state, c->names[0], &record);
	acme_record_read(a->state, a->account, about_account(c), &account);
	if (account.failures > 0) {
		account.failures = 0;
		note(a->state, a->account, &account);
	}
	struct buffer names = {0};
	names_text(&names, c);
	log_info(
		"acme: certificate for %.*s obtained from %s (%s), valid until %s, renewed after %s",
		(int)names.len, names.ptr, c->directory, a->due.why, until, from);
	buffer_free(&names);
	note_issue(a, now);
}

/* --- An attempt. --- */

static void tell(const struct attempt *a, enum acme_outcome outcome, struct buffer *to)
{
	if (outcome == ACME_NOT_RUN)
		buffer_format(to, "uacme cannot be started: %s", strerror(errno));
	else if (outcome == ACME_LATE && a->report.busy == 0)
		buffer_format(to, "uacme took longer than %d s and was ended", ACME_JOB_SECONDS);
	else
		acme_report_tell(&a->report, to);
	buffer_append(to, "", 1);
}

static void note_outcome(struct attempt *a, enum acme_outcome outcome)
{
	struct buffer text = {0};
	time_t not_before = acme_report_not_before(&a->report, time(NULL));
	bool is_account = acme_report_fault(&a->report) == ACME_FAULT_ACCOUNT;
	tell(a, outcome, &text);
	note_failure(a, is_account, not_before, text.ptr);
	buffer_free(&text);
}

static enum acme_outcome run(struct attempt *a, enum acme_action action)
{
	char program[PATH_MAX];
	struct acme_job job = {.certificate = a->certificate,
		.action = action,
		.program = a->means->program ? a->means->program
					     : acme_program(program, sizeof(program)),
		.sandbox = a->means->sandbox,
		.self = a->means->self,
		.leash = a->means->leash,
		.transcript = a->transcript,
		.lock = a->lock};
	a->report = (struct acme_report){0};
	if (!job.program) {
		errno = ENOENT;
		return ACME_NOT_RUN;
	}
	return acme_job_run(&job, &a->report);
}

/* Makes the account, once an authority and address. 0; -1: it failed, which is noted, or the end was asked for. */
static int have_account(struct attempt *a)
{
	const struct acme_certificate *c = a->certificate;
	struct acme_record record;
	acme_record_read(a->state, a->account, about_account(c), &record);
	if (record.good)
		return 0;
	enum acme_outcome outcome = run(a, ACME_NEW_ACCOUNT);
	bool made = outcome == ACME_DONE;
	if (outcome == ACME_FAILED && a->report.account_exists)
		outcome = c->email[0] ? run(a, ACME_UPDATE_ACCOUNT) : ACME_DONE;
	if (outcome == ACME_LEFT)
		return -1;
	if (outcome != ACME_DONE) {
		note_outcome(a, outcome);
		return -1;
	}
	record.last = time(NULL); /* failures stay, until something was issued */
	record.good = true;
	snprintf(record.text, sizeof(record.text), "%s", c->directory);
	note(a->state, a->account, &record);
	if (made)
		log_info("acme: an account was made at %s and its terms were agreed to%s%s",
			c->directory, c->email[0] ? ", for " : "", c->email);
	return 0;
}

static void forget_account(const struct attempt *a)
{
	struct acme_record record;
	acme_record_read(a->state, a->account, about_account(a->certificate), &record);
	record.good = false;
	note(a->state, a->account, &record);
}

static void obtain(struct attempt *a)
{
	const struct acme_certificate *c = a->certificate;
	if (have_account(a))
		return;
	enum acme_outcome outcome = run(a, ACME_ISSUE);
	if (outcome == ACME_FAILED && a->report.no_account) {
		/* an authority that has forgotten it: once more, with another */
		forget_account(a);
		if (have_account(a))
			return;
		outcome = run(a, ACME_ISSUE);
	}
	acme_state_sweep(a->state);
	if (outcome == ACME_LEFT)
		return;
	if (outcome != ACME_DONE) {
		note_outcome(a, outcome);
		return;
	}
	struct acme_facts facts = {0};
	time_t now = time(NULL), renewal = 0;
	const char *wrong =
		acme_certificate_read(a->state, c, &facts) ? "its file is not there" : facts.wrong;
	if (!wrong) {
		renewal = acme_renewal(facts.begins, facts.ends,
			acme_seed(slice_of(c->names[0]), (uint64_t)facts.begins));
		if (renewal <= now)
			wrong = "its time is over already (is the clock right?)";
	}
	if (wrong) {
		char text[160];
		snprintf(text, sizeof(text), "one was issued, but %s", wrong);
		note_failure(a, false, 0, text);
		return;
	}
	note_success(a, renewal, facts.ends);
	acme_state_prune(a->state, c->names[0]);
}

/* Looks once more, now that nobody else works here. */
static time_t look_alone(struct attempt *a)
{
	a->due = acme_due(a->state, a->certificate, time(NULL));
	if (a->due.when <= time(NULL)) {
		char path[320];
		account_name(a->account, a->certificate);
		snprintf(path, sizeof(path), "%s/%s.log", ACME_OWN, a->certificate->names[0]);
		a->transcript = openat(a->state, path,
			O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
		obtain(a);
		if (a->transcript >= 0)
			close(a->transcript);
		a->due = acme_due(a->state, a->certificate, time(NULL));
	}
	return a->due.when;
}

time_t acme_look(const struct acme_certificate *c, const struct acme_means *means)
{
	struct acme_lock lock;
	time_t now = time(NULL), again = now + TROUBLE_SECONDS;
	int state = open(c->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state < 0) {
		log_error("acme: cannot open the folder of the state %s: %m", c->state);
		return again;
	}
	struct acme_due due = acme_due(state, c, now);
	if (due.when > now) {
		again = due.when;
	} else {
		switch (acme_lock_take(&lock, state)) {
		case ACME_LOCKED: {
			struct attempt a = {
				.certificate = c, .means = means, .state = state, .lock = &lock};
			again = look_alone(&a);
			acme_lock_release(&lock);
			break;
		}
		case ACME_BUSY:
			again = now + BUSY_SECONDS;
			break;
		case ACME_LOCK_FAILED:
			log_error("acme: cannot lock the folder of the state %s: %m", c->state);
			break;
		}
	}
	close(state);
	now = time(NULL);
	return again < now + 1 ? now + 1 : again < now + LOOK_SECONDS ? again : now + LOOK_SECONDS;
}

/* --- All of them. --- */

void acme_tend(const struct acme_plan *plan, const struct acme_means *means)
{
	time_t *at = must_zalloc((plan->count + 1) * sizeof(*at));
	int64_t wait = 0;
	while (!acme_leash_wait(means->leash, (int)wait)) {
		time_t now = time(NULL), next = now + WAIT_MS / 1000;
		for (size_t i = 0; i < plan->count && !means->leash->pulled(means->leash); i++) {
			/* farther than ever written: the clock was set back */
			if (at[i] <= time(NULL) || at[i] > now + LOOK_SECONDS + 60)
				at[i] = acme_look(&plan->list[i], means);
			if (at[i] < next)
				next = at[i];
		}
		wait = (int64_t)(next - time(NULL)) * 1000;
		wait = wait < 200 ? 200 : wait > WAIT_MS ? WAIT_MS : wait;
	}
	free(at);
}
