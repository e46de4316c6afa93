/* SPDX-License-Identifier: BSD-2-Clause */
/* A real supervisor whose workers are puppets: each gives its channel to the test and waits, and the test plays its part, message by
 * message. So what happens at which moment is for the test to say. A program of such tests begins with puppet_main. */
#ifndef WEIR_TESTS_PUPPETS_H
#define WEIR_TESTS_PUPPETS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "process/channel.h"
#include "process/control_client.h"
#include "process/supervisor.h"

#define PUPPETS_MAX 64
#define PUPPET_MS   15000

/* One worker. */
struct puppet {
	pid_t pid;
	int wire;    /* to the process, which ends when it is closed */
	int channel; /* the worker's end of the supervisor's channel */
	enum start_kind kind;
	unsigned place;
};

/* The supervisor of one test. */
struct show {
	char folder[64];
	char file[96]; /* of the configuration, which is never read */
	pid_t supervisor;
	int door; /* where puppets come in */
	int log;
	struct puppet puppets[PUPPETS_MAX];
	unsigned count;
};

static struct show show;
static struct channel_message puppet_message;

/* --- In the puppet's process. --- */

static inline struct sockaddr_un puppet_address(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%.107s", path);
	return address;
}

static inline int puppet_connect(const char *path)
{
	struct sockaddr_un address = puppet_address(path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Asks at a control socket as a command would; 1: it was answered, 0: it was closed, -1: no connection. */
static inline int puppet_ask(const char *path)
{
	int fd = puppet_connect(path);
	if (fd < 0)
		return -1;
	channel_send(fd, CONTROL_STATUS, NULL, 0, NULL, 0, NULL, 0, true);
	return channel_receive(fd, &puppet_message, true);
}

/* Is told paths of control sockets to ask at, and tells what came of it. */
static inline int puppet_run(void)
{
	int channel = WORKER_CHANNEL;
	const char *door = getenv("WEIR_TEST_DOOR");
	int wire = door ? puppet_connect(door) : -1;
	if (wire < 0 || channel_send(wire, CHANNEL_FILE, NULL, 0, NULL, 0, &channel, 1, true))
		return 1;
	close(channel);
	while (channel_receive(wire, &puppet_message, true) == 1) {
		int answered = puppet_ask(puppet_message.payload);
		channel_send(
			wire, CHANNEL_FILE, &answered, sizeof(answered), NULL, 0, NULL, 0, true);
	}
	return 0;
}

/* The main of a test: as a worker or a helper it is a puppet. */
static inline void puppet_main(int argc, char **argv)
{
	static const char *const parts[] = {"worker", "signer", "acme"};
	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		if (argc > 1 && strcmp(argv[1], parts[i]) == 0)
			_exit(puppet_run());
	}
}

/* --- The supervisor. --- */

/* Starts it. `text`: as `weir serve` does, otherwise with a file and a control socket. */
static inline void show_begin(bool text)
{
	show = (struct show){.folder = "/tmp/weir-puppets-XXXXXX"};
	char door[96];
	assert_non_null(mkdtemp(show.folder));
	snprintf(show.file, sizeof(show.file), "%s/weir.yaml", show.folder);
	snprintf(door, sizeof(door), "%s/door", show.folder);
	struct sockaddr_un address = puppet_address(door);
	show.door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(show.door, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(show.door, PUPPETS_MAX), 0);
	setenv("WEIR_TEST_DOOR", door, 1);
	setenv("XDG_RUNTIME_DIR", show.folder, 1);
	show.log = memfd_create("log", MFD_CLOEXEC);
	show.supervisor = fork();
	if (show.supervisor == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fcntl(show.log, F_SETFL, O_APPEND);
		dup2(show.log, STDERR_FILENO);
		struct supervisor_options options = {
			.file = show.file, .unprivileged = true, .control = !text};
		if (text) {
			options.text = (struct slice){"text", 4};
			options.folder = "/";
		}
		_exit(supervisor_run(&options));
	}
	assert_true(show.supervisor > 0);
}

/* Whether something is there to be read within the time. */
static inline bool show_await(int fd, int ms)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};
	return poll(&one, 1, ms) == 1;
}

/* The next process that the supervisor starts, whose first message, of this type, is in puppet_message. */
static inline struct puppet *show_process(enum channel_type hello)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);
	assert_true(show.count < PUPPETS_MAX && show_await(show.door, PUPPET_MS));
	struct puppet *puppet = &show.puppets[show.count++];
	puppet->wire = accept4(show.door, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(getsockopt(puppet->wire, SOL_SOCKET, SO_PEERCRED, &peer, &length), 0);
	puppet->pid = peer.pid;
	assert_int_equal(channel_receive(puppet->wire, &puppet_message, true), 1);
	puppet->channel = channel_take(&puppet_message, 0);
	assert_int_equal(channel_receive(puppet->channel, &puppet_message, true), 1);
	assert_int_equal(puppet_message.type, hello);
	return puppet;
}

/* The next worker, with its HELLO. */
static inline struct puppet *show_worker(void)
{
	struct channel_hello hello;
	struct puppet *puppet = show_process(CHANNEL_HELLO);
	assert_int_equal(channel_head(&puppet_message, &hello, sizeof(hello)), 0);
	puppet->kind = (enum start_kind)hello.kind;
	puppet->place = hello.place;
	return puppet;
}

static inline void show_signal(int number)
{
	assert_int_equal(kill(show.supervisor, number), 0);
}

/* Whether the log holds a text; waits for it. */
static inline bool show_says(const char *text, int ms)
{
	static char bytes[1 << 16];
	for (;; ms -= 10) {
		ssize_t length = pread(show.log, bytes, sizeof(bytes) - 1, 0);
		bytes[length > 0 ? length : 0] = 0;
		if (strstr(bytes, text))
			return true;
		if (ms <= 0)
			return false;
		poll(NULL, 0, 10);
	}
}

/* The puppets go; the supervisor, which was told to, ends. Its exit code. */
static inline int show_over(void)
{
	int status;
	for (unsigned i = 0; i < show.count; i++) {
		close(show.puppets[i].wire);
		close(show.puppets[i].channel);
	}
	assert_int_equal(waitpid(show.supervisor, &status, 0), show.supervisor);
	assert_true(WIFEXITED(status));
	close(show.door);
	close(show.log);
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", show.folder);
	assert_int_equal(system(command), 0);
	return WEXITSTATUS(status);
}

static inline void show_end(void)
{
	show_signal(SIGINT);
	assert_true(show_says(
		"stopping", PUPPET_MS)); /* a puppet that goes before would be a failure */
	assert_int_equal(show_over(), 0);
}

/* --- What a worker says and hears. --- */

static inline void puppet_say(struct puppet *puppet, enum channel_type type, const void *head,
	size_t length, const char *text, const int *fd)
{
	assert_int_equal(channel_send(puppet->channel, type, head, length, text,
				 text ? strlen(text) : 0, fd, fd ? 1 : 0, true),
		0);
}

/* Hears the next message, which is to be of this type; it is in puppet_message. */
static inline void puppet_hear(struct puppet *puppet, enum channel_type type)
{
	assert_true(show_await(puppet->channel, PUPPET_MS));
	assert_int_equal(channel_receive(puppet->channel, &puppet_message, true), 1);
	assert_int_equal(puppet_message.type, type);
}

static inline void puppet_ready(struct puppet *puppet, int64_t drain)
{
	struct channel_ready ready = {
		.drain = drain, .linger = 3600000, .log_level = 2, .threads = 1};
	assert_int_equal(channel_send(puppet->channel, CHANNEL_READY, &ready, sizeof(ready),
				 "\0nothing", 9, NULL, 0, true),
		0);
}

/* Asks for an address's sockets; how many there are. They are closed here. */
static inline unsigned puppet_wants(struct puppet *puppet, const char *address)
{
	puppet_say(puppet, CHANNEL_WANT_SOCKETS, NULL, 0, address, NULL);
	puppet_hear(puppet, CHANNEL_SOCKETS);
	unsigned count = puppet_message.fd_count;
	channel_drop(&puppet_message);
	return count;
}

/* Registers a log; tells the descriptor that the supervisor opens for it, or minus the errno. */
static inline int puppet_log(struct puppet *puppet, unsigned number, const char *path)
{
	struct channel_register entry = {.number = number,
		.role = FILE_ACCESS_LOG,
		.flags = O_WRONLY | O_APPEND | O_CREAT,
		.mode = 0640,
		.uid = (uint32_t)-1,
		.gid = (uint32_t)-1};
	struct channel_count wanted = {number};
	puppet_say(puppet, CHANNEL_REGISTER, &entry, sizeof(entry), path, NULL);
	puppet_say(puppet, CHANNEL_OPEN, &wanted, sizeof(wanted), NULL, NULL);
	struct channel_file file;
	puppet_hear(puppet, CHANNEL_FILE);
	assert_int_equal(channel_head(&puppet_message, &file, sizeof(file)), 0);
	return file.error ? -file.error : channel_take(&puppet_message, 0);
}

#endif
