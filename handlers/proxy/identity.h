/* SPDX-License-Identifier: BSD-2-Clause */
/* Fields that say who a client is: only weir's own reach a backend. */
#ifndef WEIR_HANDLERS_PROXY_IDENTITY_H
#define WEIR_HANDLERS_PROXY_IDENTITY_H

#include "http/request.h"

/* Does a field of a client's message claim who the client is, in any spelling that a gateway behind the backend may take for one that does? Not of
 * the underscore, which no field that is passed on has. */
bool identity_claimed(const struct field *field);

/* Adds what is known of a client that has shown a certificate: Client-Cert (RFC 9440), X-Client-Subject, and X-Client-Verify, which
 * says NONE where one was asked for and none was shown. Nothing where none is asked for. */
void identity_add_certificate(struct request *request, struct fields *fields);

#endif
