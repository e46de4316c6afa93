/* SPDX-License-Identifier: BSD-2-Clause */
/* One loop thread whose only handler is the proxy, with real sockets on both of its sides. */
#include "proxy_stage.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/counters.h"
#include "handlers/proxy/pool.h"
#include "handlers/proxy/proxy.h"
#include "http/exchange.h"
#include "wire/wire_priv.h"

#define TEXT    65536
#define WAIT_MS 5000

struct proxy_stage stage;

static const struct handler *const table[] = {&proxy_handler, NULL};
static struct loop loop;
static struct snapshot snapshot;
static struct exchange_thread thread;
static struct counters counters;
static struct wire_shared shared;
static struct wire *wire;
static struct scope_core scope_core;
static struct site site;
static const struct site *sites[] = {&site};
static struct listener_settings listener_settings;

static const struct upstream *the_upstream(const struct snapshot *s, const struct scope *scope)
{
	(void)s;
	(void)scope;
	return &stage.upstream;
}

static int listen_on(struct upstream_server *server)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct address *a = &server->addresses[0];
	*a = (struct address){.length = sizeof a->v4};
	a->v4.sin_family = AF_INET;
	a->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, &a->any, a->length), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, &a->any, &a->length), 0);
	server->address_count = 1;
	server->name = (struct slice){0};
	server->port = ntohs(a->v4.sin_port);
	server->text = server->authority = SLICE("127.0.0.1:3000");
	return fd;
}

int proxy_connect_client(void)
{
	int pair[2];
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	struct address peer = {.length = sizeof peer.v4};
	peer.v4.sin_family = AF_INET;
	peer.v4.sin_addr.s_addr = htonl(0xc0000201);
	struct listener listener = {.loop = &loop, .settings = &listener_settings, .context = wire};
	assert_true(wire_accept(&listener, pair[1], &peer, wire));
	return pair[0];
}

int proxy_set_up(void **state)
{
	(void)state;
	memset(&snapshot, 0, sizeof snapshot);
	snapshot.core.limits.connections = 10;
	snapshot.core.limits.header_size = 8192;
	snapshot.core.limits.body_size = 1 << 30;
	snapshot.core.limits.header_timeout = snapshot.core.limits.body_timeout = 10000;
	snapshot.core.limits.idle_timeout = snapshot.core.limits.send_timeout = 10000;
	snapshot.sites = &site;
	snapshot.site_count = snapshot.scope_count = 1;
	site = (struct site){
		.name = SLICE("default"), .scope = {.core = &scope_core, .chain = table}};
	site.scope.site = &site;
	listener_settings =
		(struct listener_settings){.sites = sites, .site_count = 1, .fallback = &site};
	for (int i = 0; i < 2; i++)
		stage.listening[i] = listen_on(&stage.servers[i]);
	stage.upstream = (struct upstream){.name = SLICE("app"),
		.servers = stage.servers,
		.server_count = 1,
		.keepalive = 4,
		.connect_timeout = 2000,
		.response_timeout = 10000,
		.idle_timeout = 10000,
		.tunnel_timeout = 10000};
	assert_int_equal(loop_init(&loop, 0), 0);
	stage.loop = &loop;
	memset(&thread, 0, sizeof thread);
	thread.table = table;
	thread.loop = &loop;
	thread.clock = &loop.clock;
	thread.snapshot = &snapshot;
	thread.counters = &counters;
	exchange_thread_prepare(&thread);
	thread.state[0] = backends_new(&thread, the_upstream, &stage.resolver);
	memset(&shared, 0, sizeof shared);
	wire = wire_start(&thread, &shared, NULL, NULL);
	stage.client = proxy_connect_client();
	return 0;
}

int proxy_tear_down(void **state)
{
	(void)state;
	wire_stop(wire);
	proxy_handler.thread_stop(&thread, thread.state[0]);
	if (stage.end)
		stage.end();
	stage.end = NULL;
	loop_done(&loop);
	if (stage.client >= 0)
		close(stage.client);
	for (int i = 0; i < 2; i++)
		if (stage.listening[i] >= 0)
			close(stage.listening[i]);
	return 0;
}

void proxy_two_servers(void)
{
	proxy_restart(2);
}

void proxy_restart(size_t servers)
{
	proxy_handler.thread_stop(&thread, thread.state[0]);
	stage.upstream.server_count = servers;
	thread.state[0] = backends_new(&thread, the_upstream, &stage.resolver);
}

bool proxy_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, 0) > 0;
}

static void wakes(struct ev_loop *ev, ev_timer *timer, int events)
{
	(void)ev;
	(void)timer;
	(void)events;
}

static void turn(int fd, unsigned ms)
{
	ev_timer timer;
	ev_timer_init(&timer, wakes, 0.002, 0.002);
	ev_timer_start(loop.ev, &timer);
	ev_tstamp end = ev_time() + ms / 1000.0;
	while ((fd < 0 || !proxy_readable(fd)) && ev_time() < end)
		ev_run(loop.ev, EVRUN_ONCE);
	ev_timer_stop(loop.ev, &timer);
}

void proxy_turn(unsigned ms)
{
	turn(-1, ms);
}

bool proxy_turn_until(int fd, unsigned ms)
{
	turn(fd, ms);
	return proxy_readable(fd);
}

void proxy_write(int fd, const char *text)
{
	size_t length = strlen(text);
	assert_int_equal(send(fd, text, length, MSG_NOSIGNAL), (ssize_t)length);
}

char *proxy_read(int fd, const char *end)
{
	static char text[TEXT];
	size_t length = 0, wanted = end ? strlen(end) : 0;
	for (;;) {
		text[length] = 0;
		if (end && length >= wanted && strcmp(text + length - wanted, end) == 0)
			return text;
		if (!proxy_turn_until(fd, WAIT_MS))
			fail_msg("nothing more came behind: %s", text);
		ssize_t n = recv(fd, text + length, sizeof text - 1 - length, 0);
		if (n <= 0) {
			if (end)
				fail_msg("the end came behind: %s", text);
			return text;
		}
		length += (size_t)n;
	}
}

int proxy_accept(int which)
{
	assert_true(proxy_turn_until(stage.listening[which], WAIT_MS));
	int fd = accept4(stage.listening[which], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

void proxy_assert_closed(int fd)
{
	char octet;
	assert_true(proxy_turn_until(fd, WAIT_MS));
	assert_true(recv(fd, &octet, 1, 0) <= 0);
	close(fd);
}

void proxy_assert_open(int fd)
{
	char octet;
	proxy_turn_until(fd, 20);
	assert_int_equal(recv(fd, &octet, 1, MSG_PEEK), -1);
	assert_int_equal(errno, EAGAIN);
}

const char *proxy_undated(char *text)
{
	char *date = strstr(text, "Date: ");
	assert_non_null(date);
	memmove(date, date + 37, strlen(date + 37) + 1);
	assert_null(strstr(text, "Date: "));
	return text;
}

int proxy_used_connection(void)
{
	proxy_write(stage.client, GET);
	int server = proxy_accept(0);
	proxy_read(server, "\r\n\r\n");
	proxy_write(server, OK);
	proxy_read(stage.client, "ok");
	return server;
}
