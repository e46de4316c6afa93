/* SPDX-License-Identifier: BSD-2-Clause */
/* The signer's process: it gives up its rights before it sees the first key, for the supervisor opens the files; then it answers, with a
 * thread for each end, until the worker is gone. */
#include "process/signer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "io/tls_keys.h"
#include "process/helper_self.h"
#include "process/keepsake.h"
#include "process/sandbox.h"
#include "process/signer_keys.h"

#define KEEPSAKE   "signer"
#define STACK_SIZE (256 * 1024)

struct signer {
	struct helper_self self;
	struct signer_keys *keys;
	bool started; /* all paths were named */
};

struct packet {
	struct signer_request request;
	char bytes[SIGNER_BYTES_MAX];
	size_t length; /* of the bytes */
};

/* --- Before the first key. --- */

/* Neither a core, nor another process of the account, nor swap is to hold a key. What cannot be had is done without. */
static void hide(void)
{
	struct rlimit none = {0, 0}, all = {RLIM_INFINITY, RLIM_INFINITY};
	setrlimit(RLIMIT_CORE, &none);
#ifndef WEIR_SANITIZERS /* they look at their own process */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (setrlimit(RLIMIT_MEMLOCK, &all) == 0)
		mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
#else
	(void)all;
#endif
}

static int lock_in(struct signer *signer)
{
	static const struct grants nothing;
	return sandbox_enter(
		(enum sandbox_mode)signer->self.hello.want.sandbox, SANDBOX_SIGNER, &nothing, -1);
}

/* --- What is kept. --- */

/* 0, or -1: then a successor has what was kept before. */
static int keep(struct signer *signer)
{
	struct buffer bytes = {0};
	signer_keys_write(signer->keys, &bytes);
	int fd = keepsake_make("weir-signer", (struct slice){bytes.ptr, bytes.len});
	explicit_bzero(bytes.ptr, bytes.capacity);
	buffer_free(&bytes);
	if (fd < 0)
		log_error("the keys cannot be kept: %m");
	int result = fd < 0 ? -1 : helper_self_keep(&signer->self, KEEPSAKE, fd);
	if (fd >= 0)
		close(fd);
	return result;
}

/* In place of one that died, or for a worker in place of one that died: the same keys, whatever the files hold now. */
static int take_up(struct signer *signer)
{
	if (signer->self.hello.start_kind != START_CRASH)
		return 0;
	int fd = helper_self_keepsake(&signer->self, KEEPSAKE);
	if (fd < 0)
		return fd == -1 ? 0 : -1;
	struct slice kept = keepsake_map(fd);
	int result = signer_keys_read(signer->keys, kept, signer->self.hello.again);
	if (result)
		log_error("what was kept of the keys cannot be read");
	keepsake_unmap(kept);
	close(fd);
	return result;
}

/* --- Answers. --- */

static void answer(int end, const struct signer_request *request, bool failed, struct slice bytes)
{
	struct signer_answer head = {request->sequence, failed};
	struct iovec parts[2] = {{&head, sizeof(head)}, {(void *)(uintptr_t)bytes.ptr, bytes.len}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	/* a worker that does not read has given up on the answer */
	if (sendmsg(end, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
}

static void sign(struct signer_keys *keys, int end, const struct packet *packet)
{
	gnutls_datum_t signature = {NULL, 0};
	const char *fault;
	if (signer_keys_sign(keys, &packet->request, (struct slice){packet->bytes, packet->length},
		    &signature, &fault)) {
		answer(end, &packet->request, true, slice_of(fault));
		return;
	}
	answer(end, &packet->request, false,
		(struct slice){(const char *)signature.data, signature.size});
	gnutls_free(signature.data);
}

/* What stands in the file now. 0 after a sentence. */
static uint32_t read_key(struct signer *signer, int file, struct slice path, struct buffer *fault)
{
	struct buffer text = {0};
	uint32_t key = 0;
	int fd = helper_self_open(&signer->self, (unsigned)file);
	int error = fd < 0 ? errno : tls_key_read(fd, &text);
	if (error)
		buffer_format(fault, "cannot read the key %.*s: %s", (int)path.len, path.ptr,
			error == ELOOP ? "a link there is neither root's nor of the file's owner"
				       : strerror(error));
	else
		key = signer_keys_add(
			signer->keys, file, (struct slice){text.ptr, text.len}, fault);
	if (fd >= 0)
		close(fd);
	if (text.ptr)
		explicit_bzero(text.ptr, text.capacity);
	buffer_free(&text);
	return key;
}

/* The number of a path. While the worker starts any will do, and becomes one of those that can be read again. -1 with a reason. */
static int file_of(struct signer *signer, struct slice path, const char **why)
{
	char text[SIGNER_BYTES_MAX + 1];
	bool before;
	*why = signer->started ? "it was not named when weir started" : "there are too many keys";
	int file = signer_keys_file(signer->keys, path, !signer->started, &before);
	if (file < 0 || before)
		return file;
	snprintf(text, sizeof(text), "%.*s", (int)path.len, path.ptr);
	if (helper_self_register(&signer->self, (unsigned)file, text) == 0)
		return file;
	*why = strerror(errno);
	return -1;
}

static uint32_t load(struct signer *signer, struct slice asked, struct buffer *fault)
{
	const char *why;
	struct slice path = {asked.ptr, strnlen(asked.ptr, asked.len)};
	struct slice ids = path.len < asked.len ? slice_from(asked, path.len + 1) : SLICE("");
	int file = file_of(signer, path, &why);
	if (file < 0) {
		buffer_format(fault, "cannot read the key %.*s: %s", (int)path.len, path.ptr, why);
		return 0;
	}
	if (!signer->started) { /* it may have been kept, or stand in the configuration twice */
		uint32_t held = signer_keys_choose(signer->keys, file, ids);
		if (held == 0)
			held = signer_keys_of(signer->keys, file);
		if (held != 0)
			return held;
	}
	return read_key(signer, file, path, fault);
}

static void give_key(struct signer *signer, const struct packet *packet)
{
	struct buffer facts = {0}, fault = {0};
	struct slice asked = {packet->bytes, packet->length};
	int end = signer->self.ends[0];
	uint32_t key = packet->request.operation == SIGNER_LOAD
			       ? load(signer, asked, &fault)
			       : signer_keys_fresh(signer->keys, &fault);
	if (key != 0 && signer->started)
		keep(signer);
	if (key != 0 && signer_keys_facts(signer->keys, key, &facts))
		buffer_format(&fault, "cannot tell its public key");
	if (fault.len > SIGNER_BYTES_MAX)
		fault.len = SIGNER_BYTES_MAX;
	if (fault.len > 0)
		answer(end, &packet->request, true, (struct slice){fault.ptr, fault.len});
	else
		answer(end, &packet->request, false, (struct slice){facts.ptr, facts.len});
	buffer_free(&facts);
	buffer_free(&fault);
}

/* --- The ends. --- */

/* 1; 0: nobody is there any more. What is no request is passed over. */
static int receive(int end, struct packet *packet)
{
	for (;;) {
		struct iovec parts[2] = {{&packet->request, sizeof(packet->request)},
			{packet->bytes, sizeof(packet->bytes)}};
		struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
		ssize_t length = recvmsg(end, &message, 0);
		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			return 0;
		if ((size_t)length < sizeof(packet->request) || (message.msg_flags & MSG_TRUNC))
			continue;
		packet->length = (size_t)length - sizeof(packet->request);
		return 1;
	}
}

struct station {
	struct signer_keys *keys;
	int end;
};

static void *serve(void *argument)
{
	struct station station = *(struct station *)argument;
	struct packet packet;
	free(argument);
	while (receive(station.end, &packet)) {
		if (packet.request.operation == SIGNER_SIGN_DATA ||
			packet.request.operation == SIGNER_SIGN_HASH)
			sign(station.keys, station.end, &packet);
	}
	close(station.end);
	return NULL;
}

static int start_threads(struct signer *signer)
{
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	int error = 0;
	for (unsigned i = 1; i < signer->self.hello.want.ends && !error; i++) {
		pthread_t thread;
		struct station *station = must_alloc(sizeof(*station));
		*station = (struct station){signer->keys, signer->self.ends[i]};
		error = pthread_create(&thread, &attributes, serve, station);
		if (error)
			free(station);
	}
	pthread_attr_destroy(&attributes);
	if (error)
		log_error("cannot start a thread: %s", strerror(error));
	return error ? -1 : 0;
}

/* 0, or -1 after a message. */
static int go(struct signer *signer)
{
	signer->started = true;
	if (!signer->self.hello.again) {
		signer_keys_sweep(signer->keys);
		if (keep(signer))
			return -1;
	}
	if (helper_self_locked(&signer->self))
		return -1;
	return start_threads(signer);
}

/* 0, or -1: it has to end. */
static int obey(struct signer *signer, const struct packet *packet)
{
	const char *why;
	switch (packet->request.operation) {
	case SIGNER_SIGN_DATA:
	case SIGNER_SIGN_HASH:
		sign(signer->keys, signer->self.ends[0], packet);
		return 0;
	case SIGNER_NAME:
		file_of(signer, (struct slice){packet->bytes, packet->length}, &why);
		return 0;
	case SIGNER_LOAD:
	case SIGNER_FRESH:
		give_key(signer, packet);
		return 0;
	case SIGNER_FORGET:
		signer_keys_forget(signer->keys, packet->request.key);
		if (signer->started)
			keep(signer);
		return 0;
	case SIGNER_GO:
		if (signer->started || go(signer))
			return -1;
		answer(signer->self.ends[0], &packet->request, false, (struct slice){NULL, 0});
		return 0;
	default:
		return 0;
	}
}

static void hear(struct signer *signer)
{
	struct packet packet;
	struct pollfd polls[2] = {
		{.fd = signer->self.ends[0], .events = POLLIN},
		{.fd = WORKER_CHANNEL, .events = POLLIN},
	};
	for (;;) {
		if (poll(polls, COUNT_OF(polls), -1) < 0)
			continue;
		if (polls[1].revents && !helper_self_hear(&signer->self))
			polls[1].fd = -1; /* the worker drains, and needs signatures meanwhile */
		if (polls[0].revents &&
			(!receive(signer->self.ends[0], &packet) || obey(signer, &packet)))
			return;
	}
}

/* Other threads may be about to sign: what they use goes with the process, and no library is taken down below them. */
static int leave(void)
{
#ifndef WEIR_COVERAGE
	_exit(0);
#endif
	return 0;
}

int signer_run(void)
{
	static struct signer signer; /* one a process */
	int result = helper_self_begin(&signer.self, HELPER_SIGNER, "signer");
	if (result)
		return result;
	hide();
	signer.keys = signer_keys_new();
	if (helper_self_account(&signer.self) || lock_in(&signer) || take_up(&signer))
		return 1;
	if (signer.self.hello.again && go(&signer))
		return 1;
	hear(&signer);
	return leave();
}
