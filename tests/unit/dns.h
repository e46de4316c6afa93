/* SPDX-License-Identifier: BSD-2-Clause */
/* A DNS server on a loop of the test's, on a port of the kernel's choice: answers by a table, well or badly. */
#ifndef WEIR_TESTS_UNIT_DNS_H
#define WEIR_TESTS_UNIT_DNS_H

#include <stdbool.h>

#include "io/loop.h"

enum dns_manner {
	DNS_ANSWERS,
	DNS_SILENT,    /* says nothing */
	DNS_TRUNCATED, /* by UDP only that TCP must be asked */
	DNS_OTHER_ID,  /* an answer to another question */
	DNS_CUT,       /* the answer ends within a record */
	DNS_OVERLONG,  /* a record is longer than the answer */
	DNS_LOOPING,   /* a name that points to itself */
	DNS_SHORT,     /* less than a header */
	DNS_GARBAGE,   /* octets of no meaning behind the header and the question */
	DNS_ODD,       /* an address of three octets */
};

/* What is said of a name and a type. No rule for the name: there is no such name; none for the type: no data. */
struct dns_rule {
	const char *name;
	int type; /* T_A, T_AAAA */
	enum dns_manner manner;
	int rcode;
	uint32_t ttl;
	const char *alias; /* a CNAME, with `alias_ttl`, that leads to the addresses */
	uint32_t alias_ttl;
	unsigned count; /* addresses made by the server: 192.0.2.1, 192.0.2.2 …; 2001:db8::1 … */
	const char *addresses; /* or those that stand here, a space between them */
};

struct dns {
	struct loop *loop;
	ev_io udp, tcp, stream;
	char servers[32];             /* for resolver_options */
	const struct dns_rule *rules; /* ended by one without a name; may be changed at any time */
	unsigned asked, asked_by_tcp; /* queries that came */
	uint16_t ids[256];            /* of them */
	char last[256];               /* the name last asked for */
	bool one_then_stop;           /* loop_stop at the next query, which gets no answer */
};

void dns_start(struct dns *dns, struct loop *loop);
void dns_stop(struct dns *dns);

#endif
