/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads hosts(5), each time anew: the file is short, may be replaced, and is asked for no more than once in some seconds. */
#include "io/hosts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define HOSTS "/etc/hosts"

struct address hosts_address(int family, const void *octets, uint16_t port)
{
	struct address address = {.length = sizeof address.v4};
	if (family == AF_INET) {
		address.v4.sin_family = AF_INET;
		address.v4.sin_port = htons(port);
		memcpy(&address.v4.sin_addr, octets, sizeof address.v4.sin_addr);
		return address;
	}
	address.length = sizeof address.v6;
	address.v6.sin6_family = AF_INET6;
	address.v6.sin6_port = htons(port);
	memcpy(&address.v6.sin6_addr, octets, sizeof address.v6.sin6_addr);
	return address;
}

/* The next word of a line; empty at its end. */
static struct slice next_word(struct slice *line)
{
	while (line->len > 0 && (line->ptr[0] == ' ' || line->ptr[0] == '\t'))
		*line = slice_from(*line, 1);
	struct slice word = {line->ptr, 0};
	while (word.len < line->len && word.ptr[word.len] != ' ' && word.ptr[word.len] != '\t')
		word.len++;
	*line = slice_from(*line, word.len);
	return word;
}

/* A line: an address, and its names. Does it tell this name's address? */
static bool read_line(const char *text, struct slice name, uint16_t port, struct address *to)
{
	unsigned char octets[16];
	char address[INET6_ADDRSTRLEN];
	struct slice line = {text, strcspn(text, "#\r\n")};
	struct slice word = next_word(&line);
	if (word.len == 0 || word.len >= sizeof address)
		return false;
	memcpy(address, word.ptr, word.len);
	address[word.len] = 0;
	int family = AF_INET;
	if (inet_pton(AF_INET, address, octets) != 1) {
		family = AF_INET6;
		if (inet_pton(AF_INET6, address, octets) != 1)
			return false;
	}
	while ((word = next_word(&line)).len > 0) {
		if (slice_equal_nocase(word, name)) {
			*to = hosts_address(family, octets, port);
			return true;
		}
	}
	return false;
}

/* RFC 6761, 6.3. */
static bool is_local(const char *name)
{
	size_t length = strlen(name);
	return strcasecmp(name, "localhost") == 0 ||
	       (length > 10 && strcasecmp(name + length - 10, ".localhost") == 0);
}

unsigned hosts_find(
	const char *path, const char *name, uint16_t port, struct address *to, unsigned most)
{
	FILE *file = fopen(path ? path : HOSTS, "re");
	struct slice wanted = slice_of(name);
	unsigned count = 0;
	char *line = NULL;
	size_t size = 0;
	while (file && count < most && getline(&line, &size, file) >= 0) {
		/* the name first: long lists of other names are common */
		if (!strcasestr(line, name) || !read_line(line, wanted, port, &to[count]))
			continue;
		bool known = false;
		for (unsigned i = 0; i < count; i++)
			known = known || address_equal(&to[i], &to[count]);
		count += !known;
	}
	free(line);
	if (file)
		fclose(file);
	if (count > 0 || most < 2 || !is_local(name))
		return count;
	const struct in_addr v4 = {htonl(INADDR_LOOPBACK)};
	to[0] = hosts_address(AF_INET, &v4, port);
	to[1] = hosts_address(AF_INET6, &in6addr_loopback, port);
	return 2;
}
