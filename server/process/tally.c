/* SPDX-License-Identifier: BSD-2-Clause */
/* An array of slots behind a head that tells its form. It is sparse: only slots that somebody uses are ever touched, for even reading
 * a page of shared memory makes it. */
#include "process/tally.h"

#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "process/keepsake.h"

#define TALLY_MAGIC UINT64_C(0x7765697274616c32)

struct tally_form {
	uint64_t magic;
	uint32_t places, slots, counters, slot_size, rows, row_size;
};

struct tally {
	struct tally_form form;
	_Atomic uint32_t used[PLACES_MAX]; /* slots of a place that were ever written to */
	struct counters slot[PLACES_MAX][TALLY_SLOTS];
	struct ledger ledger; /* the last: its lines follow */
};

#define TALLY_SIZE (offsetof(struct tally, ledger) + ledger_size(PLACES_MAX * TALLY_SLOTS))

static const struct tally_form form = {TALLY_MAGIC, PLACES_MAX, TALLY_SLOTS, COUNTER_COUNT,
	sizeof(struct counters), LEDGER_ROWS, sizeof(struct ledger_line)};

int tally_make(void)
{
	int fd = keepsake_share("weir-counters", TALLY_SIZE);
	if (fd >= 0 && pwrite(fd, &form, sizeof(form), 0) != (ssize_t)sizeof(form)) {
		close(fd);
		return -1;
	}
	return fd;
}

struct tally *tally_map(int fd, bool writable)
{
	struct stat st;
	if (fstat(fd, &st) || st.st_size != (off_t)TALLY_SIZE)
		return NULL;
	struct tally *tally = mmap(
		NULL, TALLY_SIZE, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
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
	munmap(tally, TALLY_SIZE);
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

struct ledger *tally_ledger(struct tally *tally)
{
	return &tally->ledger;
}

void tally_enter_ledger(struct tally *tally, unsigned place)
{
	check(place < PLACES_MAX);
	for (unsigned i = 0; i < used_slots(tally, place); i++)
		for (unsigned row = 0; row < LEDGER_ROWS; row++)
			if (atomic_load(&tally->ledger.names[row].places) >> place & 1)
				atomic_store(&tally->ledger.lines[place * TALLY_SLOTS + i][row]
						      .value[LEDGER_OPEN],
					0);
	ledger_leave(&tally->ledger, place);
}

struct ledger_line *tally_lines(struct tally *tally, unsigned place, unsigned slot)
{
	check(place < PLACES_MAX && slot < TALLY_SLOTS);
	return tally->ledger.lines[place * TALLY_SLOTS + slot];
}

uint64_t tally_row_sum(
	const struct tally *tally, unsigned row, enum ledger_counter which, uint32_t live)
{
	uint64_t sum = 0;
	check(row < LEDGER_ROWS);
	for (unsigned place = 0; place < PLACES_MAX; place++) {
		if (which == LEDGER_OPEN && !(live >> place & 1))
			continue;
		for (unsigned i = 0; i < used_slots(tally, place); i++)
			sum += atomic_load_explicit(
				&tally->ledger.lines[place * TALLY_SLOTS + i][row].value[which],
				memory_order_relaxed);
	}
	return sum;
}
