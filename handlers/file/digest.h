/* SPDX-License-Identifier: BSD-2-Clause */
/* A digest of a file's content for its entity tag, and what kind of text the content is. Not for anything secret. */
#ifndef WEIR_FILE_DIGEST_H
#define WEIR_FILE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_BLOCK 32 /* all pieces but the last must be multiples of this */

/* XXH64 (Y. Collet's algorithm) with two seeds, in one pass. Equal on every machine. */
struct digest {
	uint64_t lane[2][4];
	uint64_t length;
	uint32_t utf8_code;  /* of the sequence under way: its value so far */
	uint8_t utf8_left;   /* octets that it still lacks */
	uint8_t utf8_length; /* octets that it has in all */
	bool not_utf8;       /* some octets were no UTF-8 */
	bool controls;       /* control octets that plain text does not hold were seen */
	uint64_t result[2];
};

void digest_begin(struct digest *d);
/* A piece of the content: a multiple of DIGEST_BLOCK octets, but for the last one. */
void digest_update(struct digest *d, const void *bytes, size_t length);
/* Fills `result`; nothing may follow. */
void digest_end(struct digest *d);
/* The content is UTF-8 from its first to its last octet; after digest_end. */
static inline bool digest_is_utf8(const struct digest *d)
{
	return !d->not_utf8;
}
/* The content reads as plain text: UTF-8 without control octets but tab, line ends, form feed and escape; after digest_end. */
static inline bool digest_is_text(const struct digest *d)
{
	return !d->not_utf8 && !d->controls;
}

#endif
