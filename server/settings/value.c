/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads the small languages of the configuration: numbers with units, addresses, host patterns. */
#include "settings/value.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { NUMBER_BASE = 10, HOST_MAX = 253, LABEL_MAX = 63 };

struct unit {
	const char *name;
	int64_t factor;
};

/* Splits "30s" into 30 and "s". -1: no digit in front, or the number is too large. */
static int split_number(struct slice text, int64_t *number, struct slice *rest)
{
	size_t i = 0;
	int64_t n = 0;
	for (; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
		if (__builtin_mul_overflow(n, NUMBER_BASE, &n) ||
			__builtin_add_overflow(n, text.ptr[i] - '0', &n))
			return -1;
	}
	*number = n;
	*rest = slice_from(text, i);
	return i > 0 ? 0 : -1;
}

static int with_unit(struct slice text, const struct unit *units, size_t count, int64_t *result)
{
	int64_t number;
	struct slice rest;
	if (split_number(text, &number, &rest))
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (slice_equal(rest, slice_of(units[i].name)))
			return __builtin_mul_overflow(number, units[i].factor, result) ? -1 : 0;
	}
	if (number == 0 && rest.len == 0) {
		*result = 0;
		return 0;
	}
	return -1;
}

int value_duration(struct slice text, int64_t *milliseconds, const char **expected)
{
	static const struct unit units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000},
		{"h", 3600 * 1000}, {"d", 24 * 3600 * 1000}};
	*expected = "a duration such as 250ms, 5s, 2m, 1h or 7d";
	return with_unit(text, units, sizeof(units) / sizeof(units[0]), milliseconds);
}

int value_size(struct slice text, int64_t *bytes, const char **expected)
{
	static const struct unit units[] = {{"", 1}, {"k", 1024}, {"K", 1024}, {"M", 1 << 20},
		{"m", 1 << 20}, {"G", 1 << 30}, {"g", 1 << 30}, {"T", INT64_C(1) << 40}};
	*expected = "a size such as 512, 64k, 10M or 1G";
	return with_unit(text, units, sizeof(units) / sizeof(units[0]), bytes);
}

int value_rate(struct slice text, double *per_second, const char **expected)
{
	int64_t number;
	struct slice rest;
	*expected = "a rate such as 100/s or 600/m";
	if (split_number(text, &number, &rest) || number == 0)
		return -1;
	if (slice_equal(rest, SLICE("/s")))
		*per_second = (double)number;
	else if (slice_equal(rest, SLICE("/m")))
		*per_second = (double)number / 60;
	else if (slice_equal(rest, SLICE("/h")))
		*per_second = (double)number / 3600;
	else
		return -1;
	return 0;
}

int value_bool(struct slice text, bool *on, const char **expected)
{
	static const char *const words[] = {"off", "on", "false", "true", "no", "yes"};
	*expected = "on or off";
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (slice_equal_nocase(text, slice_of(words[i]))) {
			*on = i % 2 != 0;
			return 0;
		}
	}
	return -1;
}

int value_integer(struct slice text, int64_t *number, const char **expected)
{
	struct slice rest;
	bool negative = text.len > 1 && text.ptr[0] == '-';
	*expected = "a whole number";
	if (split_number(slice_from(text, negative), number, &rest) || rest.len > 0)
		return -1;
	if (negative)
		*number = -*number;
	return 0;
}

static int read_port(struct slice text, in_port_t *port)
{
	uint64_t number;
	if (slice_number(text, &number) || number > UINT16_MAX || text.len > 5)
		return -1;
	*port = htons((uint16_t)number);
	return 0;
}

static int read_local(struct slice path, struct address *address)
{
	if (path.len == 0 || path.ptr[0] != '/' || memchr(path.ptr, 0, path.len) ||
		path.len >= sizeof(address->local.sun_path))
		return -1;
	address->local.sun_family = AF_UNIX;
	memcpy(address->local.sun_path, path.ptr, path.len);
	address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
	return 0;
}

/* The part of an IP address goes through a buffer, for inet_pton wants a NUL. */
static int read_ip(int family, struct slice text, void *to)
{
	char copy[INET6_ADDRSTRLEN];
	if (text.len >= sizeof(copy) || memchr(text.ptr, 0, text.len))
		return -1;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = 0;
	return inet_pton(family, copy, to) == 1 ? 0 : -1;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

const char *value_page_fault(struct slice path)
{
	if (path.len == 0 || path.ptr[0] != '/')
		return "it begins with a slash, as clients would ask for it";
	for (size_t i = 0; i < path.len; i++) {
		unsigned char c = (unsigned char)path.ptr[i];
		struct slice rest = slice_from(path, i);
		if (c <= ' ' || c >= 0x7f || c == '?' || c == '#' || c == '\\')
			return "spaces, other characters than ASCII and ? # \\ are written %XX in it";
		if (c == '%' && (rest.len < 3 || !is_hex(rest.ptr[1]) || !is_hex(rest.ptr[2])))
			return "a % is written %25 in it";
		if (slice_starts(rest, SLICE("/./")) || slice_starts(rest, SLICE("/../")) ||
			slice_equal(rest, SLICE("/.")) || slice_equal(rest, SLICE("/..")))
			return "there are no dot segments in it";
	}
	return NULL;
}

int value_address(struct slice text, struct address *address, bool *wildcard, const char **expected)
{
	*expected = "an address such as 127.0.0.1:80, [::1]:80, :80 or unix:/path";
	memset(address, 0, sizeof(*address));
	*wildcard = false;
	if (slice_starts(text, SLICE("unix:")))
		return read_local(slice_from(text, 5), address);
	const char *colon = text.len > 0 ? memrchr(text.ptr, ':', text.len) : NULL;
	if (!colon)
		return -1;
	struct slice host = {text.ptr, (size_t)(colon - text.ptr)};
	struct slice port = slice_from(text, host.len + 1);
	if (host.len == 0 || host.ptr[0] == '[') {
		address->v6.sin6_family = AF_INET6;
		address->length = sizeof(address->v6);
		*wildcard = host.len == 0;
		if (read_port(port, &address->v6.sin6_port))
			return -1;
		if (*wildcard)
			return 0;
		if (host.ptr[host.len - 1] != ']')
			return -1;
		return read_ip(AF_INET6, (struct slice){host.ptr + 1, host.len - 2},
			&address->v6.sin6_addr);
	}
	address->v4.sin_family = AF_INET;
	address->length = sizeof(address->v4);
	if (read_port(port, &address->v4.sin_port))
		return -1;
	return read_ip(AF_INET, host, &address->v4.sin_addr);
}

int value_ip(struct slice text, struct address *address)
{
	memset(address, 0, sizeof(*address));
	if (text.len == 0)
		return -1;
	if (read_ip(AF_INET, text, &address->v4.sin_addr) == 0) {
		address->v4.sin_family = AF_INET;
		address->length = sizeof(address->v4);
		return 0;
	}
	struct in6_addr v6;
	if (read_ip(AF_INET6, text, &v6))
		return -1;
	if (IN6_IS_ADDR_V4MAPPED(&v6)) {
		address->v4.sin_family = AF_INET;
		memcpy(&address->v4.sin_addr, &v6.s6_addr[12], sizeof(address->v4.sin_addr));
		address->length = sizeof(address->v4);
		return 0;
	}
	address->v6.sin6_family = AF_INET6;
	address->v6.sin6_addr = v6;
	address->length = sizeof(address->v6);
	return 0;
}

static const unsigned char *address_octets(const struct address *address)
{
	return address->any.sa_family == AF_INET ? (const unsigned char *)&address->v4.sin_addr
						 : (const unsigned char *)&address->v6.sin6_addr;
}

int value_network(struct slice text, struct network *network, const char **expected)
{
	*expected = "an address or a network such as 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32";
	const char *stroke = text.len > 0 ? memchr(text.ptr, '/', text.len) : NULL;
	struct slice ip = {text.ptr, stroke ? (size_t)(stroke - text.ptr) : text.len};
	struct address address;
	if (value_ip(ip, &address))
		return -1;
	bool v6 = address.any.sa_family == AF_INET6;
	/* a prefix of a mapped address would count from another end */
	if (!v6 && memchr(ip.ptr, ':', ip.len))
		return -1;
	uint64_t most = v6 ? 128 : 32, bits = most;
	if (stroke && (slice_number(slice_from(text, ip.len + 1), &bits) || bits > most))
		return -1;
	memset(network, 0, sizeof(*network));
	network->v6 = v6;
	network->bits = (uint8_t)bits;
	memcpy(network->octets, address_octets(&address), most / 8);
	for (uint64_t bit = bits; bit < most; bit++) {
		if (network->octets[bit / 8] & 0x80 >> bit % 8) {
			*expected = "a network whose address ends where its prefix does, such as "
				    "10.0.0.0/8, or one address without a prefix";
			return -1;
		}
	}
	return 0;
}

bool network_holds(const struct network *network, const struct address *address)
{
	if (address->any.sa_family != (network->v6 ? AF_INET6 : AF_INET))
		return false;
	const unsigned char *octets = address_octets(address);
	unsigned whole = network->bits / 8, rest = network->bits % 8;
	if (memcmp(octets, network->octets, whole) != 0)
		return false;
	return rest == 0 || (octets[whole] ^ network->octets[whole]) >> (8 - rest) == 0;
}

size_t address_text(const struct address *address, char to[128])
{
	char ip[INET6_ADDRSTRLEN] = "";
	int length = 0;
	switch (address->any.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &address->v4.sin_addr, ip, sizeof(ip));
		length = snprintf(to, 128, "%s:%u", ip, ntohs(address->v4.sin_port));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &address->v6.sin6_addr, ip, sizeof(ip));
		length = snprintf(to, 128, "[%s]:%u", ip, ntohs(address->v6.sin6_port));
		break;
	case AF_UNIX:
		/* a peer's address may have no path at all */
		length = snprintf(to, 128, "unix:%.*s", (int)sizeof(address->local.sun_path),
			address->length > offsetof(struct sockaddr_un, sun_path)
				? address->local.sun_path
				: "");
		break;
	default:
		to[0] = 0;
	}
	return (size_t)length;
}

bool address_equal(const struct address *a, const struct address *b)
{
	if (a->any.sa_family != b->any.sa_family)
		return false;
	switch (a->any.sa_family) {
	case AF_INET:
		return a->v4.sin_port == b->v4.sin_port &&
		       a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	case AF_INET6:
		return a->v6.sin6_port == b->v6.sin6_port &&
		       a->v6.sin6_scope_id == b->v6.sin6_scope_id &&
		       memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0;
	case AF_UNIX:
		return a->length == b->length && memcmp(&a->local, &b->local, a->length) == 0;
	default:
		return false;
	}
}

static bool is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Labels of letters, digits, hyphens (inside) and underscores, joined by dots. Lower case. */
static bool are_labels(struct slice host)
{
	size_t label = 0;
	for (size_t i = 0; i <= host.len; i++) {
		char c = i < host.len ? host.ptr[i] : '.';
		if (c == '.') {
			if (label == 0 || label > LABEL_MAX || host.ptr[i - 1] == '-')
				return false;
			label = 0;
		} else if (is_alphanumeric(c) || c == '_' || (c == '-' && label > 0)) {
			label++;
		} else {
			return false;
		}
	}
	return true;
}

int value_host(struct slice text, char to[256], const char **expected)
{
	struct in6_addr v6;
	*expected = "a host such as example.com or \"*.example.com\"";
	to[0] = 0;
	if (text.len > 1 && text.ptr[text.len - 1] == '.')
		text.len--;
	if (text.len == 0 || text.len > HOST_MAX)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		to[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	to[text.len] = 0;
	struct slice host = {to, text.len};
	if (to[0] == '[' && to[text.len - 1] == ']')
		return read_ip(AF_INET6, (struct slice){to + 1, text.len - 2}, &v6);
	if (slice_starts(host, SLICE("*.")))
		host = slice_from(host, 2);
	return are_labels(host) ? 0 : -1;
}

bool host_matches(struct slice pattern, struct slice host)
{
	if (!slice_starts(pattern, SLICE("*.")))
		return slice_equal(pattern, host);
	struct slice suffix = slice_from(pattern, 1);
	return host.len > suffix.len && slice_ends(host, suffix);
}
