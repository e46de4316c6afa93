/* SPDX-License-Identifier: BSD-2-Clause */
/* One version of a representation that can be read from any place: conditions and ranges, once, for files, cache and X-Accel. */
#ifndef WEIR_HTTP_ENTITY_H
#define WEIR_HTTP_ENTITY_H

#include "http/condition.h"
#include "http/exchange.h"

/* What respond_entity sends. Content-Type and other fields of the representation stand in request->response.fields; ETag, Last-Modified
 * and Accept-Ranges are added where they do not. */
struct entity {
	struct validators validators;
	uint64_t length;
	/* Makes a source over bytes first … first + length - 1. Called at most once for a single range, several times for multiple ones;
	 * NULL is answered by 500. Holds what it needs: the entity may go away. */
	struct source *(*open)(struct request *request, const struct entity *entity, uint64_t first,
		uint64_t length);
	void *state; /* of the maker */
};

/* Answers GET or HEAD: 200, 206, 304, 412 or 416, with ETag, Last-Modified (never later than now), Accept-Ranges, Content-Range. */
void respond_entity(struct request *request, const struct entity *entity);

#endif
