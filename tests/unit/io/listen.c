/* SPDX-License-Identifier: BSD-2-Clause */
/* Listening sockets: bound once for all, shared by threads, and what happens when descriptors run out. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/listen.h"
#include "io/watch.h"
#include "io_test.h"

static struct loop loop;

static struct listener_settings loopback(void)
{
	struct listener_settings settings = {.text = SLICE("127.0.0.1:0")};
	settings.address.length = sizeof(settings.address.v4);
	settings.address.v4.sin_family = AF_INET;
	settings.address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return settings;
}

static int client_of(const struct address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, &address->any, address->length), 0);
	/* Deferred accepting waits for the first bytes. */
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
	return fd;
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);
	assert_int_equal(getsockopt(fd, level, name, &value, &size), 0);
	return value;
}

static void binds_several_to_one_port(void **state)
{
	(void)state;
	struct listener_settings settings = loopback();
	int fds[3];
	assert_int_equal(listen_bind(&settings, fds, 3), 0);
	struct address first, address;
	assert_int_equal(listen_address(fds[0], &first), 0);
	assert_true(first.v4.sin_port != 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(listen_address(fds[i], &address), 0);
		assert_int_equal(address.v4.sin_port, first.v4.sin_port);
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
		assert_true(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
		assert_int_equal(option(fds[i], IPPROTO_TCP, TCP_NODELAY), 1);
		assert_int_equal(option(fds[i], SOL_SOCKET, SO_ACCEPTCONN), 0); /* not yet */
		assert_int_equal(listen_start(fds[i]), 0);
		assert_true(option(fds[i], IPPROTO_TCP, TCP_DEFER_ACCEPT) > 0);
	}
	/* Each gets connections: the port is really shared. */
	bool served[3] = {false};
	int clients[200];
	for (int i = 0; i < 200; i++)
		clients[i] = client_of(&first);
	for (int i = 0; i < 200; i++)
		close(clients[i]);
	for (int i = 0; i < 3; i++) {
		int fd = accept4(fds[i], NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			served[i] = true;
			assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
			close(fd);
		}
	}
	assert_true(served[0] && served[1] && served[2]);

	/* DESIGN 4, Sockets: two instances must not share a port in silence. */
	struct listener_settings again = settings;
	again.address = first;
	int other[2];
	assert_int_equal(listen_bind(&again, other, 2), -1);
	assert_int_equal(errno, EADDRINUSE);
	assert_int_equal(other[0], -1);
	assert_int_equal(other[1], -1);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	/* And a port whose connections are in TIME_WAIT can be had again. */
	assert_int_equal(listen_bind(&again, other, 1), 0);
	close(other[0]);
}

static void wildcard_takes_both_families(void **state)
{
	(void)state;
	struct listener_settings settings = {.wildcard = true, .text = SLICE(":0")};
	settings.address.length = sizeof(settings.address.v6);
	settings.address.v6.sin6_family = AF_INET6;
	int fd;
	assert_int_equal(listen_bind(&settings, &fd, 1), 0);
	assert_int_equal(listen_start(fd), 0);
	struct address address;
	assert_int_equal(listen_address(fd, &address), 0);
	struct address v4 = loopback().address;
	v4.v4.sin_port =
		address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port;
	int client = client_of(&v4), accepted;
	struct address peer;
	while ((accepted = listen_accept(fd, &peer)) < 0)
		assert_int_equal(errno, EAGAIN);
	/* An IPv4 client looks the same on both kinds of socket. */
	assert_int_equal(peer.any.sa_family, AF_INET);
	assert_int_equal(peer.v4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	close(accepted);
	close(client);
	close(fd);
	/* One that is not the wildcard leaves IPv4 to others. */
	settings.wildcard = false;
	if (address.any.sa_family == AF_INET6) {
		settings.address = address;
		assert_int_equal(listen_bind(&settings, &fd, 1), 0);
		assert_int_equal(option(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
		struct listener_settings beside = {.address = v4, .text = SLICE("127.0.0.1")};
		int other;
		assert_int_equal(listen_bind(&beside, &other, 1), 0);
		close(other);
		close(fd);
	}
}

static const char *precious; /* a file that no change of mode may reach */

/* In place of the library's: somebody who owns the folder is quicker and puts a link where the socket was. */
int chmod(const char *path, mode_t mode)
{
	if (precious) {
		unlink(path);
		assert_int_equal(symlink(precious, path), 0);
	}
	return fchmodat(AT_FDCWD, path, mode, 0);
}

static struct listener_settings unix_socket_in(const char *folder)
{
	struct listener_settings settings = {.text = SLICE("unix")};
	settings.address.local.sun_family = AF_UNIX;
	snprintf(settings.address.local.sun_path, sizeof(settings.address.local.sun_path), "%s/s",
		folder);
	settings.address.length = sizeof(settings.address.local);
	return settings;
}

/* The socket is root's, the folder need not be. */
static void unix_socket_is_open_to_all_at_once(void **state)
{
	(void)state;
	const char *folder = new_folder();
	struct listener_settings settings = unix_socket_in(folder);
	char path[128];
	snprintf(path, sizeof(path), "%s/precious", folder);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	precious = path;
	mode_t mask = umask(0077);
	int fd;
	assert_int_equal(listen_bind(&settings, &fd, 1), 0);
	assert_int_equal(umask(mask), 0077);
	precious = NULL;
	struct stat info;
	assert_int_equal(lstat(settings.address.local.sun_path, &info), 0);
	assert_int_equal(info.st_mode, S_IFSOCK | 0666);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	close(fd);
	remove_folder(folder);
}

static void unix_socket_replaces_a_stale_one(void **state)
{
	(void)state;
	const char *folder = new_folder();
	struct listener_settings settings = unix_socket_in(folder);
	int fds[2], other[2];
	assert_int_equal(listen_bind(&settings, fds, 2), 0);
	assert_int_equal(fds[1], -1);
	assert_int_equal(listen_start(fds[0]), 0);
	struct stat info;
	assert_int_equal(stat(settings.address.local.sun_path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0666);
	/* In use: it stays its owner's. */
	assert_int_equal(listen_bind(&settings, other, 1), -1);
	assert_int_equal(errno, EADDRINUSE);
	close(fds[0]);
	/* Its owner died. */
	assert_int_equal(listen_bind(&settings, fds, 1), 0);
	assert_int_equal(listen_start(fds[0]), 0);
	close(client_of(&settings.address));
	close(fds[0]);
	/* What is no socket is never removed. */
	unlink(settings.address.local.sun_path);
	int file = open(settings.address.local.sun_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(file);
	assert_int_equal(listen_bind(&settings, fds, 1), -1);
	assert_int_equal(errno, EADDRINUSE);
	assert_int_equal(access(settings.address.local.sun_path, F_OK), 0);
	remove_folder(folder);
}

struct accepted {
	unsigned count;
	unsigned stop_at;   /* ends the loop */
	unsigned refuse_at; /* says "no more just now" */
	unsigned largest_turn;
	unsigned in_turn;
	struct address peer;
	int fds[400];
};

static bool on_accept(struct listener *l, int fd, const struct address *peer, void *context)
{
	struct accepted *accepted = context;
	(void)l;
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	accepted->peer = *peer;
	accepted->fds[accepted->count++] = fd;
	if (++accepted->in_turn > accepted->largest_turn)
		accepted->largest_turn = accepted->in_turn;
	if (accepted->count == accepted->stop_at)
		loop_stop(&loop);
	return accepted->count != accepted->refuse_at;
}

static struct accepted *of_turn;

static void on_turn(struct ev_loop *ev, ev_prepare *prepare, int events)
{
	(void)ev, (void)prepare, (void)events;
	of_turn->in_turn = 0;
}

static void start_listening(struct listener_settings *settings, int *fd, struct address *address)
{
	*settings = loopback();
	assert_int_equal(listen_bind(settings, fd, 1), 0);
	assert_int_equal(listen_start(*fd), 0);
	assert_int_equal(listen_address(*fd, address), 0);
}

static void close_all(struct accepted *accepted)
{
	for (unsigned i = 0; i < accepted->count; i++)
		close(accepted->fds[i]);
}

static void accepts_in_bursts(void **state)
{
	(void)state;
	struct listener_settings settings;
	struct address address;
	int fd, clients[150];
	start_listening(&settings, &fd, &address);
	for (int i = 0; i < 150; i++)
		clients[i] = client_of(&address);
	static struct accepted accepted;
	accepted.stop_at = 150;
	of_turn = &accepted;
	ev_prepare turn;
	ev_prepare_init(&turn, on_turn);
	ev_prepare_start(loop.ev, &turn);
	struct listener listener;
	listener_start(&listener, &loop, fd, &settings, on_accept, &accepted);
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(accepted.count, 150);
	assert_true(accepted.largest_turn <= 64);
	assert_int_equal(accepted.peer.any.sa_family, AF_INET);
	ev_prepare_stop(loop.ev, &turn);
	listener_stop(&listener, true);
	listener_stop(&listener, true);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	close_all(&accepted);
	for (int i = 0; i < 150; i++)
		close(clients[i]);
}

/* "No more just now": the connection is taken, the next one comes after a pause. */
static void pauses_at_a_limit(void **state)
{
	(void)state;
	struct listener_settings settings;
	struct address address;
	int fd;
	start_listening(&settings, &fd, &address);
	int first = client_of(&address), second = client_of(&address);
	static struct accepted accepted;
	accepted = (struct accepted){.stop_at = 2, .refuse_at = 1};
	struct listener listener;
	listener_start(&listener, &loop, fd, &settings, on_accept, &accepted);
	double begun = ev_time();
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(accepted.count, 2);
	assert_true(ev_time() - begun > 0.09);
	listener_stop(&listener, true);
	close_all(&accepted);
	close(first);
	close(second);
}

static void stop_after_a_while(struct ev_loop *ev, ev_timer *timer, int events)
{
	(void)timer, (void)events;
	ev_break(ev, EVBREAK_ALL);
}

/* CASES, Machine: out of descriptors. Clients are closed rather than left, the loop does not spin, and all goes on later. */
static void out_of_descriptors(void **state)
{
	(void)state;
	struct listener_settings settings;
	struct address address;
	int fd;
	start_listening(&settings, &fd, &address);
	int clients[3];
	for (int i = 0; i < 3; i++)
		clients[i] = client_of(&address);
	static struct accepted accepted;
	accepted = (struct accepted){.stop_at = 1};
	struct listener listener;
	listener_start(&listener, &loop, fd, &settings, on_accept, &accepted);
	ev_timer timer;
	ev_timer_init(&timer, stop_after_a_while, 0.15, 0.);
	ev_now_update(loop.ev);
	ev_timer_start(loop.ev, &timer);

	struct rlimit before, low;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	int next = dup(fd); /* the first that is free */
	close(next);
	low = (struct rlimit){(rlim_t)next, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	unsigned turns = ev_iteration(loop.ev);
	int ran = run_loop(&loop);
	turns = ev_iteration(loop.ev) - turns;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(ran, 0);
	assert_int_equal(accepted.count, 0);
	assert_true(turns < 10);
	char byte;
	assert_true(recv(clients[0], &byte, 1, 0) <=
		    0); /* closed, and by a reset since its byte was not read */
	assert_true(listener.spare >= 0);

	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(accepted.count, 1);
	listener_stop(&listener, true);
	close_all(&accepted);
	for (int i = 0; i < 3; i++)
		close(clients[i]);
}

static struct listener stopped;

static bool stops_itself(struct listener *l, int fd, const struct address *peer, void *context)
{
	(void)peer, (void)context;
	close(fd);
	listener_stop(l, false);
	loop_stop(&loop);
	return false;
}

/* The descriptor stays the supervisor's: what waits in its queue is not lost. */
static void stopped_listener_loses_nothing(void **state)
{
	(void)state;
	struct listener_settings settings;
	struct address address;
	int fd;
	start_listening(&settings, &fd, &address);
	int first = client_of(&address), second = client_of(&address);
	listener_start(&stopped, &loop, fd, &settings, stops_itself, NULL);
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(stopped.fd, fd);
	struct address peer;
	int waiting = listen_accept(stopped.fd, &peer);
	assert_true(waiting >= 0);
	close(waiting);
	close(first);
	close(second);
	close(fd);
}

static struct {
	struct watch *watch;
	struct watched *folder;
	struct address address;
	const char *path;
	uint32_t before, seen;
	int client;
	unsigned count;
} younger;

static bool changes_and_connects(
	struct listener *l, int fd, const struct address *peer, void *context)
{
	(void)l, (void)peer, (void)context;
	close(fd);
	if (younger.count++ == 0) {
		younger.before = watch_generation(younger.watch, younger.folder);
		char path[128];
		snprintf(path, sizeof(path), "%s/file", younger.path);
		int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		close(file);
		younger.client = client_of(&younger.address);
		return true;
	}
	younger.seen = watch_generation(younger.watch, younger.folder);
	loop_stop(&loop);
	return true;
}

/* DESIGN 3: changed on disk, the next request sees it; also one that comes while the loop is busy accepting. */
static void connection_younger_than_a_change(void **state)
{
	(void)state;
	struct listener_settings settings;
	int fd;
	start_listening(&settings, &fd, &younger.address);
	int first = client_of(&younger.address);
	younger.path = new_folder();
	younger.watch = watch_new();
	watch_attach(younger.watch, &loop);
	younger.folder = watch_directory(younger.watch, NULL, younger.path);
	struct listener listener;
	listener_start(&listener, &loop, fd, &settings, changes_and_connects, NULL);
	assert_int_equal(run_loop(&loop), 0);
	assert_true(younger.before != 0);
	assert_int_not_equal(younger.seen, younger.before);
	listener_stop(&listener, true);
	watch_detach(younger.watch, &loop);
	watch_release(younger.watch, younger.folder);
	watch_free(younger.watch);
	remove_folder(younger.path);
	close(first);
	close(younger.client);
}

int main(void)
{
	check(loop_init(&loop, 0) == 0);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(binds_several_to_one_port),
		cmocka_unit_test(wildcard_takes_both_families),
		cmocka_unit_test(unix_socket_is_open_to_all_at_once),
		cmocka_unit_test(unix_socket_replaces_a_stale_one),
		cmocka_unit_test(accepts_in_bursts),
		cmocka_unit_test(pauses_at_a_limit),
		cmocka_unit_test(out_of_descriptors),
		cmocka_unit_test(stopped_listener_loses_nothing),
		cmocka_unit_test(connection_younger_than_a_change),
	};
	int result = cmocka_run_group_tests(tests, NULL, NULL);
	loop_done(&loop);
	return result;
}
