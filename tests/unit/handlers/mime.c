/* SPDX-License-Identifier: BSD-2-Clause */
/* Media types by extension (DESIGN 3: the system's mime.types under the web's own built-in table). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "handlers/file/mime.h"

static struct arena arena;

static void assert_type(const struct mime *mime, const char *name, const char *type)
{
	struct slice found = mime_find(mime, slice_of(name));
	if (!type)
		assert_null(found.ptr);
	else if (!slice_equal(found, slice_of(type)))
		fail_msg("%s is \"%.*s\", not \"%s\"", name, (int)found.len,
			found.ptr ? found.ptr : "", type);
}

static void knows_the_web(void **state)
{
	(void)state;
	static const struct {
		const char *name, *type;
	} rows[] = {
		{"index.html", "text/html"},
		{"a/b/style.css", "text/css"},
		{"APP.JS", "text/javascript"},
		{"module.mjs", "text/javascript"},
		{"app.js.map", "application/json"},
		{"site.webmanifest", "application/manifest+json"},
		{"code.wasm", "application/wasm"},
		{"logo.svg", "image/svg+xml"},
		{"photo.JPEG", "image/jpeg"},
		{"photo.avif", "image/avif"},
		{"favicon.ico", "image/vnd.microsoft.icon"},
		{"font.woff2", "font/woff2"},
		{"film.mp4", "video/mp4"},
		{"film.webm", "video/webm"},
		{"segment.ts", "video/mp2t"},
		{"list.m3u8", "application/vnd.apple.mpegurl"},
		{"subtitles.vtt", "text/vtt"},
		{"paper.pdf", "application/pdf"},
		{"archive.tar.gz", "application/gzip"},
		{"feed.atom", "application/atom+xml"},
		{"scene.glb", "model/gltf-binary"},
		{"no-extension", NULL},
		{"dir.html/no-extension", NULL},
		{"ends-with-dot.", NULL},
		{"name.thisextensionistoolongforatable", NULL},
		{"", NULL},
	};
	struct mime *mime = mime_new(&arena, SLICE(""));
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_type(mime, rows[i].name, rows[i].type);
}

static void reads_the_system(void **state)
{
	(void)state;
	struct mime *mime = mime_new(&arena, SLICE("# comment\n"
						   "application/x-own\t\town OWN2 # and a comment\n"
						   "application/first dup\napplication/second dup\n"
						   "text/wrong html\n"
						   "application/none\n"
						   "no-stroke bad1\n"
						   "evil/type;x=y bad2\n"
						   "\xff/type bad3\n"
						   "application/last last"));
	assert_type(mime, "x.own", "application/x-own");
	assert_type(mime, "x.own2", "application/x-own");
	assert_type(mime, "x.dup", "application/first");
	assert_type(mime, "x.html", "text/html"); /* the web's own table stands above */
	assert_type(mime, "x.bad1", NULL);
	assert_type(mime, "x.bad2", NULL);
	assert_type(mime, "x.bad3", NULL);
	assert_type(mime, "x.last", "application/last");
}

static void tells_text(void **state)
{
	(void)state;
	assert_true(mime_is_text(SLICE("text/css")));
	assert_false(mime_is_text(SLICE("application/json")));
	assert_false(mime_is_text(SLICE("image/png")));
}

/* DESIGN 3: never an active type from content alone. */
static void believes_no_active_type(void **state)
{
	(void)state;
	static const struct {
		const char *type;
		bool text;
		const char *passive;
	} rows[] = {
		{"image/png", false, "image/png"},
		{"application/pdf", false, "application/pdf"},
		{"application/gzip", false, "application/gzip"},
		{"video/mp4", false, "video/mp4"},
		{"text/html", true, "text/plain"},
		{"text/html", false, "text/plain"},
		{"text/xml", true, "text/plain"},
		{"text/x-c++", true, "text/plain"},
		{"application/javascript", true, "text/plain"},
		{"application/xhtml+xml", false, "application/octet-stream"},
		{"image/svg+xml", true, "text/plain"},
		{"image/svg+xml", false, "application/octet-stream"},
		{"application/x-shockwave-flash", false, "application/octet-stream"},
		{"application/wasm", false, "application/octet-stream"},
		{"message/rfc822", true, "text/plain"},
		{"inode/x-empty", true, "text/plain"},
		{"image/png; x\r\nA: b", false, "application/octet-stream"},
		{"", false, "application/octet-stream"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct slice passive = mime_passive(slice_of(rows[i].type), rows[i].text);
		assert_int_equal(passive.len, strlen(rows[i].passive));
		assert_memory_equal(passive.ptr, rows[i].passive, passive.len);
	}
}

static int tear_down(void **state)
{
	(void)state;
	arena_reset(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(knows_the_web, tear_down),
		cmocka_unit_test_teardown(reads_the_system, tear_down),
		cmocka_unit_test_teardown(tells_text, tear_down),
		cmocka_unit_test_teardown(believes_no_active_type, tear_down),
	};
	return cmocka_run_group_tests_name("handlers/mime", tests, NULL, NULL);
}
