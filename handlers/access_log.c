/* SPDX-License-Identifier: BSD-2-Clause */
/* The access log: one line an exchange, in the common, the combined or the JSON format. What a client sent is written so that
 * it can forge neither a line nor a field: quotes, backslashes, controls and octets above 0x7e as \xNN (JSON: \u00NN). */
#include "handlers/access_log.h"

#include <arpa/inet.h>

#include "base/clock.h"
#include "base/line_log.h"
#include "http/carrier.h"

#define TEXT_MOST 8192 /* octets of one text of the client's; more is cut */

static const char hex_digits[] = "0123456789abcdef";

static bool is_plain(unsigned char octet)
{
	return octet >= 0x20 && octet < 0x7f && octet != '"' && octet != '\\';
}

/* Needs four bytes an octet; JSON six. */
static char *put_escaped(char *to, struct slice text, const char *escape)
{
	if (text.len > TEXT_MOST)
		text.len = TEXT_MOST;
	size_t escape_length = strlen(escape);
	for (size_t i = 0; i < text.len; i++) {
		unsigned char octet = (unsigned char)text.ptr[i];
		if (is_plain(octet)) {
			*to++ = (char)octet;
			continue;
		}
		memcpy(to, escape, escape_length);
		to += escape_length;
		*to++ = hex_digits[octet >> 4];
		*to++ = hex_digits[octet & 15];
	}
	return to;
}

static char *put(char *to, struct slice text)
{
	memcpy(to, text.ptr, text.len);
	return to + text.len;
}

static char *put_number(char *to, uint64_t number)
{
	return to + bytes_decimal(to, number);
}

static char *put_client(char *to, const struct address *address)
{
	if (address->any.sa_family == AF_INET) {
		const unsigned char *octets = (const unsigned char *)&address->v4.sin_addr;
		for (int i = 0; i < 4; i++) {
			to = put_number(to, octets[i]);
			*to++ = '.';
		}
		return to - 1;
	}
	if (address->any.sa_family == AF_INET6) {
		char text[INET6_ADDRSTRLEN];
		if (inet_ntop(AF_INET6, &address->v6.sin6_addr, text, sizeof text))
			return put(to, slice_of(text));
	}
	return put(to, SLICE("unix"));
}

static struct slice field_or_dash(const struct request *request, enum field_id id)
{
	const struct field *field = fields_find(&request->fields, id);
	return field && field->value.len ? field->value : SLICE("-");
}

/* Where no answer was begun, the client went first: 499, as others write it, so that the column stays a number of three digits. */
static unsigned status_of(const struct request *request)
{
	return request->response.status ? request->response.status : 499;
}

static struct slice version(const struct request *request)
{
	if (request->major >= 2)
		return request->major == 2 ? SLICE("HTTP/2.0") : SLICE("HTTP/3.0");
	return request->minor ? SLICE("HTTP/1.1") : SLICE("HTTP/1.0");
}

static char *put_common(char *to, const struct request *request)
{
	to = put_client(to, request->peer->address);
	to = put(to, SLICE(" - - ["));
	to = put(to, (struct slice){request->thread->clock->log_time, 26});
	to = put(to, SLICE("] \""));
	if (request->target_text.len) {
		to = put_escaped(to, request->method_text, "\\x");
		*to++ = ' ';
		to = put_escaped(to, request->target_text, "\\x");
		*to++ = ' ';
		to = put(to, version(request));
	} else {
		*to++ = '-';
	}
	to = put(to, SLICE("\" "));
	to = put_number(to, status_of(request));
	*to++ = ' ';
	return put_number(to, request->sent);
}

static char *put_combined(char *to, const struct request *request)
{
	to = put_common(to, request);
	to = put(to, SLICE(" \""));
	to = put_escaped(to, field_or_dash(request, FIELD_REFERER), "\\x");
	to = put(to, SLICE("\" \""));
	to = put_escaped(to, field_or_dash(request, FIELD_USER_AGENT), "\\x");
	*to++ = '"';
	return to;
}

static char *put_text_member(char *to, const char *name, struct slice value)
{
	*to++ = ',';
	*to++ = '"';
	to = put(to, slice_of(name));
	to = put(to, SLICE("\":\""));
	to = put_escaped(to, value, "\\u00");
	*to++ = '"';
	return to;
}

static char *put_number_member(char *to, const char *name, uint64_t value)
{
	*to++ = ',';
	*to++ = '"';
	to = put(to, slice_of(name));
	*to++ = '"';
	*to++ = ':';
	return put_number(to, value);
}

static struct slice end_word(enum exchange_end end)
{
	switch (end) {
	case END_COMPLETE:
		return SLICE("complete");
	case END_CLIENT_GONE:
		return SLICE("client-gone");
	case END_CLIENT_SLOW:
		return SLICE("client-slow");
	case END_BACKEND_FAILED:
		return SLICE("backend-failed");
	case END_SHUTDOWN:
		return SLICE("shutdown");
	}
	return SLICE("");
}

static char *put_json(char *to, const struct request *request)
{
	const struct clock *clock = request->thread->clock;
	to = put(to, SLICE("{\"time\":"));
	to = put_number(to, (uint64_t)clock->wall);
	*to++ = '.';
	for (uint32_t unit = 100000; unit; unit /= 10)
		*to++ = (char)('0' + clock->wall_us / unit % 10);
	to = put(to, SLICE(",\"client\":\""));
	to = put_client(to, request->peer->address);
	*to++ = '"';
	to = put_text_member(to, "method", request->method_text);
	to = put_text_member(to, "target", request->target_text);
	to = put_text_member(to, "protocol", version(request));
	to = put_text_member(to, "host", request->host);
	to = put_number_member(to, "status", status_of(request));
	to = put_number_member(to, "bytes", request->sent);
	to = put_number_member(to, "duration_us", clock->monotonic_us - request->begun_us);
	to = put_text_member(to, "site", request->site ? request->site->name : SLICE(""));
	to = put_text_member(to, "route", request->route);
	to = put_text_member(
		to, "handler", slice_of(request->handled_by ? request->handled_by : ""));
	to = put_number_member(to, "connection", request->peer->connection);
	to = put_number_member(to, "request", request->number);
	to = put_text_member(to, "end", end_word(request->end));
	to = put_text_member(to, "referer", field_or_dash(request, FIELD_REFERER));
	to = put_text_member(to, "user_agent", field_or_dash(request, FIELD_USER_AGENT));
	*to++ = '}';
	return to;
}

static size_t text_length(struct slice text)
{
	return text.len < TEXT_MOST ? text.len : TEXT_MOST;
}

/* An upper bound of the line: six bytes for each octet of a text. */
static size_t longest_line(const struct request *request)
{
	size_t octets =
		text_length(request->method_text) + text_length(request->target_text) +
		text_length(request->host) + text_length(field_or_dash(request, FIELD_REFERER)) +
		text_length(field_or_dash(request, FIELD_USER_AGENT)) + text_length(request->route);
	if (request->site)
		octets += text_length(request->site->name);
	return octets * 6 + 700;
}

static void access_log_observe(struct request *request)
{
	struct exchange_thread *thread = request->thread;
	if (!thread->access || !request->peer->listener)
		return;
	char *line = line_log_reserve(thread->access, thread->index, longest_line(request));
	if (!line)
		return;
	char *end = line;
	switch (thread->snapshot->core.access_log.format) {
	case ACCESS_COMMON:
		end = put_common(end, request);
		break;
	case ACCESS_COMBINED:
		end = put_combined(end, request);
		break;
	case ACCESS_JSON:
		end = put_json(end, request);
		break;
	}
	*end++ = '\n';
	line_log_commit(thread->access, thread->index, (size_t)(end - line));
}

const struct handler access_log_handler = {
	.name = "access_log",
	.observe = access_log_observe,
};
