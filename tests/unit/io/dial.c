/* SPDX-License-Identifier: BSD-2-Clause */
/* Connecting: success, refusal, time-out, cancelling; always told from the loop. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "io/dial.h"
#include "io_test.h"

static struct loop loop;
static bool starting;
static int got_fd, got_error;
static unsigned told;

static void on_done(struct dial *dial, int fd, int error)
{
	assert_false(starting);
	told++;
	got_fd = fd;
	got_error = error;
	memset(dial, 0xff, sizeof(*dial)); /* the caller may free it here */
	loop_stop(&loop);
}

static void run_dial(const struct address *to, uint64_t timeout_ms)
{
	struct dial dial;
	told = 0;
	starting = true;
	dial_start(&dial, &loop, to, timeout_ms, on_done);
	starting = false;
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(told, 1);
}

/* A socket on the loopback address that listens, or only keeps the port. */
static int loopback(struct address *address, bool listening, int backlog)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memset(address, 0, sizeof(*address));
	address->v4.sin_family = AF_INET;
	address->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address->length = sizeof(address->v4);
	assert_int_equal(bind(fd, &address->any, address->length), 0);
	assert_int_equal(getsockname(fd, &address->any, &address->length), 0);
	if (listening)
		assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static void connects(void **state)
{
	(void)state;
	struct address address;
	int listener = loopback(&address, true, 8);
	run_dial(&address, 5000);
	assert_int_equal(got_error, 0);
	assert_true(got_fd >= 0);
	int on = 0;
	socklen_t size = sizeof(on);
	assert_int_equal(getsockopt(got_fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
	assert_int_equal(on, 1);
	assert_true(fcntl(got_fd, F_GETFL) & O_NONBLOCK);
	int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	/* A transport closed with a reset shows as one. */
	struct transport transport;
	plain_init(&transport, got_fd, false);
	transport.ops->close(&transport, true);
	char byte;
	assert_int_equal(recv(peer, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(peer);
	close(listener);
}

static void refused(void **state)
{
	(void)state;
	struct address address;
	int keeper = loopback(&address, false, 0);
	run_dial(&address, 5000);
	assert_int_equal(got_fd, -1);
	assert_int_equal(got_error, ECONNREFUSED);
	close(keeper);
}

/* Known at once, and yet told later. */
static void missing_unix_socket(void **state)
{
	(void)state;
	struct address address = {.length = sizeof(address.local)};
	address.local.sun_family = AF_UNIX;
	snprintf(address.local.sun_path, sizeof(address.local.sun_path), "%s",
		"/nonexistent/socket");
	run_dial(&address, 5000);
	assert_int_equal(got_fd, -1);
	assert_int_equal(got_error, ENOENT);
}

/* A listener whose queue is full does not answer. */
static void times_out(void **state)
{
	(void)state;
	struct address address;
	int listener = loopback(&address, true, 0);
	int fill[8];
	for (int i = 0; i < 8; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(fill[i], &address.any, address.length);
	}
	double begun = ev_time();
	run_dial(&address, 120);
	assert_int_equal(got_fd, -1);
	assert_int_equal(got_error, ETIMEDOUT);
	assert_true(ev_time() - begun >= 0.1);
	for (int i = 0; i < 8; i++)
		close(fill[i]);
	close(listener);
}

static void stop(struct ev_loop *ev, ev_timer *timer, int events)
{
	(void)timer, (void)events;
	ev_break(ev, EVBREAK_ALL);
}

static void cancelled_dials_are_not_told(void **state)
{
	(void)state;
	struct address address, missing = {.length = sizeof(missing.local)};
	missing.local.sun_family = AF_UNIX;
	snprintf(missing.local.sun_path, sizeof(missing.local.sun_path), "%s",
		"/nonexistent/socket");
	int listener = loopback(&address, true, 8);
	struct dial first, second, never = {0};
	told = 0;
	dial_start(&first, &loop, &address, 10, on_done);
	dial_start(&second, &loop, &missing, 10, on_done);
	dial_cancel(&first);
	dial_cancel(&second);
	dial_cancel(&second);
	dial_cancel(&never);
	ev_timer timer;
	ev_timer_init(&timer, stop, 0.05, 0.);
	ev_timer_start(loop.ev, &timer);
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(told, 0);
	close(listener);
}

int main(void)
{
	check(loop_init(&loop, 0) == 0);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connects),
		cmocka_unit_test(refused),
		cmocka_unit_test(missing_unix_socket),
		cmocka_unit_test(times_out),
		cmocka_unit_test(cancelled_dials_are_not_told),
	};
	int result = cmocka_run_group_tests(tests, NULL, NULL);
	loop_done(&loop);
	return result;
}
