/* SPDX-License-Identifier: BSD-2-Clause */
/* The file cache held against the file system itself: a tree of folders, files and links is changed at random, and after each change
 * every answer must be what a fresh look gives (DESIGN 3: changed on disk, the next request sees the change). */
#include "site.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEPS      1500
#define REST_STEPS 50

static const char *const folders[] = {
	"www", "www/a", "www/b", "www/a/c", "www/b/c", "next", "next/c"};
static const char *const names[] = {"a", "b", "c", "f", "g", "h.txt", "index.html"};
static unsigned seed;

static unsigned pick(unsigned below)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % below;
}

/* A place in the tree; it need not be there. */
static const char *pick_place(void)
{
	static char places[4][64];
	static unsigned turn;
	char *place = places[turn++ % 4];
	const char *folder = folders[pick(sizeof folders / sizeof *folders)];
	const char *name = names[pick(sizeof names / sizeof *names)];
	snprintf(place, sizeof places[0], "%s/%s", folder, name);
	return place;
}

static void remove_any(const char *place)
{
	char command[PATH_MAX + 16];
	if (remove(site_path(place)) && errno == ENOTEMPTY) {
		snprintf(command, sizeof command, "rm -rf '%s'", site_path(place));
		assert_int_equal(system(command), 0);
	}
}

static void write_any(const char *place, unsigned step)
{
	char content[32];
	int fd =
		open(site_path(place), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0644);
	if (fd < 0)
		return; /* no folder, a folder, a loop */
	int length = snprintf(content, sizeof content, "%06u", step);
	assert_int_equal(write(fd, content, (size_t)length), length);
	close(fd);
}

static void link_any(const char *place)
{
	static const char *const targets[] = {"a", "b", "c", "f", "../a", "../b/c", "../f",
		"../../next", "a/c", "c/../f", ".", "a/c/f", "../b/a/c", "h.txt", "../h.txt"};
	char absolute[PATH_MAX];
	const char *target = targets[pick(sizeof targets / sizeof *targets)];
	if (pick(4) == 0) {
		snprintf(absolute, sizeof absolute, "%s", site_path(pick_place()));
		target = absolute;
	}
	remove_any(place);
	(void)!symlink(target, site_path(place));
}

static void change(unsigned step)
{
	const char *place = pick_place();
	switch (pick(8)) {
	case 0:
	case 1:
	case 2:
		write_any(place, step);
		break;
	case 3:
		remove_any(place);
		break;
	case 4:
		mkdir(site_path(place), 0755);
		break;
	case 5:
	case 6:
		(void)!rename(site_path(place), site_path(pick_place()));
		break;
	default:
		link_any(place);
	}
}

/* --- What should be answered. --- */

struct expected {
	unsigned status;
	char content[32];
};

/* The content of what a path beneath www names; 403: a link leads out. 0: a folder. */
static unsigned read_real(const char *path, char content[32])
{
	char real[PATH_MAX], root[PATH_MAX];
	struct stat s;
	content[0] = '\0';
	assert_non_null(realpath(site_path("www"), root));
	if (!realpath(path, real))
		return 404;
	size_t length = strlen(root);
	if (strncmp(real, root, length) != 0 || (real[length] != '/' && real[length] != '\0'))
		return 403;
	assert_int_equal(stat(real, &s), 0);
	if (S_ISDIR(s.st_mode))
		return 0;
	int fd = open(real, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, content, 31);
	assert_true(n >= 0);
	content[n] = '\0';
	close(fd);
	return 200;
}

static struct expected expect(const char *target)
{
	struct expected e;
	char path[PATH_MAX], index[PATH_MAX + 16];
	snprintf(path, sizeof path, "%s/www%s", site.path, target);
	size_t length = strlen(path);
	bool slash = path[length - 1] == '/';
	e.status = read_real(path, e.content);
	if (e.status != 0 && !slash)
		return e;
	snprintf(index, sizeof index, "%s%sindex.html", path, slash ? "" : "/");
	e.status = read_real(index, e.content);
	if (e.status == 0)
		e.status = 404;
	if (e.status == 200 && !slash)
		e.status = 308;
	return e;
}

/* --- */

static const char *const targets[] = {"/", "/f", "/index.html", "/a", "/a/", "/a/f",
	"/a/index.html", "/b/", "/b/g", "/a/c/f", "/a/c/", "/a/c", "/b/c/f", "/c/f", "/g",
	"/a/b/c/f", "/b/a/f", "/h.txt", "/a/h.txt", "/b/c/h.txt", "/c/h.txt", "/b/a/h.txt"};

/* A link that leads out through its own folder or into nothing is refused by the kernel sooner than it is found missing. */
static bool fits(const struct expected *e, const struct exchange_seen *seen)
{
	unsigned status = seen->request.response.status;
	if (status != e->status)
		return e->status == 404 && status == 403;
	return status != 200 ||
	       (seen->body.len == strlen(e->content) && memcmp(seen->body.ptr ? seen->body.ptr : "",
								e->content, seen->body.len) == 0);
}

static void run(unsigned first_seed)
{
	unsigned answered = 0;
	seed = first_seed;
	for (unsigned i = 1; i < sizeof folders / sizeof *folders; i++)
		site_folder(folders[i]);
	site_start("root: www", true);
	for (unsigned step = 0; step < STEPS; step++) {
		change(step);
		if (step % REST_STEPS ==
			0) /* only what was left alone for a moment is looked at without a wait */
			site_sleep(60);
		for (int i = 0; i < 4; i++) {
			const char *target = targets[pick(sizeof targets / sizeof *targets)];
			struct expected e = expect(target);
			struct exchange_seen *seen = site_ask("GET", target, NULL);
			answered += seen->request.response.status == 200;
			if (!fits(&e, seen))
				fail_msg("seed %u, step %u, %s: %u \"%.*s\", not %u \"%s\"",
					first_seed, step, target, seen->request.response.status,
					(int)seen->body.len, seen->body.ptr ? seen->body.ptr : "",
					e.status, e.content);
		}
	}
	assert_true(answered > STEPS / 20); /* the walk did meet files */
}

static void seed_1(void **state)
{
	(void)state;
	run(1);
}

static void seed_2(void **state)
{
	(void)state;
	run(20261123);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SITE_TEST(seed_1),
		SITE_TEST(seed_2),
	};
	return cmocka_run_group_tests_name("handlers/file_model", tests, NULL, NULL);
}
