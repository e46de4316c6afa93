/* SPDX-License-Identifier: BSD-2-Clause */
/* A folder of files made for one test, and a thread that serves it. */
#include "site.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "handlers/redirect.h"
#include "handlers/static/fallback.h"
#include "handlers/static/static.h"

struct site_folder site;
unsigned site_passed;
static struct exchange_seen *last;

static enum verdict note_pass(struct request *request)
{
	(void)request;
	site_passed++;
	return PASS;
}

static const struct handler behind = {.name = "behind", .handle = note_pass};
static const struct handler *const table[] = {
	&redirect_handler, &static_handler, &behind, &fallback_handler, NULL};

int site_set_up(void **state)
{
	(void)state;
	snprintf(site.path, sizeof site.path, "/tmp/weir-site-XXXXXX");
	site_passed = 0;
	if (!mkdtemp(site.path))
		return -1;
	site_folder("www");
	return 0;
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *where)
{
	(void)s, (void)type, (void)where;
	return remove(path);
}

int site_tear_down(void **state)
{
	(void)state;
	if (last)
		loopback_free(last);
	last = NULL;
	if (site.loopback)
		loopback_stop(site.loopback);
	site.loopback = NULL;
	return nftw(site.path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void site_start(const char *keys, bool watching)
{
	struct buffer yaml = {NULL, 0, 0};
	buffer_format(&yaml, "sites:\n  - listen: \"http://127.0.0.1:80\"\n    %s\n", keys);
	buffer_append(&yaml, "", 1);
	site.loopback = loopback_start(table, yaml.ptr, site.path, watching);
	buffer_free(&yaml);
}

const char *site_path(const char *path)
{
	static char paths[4][PATH_MAX];
	static unsigned turn;
	char *to = paths[turn++ % 4];
	snprintf(to, PATH_MAX, "%s/%s", site.path, path);
	return to;
}

void site_write(const char *path, const char *content, size_t length)
{
	if (length == SIZE_MAX)
		length = strlen(content);
	int fd = open(site_path(path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	for (size_t done = 0; done < length;) {
		ssize_t n = write(fd, content + done, length - done);
		assert_true(n > 0);
		done += (size_t)n;
	}
	close(fd);
}

void site_fill(const char *path, size_t length, char with)
{
	char *content = test_malloc(length);
	memset(content, with, length);
	site_write(path, content, length);
	test_free(content);
}

void site_date(const char *path, long ago)
{
	struct timespec times[2];
	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= ago;
	times[1] = times[0];
	assert_int_equal(utimensat(AT_FDCWD, site_path(path), times, 0), 0);
}

void site_folder(const char *path)
{
	assert_int_equal(mkdir(site_path(path), 0755), 0);
}

void site_link(const char *path, const char *target)
{
	assert_int_equal(symlink(target, site_path(path)), 0);
}

void site_rename(const char *from, const char *to)
{
	assert_int_equal(rename(site_path(from), site_path(to)), 0);
}

void site_remove(const char *path)
{
	assert_int_equal(remove(site_path(path)), 0);
}

struct exchange_seen *site_ask(const char *method, const char *target, const char *fields)
{
	if (last)
		loopback_free(last);
	last = loopback_ask(site.loopback, method, target, fields);
	return last;
}

struct exchange_seen *site_get(const char *target, unsigned status, const char *content)
{
	struct exchange_seen *seen = site_ask("GET", target, NULL);
	if (seen->request.response.status != status)
		fail_msg("%s: %u, not %u", target, seen->request.response.status, status);
	if (content) {
		assert_int_equal(seen->body.len, strlen(content));
		assert_memory_equal(seen->body.ptr, content, strlen(content));
	}
	return seen;
}

struct exchange_seen *site_begin_slowly(const char *target)
{
	site.loopback->quantum = 1;
	struct exchange_seen *seen = loopback_begin(site.loopback, "GET", target, NULL);
	site.loopback->quantum = 0;
	while (!seen->bodies && !seen->aborted)
		loopback_turn(site.loopback);
	return seen;
}

void site_assert_field(struct exchange_seen *seen, const char *name, const char *value)
{
	const char *found = loopback_field(seen, name);
	if (!value && found)
		fail_msg("%s: \"%s\" should not be there", name, found);
	if (value && (!found || strcmp(found, value) != 0))
		fail_msg("%s is \"%s\", not \"%s\"", name, found ? found : "(none)", value);
}

struct file_cache *site_cache(void)
{
	return handler_state(&site.loopback->thread, &static_handler);
}

struct file *site_file(const char *name)
{
	char path[64];
	snprintf(path, sizeof path, "/%s", name);
	site_get(path, 200, NULL);
	struct file_entry *entry = container_of(
		site_cache()->shelves[SHELF_OPEN].entries.prev, struct file_entry, link);
	return entry->file;
}

void site_assert_all(const struct exchange_seen *seen, size_t length, char octet)
{
	assert_true(seen->ended);
	assert_int_equal(seen->body.len, length);
	for (size_t i = 0; i < length; i++)
		assert_int_equal(seen->body.ptr[i], octet);
}

unsigned site_known(enum file_shelf shelf)
{
	return site_cache()->shelves[shelf].count;
}

bool site_at_once(const char *target)
{
	struct exchange_seen *seen = loopback_begin(site.loopback, "GET", target, NULL);
	bool ended = seen->ended;
	loopback_free(seen);
	return ended;
}

void site_sleep(long ms)
{
	struct timespec time = {ms / 1000, ms % 1000 * 1000000};
	nanosleep(&time, NULL);
}
