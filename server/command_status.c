/* SPDX-License-Identifier: BSD-2-Clause */
/* The command that tells how the running weir is. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "command.h"
#include "process/acme_state.h"
#include "process/certificates.h"
#include "process/control_client.h"
#include "process/tally.h"

struct status {
	const char *file;
	struct control_state state;
	struct control_worker workers[PLACES_MAX];
	struct control_helper helpers[PLACES_MAX * HELPER_KINDS];
	uint64_t counters[COUNTER_COUNT];
	struct status_row {
		enum ledger_kind kind; /* LEDGER_NONE: not in use */
		char name[LEDGER_NAME_MAX + 1];
		uint64_t counters[LEDGER_COUNTERS];
	} rows[LEDGER_ROWS];
	struct certificates *certificates; /* NULL: nothing is known */
};

static const char *state_word(uint32_t state)
{
	static const char *const words[] = {"starting", "serving", "draining"};
	return state < COUNT_OF(words) ? words[state] : "unknown";
}

static const char *helper_word(uint32_t kind)
{
	static const char *const words[HELPER_KINDS] = {"signer", "acme"};
	return kind < HELPER_KINDS ? words[kind] : "helper";
}

static void put_span(int64_t seconds)
{
	if (seconds >= 86400)
		printf("%" PRId64 "d %" PRId64 "h", seconds / 86400, seconds / 3600 % 24);
	else if (seconds >= 3600)
		printf("%" PRId64 "h %" PRId64 "m", seconds / 3600, seconds / 60 % 60);
	else if (seconds >= 60)
		printf("%" PRId64 "m %" PRId64 "s", seconds / 60, seconds % 60);
	else
		printf("%" PRId64 "s", seconds);
}

/* A line for each site or upstream; what stands in shared memory may be any octets. */
static void put_rows(const struct status *status, enum ledger_kind kind, const char *title)
{
	bool first = true;
	for (unsigned i = 0; i < LEDGER_ROWS; i++) {
		const struct status_row *row = &status->rows[i];
		if (row->kind != kind)
			continue;
		if (first)
			printf("%-28s %10s %8s %10s %8s %8s %8s %8s%s\n", title, "requests", "open",
				"2xx", "3xx", "4xx", "5xx", "MB out",
				kind == LEDGER_UPSTREAM ? "   failed" : "");
		first = false;
		printf("  %-26s", row->name);
		for (int k = 0; k < LEDGER_COUNTERS; k++) {
			static const int widths[] = {10, 8, 10, 8, 8, 8, 8, 8};
			if (k != LEDGER_FAILED || kind == LEDGER_UPSTREAM)
				printf(" %*" PRIu64, widths[k],
					k == LEDGER_BYTES ? row->counters[k] / 1000000
							  : row->counters[k]);
		}
		printf("\n");
	}
}

/* "in 12d 3h", "41d 2h ago" */
static void put_until(int64_t then)
{
	int64_t left = then - time(NULL);
	if (left >= 0)
		printf("in ");
	put_span(left >= 0 ? left : -left);
	if (left < 0)
		printf(" ago");
}

static void put_attempt(const struct certificate_row *row)
{
	struct acme_record record;
	if (!row->obtained || !acme_record_of(row->path, &record))
		return;
	if (record.failures > 0) {
		printf("    attempt %u failed ", record.failures);
		put_until(record.last);
		printf(": %s; the next one is due ", record.text);
		put_until(record.next);
		printf("\n");
	} else if (record.next > time(NULL)) {
		printf("    renewed ");
		put_until(record.next);
		printf("\n");
	}
}

static void put_certificates(const struct status *status)
{
	struct certificate_row row;
	uint32_t count = status->certificates ? certificates_count(status->certificates) : 0;
	if (count > 0)
		printf("certificates\n");
	for (uint32_t i = 0; i < count; i++) {
		if (!certificates_read(status->certificates, i, &row))
			continue;
		printf("  %-26s %s ", row.names, row.ends > time(NULL) ? "expires" : "expired");
		put_until(row.ends);
		if (row.stand_in)
			printf(", stands in for %s", row.path);
		else if (row.self_signed)
			printf(", signed by itself");
		else
			printf(", by %s", row.issuer);
		if (row.obtained && !row.stand_in)
			printf(", obtained by weir");
		if (row.ocsp)
			printf(", with an OCSP response");
		printf("\n");
		put_attempt(&row);
	}
}

static void put_text(const struct status *status)
{
	const struct control_state *state = &status->state;
	const uint64_t *c = status->counters;
	char when[64] = "none";
	time_t reload = (time_t)state->last_reload;
	struct tm tm;
	if (reload != 0 && localtime_r(&reload, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	printf("weir %s, process %" PRId64 ", %s for ", PACKAGE_VERSION, state->pid,
		state->stopping ? "stopping, running" : "running");
	put_span(state->uptime);
	printf("\nconfiguration  %s\nlast reload    %s%s\n", status->file, when,
		state->reload_failed ? ", failed: the configuration before it is served" : "");
	printf("connections    %" PRIu64 " open, %" PRIu64 " in all", c[COUNTER_OPEN],
		c[COUNTER_CONNECTIONS]);
	if (c[COUNTER_HANDSHAKES_FAILED] > 0)
		printf(", %" PRIu64 " of which began a TLS handshake that failed",
			c[COUNTER_HANDSHAKES_FAILED]);
	printf("\n");
	printf("requests       %" PRIu64 " open, %" PRIu64 " in all (2xx %" PRIu64 ", 3xx %" PRIu64
	       ", 4xx %" PRIu64 ", 5xx %" PRIu64 ")\n",
		c[COUNTER_REQUESTS_OPEN], c[COUNTER_REQUESTS], c[COUNTER_STATUS_2XX],
		c[COUNTER_STATUS_3XX], c[COUNTER_STATUS_4XX], c[COUNTER_STATUS_5XX]);
	printf("bytes          %" PRIu64 " in, %" PRIu64 " out\n", c[COUNTER_BYTES_IN],
		c[COUNTER_BYTES_OUT]);
	if (c[COUNTER_LOG_LINES_LOST] > 0)
		printf("access log     %" PRIu64 " lines lost: see the error log\n",
			c[COUNTER_LOG_LINES_LOST]);
	for (uint32_t i = 0; i < state->workers; i++) {
		printf("worker %-7" PRId64 " %s for ", status->workers[i].pid,
			state_word(status->workers[i].state));
		put_span(status->workers[i].since);
		printf("\n");
	}
	for (uint32_t i = 0; i < state->helpers; i++) {
		const struct control_helper *helper = &status->helpers[i];
		printf("%-6s %-7" PRId64 " %s worker %" PRId64 " for ", helper_word(helper->kind),
			helper->pid, helper->pid ? "helps" : "is about to help", helper->worker);
		put_span(helper->since);
		if (helper->restarts > 0)
			printf(", started again %u time%s", helper->restarts,
				helper->restarts == 1 ? "" : "s");
		printf("\n");
	}
	put_certificates(status);
	put_rows(status, LEDGER_SITE, "sites");
	put_rows(status, LEDGER_UPSTREAM, "upstreams");
	if (state->restarts > 0)
		printf("%u worker%s died and had to be replaced: see the error log\n",
			state->restarts, state->restarts == 1 ? "" : "s");
}

static void put_json_text(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void put_json_rows(const struct status *status, enum ledger_kind kind, const char *name)
{
	bool first = true;
	printf(",\"%s\":[", name);
	for (unsigned i = 0; i < LEDGER_ROWS; i++) {
		const struct status_row *row = &status->rows[i];
		if (row->kind != kind)
			continue;
		printf("%s{\"name\":", first ? "" : ",");
		put_json_text(row->name);
		for (int k = 0; k < LEDGER_COUNTERS; k++)
			if (k != LEDGER_FAILED || kind == LEDGER_UPSTREAM)
				printf(",\"%s\":%" PRIu64,
					ledger_counter_name((enum ledger_counter)k),
					row->counters[k]);
		printf("}");
		first = false;
	}
	printf("]");
}

static void put_json_names(char *names)
{
	printf("[");
	for (char *name = names, *end; *name; name = end) {
		end = name + strcspn(name, " ");
		bool last = *end == 0;
		*end = 0;
		if (name > names)
			printf(",");
		put_json_text(name);
		end += !last;
	}
	printf("]");
}

static void put_json_attempt(const struct certificate_row *row)
{
	struct acme_record record;
	printf(",\"acme\":");
	if (!row->obtained || !acme_record_of(row->path, &record)) {
		printf("null");
		return;
	}
	printf("{\"last\":%" PRId64 ",\"next\":%" PRId64 ",\"failures\":%u,\"text\":", record.last,
		record.next, record.failures);
	put_json_text(record.text);
	printf("}");
}

static void put_json_certificates(const struct status *status)
{
	struct certificate_row row;
	uint32_t count = status->certificates ? certificates_count(status->certificates) : 0;
	bool first = true;
	printf(",\"certificates\":[");
	for (uint32_t i = 0; i < count; i++) {
		if (!certificates_read(status->certificates, i, &row))
			continue;
		printf("%s{\"names\":", first ? "" : ",");
		put_json_names(row.names);
		printf(",\"path\":");
		put_json_text(row.path);
		printf(",\"issuer\":");
		put_json_text(row.issuer);
		printf(",\"begins\":%" PRId64 ",\"ends\":%" PRId64
		       ",\"self_signed\":%s,\"stand_in\":%s,\"obtained\":%s,\"ocsp_ends\":",
			row.begins, row.ends, row.self_signed ? "true" : "false",
			row.stand_in ? "true" : "false", row.obtained ? "true" : "false");
		if (row.ocsp)
			printf("%" PRId64, row.ocsp_ends);
		else
			printf("null");
		put_json_attempt(&row);
		printf("}");
		first = false;
	}
	printf("]");
}

static void put_json(const struct status *status)
{
	const struct control_state *state = &status->state;
	printf("{\"version\":\"%s\",\"pid\":%" PRId64 ",\"stopping\":%s,\"uptime\":%" PRId64
	       ",\"configuration\":",
		PACKAGE_VERSION, state->pid, state->stopping ? "true" : "false", state->uptime);
	put_json_text(status->file);
	printf(",\"last_reload\":");
	if (state->last_reload == 0)
		printf("null");
	else
		printf("{\"time\":%" PRId64 ",\"failed\":%s}", state->last_reload,
			state->reload_failed ? "true" : "false");
	printf(",\"restarts\":%u,\"counters\":{", state->restarts);
	for (int i = 0; i < COUNTER_COUNT; i++)
		printf("%s\"%s\":%" PRIu64, i ? "," : "", counter_name((enum counter)i),
			status->counters[i]);
	printf("},\"workers\":[");
	for (uint32_t i = 0; i < state->workers; i++)
		printf("%s{\"pid\":%" PRId64 ",\"state\":\"%s\",\"since\":%" PRId64 "}",
			i ? "," : "", status->workers[i].pid, state_word(status->workers[i].state),
			status->workers[i].since);
	printf("],\"helpers\":[");
	for (uint32_t i = 0; i < state->helpers; i++)
		printf("%s{\"kind\":\"%s\",\"pid\":%" PRId64 ",\"worker\":%" PRId64
		       ",\"since\":%" PRId64 ",\"restarts\":%u}",
			i ? "," : "", helper_word(status->helpers[i].kind), status->helpers[i].pid,
			status->helpers[i].worker, status->helpers[i].since,
			status->helpers[i].restarts);
	printf("]");
	put_json_certificates(status);
	put_json_rows(status, LEDGER_SITE, "sites");
	put_json_rows(status, LEDGER_UPSTREAM, "upstreams");
	printf("}\n");
}

/* Rows that a worker which lives has in its configuration. Names go to a terminal: controls do not. */
static void read_rows(struct status *status, struct tally *tally, uint32_t live)
{
	for (unsigned i = 0; i < LEDGER_ROWS; i++) {
		const struct ledger_name *name = &tally_ledger(tally)->names[i];
		struct status_row *row = &status->rows[i];
		uint32_t kind = atomic_load(&name->kind), length = atomic_load(&name->length);
		if (kind == LEDGER_NONE || kind >= LEDGER_KINDS || length > LEDGER_NAME_MAX ||
			!(atomic_load(&name->places) & live))
			continue;
		row->kind = (enum ledger_kind)kind;
		for (uint32_t k = 0; k < length; k++)
			row->name[k] =
				name->text[k] < ' ' || name->text[k] == 0x7f ? '?' : name->text[k];
		for (int k = 0; k < LEDGER_COUNTERS; k++)
			row->counters[k] = tally_row_sum(tally, i, (enum ledger_counter)k, live);
	}
}

/* The counters are read here, not in the supervisor: it holds them without looking into them. */
static int read_state(struct status *status, struct channel_message *message)
{
	uint32_t live = 0;
	if (message->type != CONTROL_STATE ||
		channel_head(message, &status->state, sizeof(status->state)) ||
		status->state.workers > PLACES_MAX ||
		status->state.helpers > COUNT_OF(status->helpers))
		return -1;
	size_t workers_size = sizeof(status->workers[0]) * status->state.workers,
	       helpers_size = sizeof(status->helpers[0]) * status->state.helpers;
	const char *tail = message->payload + sizeof(status->state);
	if (message->length != sizeof(status->state) + workers_size + helpers_size)
		return -1;
	memcpy(status->workers, tail, workers_size);
	memcpy(status->helpers, tail + workers_size, helpers_size);
	for (uint32_t i = 0; i < status->state.workers; i++) {
		/* one that starts has nothing open, and has maybe not cleared its place yet */
		if (status->workers[i].place < PLACES_MAX &&
			status->workers[i].state != WORKER_STARTING)
			live |= UINT32_C(1) << status->workers[i].place;
	}
	struct tally *tally = message->fd_count >= 1 ? tally_map(message->fds[0], false) : NULL;
	for (int i = 0; tally && i < COUNTER_COUNT; i++)
		status->counters[i] = tally_sum(tally, (enum counter)i, live);
	if (tally) {
		read_rows(status, tally, live);
		tally_unmap(tally);
	}
	if (message->fd_count >= 2)
		status->certificates = certificates_map(message->fds[1], false);
	return 0;
}

int command_status(
	const struct command *command, const struct program *program, int argc, char **argv)
{
	struct command_options options;
	struct channel_message message;
	struct status *status = must_zalloc(sizeof *status);
	(void)program;
	int result = command_options(command, argc, argv, &options);
	if (result >= 0) {
		free(status);
		return result;
	}
	int control = control_ask(options.file, CONTROL_STATUS, NULL);
	result = EXIT_FAILED;
	if (control >= 0) {
		int got = channel_receive(control, &message, true);
		status->file = options.file;
		if (got == 1 && read_state(status, &message) == 0) {
			(options.json ? put_json : put_text)(status);
			result = EXIT_GOOD;
		} else {
			fprintf(stderr, "weir: no answer that this version understands\n");
		}
		if (got == 1)
			channel_drop(&message);
		close(control);
	}
	certificates_unmap(status->certificates);
	free(status);
	free(options.file);
	return result;
}
