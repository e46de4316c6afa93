/* SPDX-License-Identifier: BSD-2-Clause */
/* What of `acme` can be seen to fail before it is tried. */
#ifndef WEIR_PROCESS_ACME_CHECK_H
#define WEIR_PROCESS_ACME_CHECK_H

#include "settings/snapshot.h"

/* Within a load, behind route_prepare: an error where there is no uacme. 0, or -1 after load_error. */
int acme_check(struct load *load, const struct snapshot *snapshot);
/* Likewise for `weir check`: warns of names for which no authority can get an answer here. */
void acme_advise(struct load *load, const struct snapshot *snapshot);

#endif
