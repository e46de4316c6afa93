/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection before there is a version of HTTP on it: the transport's handshake, which has a deadline of its own, and what was agreed
 * in it. One that fails is no request, so it stands in the error log. */
#include "base/counters.h"
#include "base/log.h"
#include "wire/h1.h"
#include "wire/h2.h"
#include "wire/wire_priv.h"

static void log_fault(const struct conn *c)
{
	const struct tls_facts *facts = conn_tls(c);
	struct log_scope scope = {.connection = c->number};
	if (facts && facts->fault)
		log_at(&scope, facts->ours ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG, LOG_TLS,
			"no TLS: %s", facts->fault);
}

/* Who has said nothing wanted to know whether somebody listens, or to be ready. */
static void count_failure(const struct conn *c)
{
	const struct tls_facts *facts = conn_tls(c);
	if (facts && facts->begun)
		counter_add(c->wire->thread->counters, COUNTER_HANDSHAKES_FAILED, 1);
}

static void begin(struct conn *c)
{
	const struct tls_facts *facts = conn_tls(c);
	c->protocol = &h1_protocol;
	if (facts && facts->h2)
		h2_start(c);
	/* the head has its own time; and nothing may be waited for, where a request came with the end of the handshake */
	c->wait = CONN_WAIT_NONE;
	deadline_clear(c->wire->loop, &c->deadline);
	c->woken = false; /* for the handshake's end */
	if (c->transport.pending)
		c->protocol->readable(c);
}

static void handshake_readable(struct conn *c)
{
	int result = c->transport.ops->start(&c->transport);
	if (result == IO_ERROR) {
		conn_fail(c);
		log_fault(c);
		count_failure(c);
	} else if (result == IO_EOF) {
		conn_break(c, false);
		count_failure(c);
	} else if (result == 1) {
		begin(c);
	}
	if (c->transport.unsent)
		c->blocked = true;
}

static bool handshake_settle(struct conn *c)
{
	(void)c;
	return false;
}

static enum conn_wait handshake_wait(const struct conn *c)
{
	return c->closing ? CONN_WAIT_SEND : CONN_WAIT_HANDSHAKE;
}

static void handshake_expired(struct conn *c, enum conn_wait wait)
{
	(void)wait;
	conn_break(c, false);
	count_failure(c);
}

static void handshake_gone(struct conn *c, enum exchange_end why)
{
	(void)c, (void)why;
}

const struct protocol handshake_protocol = {
	.name = "handshake",
	.readable = handshake_readable,
	.settle = handshake_settle,
	.wait = handshake_wait,
	.expired = handshake_expired,
	.gone = handshake_gone,
};
