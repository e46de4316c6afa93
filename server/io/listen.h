/* SPDX-License-Identifier: BSD-2-Clause */
/* Listening sockets: made once, kept by the supervisor, dealt to the threads. */
#ifndef WEIR_IO_LISTEN_H
#define WEIR_IO_LISTEN_H

#include <stdbool.h>

#include "io/loop.h"
#include "settings/snapshot.h"

/* Binds `count` sockets to an address: the first without SO_REUSEPORT to find out whether somebody else has it, then all
 * with it (Unix sockets: one, a stale file is removed, mode 0666). Not yet listening. TCP_NODELAY is set on them, inherited by what they accept.
 * With a Unix socket the umask of the process is another for a moment: only before there are threads.
 * Descriptors at fds, close-on-exec and non-blocking; with a Unix socket all but the first are -1. 0, or -1 with errno. */
int listen_bind(const struct listener_settings *settings, int *fds, unsigned count);
/* Likewise where all sockets of the port are known to be ours: beside those of other addresses of it. */
int listen_bind_beside(const struct listener_settings *settings, int *fds, unsigned count);
/* listen() with the system's longest queue, TCP_DEFER_ACCEPT on TCP: a client that says nothing is accepted a second later.
 * 0, or -1 with errno. */
int listen_start(int fd);
/* The address a socket is bound to (after port 0). 0 or -1. */
int listen_address(int fd, struct address *address);
/* Takes one connection, close-on-exec and non-blocking; an IPv4 client's address is one of IPv4 on sockets for both as well.
 * Returns its descriptor, or -1 with errno. */
int listen_accept(int fd, struct address *peer);

struct listener;
/* Takes a connected, non-blocking socket over, in any case. Returns false when it wants no more just now (a limit): accepting
 * pauses for 100 ms. `peer` of an IPv4 client is an IPv4 address on sockets for both as well. May call listener_stop. */
typedef bool listen_accept_fn(
	struct listener *listener, int fd, const struct address *peer, void *context);

/* A socket that one loop accepts from: bursts of at most 64 a turn; out of descriptors, one connection at a time is taken on a spare one and
 * closed, then a pause of 100 ms. */
struct listener {
	ev_io watch;
	ev_timer pause;
	struct loop *loop;
	const struct listener_settings *settings;
	listen_accept_fn *accept;
	void *context;
	int fd;
	bool paced; /* its connections' congestion control paces what is sent: see TRANSPORT_PACED */
	int spare;  /* given up for a moment when descriptors run out */
};

void listener_start(struct listener *l, struct loop *loop, int fd,
	const struct listener_settings *settings, listen_accept_fn *accept, void *context);
/* Accepts no more; the descriptor stays open (the supervisor has it as well) unless close_fd, and known in l->fd.
 * May be called again. */
void listener_stop(struct listener *l, bool close_fd);

#endif
