/* SPDX-License-Identifier: BSD-2-Clause */
/* Versions of files while they are sent: the old one whole where it was replaced, an end where it was written to (DESIGN 3). */
#include "site.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LONG_AGO 200000 /* seconds: the kernel sends it from the file itself */

/* DESIGN 3: replaced while it is sent: the old one, whole. */
static void replaced_while_sent(void **state)
{
	(void)state;
	size_t length = 3 * 1024 * 1024;
	site_fill("www/large.bin", length, 'a');
	site_fill("next", length, 'b');
	site_start("root: www", true);
	struct exchange_seen *seen = site_begin_slowly("/large.bin");
	site_rename("next", "www/large.bin");
	site_get("/large.bin", 200, NULL);
	loopback_await(seen);
	assert_false(seen->aborted);
	assert_int_equal(seen->body.len, length);
	for (size_t i = 0; i < length; i++)
		assert_int_equal(seen->body.ptr[i], 'a');
	loopback_free(seen);
}

static bool guarded(const char *name)
{
	char path[64];
	snprintf(path, sizeof path, "/%s", name);
	site_get(path, 200, NULL);
	return container_of(site_cache()->shelves[SHELF_OPEN].entries.prev, struct file_entry, link)
		->file->guarded;
}

/* Who wrote a file just now that was made long ago does so in place: what stands in the kernel already would change, too. */
static void written_anew_before_the_first_look(void **state)
{
	(void)state;
	struct statx birth;
	site_fill("www/made.bin", 300000, 'a');
	site_fill("www/dated.bin", 300000, 'a');
	site_fill("www/anew.bin", 300000, 'a');
	assert_int_equal(statx(AT_FDCWD, site_path("www/anew.bin"), 0, STATX_BTIME, &birth), 0);
	site_date("www/dated.bin", 86400);
	site_date("www/anew.bin", -60);
	site_start("root: www", true);
	assert_false(guarded("made.bin"));
	assert_false(guarded("dated.bin"));
	assert_int_equal(guarded("anew.bin"), (birth.stx_mask & STATX_BTIME) != 0);
}

/* DESIGN 3: written in place or truncated: the connection ends, nothing is mixed or padded. (What has no copy: see file_copy.) */
static void written_while_sent(void **state)
{
	(void)state;
	size_t length = 3 * 1024 * 1024;
	for (int how = 0; how < 3; how++) {
		site_fill("www/large.bin", length, 'a');
		site_date("www/large.bin", LONG_AGO);
		if (how == 0)
			site_start("root: www", true);
		site_cache()->copies->bytes_max = 0;
		struct exchange_seen *seen = site_begin_slowly("/large.bin");
		if (how == 0)
			site_fill("www/large.bin", length, 'b');
		else
			assert_int_equal(
				truncate(site_path("www/large.bin"), how == 1 ? 100 : 0), 0);
		watch_drain(site.loopback->thread.watch);
		loopback_await(seen);
		assert_true(seen->aborted);
		assert_false(seen->ended);
		for (size_t i = 0; i < seen->body.len; i++)
			assert_int_equal(seen->body.ptr[i], 'a');
		loopback_free(seen);
	}
}

/* Of a write that is not over while the rest is sent no event tells, but the file's time: here by another name, of which none tells at all. */
static void written_while_sent_and_not_told_of(void **state)
{
	(void)state;
	size_t length = 3 * 1024 * 1024;
	site_fill("www/large.bin", length, 'a');
	site_date("www/large.bin", LONG_AGO);
	site_folder("unseen");
	site_start("root: www", true);
	site_cache()->copies->bytes_max = 0;
	struct exchange_seen *seen = site_begin_slowly("/large.bin");
	assert_int_equal(link(site_path("www/large.bin"), site_path("unseen/name")), 0);
	site_fill("unseen/name", length, 'b');
	loopback_await(seen);
	assert_true(seen->aborted);
	assert_false(seen->ended);
	loopback_free(seen);
}

static void client_goes_while_sent(void **state)
{
	(void)state;
	site_fill("www/large.bin", 3 * 1024 * 1024, 'a');
	site_start("root: www", true);
	struct exchange_seen *seen = site_begin_slowly("/large.bin");
	loopback_gone(seen);
	loopback_free(seen);
	site_get("/large.bin", 200, NULL);
}

/* DESIGN 4: cold pages are read by an I/O thread. Dropping the page cache of a file needs no rights. */
static void cold_pages_are_read_ahead(void **state)
{
	(void)state;
	size_t length = 9 * 1024 * 1024; /* more than what is read for its entity tag */
	site_fill("www/large.bin", length, 'c');
	int fd = open(site_path("www/large.bin"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(fsync(fd), 0);
	site_start("root: www", true);
	for (int i = 0; i < 3; i++) {
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		struct exchange_seen *seen = site_get("/large.bin", 200, NULL);
		assert_int_equal(seen->body.len, length);
		assert_int_equal(seen->body.ptr[length - 1], 'c');
	}
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SITE_TEST(replaced_while_sent),
		SITE_TEST(written_anew_before_the_first_look),
		SITE_TEST(written_while_sent),
		SITE_TEST(written_while_sent_and_not_told_of),
		SITE_TEST(client_goes_while_sent),
		SITE_TEST(cold_pages_are_read_ahead),
	};
	return cmocka_run_group_tests_name("handlers/file_versions", tests, NULL, NULL);
}
