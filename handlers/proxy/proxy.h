/* SPDX-License-Identifier: BSD-2-Clause */
/* The handler that passes requests on to backends. */
#ifndef WEIR_HANDLERS_PROXY_H
#define WEIR_HANDLERS_PROXY_H

#include "http/handler.h"

/* Stands behind all that answers from files: takes every request of a scope with `proxy`. */
extern const struct handler proxy_handler;

#endif
