/* SPDX-License-Identifier: BSD-2-Clause */
/* The answers of the tests' DNS server (RFC 1035, 4). */
#include "dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

#define MOST 4096

struct writer {
	unsigned char *start, *at;
};

static void put16(struct writer *w, unsigned value)
{
	*w->at++ = (unsigned char)(value >> 8);
	*w->at++ = (unsigned char)value;
}

static void put32(struct writer *w, uint32_t value)
{
	put16(w, value >> 16);
	put16(w, value & 0xffff);
}

static void put_name(struct writer *w, const char *name)
{
	while (*name) {
		size_t length = strcspn(name, ".");
		*w->at++ = (unsigned char)length;
		memcpy(w->at, name, length);
		w->at += length;
		name += length + (name[length] == '.');
	}
	*w->at++ = 0;
}

static void put_address(struct writer *w, const struct dns_rule *rule, unsigned number)
{
	unsigned char octets[16];
	char made[64];
	int family = rule->type == T_A ? AF_INET : AF_INET6;
	unsigned length = rule->type == T_A ? 4 : 16;
	if (rule->addresses) {
		const char *one = rule->addresses;
		while (number-- > 0)
			one = strchr(one, ' ') + 1;
		snprintf(made, sizeof made, "%.*s", (int)strcspn(one, " "), one);
	} else {
		snprintf(made, sizeof made, rule->type == T_A ? "192.0.2.%u" : "2001:db8::%x",
			number + 1);
	}
	assert_int_equal(inet_pton(family, made, octets), 1);
	if (rule->alias)
		put_name(w, rule->alias);
	else
		put16(w, 0xc00c);
	put16(w, (unsigned)rule->type);
	put16(w, C_IN);
	put32(w, rule->ttl);
	if (rule->manner == DNS_ODD)
		length = 3;
	put16(w, rule->manner == DNS_OVERLONG ? 4000 : length);
	memcpy(w->at, octets, length);
	w->at += length;
}

static void put_alias(struct writer *w, const char *alias, uint32_t ttl)
{
	put16(w, 0xc00c);
	put16(w, T_CNAME);
	put16(w, C_IN);
	put32(w, ttl);
	unsigned char *length = w->at;
	put16(w, 0);
	put_name(w, alias);
	length[1] = (unsigned char)(w->at - length - 2);
}

static void put_records(struct writer *w, const struct dns_rule *rule)
{
	unsigned addresses = rule->count;
	if (rule->addresses) {
		addresses = 1;
		for (const char *c = rule->addresses; *c; c++)
			addresses += *c == ' ';
	}
	unsigned records = addresses;
	if (rule->alias) {
		put_alias(w, rule->alias, rule->alias_ttl);
		records++;
	}
	for (unsigned i = 0; i < addresses; i++)
		put_address(w, rule, i);
	w->start[7] = (unsigned char)records;
	if (rule->manner == DNS_CUT)
		w->at -= 2;
	if (rule->manner == DNS_LOOPING) {
		w->start[7] = 1;
		put16(w, 0xc000 | (unsigned)(w->at - w->start));
		put16(w, T_A);
	}
	if (rule->manner == DNS_GARBAGE) {
		w->start[7] = 3;
		memset(w->at, 0xa5, 100);
		w->at += 100;
	}
}

/* The name of a question, in dots. Returns what follows it. */
static const unsigned char *read_name(const unsigned char *at, char to[256])
{
	size_t length = 0;
	while (*at) {
		if (length)
			to[length++] = '.';
		memcpy(to + length, at + 1, *at);
		length += *at;
		at += *at + 1;
	}
	to[length] = 0;
	return at + 1;
}

/* Length of the answer; 0: none. */
static size_t answer(
	struct dns *dns, const unsigned char *query, size_t length, bool tcp, unsigned char *to)
{
	struct writer w = {to, to};
	assert_true(length > 12);
	const unsigned char *rest = read_name(query + 12, dns->last);
	int type = rest[0] << 8 | rest[1];
	const struct dns_rule *rule = NULL;
	bool known = false;
	dns->ids[dns->asked++ % COUNT_OF(dns->ids)] = (uint16_t)(query[0] << 8 | query[1]);
	dns->asked_by_tcp += tcp;
	if (dns->one_then_stop) {
		dns->one_then_stop = false;
		loop_stop(dns->loop);
		return 0;
	}
	for (const struct dns_rule *r = dns->rules; r && r->name; r++) {
		if (strcasecmp(r->name, dns->last) != 0)
			continue;
		known = true;
		if (r->type == type)
			rule = r;
	}
	if (rule && rule->manner == DNS_SILENT)
		return 0;
	memcpy(w.at, query, (size_t)(rest + 4 - query));
	w.at += rest + 4 - query;
	to[2] = 0x81;
	to[3] = (unsigned char)(0x80 | (rule ? rule->rcode : known ? NOERROR : NXDOMAIN));
	memset(to + 6, 0, 6);
	if (rule && rule->manner == DNS_OTHER_ID)
		to[0] ^= 0xff;
	if (rule && rule->manner == DNS_SHORT)
		return 7;
	if (rule && rule->manner == DNS_TRUNCATED && !tcp)
		to[2] |= 2;
	else if (rule && rule->rcode == NOERROR)
		put_records(&w, rule);
	return (size_t)(w.at - w.start);
}

static void on_udp(struct ev_loop *ev, ev_io *watch, int events)
{
	struct dns *dns = container_of(watch, struct dns, udp);
	unsigned char query[MOST], to[MOST];
	struct sockaddr_in from;
	socklen_t from_length = sizeof from;
	(void)ev, (void)events;
	ssize_t n =
		recvfrom(watch->fd, query, sizeof query, 0, (struct sockaddr *)&from, &from_length);
	size_t length = n > 0 ? answer(dns, query, (size_t)n, false, to) : 0;
	if (length)
		sendto(watch->fd, to, length, 0, (struct sockaddr *)&from, from_length);
}

static void end_stream(struct dns *dns)
{
	if (!ev_is_active(&dns->stream))
		return;
	ev_io_stop(dns->loop->ev, &dns->stream);
	close(dns->stream.fd);
}

static void on_stream(struct ev_loop *ev, ev_io *watch, int events)
{
	struct dns *dns = container_of(watch, struct dns, stream);
	unsigned char query[MOST], to[MOST + 2];
	ssize_t n = recv(watch->fd, query, sizeof query, 0);
	(void)ev, (void)events;
	if (n <= 0) {
		end_stream(dns);
		return;
	}
	/* the queries are short and come whole, maybe two at once */
	for (ssize_t at = 0; at + 2 < n;) {
		size_t asked = (size_t)(query[at] << 8 | query[at + 1]);
		size_t length = answer(dns, query + at + 2, asked, true, to + 2);
		to[0] = (unsigned char)(length >> 8);
		to[1] = (unsigned char)length;
		if (length)
			send(watch->fd, to, length + 2, MSG_NOSIGNAL);
		at += (ssize_t)asked + 2;
	}
}

static void on_connection(struct ev_loop *ev, ev_io *watch, int events)
{
	struct dns *dns = container_of(watch, struct dns, tcp);
	int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	(void)events;
	if (fd < 0)
		return;
	end_stream(dns);
	ev_io_init(&dns->stream, on_stream, fd, EV_READ);
	ev_io_start(ev, &dns->stream);
}

/* One port for both: another one is tried where somebody has the second. */
static void bind_both(int *udp, int *tcp, struct sockaddr_in *address)
{
	socklen_t length = sizeof *address;
	for (int i = 0; i < 50; i++) {
		*udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		*tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		*address = (struct sockaddr_in){
			.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
		assert_int_equal(bind(*tcp, (struct sockaddr *)address, length), 0);
		assert_int_equal(getsockname(*tcp, (struct sockaddr *)address, &length), 0);
		if (bind(*udp, (struct sockaddr *)address, length) == 0) {
			assert_int_equal(listen(*tcp, 8), 0);
			return;
		}
		close(*udp);
		close(*tcp);
	}
	fail_msg("no port");
}

void dns_start(struct dns *dns, struct loop *loop)
{
	int udp, tcp;
	struct sockaddr_in address;
	memset(dns, 0, sizeof *dns);
	dns->loop = loop;
	bind_both(&udp, &tcp, &address);
	snprintf(dns->servers, sizeof dns->servers, "127.0.0.1:%u", ntohs(address.sin_port));
	ev_init(&dns->stream, on_stream);
	ev_io_init(&dns->udp, on_udp, udp, EV_READ);
	ev_io_init(&dns->tcp, on_connection, tcp, EV_READ);
	ev_io_start(loop->ev, &dns->udp);
	ev_io_start(loop->ev, &dns->tcp);
}

void dns_stop(struct dns *dns)
{
	end_stream(dns);
	ev_io_stop(dns->loop->ev, &dns->udp);
	ev_io_stop(dns->loop->ev, &dns->tcp);
	close(dns->udp.fd);
	close(dns->tcp.fd);
}
