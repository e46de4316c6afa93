/* SPDX-License-Identifier: BSD-2-Clause */
/* What is asked for and when, and what comes of it: uacme is a script that does as it is told. */
#include "acme_world.h"
#include "base/check.h"
#include "process/acme_schedule.h"

/* What uacme does from now on: lines of sh. `$S` is the state, `$A` the action; each run leaves a line in $S/calls. */
static void uacme_does(struct world *w, const char *body)
{
	struct buffer text = {0};
	buffer_format(&text,
		"#!/bin/sh\nS=%s\nfor A in \"$@\"; do case $A in new|update|issue) break;; esac; done\n"
		"echo \"$@\" >> $S/calls\n%s\n",
		w->path, body);
	buffer_append(&text, "", 1);
	world_write(w->script, text.ptr, 0755);
	buffer_free(&text);
}

/* Whose line says `issue`. */
static unsigned issues(const struct world *w)
{
	char path[128], text[8192];
	unsigned count = 0;
	snprintf(path, sizeof(path), "%s/calls", w->path);
	world_read(path, text, sizeof(text));
	for (const char *at = text; (at = strstr(at, " issue ")) != NULL; at++)
		count++;
	return count;
}

/* What uacme will issue: prepared aside, moved by the script. */
static void prepare_issue(struct world *w, time_t begins, time_t ends)
{
	char from[160], to[160];
	world_certificate(w, "a.test", "www.a.test", begins, ends);
	snprintf(from, sizeof(from), "%s/a.test/cert.pem", w->path);
	snprintf(to, sizeof(to), "%s/issued.pem", w->path);
	assert_int_equal(rename(from, to), 0);
}

#define ISSUES "[ $A = issue ] && mv $S/issued.pem $S/a.test/cert.pem; exit 0"

/* --- Runs. --- */

static void none_yet(void **state)
{
	struct world *w = *state;
	time_t now = time(NULL);
	prepare_issue(w, now - 60, now + 90 * DAY);
	uacme_does(w, ISSUES);
	struct acme_due due = acme_due(w->state, &w->certificate, now);
	assert_int_equal(due.when, 0);
	acme_look(&w->certificate, &w->means);
	assert_true(world_logged(
		w, "certificate for a.test, www.a.test obtained from https://ca.test/dir"));
	assert_true(world_logged(w, "an account was made"));
	assert_int_equal(issues(w), 1);
	due = acme_due(w->state, &w->certificate, now);
	assert_true(due.when > now + 59 * DAY && due.when < now + 65 * DAY);
	acme_look(&w->certificate, &w->means); /* not again */
	assert_int_equal(issues(w), 1);
	char path[160], text[1024];
	snprintf(path, sizeof(path), "%s/calls", w->path);
	world_read(path, text, sizeof(text));
	assert_non_null(strstr(text, "-a https://ca.test/dir"));
	assert_non_null(strstr(text, "-- new me@a.test\n"));
	assert_non_null(strstr(text, "-h /proc/self/fd/3 -- issue a.test www.a.test\n"));
}

static void old_ones_are_renewed(void **state)
{
	struct world *w = *state;
	time_t now = time(NULL);
	world_certificate(w, "a.test", "www.a.test", now - 80 * DAY, now + 10 * DAY);
	assert_true(acme_due(w->state, &w->certificate, now).renewal);
	assert_true(acme_due(w->state, &w->certificate, now).when < now);
	/* whose names are others, whose key is gone, and what is no certificate, at once */
	world_certificate(w, "a.test", NULL, now - DAY, now + 90 * DAY);
	assert_int_equal(acme_due(w->state, &w->certificate, now).when, 0);
	world_certificate(w, "a.test", "www.a.test", now - DAY, now + 90 * DAY);
	assert_true(acme_due(w->state, &w->certificate, now).when > now);
	assert_int_equal(unlinkat(w->state, "private/a.test/key.pem", 0), 0);
	assert_int_equal(acme_due(w->state, &w->certificate, now).when, 0);
	char path[160];
	snprintf(path, sizeof(path), "%s/a.test/cert.pem", w->path);
	world_write(path, "what is this\n", 0600);
	assert_int_equal(acme_due(w->state, &w->certificate, now).when, 0);
}

#define REFUSES                                                                                      \
	"[ $A = issue ] || exit 0; cat >&2 <<'X'\nuacme: failed to create new order at https://l\n"  \
	"uacme: the server reported the following error:\n{\n"                                       \
	"    \"type\": \"urn:ietf:params:acme:error:dns\",\n    \"detail\": \"no A record\"\n}\nX\n" \
	"exit 2"

static void a_failure_is_remembered(void **state)
{
	struct world *w = *state;
	time_t now = time(NULL);
	uacme_does(w, REFUSES);
	acme_look(&w->certificate, &w->means);
	assert_int_equal(issues(w), 1);
	assert_true(world_logged(
		w, "no certificate for a.test, www.a.test (attempt 1): no A record (dns)"));
	struct acme_due due = acme_due(w->state, &w->certificate, now);
	assert_true(due.when >= now + 60 && due.when <= now + 80);
	/* who starts anew knows of it */
	acme_look(&w->certificate, &w->means);
	assert_int_equal(issues(w), 1);
	/* other names are another matter */
	w->certificate.count = 1;
	assert_int_equal(acme_due(w->state, &w->certificate, now).when, 0);
	w->certificate.count = 2;
	/* the more failures the longer, and success forgets them */
	assert_true(acme_due(w->state, &w->certificate, now + 100).when <= now + 100);
	char path[160];
	snprintf(path, sizeof(path), "%s/weir/a.test.state", w->path);
	assert_int_equal(unlink(path), 0);
	prepare_issue(w, now - 60, now + 90 * DAY);
	uacme_does(w, ISSUES);
	acme_look(&w->certificate, &w->means);
	assert_int_equal(issues(w), 2);
	struct acme_record record;
	acme_record_read(w->state, "a.test", 0, &record);
	assert_true(record.good && record.failures == 0);
}

/* The clock was wrong when it was written. */
static void impossible_records_hold_nothing_back(void **state)
{
	struct world *w = *state;
	time_t now = time(NULL);
	uacme_does(w, REFUSES);
	acme_look(&w->certificate, &w->means);
	assert_true(acme_due(w->state, &w->certificate, now).when > now);
	assert_int_equal(acme_due(w->state, &w->certificate, now - 20 * DAY).when, 0);
}

/* An authority that cannot be reached is asked for nothing else either. */
static void an_account_is_held_back_as_a_whole(void **state)
{
	struct world *w = *state;
	time_t now = time(NULL);
	uacme_does(
		w, "echo 'uacme: curl_get: GET https://ca.test/dir failed: Timeout' >&2; exit 2");
	acme_look(&w->certificate, &w->means);
	assert_int_equal(issues(w), 0);
	char *other[] = {(char *)(uintptr_t) "b.test"};
	struct acme_certificate second = w->certificate;
	second.names = other;
	second.count = 1;
	assert_true(acme_due(w->state, &second, now).when >= now + 60);
	second.directory = (char *)(uintptr_t) "https://other.test/dir";
	assert_int_equal(acme_due(w->state, &second, now).when, 0);
}

static void an_account_that_exists(void **state)
{
	struct world *w = *state;
	time_t now = time(NULL);
	char path[160], text[1024];
	prepare_issue(w, now - 60, now + 90 * DAY);
	uacme_does(w,
		"[ $A = new ] && { echo 'uacme: Account already exists at https://l' >&2; exit 2; }\n" ISSUES);
	acme_look(&w->certificate, &w->means);
	assert_int_equal(issues(w), 1);
	snprintf(path, sizeof(path), "%s/calls", w->path);
	assert_non_null(strstr(world_read(path, text, sizeof(text)), "-- update me@a.test\n"));
}

static void an_account_that_was_forgotten(void **state)
{
	struct world *w = *state;
	time_t now = time(NULL);
	prepare_issue(w, now - 60, now + 90 * DAY);
	uacme_does(w,
		"[ $A = new ] && { touch $S/made; exit 0; }\n"
		"[ -f $S/made ] || { echo 'uacme: no account associated with x' >&2; exit 2; }\n" ISSUES);
	struct acme_record record = {.good = true};
	record.about =
		acme_seed(slice_of("me@a.test"), acme_seed(slice_of("https://ca.test/dir"), 1));
	char name[64];
	snprintf(name, sizeof(name), "account@%016llx",
		(unsigned long long)acme_seed(slice_of("https://ca.test/dir"), 0));
	assert_int_equal(acme_record_write(w->state, name, &record), 0);
	acme_look(&w->certificate, &w->means);
	assert_int_equal(issues(w), 2);
	assert_true(world_logged(w, "obtained from"));
}

static void what_was_issued_is_looked_at(void **state)
{
	struct world *w = *state;
	uacme_does(w, "exit 0");
	acme_look(&w->certificate, &w->means);
	assert_true(world_logged(w, "one was issued, but its file is not there"));
	assert_true(acme_due(w->state, &w->certificate, time(NULL)).when > time(NULL));
}

/* Two that share the folder and want other authorities would take turns. */
static void turns_are_not_taken_for_ever(void **state)
{
	struct world *w = *state;
	time_t now = time(NULL);
	char *directory = w->certificate.directory;
	for (unsigned i = 0; i < 8; i++) {
		char other[64];
		snprintf(other, sizeof(other), "https://ca%u.test/dir", i % 2);
		w->certificate.directory = other;
		prepare_issue(w, now - 60, now + 90 * DAY);
		if (i > 0) /* the other's is there */
			world_certificate(w, "a.test", "www.a.test", now - 60, now + 90 * DAY);
		uacme_does(w, "exit 0");
		if (i == 0)
			uacme_does(w, ISSUES);
		acme_look(&w->certificate, &w->means);
	}
	w->certificate.directory = directory;
	assert_int_equal(issues(w), 4);
	assert_true(world_logged(w, "4 times within a week"));
}

static void it_writes_nowhere_else(void **state)
{
	struct world *w = *state;
	char path[128];
	struct acme_report report;
	struct acme_job job = {.program = w->script,
		.certificate = &w->certificate,
		.action = ACME_ISSUE,
		.sandbox = SANDBOX_ON,
		.self = w->means.self,
		.leash = &w->leash,
		.transcript = -1};
	uacme_does(
		w, "echo x > $S/../outside; echo x > $S/inside; env >&2; ls -l /proc/self/fd >&2");
	acme_job_run(&job, &report);
	snprintf(path, sizeof(path), "%s/inside", w->path);
	assert_int_equal(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "%s/../outside", w->path);
	assert_int_equal(access(path, F_OK), -1);
}

static void missing_programs(void **state)
{
	struct world *w = *state;
	w->means.program = "/nowhere/uacme";
	acme_look(&w->certificate, &w->means);
	assert_true(world_logged(w, "/nowhere/uacme: No such file or directory"));
}

/* What sleeps is ended, with what it has started. */
static void the_end_is_bounded(void **state)
{
	struct world *w = *state;
	struct acme_report report;
	struct acme_job job = {.program = w->script,
		.certificate = &w->certificate,
		.action = ACME_ISSUE,
		.sandbox = SANDBOX_ON,
		.self = w->means.self,
		.leash = &w->leash,
		.transcript = -1};
	uacme_does(w, "sleep 1000 & echo $! > $S/pid\n"
		      "echo 'uacme: acme_post: server busy, waiting 7200 seconds' >&2; wait");
	assert_int_equal(acme_job_run(&job, &report), ACME_LATE);
	assert_int_equal(report.busy, 7200);
	char path[128], text[32];
	snprintf(path, sizeof(path), "%s/pid", w->path);
	pid_t pid = (pid_t)atoi(world_read(path, text, sizeof(text)));
	assert_true(pid > 1);
	for (int i = 0; i < 500 && kill(pid, 0) == 0; i++) { /* its new parent reaps it soon */
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
		char stat[256];
		if (strstr(world_read(path, stat, sizeof(stat)), ") Z"))
			return;
		usleep(10000);
	}
	assert_int_equal(kill(pid, 0), -1);
}

static void tending_ends_with_the_leash(void **state)
{
	struct world *w = *state;
	struct acme_plan plan = {&w->certificate, 1};
	uacme_does(w, REFUSES);
	w->end = true;
	acme_tend(&plan, &w->means);
	assert_int_equal(issues(w), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(none_yet),
		WORLD_TEST(old_ones_are_renewed),
		WORLD_TEST(a_failure_is_remembered),
		WORLD_TEST(impossible_records_hold_nothing_back),
		WORLD_TEST(an_account_is_held_back_as_a_whole),
		WORLD_TEST(an_account_that_exists),
		WORLD_TEST(an_account_that_was_forgotten),
		WORLD_TEST(what_was_issued_is_looked_at),
		WORLD_TEST(turns_are_not_taken_for_ever),
		WORLD_TEST(it_writes_nowhere_else),
		WORLD_TEST(missing_programs),
		WORLD_TEST(the_end_is_bounded),
		WORLD_TEST(tending_ends_with_the_leash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
