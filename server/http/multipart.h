/* SPDX-License-Identifier: BSD-2-Clause */
/* Several ranges of one representation as one body: multipart/byteranges (RFC 9110, 14.6). */
#ifndef WEIR_HTTP_MULTIPART_H
#define WEIR_HTTP_MULTIPART_H

#include "http/entity.h"
#include "http/range.h"

/* A source over `count` ranges, each behind a head of its own. All are opened at once, by entity->open: NULL when one could not
 * be. `type`: the representation's media type; empty: none. *length gets the body's length, *content_type the answer's type. */
struct source *multipart_source(struct request *request, const struct entity *entity,
	struct slice type, const struct byte_range *ranges, unsigned count, uint64_t *length,
	struct slice *content_type);

#endif
