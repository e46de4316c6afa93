/* SPDX-License-Identifier: BSD-2-Clause */
/* Octet classes, lists and parameters of field values, methods and reason phrases (RFC 9110, 5.6, 9
 * and 15). */
#include "http/token.h"

#include "base/check.h"
#include "http/h1_scan.h"

/* Written out, so that it is read-only memory; tests/unit/http/token derives every entry from the
 * grammar. */
/* clang-format off */
const unsigned char octet_class[256] = {
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x02, 0x6f, 0x02, 0x03, 0x6f, 0x47, 0x6f, 0x6f, 0x6e, 0x6e, 0x6f, 0x6f, 0x66, 0x6f, 0x4f, 0x66,
	0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x6e, 0x6e, 0x02, 0x6e, 0x02, 0x46,
	0x66, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f,
	0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6e, 0x42, 0x6e, 0x67, 0x6f,
	0x43, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f,
	0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x6f, 0x42, 0x67, 0x42, 0x6f, 0x00,
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
};
/* clang-format on */

static inline bool is_class(char c, unsigned class)
{
	return (octet_class[(unsigned char)c] & class) != 0;
}

static inline bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

bool token_valid(struct slice s)
{
	unsigned all = OCTET_TOKEN;
	for (size_t i = 0; i < s.len; i++)
		all &= octet_class[(unsigned char)s.ptr[i]];
	return s.len > 0 && all != 0;
}

bool field_value_valid(struct slice s)
{
	return scan_value(s.ptr, s.ptr + s.len) == s.ptr + s.len;
}

/* The end of the quoted string that begins at `at`: behind its closing quote, or the end of s when
 * there is none. */
static size_t quoted_end(struct slice s, size_t at)
{
	for (size_t i = at + 1; i < s.len; i++) {
		if (s.ptr[i] == '\\')
			i++;
		else if (s.ptr[i] == '"')
			return i + 1;
	}
	return 0;
}

bool list_next(struct slice *list, struct slice *member)
{
	while (list->len > 0) {
		size_t end = 0;
		while (end < list->len && list->ptr[end] != ',') {
			end = list->ptr[end] == '"' ? quoted_end(*list, end) : end + 1;
			if (end == 0)
				end = list->len;
		}
		*member = slice_trim((struct slice){list->ptr, end});
		*list = slice_from(*list, end + 1);
		if (member->len > 0)
			return true;
	}
	return false;
}

/* Passes over OWS and semicolons; at least one semicolon must be there unless nothing else is. */
static bool next_parameter_begins(struct slice *s)
{
	bool semicolon = false;
	size_t i = 0;
	while (i < s->len && (is_space(s->ptr[i]) || s->ptr[i] == ';'))
		semicolon |= s->ptr[i++] == ';';
	if (semicolon || i == s->len)
		*s = slice_from(*s, i);
	return semicolon && s->len > 0;
}

bool parameter_next(struct slice *parameters, struct slice *name, struct slice *value)
{
	if (!next_parameter_begins(parameters))
		return false;
	struct slice s = *parameters;
	size_t n = 0;
	while (n < s.len && is_class(s.ptr[n], OCTET_TOKEN))
		n++;
	if (n == 0 || n == s.len || s.ptr[n] != '=')
		return false;
	size_t begin = n + 1, end = begin, next;
	if (begin < s.len && s.ptr[begin] == '"') {
		next = quoted_end(s, begin);
		if (next == 0)
			return false;
		begin++;
		end = next - 1;
	} else {
		while (end < s.len && is_class(s.ptr[end], OCTET_TOKEN))
			end++;
		if (end == begin)
			return false;
		next = end;
	}
	struct slice rest = slice_from(s, next);
	struct slice behind = slice_trim(rest);
	if (behind.len > 0 && behind.ptr[0] != ';')
		return false;
	*name = (struct slice){s.ptr, n};
	*value = (struct slice){s.ptr + begin, end - begin};
	*parameters = rest;
	return true;
}

enum method method_identify(struct slice name)
{
#define METHOD_IS(text, method)                                                                    \
	if (memcmp(name.ptr, text, sizeof(text) - 1) == 0)                                         \
	return method
	switch (name.len) {
	case 3:
		METHOD_IS("GET", METHOD_GET);
		METHOD_IS("PUT", METHOD_PUT);
		break;
	case 4:
		METHOD_IS("HEAD", METHOD_HEAD);
		METHOD_IS("POST", METHOD_POST);
		break;
	case 5:
		METHOD_IS("PATCH", METHOD_PATCH);
		METHOD_IS("TRACE", METHOD_TRACE);
		break;
	case 6:
		METHOD_IS("DELETE", METHOD_DELETE);
		break;
	case 7:
		METHOD_IS("OPTIONS", METHOD_OPTIONS);
		METHOD_IS("CONNECT", METHOD_CONNECT);
		break;
	default:
		break;
	}
#undef METHOD_IS
	return METHOD_OTHER;
}

bool method_safe(enum method method)
{
	return method == METHOD_GET || method == METHOD_HEAD || method == METHOD_OPTIONS ||
	       method == METHOD_TRACE;
}

bool method_idempotent(enum method method)
{
	return method_safe(method) || method == METHOD_PUT || method == METHOD_DELETE;
}

const char *status_reason(unsigned status)
{
	static const struct {
		unsigned short status;
		const char *reason;
	} rows[] = {
		{100, "Continue"},
		{101, "Switching Protocols"},
		{102, "Processing"},
		{103, "Early Hints"},
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{203, "Non-Authoritative Information"},
		{204, "No Content"},
		{205, "Reset Content"},
		{206, "Partial Content"},
		{207, "Multi-Status"},
		{208, "Already Reported"},
		{226, "IM Used"},
		{300, "Multiple Choices"},
		{301, "Moved Permanently"},
		{302, "Found"},
		{303, "See Other"},
		{304, "Not Modified"},
		{305, "Use Proxy"},
		{307, "Temporary Redirect"},
		{308, "Permanent Redirect"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{402, "Payment Required"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{406, "Not Acceptable"},
		{407, "Proxy Authentication Required"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{410, "Gone"},
		{411, "Length Required"},
		{412, "Precondition Failed"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{415, "Unsupported Media Type"},
		{416, "Range Not Satisfiable"},
		{417, "Expectation Failed"},
		{421, "Misdirected Request"},
		{422, "Unprocessable Content"},
		{423, "Locked"},
		{424, "Failed Dependency"},
		{425, "Too Early"},
		{426, "Upgrade Required"},
		{428, "Precondition Required"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{451, "Unavailable For Legal Reasons"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
		{506, "Variant Also Negotiates"},
		{507, "Insufficient Storage"},
		{508, "Loop Detected"},
		{511, "Network Authentication Required"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (rows[i].status == status)
			return rows[i].reason;
	return "";
}
