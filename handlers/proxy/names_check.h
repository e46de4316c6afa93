/* SPDX-License-Identifier: BSD-2-Clause */
/* For `weir check`: which backends' names do not resolve here and now. */
#ifndef WEIR_HANDLERS_PROXY_NAMES_CHECK_H
#define WEIR_HANDLERS_PROXY_NAMES_CHECK_H

#include "settings/snapshot.h"

struct resolver_options;

/* Looks all names of servers up at once, and warns at each that was not found within 2 s in all. It is no error: what does not
 * resolve is down until it does. Called within the load, behind route_prepare. `options` NULL: the system's. */
void names_check(
	struct load *load, const struct snapshot *snapshot, const struct resolver_options *options);

#endif
