/* SPDX-License-Identifier: BSD-2-Clause */
/* The sockets of a starting worker: those that the supervisor holds, and new ones for addresses that it does not know. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "process/port_owner.h"
#include "process/sockets.h"
#include "process/worker_priv.h"

#define SERVING_MAX 512 /* octets of addresses in a message; what is beyond is only counted */

/* The supervisor's name for an address: a wildcard is another socket than the same address written out. */
static void kept_text(const struct listener_settings *settings, char to[128])
{
	size_t length = address_text(&settings->address, to);
	if (settings->wildcard && slice_starts((struct slice){to, length}, SLICE("[::]")))
		memmove(to, to + strlen("[::]"), length - strlen("[::]") + 1);
}

static void add(
	struct worker *w, const struct listener_settings *settings, const char *text, int fd)
{
	struct crew *crew = &w->crew;
	crew->listening = must_realloc(
		crew->listening, sizeof(struct listening) * (crew->listening_count + 1));
	struct listening *socket = &crew->listening[crew->listening_count++];
	*socket = (struct listening){.settings = settings, .fd = fd};
	memcpy(socket->text, text, sizeof(socket->text));
}

/* Returns how many the supervisor had, or -1. */
static int inherit(struct worker *w, const struct listener_settings *settings, const char *text)
{
	struct channel_count more;
	int had = 0;
	if (worker_send(w, CHANNEL_WANT_SOCKETS, NULL, 0, text, NULL, 0))
		return -1;
	do {
		if (worker_answer(w, CHANNEL_SOCKETS) ||
			channel_head(&w->message, &more, sizeof(more)))
			return -1;
		for (unsigned i = 0; i < w->message.fd_count; i++, had++)
			add(w, settings, text, channel_take(&w->message, i));
	} while (more.count > 0);
	return had;
}

/* What stands in the way of a Unix socket. */
static void explain_local(const char *path, int error)
{
	struct stat st;
	if (error == EADDRINUSE && lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		log_error("cannot listen on unix:%s: a %s stands there", path,
			S_ISDIR(st.st_mode) ? "folder" : "file that is no socket");
	else
		log_error("cannot listen on unix:%s: %s", path,
			error == EADDRINUSE ? "address already in use" : strerror(error));
}

static void explain(const struct listener_settings *settings)
{
	int error = errno;
	char text[128], owner[128] = "";
	if (settings->address.any.sa_family == AF_UNIX) {
		explain_local(settings->address.local.sun_path, error);
		return;
	}
	address_text(&settings->address, text);
	const char *shown = settings->wildcard ? strrchr(text, ':') : text;
	switch (error) {
	case EADDRINUSE:
		port_owner(&settings->address, owner, sizeof(owner));
		log_error("cannot listen on %s: address already in use%s%s", shown,
			owner[0] ? " by " : "", owner);
		break;
	case EACCES:
	case EPERM:
		log_error(
			"cannot listen on %s: permission denied; ports below 1024 are root's, or need "
			"CAP_NET_BIND_SERVICE",
			shown);
		break;
	case EADDRNOTAVAIL:
		log_error("cannot listen on %s: no interface of this machine has that address",
			shown);
		break;
	default:
		log_error("cannot listen on %s: %s", shown, strerror(error));
	}
}

/* From 127.0.0.1:80 to :80, or back: what is in the way is the address that this configuration leaves, and nobody else's. errno as it
 * was where it is not so. */
static int bind_beside(const struct listener_settings *settings, int *fds, unsigned count)
{
	int error = errno;
	if (error == EADDRINUSE && port_is_held_by(&settings->address, getppid()) &&
		listen_bind_beside(settings, fds, count) == 0)
		return 0;
	errno = error;
	return -1;
}

/* As many as threads or CPUs, whichever are more, so that a later worker may have more threads. */
static int bind_new(struct worker *w, const struct listener_settings *settings, const char *text)
{
	int fds[SOCKETS_EACH_MAX];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned count = w->crew.count;
	if (cpus > 0 && (unsigned long)cpus > count)
		count = cpus < THREADS_MAX ? (unsigned)cpus : THREADS_MAX;
	if (listen_bind(settings, fds, count) && bind_beside(settings, fds, count)) {
		explain(settings);
		return -1;
	}
	if (settings->address.any.sa_family == AF_UNIX)
		count = 1;
	for (unsigned i = 0; i < count; i++)
		add(w, settings, text, fds[i]);
	for (unsigned sent = 0; sent < count; sent += CHANNEL_FDS_MAX) {
		unsigned part = count - sent < CHANNEL_FDS_MAX ? count - sent : CHANNEL_FDS_MAX;
		if (worker_send(w, CHANNEL_KEEP_SOCKETS, NULL, 0, text, fds + sent, part))
			return -1;
	}
	return 0;
}

/* Somebody has removed the file of a Unix socket: what was inherited is open, but nobody finds it any more. */
static bool is_out_of_reach(const struct listener_settings *settings)
{
	struct stat st;
	return settings->address.any.sa_family == AF_UNIX &&
	       lstat(settings->address.local.sun_path, &st) && errno == ENOENT;
}

int worker_sockets(struct worker *w)
{
	int result = 0;
	for (size_t i = 0; i < w->snapshot->listener_count; i++) {
		const struct listener_settings *settings = &w->snapshot->listeners[i];
		char text[128] = "";
		kept_text(settings, text);
		int had = inherit(w, settings, text);
		if (had < 0)
			return -1;
		if ((had == 0 || is_out_of_reach(settings)) && bind_new(w, settings, text))
			result = -1;
	}
	return result;
}

int worker_listen(struct worker *w)
{
	for (unsigned i = 0; i < w->crew.listening_count; i++) {
		if (listen_start(w->crew.listening[i].fd)) {
			explain(w->crew.listening[i].settings);
			return -1;
		}
	}
	return 0;
}

void worker_serving(const struct worker *w, struct buffer *to)
{
	unsigned left_out = 0;
	for (unsigned i = 0; i < w->crew.listening_count; i++) {
		const struct listening *socket = &w->crew.listening[i];
		struct address address;
		char text[128];
		if (i > 0 && socket->settings == w->crew.listening[i - 1].settings)
			continue;
		if (to->len > SERVING_MAX || listen_address(socket->fd, &address)) {
			left_out++;
			continue;
		}
		address_text(&address, text);
		buffer_format(to, "%s%s://%s", to->len > 0 ? " " : "",
			socket->settings->scheme == SCHEME_HTTPS ? "https" : "http",
			socket->settings->wildcard ? strrchr(text, ':') : text);
	}
	if (left_out > 0)
		buffer_format(to, " and %u more", left_out);
}
