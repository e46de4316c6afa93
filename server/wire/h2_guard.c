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

/* A peer that opens its windows by a few octets is worth what it lets flow, not what it says. */
void h2_guard_sent(struct h2_guard *guard, uint64_t octets, bool cut)
{
	uint64_t worth = H2_WORTH_FRAME * H2_WORTH_OCTETS + octets;
	uint64_t little = octets * (H2_WORTH_OCTETS / H2_WORTH_LITTLE);
	uint64_t all = guard->octets + (cut && little < worth ? little : worth);
	pay(guard, all / H2_WORTH_OCTETS);
	guard->octets = (uint32_t)(all % H2_WORTH_OCTETS);
}
