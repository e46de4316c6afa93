/* SPDX-License-Identifier: BSD-2-Clause */
/* https_only: what comes in clear is sent to the same place over TLS. */
#ifndef WEIR_HANDLERS_HTTPS_ONLY_H
#define WEIR_HANDLERS_HTTPS_ONLY_H

#include "http/handler.h"

extern const struct handler https_only_handler;

#endif
