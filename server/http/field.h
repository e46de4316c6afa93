/* SPDX-License-Identifier: BSD-2-Clause */
/* Header fields: names known to weir as numbers, lists in the order of arrival. */
#ifndef WEIR_HTTP_FIELD_H
#define WEIR_HTTP_FIELD_H

#include "base/arena.h"
#include "base/bytes.h"

/* The fields that some part of weir looks at. field_known_name gives the spelling that is sent. */
#define FIELD_LIST(F)                                                                              \
	F(ACCEPT, "Accept")                                                                        \
	F(ACCEPT_ENCODING, "Accept-Encoding")                                                      \
	F(ACCEPT_RANGES, "Accept-Ranges")                                                          \
	F(AGE, "Age")                                                                              \
	F(ALLOW, "Allow")                                                                          \
	F(AUTHORIZATION, "Authorization")                                                          \
	F(CACHE_CONTROL, "Cache-Control")                                                          \
	F(CONNECTION, "Connection")                                                                \
	F(CONTENT_ENCODING, "Content-Encoding")                                                    \
	F(CONTENT_LENGTH, "Content-Length")                                                        \
	F(CONTENT_LOCATION, "Content-Location")                                                    \
	F(CONTENT_RANGE, "Content-Range")                                                          \
	F(CONTENT_TYPE, "Content-Type")                                                            \
	F(COOKIE, "Cookie")                                                                        \
	F(DATE, "Date")                                                                            \
	F(ETAG, "ETag")                                                                            \
	F(EXPECT, "Expect")                                                                        \
	F(EXPIRES, "Expires")                                                                      \
	F(FORWARDED, "Forwarded")                                                                  \
	F(HOST, "Host")                                                                            \
	F(HTTP2_SETTINGS, "HTTP2-Settings")                                                        \
	F(IF_MATCH, "If-Match")                                                                    \
	F(IF_MODIFIED_SINCE, "If-Modified-Since")                                                  \
	F(IF_NONE_MATCH, "If-None-Match")                                                          \
	F(IF_RANGE, "If-Range")                                                                    \
	F(IF_UNMODIFIED_SINCE, "If-Unmodified-Since")                                              \
	F(KEEP_ALIVE, "Keep-Alive")                                                                \
	F(LAST_MODIFIED, "Last-Modified")                                                          \
	F(LINK, "Link")                                                                            \
	F(LOCATION, "Location")                                                                    \
	F(MAX_FORWARDS, "Max-Forwards")                                                            \
	F(ORIGIN, "Origin")                                                                        \
	F(PRAGMA, "Pragma")                                                                        \
	F(PRIORITY, "Priority")                                                                    \
	F(PROXY_AUTHENTICATE, "Proxy-Authenticate")                                                \
	F(PROXY_AUTHORIZATION, "Proxy-Authorization")                                              \
	F(PROXY_CONNECTION, "Proxy-Connection")                                                    \
	F(RANGE, "Range")                                                                          \
	F(REFERER, "Referer")                                                                      \
	F(RETRY_AFTER, "Retry-After")                                                              \
	F(SEC_FETCH_DEST, "Sec-Fetch-Dest")                                                        \
	F(SERVER, "Server")                                                                        \
	F(SET_COOKIE, "Set-Cookie")                                                                \
	F(TE, "TE")                                                                                \
	F(TRAILER, "Trailer")                                                                      \
	F(TRANSFER_ENCODING, "Transfer-Encoding")                                                  \
	F(UPGRADE, "Upgrade")                                                                      \
	F(USER_AGENT, "User-Agent")                                                                \
	F(VARY, "Vary")                                                                            \
	F(VIA, "Via")                                                                              \
	F(WWW_AUTHENTICATE, "WWW-Authenticate")                                                    \
	F(X_ACCEL_REDIRECT, "X-Accel-Redirect")                                                    \
	F(X_CONTENT_TYPE_OPTIONS, "X-Content-Type-Options")                                        \
	F(X_FORWARDED_FOR, "X-Forwarded-For")                                                      \
	F(X_FORWARDED_HOST, "X-Forwarded-Host")                                                    \
	F(X_FORWARDED_PROTO, "X-Forwarded-Proto")                                                  \
	F(X_POWERED_BY, "X-Powered-By")

#define FIELD_ENUM(id, name) FIELD_##id,
enum field_id { FIELD_OTHER, FIELD_LIST(FIELD_ENUM) FIELD_COUNT };
#undef FIELD_ENUM

struct field {
	struct slice name;
	struct slice value; /* without white space at its ends */
	enum field_id id;
};

/* A list that grows in an arena. All zero is an empty one. */
struct fields {
	struct field *list;
	unsigned count;
	unsigned capacity;
};

/* The number of a name, in any case; FIELD_OTHER when weir does not look at it. */
enum field_id field_identify(struct slice name);
struct slice field_known_name(enum field_id id);

/* Makes room for `more` fields behind the last, so that a list that is filled at once is not moved. */
void fields_reserve(struct fields *fields, struct arena *arena, unsigned more);
/* Adds a field; name and value are not copied. The id is not FIELD_OTHER. */
void fields_add(struct fields *fields, struct arena *arena, enum field_id id, struct slice value);
void fields_add_named(
	struct fields *fields, struct arena *arena, struct slice name, struct slice value);
/* Removes all with that id, then adds one. */
void fields_set(struct fields *fields, struct arena *arena, enum field_id id, struct slice value);
/* The first with that id, or NULL. */
const struct field *fields_find(const struct fields *fields, enum field_id id);
/* The first with that name in any case, or NULL. */
const struct field *fields_find_named(const struct fields *fields, struct slice name);
unsigned fields_count(const struct fields *fields, enum field_id id);
void fields_remove(struct fields *fields, enum field_id id);
void fields_remove_named(struct fields *fields, struct slice name);
/* All values with that id as one list, joined by ", " (RFC 9110, 5.3); one value is not copied. { NULL, 0 }: none. */
struct slice fields_joined(const struct fields *fields, struct arena *arena, enum field_id id);
/* Adds to Vary those of the names that it has not yet; "*" says all already (RFC 9110, 12.5.5). */
void fields_vary(struct fields *fields, struct arena *arena, struct slice names);
/* Does a list field of that id hold the token, in any case? */
bool fields_have_token(const struct fields *fields, enum field_id id, struct slice token);

#endif
