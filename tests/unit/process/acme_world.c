/* SPDX-License-Identifier: BSD-2-Clause */
/* A folder of the state for one test. */
#include "acme_world.h"

#include <ftw.h>

#include "base/check.h"
#include "base/log.h"
#include "tests/unit/io/tls_made.h"

static bool pulled(struct acme_leash *leash)
{
	return container_of(leash, struct world, leash)->end;
}

void world_write(const char *path, const char *text, mode_t mode)
{
	unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	assert_int_equal(chmod(path, mode), 0);
}

char *world_read(const char *path, char *room, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, room, size - 1);
	if (fd >= 0)
		close(fd);
	room[n < 0 ? 0 : n] = 0;
	return room;
}

int world_make(void **state)
{
	struct world *w = must_zalloc(sizeof(*w));
	snprintf(w->folder, sizeof(w->folder), "/tmp/weir-acme-XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	snprintf(w->path, sizeof(w->path), "%s/a/state", w->folder);
	snprintf(w->script, sizeof(w->script), "%s/uacme", w->folder);
	w->log = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	log_open(w->log, LOG_LEVEL_DEBUG, "test");
	assert_int_equal(acme_state_make(w->path, (uid_t)-1, (gid_t)-1), 0);
	w->state = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w->names[0] = must_strdup("a.test");
	w->names[1] = must_strdup("www.a.test");
	w->certificate = (struct acme_certificate){.state = w->path,
		.directory = must_strdup("https://ca.test/dir"),
		.email = must_strdup("me@a.test"),
		.ca = must_strdup(""),
		.names = w->names,
		.count = 2};
	w->leash = (struct acme_leash){{-1, -1}, pulled};
	w->means = (struct acme_means){.sandbox = SANDBOX_ON,
		.program = w->script,
		.self = open("/proc/self/exe", O_PATH | O_CLOEXEC),
		.leash = &w->leash};
	*state = w;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

int world_remove(void **state)
{
	struct world *w = *state;
	log_open(2, LOG_LEVEL_INFO, "test");
	close(w->state);
	close(w->log);
	close(w->means.self);
	nftw(w->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(w->names[0]);
	free(w->names[1]);
	free(w->certificate.directory);
	free(w->certificate.email);
	free(w->certificate.ca);
	free(w);
	return 0;
}

bool world_logged(const struct world *w, const char *words)
{
	static char text[32768];
	ssize_t n = pread(w->log, text, sizeof(text) - 1, 0);
	text[n < 0 ? 0 : n] = 0;
	return strstr(text, words) != NULL;
}

void world_certificate(
	struct world *w, const char *first, const char *second, time_t begins, time_t ends)
{
	char path[256];
	struct made made;
	made_make(&made,
		&(struct made_wish){.names = {first, second}, .begins = begins, .ends = ends});
	static const char *const folders[] = {"a.test", "private", "private/a.test"};
	for (size_t i = 0; i < COUNT_OF(folders); i++)
		if (mkdirat(w->state, folders[i], 0700))
			assert_int_equal(errno, EEXIST);
	snprintf(path, sizeof(path), "%s/a.test/cert.pem", w->path);
	world_write(path, (char *)made.pem.data, 0444);
	snprintf(path, sizeof(path), "%s/private/a.test/key.pem", w->path);
	world_write(path, (char *)made.key_pem.data, 0400);
	made_free(&made);
}
