/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows by name in shared memory (DESIGN 4: counters never go back, whoever comes and goes). */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/ledger.h"

#define WRITERS 2

static int set_up(void **state)
{
	*state = calloc(1, ledger_size(WRITERS) + 64);
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

/* Lines want their alignment, which calloc does not promise. */
static struct ledger *ledger_of(void **state)
{
	return (struct ledger *)(((uintptr_t)*state + 63) & ~(uintptr_t)63);
}

static void a_name_has_one_row(void **state)
{
	struct ledger *l = ledger_of(state);
	unsigned site = ledger_row(l, LEDGER_SITE, SLICE("app"), 0);
	unsigned upstream = ledger_row(l, LEDGER_UPSTREAM, SLICE("app"), 0);
	assert_int_not_equal(site, upstream);
	assert_int_equal(ledger_row(l, LEDGER_SITE, SLICE("app"), 5), site);
	assert_int_not_equal(ledger_row(l, LEDGER_SITE, SLICE("ap"), 5), site);
	assert_int_equal(atomic_load(&l->names[site].places), 1 | 1 << 5);
	assert_int_equal(atomic_load(&l->names[upstream].places), 1);
	ledger_leave(l, 0);
	assert_int_equal(atomic_load(&l->names[site].places), 1 << 5);
	assert_int_equal(atomic_load(&l->names[upstream].places), 0);
	/* it comes back to what was counted */
	ledger_add(l->lines[1], upstream, LEDGER_REQUESTS, 3);
	assert_int_equal(ledger_row(l, LEDGER_UPSTREAM, SLICE("app"), 1), upstream);
	assert_int_equal(atomic_load(&l->lines[1][upstream].value[LEDGER_REQUESTS]), 3);
	assert_int_equal(atomic_load(&l->lines[0][upstream].value[LEDGER_REQUESTS]), 0);
}

static void names_are_cut_and_too_many_share(void **state)
{
	struct ledger *l = ledger_of(state);
	char name[2 * LEDGER_NAME_MAX];
	memset(name, 'x', sizeof name);
	unsigned longest = ledger_row(l, LEDGER_SITE, (struct slice){name, sizeof name}, 0);
	assert_int_equal(atomic_load(&l->names[longest].length), LEDGER_NAME_MAX);
	unsigned row = 0, before = 0;
	for (int i = 0; i < 2 * LEDGER_ROWS; i++) {
		int length = snprintf(name, sizeof name, "site%d", i);
		before = row;
		row = ledger_row(l, LEDGER_SITE, (struct slice){name, (size_t)length}, 0);
		assert_true(row < LEDGER_ROWS);
	}
	assert_int_equal(row, before);
	assert_memory_equal(l->names[row].text, "(others)", 8);
	assert_int_not_equal(ledger_row(l, LEDGER_UPSTREAM, SLICE("late"), 0), row);
}

struct claimer {
	struct ledger *ledger;
	unsigned place;
	unsigned rows[50];
};

static void *claim_many(void *argument)
{
	struct claimer *c = argument;
	for (unsigned i = 0; i < COUNT_OF(c->rows); i++) {
		char name[16];
		int length = snprintf(name, sizeof name, "s%u", i);
		c->rows[i] = ledger_row(
			c->ledger, LEDGER_SITE, (struct slice){name, (size_t)length}, c->place);
	}
	return NULL;
}

/* Workers of two generations start at the same time. */
static void claimed_at_once(void **state)
{
	struct claimer claimers[4];
	pthread_t threads[4];
	for (unsigned i = 0; i < 4; i++) {
		claimers[i] = (struct claimer){.ledger = ledger_of(state), .place = i};
		assert_int_equal(pthread_create(&threads[i], NULL, claim_many, &claimers[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < COUNT_OF(claimers[0].rows); i++) {
		unsigned row = claimers[0].rows[i];
		for (unsigned k = 1; k < 4; k++)
			assert_int_equal(claimers[k].rows[i], row);
		assert_int_equal(atomic_load(&ledger_of(state)->names[row].places), 15);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_name_has_one_row, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			names_are_cut_and_too_many_share, set_up, tear_down),
		cmocka_unit_test_setup_teardown(claimed_at_once, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("base/ledger", tests, NULL, NULL);
}
