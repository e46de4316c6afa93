/* SPDX-License-Identifier: BSD-2-Clause */
/* The access log: one line an exchange, in the common, the combined or the JSON format. What a client sent is written so that
 * it can forge neither a line nor a field: quotes, backslashes, controls and octets above 0x7e as \xNN (JSON: \u00NN). */
#include "handlers/access_log.h"

#include <endian.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/line_log.h"
#include "http/carrier.h"
#include "http/client.h"
#include "http/ready.h"

#define TEXT_MOST 8192 /* octets of one text of the client's; more is cut */
#define LINE_MOST 1024 /* of a line beside its texts */

#define ONES (UINT64_MAX / 255)
#define HIGH (ONES * 0x80)

static const char hex_digits[] = "0123456789abcdef";

static const bool plain[256] = {[' ' ... '!'] = true, ['#' ... '['] = true, [']' ... '~'] = true};

static uint64_t has_zero(uint64_t octets)
{
	return (octets - ONES) & ~octets & HIGH;
}

/* Eight octets at once: 0 only where all of them are plain. */
static uint64_t not_plain(uint64_t octets)
{
	uint64_t controls = (octets - ONES * 0x20) & ~octets & HIGH;
	return (octets & HIGH) | controls | has_zero(octets ^ ONES * '"') |
	       has_zero(octets ^ ONES * '\\') | has_zero(octets ^ ONES * 0x7f);
}

static char *escape_octet(char *to, unsigned char octet, struct slice escape)
{
	memcpy(to, escape.ptr, escape.len);
	to += escape.len;
	*to++ = hex_digits[octet >> 4];
	*to++ = hex_digits[octet & 15];
	return to;
}

static uint64_t load_four(const char *from)
{
	uint32_t four;
	memcpy(&four, from, sizeof four);
	return le32toh(four);
}

static unsigned octet_at(const char *from)
{
	return (unsigned char)*from;
}

/* The next eight octets, or those that there are (1 to 7) and spaces behind them: the first is the lowest. By shifts, for what is stored in
 * parts and loaded whole is waited for. */
static uint64_t load_eight(const char *from, size_t left)
{
	uint64_t eight;
	if (left >= sizeof eight) {
		memcpy(&eight, from, sizeof eight);
		return le64toh(eight);
	}
	if (left >= 4)
		eight = load_four(from) | load_four(from + left - 4) << (left - 4) * 8;
	else
		eight = octet_at(from) | octet_at(from + left / 2) << left / 2 * 8 |
			octet_at(from + left - 1) << (left - 1) * 8;
	return eight | ONES * ' ' << left * 8;
}

/* Needs four bytes an octet, JSON six, and eight more. */
static char *put_escaped(char *to, struct slice text, struct slice escape)
{
	size_t length = text.len < TEXT_MOST ? text.len : TEXT_MOST;
	for (size_t i = 0; i < length; i += 8) {
		size_t left = length - i < 8 ? length - i : 8;
		uint64_t eight = load_eight(text.ptr + i, length - i);
		if (!not_plain(eight)) {
			eight = htole64(eight);
			memcpy(to, &eight, sizeof eight);
			to += left;
			continue;
		}
		for (size_t end = i + left, at = i; at < end; at++) {
			unsigned char octet = (unsigned char)text.ptr[at];
			if (plain[octet])
				*to++ = (char)octet;
			else
				to = escape_octet(to, octet, escape);
		}
	}
	return to;
}

static inline char *put(char *to, struct slice text)
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
	size_t length = client_text(address, to);
	return length ? to + length : put(to, SLICE("unix"));
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
	if (request->major == 0)
		return SLICE(""); /* none that could be read */
	if (request->major >= 2)
		return request->major == 2 ? SLICE("HTTP/2.0") : SLICE("HTTP/3.0");
	return request->minor ? SLICE("HTTP/1.1") : SLICE("HTTP/1.0");
}

/* The request line, as far as there is one. */
static char *put_line(char *to, const struct request *request)
{
	if (request->method_text.len)
		to = put_escaped(to, request->method_text, SLICE("\\x"));
	else
		*to++ = '-';
	if (!request->target_text.len)
		return to;
	*to++ = ' ';
	to = put_escaped(to, request->target_text, SLICE("\\x"));
	if (request->major == 0)
		return to;
	*to++ = ' ';
	return put(to, version(request));
}

static char *put_common(char *to, const struct request *request)
{
	to = put_client(to, request->client);
	to = put(to, SLICE(" - - ["));
	to = put(to, (struct slice){request->thread->clock->log_time, 26});
	to = put(to, SLICE("] \""));
	to = put_line(to, request);
	to = put(to, SLICE("\" "));
	to = put_number(to, status_of(request));
	*to++ = ' ';
	return put_number(to, request->sent);
}

static char *put_combined(char *to, const struct request *request)
{
	to = put_common(to, request);
	to = put(to, SLICE(" \""));
	to = put_escaped(to, field_or_dash(request, FIELD_REFERER), SLICE("\\x"));
	to = put(to, SLICE("\" \""));
	to = put_escaped(to, field_or_dash(request, FIELD_USER_AGENT), SLICE("\\x"));
	*to++ = '"';
	return to;
}

/* Entity tags of files name the variant: "…-gz" (handlers/file). */
static struct slice variant_of(const struct request *request)
{
	static const struct slice variants[] = {
		{"zst", 3}, {"br", 2}, {"gz", 2}, {"avif", 4}, {"webp", 4}};
	const struct ready *ready = request->x.ready;
	const struct field *tag =
		fields_find(ready ? &ready->fields : &request->response.fields, FIELD_ETAG);
	if (!tag || !request->handled_by || strcmp(request->handled_by, "static") != 0)
		return SLICE("");
	for (size_t i = 0; i < COUNT_OF(variants); i++) {
		size_t end = variants[i].len + 2; /* with hyphen and quote */
		if (tag->value.len > end && tag->value.ptr[tag->value.len - end] == '-' &&
			slice_starts(slice_from(tag->value, tag->value.len - end + 1), variants[i]))
			return variants[i];
	}
	return SLICE("");
}

/* `name` with what stands around it: ,"host":" */
static char *put_text_member(char *to, struct slice name, struct slice value)
{
	to = put_escaped(put(to, name), value, SLICE("\\u00"));
	*to++ = '"';
	return to;
}

/* Likewise, of what weir itself says. */
static char *put_word(char *to, struct slice name, struct slice value)
{
	to = put(put(to, name), value);
	*to++ = '"';
	return to;
}

static char *put_field_member(
	char *to, struct slice name, const struct request *request, enum field_id id)
{
	const struct field *field = fields_find(&request->fields, id);
	return field && field->value.len ? put_text_member(to, name, field->value)
					 : put_word(to, name, SLICE("-"));
}

static char *put_number_member(char *to, struct slice name, uint64_t value)
{
	return put_number(put(to, name), value);
}

/* From when the head was whole; null where it did not come to that. */
static char *put_span_member(
	char *to, struct slice name, const struct request *request, uint64_t when)
{
	to = put(to, name);
	if (!when)
		return put(to, SLICE("null"));
	return put_number(to, when > request->begun_us ? when - request->begun_us : 0);
}

/* The loop's clock stands still during a turn, in which small answers begin and end. */
static uint64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static char *put_who(char *to, const struct request *request)
{
	const struct clock *clock = request->thread->clock;
	to = put(to, SLICE("{\"time\":"));
	to = put(to, slice_of(clock->epoch));
	*to++ = '.';
	bytes_decimal_fixed(to, clock->wall_us, 6);
	to += 6;
	to = put_client(put(to, SLICE(",\"client\":\"")), request->client);
	if (request->client != request->peer->address)
		to = put_client(put(to, SLICE("\",\"peer\":\"")), request->peer->address);
	*to++ = '"';
	to = put_number_member(to, SLICE(",\"connection\":"), request->peer->connection);
	return put_number_member(to, SLICE(",\"request\":"), request->number);
}

static char *put_tls(char *to, const struct peer *peer)
{
	if (!peer->tls)
		return put(to, SLICE(",\"tls\":\"\",\"client_subject\":\"\""));
	to = put_word(to, SLICE(",\"tls\":\""), slice_of(peer->transport));
	return put_text_member(to, SLICE(",\"client_subject\":\""), peer->client_subject);
}

static char *put_json(char *to, const struct request *request)
{
	const struct backend_seen *backend = &request->backend;
	to = put_who(to, request);
	if (request->method)
		to = put_word(to, SLICE(",\"method\":\""), request->method_text);
	else
		to = put_text_member(to, SLICE(",\"method\":\""), request->method_text);
	to = put_text_member(to, SLICE(",\"target\":\""), request->target_text);
	to = put_word(to, SLICE(",\"protocol\":\""), version(request));
	to = put_tls(to, request->peer);
	to = put_text_member(to, SLICE(",\"host\":\""), request->host);
	to = put_number_member(to, SLICE(",\"status\":"), status_of(request));
	to = put_word(to, SLICE(",\"reason\":\""), slice_of(end_row(request->end)->code));
	to = put_number_member(to, SLICE(",\"bytes_in\":"), request->received);
	to = put_number_member(to, SLICE(",\"bytes_out\":"), request->sent);
	to = put_span_member(to, SLICE(",\"total_us\":"), request, now_us());
	if (backend->server.len) {
		to = put_span_member(to, SLICE(",\"connect_us\":"), request, backend->connected_us);
		to = put_span_member(to, SLICE(",\"answer_us\":"), request, backend->answered_us);
	} else {
		to = put(to, SLICE(",\"connect_us\":null,\"answer_us\":null"));
	}
	to = put_text_member(
		to, SLICE(",\"site\":\""), request->site ? request->site->name : SLICE(""));
	to = put_text_member(to, SLICE(",\"route\":\""), request->route);
	to = put_word(to, SLICE(",\"handler\":\""),
		slice_of(request->handled_by ? request->handled_by : ""));
	to = put_word(to, SLICE(",\"variant\":\""), variant_of(request));
	if (backend->upstream.len || backend->server.len) {
		to = put_text_member(to, SLICE(",\"upstream\":\""), backend->upstream);
		to = put_text_member(to, SLICE(",\"server\":\""), backend->server);
	} else {
		to = put(to, SLICE(",\"upstream\":\"\",\"server\":\"\""));
	}
	to = put_field_member(to, SLICE(",\"referer\":\""), request, FIELD_REFERER);
	to = put_field_member(to, SLICE(",\"user_agent\":\""), request, FIELD_USER_AGENT);
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
	size_t octets = text_length(request->method_text) + text_length(request->target_text) +
			text_length(request->host) + text_length(request->peer->client_subject) +
			text_length(field_or_dash(request, FIELD_REFERER)) +
			text_length(field_or_dash(request, FIELD_USER_AGENT)) +
			text_length(request->route) + text_length(request->backend.upstream) +
			text_length(request->backend.server);
	if (request->site)
		octets += text_length(request->site->name);
	return octets * 6 + LINE_MOST;
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
