/* SPDX-License-Identifier: BSD-2-Clause */
/* The ordered list of handlers, stages and observers: the one place where they are named. */
#ifndef WEIR_HANDLERS_TABLE_H
#define WEIR_HANDLERS_TABLE_H

#include "http/handler.h"

/* Ended by NULL: the order in every chain. */
extern const struct handler *const handler_table[];

#endif
