/* SPDX-License-Identifier: BSD-2-Clause */
/* A watched directory's generation, and for which of its names it rose: in sets, for a directory may hold any number of names. */
#include "io/watch_priv.h"

#define LONG_AGO (1u << 30) /* in generations */

/* Some file systems hold two spellings for one name, and events tell whichever the writer used: capitals are as good as small letters, and
 * names of which octets are not ASCII are all in one set. */
uint64_t watch_set(const char *name, size_t length)
{
	uint64_t hash = 14695981039346656037u; /* FNV-1a */
	for (size_t i = 0; i < length && (i == 0 || name[i] != '.'); i++) {
		if (name[i] & 0x80)
			return 1;
		hash = (hash ^ ((unsigned char)name[i] | 0x20)) * 1099511628211u;
	}
	/* the highest bits of this product depend on all of the name, also on its last letter */
	return UINT64_C(1) << (hash * 0x9e3779b97f4a7c15u >> 58) % WATCH_SETS;
}

bool watch_unchanged_for(
	const struct watched *watched, uint32_t now, uint64_t names, uint32_t *generation)
{
	if (now == 0 || *generation == 0 || names == WATCH_ALL)
		return false;
	for (uint64_t left = names; left; left &= left - 1) {
		uint32_t risen = atomic_load_explicit(
			&watched->risen[__builtin_ctzll(left)], memory_order_relaxed);
		if ((int32_t)(risen - *generation) > 0)
			return false;
	}
	*generation = now;
	return true;
}

void watched_rise(struct watched *watched, uint64_t names)
{
	uint32_t next = atomic_load_explicit(&watched->generation, memory_order_relaxed) + 1;
	next += next == 0;
	/* one set each time is kept from being taken for one that is to come */
	_Atomic uint32_t *old = &watched->risen[next % WATCH_SETS];
	if (next - atomic_load_explicit(old, memory_order_relaxed) > LONG_AGO)
		atomic_store_explicit(old, next - LONG_AGO, memory_order_relaxed);
	for (unsigned i = 0; i < WATCH_SETS; i++)
		if (names >> i & 1)
			atomic_store_explicit(&watched->risen[i], next, memory_order_relaxed);
	atomic_store_explicit(&watched->generation, next, memory_order_release);
}
