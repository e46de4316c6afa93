/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory files that are sealed once they are written, so that no worker can change what the next one will believe. */
#include "process/keepsake.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/whole.h"

int keepsake_make(const char *name, struct slice bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -1;
	if (whole_write(fd, bytes) ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)) {
		close(fd);
		return -1;
	}
	return fd;
}

int keepsake_share(const char *name, size_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)size) ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)) {
		close(fd);
		return -1;
	}
	return fd;
}

struct slice keepsake_map(int fd)
{
	struct stat st;
	if (fstat(fd, &st))
		return (struct slice){NULL, 0};
	if (st.st_size == 0)
		return SLICE("");
	void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		return (struct slice){NULL, 0};
	return (struct slice){bytes, (size_t)st.st_size};
}

/* Memory can also be held beyond the end. */
bool keepsake_is_sound(int fd, size_t most)
{
	struct stat st;
	int all = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK, seals = fcntl(fd, F_GET_SEALS);
	return seals >= 0 && (seals & all) == all && fstat(fd, &st) == 0 &&
	       (size_t)st.st_size <= most &&
	       (size_t)st.st_blocks * 512 <= most + (size_t)sysconf(_SC_PAGESIZE);
}

void keepsake_unmap(struct slice bytes)
{
	if (bytes.len > 0)
		munmap((void *)(uintptr_t)bytes.ptr, bytes.len);
}

int keepsakes_put(struct keepsakes *set, const char *name, int fd)
{
	size_t length = strlen(name);
	unsigned i = 0;
	while (i < set->count && strcmp(set->list[i].name, name) != 0)
		i++;
	if (length == 0 || length >= KEEPSAKE_NAME_MAX || i == KEEPSAKES_MAX) {
		close(fd);
		return -1;
	}
	if (i < set->count)
		close(set->list[i].fd);
	else
		set->count++;
	memcpy(set->list[i].name, name, length + 1);
	set->list[i].fd = fd;
	return 0;
}

int keepsakes_find(const struct keepsakes *set, const char *name)
{
	for (unsigned i = 0; i < set->count; i++) {
		if (strcmp(set->list[i].name, name) == 0)
			return set->list[i].fd;
	}
	return -1;
}

void keepsakes_move(struct keepsakes *to, struct keepsakes *from)
{
	for (unsigned i = 0; i < from->count; i++)
		keepsakes_put(to, from->list[i].name, from->list[i].fd);
	from->count = 0;
}

void keepsakes_clear(struct keepsakes *set)
{
	for (unsigned i = 0; i < set->count; i++)
		close(set->list[i].fd);
	set->count = 0;
}
