/* SPDX-License-Identifier: BSD-2-Clause */
/* The filters of system calls, as conf/filters makes them of the lists while weir is built: so no start waits for that. */
#ifndef WEIR_PROCESS_SANDBOX_FILTERS_H
#define WEIR_PROCESS_SANDBOX_FILTERS_H

#include <linux/filter.h>
#include <stdbool.h>

#include "process/sandbox.h"

/* Stands in a filter where the id of the process belongs. */
#define SANDBOX_OWN_ID 0x7ee1d1d5u

struct sandbox_filter {
	const struct sock_filter *list;
	unsigned short count;
};

/* `local`: with streams to Unix sockets. */
struct sandbox_filter sandbox_filter(enum sandbox_kind kind, bool local);
/* The version of libseccomp that made them. */
const char *sandbox_filter_library(void);

#endif
