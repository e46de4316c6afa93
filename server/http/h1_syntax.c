/* SPDX-License-Identifier: BSD-2-Clause */
/* Heads and trailer sections of HTTP/1, parsed in one pass (RFC 9112, 2 to 5). A head comes here
 * whole. Since it ends with CRLF CRLF, and since no octet class holds CR, each scan ends inside of
 * it. */
#include "http/h1_syntax.h"

#include "http/h1_scan.h"

enum { FIELDS_RESERVED = 20 };

static inline bool is_octet(char c, unsigned class)
{
	return (octet_class[(unsigned char)c] & class) != 0;
}

static inline bool is_crlf(const char *p)
{
	return p[0] == '\r' && p[1] == '\n';
}

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* A value, its line's end included: moves *at to the next line. 0, or -1 for an octet that may not
 * be there. */
static inline int parse_value(const char **at, const char *end, struct slice *value)
{
	const char *p = *at;
	while (is_space(*p))
		p++;
	const char *stop = scan_value(p, end);
	if (!is_crlf(stop))
		return -1;
	*at = stop + 2;
	while (stop > p && is_space(stop[-1]))
		stop--;
	*value = (struct slice){p, (size_t)(stop - p)};
	return 0;
}

/* Field lines and the empty line that ends exactly at `end`; `p` is at a line's start and CRLF
 * stands before `end`. */
static unsigned parse_fields(
	const char *p, const char *end, struct arena *arena, struct fields *fields)
{
	*fields = (struct fields){0};
	if (end - p > 2)
		fields_reserve(fields, arena, FIELDS_RESERVED);
	while (!is_crlf(p)) {
		const char *colon = scan_colon(p, end);
		struct slice name = {p, (size_t)(colon - p)};
		enum field_id id = field_identify(name);
		/* A known name is a token: only others are looked at octet by octet. That also
		 * finds what stands there when the colon was one of a later line. */
		if (colon == end ||
			(id == FIELD_OTHER && (!token_valid(name) || field_lookalike(name))))
			return 400;
		if (fields->count == H1_FIELDS_MAX)
			return 431;
		if (fields->count == fields->capacity)
			fields_reserve(fields, arena, 1);
		struct field *field = &fields->list[fields->count];
		field->name = name;
		field->id = id;
		p = colon + 1;
		if (parse_value(&p, end, &field->value))
			return 400;
		fields->count++;
	}
	return p + 2 == end ? 0 : 400;
}

/* Is this all that a head can be: does it end with an empty line behind another line? */
static inline bool is_head(const char *bytes, size_t length)
{
	return length > 4 && memcmp(bytes + length - 4, "\r\n\r\n", 4) == 0;
}

/* "HTTP/1.0" or "HTTP/1.1"; 505 for another version that is spelled well. At least 8 octets must be
 * there. */
static inline unsigned parse_version(const char *p, unsigned *minor)
{
	if (memcmp(p, "HTTP/1.", 7) == 0 && (p[7] == '1' || p[7] == '0')) {
		*minor = (unsigned)(p[7] - '0');
		return 0;
	}
	if (memcmp(p, "HTTP/", 5) != 0 || !is_digit(p[5]) || p[6] != '.' || !is_digit(p[7]))
		return 400;
	return 505;
}

size_t h1_leading_empty(const char *bytes, size_t length)
{
	size_t n = 0;
	while (n < 8 && length - n >= 2 && is_crlf(bytes + n))
		n += 2;
	return n;
}

unsigned h1_parse_request(const char *bytes, size_t length, struct arena *arena,
	struct h1_request *request, struct fields *fields)
{
	const char *p = bytes, *end = bytes + length;
	if (!is_head(bytes, length))
		return 400;
	while (is_octet(*p, OCTET_TOKEN))
		p++;
	request->method = (struct slice){bytes, (size_t)(p - bytes)};
	if (p == bytes || p - bytes > H1_METHOD_MAX || *p++ != ' ')
		return 400;
	request->target.ptr = p;
	p = scan_printable(p, end);
	request->target.len = (size_t)(p - request->target.ptr);
	if (request->target.len == 0 || *p++ != ' ' || end - p < 8)
		return 400;
	unsigned status = parse_version(p, &request->minor);
	p += 8;
	if (status == 400 || !is_crlf(p))
		return 400;
	if (status != 0)
		return status;
	if (request->target.len > H1_TARGET_MAX)
		return 414;
	return parse_fields(p + 2, end, arena, fields);
}

unsigned h1_check_begun(const char *bytes, size_t length)
{
	static const char version[] = "HTTP/d.d\r\n";
	const char *p = bytes, *end = bytes + length;
	while (p < end && is_octet(*p, OCTET_TOKEN))
		p++;
	if (p - bytes > H1_METHOD_MAX)
		return 400;
	if (p == end || (length == 1 && *p == '\r'))
		return 0;
	if (p == bytes || *p++ != ' ')
		return 400;
	const char *target = p;
	p = scan_printable(p, end);
	if (p - target > H1_TARGET_MAX)
		return 414;
	if (p == end)
		return 0;
	if (p == target || *p++ != ' ')
		return 400;
	for (const char *v = version; *v && p < end; v++, p++)
		if (*v == 'd' ? !is_digit(*p) : *p != *v)
			return 400;
	return 0;
}

bool h1_sound_line(const char *bytes, size_t length, struct h1_request *line)
{
	const char *p = bytes, *end = bytes + length;
	*line = (struct h1_request){.method = {bytes, 0}, .target = {bytes, 0}};
	while (p < end && is_octet(*p, OCTET_TOKEN))
		p++;
	if (p == bytes || p - bytes > H1_METHOD_MAX || p == end || *p != ' ')
		return false;
	line->method.len = (size_t)(p - bytes);
	const char *target = ++p;
	p = scan_printable(p, end);
	if (p < end && *p != ' ')
		return false;
	line->target = (struct slice){target, (size_t)(p - target)};
	if (p == target || end - p < 11)
		return false;
	return parse_version(++p, &line->minor) == 0 && is_crlf(p + 8);
}

unsigned h1_parse_response(const char *bytes, size_t length, struct arena *arena,
	struct h1_response *response, struct fields *fields)
{
	const char *p = bytes, *end = bytes + length;
	if (!is_head(bytes, length) || end - p < 16 || parse_version(p, &response->minor) != 0)
		return 502;
	p += 8;
	if (p[0] != ' ' || !is_digit(p[1]) || !is_digit(p[2]) || !is_digit(p[3]))
		return 502;
	response->status =
		(unsigned)(p[1] - '0') * 100 + (unsigned)(p[2] - '0') * 10 + (unsigned)(p[3] - '0');
	if (response->status < 100 || response->status > 599)
		return 502;
	p += 4;
	response->reason = (struct slice){p, 0};
	if (*p == ' ') {
		const char *stop = scan_value(++p, end);
		response->reason = (struct slice){p, (size_t)(stop - p)};
		p = stop;
	}
	if (!is_crlf(p))
		return 502;
	return parse_fields(p + 2, end, arena, fields) == 0 ? 0 : 502;
}

unsigned h1_parse_trailers(
	const char *bytes, size_t length, struct arena *arena, struct fields *fields)
{
	*fields = (struct fields){0};
	if (length < 2 || !is_crlf(bytes + length - 2) || (length > 2 && !is_head(bytes, length)) ||
		parse_fields(bytes, bytes + length, arena, fields) != 0)
		return 400;
	unsigned kept = 0;
	for (unsigned i = 0; i < fields->count; i++) {
		enum field_id id = fields->list[i].id;
		if (id == FIELD_CONTENT_LENGTH || id == FIELD_TRANSFER_ENCODING || id == FIELD_HOST)
			return 400;
		if (!field_of_head(id))
			fields->list[kept++] = fields->list[i];
	}
	fields->count = kept;
	return 0;
}
