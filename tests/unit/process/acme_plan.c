/* SPDX-License-Identifier: BSD-2-Clause */
/* What acme decides without looking at anything: when, what uacme's words mean, the plan as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "process/acme_plan.h"
#include "process/acme_report.h"
#include "process/acme_schedule.h"
#include "settings/tls.h"

#define DAY 86400

/* --- When. --- */

static void renewed_at_two_thirds(void **state)
{
	(void)state;
	const time_t begins = 1700000000;
	static const time_t lifetimes[] = {90 * DAY, 6 * DAY, 397 * DAY, 3600};
	for (size_t i = 0; i < COUNT_OF(lifetimes); i++) {
		time_t lifetime = lifetimes[i], first = begins + lifetime, last = begins;
		for (uint64_t seed = 0; seed < 3000; seed++) {
			time_t at = acme_renewal(
				begins, begins + lifetime, acme_seed(SLICE("a"), seed));
			assert_true(at >= begins + (lifetime * 2 + 2) / 3);
			assert_true(at <= begins + (lifetime * 2 + 2) / 3 + lifetime / 20);
			first = at < first ? at : first;
			last = at > last ? at : last;
		}
		assert_true(last - first > lifetime / 25); /* spread over all of it */
	}
	/* times that cannot be */
	assert_int_equal(acme_renewal(100, 100, 7), 100);
	assert_int_equal(acme_renewal(100, 50, 7), 100);
}

static void retried_less_and_less(void **state)
{
	(void)state;
	const time_t now = 1700000000;
	static const time_t least[] = {60, 180, 540, 1620, 4860, 14580, 43740, DAY, DAY};
	for (unsigned i = 0; i < COUNT_OF(least); i++) {
		for (uint64_t seed = 0; seed < 100; seed++) {
			time_t at = acme_retry(now, i + 1, 0, acme_seed(SLICE("b"), seed));
			assert_true(at >= now + least[i]);
			assert_true(at <= now + least[i] + least[i] / 4);
		}
	}
	assert_true(acme_retry(now, 4000000000u, 0, 3) <= now + DAY + DAY / 4);
}

/* Five failed validations an hour are allowed by Let's Encrypt, whatever the jitter. */
static void five_attempts_an_hour(void **state)
{
	(void)state;
	const time_t begin = 1700000000;
	time_t now = begin;
	unsigned within = 0;
	for (unsigned failures = 1; now < begin + 3600; failures++) {
		within++;
		now = acme_retry(now, failures, 0, 0);
	}
	assert_true(within <= 5);
}

static void an_authority_is_believed_within_bounds(void **state)
{
	(void)state;
	const time_t now = 1700000000;
	assert_int_equal(acme_retry(now, 1, now + 5000, 0), now + 5000);
	assert_int_equal(acme_retry(now, 1, now + 10, 0), now + 60);
	assert_int_equal(acme_retry(now, 1, now + 400 * DAY, 0), now + ACME_PAUSE_MOST);
}

static void retry_after_is_read(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		time_t when;
	} rows[] = {
		{"too many certificates (5) already issued for this exact set of identifiers in the "
		 "last 168h0m0s, retry after 2025-01-15 07:12:33 UTC: see https://example.org",
			1736925153},
		{"retry after 2025-01-15T07:12:33Z: see", 1736925153},
		{"retry after 1970-01-01 00:00:00", 0},
		{"retry after 2025-13-15 07:12:33", 0},
		{"retry after tomorrow", 0},
		{"retry after ", 0},
		{"retry after 2025-01-15", 0},
		{"2025-01-15 07:12:33", 0},
		{"", 0},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(acme_retry_after(slice_of(rows[i].text)), rows[i].when);
}

/* --- What uacme says. --- */

static void hear(struct acme_report *report, const char *text)
{
	*report = (struct acme_report){0};
	/* octet by octet: lines come in pieces */
	for (const char *at = text; *at; at++)
		acme_report_add(report, at, 1);
	acme_report_end(report);
}

static void tells(const struct acme_report *report, const char *words)
{
	struct buffer text = {0};
	acme_report_tell(report, &text);
	buffer_append(&text, "", 1);
	if (!strstr(text.ptr, words))
		fail_msg("\"%s\" is not in \"%s\"", words, text.ptr);
	buffer_free(&text);
}

#define ERROR(type, detail)                                                                        \
	"uacme: failed to create new order at https://localhost/order\n"                           \
	"uacme: the server reported the following error:\n{\n"                                     \
	"    \"type\": \"urn:ietf:params:acme:error:" type "\",\n    \"detail\": \"" detail        \
	"\",\n    \"status\": 400\n}\n"

static void an_error_of_the_authority(void **state)
{
	(void)state;
	struct acme_report report;
	hear(&report,
		ERROR("connection",
			"Get \\\"http://weir.test/\\\": dial tcp 127.0.0.1:80: refused") "uacme: running /proc/self/fd/3 failed http-01 weir.test token token.auth\n"
											 "uacme: failed to authorize order at https://localhost/my-order/1\n");
	assert_string_equal(report.type, "connection");
	tells(&report, "Get \"http://weir.test/\": dial tcp 127.0.0.1:80: refused (connection)");
	tells(&report, "at port 80");
	assert_int_equal(acme_report_fault(&report), ACME_FAULT_NAMES);
	assert_int_equal(acme_report_not_before(&report, 1000), 0);
}

static void limits_of_names_and_of_accounts(void **state)
{
	(void)state;
	struct acme_report report;
	hear(&report,
		ERROR("rateLimited",
			"too many failed authorizations (5) for \\\"a.test\\\" in the last 1h0m0s, "
			"retry after 2025-01-15 07:12:33 UTC"));
	assert_int_equal(acme_report_fault(&report), ACME_FAULT_NAMES);
	assert_int_equal(acme_report_not_before(&report, 1000), 1736925153);
	hear(&report, ERROR("rateLimited", "too many new orders (300) from this account"));
	assert_int_equal(acme_report_fault(&report), ACME_FAULT_ACCOUNT);
	assert_int_equal(acme_report_not_before(&report, 1000), 4600);
	hear(&report, "uacme: acme_post: server busy, waiting 7200 seconds\n");
	assert_int_equal(acme_report_fault(&report), ACME_FAULT_ACCOUNT);
	assert_int_equal(acme_report_not_before(&report, 1000), 8200);
	hear(&report, "uacme: acme_post: server busy, waiting 99999999999999999999 seconds\n");
	assert_true(acme_report_not_before(&report, 0) <= ACME_PAUSE_MOST);
}

static void what_cannot_be_fetched(void **state)
{
	(void)state;
	struct acme_report report;
	hear(&report,
		"uacme: version 1.7.4 starting on Fri, 27 Nov 2026 19:02:24 +0000\n"
		"uacme: curl_get: GET https://ca.test/dir failed: SSL peer certificate or SSH "
		"remote key was not OK\nuacme: curl_get: waiting 5 seconds before retrying\n"
		"uacme: failed to fetch directory at https://ca.test/dir\n");
	assert_int_equal(acme_report_fault(&report), ACME_FAULT_ACCOUNT);
	tells(&report, "GET https://ca.test/dir failed");
	tells(&report, "`ca`");
}

static void accounts(void **state)
{
	(void)state;
	struct acme_report report;
	hear(&report, "uacme: Account already exists at https://localhost/my-account/1\n");
	assert_true(report.account_exists);
	hear(&report, "uacme: no account associated with c/private/key.pem found at https://l/. "
		      "Consider trying 'new'\n");
	assert_true(report.no_account);
	assert_int_equal(acme_report_fault(&report), ACME_FAULT_ACCOUNT);
	hear(&report,
		"uacme: this ACME server requires external credentials, please supply them\n");
	tells(&report, "choose another `directory`");
}

/* What comes from afar is bounded, and forges no line. */
static void hostile_words(void **state)
{
	(void)state;
	struct acme_report report;
	char *text = must_alloc(100000);
	memset(text, 'x', 99999);
	text[99999] = 0;
	hear(&report, text);
	assert_string_equal(report.last, "");
	memcpy(text, "uacme: ", 7);
	hear(&report, text);
	assert_int_equal(strlen(report.last), REPORT_TEXT - 1);
	free(text);
	hear(&report, ERROR("a\x1b[2J", "b\x01\x7f"));
	assert_string_equal(report.type, "a [2J");
	assert_string_equal(report.detail, "b  ");
	/* JSON that no error announces is none */
	hear(&report, "\"type\": \"urn:ietf:params:acme:error:dns\",\n");
	assert_string_equal(report.type, "");
	hear(&report, "");
	tells(&report, "said nothing");
}

/* --- The plan. --- */

static void a_plan_is_read_as_written(void **state)
{
	(void)state;
	char *first[] = {(char *)(uintptr_t) "a.test", (char *)(uintptr_t) "www.a.test"},
	     *second[] = {(char *)(uintptr_t) "a.test", (char *)(uintptr_t) "b.test"};
	struct acme_certificate one = {(char *)(uintptr_t) "/s",
		(char *)(uintptr_t) "https://ca/dir", (char *)(uintptr_t) "me@a.test",
		(char *)(uintptr_t) "", first, 2};
	struct acme_certificate same = one, other = one;
	struct acme_plan plan = {0}, back;
	struct buffer text = {0}, again = {0};
	same.names = second;
	other.state = (char *)(uintptr_t) "/t";
	acme_plan_add(&plan, &one);
	acme_plan_add(&plan, &same); /* the same files: one with all names */
	acme_plan_add(&plan, &other);
	assert_int_equal(plan.count, 2);
	assert_int_equal(plan.list[0].count, 3);
	assert_string_equal(plan.list[0].names[2], "b.test");
	acme_plan_write(&plan, &text);
	assert_int_equal(acme_plan_read(&back, (struct slice){text.ptr, text.len}), 0);
	assert_int_equal(back.count, 2);
	assert_string_equal(back.list[1].state, "/t");
	acme_plan_write(&back, &again);
	assert_int_equal(text.len, again.len);
	assert_memory_equal(text.ptr, again.ptr, text.len);
	acme_plan_free(&plan);
	acme_plan_free(&back);
	buffer_free(&text);
	buffer_free(&again);
}

static void no_plan(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"state /s\n",
		"state /s\ndirectory d\nemail \nca \nname a.test\n",    /* not ended */
		"state s\ndirectory d\nemail \nca \nname a.test\n\n",   /* not absolute */
		"state /s\ndirectory d\nemail \nca \n\n",               /* no name */
		"state /s\ndirectory d\nemail \nca \nname ../x.y\n\n",  /* no host */
		"state /s\ndirectory d\nemail \nca \nname a.test\n\nx", /* more */
		"what is this\n\n",
		"\n",
	};
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		struct acme_plan plan;
		assert_int_equal(acme_plan_read(&plan, slice_of(texts[i])), -1);
		assert_int_equal(plan.count, 0);
	}
	struct acme_plan plan;
	assert_int_equal(acme_plan_read(&plan, (struct slice){"", 0}), 0);
}

static void names(void **state)
{
	(void)state;
	static const char *const good[] = {"a.test", "x-1.example.com", "xn--nxasmq6b.test"};
	static const char *const bad[] = {"", "localhost", "private", ".a.test", "a.test.",
		"a..test", "-a.test", "a.-b.test", "*.a.test", "../a.test", "a/b.test", "a b.test",
		"a_b.test"};
	for (size_t i = 0; i < COUNT_OF(good); i++)
		assert_true(tls_obtainable(slice_of(good[i])));
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_false(tls_obtainable(slice_of(bad[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(renewed_at_two_thirds),
		cmocka_unit_test(retried_less_and_less),
		cmocka_unit_test(five_attempts_an_hour),
		cmocka_unit_test(an_authority_is_believed_within_bounds),
		cmocka_unit_test(retry_after_is_read),
		cmocka_unit_test(an_error_of_the_authority),
		cmocka_unit_test(limits_of_names_and_of_accounts),
		cmocka_unit_test(what_cannot_be_fetched),
		cmocka_unit_test(accounts),
		cmocka_unit_test(hostile_words),
		cmocka_unit_test(a_plan_is_read_as_written),
		cmocka_unit_test(no_plan),
		cmocka_unit_test(names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
