/* SPDX-License-Identifier: BSD-2-Clause */
/* A proxy between a client on a socket pair and a backend that the test plays itself, step by step, on loopback. */
#ifndef WEIR_TESTS_UNIT_HANDLERS_PROXY_STAGE_H
#define WEIR_TESTS_UNIT_HANDLERS_PROXY_STAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "handlers/proxy/upstream.h"
#include "io/resolve.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

struct proxy_stage {
	struct resolver_options resolver; /* of names */
	struct upstream upstream;         /* may be changed until the first request */
	struct upstream_server servers[2];
	int listening[2]; /* of the servers; -1: closed by the test */
	struct loop *loop;
	void (*end)(void); /* NULL, or what the test has in the loop: called before that goes */
	int client;        /* the client's end of its connection; -1: closed by the test */
};
extern struct proxy_stage stage;

/* For cmocka: one server, one client. */
int proxy_set_up(void **state);
int proxy_tear_down(void **state);
/* Begins anew with so many servers, and what the test has changed of them. */
void proxy_restart(size_t servers);
/* Both servers take part, the first one first. */
void proxy_two_servers(void);
/* Another client. Returns its end. */
int proxy_connect_client(void);

/* Is there something to read, or the end? */
bool proxy_readable(int fd);
/* Turns the loop until there is, or for so long. */
bool proxy_turn_until(int fd, unsigned ms);
/* Turns the loop for so long. */
void proxy_turn(unsigned ms);
void proxy_write(int fd, const char *text);
/* Reads until the text ends so, or until the end of the connection where `end` is NULL. Valid until the next call. */
char *proxy_read(int fd, const char *end);
/* The next connection to a server. */
int proxy_accept(int which);
/* The connection has ended, with nothing to read before; it is closed here as well. */
void proxy_assert_closed(int fd);
/* The connection goes on, and there is nothing to read. */
void proxy_assert_open(int fd);
/* The text without its Date line, which must be there. */
const char *proxy_undated(char *text);
/* A connection to the first server that has answered one request and is kept. */
int proxy_used_connection(void);

#define PROXY_TEST(function)                                                                       \
	cmocka_unit_test_setup_teardown(function, proxy_set_up, proxy_tear_down)

#endif
