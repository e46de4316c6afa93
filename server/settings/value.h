/* SPDX-License-Identifier: BSD-2-Clause */
/* The small languages of the configuration: durations, sizes, rates, addresses, networks, host patterns. */
#ifndef WEIR_SETTINGS_VALUE_H
#define WEIR_SETTINGS_VALUE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/bytes.h"

/* A socket's address; `length` as bind and connect want it. */
struct address {
	socklen_t length;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un local;
	};
};

/* Each of these reads the whole text. Result 0; or -1 with *expected set to what should stand there,
 * a constant: "a duration such as 250ms, 5s, 2m, 1h or 7d". */
int value_duration(
	struct slice text, int64_t *milliseconds, const char **expected); /* 250ms 5s 2m 1h 7d; 0 */
int value_size(struct slice text, int64_t *bytes, const char **expected); /* 512 64k 10M 1G */
int value_rate(struct slice text, double *per_second, const char **expected); /* 100/s 600/m */
int value_bool(struct slice text, bool *on, const char **expected); /* on off true false yes no */
int value_integer(struct slice text, int64_t *number, const char **expected);

/* "127.0.0.1:80", "[::1]:80", ":80" (any IPv6 and IPv4: `wildcard` is set), "unix:/path". Not names. */
int value_address(
	struct slice text, struct address *address, bool *wildcard, const char **expected);

/* The text of an address: "127.0.0.1:80", "[::1]:80", "unix:/path"; at most 128 bytes with the NUL. Returns its length. */
size_t address_text(const struct address *address, char to[128]);
bool address_equal(const struct address *a, const struct address *b);

/* "192.0.2.1", "2001:db8::1": an address without a port; IPv4 that is mapped into IPv6 becomes IPv4. 0 or -1. */
int value_ip(struct slice text, struct address *address);

/* Addresses that begin with the same bits. */
struct network {
	bool v6;
	uint8_t bits;
	unsigned char octets[16];
};
/* "10.0.0.0/8", "2001:db8::/32", or one address. Bits behind the prefix must be 0. */
int value_network(struct slice text, struct network *network, const char **expected);
/* Is the address among them? Never one of a Unix socket. */
bool network_holds(const struct network *network, const struct address *address);

/* What is wrong with the path of a page as a request names it, "/404.html"; NULL: nothing. */
const char *value_page_fault(struct slice path);

/* A host pattern: "example.com", "*.example.com" (any depth of labels, at least one). Lower-cases into `to` (256 bytes with the NUL). */
int value_host(struct slice text, char to[256], const char **expected);
/* Does a host (lower case, no port, no final dot) fit a pattern? */
bool host_matches(struct slice pattern, struct slice host);

/* The word of the list that is nearest to what was written and near enough to suggest, or NULL. */
const char *value_nearest(struct slice written, const char *const *words, size_t count);

#endif
