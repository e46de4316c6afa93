/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/1 heads: bytes in, slices out; strict; for requests and for responses of backends (RFC 9112, 2 to 5). No I/O. */
#ifndef WEIR_HTTP_H1_SYNTAX_H
#define WEIR_HTTP_H1_SYNTAX_H

#include "http/field.h"
#include "http/token.h"

#define H1_FIELDS_MAX 256
#define H1_METHOD_MAX 32
#define H1_TARGET_MAX 8192

/* Looks for the end of a head (the empty line). `*seen` is where an earlier search ended: start with 0, pass it again with
 * more bytes; nothing is searched twice. Returns the head's length with its empty line, or 0 when it is not whole yet.
 * Only CRLF ends lines; a bare LF, and a CR with the octet behind it that is no LF, end the search as well: parsing refuses what
 * ends so at once. The same goes for an empty line at the very beginning. */
size_t h1_head_length(const char *bytes, size_t length, size_t *seen);

/* The number of leading bytes that are CRLF pairs, which a server ignores before a request line (RFC 9112, 2.2); at most 4 of them pass. */
size_t h1_leading_empty(const char *bytes, size_t length);

/* For a head that is not whole yet: can it still become a request? 0; or 400 or 414, so that another protocol, or a line that only grows,
 * is answered before its time is over. Looks at the request line alone; what follows it is not looked at. */
unsigned h1_check_begun(const char *bytes, size_t length);

struct h1_request {
	struct slice method;
	struct slice target;
	unsigned minor; /* HTTP/1.minor: 0 or 1 */
};

/* Of a head that was refused, whole or not: its request line as far as it is sound, for logs. What is not stays empty, and so does what
 * follows it; a target that is cut off counts. True: the version is sound, too. */
bool h1_sound_line(const char *bytes, size_t length, struct h1_request *line);

struct h1_response {
	unsigned status; /* 100 to 599 */
	struct slice reason;
	unsigned minor;
};

/* Parses a whole head (as measured by h1_head_length). Slices point into `bytes`, the list of fields is in the arena. The target is printable
 * ASCII, no more: target_parse looks at it.
 * 0; or the status to answer with: 400 (malformed: CTL in values, white space before the colon or at a line's start (obs-fold), no colon, bare CR or LF,
 * empty or non-token names, Content-Length or Transfer-Encoding spelled with underscores, anything but "METHOD SP target SP HTTP/1.x"), 414 (target over H1_TARGET_MAX), 431 (too many fields), 505 (another version). */
unsigned h1_parse_request(const char *bytes, size_t length, struct arena *arena,
	struct h1_request *request, struct fields *fields);
/* Likewise for a backend's head: 0 or 502. A reason phrase may be empty or missing. */
unsigned h1_parse_response(const char *bytes, size_t length, struct arena *arena,
	struct h1_response *response, struct fields *fields);
/* Parses a trailer section (fields and the empty line). 0 or 400: malformed, too many, or Content-Length, Transfer-Encoding or Host among
 * them. Others that mean nothing or harm behind a body (RFC 9110, 6.5.1: routing, authentication, identity, conditions …) are left out. */
unsigned h1_parse_trailers(
	const char *bytes, size_t length, struct arena *arena, struct fields *fields);

/* The scanners behind it, for the fuzz target that holds them equal: the length of the leading run of octets that may
 * stand in a field value. */
size_t h1_scan_value_scalar(const char *bytes, size_t length);
size_t h1_scan_value_swar(const char *bytes, size_t length);
size_t h1_scan_value(const char *bytes, size_t length); /* SSE2 where there is SSE2, else SWAR */

#endif
