/* SPDX-License-Identifier: BSD-2-Clause */
/* What `weir check` says of a configuration that is good as far as it goes: what in it can never come to anything. */
#ifndef WEIR_ADVICE_H
#define WEIR_ADVICE_H

#include "settings/snapshot.h"

/* Warns of routes that are never met, keys that are never obeyed, pages that are not there, limits that cannot be kept, and roots that the
 * worker's account cannot read. Called within the load, behind route_prepare. */
void advise(struct load *load, const struct snapshot *snapshot);

#endif
