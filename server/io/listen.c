/* SPDX-License-Identifier: BSD-2-Clause */
/* Listening sockets, and accepting from them without starving anybody or spinning when descriptors run out. */
#include "io/listen.h"

#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "io/watch.h"

#define ACCEPT_BURST 64
#define ACCEPT_PAUSE 0.1 /* seconds */

/* The kernel wakes nobody for a connection without bytes until then. Such a client is accepted that much later and
 * its time for a head begins that much later, hence the least there is. */
#define DEFER_SECONDS 1

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

/* Closes descriptors after a failure; errno stays. */
static int give_up(int *fds, unsigned count)
{
	int saved = errno;
	for (unsigned i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
	errno = saved;
	return -1;
}

/* Whether nobody listens on a Unix socket's file any more. A queue that is full (EAGAIN) is somebody's. */
static bool is_stale(const struct address *address)
{
	struct stat info;
	if (lstat(address->local.sun_path, &info) < 0 || !S_ISSOCK(info.st_mode))
		return false;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	bool stale = connect(fd, &address->any, address->length) < 0 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

/* The file gets mode 0666 as it is made: changed afterwards by its name, it may be another's already. */
static int bind_open(int fd, const struct address *address)
{
	mode_t mask = umask(0111);
	int bound = bind(fd, &address->any, address->length);
	umask(mask);
	return bound;
}

static int bind_local(const struct address *address, int *fd)
{
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return -1;
	int bound = bind_open(*fd, address);
	if (bound < 0 && errno == EADDRINUSE) {
		if (!is_stale(address) || unlink(address->local.sun_path) < 0) {
			errno = EADDRINUSE;
			return give_up(fd, 1);
		}
		bound = bind_open(*fd, address);
	}
	return bound < 0 ? give_up(fd, 1) : 0;
}

/* A bound TCP socket, or -1. `both`: IPv6 takes IPv4 in as well. */
static int bind_tcp(const struct address *address, bool both, bool share)
{
	int family = address->any.sa_family;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	bool good = set(fd, SOL_SOCKET, SO_REUSEADDR, 1) == 0 &&
		    set(fd, IPPROTO_TCP, TCP_NODELAY, 1) == 0;
	if (good && family == AF_INET6)
		good = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, !both) == 0;
	if (good && share)
		good = set(fd, SOL_SOCKET, SO_REUSEPORT, 1) == 0;
	if (!good || bind(fd, &address->any, address->length) < 0)
		return give_up(&fd, 1);
	return fd;
}

static int bind_all(const struct listener_settings *settings, int *fds, unsigned count, bool beside)
{
	check(count > 0);
	for (unsigned i = 0; i < count; i++)
		fds[i] = -1;
	struct address address = settings->address;
	if (address.any.sa_family == AF_UNIX)
		return bind_local(&address, &fds[0]);

	fds[0] = bind_tcp(&address, settings->wildcard, beside);
	if (fds[0] < 0 && settings->wildcard && address.any.sa_family == AF_INET6 &&
		(errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
		struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = address.v6.sin6_port};
		address.v4 = any;
		address.length = sizeof(any);
		fds[0] = bind_tcp(&address, false, beside);
	}
	if (fds[0] < 0)
		return -1;
	/* Now that the port is ours alone it is opened to the others, without letting go of it in between. */
	if (set(fds[0], SOL_SOCKET, SO_REUSEPORT, 1) < 0 || listen_address(fds[0], &address) < 0)
		return give_up(fds, count);
	for (unsigned i = 1; i < count; i++) {
		fds[i] = bind_tcp(&address, settings->wildcard, true);
		if (fds[i] < 0)
			return give_up(fds, count);
	}
	return 0;
}

int listen_bind(const struct listener_settings *settings, int *fds, unsigned count)
{
	return bind_all(settings, fds, count, false);
}

int listen_bind_beside(const struct listener_settings *settings, int *fds, unsigned count)
{
	return bind_all(settings, fds, count, true);
}

int listen_start(int fd)
{
	struct address address;
	if (listen_address(fd, &address) < 0)
		return -1;
	if (address.any.sa_family != AF_UNIX &&
		set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, DEFER_SECONDS) < 0)
		return -1;
	return listen(fd, INT_MAX); /* the kernel cuts it down to net.core.somaxconn */
}

int listen_address(int fd, struct address *address)
{
	memset(address, 0, sizeof(*address));
	address->length = sizeof(struct sockaddr_un);
	return getsockname(fd, &address->any, &address->length);
}

static void pause_accepting(struct listener *l)
{
	if (!ev_is_active(&l->watch))
		return;
	ev_io_stop(l->loop->ev, &l->watch);
	ev_timer_set(&l->pause, ACCEPT_PAUSE, 0.);
	ev_timer_start(l->loop->ev, &l->pause);
}

static void on_pause_over(struct ev_loop *ev, ev_timer *timer, int events)
{
	(void)events;
	ev_io_start(ev, &container_of(timer, struct listener, pause)->watch);
}

/* Any descriptor will do that can be had without the file system, which the sandbox may have closed. */
static int open_spare(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* A client that cannot be served is closed, rather than left to wait for its own time-out. */
static void out_of_descriptors(struct listener *l, int error)
{
	struct log_scope scope = {.what = "listener"};
	log_at(&scope, LOG_LEVEL_ERROR, LOG_ACCEPT, "%.*s: cannot accept: %s",
		(int)l->settings->text.len, l->settings->text.len ? l->settings->text.ptr : "",
		strerror(error));
	if (l->spare >= 0) {
		close(l->spare);
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			close(fd);
	}
	l->spare = open_spare();
	pause_accepting(l);
}

/* An IPv4 client of a socket for both looks as one of a socket for IPv4. */
static void unmap(struct address *peer)
{
	if (peer->any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&peer->v6.sin6_addr))
		return;
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = peer->v6.sin6_port};
	memcpy(&v4.sin_addr, &peer->v6.sin6_addr.s6_addr[12], sizeof(v4.sin_addr));
	peer->v4 = v4;
	peer->length = sizeof(v4);
}

/* Whether accepting goes on at once after this error. */
static bool of_one_connection(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	/* What was wrong on the way of a new connection is reported by accept, says accept(2). */
	case ENETDOWN:
	case EPROTO:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
	case EPERM:
	case ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

int listen_accept(int fd, struct address *peer)
{
	peer->length = sizeof(struct sockaddr_un);
	int accepted = accept4(fd, &peer->any, &peer->length, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (accepted >= 0)
		unmap(peer);
	return accepted;
}

static void on_acceptable(struct ev_loop *ev, ev_io *watch, int events)
{
	(void)ev, (void)events;
	struct listener *l = container_of(watch, struct listener, watch);
	for (int i = 0; i < ACCEPT_BURST && ev_is_active(&l->watch); i++) {
		struct address peer;
		int fd = listen_accept(l->fd, &peer);
		if (fd < 0) {
			if (errno == EAGAIN || errno == EWOULDBLOCK)
				return;
			if (of_one_connection(errno))
				continue;
			out_of_descriptors(l, errno);
			return;
		}
		/* Only the first is known to have waited when the loop woke. A later one, or any that others might have
		 * taken, may be younger than a change of files that the loop has not heard of. */
		if (i > 0 || peer.any.sa_family == AF_UNIX)
			watch_drain(l->loop->watch);
		if (!l->accept(l, fd, &peer, l->context))
			pause_accepting(l);
	}
}

/* BBR paces by timers, one for what each call leaves behind. */
static bool is_paced(int fd)
{
	char name[16] = "";
	socklen_t length = sizeof(name);
	return getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length) == 0 &&
	       strncmp(name, "bbr", 3) == 0;
}

void listener_start(struct listener *l, struct loop *loop, int fd,
	const struct listener_settings *settings, listen_accept_fn *accept, void *context)
{
	memset(l, 0, sizeof(*l));
	l->loop = loop;
	l->settings = settings;
	l->accept = accept;
	l->context = context;
	l->fd = fd;
	l->paced = is_paced(fd);
	l->spare = open_spare();
	ev_timer_init(&l->pause, on_pause_over, ACCEPT_PAUSE, 0.);
	ev_io_init(&l->watch, on_acceptable, fd, EV_READ);
	ev_io_start(loop->ev, &l->watch);
}

void listener_stop(struct listener *l, bool close_fd)
{
	if (l->fd < 0)
		return;
	ev_io_stop(l->loop->ev, &l->watch);
	ev_timer_stop(l->loop->ev, &l->pause);
	if (l->spare >= 0)
		close(l->spare);
	l->spare = -1;
	if (!close_fd)
		return;
	close(l->fd);
	l->fd = -1;
}
