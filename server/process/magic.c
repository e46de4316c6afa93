/* SPDX-License-Identifier: BSD-2-Clause */
/* libmagic, for the I/O threads of a worker. A cookie serves one thread at a time, so there are as many as threads that ask at once; all
 * share one mapping of the database. Parsers that other programs' holes were in (compressed content, archives, ELF) are not used. */
#include "process/magic.h"

#include <errno.h>
#include <fcntl.h>
#include <magic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"

#define FLAGS                                                                                      \
	(MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_TAR | MAGIC_NO_CHECK_CDF |     \
		MAGIC_NO_CHECK_ELF | MAGIC_NO_CHECK_CSV | MAGIC_NO_CHECK_JSON)
#define COOKIES_MAX 32

/* Shared by all I/O threads: the cookies that nobody uses stand under the lock. */
struct magic_sniffer {
	struct sniffer sniffer;
	void *database;
	size_t length;
	pthread_mutex_t lock;
	magic_t idle[COOKIES_MAX];
	unsigned idle_count;
};

static magic_t cookie_new(struct magic_sniffer *m)
{
	static const struct {
		int parameter;
		size_t value;
	} limits[] = {
		{MAGIC_PARAM_INDIR_MAX, 15},
		{MAGIC_PARAM_NAME_MAX, 30},
		{MAGIC_PARAM_REGEX_MAX, 4096},
		{MAGIC_PARAM_BYTES_MAX, 64 << 10},
	};
	magic_t cookie = magic_open(FLAGS);
	if (!cookie)
		return NULL;
	for (size_t i = 0; i < COUNT_OF(limits); i++)
		magic_setparam(cookie, limits[i].parameter, &limits[i].value);
	if (magic_load_buffers(cookie, &m->database, &m->length, 1)) {
		magic_close(cookie);
		return NULL;
	}
	return cookie;
}

static magic_t cookie_take(struct magic_sniffer *m)
{
	magic_t cookie = NULL;
	pthread_mutex_lock(&m->lock);
	if (m->idle_count)
		cookie = m->idle[--m->idle_count];
	pthread_mutex_unlock(&m->lock);
	return cookie ? cookie : cookie_new(m);
}

static void cookie_give(struct magic_sniffer *m, magic_t cookie)
{
	bool kept = false;
	pthread_mutex_lock(&m->lock);
	if (m->idle_count < COOKIES_MAX) {
		m->idle[m->idle_count++] = cookie;
		kept = true;
	}
	pthread_mutex_unlock(&m->lock);
	if (!kept)
		magic_close(cookie);
}

static void tell_type(
	struct sniffer *sniffer, const void *bytes, size_t length, char type[SNIFFER_TYPE_MAX])
{
	struct magic_sniffer *m = container_of(sniffer, struct magic_sniffer, sniffer);
	magic_t cookie = cookie_take(m);
	type[0] = '\0';
	if (!cookie)
		return;
	const char *told = magic_buffer(cookie, bytes, length);
	size_t size = told ? strlen(told) : 0;
	if (size < SNIFFER_TYPE_MAX && size) {
		memcpy(type, told, size);
		type[size] = '\0';
	}
	cookie_give(m, cookie);
}

/* Private, for the library may put octets in order. 0 or -1. */
static int map_database(struct magic_sniffer *m, const char *path)
{
	struct stat s;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	void *database = MAP_FAILED;
	if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_size > 0)
		database =
			mmap(NULL, (size_t)s.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	int error = errno;
	close(fd);
	errno = error;
	if (database == MAP_FAILED)
		return -1;
	m->database = database;
	m->length = (size_t)s.st_size;
	return 0;
}

/* The library's own search path, "/etc/magic:/usr/share/misc/magic": of each part the compiled form is wanted. */
static int find_database(struct magic_sniffer *m)
{
	struct slice paths = slice_of(magic_getpath(NULL, 0));
	int result = -1;
	errno = ENOENT;
	while (paths.len && result) {
		char path[4096];
		const char *colon = memchr(paths.ptr, ':', paths.len);
		size_t length = colon ? (size_t)(colon - paths.ptr) : paths.len;
		int size = snprintf(path, sizeof path, "%.*s.mgc", (int)length, paths.ptr);
		paths = slice_from(paths, length + 1);
		if (size > 0 && (size_t)size < sizeof path)
			result = map_database(m, path);
	}
	return result;
}

struct sniffer *magic_sniffer(void)
{
	struct magic_sniffer *m = must_zalloc(sizeof *m);
	if (find_database(m)) {
		int error = errno;
		free(m);
		errno = error;
		return NULL;
	}
	m->sniffer.type = tell_type;
	pthread_mutex_init(&m->lock, NULL);
	return &m->sniffer;
}

void magic_sniffer_free(struct sniffer *sniffer)
{
	if (!sniffer)
		return;
	struct magic_sniffer *m = container_of(sniffer, struct magic_sniffer, sniffer);
	while (m->idle_count)
		magic_close(m->idle[--m->idle_count]);
	munmap(m->database, m->length);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

int magic_library(void)
{
	return magic_version();
}
