/* SPDX-License-Identifier: BSD-2-Clause */
/* Octet classes and the pieces that field values are made of (RFC 9110, 5.6). */
#ifndef WEIR_HTTP_TOKEN_H
#define WEIR_HTTP_TOKEN_H

#include <stdbool.h>

#include "base/bytes.h"

enum {
	OCTET_TOKEN = 1, /* tchar */
	OCTET_VALUE = 2, /* field-vchar, SP, HTAB, obs-text */
	OCTET_TARGET =
		4, /* of a path: printable ASCII without SP " # < > \ ` { }; browsers send | and ^ raw */
	OCTET_HOST = 8, /* reg-name (without "," and "%": see host_parse), IP-literal octets, ":" */
	OCTET_HEX = 16,
	OCTET_PATH = 32,  /* OCTET_TARGET without . % ? */
	OCTET_QUERY = 64, /* of a query: OCTET_TARGET and \ ` { }, which browsers send raw there */
};
extern const unsigned char octet_class[256];

bool token_valid(struct slice s);       /* 1*tchar */
bool field_value_valid(struct slice s); /* no CTL but HTAB, no DEL */

/* Takes the next member off a comma-separated list: trims it, passes over empty ones, minds quoted strings.
 * false at the end. */
bool list_next(struct slice *list, struct slice *member);
/* Takes the next parameter off "; name=value": value without its quotes (a quoted-pair is not undone). false at the end or when malformed:
 * parameters->len is 0 at the end only. */
bool parameter_next(struct slice *parameters, struct slice *name, struct slice *value);

enum method {
	METHOD_OTHER,
	METHOD_GET,
	METHOD_HEAD,
	METHOD_POST,
	METHOD_PUT,
	METHOD_DELETE,
	METHOD_CONNECT,
	METHOD_OPTIONS,
	METHOD_TRACE,
	METHOD_PATCH,
};
/* Methods are case-sensitive (RFC 9110, 9.1). */
enum method method_identify(struct slice name);
bool method_safe(enum method method);
bool method_idempotent(enum method method);

/* The reason phrase of a status: "Not Found"; "" for one that is not known. */
const char *status_reason(unsigned status);

#endif
