/* SPDX-License-Identifier: BSD-2-Clause */
/* An answer that stands ready in memory: head and body in one block, so that HTTP/1.1 sends it by one call. */
#ifndef WEIR_HTTP_READY_H
#define WEIR_HTTP_READY_H

#include <time.h>

#include "base/chunk.h"
#include "http/field.h"

/* Made once a file version (or cached answer) and kept by whoever made it. Lives on one thread. The block begins with
 * "HTTP/1.1 200 OK\r\nDate: …\r\n"; its date is written anew, once a second, when it is sent and nobody else holds a reference. */
struct ready {
	struct ref ref; /* of the whole: freed when the maker and all queues have let go */
	unsigned status;
	struct fields
		fields; /* the same head for other versions; without Date and Content-Length */
	struct fields
		lower; /* likewise, for versions from HTTP/2 on: names in lower case, none of a connection */
	uint64_t length;      /* of the body, also when it is not in the block */
	char *block;          /* head, then body */
	uint32_t head_length; /* with its empty line */
	uint32_t date_offset;
	uint32_t body_length; /* octets of the body in the block: all of them, or 0 */
	time_t dated;         /* the second that the block's date says */
};

/* Makes one: the fields are copied; `body` too. The reference is the caller's: ref_put(&ready->ref). */
struct ready *ready_make(unsigned status, const struct fields *fields, uint64_t length,
	const char *body, size_t body_length);
/* How many bytes one with such fields takes. */
size_t ready_size(const struct ready *ready);

#endif
