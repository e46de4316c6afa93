/* SPDX-License-Identifier: BSD-2-Clause */
/* An array of slots behind a head that tells its form. It is sparse: only slots that somebody uses are ever touched, for even reading
 * a page of shared memory makes it. */
#include "process/tally.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "process/keepsake.h"

#define TALLY_MAGIC UINT64_C(0x7765697274616c31)

struct tally_form {
	uint64_t magic;
	uint32_t places, slots, counters, slot_size;
};

struct tally {
	struct tally_form form;
	_Atomic uint32_t used[PLACES_MAX]; /* slots of a place that were ever written to */
	struct counters slot[PLACES_MAX][TALLY_SLOTS];
};

static const struct tally_form form = {
	TALLY_MAGIC, PLACES_MAX, TALLY_SLOTS, COUNTER_COUNT, sizeof(struct counters)};

int tally_make(void)
{
	int fd = keepsake_share("weir-counters", sizeof(struct tally));
	if (fd >= 0 && pwrite(fd, &form, sizeof(form), 0) != (ssize_t)sizeof(form)) {
		close(fd);
		return -1;
	}
	return fd;
}

struct tally *tally_map(int fd, bool writable)
{
	struct stat st;
	if (fstat(fd, &st) || st.st_size != (off_t)sizeof(struct tally))
		return NULL;
	struct tally *tally = mmap(NULL, sizeof(*tally),
		writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
	if (tally == MAP_FAILED)
		return NULL;
	if (memcmp(&tally->form, &form, sizeof(form)) != 0) {
		tally_unmap(tally);
		return NULL;
	}
	return tally;
}

void tally_unmap(struct tally *tally)
{
	munmap(tally, sizeof(*tally));
}

struct counters *tally_slot(struct tally *tally, unsigned place, unsigned slot)
{
	check(place < PLACES_MAX && slot < TALLY_SLOTS);
	if (atomic_load(&tally->used[place]) <= slot)
		atomic_store(&tally->used[place], slot + 1);
	return &tally->slot[place][slot];
}

/* Workers write here: what they say is not trusted to be within the array. */
static unsigned used_slots(const struct tally *tally, unsigned place)
{
	uint32_t used = atomic_load(&tally->used[place]);
	return used < TALLY_SLOTS ? used : TALLY_SLOTS;
}

static bool counts_open_things(enum counter which)
{
	return which == COUNTER_OPEN || which == COUNTER_REQUESTS_OPEN;
}

void tally_clear_open(struct tally *tally, unsigned place)
{
	check(place < PLACES_MAX);
	for (unsigned i = 0; i < used_slots(tally, place); i++) {
		atomic_store(&tally->slot[place][i].value[COUNTER_OPEN], 0);
		atomic_store(&tally->slot[place][i].value[COUNTER_REQUESTS_OPEN], 0);
	}
}

uint64_t tally_sum(const struct tally *tally, enum counter which, uint32_t live)
{
	uint64_t sum = 0;
	for (unsigned place = 0; place < PLACES_MAX; place++) {
		if (counts_open_things(which) && !(live >> place & 1))
			continue;
		for (unsigned i = 0; i < used_slots(tally, place); i++)
			sum += counter_read(&tally->slot[place][i], which);
	}
	return sum;
}
