/* SPDX-License-Identifier: BSD-2-Clause */
/* Hash tables, the keyed hash, lists and counts of references. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/ref.h"
#include "base/table.h"

struct member {
	struct table_entry entry;
	uint32_t number;
};

static struct member *find(struct table *t, uint32_t number)
{
	uint64_t hash = table_hash(&number, sizeof(number), 0);
	for (struct table_entry *e = table_first(t, hash); e; e = e->next) {
		if (e->hash == hash && ((struct member *)e)->number == number)
			return (struct member *)e;
	}
	return NULL;
}

static void take_even(struct table_entry *entry, void *context)
{
	struct member *member = (struct member *)entry;
	if (member->number % 2 == 0) {
		table_remove(context, entry);
		member->number = UINT32_MAX;
	}
}

static void grows_and_finds(void **state)
{
	(void)state;
	const uint32_t count = 10000;
	struct member *members = calloc(count, sizeof(*members));
	struct table t;
	table_init(&t, 1);
	for (uint32_t i = 0; i < count; i++) {
		members[i].number = i;
		table_add(&t, &members[i].entry, table_hash(&i, sizeof(i), 0));
	}
	assert_int_equal(t.count, count);
	assert_true(t.mask + 1 >= count);
	for (uint32_t i = 0; i < count; i++)
		assert_ptr_equal(find(&t, i), &members[i]);
	assert_null(find(&t, count));
	table_each(&t, take_even, &t);
	assert_int_equal(t.count, count / 2);
	for (uint32_t i = 0; i < count; i++)
		assert_ptr_equal(find(&t, i), i % 2 ? &members[i] : NULL);
	table_done(&t);
	free(members);
}

/* Each octet and the length count, wherever the key ends; nothing behind the key is read. */
static void hash_sees_every_octet(void **state)
{
	(void)state;
	for (size_t len = 0; len <= 130; len++) {
		unsigned char *key = malloc(len ? len : 1); /* exact, for the address sanitizer */
		memset(key, 0x5a, len ? len : 1);
		uint64_t plain = table_hash(key, len, 7);
		assert_true(plain == table_hash(key, len, 7));
		assert_true(plain != table_hash(key, len, 8));
		for (size_t i = 0; i < len; i++) {
			key[i] ^= 1;
			assert_true(table_hash(key, len, 7) != plain);
			key[i] ^= 1;
		}
		if (len > 0)
			assert_true(table_hash(key, len - 1, 7) != plain);
		free(key);
	}
}

/* Keys that count up fill the buckets as evenly as chance would: the low bits are good. */
static void hash_spreads(void **state)
{
	(void)state;
	enum { BUCKETS = 1024, KEYS = 16 * BUCKETS };
	static unsigned filled[BUCKETS];
	for (unsigned i = 0; i < KEYS; i++) {
		char key[32] = "/assets/image-00000.jpg";
		for (unsigned n = i, at = 18; n; n /= 10, at--)
			key[at] = (char)('0' + n % 10);
		filled[table_hash(key, strlen(key), 0) % BUCKETS]++;
	}
	double chi = 0;
	for (unsigned i = 0; i < BUCKETS; i++)
		chi += ((double)filled[i] - 16) * ((double)filled[i] - 16) / 16;
	/* 1023 degrees of freedom: mean 1023, deviation 45; eight of these on both sides. */
	assert_true(chi > 660 && chi < 1390);
}

static void lists(void **state)
{
	(void)state;
	struct link head, other, a = {0}, b = {0}, c = {0};
	list_init(&head);
	list_init(&other);
	assert_true(list_empty(&head));
	list_remove(&a); /* in none: nothing */
	list_append(&head, &a);
	list_append(&head, &b);
	list_prepend(&other, &c);
	list_move(&head, &other);
	assert_true(list_empty(&other));
	const struct link *order[] = {&a, &b, &c};
	unsigned n = 0;
	list_each_safe (at, &head) {
		assert_ptr_equal(at, order[n++]);
		list_remove(at);
		assert_false(link_listed(at));
	}
	assert_int_equal(n, 3);
	assert_true(list_empty(&head));
}

static unsigned ended;

static void end(struct ref *ref)
{
	(void)ref;
	ended++;
}

static void references(void **state)
{
	(void)state;
	struct ref ref;
	ref_init(&ref, end);
	ref_get(&ref);
	ref_put(&ref);
	assert_int_equal(ended, 0);
	ref_put(&ref);
	assert_int_equal(ended, 1);
	ref_put(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_finds),
		cmocka_unit_test(hash_sees_every_octet),
		cmocka_unit_test(hash_spreads),
		cmocka_unit_test(lists),
		cmocka_unit_test(references),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
