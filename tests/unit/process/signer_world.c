/* SPDX-License-Identifier: BSD-2-Clause */
/* The world that a signer under test sees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../io/tls_made.h"
#include "base/check.h"
#include "process/helper_self.h"
#include "process/signer.h"
#include "signer_world.h"

struct stage stage;
char folder[256];

/* --- The supervisor. --- */

static void answer_file(unsigned number)
{
	struct channel_file file = {.number = number};
	int fd = stage.paths[number] ? open(stage.paths[number], O_RDONLY | O_CLOEXEC) : -1;
	file.error = fd < 0 ? errno : 0;
	channel_send(stage.channel, CHANNEL_FILE, &file, sizeof(file), NULL, 0, &fd, fd >= 0, true);
	if (fd >= 0)
		close(fd);
}

static void obey(struct channel_message *message)
{
	struct channel_register entry;
	struct channel_count number;
	switch (message->type) {
	case CHANNEL_WANT_KEEPSAKE:
		check(strcmp(message->payload, "signer") == 0);
		channel_send(stage.channel, CHANNEL_KEEPSAKE, NULL, 0, NULL, 0, &stage.keepsake,
			stage.keepsake >= 0, true);
		break;
	case CHANNEL_KEEP_KEEPSAKE:
		if (stage.keepsake >= 0)
			close(stage.keepsake);
		stage.keepsake = channel_take(message, 0);
		break;
	case CHANNEL_REGISTER:
		check(channel_head(message, &entry, sizeof(entry)) == 0 && entry.number < 16);
		check(entry.role == FILE_KEY && entry.flags == O_RDONLY);
		stage.registered_late += atomic_load(&stage.locked);
		free(stage.paths[entry.number]);
		stage.paths[entry.number] = must_strdup(message->payload + sizeof(entry));
		break;
	case CHANNEL_OPEN:
		check(channel_head(message, &number, sizeof(number)) == 0 && number.count < 16);
		answer_file(number.count);
		break;
	case CHANNEL_LOCKED:
		atomic_store(&stage.locked, 1);
		break;
	default:
		check(false);
	}
}

static void *supervise(void *nothing)
{
	struct channel_message *message = must_alloc(sizeof(*message));
	while (channel_receive(stage.channel, message, true) == 1) {
		obey(message);
		channel_drop(message);
	}
	free(message);
	return nothing;
}

void world_begin(enum start_kind kind, bool again)
{
	struct channel_helper_hello hello = {
		.want = {.kind = HELPER_SIGNER, .ends = ENDS, .log_level = 2, .uid = (uint32_t)-1},
		.start_kind = (uint32_t)kind,
		.again = again};
	struct channel_ends ends = {HELPER_SIGNER, 0};
	int pair[2], far[ENDS];
	assert_int_equal(channel_pair(pair), 0);
	for (unsigned i = 0; i < ENDS; i++) {
		int two[2];
		assert_int_equal(channel_pair(two), 0);
		stage.near[i] = two[0];
		far[i] = two[1];
	}
	channel_send(pair[0], CHANNEL_HELPER_HELLO, &hello, sizeof(hello), NULL, 0, NULL, 0, true);
	channel_send(pair[0], CHANNEL_ENDS, &ends, sizeof(ends), NULL, 0, far, ENDS, true);
	atomic_store(&stage.locked, 0);
	stage.pid = fork();
	if (stage.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		int channel = fcntl(pair[1], F_DUPFD, 100), log = fcntl(2, F_DUPFD, 100);
		dup2(channel, WORKER_CHANNEL);
		dup2(log, HELPER_LOG);
		/* Not by this image: a lock that another thread held would stay locked. */
		closefrom(HELPER_LOG + 1);
		execl("/proc/self/exe", WORLD_SIGNER, NULL);
		_exit(127);
	}
	stage.channel = pair[0];
	close(pair[1]);
	for (unsigned i = 0; i < ENDS; i++)
		close(far[i]);
	assert_int_equal(pthread_create(&stage.supervisor, NULL, supervise, NULL), 0);
}

static int reap(void)
{
	int status;
	assert_int_equal(waitpid(stage.pid, &status, 0), stage.pid);
	pthread_join(stage.supervisor, NULL);
	close(stage.channel);
	return status;
}

static void on_stuck(void *context)
{
	(void)context;
	atomic_fetch_add(&stage.stuck, 1);
}

void world_connect(void)
{
	stage.client = signer_client_new(stage.near, ENDS, on_stuck, NULL);
	stage.keys = signer_client_keys(stage.client);
}

void world_renew(void)
{
	int old[ENDS];
	memcpy(old, stage.near, sizeof(old));
	kill(stage.pid, SIGKILL);
	reap();
	world_begin(START_CRASH, true);
	for (unsigned i = 0; i < ENDS; i++) {
		signer_client_renewed(stage.client, i, stage.near[i]);
		assert_true(dup3(stage.near[i], old[i], O_CLOEXEC) >= 0);
		close(stage.near[i]);
		stage.near[i] = old[i];
	}
}

void world_end(void)
{
	for (unsigned i = 0; i < ENDS; i++)
		close(stage.near[i]);
	int status = reap();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	signer_client_free(stage.client);
	stage.client = NULL;
}

int world_set_up(void **state)
{
	(void)state;
	stage.keepsake = -1;
	stage.registered_late = 0;
	atomic_store(&stage.stuck, 0);
	made_folder(folder);
	world_begin(START_FRESH, false);
	world_connect();
	return 0;
}

int world_tear_down(void **state)
{
	(void)state;
	world_end();
	if (stage.keepsake >= 0)
		close(stage.keepsake);
	for (unsigned i = 0; i < COUNT_OF(stage.paths); i++) {
		free(stage.paths[i]);
		stage.paths[i] = NULL;
	}
	made_remove(folder);
	return 0;
}
