/* SPDX-License-Identifier: BSD-2-Clause */
/* respond_entity: conditions and ranges of one representation (RFC 9110, 13 and 14), held against plain slices of its octets. */
#include "http/entity.h"

#include "../loopback.h"
#include "http/respond.h"
#include "http_test.h"

#include <stdio.h>
#include <stdlib.h>

#define SIZE     1000
#define MODIFIED 1000000000 /* Sun, 09 Sep 2001 01:46:40 GMT */

static char content[SIZE];
static struct validators validators;
static bool cannot_open;
static unsigned opened;
static struct loopback *loopback;
static struct exchange_seen *last;

/* A source that pauses before each piece of 100 octets. */
struct slow_source {
	struct source source;
	struct task task;
	const char *bytes;
	size_t left;
	bool rested;
};

static void slow_wake(struct task *task)
{
	source_wake(&container_of(task, struct slow_source, task)->source);
}

static enum pull slow_pull(struct source *source, struct chunks *out, size_t room)
{
	struct slow_source *s = container_of(source, struct slow_source, source);
	s->rested = !s->rested;
	if (s->rested) {
		loop_defer(&loopback->loop, &s->task);
		return PULL_PAUSED;
	}
	size_t take = s->left < 100 ? s->left : 100;
	take = take < room ? take : room;
	chunks_copy(out, s->bytes, take);
	s->bytes += take;
	s->left -= take;
	return s->left ? PULL_MORE : PULL_END;
}

static void slow_cancel(struct source *source)
{
	opened--;
	loop_forget(&container_of(source, struct slow_source, source)->task);
}

static const struct source_ops slow_ops = {slow_pull, slow_cancel};

static struct source *open_part(
	struct request *request, const struct entity *entity, uint64_t first, uint64_t length)
{
	assert_true(length > 0 && first + length <= entity->length);
	if (cannot_open)
		return NULL;
	opened++;
	struct slow_source *s = arena_zalloc(&request->arena, sizeof *s);
	s->source.ops = &slow_ops;
	s->task.run = slow_wake;
	s->bytes = content + first;
	s->left = length;
	return &s->source;
}

static enum verdict handle(struct request *request)
{
	if (!slice_equal(request->target.path, SLICE("/entity")))
		return PASS;
	struct entity entity = {.validators = validators, .length = SIZE, .open = open_part};
	respond_field(request, FIELD_CONTENT_TYPE, SLICE("text/x-test"));
	respond_field(request, FIELD_CACHE_CONTROL, SLICE("max-age=60"));
	respond_field(request, FIELD_VARY, SLICE("Accept"));
	respond_entity(request, &entity);
	return TAKEN;
}

static const struct handler handler = {.name = "entity", .handle = handle};
static const struct handler *const table[] = {&handler, NULL};

static int set_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZE; i++)
		content[i] = (char)('a' + (i * 7 + i / 26) % 26);
	validators = (struct validators){SLICE("\"tag\""), MODIFIED};
	cannot_open = false;
	loopback =
		loopback_start(table, "sites: [{ listen: \"http://127.0.0.1:80\" }]\n", "/", false);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (last)
		loopback_free(last);
	last = NULL;
	loopback_stop(loopback);
	assert_int_equal(opened, 0); /* each source was given back */
	return 0;
}

static struct exchange_seen *ask(const char *method, const char *fields)
{
	if (last)
		loopback_free(last);
	last = loopback_ask(loopback, method, "/entity", fields);
	return last;
}

static unsigned status_of(const char *method, const char *fields)
{
	return ask(method, fields)->request.response.status;
}

static void assert_field(const char *name, const char *value)
{
	const char *found = loopback_field(last, name);
	if (value ? !found || strcmp(found, value) != 0 : found != NULL)
		fail_msg("%s is \"%s\", not \"%s\"", name, found ? found : "(none)",
			value ? value : "(none)");
}

/* --- Whole. --- */

static void whole(void **state)
{
	(void)state;
	assert_int_equal(status_of("GET", NULL), 200);
	assert_int_equal(last->body.len, SIZE);
	assert_memory_equal(last->body.ptr, content, SIZE);
	assert_field("ETag", "\"tag\"");
	assert_field("Last-Modified", "Sun, 09 Sep 2001 01:46:40 GMT");
	assert_field("Accept-Ranges", "bytes"); /* 14.3 */
	assert_field("Content-Type", "text/x-test");
	assert_int_equal(status_of("HEAD", NULL), 200);
	assert_int_equal(last->request.response.length, SIZE);
	assert_field("ETag", "\"tag\"");
	cannot_open = true;
	assert_int_equal(status_of("GET", NULL), 500);
	assert_int_equal(status_of("GET", "Range: bytes=0-1\n"), 500);
	assert_int_equal(status_of("GET", "Range: bytes=0-1,900-\n"), 500);
}

/* RFC 9110, 8.8.2.1: no Last-Modified later than Date. */
static void never_from_the_future(void **state)
{
	(void)state;
	validators.last_modified = loopback->loop.clock.wall + 100000;
	ask("GET", NULL);
	char latest[30];
	clock_http_date(latest, loopback->loop.clock.wall);
	const char *found = loopback_field(last, "Last-Modified");
	assert_non_null(found);
	assert_memory_equal(found + 12, latest + 12, 4); /* the year */
	char future[30];
	clock_http_date(future, validators.last_modified);
	assert_string_not_equal(found, future);
}

/* --- Conditions. --- */

#define EARLIER "Sat, 08 Sep 2001 01:46:40 GMT"
#define EXACT   "Sun, 09 Sep 2001 01:46:40 GMT"
#define LATER   "Mon, 10 Sep 2001 01:46:40 GMT"

/* RFC 9110, 13.2.2: which precondition counts before which. */
static void preconditions_in_order(void **state)
{
	(void)state;
	static const struct {
		const char *fields;
		unsigned status;
	} rows[] = {
		{"If-Match: \"tag\"\n", 200},
		{"If-Match: *\n", 200},
		{"If-Match: \"a\", \"tag\"\n", 200},
		{"If-Match: \"other\"\n", 412},
		{"If-Match: W/\"tag\"\n", 412},
		{"If-Match: \"tag\"\nIf-Unmodified-Since: " EARLIER "\n", 200},
		{"If-Unmodified-Since: " EARLIER "\n", 412},
		{"If-Unmodified-Since: " EXACT "\n", 200},
		{"If-Unmodified-Since: nonsense\n", 200},
		{"If-None-Match: \"tag\"\n", 304},
		{"If-None-Match: W/\"tag\"\n", 304},
		{"If-None-Match: *\n", 304},
		{"If-None-Match: \"other\"\n", 200},
		{"If-None-Match: \"other\"\nIf-Modified-Since: " LATER "\n", 200},
		{"If-None-Match: \"tag\"\nIf-Modified-Since: " EARLIER "\n", 304},
		{"If-Modified-Since: " EXACT "\n", 304},
		{"If-Modified-Since: " EARLIER "\n", 200},
		{"If-Modified-Since: nonsense\n", 200},
		{"If-Match: \"other\"\nIf-None-Match: \"tag\"\n", 412},
		{"If-Match: \"tag\"\nIf-None-Match: \"tag\"\n", 304},
		{"If-None-Match: \"tag\"\nRange: bytes=0-1\n", 304},
		{"If-Match: \"other\"\nRange: bytes=5000-\n", 412},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		for (int head = 0; head < 2; head++) {
			unsigned status = status_of(head ? "HEAD" : "GET", rows[i].fields);
			if (status != rows[i].status)
				fail_msg("%s: %u, not %u", rows[i].fields, status, rows[i].status);
		}
	}
}

/* RFC 9110, 15.4.5: what a 304 must and should not carry. */
static void not_modified(void **state)
{
	(void)state;
	assert_int_equal(status_of("GET", "If-None-Match: \"tag\"\n"), 304);
	assert_int_equal(last->body.len, 0);
	assert_field("ETag", "\"tag\"");
	assert_field("Cache-Control", "max-age=60");
	assert_field("Vary", "Accept");
	assert_field("Content-Type", NULL);
	assert_field("Last-Modified", NULL);
	assert_field("Content-Range", NULL);
	validators.etag = (struct slice){NULL, 0};
	assert_int_equal(status_of("GET", "If-Modified-Since: " EXACT "\n"), 304);
	assert_field("Last-Modified", EXACT);
}

/* The page of an error is not the representation: none of its fields may say so. */
static void failed(void **state)
{
	(void)state;
	assert_int_equal(status_of("GET", "If-Match: \"other\"\n"), 412);
	assert_field("ETag", NULL);
	assert_field("Cache-Control", NULL);
	assert_field("Content-Type", "text/html; charset=utf-8");
	assert_field("Vary", "Accept");
}

/* --- Ranges. --- */

/* RFC 9110, 14.1.2, 14.2, 14.4, 15.3.7.1 and 15.5.17. */
static void single_ranges(void **state)
{
	(void)state;
	static const struct {
		const char *range;
		unsigned status, first, length;
	} rows[] = {
		{"bytes=0-0", 206, 0, 1},
		{"bytes=0-99", 206, 0, 100},
		{"bytes=500-", 206, 500, 500},
		{"bytes=-1", 206, 999, 1},
		{"bytes=-1000", 206, 0, 1000},
		{"bytes=-5000", 206, 0, 1000},
		{"bytes=999-5000", 206, 999, 1},
		{"bytes=1000-", 416, 0, 0},
		{"bytes=-0", 416, 0, 0},
		{"bytes=5-4", 200, 0, 1000},
		{"bytes=a-b", 200, 0, 1000},
		{"lines=0-1", 200, 0, 1000},
		{"bytes", 200, 0, 1000},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char fields[128], expected[64];
		snprintf(fields, sizeof fields, "Range: %s\n", rows[i].range);
		unsigned status = status_of("GET", fields);
		if (status != rows[i].status)
			fail_msg("%s: %u, not %u", rows[i].range, status, rows[i].status);
		if (status == 416) {
			assert_field("Content-Range", "bytes */1000");
			assert_field("ETag", NULL);
			continue;
		}
		assert_int_equal(last->body.len, rows[i].length);
		assert_memory_equal(last->body.ptr, content + rows[i].first, rows[i].length);
		snprintf(expected, sizeof expected, "bytes %u-%u/1000", rows[i].first,
			rows[i].first + rows[i].length - 1);
		assert_field("Content-Range", status == 206 ? expected : NULL);
		assert_field("ETag", "\"tag\"");
	}
}

/* RFC 9110, 14.2: for GET alone. */
static void ranges_are_of_get(void **state)
{
	(void)state;
	assert_int_equal(status_of("HEAD", "Range: bytes=0-0\n"), 200);
	assert_int_equal(last->request.response.length, SIZE);
	assert_field("Content-Range", NULL);
	assert_int_equal(status_of("GET", "Range: bytes=0-0\nRange: bytes=5-6\n"), 200);
}

/* RFC 9110, 13.1.5: strong validators only. */
static void if_range(void **state)
{
	(void)state;
	static const struct {
		const char *value;
		unsigned status;
	} rows[] = {
		{"\"tag\"", 206},
		{"\"other\"", 200},
		{"W/\"tag\"", 200},
		{EXACT, 206},
		{EARLIER, 200},
		{LATER, 200},
		{"junk", 200},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char fields[128];
		snprintf(fields, sizeof fields, "Range: bytes=0-0\nIf-Range: %s\n", rows[i].value);
		unsigned status = status_of("GET", fields);
		if (status != rows[i].status)
			fail_msg("%s: %u, not %u", rows[i].value, status, rows[i].status);
	}
	validators.etag = SLICE("W/\"tag\"");
	assert_int_equal(status_of("GET", "Range: bytes=0-0\nIf-Range: W/\"tag\"\n"), 200);
}

/* --- Several ranges. --- */

/* Takes one part off a multipart body and compares it with the slice that it says it is. Returns what follows, or NULL. */
static const char *check_part(const char *at, const char *end, const char *boundary, size_t *octets)
{
	char line[128];
	int length = snprintf(line, sizeof line, "--%s", boundary);
	assert_true(end - at >= length && memcmp(at, line, (size_t)length) == 0);
	at += length;
	if (end - at == 4) {
		assert_memory_equal(at, "--\r\n", 4);
		return NULL;
	}
	static const char type[] = "\r\nContent-Type: text/x-test\r\nContent-Range: bytes ";
	assert_memory_equal(at, type, sizeof type - 1);
	at += sizeof type - 1;
	unsigned first = (unsigned)strtoul(at, NULL, 10);
	unsigned to = (unsigned)strtoul(strchr(at, '-') + 1, NULL, 10);
	length = snprintf(line, sizeof line, "%u-%u/%d\r\n\r\n", first, to, SIZE);
	assert_memory_equal(at, line, (size_t)length);
	at += length;
	assert_true(to < SIZE && first <= to);
	assert_memory_equal(at, content + first, to - first + 1);
	*octets += to - first + 1;
	at += to - first + 1;
	assert_memory_equal(at, "\r\n", 2);
	return at + 2;
}

static unsigned check_parts(size_t *octets)
{
	static const char type[] = "multipart/byteranges; boundary=";
	const char *found = loopback_field(last, "Content-Type");
	assert_non_null(found);
	assert_memory_equal(found, type, sizeof type - 1);
	unsigned count = 0;
	const char *end = last->body.ptr + last->body.len;
	for (const char *at = last->body.ptr; at; count++)
		at = check_part(at, end, found + sizeof type - 1, octets);
	return count - 1;
}

/* RFC 9110, 14.6 and 15.3.7.2. */
static void several_ranges(void **state)
{
	(void)state;
	size_t octets = 0;
	assert_int_equal(status_of("GET", "Range: bytes=0-9, 500-599, -7\n"), 206);
	assert_int_equal(last->body.len, last->request.response.length);
	assert_field("Content-Range", NULL); /* 15.3.7.2: MUST NOT */
	assert_field("ETag", "\"tag\"");
	assert_int_equal(check_parts(&octets), 3);
	assert_int_equal(octets, 10 + 100 + 7);
	/* one satisfiable among others: a single part need not be multipart */
	assert_int_equal(status_of("GET", "Range: bytes=5000-, 10-19\n"), 206);
	assert_field("Content-Range", "bytes 10-19/1000");
}

/* Any set of ranges gives octets of the representation and nothing else, and never more than it has (CVE-2011-3192). */
static void any_ranges(void **state)
{
	(void)state;
	unsigned seed = 1;
	for (int round = 0; round < 300; round++) {
		struct buffer fields = {NULL, 0, 0};
		buffer_format(&fields, "Range: bytes=");
		int count = 1 + round % 40;
		for (int i = 0; i < count; i++) {
			seed = seed * 1103515245 + 12345;
			unsigned a = seed >> 8 & 1023, b = a + (seed >> 18 & 63);
			if (seed % 5 == 0)
				buffer_format(&fields, "%s-%u", i ? "," : "", b);
			else
				buffer_format(&fields, "%s%u-%u", i ? "," : "", a, b);
		}
		buffer_format(&fields, "\n");
		buffer_append(&fields, "", 1);
		unsigned status = status_of("GET", fields.ptr);
		size_t octets = 0;
		if (status == 206 && !loopback_field(last, "Content-Range"))
			check_parts(&octets);
		else if (status == 200)
			octets = last->body.len;
		else
			assert_true(status == 206 || status == 416);
		assert_true(octets <= SIZE);
		assert_true(last->body.len <= SIZE + 33 * 160);
		buffer_free(&fields);
	}
}

/* The client goes while parts are open. */
static void gone_between_parts(void **state)
{
	(void)state;
	struct exchange_seen *seen =
		loopback_begin(loopback, "GET", "/entity", "Range: bytes=0-299, 400-699, 900-\n");
	for (int i = 0; i < 3; i++)
		loopback_turn(loopback);
	assert_true(opened > 0);
	loopback_gone(seen);
	assert_int_equal(opened, 0);
	loopback_free(seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(never_from_the_future, set_up, tear_down),
		cmocka_unit_test_setup_teardown(preconditions_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(not_modified, set_up, tear_down),
		cmocka_unit_test_setup_teardown(failed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(single_ranges, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ranges_are_of_get, set_up, tear_down),
		cmocka_unit_test_setup_teardown(if_range, set_up, tear_down),
		cmocka_unit_test_setup_teardown(several_ranges, set_up, tear_down),
		cmocka_unit_test_setup_teardown(any_ranges, set_up, tear_down),
		cmocka_unit_test_setup_teardown(gone_between_parts, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("http/entity", tests, NULL, NULL);
}
