/* SPDX-License-Identifier: BSD-2-Clause */
/* The Range field (RFC 9110, 14.1 and 14.2): bounded in number and in what it costs. */
#ifndef WEIR_HTTP_RANGE_H
#define WEIR_HTTP_RANGE_H

#include "base/bytes.h"

#define RANGES_MAX 32

struct byte_range {
	uint64_t first;
	uint64_t length;
};

enum range_result {
	RANGE_IGNORE, /* no range field that is understood: send everything */
	RANGE_SATISFIABLE, /* *count ranges, in the order asked for, overlapping and adjacent ones joined */
	RANGE_UNSATISFIABLE, /* 416 */
};

/* Reads "bytes=…" for a representation of `size` bytes. A value that is malformed, has a last position before its first, or more than RANGES_MAX ranges,
 * is ignored. Ranges outside of the representation are left out; the others never overlap nor touch, so that all of them
 * together are no longer than it. */
enum range_result range_parse(
	struct slice value, uint64_t size, struct byte_range ranges[RANGES_MAX], unsigned *count);

#endif
