/* SPDX-License-Identifier: BSD-2-Clause */
/* Where an HTTP/1 body ends (RFC 9112, 6 and 7): one reading, strict, for both sides of the proxy. No I/O. */
#ifndef WEIR_HTTP_H1_FRAMING_H
#define WEIR_HTTP_H1_FRAMING_H

#include "http/field.h"
#include "http/token.h"

enum framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE };

struct body_framing {
	enum framing kind;
	uint64_t length; /* FRAMING_LENGTH */
	bool last; /* nothing may be sent or believed on this connection behind this message */
};

#define CONNECTION_OPTIONS_MAX 32

/* A request's framing. 0; or 400: Content-Length that is no plain digits (19 at most, leading zeros are), over 2^63 - 1, twice (even if
 * equal), a list, or beside Transfer-Encoding; Transfer-Encoding in HTTP/1.0, twice, or "chunked" not last or twice; either of them named in
 * Connection; more than CONNECTION_OPTIONS_MAX options in Connection. 501: a coding other than chunked.
 * A Content-Length of 0 is FRAMING_LENGTH. Says nothing of the method: that CONNECT and TRACE have no body is for the caller to hold. */
unsigned framing_request(const struct fields *fields, unsigned minor, struct body_framing *framing);
/* A response's framing to that method. 0, or 502 for what is ambiguous: as above, codings too, and a body announced by 1xx. `last` is set when the
 * end of the connection ends the body, and for a 204 that announces one: what comes then is no answer to anything. */
unsigned framing_response(const struct fields *fields, unsigned minor, unsigned status,
	enum method method, struct body_framing *framing);

/* Chunked decoding, incremental, without copies. All zero begins. */
struct chunked {
	uint8_t state;
	uint8_t digits;
	uint16_t extension;  /* octets of extension seen in this chunk head */
	uint32_t extensions; /* octets of extension in the whole body */
	uint64_t left;       /* of the chunk under way */
};
enum chunked_event {
	CHUNKED_DATA, /* `data` is body; `used` bytes of the input are done with, data included */
	CHUNKED_MORE, /* all input used, nothing to give */
	CHUNKED_TRAILERS, /* the last chunk was read; the trailer section begins at bytes + used: find its end with h1_trailer_length */
	CHUNKED_ERROR, /* malformed: CRLF missing, bad size (over 16 digits, over 2^63 - 1, white space around), bare CR or LF, extensions that are
			   * none (RFC 9112, 7.1.1) or over 1 KB a chunk or 16 KB a body. Stays: every later call says so too */
};
/* Looks at the next bytes. Call again with what is behind `used` until CHUNKED_MORE. Not to be called after CHUNKED_TRAILERS. */
enum chunked_event chunked_next(
	struct chunked *c, const char *bytes, size_t length, size_t *used, struct slice *data);
/* The length of the trailer section, with its empty line, at `bytes`: 0 when it is not whole yet; `seen` as in h1_head_length. The usual one is CRLF: 2. */
size_t h1_trailer_length(const char *bytes, size_t length, size_t *seen);

/* The head of a chunk of that size: hexadecimal digits and CRLF at `to` (18 bytes of room). Returns its length. */
size_t chunked_head(char *to, uint64_t size);

/* The fields of one hop (RFC 9110, 7.6.1): Connection and what it names, Keep-Alive, Proxy-Connection, TE, Transfer-Encoding, Upgrade, HTTP2-Settings
 * are removed from the list. Host is not, whatever Connection names. `arena` is unused. */
void framing_remove_hop(struct fields *fields, struct arena *arena);

/* What Upgrade lists (RFC 9110, 7.8), but for HTTP/2: that is begun without it (RFC 9113, 3.1), and must not pass through a tunnel where nobody
 * sees its requests. Empty: nothing, or a list that is malformed or far too long. */
struct slice framing_upgrade(const struct fields *fields, struct arena *arena);
/* Is each member of the list `chosen` one of `offered`, and is there one? */
bool framing_upgrade_among(struct slice chosen, struct slice offered);

#endif
