/* SPDX-License-Identifier: BSD-2-Clause */
/* Proactive negotiation (RFC 9110, 12.5): quality values of Accept and Accept-Encoding. */
#ifndef WEIR_HTTP_ACCEPT_H
#define WEIR_HTTP_ACCEPT_H

#include "base/bytes.h"

/* The quality, in thousandths, that an Accept-Encoding value (all lines joined; ptr NULL: there is none) gives a coding such as
 * "gzip" or "identity": 0 is "not acceptable". Without the field everything is 1000 only for identity, and 0 for the rest. */
unsigned accept_encoding_quality(struct slice value, struct slice coding);
/* The quality that an Accept value gives a media type such as "image/avif"; the most specific range counts. `wildcard`:
 * whether "image/" + "*" and "*" + "/" + "*" count. */
unsigned accept_quality(struct slice value, struct slice type, bool wildcard);

#endif
