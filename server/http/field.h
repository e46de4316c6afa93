/* SPDX-License-Identifier: BSD-2-Clause */
/* Header fields: names known to weir as numbers, lists in the order of arrival. */
#ifndef WEIR_HTTP_FIELD_H
#define WEIR_HTTP_FIELD_H

#include "base/arena.h"
#include "base/bytes.h"

/* The fields that some part of weir looks at. field_known_name gives the spelling that is sent. */
#define FIELD_LIST(F)                                                                              \
	F(ACCEPT, "Accept", "accept")                                                              \
	F(ACCEPT_ENCODING, "Accept-Encoding", "accept-encoding")                                   \
	F(ACCEPT_RANGES, "Accept-Ranges", "accept-ranges")                                         \
	F(AGE, "Age", "age")                                                                       \
	F(ALLOW, "Allow", "allow")                                                                 \
	F(AUTHORIZATION, "Authorization", "authorization")                                         \
	F(CACHE_CONTROL, "Cache-Control", "cache-control")                                         \
	F(CONNECTION, "Connection", "connection")                                                  \
	F(CONTENT_ENCODING, "Content-Encoding", "content-encoding")                                \
	F(CONTENT_LENGTH, "Content-Length", "content-length")                                      \
	F(CONTENT_LOCATION, "Content-Location", "content-location")                                \
	F(CONTENT_RANGE, "Content-Range", "content-range")                                         \
	F(CONTENT_TYPE, "Content-Type", "content-type")                                            \
	F(COOKIE, "Cookie", "cookie")                                                              \
	F(DATE, "Date", "date")                                                                    \
	F(ETAG, "ETag", "etag")                                                                    \
	F(EXPECT, "Expect", "expect")                                                              \
	F(EXPIRES, "Expires", "expires")                                                           \
	F(FORWARDED, "Forwarded", "forwarded")                                                     \
	F(HOST, "Host", "host")                                                                    \
	F(HTTP2_SETTINGS, "HTTP2-Settings", "http2-settings")                                      \
	F(IF_MATCH, "If-Match", "if-match")                                                        \
	F(IF_MODIFIED_SINCE, "If-Modified-Since", "if-modified-since")                             \
	F(IF_NONE_MATCH, "If-None-Match", "if-none-match")                                         \
	F(IF_RANGE, "If-Range", "if-range")                                                        \
	F(IF_UNMODIFIED_SINCE, "If-Unmodified-Since", "if-unmodified-since")                       \
	F(KEEP_ALIVE, "Keep-Alive", "keep-alive")                                                  \
	F(LAST_MODIFIED, "Last-Modified", "last-modified")                                         \
	F(LINK, "Link", "link")                                                                    \
	F(LOCATION, "Location", "location")                                                        \
	F(MAX_FORWARDS, "Max-Forwards", "max-forwards")                                            \
	F(ORIGIN, "Origin", "origin")                                                              \
	F(PRAGMA, "Pragma", "pragma")                                                              \
	F(PRIORITY, "Priority", "priority")                                                        \
	F(PROXY_AUTHENTICATE, "Proxy-Authenticate", "proxy-authenticate")                          \
	F(PROXY_AUTHORIZATION, "Proxy-Authorization", "proxy-authorization")                       \
	F(PROXY_CONNECTION, "Proxy-Connection", "proxy-connection")                                \
	F(RANGE, "Range", "range")                                                                 \
	F(REFERER, "Referer", "referer")                                                           \
	F(RETRY_AFTER, "Retry-After", "retry-after")                                               \
	F(SEC_FETCH_DEST, "Sec-Fetch-Dest", "sec-fetch-dest")                                      \
	F(SERVER, "Server", "server")                                                              \
	F(SET_COOKIE, "Set-Cookie", "set-cookie")                                                  \
	F(TE, "TE", "te")                                                                          \
	F(TRAILER, "Trailer", "trailer")                                                           \
	F(TRANSFER_ENCODING, "Transfer-Encoding", "transfer-encoding")                             \
	F(UPGRADE, "Upgrade", "upgrade")                                                           \
	F(USER_AGENT, "User-Agent", "user-agent")                                                  \
	F(VARY, "Vary", "vary")                                                                    \
	F(VIA, "Via", "via")                                                                       \
	F(WWW_AUTHENTICATE, "WWW-Authenticate", "www-authenticate")                                \
	F(X_ACCEL_REDIRECT, "X-Accel-Redirect", "x-accel-redirect")                                \
	F(X_CONTENT_TYPE_OPTIONS, "X-Content-Type-Options", "x-content-type-options")              \
	F(X_FORWARDED_FOR, "X-Forwarded-For", "x-forwarded-for")                                   \
	F(X_FORWARDED_HOST, "X-Forwarded-Host", "x-forwarded-host")                                \
	F(X_FORWARDED_PROTO, "X-Forwarded-Proto", "x-forwarded-proto")                             \
	F(X_POWERED_BY, "X-Powered-By", "x-powered-by")

#define FIELD_ENUM(id, name, lower) FIELD_##id,
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
/* The same in lower case: how versions from HTTP/2 on spell names. */
struct slice field_lower_name(enum field_id id);
/* Does it look like Content-Length or Transfer-Encoding, but with underscores? A gateway behind the backend that turns names into variables takes it
 * for the real one. */
bool field_lookalike(struct slice name);
/* Fields that frame, route, authenticate or say who somebody is: they are read before the body, and must not come behind it (RFC 9110, 6.5.1). */
bool field_of_head(enum field_id id);
/* Does it speak of one connection, or of framing, by fields that versions from HTTP/2 on do not have (RFC 9113, 8.2.2)? */
bool field_of_connection(enum field_id id);

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
