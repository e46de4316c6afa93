/* SPDX-License-Identifier: BSD-2-Clause */
/* Open addressing; at most half of the slots are taken. */
#include "base/dictionary.h"

#include "base/check.h"
#include "base/table.h"

void dictionary_init(struct dictionary *d, struct arena *arena, size_t most)
{
	size_t count = 2;
	while (count < most * 2)
		count *= 2;
	d->slots = arena_zalloc(arena, count * sizeof(d->slots[0]));
	d->mask = count - 1;
	d->longest = 0;
}

/* The slot of a name, or the free one where it belongs. */
static struct dictionary_slot *slot_of(const struct dictionary *d, struct slice name)
{
	size_t at = table_hash(name.ptr, name.len, 0) & d->mask;
	while (d->slots[at].value && !slice_equal(d->slots[at].name, name))
		at = (at + 1) & d->mask;
	return &d->slots[at];
}

void dictionary_add(struct dictionary *d, struct slice name, const void *value)
{
	check(value);
	struct dictionary_slot *slot = slot_of(d, name);
	if (slot->value)
		return;
	*slot = (struct dictionary_slot){name, value};
	if (name.len > d->longest)
		d->longest = name.len;
}

const void *dictionary_find(const struct dictionary *d, struct slice name)
{
	if (!d->slots || name.len > d->longest)
		return NULL;
	return slot_of(d, name)->value;
}
