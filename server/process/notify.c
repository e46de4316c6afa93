/* SPDX-License-Identifier: BSD-2-Clause */
/* One datagram a message to the socket that $NOTIFY_SOCKET names. */
#include "process/notify.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void notify_open(struct notify *notify)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length = path ? strlen(path) : 0;
	*notify = (struct notify){.fd = -1};
	if (length > 1 && length < sizeof(notify->address.sun_path) &&
		(path[0] == '/' || path[0] == '@')) {
		notify->address.sun_family = AF_UNIX;
		memcpy(notify->address.sun_path, path, length);
		if (path[0] == '@')
			notify->address.sun_path[0] = 0;
		notify->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
		notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	}
	unsetenv("NOTIFY_SOCKET");
}

void notify_send(const struct notify *notify, const char *format, ...)
{
	char text[1024];
	if (notify->fd < 0)
		return;
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	if ((size_t)length >= sizeof(text))
		length = (int)sizeof(text) - 1;
	if (sendto(notify->fd, text, (size_t)length, MSG_NOSIGNAL,
		    (const struct sockaddr *)&notify->address, notify->length) < 0) {
		/* whoever listened is gone: serving goes on */
	}
}

void notify_reloading(const struct notify *notify)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	notify_send(notify, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading\n",
		(unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
}
