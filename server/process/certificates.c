/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known of the certificates in use. Whoever reads the memory does not believe the worker that wrote it. */
#include "process/certificates.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/log.h"
#include "io/tls_cred.h"
#include "process/keepsake.h"

#define MAGIC UINT32_C(0x57435254)

enum { A_DAY = 24 * 3600, TRIES = 100 };

/* In the file. */
struct list {
	uint32_t magic, capacity;
	atomic_uint sequence; /* odd: it is being written */
	atomic_uint count;
	struct certificate_row rows[];
};

/* What was checked when it was mapped is not asked of the memory again. */
struct certificates {
	struct list *list;
	uint32_t capacity;
};

static size_t size_of(uint32_t capacity)
{
	return sizeof(struct list) + capacity * sizeof(struct certificate_row);
}

int certificates_make(const struct snapshot *snapshot)
{
	size_t capacity = 0;
	for (size_t i = 0; i < snapshot->tls_count; i++)
		capacity += snapshot->tls[i].pair_count;
	if (capacity > CERTIFICATES_MAX)
		capacity = CERTIFICATES_MAX;
	int fd = keepsake_share("weir-certificates", size_of((uint32_t)capacity));
	struct list *made = fd < 0 ? MAP_FAILED
				   : mmap(NULL, size_of((uint32_t)capacity), PROT_READ | PROT_WRITE,
					     MAP_SHARED, fd, 0);
	if (made == MAP_FAILED)
		return fd;
	made->magic = MAGIC;
	made->capacity = (uint32_t)capacity;
	munmap(made, size_of((uint32_t)capacity));
	return fd;
}

struct certificates *certificates_map(int fd, bool write)
{
	struct stat st;
	if (fstat(fd, &st) || (size_t)st.st_size < sizeof(struct list))
		return NULL;
	struct list *list = mmap(NULL, (size_t)st.st_size,
		write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
	if (list == MAP_FAILED)
		return NULL;
	struct certificates *map = must_zalloc(sizeof(*map));
	*map = (struct certificates){list, list->capacity};
	if (list->magic == MAGIC && map->capacity <= CERTIFICATES_MAX &&
		(size_t)st.st_size == size_of(map->capacity))
		return map;
	munmap(list, (size_t)st.st_size);
	free(map);
	return NULL;
}

void certificates_unmap(struct certificates *certificates)
{
	if (!certificates)
		return;
	munmap(certificates->list, size_of(certificates->capacity));
	free(certificates);
}

/* --- Writing. --- */

static void put_names(char to[CERTIFICATE_NAMES], const struct tls_certificate_facts *facts)
{
	static const char more[] = " …";
	size_t at = 0;
	for (size_t i = 0; i < facts->name_count; i++) {
		size_t length = facts->names[i].len + (i > 0);
		if (at + length + sizeof(more) > CERTIFICATE_NAMES) {
			memcpy(to + at, more, sizeof(more));
			return;
		}
		at += (size_t)snprintf(to + at, CERTIFICATE_NAMES - at, "%s%.*s", i > 0 ? " " : "",
			(int)facts->names[i].len, facts->names[i].ptr);
	}
	if (facts->name_count == 0)
		snprintf(to, CERTIFICATE_NAMES, "%s", facts->subject);
}

static void write_row(void *context, const struct tls_certificate_facts *facts)
{
	struct certificates *to = context;
	uint32_t index = atomic_load_explicit(&to->list->count, memory_order_relaxed);
	if (index >= to->capacity)
		return;
	struct certificate_row *row = &to->list->rows[index];
	memset(row, 0, sizeof(*row));
	put_names(row->names, facts);
	snprintf(row->path, sizeof(row->path), "%s", facts->pair->certificate_path.ptr);
	snprintf(row->issuer, sizeof(row->issuer), "%s", facts->issuer);
	row->begins = facts->begins;
	row->ends = facts->ends;
	row->ocsp_ends = facts->ocsp_ends;
	row->self_signed = facts->self_signed;
	row->stand_in = facts->stand_in;
	row->obtained = facts->pair->acme;
	row->ocsp = facts->ocsp;
	atomic_store_explicit(&to->list->count, index + 1, memory_order_relaxed);
}

void certificates_write(struct certificates *certificates, const struct tls_store *store)
{
	atomic_fetch_add(&certificates->list->sequence, 1);
	atomic_store_explicit(&certificates->list->count, 0, memory_order_relaxed);
	if (store)
		tls_store_each(store, write_row, certificates);
	atomic_fetch_add(&certificates->list->sequence, 1);
}

/* --- Reading. --- */

uint32_t certificates_count(const struct certificates *certificates)
{
	uint32_t count = atomic_load(&certificates->list->count);
	return count < certificates->capacity ? count : certificates->capacity;
}

static void clean(char *text, size_t size)
{
	text[size - 1] = 0;
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

bool certificates_read(
	const struct certificates *certificates, uint32_t index, struct certificate_row *row)
{
	for (int i = 0; i < TRIES; i++) {
		unsigned before = atomic_load(&certificates->list->sequence);
		if (index >= certificates_count(certificates))
			return false;
		memcpy(row, &certificates->list->rows[index], sizeof(*row));
		atomic_thread_fence(memory_order_acquire);
		if (before % 2 == 0 && atomic_load(&certificates->list->sequence) == before) {
			clean(row->names, sizeof(row->names));
			clean(row->path, sizeof(row->path));
			clean(row->issuer, sizeof(row->issuer));
			return true;
		}
	}
	return false;
}

/* --- Expiry. --- */

int certificates_stage(int64_t lifetime, int64_t left, bool obtained)
{
	/* one that is renewed in time is never told of */
	int64_t first = obtained ? 7 * A_DAY : 30 * A_DAY;
	if (first > lifetime / 3)
		first = lifetime / 3;
	if (left > first)
		return 0;
	if (left > 14 * A_DAY)
		return 1;
	if (left > 7 * A_DAY)
		return 2;
	/* from here on each day, also behind the end */
	int64_t days = left >= 0 ? left / A_DAY : -((-left - 1) / A_DAY) - 1;
	return (int)(3 + 7 - days);
}

struct warning {
	time_t last, now;
};

static void warn(void *context, const struct tls_certificate_facts *facts)
{
	const struct warning *warning = context;
	int64_t lifetime = facts->ends - facts->begins, left = facts->ends - warning->now;
	int stage = certificates_stage(lifetime, left, facts->pair->acme);
	const char *path = facts->pair->certificate_path.ptr;
	if (facts->stand_in || stage == 0)
		return;
	if (warning->last != 0 && stage <= certificates_stage(lifetime, facts->ends - warning->last,
						   facts->pair->acme))
		return;
	if (left <= 0)
		log_error("the certificate %s (%s) has expired: clients refuse it", path,
			facts->subject);
	else if (left < A_DAY)
		log_warn("the certificate %s (%s) expires in %lld h", path, facts->subject,
			(long long)(left / 3600));
	else
		log_warn("the certificate %s (%s) expires in %lld day%s", path, facts->subject,
			(long long)(left / A_DAY), left / A_DAY == 1 ? "" : "s");
}

void certificates_warn(const struct tls_store *store, time_t last, time_t now)
{
	struct warning warning = {last, now};
	tls_store_each(store, warn, &warning);
}
