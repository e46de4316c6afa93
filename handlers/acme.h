/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers the authority that asks whether a name is ours (http-01 of RFC 8555), from the folder where the hook of uacme has put what it wants to hear. */
#ifndef WEIR_HANDLERS_ACME_H
#define WEIR_HANDLERS_ACME_H

#include "http/handler.h"

extern const struct handler acme_handler;

#endif
