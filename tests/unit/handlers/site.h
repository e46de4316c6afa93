/* SPDX-License-Identifier: BSD-2-Clause */
/* A folder of files made for one test, and a thread that serves it. */
#ifndef WEIR_TESTS_HANDLERS_SITE_H
#define WEIR_TESTS_HANDLERS_SITE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../loopback.h"
#include "handlers/file/file_cache_priv.h"

struct site_folder {
	char path[64];             /* holds www/, the root of the sites in the tests */
	struct loopback *loopback; /* NULL: not started */
};
extern struct site_folder site;

/* For cmocka: an empty folder; all goes afterwards. */
int site_set_up(void **state);
int site_tear_down(void **state);

/* Starts serving: `keys` are lines of the site below listen, such as "root: www\n    max_age: 1h". */
void site_start(const char *keys, bool watching);
/* Answers of the handlers behind static and redirect: what passes is noted and answered 404 or 405 at the end. */
extern unsigned site_passed;

/* Paths are relative to the folder. Contents of length SIZE_MAX: up to the NUL. */
void site_write(const char *path, const char *content, size_t length);
/* Likewise, all of one octet. */
void site_fill(const char *path, size_t length, char with);
/* Makes it a file that was written so many seconds ago. */
void site_date(const char *path, long ago);
void site_folder(const char *path);
void site_link(const char *path, const char *target);
void site_rename(const char *from, const char *to);
void site_remove(const char *path);
const char *site_path(const char *path);

/* Asks; the answer is valid until the next call or the end of the test. */
struct exchange_seen *site_ask(const char *method, const char *target, const char *fields);
/* GET, with what must come. content NULL: not looked at. */
struct exchange_seen *site_get(const char *target, unsigned status, const char *content);
/* GET of a large file by a reader who has taken the beginning, and takes the rest when it is awaited; the caller frees it. */
struct exchange_seen *site_begin_slowly(const char *target);
void site_assert_field(struct exchange_seen *seen, const char *name, const char *value);

/* What the thread knows of files, and how many of a shelf's places are taken. */
struct file_cache *site_cache(void);
/* Asks for www/NAME, which is kept open, and gives what is known of it. */
struct file *site_file(const char *name);
/* A body has ended, and is this octet so often. */
void site_assert_all(const struct exchange_seen *seen, size_t length, char octet);
unsigned site_known(enum file_shelf shelf);
/* GET: is the answer there before anything was waited for? */
bool site_at_once(const char *target);
void site_sleep(long ms);

#define SITE_TEST(function) cmocka_unit_test_setup_teardown(function, site_set_up, site_tear_down)

#endif
