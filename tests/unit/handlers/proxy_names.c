/* SPDX-License-Identifier: BSD-2-Clause */
/* Backends that have names (DESIGN §2, §4): a server whose name does not resolve is a down server; names are resolved again as their
 * time to live ends, and what is kept follows. */
#include "proxy_stage.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../dns.h"
#include "base/check.h"

#define NAME "app.test"

static struct dns dns;
static struct dns_rule rules[4];

static void end(void)
{
	dns_stop(&dns);
}

static int set_up(void **state)
{
	proxy_set_up(state);
	dns_start(&dns, stage.loop);
	stage.end = end;
	dns.rules = rules;
	memset(rules, 0, sizeof rules);
	rules[0] =
		(struct dns_rule){.name = NAME, .type = T_A, .ttl = 60, .addresses = "127.0.0.1"};
	rules[1] = (struct dns_rule){.name = NAME, .type = T_AAAA};
	stage.resolver = (struct resolver_options){.servers = dns.servers,
		.hosts = "/dev/null",
		.resolv_conf = "/dev/null",
		.timeout_ms = 100};
	stage.servers[0].address_count = 0;
	stage.servers[0].name = SLICE(NAME);
	proxy_restart(1);
	return 0;
}

static int tear_down(void **state)
{
	int result = proxy_tear_down(state);
	stage.resolver = (struct resolver_options){0};
	return result;
}

static void silence(void)
{
	rules[0].manner = rules[1].manner = DNS_SILENT;
}

static void wait_until_asked(unsigned times)
{
	for (int i = 0; i < 500 && dns.asked < times; i++)
		proxy_turn(10);
	assert_true(dns.asked >= times);
}

/* A request, and the server's end of the connection on which it came. */
static int serve_one(int listening)
{
	proxy_write(stage.client, GET);
	assert_true(proxy_turn_until(listening, 5000));
	int server = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(server >= 0);
	proxy_read(server, "\r\n\r\n");
	proxy_write(server, OK);
	proxy_read(stage.client, "ok");
	return server;
}

static void refused_with(const char *status)
{
	proxy_write(stage.client, GET);
	char *answer = proxy_read(stage.client, "</html>\n");
	if (strncmp(answer, status, strlen(status)) != 0)
		fail_msg("%s", answer);
}

/* The same port at another address of the loopback. */
static int listen_beside(const char *host)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(stage.servers[0].port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(inet_pton(AF_INET, host, &a.sin_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

/* A request during the first lookup waits for it. */
static void first_request_waits(void **state)
{
	(void)state;
	close(serve_one(stage.listening[0]));
	assert_int_equal(dns.asked, 2);
}

static void no_such_name(void **state)
{
	(void)state;
	rules[0].name = rules[1].name = "other.test";
	refused_with("HTTP/1.1 503 ");
	assert_int_equal(dns.asked, 2);
	refused_with("HTTP/1.1 503 "); /* known by now: it does not wait, and asks nobody */
	assert_int_equal(dns.asked, 2);
	/* and is looked up again a little later */
	rules[0].name = rules[1].name = NAME;
	wait_until_asked(4);
	close(serve_one(stage.listening[0]));
}

/* A request waits no longer than for a connection. */
static void silent_dns(void **state)
{
	(void)state;
	silence();
	stage.resolver.timeout_ms = 20000;
	stage.upstream.connect_timeout = 300;
	proxy_restart(1);
	double begun = ev_time();
	refused_with("HTTP/1.1 503 ");
	assert_true(ev_time() - begun >= 0.29);
	assert_true(ev_time() - begun < 4.);
}

/* A server that is not known yet is a down server: the next one is asked, at once. */
static void next_server_is_asked(void **state)
{
	(void)state;
	silence();
	stage.resolver.timeout_ms = 20000;
	proxy_two_servers();
	for (int i = 0; i < 3; i++) {
		proxy_write(stage.client, GET);
		int server = proxy_accept(1);
		proxy_read(server, "\r\n\r\n");
		proxy_write(server,
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
		close(server);
		proxy_read(stage.client, "ok");
	}
}

/* Where the others refuse as well, the lookup is waited for; where it fails, it is known that one was asked. */
static void waits_behind_refusals(void **state)
{
	(void)state;
	rules[0].name = rules[1].name = "other.test";
	close(stage.listening[1]);
	stage.listening[1] = -1;
	proxy_two_servers();
	refused_with("HTTP/1.1 502 ");
	rules[0].name = rules[1].name = NAME;
	proxy_two_servers();
	close(serve_one(stage.listening[0]));
}

static void each_address_in_turn(void **state)
{
	(void)state;
	int beside = listen_beside("127.0.0.2");
	rules[0].addresses = "127.0.0.1 127.0.0.2";
	stage.upstream.keepalive = 0;
	proxy_restart(1);
	for (int i = 0; i < 3; i++) {
		close(serve_one(stage.listening[0]));
		close(serve_one(beside));
	}
	/* one that refuses is passed over */
	close(beside);
	for (int i = 0; i < 3; i++)
		close(serve_one(stage.listening[0]));
	rules[0].addresses = "127.0.0.3 127.0.0.4 127.0.0.2 127.0.0.1";
	proxy_restart(1);
	for (int i = 0; i < 5; i++)
		close(serve_one(stage.listening[0]));
}

/* Addresses that do not answer cost the whole timeout: two of them are enough for one request, the next one begins behind. */
static void silent_addresses(void **state)
{
	(void)state;
	int full[2], filling[8];
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(stage.servers[0].port)};
	for (int i = 0; i < 2; i++) {
		full[i] = listen_beside(i ? "127.0.0.3" : "127.0.0.2");
		listen(full[i], 0);
	}
	for (int i = 0; i < 8; i++) {
		filling[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		a.sin_addr.s_addr = htonl(i % 2 ? 0x7f000003 : 0x7f000002);
		connect(filling[i], (struct sockaddr *)&a, sizeof a);
	}
	rules[0].addresses = "127.0.0.2 127.0.0.3 127.0.0.1";
	stage.upstream.connect_timeout = 150;
	proxy_restart(1);
	refused_with("HTTP/1.1 504 ");
	close(serve_one(stage.listening[0]));
	for (int i = 0; i < 8; i++)
		close(filling[i]);
	close(full[0]);
	close(full[1]);
}

/* The new address is asked when the old one's time is over, and what was kept to the old one is closed. */
static void addresses_change(void **state)
{
	(void)state;
	int beside = listen_beside("127.0.0.2");
	rules[0].ttl = 1;
	proxy_restart(1);
	int kept = serve_one(stage.listening[0]);
	proxy_assert_open(kept);
	rules[0].addresses = "127.0.0.2";
	proxy_assert_closed(kept);
	kept = serve_one(beside);
	/* an address that stays is no reason to close anything */
	rules[0].addresses = "127.0.0.1 127.0.0.2";
	unsigned asked = dns.asked;
	wait_until_asked(asked + 2);
	proxy_turn(20);
	proxy_assert_open(kept);
	/* one that is in use when its address goes is closed behind its answer */
	proxy_write(stage.client, GET);
	proxy_read(kept, "\r\n\r\n");
	rules[0].addresses = "127.0.0.1";
	asked = dns.asked;
	wait_until_asked(asked + 2);
	proxy_turn(20);
	proxy_write(kept, OK);
	proxy_read(stage.client, "ok");
	proxy_assert_closed(kept);
	close(beside);
}

static void failed_lookup_keeps_addresses(void **state)
{
	(void)state;
	rules[0].ttl = 1;
	proxy_restart(1);
	int kept = serve_one(stage.listening[0]);
	rules[0].rcode = rules[1].rcode = SERVFAIL;
	unsigned asked = dns.asked;
	wait_until_asked(asked + 2);
	proxy_turn(50);
	proxy_assert_open(kept);
	proxy_write(stage.client, GET);
	proxy_read(kept, "\r\n\r\n");
	proxy_write(kept, OK);
	proxy_read(stage.client, "ok");
	close(kept);
	proxy_turn(20);
	rules[0].name = rules[1].name = "other.test";
	asked = dns.asked;
	wait_until_asked(asked + 2);
	close(serve_one(stage.listening[0]));
}

static void client_leaves_while_waiting(void **state)
{
	(void)state;
	silence();
	stage.resolver.timeout_ms = 20000;
	proxy_restart(1);
	int leaving = proxy_connect_client();
	proxy_write(leaving, GET);
	proxy_write(stage.client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
	proxy_turn(20);
	close(leaving);
	proxy_turn(20);
	/* and the other one is cut with the test's end */
	assert_false(proxy_readable(stage.client));
}

/* Servers of one name and port are looked up once. */
static void names_are_shared(void **state)
{
	(void)state;
	stage.servers[1] = stage.servers[0];
	stage.servers[1].name = SLICE("APP.test");
	dns.asked = 0;
	proxy_two_servers();
	close(serve_one(stage.listening[0]));
	close(serve_one(stage.listening[0]));
	assert_int_equal(dns.asked, 2);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_request_waits),
		TEST(no_such_name),
		TEST(silent_dns),
		TEST(next_server_is_asked),
		TEST(waits_behind_refusals),
		TEST(each_address_in_turn),
		TEST(silent_addresses),
		TEST(addresses_change),
		TEST(failed_lookup_keeps_addresses),
		TEST(client_leaves_while_waiting),
		TEST(names_are_shared),
	};
	return cmocka_run_group_tests_name("handlers/proxy_names", tests, NULL, NULL);
}
