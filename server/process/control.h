/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket: how commands find the running weir, and how it answers them. */
#ifndef WEIR_PROCESS_CONTROL_H
#define WEIR_PROCESS_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define CONTROL_CLIENTS_MAX 16
#define CONTROL_PATH_MAX    108 /* what a Unix socket's address holds, with the NUL */

struct supervisor;

struct control_client {
	int fd;            /* -1: free */
	unsigned reload;   /* the number of the reload that it waits for; 0: none */
	uint64_t deadline; /* ms, until it has asked; 0: it has */
};

/* The supervisor's side. */
struct control {
	int listener; /* -1: none */
	int lock; /* locked while this supervisor lives: decides who of two is the running one */
	char path[CONTROL_PATH_MAX];
	unsigned reload; /* the number of the reload under way, or of the last one */
	struct control_client clients[CONTROL_CLIENTS_MAX];
};

/* The socket's path for a configuration file (its absolute path), its contents are not looked at. 0, or -1: too long. */
int control_path(const char *file, char to[CONTROL_PATH_MAX]);
/* The absolute path of a file, without dot segments and without following links, so that it does not depend on what the disk
 * holds. NULL when the working folder is not known; free(). */
char *control_absolute(const char *file);

/* Binds it. 0, or -1 after a message: another weir runs with this configuration, no right to. */
int control_open(struct control *control, const char *file);
/* Removes the sockets of those that were killed, whatever configuration they had, with their locks: a folder on a disk would fill with them. What
 * somebody holds or listens at stays, and so does what has no name of ours. */
void control_sweep(const struct control *control);
/* Takes a client, if it may speak: root, or the same account, but none of the supervisor's workers. */
void control_accept(struct supervisor *s);
/* Hears what a client asks. */
void control_hear(struct supervisor *s, struct control_client *client);
void control_drop(struct control_client *client);
/* A reload has ended: those that waited for it are told. */
void control_reloaded(struct control *control, bool good, struct slice said);
/* Those that wait for a reload are told that nothing comes of it. */
void control_stopping(struct control *control);
/* Removes the socket, before the supervisor ends. */
void control_close(struct control *control);

#endif
