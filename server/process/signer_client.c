/* SPDX-License-Identifier: BSD-2-Clause */
/* One call is one packet to the signer and one back. An answer that comes too late is told by its number and dropped. What a signer that
 * dies leaves unanswered, and what finds nobody there, is asked of its successor. */
#include "process/signer_client.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/counters.h"
#include "base/list.h"
#include "base/log.h"
#include "process/signer.h"

#define SIGNER_PATH_MAX (SIGNER_BYTES_MAX / 2) /* so that a sentence holds it as well */

/* One thread's way to the signer. */
struct end {
	int fd;
	uint32_t sequence;
	bool owed;      /* the last request has no answer yet */
	bool told;      /* that this takes too long */
	uint64_t since; /* ms */
	/* A thread's own end: how long it has waited for successors, ms; a tenth of what passes is taken off again. */
	uint64_t waited, waited_at;
	unsigned seen; /* of `renewed` */
	atomic_uint renewed;
} __attribute__((aligned(64)));

/* A key in use. Whoever drops the last use leaves it in the list, for it must not wait for the lock. */
struct signer_key {
	struct link link;
	struct signer_client *client;
	atomic_uint uses;
	struct signer_key_facts facts;
};

struct signer_client {
	struct tls_keys keys; /* first: what callers hold */
	pthread_mutex_t lock; /* around the first end and the list */
	struct link list;
	struct end *ends;
	unsigned count;
	bool choose; /* until it goes: which of the keys of a file is wanted is told */
	int load_ms; /* how long a key is waited for */
	void (*stuck)(void *context);
	void *context;
};

static _Thread_local struct {
	const struct signer_client *client;
	struct end *end;
	struct counters *counters;
} mine;

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- One call. --- */

struct reply {
	struct signer_answer answer;
	char bytes[SIGNER_BYTES_MAX + 1];
	size_t length;
};

static ssize_t receive(int fd, struct reply *reply, int flags)
{
	struct iovec parts[2] = {
		{&reply->answer, sizeof(reply->answer)}, {reply->bytes, SIGNER_BYTES_MAX}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t length;
	do
		length = recvmsg(fd, &message, flags);
	while (length < 0 && errno == EINTR);
	if (length > 0 && (size_t)length < sizeof(reply->answer))
		length = 0; /* no signer of ours */
	if (length > 0)
		reply->length = (size_t)length - sizeof(reply->answer);
	return length;
}

static const char gone[] = "the signer is gone";

/* While an answer is missing nothing else is asked: a thread that waited once does not wait again until that has come. NULL: it may
 * ask. */
static const char *settle(struct signer_client *client, struct end *end, struct reply *reply)
{
	unsigned renewed = atomic_load_explicit(&end->renewed, memory_order_acquire);
	if (renewed != end->seen)
		end->owed = false;
	end->seen = renewed;
	while (end->owed) {
		ssize_t length = receive(end->fd, reply, MSG_DONTWAIT);
		if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (length <= 0)
			return gone;
		end->owed = reply->answer.sequence != end->sequence;
	}
	if (!end->owed)
		return NULL;
	if (!end->told && now_ms() - end->since >= SIGNER_STUCK_MS) {
		end->told = true;
		client->stuck(client->context);
	}
	return "the signer does not answer";
}

/* With `wait_ms` beyond what the descriptor itself waits. NULL: the answer is in *reply; else a sentence. */
static const char *ask(struct signer_client *client, struct end *end,
	struct signer_request *request, struct slice bytes, struct reply *reply, int wait_ms)
{
	struct iovec parts[2] = {
		{request, sizeof(*request)}, {(void *)(uintptr_t)bytes.ptr, bytes.len}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	const char *why = settle(client, end, reply);
	if (why)
		return why;
	request->sequence = ++end->sequence;
	if (sendmsg(end->fd, &message, MSG_NOSIGNAL) < 0)
		return errno == EAGAIN ? "the signer does not listen" : gone;
	struct pollfd one = {.fd = end->fd, .events = POLLIN};
	ssize_t length = 1;
	if (wait_ms > SIGNER_WAIT_MS && poll(&one, 1, wait_ms) == 0)
		length = -1, errno = EAGAIN;
	do {
		if (length > 0)
			length = receive(end->fd, reply, 0);
	} while (length > 0 && reply->answer.sequence != request->sequence);
	if (length > 0) {
		reply->bytes[reply->length] = 0;
		return reply->answer.failed ? reply->bytes : NULL;
	}
	if (length == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
		return gone;
	end->owed = true;
	end->told = false;
	end->since = now_ms() - SIGNER_WAIT_MS;
	return "the signer does not answer in time";
}

/* The supervisor is about to start another one: then the descriptor leads to that (worker_helper_again). Where one after another dies,
 * connections that need no signature must not suffer from it: false when this thread has waited enough of late. */
static bool await_successor(struct end *end)
{
	static const struct timespec turn = {.tv_nsec = 1000000};
	uint64_t now = now_ms(), paid = (now - end->waited_at) / 10;
	end->waited = paid < end->waited ? end->waited - paid : 0;
	end->waited_at = now;
	if (end->waited >= SIGNER_WAIT_MS)
		return false;
	nanosleep(&turn, NULL);
	end->waited_at = now_ms();
	end->waited += end->waited_at - now;
	return true;
}

/* --- Signing. --- */

/* As ask. */
static const char *ask_signature(struct signer_client *client, struct signer_request *request,
	struct slice bytes, struct reply *reply)
{
	const char *why;
	if (mine.client == client) {
		do
			why = ask(client, mine.end, request, bytes, reply, SIGNER_WAIT_MS);
		while (why == gone && await_successor(mine.end));
		return why;
	}
	pthread_mutex_lock(&client->lock);
	why = ask(client, &client->ends[0], request, bytes, reply, SIGNER_WAIT_MS);
	pthread_mutex_unlock(&client->lock);
	return why;
}

static int sign(struct signer_key *key, enum signer_operation operation,
	gnutls_sign_algorithm_t algorithm, const gnutls_datum_t *data, gnutls_datum_t *signature)
{
	struct signer_client *client = key->client;
	struct signer_request request = {
		.operation = operation, .key = key->facts.key, .algorithm = algorithm};
	struct slice bytes = {(const char *)data->data, data->size};
	struct reply reply;
	if (bytes.len > SIGNER_BYTES_MAX)
		return GNUTLS_E_PK_SIGN_FAILED;
	const char *why = ask_signature(client, &request, bytes, &reply);
	if (why) {
		if (mine.client == client && mine.counters)
			counter_add(mine.counters, COUNTER_SIGNATURES_FAILED, 1);
		log_at(NULL, LOG_LEVEL_ERROR, LOG_TLS, "a signature cannot be had: %s", why);
		return GNUTLS_E_PK_SIGN_FAILED;
	}
	signature->data = gnutls_malloc(reply.length);
	if (!signature->data)
		return GNUTLS_E_MEMORY_ERROR;
	memcpy(signature->data, reply.bytes, reply.length);
	signature->size = (unsigned)reply.length;
	return 0;
}

static int sign_data(gnutls_privkey_t handle, gnutls_sign_algorithm_t algorithm, void *context,
	unsigned flags, const gnutls_datum_t *data, gnutls_datum_t *signature)
{
	(void)handle;
	(void)flags;
	return sign(context, SIGNER_SIGN_DATA, algorithm, data, signature);
}

static int sign_hash(gnutls_privkey_t handle, gnutls_sign_algorithm_t algorithm, void *context,
	unsigned flags, const gnutls_datum_t *hash, gnutls_datum_t *signature)
{
	(void)handle;
	(void)flags;
	return sign(context, SIGNER_SIGN_HASH, algorithm, hash, signature);
}

static int info(gnutls_privkey_t handle, unsigned flags, void *context)
{
	const struct signer_key *key = context;
	(void)handle;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO)
		return (int)key->facts.algorithm;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS)
		return (int)key->facts.bits;
	if (flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO)
		return (int)gnutls_sign_supports_pk_algorithm(GNUTLS_FLAGS_TO_SIGN_ALGO(flags),
			(gnutls_pk_algorithm_t)key->facts.algorithm);
	return -1;
}

/* --- Keys. --- */

static void unused(gnutls_privkey_t handle, void *context)
{
	struct signer_key *key = context;
	(void)handle;
	atomic_fetch_sub_explicit(&key->uses, 1, memory_order_release);
}

/* With the lock. The signer forgets what nobody uses. */
static void forget_unused(struct signer_client *client)
{
	list_each_safe (link, &client->list) {
		struct signer_key *key = container_of(link, struct signer_key, link);
		struct signer_request request = {.operation = SIGNER_FORGET, .key = key->facts.key};
		if (atomic_load_explicit(&key->uses, memory_order_acquire) > 0)
			continue;
		if (send(client->ends[0].fd, &request, sizeof(request),
			    MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
			/* it forgets the oldest of a file itself */
		}
		list_remove(&key->link);
		free(key);
	}
}

static struct signer_key *find(struct signer_client *client, uint32_t number)
{
	list_each (link, &client->list) {
		struct signer_key *key = container_of(link, struct signer_key, link);
		if (key->facts.key == number)
			return key;
	}
	return NULL;
}

static struct signer_key *key_of(struct signer_client *client, const struct signer_key_facts *facts)
{
	struct signer_key *key = find(client, facts->key);
	if (!key) {
		key = must_zalloc(sizeof(*key));
		key->client = client;
		key->facts = *facts;
		list_append(&client->list, &key->link);
	}
	atomic_fetch_add(&key->uses, 1);
	return key;
}

static int import(struct signer_key *key, gnutls_privkey_t *to, struct buffer *fault)
{
	int error = gnutls_privkey_init(to);
	if (error == 0) {
		error = gnutls_privkey_import_ext4(
			*to, key, sign_data, sign_hash, NULL, unused, info, 0);
		if (error)
			gnutls_privkey_deinit(*to);
	}
	if (error) {
		atomic_fetch_sub(&key->uses, 1);
		buffer_format(fault, "cannot use a key: %s", gnutls_strerror(error));
	}
	return error ? -1 : 0;
}

/* From SubjectPublicKeyInfo in DER. */
static int import_public(struct slice der, gnutls_pubkey_t *public)
{
	gnutls_datum_t bytes = {(unsigned char *)(uintptr_t)der.ptr, (unsigned)der.len};
	int error = gnutls_pubkey_init(public);
	if (error)
		return error;
	error = gnutls_pubkey_import(*public, &bytes, GNUTLS_X509_FMT_DER);
	if (error)
		gnutls_pubkey_deinit(*public);
	return error;
}

/* `public` may be NULL. */
static int take_key(struct signer_client *client, const struct reply *reply, gnutls_privkey_t *to,
	gnutls_pubkey_t *public, struct buffer *fault)
{
	struct signer_key_facts facts;
	struct slice der = {reply->bytes + sizeof(facts), reply->length - sizeof(facts)};
	memcpy(&facts, reply->bytes, sizeof(facts));
	int error = public ? import_public(der, public) : 0;
	if (error)
		buffer_format(fault, "cannot use a key: %s", gnutls_strerror(error));
	else if (import(key_of(client, &facts), to, fault) == 0)
		return 0;
	else if (public)
		gnutls_pubkey_deinit(*public);
	return -1;
}

static int want(struct signer_client *client, enum signer_operation operation, struct slice bytes,
	gnutls_privkey_t *to, gnutls_pubkey_t *public, struct buffer *fault)
{
	struct signer_request request = {.operation = operation};
	struct reply reply;
	int result = -1;
	pthread_mutex_lock(&client->lock);
	const char *why = ask(client, &client->ends[0], &request, bytes, &reply, client->load_ms);
	if (why) {
		buffer_format(fault, "%s", why);
	} else if (reply.length < sizeof(struct signer_key_facts)) {
		buffer_format(fault, "the signer answers something else");
	} else {
		result = take_key(client, &reply, to, public, fault);
	}
	forget_unused(client);
	pthread_mutex_unlock(&client->lock);
	return result;
}

/* Whose key any certificate of the text has. */
static void append_ids(struct buffer *to, struct slice certificate)
{
	gnutls_datum_t text = {
		(unsigned char *)(uintptr_t)certificate.ptr, (unsigned)certificate.len};
	gnutls_x509_crt_t *list;
	unsigned count;
	if (certificate.len == 0 ||
		gnutls_x509_crt_list_import2(&list, &count, &text, GNUTLS_X509_FMT_PEM, 0) < 0)
		return;
	buffer_append(to, "", 1);
	for (unsigned i = 0; i < count; i++) {
		unsigned char id[SIGNER_ID_SIZE];
		size_t size = sizeof(id);
		if (to->len + sizeof(id) <= SIGNER_BYTES_MAX &&
			gnutls_x509_crt_get_key_id(list[i], GNUTLS_KEYID_USE_SHA256, id, &size) ==
				0)
			buffer_append(to, id, sizeof(id));
		gnutls_x509_crt_deinit(list[i]);
	}
	gnutls_free(list);
}

static int load_key(struct tls_keys *keys, struct slice path, struct slice certificate,
	gnutls_privkey_t *key, struct buffer *fault)
{
	struct signer_client *client = container_of(keys, struct signer_client, keys);
	if (path.len > SIGNER_PATH_MAX) {
		buffer_format(fault, "the path of a key is too long");
		return -1;
	}
	struct buffer bytes = {0};
	buffer_slice(&bytes, path);
	if (client->choose)
		append_ids(&bytes, certificate);
	int result =
		want(client, SIGNER_LOAD, (struct slice){bytes.ptr, bytes.len}, key, NULL, fault);
	buffer_free(&bytes);
	return result;
}

static int fresh_key(
	struct tls_keys *keys, gnutls_privkey_t *key, gnutls_pubkey_t *public, struct buffer *fault)
{
	struct signer_client *client = container_of(keys, struct signer_client, keys);
	return want(client, SIGNER_FRESH, (struct slice){NULL, 0}, key, public, fault);
}

/* --- The client. --- */

static void limit(int fd)
{
	struct timeval wait = {
		.tv_sec = SIGNER_WAIT_MS / 1000, .tv_usec = SIGNER_WAIT_MS % 1000 * 1000};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
}

struct signer_client *signer_client_new(
	const int *ends, unsigned count, void (*stuck)(void *context), void *context)
{
	struct signer_client *client = must_zalloc(sizeof(*client));
	client->keys = (struct tls_keys){load_key, fresh_key};
	pthread_mutex_init(&client->lock, NULL);
	list_init(&client->list);
	client->count = count;
	client->load_ms = SIGNER_LOAD_MS;
	client->stuck = stuck;
	client->context = context;
	client->ends = aligned_alloc(_Alignof(struct end), sizeof(struct end) * count);
	check(client->ends);
	memset(client->ends, 0, sizeof(struct end) * count);
	for (unsigned i = 0; i < count; i++) {
		client->ends[i].fd = ends[i];
		limit(ends[i]);
	}
	return client;
}

void signer_client_free(struct signer_client *client)
{
	list_each_safe (link, &client->list)
		free(container_of(link, struct signer_key, link));
	pthread_mutex_destroy(&client->lock);
	free(client->ends);
	free(client);
}

void signer_client_choose(struct signer_client *client)
{
	client->choose = true;
}

struct tls_keys *signer_client_keys(struct signer_client *client)
{
	return &client->keys;
}

void signer_client_name(struct signer_client *client, struct slice path)
{
	struct signer_request request = {.operation = SIGNER_NAME};
	struct iovec parts[2] = {
		{&request, sizeof(request)}, {(void *)(uintptr_t)path.ptr, path.len}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	pthread_mutex_lock(&client->lock);
	if (path.len <= SIGNER_PATH_MAX &&
		sendmsg(client->ends[0].fd, &message, MSG_NOSIGNAL) < 0) {
		/* it is told when all have been asked for */
	}
	pthread_mutex_unlock(&client->lock);
}

int signer_client_go(struct signer_client *client)
{
	struct signer_request request = {.operation = SIGNER_GO};
	struct reply reply;
	pthread_mutex_lock(&client->lock);
	const char *why = ask(client, &client->ends[0], &request, (struct slice){NULL, 0}, &reply,
		SIGNER_LOAD_MS);
	if (!why) {
		client->load_ms = SIGNER_AGAIN_MS;
		client->choose = false;
	}
	pthread_mutex_unlock(&client->lock);
	if (why)
		log_error("the private keys cannot be used: %s", why);
	return why ? -1 : 0;
}

void signer_client_forget(struct signer_client *client)
{
	pthread_mutex_lock(&client->lock);
	forget_unused(client);
	pthread_mutex_unlock(&client->lock);
}

void signer_client_thread(struct signer_client *client, unsigned end, struct counters *counters)
{
	check(end > 0 && end < client->count);
	mine.client = client;
	mine.end = &client->ends[end];
	mine.counters = counters;
}

void signer_client_renewed(void *context, unsigned end, int fd)
{
	struct signer_client *client = context;
	limit(fd);
	atomic_fetch_add_explicit(&client->ends[end].renewed, 1, memory_order_release);
}
