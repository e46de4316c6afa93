/* SPDX-License-Identifier: BSD-2-Clause */
/* Hash tables whose entries stand inside the members; keyed hashing, so that no peer can choose collisions. */
#ifndef WEIR_BASE_TABLE_H
#define WEIR_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_entry {
	struct table_entry *next;
	uint64_t hash;
};

struct table {
	struct table_entry **buckets;
	size_t mask; /* number of buckets - 1 */
	size_t count;
};

/* A hash of the bytes under this process's random key. Good for tables, not for anything secret. */
uint64_t table_hash(const void *bytes, size_t len, uint64_t seed);

void table_init(struct table *t, size_t buckets_at_least);
/* Gives the buckets back; the members are the caller's. */
void table_done(struct table *t);
/* The first entry of this hash's bucket; follow ->next and compare ->hash, then the key. */
static inline struct table_entry *table_first(const struct table *t, uint64_t hash)
{
	return t->buckets[hash & t->mask];
}
/* Adds an entry; grows the table when it is full. The caller has looked that no equal one is there. */
void table_add(struct table *t, struct table_entry *entry, uint64_t hash);
/* Takes an entry out that is in the table. */
void table_remove(struct table *t, struct table_entry *entry);
/* Calls `visit` for each entry, which may take that entry out. */
void table_each(
	struct table *t, void (*visit)(struct table_entry *entry, void *context), void *context);

#endif
