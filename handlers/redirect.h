/* SPDX-License-Identifier: BSD-2-Clause */
/* Redirects that a site or route asks for. */
#ifndef WEIR_REDIRECT_H
#define WEIR_REDIRECT_H

#include "http/handler.h"

extern const struct handler redirect_handler;

#endif
