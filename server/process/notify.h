/* SPDX-License-Identifier: BSD-2-Clause */
/* What the service manager is told: the protocol of sd_notify(3), by hand. */
#ifndef WEIR_PROCESS_NOTIFY_H
#define WEIR_PROCESS_NOTIFY_H

#include <sys/socket.h>
#include <sys/un.h>

/* Nobody listens when length is 0. */
struct notify {
	struct sockaddr_un address;
	socklen_t length;
	int fd;
};

/* Reads NOTIFY_SOCKET and takes it out of the environment, so that no child speaks for the supervisor. */
void notify_open(struct notify *notify);
/* Sends one message of lines "NAME=value\n"; what cannot be sent is not sent. */
void notify_send(const struct notify *notify, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Likewise RELOADING=1 with the time that the protocol asks for. */
void notify_reloading(const struct notify *notify);

#endif
