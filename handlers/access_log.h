/* SPDX-License-Identifier: BSD-2-Clause */
/* The access log: an observer. */
#ifndef WEIR_HANDLERS_ACCESS_LOG_H
#define WEIR_HANDLERS_ACCESS_LOG_H

#include "http/handler.h"

extern const struct handler access_log_handler;

#endif
