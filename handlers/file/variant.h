/* SPDX-License-Identifier: BSD-2-Clause */
/* What may stand beside a file and answer for it: encoded by a content coding, or an image in another format (RFC 9110, 12). */
#ifndef WEIR_FILE_VARIANT_H
#define WEIR_FILE_VARIANT_H

#include "http/field.h"

/* In the order in which the server prefers them where the client does not care. */
enum variant {
	VARIANT_SELF,
	VARIANT_ZSTD,
	VARIANT_BROTLI,
	VARIANT_GZIP,
	VARIANT_AVIF,
	VARIANT_WEBP,
	VARIANT_COUNT,
	VARIANT_NONE = VARIANT_COUNT, /* nothing is acceptable */
};

struct variant_row {
	const char *suffix;  /* of its name: ".gz" */
	struct slice coding; /* Content-Encoding; empty: none */
	struct slice type;   /* Content-Type; empty: the file's own */
};
const struct variant_row *variant_row(enum variant variant);

/* Bits of the variants that may stand beside a file of that type (empty: not known). */
unsigned variant_possible(struct slice type);
/* The fields by which the variants (bits) are negotiated, as a value of Vary; empty: none. */
struct slice variant_vary(unsigned variants);
/* Which of the variants (bits; the file itself is always there) answers a request: the one of highest quality by Accept and
 * Accept-Encoding. An image in another format only where Accept names its type. `type`: of the file itself. */
enum variant variant_choose(
	const struct fields *request, struct arena *arena, unsigned variants, struct slice type);

#endif
