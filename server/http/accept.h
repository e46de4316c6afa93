/* SPDX-License-Identifier: BSD-2-Clause */
/* Proactive negotiation (RFC 9110, 12.5): quality values of Accept and Accept-Encoding. */
#ifndef WEIR_HTTP_ACCEPT_H
#define WEIR_HTTP_ACCEPT_H

#include "base/bytes.h"

/* The weight of one member of such a list, in thousandths, and the name before it; *plain: no parameters stand between the two. A malformed weight
 * is 0, "not acceptable". */
unsigned accept_member(struct slice member, struct slice *name, bool *plain);
/* The quality, in thousandths, that an Accept-Encoding value (all lines joined; ptr NULL: there is none) gives a coding such as
 * "gzip" or "identity": 0 is "not acceptable". Without the field, or with an empty one, 1000 for identity and 0 for the rest. Identity that is not
 * spoken of is acceptable, and the last choice: 1. A coding named twice has the lower quality; a malformed weight is 0. */
unsigned accept_encoding_quality(struct slice value, struct slice coding);
/* The quality that an Accept value gives a media type such as "image/avif"; the most specific range counts. `wildcard`:
 * whether "image/" + "*" and "*" + "/" + "*" count. Without the field (ptr NULL) all is acceptable (1000) when wildcards count, else nothing. Ranges
 * with parameters of their own ("text/html;level=1") cover no type that has none. */
unsigned accept_quality(struct slice value, struct slice type, bool wildcard);

#endif
