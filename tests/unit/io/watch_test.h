/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of watched directories share: a folder, a watch, and changes to make. */
#ifndef WEIR_TESTS_WATCH_TEST_H
#define WEIR_TESTS_WATCH_TEST_H

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/watch.h"
#include "io_test.h"

static struct watch *watch;
static char root[64];

static inline const char *in_root(const char *name)
{
	static char paths[4][256];
	static unsigned turn;
	char *path = paths[turn++ % 4];
	snprintf(path, sizeof(paths[0]), "%s/%s", root, name);
	return path;
}

static inline void put(const char *name, const char *text)
{
	int fd = open(in_root(name), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static inline void make(const char *name)
{
	assert_int_equal(mkdir(in_root(name), 0755), 0);
}

static inline uint32_t now(const struct watched *watched)
{
	watch_drain(watch);
	return watch_generation(watch, watched);
}

static inline int start(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "%s", new_folder());
	watch = watch_new();
	return watch ? 0 : -1;
}

static inline int end(void **state)
{
	(void)state;
	watch_free(watch);
	remove_folder(root);
	return 0;
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, start, end)

#endif
