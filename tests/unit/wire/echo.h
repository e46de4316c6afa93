/* SPDX-License-Identifier: BSD-2-Clause */
/* A handler's answer for tests of the wire. */
#ifndef WEIR_TESTS_UNIT_WIRE_ECHO_H
#define WEIR_TESTS_UNIT_WIRE_ECHO_H

#include "http/request.h"

/* Takes the request's body, reads the whole of it, at most `room` (up to 4096) octets a pull, and then answers with it; its trailers are fields
 * of the answer, with T- before their names. A fault of the body is answered by its status. */
void echo(struct request *request, size_t room);

#endif
