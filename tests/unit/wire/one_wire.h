/* SPDX-License-Identifier: BSD-2-Clause */
/* One loop thread with one site and a wire, for tests that play the client of it, octet by octet where they like. */
#ifndef WEIR_TESTS_UNIT_WIRE_ONE_WIRE_H
#define WEIR_TESTS_UNIT_WIRE_ONE_WIRE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/counters.h"
#include "wire/wire_priv.h"

struct one_wire {
	struct loop loop;
	struct snapshot snapshot;
	struct exchange_thread thread;
	struct counters counters;
	struct wire_shared shared;
	struct wire *wire;
	struct scope_core core;
	struct site site;
	const struct site *sites[1];
	struct listener_settings listener;
	struct ready *greeting; /* "hello": with more fields than its type where `odd` was said */
	size_t piece; /* at most so many octets go through a connection's transport at once */
	void (*arriving)(
		void); /* called when the loop has woken, before a connection is read; or NULL */
};
extern struct one_wire world;

/* All anew, with limits that no test runs into by itself but for bodies, of which that is told. `odd`: the greeting has fields of a
 * connection, and a name in upper case. */
void one_wire_start(const struct handler *const *table, int64_t body_size, bool odd);
/* Nothing is left open, or held. */
void one_wire_stop(void);
/* One turn of the loop. */
void one_wire_turn(void);
/* Gives a connected socket to the wire. */
void one_wire_accept(int fd);
/* The newest connection of the wire. */
struct conn *one_wire_newest(void);

#endif
