/* SPDX-License-Identifier: BSD-2-Clause */
/* Variants beside a file (DESIGN 3; RFC 9110, 12.5.1, 12.5.3 and 8.8.3.3): which one answers, and that it is true to its file. */
#include "site.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "handlers/file/variant.h"

/* --- The choice. --- */

#define ZST  (1u << VARIANT_ZSTD)
#define BR   (1u << VARIANT_BROTLI)
#define GZ   (1u << VARIANT_GZIP)
#define AVIF (1u << VARIANT_AVIF)
#define WEBP (1u << VARIANT_WEBP)

static void chooses_by_quality(void **state)
{
	(void)state;
	static const struct {
		unsigned variants;
		const char *encoding, *accept;
		enum variant choice;
	} rows[] = {
		{ZST | BR | GZ, "gzip, deflate, br, zstd", NULL, VARIANT_ZSTD},
		{BR | GZ, "gzip, deflate, br", NULL, VARIANT_BROTLI},
		{BR | GZ, "gzip;q=0.9, br;q=0.1", NULL, VARIANT_GZIP},
		{GZ, "gzip;q=0", NULL, VARIANT_SELF},
		{GZ, "gzip;q=0.000, *;q=0.5", NULL, VARIANT_SELF},
		{GZ, "x-gzip", NULL, VARIANT_GZIP},
		{GZ, "gzip;q=0.5, identity", NULL, VARIANT_SELF},
		{GZ, "gzip;q=0.5", NULL, VARIANT_GZIP},
		{GZ, "", NULL, VARIANT_SELF},
		{GZ, NULL, NULL, VARIANT_SELF},
		{GZ, "br", NULL, VARIANT_SELF},
		{GZ, "*", NULL, VARIANT_GZIP},
		{GZ, "identity;q=0", NULL, VARIANT_NONE},
		{GZ, "identity;q=0, gzip;q=0.001", NULL, VARIANT_GZIP},
		{0, "*;q=0", NULL, VARIANT_NONE},
		{0, "identity;q=0, br", NULL, VARIANT_NONE},
		{0, "gzip", NULL, VARIANT_SELF},
		{AVIF | WEBP, NULL, "image/avif,image/webp,image/*,*/*;q=0.8", VARIANT_AVIF},
		{WEBP, NULL, "image/avif,image/webp,image/*,*/*;q=0.8", VARIANT_WEBP},
		{AVIF | WEBP, NULL, "image/webp", VARIANT_WEBP},
		{AVIF | WEBP, NULL, "*/*", VARIANT_SELF},
		{AVIF | WEBP, NULL, "image/*", VARIANT_SELF},
		{AVIF | WEBP, NULL, NULL, VARIANT_SELF},
		{AVIF | WEBP, NULL, "image/webp;q=0.3, image/jpeg", VARIANT_SELF},
		{AVIF | WEBP, NULL, "image/avif;q=0.1, image/webp;q=0.9, */*;q=0.1", VARIANT_WEBP},
		{AVIF | WEBP, NULL, "image/avif;q=0", VARIANT_SELF},
		{AVIF | GZ, "gzip", "image/avif", VARIANT_AVIF},
		{AVIF | GZ, "gzip", "*/*", VARIANT_GZIP},
		{AVIF | GZ, "gzip, identity;q=0", "image/avif", VARIANT_GZIP},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char memory[1024];
		struct arena arena;
		struct fields fields = {NULL, 0, 0};
		arena_init(&arena, memory, sizeof memory);
		if (rows[i].encoding)
			fields_add(
				&fields, &arena, FIELD_ACCEPT_ENCODING, slice_of(rows[i].encoding));
		if (rows[i].accept)
			fields_add(&fields, &arena, FIELD_ACCEPT, slice_of(rows[i].accept));
		enum variant choice =
			variant_choose(&fields, &arena, rows[i].variants, SLICE("image/jpeg"));
		if (choice != rows[i].choice)
			fail_msg("row %zu: %u, not %u", i, choice, rows[i].choice);
		arena_reset(&arena);
	}
}

static void varies_by_what_chooses(void **state)
{
	(void)state;
	assert_int_equal(variant_vary(0).len, 0);
	assert_string_equal(variant_vary(GZ).ptr, "Accept-Encoding");
	assert_string_equal(variant_vary(WEBP).ptr, "Accept");
	assert_string_equal(variant_vary(BR | AVIF).ptr, "Accept, Accept-Encoding");
}

/* --- Served. --- */

static void set_time(const char *path, time_t seconds, long nanoseconds)
{
	struct timespec times[2] = {{seconds, nanoseconds}, {seconds, nanoseconds}};
	assert_int_equal(utimensat(AT_FDCWD, site_path(path), times, 0), 0);
}

static struct exchange_seen *ask_for(const char *target, const char *fields, const char *body)
{
	struct exchange_seen *seen = site_ask("GET", target, fields);
	assert_int_equal(seen->body.len, strlen(body));
	assert_memory_equal(seen->body.ptr, body, strlen(body));
	return seen;
}

#define GZIP "Accept-Encoding: gzip\n"

static void sidecar_answers(void **state)
{
	(void)state;
	site_write("www/a.css", "plain", SIZE_MAX);
	site_write("www/a.css.gz", "zipped", SIZE_MAX);
	site_start("root: www\n    max_age: { \"*.css\": 1h }", true);
	struct exchange_seen *seen = ask_for("/a.css", GZIP, "zipped");
	assert_true(seen->ready); /* DESIGN 6: as cheap as any small file */
	site_assert_field(seen, "Content-Type", "text/css; charset=utf-8");
	site_assert_field(seen, "Content-Encoding", "gzip");
	site_assert_field(seen, "Vary", "Accept-Encoding");
	site_assert_field(seen, "Cache-Control", "max-age=3600");
	char *tag = test_malloc(64), *line = test_malloc(128);
	snprintf(tag, 64, "%s", loopback_field(seen, "ETag"));
	assert_string_equal(tag + strlen(tag) - 4, "-gz\"");
	/* ranges and conditions are those of the variant */
	seen = ask_for("/a.css", GZIP "Range: bytes=1-3\n", "ipp");
	assert_int_equal(seen->request.response.status, 206);
	site_assert_field(seen, "Content-Range", "bytes 1-3/6");
	site_assert_field(seen, "Content-Encoding", "gzip");
	site_assert_field(seen, "Vary", "Accept-Encoding");
	snprintf(line, 128, GZIP "If-None-Match: %s\n", tag);
	seen = ask_for("/a.css", line, "");
	assert_int_equal(seen->request.response.status, 304);
	site_assert_field(seen, "Vary", "Accept-Encoding");
	site_assert_field(seen, "Content-Encoding", NULL);
	site_assert_field(seen, "ETag", tag);
	/* without the coding it is the file, and its tag is another one */
	seen = ask_for("/a.css", NULL, "plain");
	site_assert_field(seen, "Content-Encoding", NULL);
	site_assert_field(seen, "Vary", "Accept-Encoding");
	assert_string_not_equal(loopback_field(seen, "ETag"), tag);
	snprintf(line, 128, "If-None-Match: %s\n", tag);
	ask_for("/a.css", line, "plain");
	/* by its own name it is what it is */
	seen = ask_for("/a.css.gz", GZIP, "zipped");
	site_assert_field(seen, "Content-Type", "application/gzip");
	site_assert_field(seen, "Content-Encoding", NULL);
	test_free(tag);
	test_free(line);
}

static void nothing_acceptable(void **state)
{
	(void)state;
	site_write("www/a.css", "plain", SIZE_MAX);
	site_write("www/a.css.br", "brotli", SIZE_MAX);
	site_start("root: www", true);
	struct exchange_seen *seen = site_ask("GET", "/a.css", "Accept-Encoding: identity;q=0\n");
	assert_int_equal(seen->request.response.status, 406);
	site_assert_field(seen, "Vary", "Accept-Encoding");
	ask_for("/a.css", "Accept-Encoding: identity;q=0, br\n", "brotli");
}

/* Times are compared as exactly as the tools that make sidecars keep them. */
static void stale_ones_are_passed_over(void **state)
{
	(void)state;
	site_write("www/a.js", "plain", SIZE_MAX);
	site_write("www/a.js.gz", "zipped", SIZE_MAX);
	set_time("www/a.js", 1000000000, 500);
	set_time("www/a.js.gz", 999999999, 600);
	site_start("root: www", true);
	site_assert_field(ask_for("/a.js", GZIP, "plain"), "Vary", NULL);
	set_time("www/a.js.gz", 1000000000, 400);
	ask_for("/a.js", GZIP, "plain");
	set_time("www/a.js.gz", 1000000000, 0); /* copied without its fraction */
	ask_for("/a.js", GZIP, "zipped");
	set_time("www/a.js.gz", 1000000000, 500);
	ask_for("/a.js", GZIP, "zipped");
	site_write("www/a.js", "newer", SIZE_MAX);
	ask_for("/a.js", GZIP, "newer");
}

static void come_and_go(void **state)
{
	(void)state;
	site_write("www/a.js", "plain", SIZE_MAX);
	set_time("www/a.js", 1000000000, 0);
	site_start("root: www", true);
	site_assert_field(ask_for("/a.js", GZIP, "plain"), "Vary", NULL);
	site_write("www/a.js.gz", "zipped", SIZE_MAX);
	ask_for("/a.js", GZIP, "zipped");
	/* the file itself was not read again, but says now what it is chosen by */
	site_assert_field(ask_for("/a.js", NULL, "plain"), "Vary", "Accept-Encoding");
	site_write("www/a.js.gz", "again", SIZE_MAX);
	ask_for("/a.js", GZIP, "again");
	site_remove("www/a.js.gz");
	site_assert_field(ask_for("/a.js", GZIP, "plain"), "Vary", NULL);
}

static void what_is_no_sidecar(void **state)
{
	(void)state;
	site_write("www/a.js", "plain", SIZE_MAX);
	site_folder("www/a.js.br");
	site_write("www/a.js.gz", "", 0);
	site_write("outside", "secret", SIZE_MAX);
	site_link("www/a.js.zst", "../outside");
	site_start("root: www", true);
	site_assert_field(
		ask_for("/a.js", "Accept-Encoding: zstd, br, gzip\n", "plain"), "Vary", NULL);
	/* alone it answers for nothing */
	site_write("www/b.js.gz", "zipped", SIZE_MAX);
	site_ask("GET", "/b.js", GZIP);
	assert_int_equal(site_passed, 1);
}

static void sidecar_of_an_index_and_by_a_link(void **state)
{
	(void)state;
	site_write("www/index.html", "<p>", SIZE_MAX);
	site_write("www/packed", "zipped", SIZE_MAX);
	site_link("www/index.html.gz", "packed");
	site_start("root: www", true);
	site_assert_field(ask_for("/", GZIP, "zipped"), "Content-Type", "text/html; charset=utf-8");
	site_write("www/packed", "other!", SIZE_MAX);
	ask_for("/", GZIP, "other!");
}

static void images(void **state)
{
	(void)state;
	site_write("www/p.jpg", "jpeg", SIZE_MAX);
	site_write("www/p.jpg.avif", "avif!", SIZE_MAX);
	site_write("www/p.jpg.webp", "webp!!", SIZE_MAX);
	site_write("www/p.html", "page", SIZE_MAX);
	site_write("www/p.html.webp", "no", SIZE_MAX);
	site_start("root: www", true);
	struct exchange_seen *seen =
		ask_for("/p.jpg", "Accept: image/avif,image/webp,*/*;q=0.8\n", "avif!");
	site_assert_field(seen, "Content-Type", "image/avif");
	site_assert_field(seen, "Content-Encoding", NULL);
	site_assert_field(seen, "Vary", "Accept");
	site_assert_field(
		ask_for("/p.jpg", "Accept: image/webp\n", "webp!!"), "Content-Type", "image/webp");
	site_assert_field(ask_for("/p.jpg", "Accept: */*\n", "jpeg"), "Vary", "Accept");
	ask_for("/p.html", "Accept: image/webp\n", "page");
}

static void large_ones(void **state)
{
	(void)state;
	size_t length = 300000;
	char *content = test_malloc(length);
	memset(content, 'x', length);
	site_write("www/l.txt", content, length);
	memset(content, 'z', length);
	site_write("www/l.txt.gz", content, length - 1);
	site_start("root: www", true);
	struct exchange_seen *seen = site_ask("GET", "/l.txt", GZIP);
	assert_int_equal(seen->body.len, length - 1);
	assert_memory_equal(seen->body.ptr, content, length - 1);
	assert_true(seen->file_spans > 0);
	site_assert_field(seen, "Content-Type", "text/plain; charset=utf-8");
	test_free(content);
}

/* A head that stays says no less than it must, whatever came beside it. */
static void others_come_beside(void **state)
{
	(void)state;
	site_write("www/p.svg", "<svg>", SIZE_MAX);
	site_write("www/p.svg.br", "brotli", SIZE_MAX);
	set_time("www/p.svg", 1000000000, 0);
	set_time("www/p.svg.br", 1000000000, 0);
	site_start("root: www", true);
	site_assert_field(
		ask_for("/p.svg", "Accept-Encoding: br\n", "brotli"), "Vary", "Accept-Encoding");
	site_write("www/p.svg.avif", "avif", SIZE_MAX);
	site_assert_field(ask_for("/p.svg", "Accept-Encoding: br\n", "brotli"), "Vary",
		"Accept, Accept-Encoding");
	site_assert_field(ask_for("/p.svg", NULL, "<svg>"), "Vary", "Accept, Accept-Encoding");
	struct exchange_seen *seen = site_ask("GET", "/p.svg", "Accept-Encoding: identity;q=0\n");
	assert_int_equal(seen->request.response.status, 406);
	site_assert_field(seen, "Vary", "Accept, Accept-Encoding");
}

/* RFC 9110, 12.5.5: a field of the site's own does not unsay what was negotiated. */
static void vary_of_the_site(void **state)
{
	(void)state;
	site_write("www/a.js", "plain", SIZE_MAX);
	site_write("www/a.js.gz", "zipped", SIZE_MAX);
	site_start("root: www\n    headers: { set: { vary: Origin } }", true);
	site_assert_field(ask_for("/a.js", GZIP, "zipped"), "Vary", "Accept-Encoding, Origin");
	/* once only, also where the head is not the one that stands ready */
	struct exchange_seen *seen =
		site_ask("GET", "/a.js", "Accept-Encoding: gzip\nRange: bytes=0-1\n");
	assert_int_equal(seen->request.response.status, 206);
	site_assert_field(seen, "Vary", "Accept-Encoding, Origin");
	site_get("/none", 404, NULL);
}

/* An error's page is sent in any case. */
static void as_an_error_page(void **state)
{
	(void)state;
	site_write("www/404.html", "gone", SIZE_MAX);
	site_write("www/404.html.gz", "zipped", SIZE_MAX);
	site_start("root: www\n    errors: { 404: /404.html }", true);
	struct exchange_seen *seen = ask_for("/none", GZIP, "zipped");
	assert_int_equal(seen->request.response.status, 404);
	site_assert_field(seen, "Content-Encoding", "gzip");
	seen = ask_for("/none", "Accept-Encoding: identity;q=0\n", "gone");
	assert_int_equal(seen->request.response.status, 404);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chooses_by_quality),
		cmocka_unit_test(varies_by_what_chooses),
		SITE_TEST(sidecar_answers),
		SITE_TEST(nothing_acceptable),
		SITE_TEST(stale_ones_are_passed_over),
		SITE_TEST(come_and_go),
		SITE_TEST(what_is_no_sidecar),
		SITE_TEST(sidecar_of_an_index_and_by_a_link),
		SITE_TEST(images),
		SITE_TEST(large_ones),
		SITE_TEST(others_come_beside),
		SITE_TEST(vary_of_the_site),
		SITE_TEST(as_an_error_page),
	};
	return cmocka_run_group_tests_name("handlers/variant", tests, NULL, NULL);
}
