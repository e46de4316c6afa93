/* SPDX-License-Identifier: BSD-2-Clause */
/* Who asks: the peer, or whom proxies that are trusted name by X-Forwarded-For or Forwarded (RFC 7239). */
#ifndef WEIR_HTTP_CLIENT_H
#define WEIR_HTTP_CLIENT_H

#include "http/request.h"

/* What trusted proxies say of a request's way here. Everything is in the request's arena, and checked. */
struct trail {
	struct slice *
		addresses; /* texts without ports: the client's first, then the proxies between it and the peer */
	unsigned count;     /* 0: none that can be believed */
	struct slice proto; /* "http" or "https"; empty: nothing is said */
	struct slice host;  /* as the client named it, with its port; empty: nothing is said */
};

/* Sets request->client and request->trail: of a peer that is trusted what it says is believed, from the right, as far as addresses are
 * those of proxies that are trusted too; the first that is not is the client's. X-Forwarded-For counts before Forwarded, since hardly any proxy
 * fails to write or remove it. What is no address ends it: the last good one is the client's then. */
void client_identify(struct request *request);

/* "192.0.2.1", "2001:db8::1" at `to` (46 octets); of a Unix socket nothing. Returns the length. */
size_t client_text(const struct address *address, char *to);

/* How the client spoke to the first of all servers. */
enum scheme client_scheme(const struct request *request);

#endif
