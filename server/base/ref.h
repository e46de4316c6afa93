/* SPDX-License-Identifier: BSD-2-Clause */
/* Reference counts for what lives on one thread: no atomics, never shared. */
#ifndef WEIR_BASE_REF_H
#define WEIR_BASE_REF_H

#include <stdint.h>

#include "base/check.h"

/* First member of what is counted. */
struct ref {
	uint32_t count;
	void (*last)(struct ref *ref); /* called when the last reference is given up; frees */
};

static inline void ref_init(struct ref *ref, void (*last)(struct ref *))
{
	ref->count = 1;
	ref->last = last;
}

static inline void ref_get(struct ref *ref)
{
	check(ref->count > 0);
	ref->count++;
}

/* NULL is allowed. */
static inline void ref_put(struct ref *ref)
{
	if (!ref)
		return;
	check(ref->count > 0);
	if (--ref->count == 0)
		ref->last(ref);
}

#endif
