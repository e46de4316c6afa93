/* SPDX-License-Identifier: BSD-2-Clause */
/* Names and what they stand for: filled once, then only read, by any thread. Keyed hashing, as in base/table.h. */
#ifndef WEIR_BASE_DICTIONARY_H
#define WEIR_BASE_DICTIONARY_H

#include "base/arena.h"
#include "base/bytes.h"

struct dictionary_slot {
	struct slice name;
	const void *value; /* NULL: the slot is free */
};

/* All zero: nothing is in it. */
struct dictionary {
	struct dictionary_slot *slots;
	size_t mask;    /* number of slots - 1 */
	size_t longest; /* octets of a name */
};

/* Makes room for so many names, in the arena, where it lives as long. */
void dictionary_init(struct dictionary *d, struct arena *arena, size_t most);
/* Adds a name, which is not copied, unless it is there already. `value` is not NULL. */
void dictionary_add(struct dictionary *d, struct slice name, const void *value);
/* NULL: it is not there. */
const void *dictionary_find(const struct dictionary *d, struct slice name);

#endif
