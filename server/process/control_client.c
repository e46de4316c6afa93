/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds the running weir by its configuration's path and speaks to it. */
#include "process/control_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "process/control.h"

static void explain(const char *file, const char *path)
{
	switch (errno) {
	case ENOENT:
	case ECONNREFUSED:
		fprintf(stderr, "weir: no weir runs with %s%s\n", file,
			geteuid() == 0 ? "" : " (for this account)");
		return;
	default:
		fprintf(stderr, "weir: %s: %s\n", path, strerror(errno));
	}
}

int control_ask(const char *file, enum channel_type question, pid_t *pid)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (control_path(file, address.sun_path)) {
		fprintf(stderr, "weir: the control socket's path is too long\n");
		return -1;
	}
	int control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (control < 0 || connect(control, (const struct sockaddr *)&address, sizeof(address)) ||
		channel_send(control, question, NULL, 0, NULL, 0, NULL, 0, true)) {
		explain(file, address.sun_path);
		if (control >= 0)
			close(control);
		return -1;
	}
	struct ucred peer;
	socklen_t length = sizeof(peer);
	if (pid && getsockopt(control, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0)
		*pid = peer.pid;
	return control;
}

int control_await(int control, struct channel_message *message, char *sentence, size_t size)
{
	struct channel_count code;
	int got;
	while ((got = channel_receive(control, message, true)) == 1) {
		if (message->type == CONTROL_TEXT) {
			fwrite(message->payload, 1, message->length, stderr);
		} else if (message->type == CONTROL_DONE &&
			   channel_head(message, &code, sizeof(code)) == 0) {
			snprintf(sentence, size, "%s", message->payload + sizeof(code));
			return (int)code.count;
		}
		channel_drop(message);
	}
	snprintf(sentence, size, "%s",
		got < 0 && errno == EPROTONOSUPPORT
			? "weir of another version is running: restart it"
			: "the running weir ended without an answer");
	return 1;
}
