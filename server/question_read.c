/* SPDX-License-Identifier: BSD-2-Clause */
/* What is asked: the URL and the options of weir explain become the head of a request, checked by the functions that check requests. */
#include <arpa/inet.h>
#include <stdio.h>

#include "http/field.h"
#include "http/target.h"
#include "question_priv.h"

static int refuse(const char *what, const char *text, const char *wanted)
{
	fprintf(stderr, "weir: %s “%s”: %s\n", what, text, wanted);
	return -1;
}

/* Would it end a line of the head? */
static bool has_control(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
			return true;
	return false;
}

static bool take_prefix(struct slice *text, struct slice prefix)
{
	if (text->len < prefix.len || strncasecmp(text->ptr, prefix.ptr, prefix.len) != 0)
		return false;
	*text = slice_from(*text, prefix.len);
	return true;
}

/* http://HOST[:PORT][/PATH][?QUERY][#FRAGMENT]; the fragment is never sent. */
static int read_url(
	const char *url, struct arena *arena, struct asked *asked, struct slice *authority)
{
	static const char wanted[] = "write http://HOST[:PORT]/PATH";
	struct slice rest = slice_of(url);
	if (take_prefix(&rest, SLICE("http://")))
		asked->scheme = SCHEME_HTTP;
	else if (take_prefix(&rest, SLICE("https://")))
		asked->scheme = SCHEME_HTTPS;
	else
		return refuse("the URL", url, wanted);
	const char *hash = rest.len ? memchr(rest.ptr, '#', rest.len) : NULL;
	if (hash)
		rest.len = (size_t)(hash - rest.ptr);
	size_t end = 0;
	while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?')
		end++;
	*authority = (struct slice){rest.ptr, end};
	if (has_control(rest))
		return refuse("the URL", url, "it holds control octets");
	if (host_parse(*authority, arena, &asked->host, &asked->port))
		return refuse("the URL", url, "its host, or its port, is none");
	if (asked->port < 0)
		asked->port = asked->scheme == SCHEME_HTTPS ? 443 : 80;
	struct slice target = slice_from(rest, end);
	asked->target = target.len && target.ptr[0] == '/'
				? target
				: arena_format(arena, "/%.*s", (int)target.len, target.ptr);
	return 0;
}

static int read_field(const char *text, struct slice *name, struct slice *value)
{
	const char *colon = strchr(text, ':');
	if (!colon)
		return refuse("the field", text, "write 'Name: value'");
	*name = (struct slice){text, (size_t)(colon - text)};
	*value = slice_trim(slice_of(colon + 1));
	if (!token_valid(*name))
		return refuse("the field", text, "its name is no name of a field");
	if (!field_value_valid(*value))
		return refuse("the field", text, "its value holds control octets");
	return 0;
}

static void put_field(struct buffer *head, struct slice name, struct slice value)
{
	buffer_slice(head, name);
	buffer_append(head, ": ", 2);
	buffer_slice(head, value);
	buffer_append(head, "\r\n", 2);
}

/* A field Host that was given takes the place of the URL's. */
static int write_head(const struct question *q, struct asked *asked, struct slice authority)
{
	struct buffer fields = {NULL, 0, 0};
	bool host = false;
	for (size_t i = 0; i < q->field_count; i++) {
		struct slice name, value;
		if (read_field(q->fields[i], &name, &value)) {
			buffer_free(&fields);
			return -1;
		}
		host = host || slice_equal_nocase(name, SLICE("Host"));
		put_field(&fields, name, value);
	}
	buffer_slice(&asked->head, slice_of(q->method));
	buffer_append(&asked->head, " ", 1);
	buffer_slice(&asked->head, asked->target);
	buffer_slice(&asked->head, SLICE(" HTTP/1.1\r\n"));
	if (!host)
		put_field(&asked->head, SLICE("Host"), authority);
	buffer_append(&asked->head, fields.ptr, fields.len);
	buffer_append(&asked->head, "\r\n", 2);
	buffer_free(&fields);
	return 0;
}

static int read_from(const char *text, struct address *address)
{
	if (value_ip(slice_of(text ? text : "127.0.0.1"), address) == 0)
		return 0;
	return refuse("the address", text, "write one such as 192.0.2.1 or 2001:db8::1");
}

int question_read(const struct question *question, struct arena *arena, struct asked *asked)
{
	struct slice authority;
	*asked = (struct asked){.port = -1};
	if (!token_valid(slice_of(question->method)))
		return refuse("the method", question->method, "it is no word such as GET");
	if (read_url(question->url, arena, asked, &authority) ||
		read_from(question->from, &asked->from))
		return -1;
	return write_head(question, asked, authority);
}
