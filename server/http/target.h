/* SPDX-License-Identifier: BSD-2-Clause */
/* Request targets and hosts: one reading of them, for routing, files and backends alike (RFC 9112, 3.2; RFC 3986). */
#ifndef WEIR_HTTP_TARGET_H
#define WEIR_HTTP_TARGET_H

#include "base/arena.h"
#include "http/token.h"

enum target_form { TARGET_ORIGIN, TARGET_ABSOLUTE, TARGET_AUTHORITY, TARGET_ASTERISK };

struct target {
	enum target_form form;
	struct slice scheme;    /* absolute form: "http" or "https" in lower case */
	struct slice authority; /* absolute and authority form: "host" or "host:port" */
	struct slice
		path; /* begins with "/": dot segments removed, nothing else recoded; "*" in asterisk form */
	struct slice query; /* behind "?", without it; ptr NULL: there was none */
};

/* Reads a target. Results point into `text` unless dot segments had to be removed (then into the arena).
 * 0; or 400: malformed, "..": above the root, bad percent-encoding, %00, a fragment, userinfo, or what two readers could
 * split differently (".." beside %2F, %5C or ";", a backslash). */
unsigned target_parse(
	struct slice text, enum method method, struct arena *arena, struct target *target);

/* Undoes percent-encoding: the name of a file, NUL-terminated, in the arena (or the path itself when nothing is encoded
 * and a NUL may not be needed: `decoded->ptr` equals `path.ptr` then). 0; or 400: %00, bad encoding. %2F stays "%2F": no separator. */
unsigned target_decode(struct slice path, struct arena *arena, struct slice *decoded);

/* Reads the value of Host or an authority: host (no brackets removed, no final dot) and port (-1: none). Lower-cases into
 * the arena where needed. 0 or 400. An empty host is 400. */
unsigned host_parse(struct slice text, struct arena *arena, struct slice *host, int *port);

#endif
