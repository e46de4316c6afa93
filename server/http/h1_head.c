/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP/1 heads of answers, written: status line, Date, fields (RFC 9112, 4 and 5). */
#include "http/h1_head.h"

#include "http/token.h"

#define STATUS_LINE (sizeof("HTTP/1.1 200 \r\n") - 1)
#define DATE_LINE   (sizeof("Date: \r\n") - 1 + 29)

static struct slice reason_of(unsigned status, struct slice reason)
{
	if (reason.len == 0)
		return slice_of(status_reason(status));
	if (reason.len > H1_DATE_OFFSET_MAX - STATUS_LINE)
		reason.len = H1_DATE_OFFSET_MAX - STATUS_LINE;
	return reason;
}

size_t h1_head_size(const struct fields *fields, struct slice reason)
{
	size_t size = STATUS_LINE + DATE_LINE + 64; /* 64: the longest reason phrase of our own */
	size += reason.len < H1_DATE_OFFSET_MAX ? reason.len : H1_DATE_OFFSET_MAX;
	for (unsigned i = 0; i < fields->count; i++)
		size += fields->list[i].name.len + fields->list[i].value.len + 4;
	return size;
}

char *h1_field_write(char *to, struct slice name, struct slice value)
{
	to = h1_put(to, name);
	*to++ = ':';
	*to++ = ' ';
	if (value.len)
		to = h1_put(to, value);
	*to++ = '\r';
	*to++ = '\n';
	return to;
}

char *h1_head_write(char *to, unsigned status, struct slice reason, const char *date,
	const struct fields *fields, size_t *date_offset)
{
	char *begin = to;
	to = h1_put(to, SLICE("HTTP/1.1 "));
	*to++ = (char)('0' + status / 100 % 10);
	*to++ = (char)('0' + status / 10 % 10);
	*to++ = (char)('0' + status % 10);
	*to++ = ' ';
	to = h1_put(to, reason_of(status, reason));
	to = h1_put(to, date ? SLICE("\r\nDate: ") : SLICE("\r\n"));
	if (date_offset)
		*date_offset = (size_t)(to - begin);
	if (date) {
		memcpy(to, date, 29);
		to += 29;
		*to++ = '\r';
		*to++ = '\n';
	}
	for (unsigned i = 0; i < fields->count; i++)
		to = h1_field_write(to, fields->list[i].name, fields->list[i].value);
	return to;
}
