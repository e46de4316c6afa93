/* SPDX-License-Identifier: BSD-2-Clause */
/* The page of a single-page application: answers for pages that nobody answered, never for what a page loads. */
#ifndef WEIR_STATIC_FALLBACK_H
#define WEIR_STATIC_FALLBACK_H

#include "http/handler.h"

extern const struct handler fallback_handler;

#endif
