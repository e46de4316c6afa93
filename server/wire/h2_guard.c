/* SPDX-License-Identifier: BSD-2-Clause */
/* A debt that time and useful work pay off. */
#include "wire/h2_guard.h"

static void pay(struct h2_guard *guard, uint64_t units)
{
	guard->debt -= units < guard->debt ? (uint32_t)units : guard->debt;
}

bool h2_guard_waste(struct h2_guard *guard, uint32_t cost, uint32_t now_ms)
{
	uint32_t spent = now_ms - guard->looked;
	uint64_t paid = (uint64_t)spent * H2_PAID_A_SECOND / 1000;
	if (paid) {
		pay(guard, paid);
		guard->looked = now_ms;
	}
	guard->debt += cost;
	return guard->debt > H2_DEBT_MOST;
}

void h2_guard_sent(struct h2_guard *guard, uint64_t octets)
{
	uint64_t all = guard->octets + octets;
	pay(guard, H2_WORTH_FRAME + all / H2_WORTH_OCTETS);
	guard->octets = (uint32_t)(all % H2_WORTH_OCTETS);
}
