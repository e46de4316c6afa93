/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/1 heads of answers, written. */
#ifndef WEIR_HTTP_H1_HEAD_H
#define WEIR_HTTP_H1_HEAD_H

#include "http/field.h"

#define H1_DATE_OFFSET_MAX 256 /* a reason phrase that is longer is cut */

/* How many bytes h1_head_write takes at most, the empty line not included. */
size_t h1_head_size(const struct fields *fields, struct slice reason);
/* Writes "HTTP/1.1 STATUS REASON\r\nDate: …\r\n" (date: 29 octets; NULL: among the fields) and the fields at `to`; no empty line. reason empty: the
 * usual one. *date_offset (may be NULL) is where the date begins. Returns the end. */
char *h1_head_write(char *to, unsigned status, struct slice reason, const char *date,
	const struct fields *fields, size_t *date_offset);
/* Writes one field line; needs name.len + value.len + 4 bytes. Returns the end. */
char *h1_field_write(char *to, struct slice name, struct slice value);
/* Copies bytes without a NUL. Returns the end. */
static inline char *h1_put(char *to, struct slice s)
{
	memcpy(to, s.ptr, s.len);
	return to + s.len;
}

#endif
