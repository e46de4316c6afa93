/* SPDX-License-Identifier: BSD-2-Clause */
/* Request targets and hosts (RFC 9112, 3.2; RFC 3986): one reading, with everything refused of
 * which there could be two. */
#include "http/target.h"

#include <arpa/inet.h>

#include "http/h1_syntax.h"

enum { HOST_MAX = 255, PORT_DIGITS_MAX = 5 };

/* What a first scan of a path found. */
struct path_scan {
	const char *end; /* of the path */
	bool dots; /* a segment, or what follows an encoded slash, begins with a dot, maybe encoded */
	bool slashes; /* %2F or %5C */
};

/* The octet that "%xy" at p stands for; -1 when there is no such thing. */
static int encoded_octet(const char *p, const char *end)
{
	if (end - p < 3 || *p != '%')
		return -1;
	int high = bytes_hex_digit((unsigned char)p[1]), low = bytes_hex_digit((unsigned char)p[2]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Scans a path, which begins with its first slash, up to "?" or the end. 0 or 400. */
static unsigned scan_path(const char *p, const char *end, struct path_scan *scan)
{
	/* Behind an encoded separator: a segment begins there for a reader that decodes first. */
	const char *split = NULL;
	for (;;) {
		while (p < end && (octet_class[(unsigned char)*p] & OCTET_PATH))
			p++;
		if (p == end || *p == '?')
			break;
		bool begins = p[-1] == '/' || p == split;
		if (*p == '.') {
			scan->dots |= begins;
			p++;
			continue;
		}
		int octet = encoded_octet(p, end);
		if (octet <= 0)
			return 400;
		scan->dots |= begins && octet == '.';
		p += 3;
		if (octet == '/' || octet == '\\') {
			scan->slashes = true;
			split = p;
		}
	}
	scan->end = p;
	return 0;
}

/* The length of the dot at p, plain or encoded; 0: there is none. */
static size_t dot_length(const char *p, const char *end)
{
	if (p < end && *p == '.')
		return 1;
	return encoded_octet(p, end) == '.' ? 3 : 0;
}

/* Does some reader take what is at p for the end of a segment: "/", "%2F", "%5C", ";", "%3B" or the
 * end of the path? */
static bool is_segment_end(const char *p, const char *end)
{
	if (p == end || *p == '/' || *p == ';')
		return true;
	int octet = encoded_octet(p, end);
	return octet == '/' || octet == '\\' || octet == ';';
}

enum segment { SEGMENT_NAME, SEGMENT_DOT, SEGMENT_DOT_DOT, SEGMENT_DOUBTFUL };

/* What [p, end) is, one segment between slashes. Doubtful: no dot segment itself, but part of it is
 * one for who splits at encoded separators or cuts parameters off: "..;a", "a%2F..". */
static enum segment segment_kind(const char *p, const char *end)
{
	bool begins = true;
	for (const char *q = p; q < end;) {
		const char *part = q;
		size_t dots = 0;
		if (begins) {
			for (size_t n; (n = dot_length(q, end)) > 0; dots++)
				q += n;
			if ((dots == 1 || dots == 2) && is_segment_end(q, end)) {
				if (part == p && q == end)
					return dots == 1 ? SEGMENT_DOT : SEGMENT_DOT_DOT;
				return SEGMENT_DOUBTFUL;
			}
			begins = false;
			continue;
		}
		int octet = encoded_octet(q, end);
		begins = octet == '/' || octet == '\\';
		q += *q == '%' ? 3 : 1;
	}
	return SEGMENT_NAME;
}

/* Removes dot segments (RFC 3986, 5.2.4) from a path that scan_path let pass. 400: above the root,
 * doubtful, or two dots beside encoded separators. */
static unsigned remove_dots(
	struct slice path, const struct path_scan *scan, struct arena *arena, struct slice *result)
{
	const char *p = path.ptr, *end = path.ptr + path.len;
	char *out = arena_alloc(arena, path.len + 1), *to = out;
	bool removed = false;
	while (p < end) {
		const char *segment = p + 1;
		const char *stop = memchr(segment, '/', (size_t)(end - segment));
		if (!stop)
			stop = end;
		switch (segment_kind(segment, stop)) {
		case SEGMENT_DOUBTFUL:
			return 400;
		case SEGMENT_DOT_DOT:
			if (to == out || scan->slashes)
				return 400;
			while (*--to != '/')
				;
			removed = true;
			break;
		case SEGMENT_DOT:
			removed = true;
			break;
		case SEGMENT_NAME:
			memcpy(to, p, (size_t)(stop - p));
			to += stop - p;
			p = stop;
			continue;
		}
		if (stop == end)
			*to++ = '/';
		p = stop;
	}
	*result = removed ? (struct slice){out, (size_t)(to - out)} : path;
	return 0;
}

static unsigned parse_query(const char *p, const char *end, struct slice *query)
{
	unsigned all = OCTET_QUERY;
	for (const char *q = p; q < end; q++)
		all &= octet_class[(unsigned char)*q];
	*query = (struct slice){p, (size_t)(end - p)};
	return all ? 0 : 400;
}

/* "/path?query". */
static unsigned parse_path(struct slice text, struct arena *arena, struct target *target)
{
	const char *end = text.ptr + text.len;
	struct path_scan scan = {0};
	if (scan_path(text.ptr, end, &scan))
		return 400;
	target->path = (struct slice){text.ptr, (size_t)(scan.end - text.ptr)};
	if (scan.end < end && parse_query(scan.end + 1, end, &target->query))
		return 400;
	return scan.dots ? remove_dots(target->path, &scan, arena, &target->path) : 0;
}

static unsigned parse_authority(
	struct slice text, struct arena *arena, struct target *target, int *port)
{
	struct slice host;
	target->authority = text;
	return host_parse(text, arena, &host, port);
}

static unsigned parse_absolute(struct slice text, struct arena *arena, struct target *target)
{
	const struct slice http = SLICE("http://"), https = SLICE("https://");
	struct slice rest;
	int port;
	if (text.len > http.len && strncasecmp(text.ptr, http.ptr, http.len) == 0) {
		target->scheme = SLICE("http");
		rest = slice_from(text, http.len);
	} else if (text.len > https.len && strncasecmp(text.ptr, https.ptr, https.len) == 0) {
		target->scheme = SLICE("https");
		rest = slice_from(text, https.len);
	} else {
		return 400;
	}
	target->form = TARGET_ABSOLUTE;
	size_t n = 0;
	while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?')
		n++;
	if (parse_authority((struct slice){rest.ptr, n}, arena, target, &port))
		return 400;
	rest = slice_from(rest, n);
	if (rest.len > 0 && rest.ptr[0] == '/')
		return parse_path(rest, arena, target);
	target->path = SLICE("/");
	return rest.len > 0 ? parse_query(rest.ptr + 1, rest.ptr + rest.len, &target->query) : 0;
}

unsigned target_parse(
	struct slice text, enum method method, struct arena *arena, struct target *target)
{
	*target = (struct target){.form = TARGET_ORIGIN};
	if (text.len == 0 || text.len > H1_TARGET_MAX)
		return 400;
	if (method == METHOD_CONNECT) {
		int port;
		target->form = TARGET_AUTHORITY;
		return parse_authority(text, arena, target, &port) || port <= 0 ? 400 : 0;
	}
	if (text.ptr[0] == '/')
		return parse_path(text, arena, target);
	if (text.len == 1 && text.ptr[0] == '*' && method == METHOD_OPTIONS) {
		target->form = TARGET_ASTERISK;
		target->path = text;
		return 0;
	}
	return parse_absolute(text, arena, target);
}

unsigned target_decode(struct slice path, struct arena *arena, struct slice *decoded)
{
	const char *p = path.len ? memchr(path.ptr, '%', path.len) : NULL;
	const char *end = path.ptr + path.len;
	*decoded = path;
	if (!p)
		return 0;
	char *out = arena_alloc(arena, path.len + 1), *to = out;
	memcpy(to, path.ptr, (size_t)(p - path.ptr));
	to += p - path.ptr;
	while (p < end) {
		if (*p != '%') {
			*to++ = *p++;
			continue;
		}
		int octet = encoded_octet(p, end);
		if (octet <= 0)
			return 400;
		if (octet == '/') {
			memcpy(to, p, 3);
			to += 3;
		} else {
			*to++ = (char)octet;
		}
		p += 3;
	}
	*to = '\0';
	*decoded = (struct slice){out, (size_t)(to - out)};
	return 0;
}

/* Takes ":port" off the end of text: digits up to 65535, or none (-1). 0 or 400. */
static unsigned parse_port(struct slice text, int *port)
{
	*port = -1;
	if (text.len == 0)
		return 0;
	if (text.ptr[0] != ':' || text.len > PORT_DIGITS_MAX + 1)
		return 400;
	int n = -1;
	for (size_t i = 1; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return 400;
		n = (n < 0 ? 0 : n * 10) + (text.ptr[i] - '0');
	}
	if (n > 65535)
		return 400;
	*port = n;
	return 0;
}

/* "[" IPv6 address "]": its length with the brackets; 0 when it is none. Zones and IPvFuture name
 * nothing here. */
static size_t literal_length(struct slice text)
{
	char address[INET6_ADDRSTRLEN];
	struct in6_addr parsed;
	size_t n = 0;
	for (; n + 1 < text.len && text.ptr[n + 1] != ']'; n++) {
		char c = text.ptr[n + 1];
		bool usual = (octet_class[(unsigned char)c] & OCTET_HEX) || c == ':' || c == '.';
		if (!usual || n + 1 == sizeof(address))
			return 0;
		address[n] = c;
	}
	address[n] = '\0';
	return n + 1 < text.len && inet_pton(AF_INET6, address, &parsed) == 1 ? n + 2 : 0;
}

/* The length of the name before the port; 0 when it is malformed. Sets *upper. */
static size_t name_length(struct slice text, bool *upper)
{
	size_t n = 0;
	char before = '.';
	for (; n < text.len && text.ptr[n] != ':'; n++) {
		char c = text.ptr[n];
		if (!(octet_class[(unsigned char)c] & OCTET_HOST) || c == '[' || c == ']')
			return 0;
		/* An empty label: one reader drops one final dot, another all of them. */
		if (c == '.' && before == '.')
			return 0;
		*upper |= c >= 'A' && c <= 'Z';
		before = c;
	}
	return n;
}

unsigned host_parse(struct slice text, struct arena *arena, struct slice *host, int *port)
{
	bool upper = true;
	size_t n;
	if (text.len == 0)
		return 400;
	if (text.ptr[0] == '[') {
		n = literal_length(text);
	} else {
		upper = false;
		n = name_length(text, &upper);
	}
	if (n == 0 || n > HOST_MAX || parse_port(slice_from(text, n), port))
		return 400;
	*host = (struct slice){text.ptr, n};
	if (host->ptr[n - 1] == '.')
		host->len--;
	if (!upper)
		return 0;
	*host = arena_slice(arena, *host);
	char *letters = arena_alloc(arena, host->len);
	for (size_t i = 0; i < host->len; i++) {
		char c = host->ptr[i];
		letters[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	host->ptr = letters;
	return 0;
}
