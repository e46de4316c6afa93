/* SPDX-License-Identifier: BSD-2-Clause */
/* uacme 1.7 writes lines that begin with its name; an error of the authority (RFC 8555, 6.7) follows as JSON with one member a line. Its
 * texts are no interface, so whatever is not understood is told as it is. */
#include "process/acme_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "process/acme_schedule.h"

/* --- Lines. --- */

/* Keeps a text that is longer than its place as far as it goes; controls become spaces, what is no ASCII "?". */
static void keep(char *to, size_t room, struct slice text)
{
	size_t length = text.len < room - 1 ? text.len : room - 1;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		to[i] = (char)(c < ' ' || c == 0x7f ? ' ' : c > 0x7f ? '?' : c);
	}
	to[length] = 0;
}

static bool has(struct slice line, const char *words)
{
	return memmem(line.ptr, line.len, words, strlen(words)) != NULL;
}

/* The value of `"name": "value",`, as it stands there. ptr NULL: the line is none of this name. */
static struct slice member(struct slice line, struct slice name)
{
	struct slice nothing = {NULL, 0};
	line = slice_trim(line);
	if (!slice_starts(line, name))
		return nothing;
	line = slice_trim(slice_from(line, name.len));
	if (!slice_starts(line, SLICE(":")))
		return nothing;
	line = slice_trim(slice_from(line, 1));
	if (slice_ends(line, SLICE(",")))
		line.len--;
	if (line.len < 2 || line.ptr[0] != '"' || line.ptr[line.len - 1] != '"')
		return nothing;
	return (struct slice){line.ptr + 1, line.len - 2};
}

/* \" and \\ as they were meant; what else is escaped stays so. */
static void unescape(char *text)
{
	char *to = text;
	for (const char *from = text; *from; from++) {
		if (from[0] == '\\' && (from[1] == '"' || from[1] == '\\'))
			from++;
		*to++ = *from;
	}
	*to = 0;
}

static void take_error(struct acme_report *report, struct slice line)
{
	static const struct slice urn = {"urn:ietf:params:acme:error:", 27};
	struct slice type = member(line, SLICE("\"type\""));
	struct slice detail = member(line, SLICE("\"detail\""));
	if (type.ptr && !report->type[0])
		keep(report->type, sizeof(report->type),
			slice_starts(type, urn) ? slice_from(type, urn.len) : type);
	if (detail.ptr && !report->detail[0]) {
		keep(report->detail, sizeof(report->detail), detail);
		unescape(report->detail);
	}
}

static void take_line(struct acme_report *report, struct slice line)
{
	static const struct slice name = {"uacme: ", 7};
	if (!slice_starts(line, name)) {
		if (report->in_error)
			take_error(report, line);
		return;
	}
	line = slice_from(line, name.len);
	report->in_error = has(line, "the server reported the following error");
	if (slice_starts(line, SLICE("running "))) /* the hook, with what it is to write */
		return;
	const char *waits = memmem(line.ptr, line.len, "server busy, waiting ", 21);
	if (waits) {
		char digits[16];
		struct slice rest = slice_from(line, (size_t)(waits - line.ptr) + 21);
		keep(digits, sizeof(digits), rest);
		unsigned long seconds = strtoul(digits, NULL, 10);
		report->busy = seconds < ACME_PAUSE_MOST ? (unsigned)seconds : ACME_PAUSE_MOST;
	}
	if ((slice_starts(line, SLICE("curl_")) && has(line, "failed:")))
		keep(report->transfer, sizeof(report->transfer), line);
	report->account_exists |= slice_starts(line, SLICE("Account already exists"));
	report->no_account |= slice_starts(line, SLICE("no account associated"));
	report->external |= has(line, "requires external credentials");
	if (!report->in_error)
		keep(report->last, sizeof(report->last), line);
}

void acme_report_add(struct acme_report *report, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] == '\n') {
			take_line(report, (struct slice){report->line, report->length});
			report->length = 0;
		} else if (report->length < sizeof(report->line)) {
			report->line[report->length++] = bytes[i];
		}
	}
}

void acme_report_end(struct acme_report *report)
{
	if (report->length > 0)
		take_line(report, (struct slice){report->line, report->length});
	report->length = 0;
}

/* --- What it means. --- */

static bool is_limited(const struct acme_report *report)
{
	return strcmp(report->type, "rateLimited") == 0;
}

/* Limits for names and sets of names say so; those of orders, accounts and of the whole service concern all. */
static bool concerns_names(const struct acme_report *report)
{
	struct slice detail = slice_of(report->detail);
	return has(detail, "too many failed authorizations") ||
	       has(detail, "too many certificates");
}

enum acme_fault acme_report_fault(const struct acme_report *report)
{
	if (report->busy > 0 || report->no_account || report->external)
		return ACME_FAULT_ACCOUNT;
	if (is_limited(report))
		return concerns_names(report) ? ACME_FAULT_NAMES : ACME_FAULT_ACCOUNT;
	if (strcmp(report->type, "userActionRequired") == 0 ||
		strcmp(report->type, "accountDoesNotExist") == 0)
		return ACME_FAULT_ACCOUNT;
	if (!report->type[0] && report->transfer[0])
		return ACME_FAULT_ACCOUNT;
	return ACME_FAULT_NAMES;
}

time_t acme_report_not_before(const struct acme_report *report, time_t now)
{
	time_t when = acme_retry_after(slice_of(report->detail));
	if (when == 0 && report->busy > 0)
		when = now + (time_t)report->busy;
	if (when == 0 && is_limited(report))
		when = now + 3600;
	return when;
}

/* What an operator can do about it, by the type of the authority's error (RFC 8555, 6.7). */
static const struct {
	const char *type, *advice;
} advices[] = {
	{"connection",
		"the authority must reach this name at port 80, from the Internet, and find this weir"},
	{"dns", "see that the name has an address (A, AAAA) that leads to this weir"},
	{"unauthorized",
		"somebody else answered for this name: see that its addresses, IPv6 too, lead to this weir"},
	{"caa", "the name's CAA record allows other authorities only"},
	{"rejectedIdentifier", "this authority does not certify such a name"},
	{"userActionRequired", "the authority wants its terms to be agreed to anew"},
	{"rateLimited", "it is asked again when it allows"},
};

void acme_report_tell(const struct acme_report *report, struct buffer *to)
{
	if (report->external) {
		buffer_format(to, "the authority serves only accounts that were made elsewhere, "
				  "which weir has no key for: choose another `directory`");
		return;
	}
	if (report->type[0]) {
		buffer_format(to, "%s (%s)", report->detail[0] ? report->detail : "refused",
			report->type);
		for (size_t i = 0; i < COUNT_OF(advices); i++)
			if (strcmp(advices[i].type, report->type) == 0)
				buffer_format(to, "; %s", advices[i].advice);
		return;
	}
	if (report->transfer[0]) {
		buffer_format(to, "%s", report->transfer);
		if (strstr(report->transfer, "peer certificate"))
			buffer_format(to, "; the authority's own certificate is not trusted here: "
					  "put who signed it among the system's authorities, or "
					  "name its file in `ca`");
		return;
	}
	if (report->busy > 0)
		buffer_format(to, "the authority is busy and asks for %u s", report->busy);
	else
		buffer_format(to, "%s", report->last[0] ? report->last : "uacme said nothing");
}
