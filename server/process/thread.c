/* SPDX-License-Identifier: BSD-2-Clause */
/* One loop thread: made ready, listening, draining, cut, ended. Each step is a message to its loop, for nothing of a loop may be
 * touched from outside. */
#include "process/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/check.h"
#include "base/chunk.h"
#include "base/log.h"
#include "http/exchange.h"
#include "io/tls.h"
#include "io/tls_cred.h"
#include "io/tls_kernel.h"
#include "io/watch.h"
#include "process/bell.h"
#include "process/signer_client.h"

#define EMPTY_MOST                                                                                 \
	65536 /* connections that are taken from one socket at the end: new ones must not hold a stop up forever */

struct thread {
	pthread_t id;
	struct crew *crew;
	unsigned index;
	sem_t step; /* posted when it is prepared */
	bool failed;
	bool drained;
	bool letting_go; /* on the thread: connections may come and end while sockets are emptied */
	atomic_bool empty;
	struct loop loop;
	struct exchange_thread exchange;
	unsigned handlers; /* of the table, whose state was begun */
	struct wire *wire;
	struct listener *listeners;
	struct listening **sockets;
	unsigned listener_count;
	struct message listen_message, drain_message, cut_message, end_message;
};

static struct thread *thread_of(void *loop)
{
	return container_of((struct loop *)loop, struct thread, loop);
}

/* --- On the thread. --- */

static void on_empty(void *context)
{
	struct thread *thread = context;
	if (thread->letting_go)
		return;
	atomic_store(&thread->empty, true);
	bell_ring(thread->crew->bell);
}

static void on_listen(struct message *message, void *loop)
{
	struct thread *thread = thread_of(loop);
	(void)message;
	for (unsigned i = 0; i < thread->listener_count; i++)
		listener_start(&thread->listeners[i], &thread->loop, thread->sockets[i]->fd,
			thread->sockets[i]->settings, wire_accept, thread->wire);
}

static bool is_removed(const struct drain_order *order, const char *text)
{
	struct slice rest = order->removed;
	while (rest.len > 0) {
		size_t length = strnlen(rest.ptr, rest.len);
		if (slice_equal((struct slice){rest.ptr, length}, slice_of(text)))
			return true;
		rest = slice_from(rest, length + 1);
	}
	return order->all;
}

static void empty_socket(struct thread *thread, struct listener *listener)
{
	for (unsigned i = 0; i < EMPTY_MOST; i++) {
		struct address peer = {.length = sizeof(peer.local)};
		int fd = accept4(
			listener->fd, &peer.any, &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && errno != ECONNABORTED && errno != EINTR)
			return;
		if (fd >= 0)
			wire_accept(listener, fd, &peer, thread->wire);
	}
}

static void let_go(struct thread *thread)
{
	for (unsigned i = 0; i < thread->listener_count; i++) {
		struct listening *socket = thread->sockets[i];
		listener_stop(&thread->listeners[i], false);
		if (atomic_fetch_sub(&socket->users, 1) > 1)
			continue;
		if (is_removed(&thread->crew->order, socket->text))
			empty_socket(thread, &thread->listeners[i]);
		close(socket->fd);
	}
	thread->listener_count = 0;
}

static void on_drain(struct message *message, void *loop)
{
	struct thread *thread = thread_of(loop);
	(void)message;
	thread->exchange.draining = true; /* for those that are taken now as well */
	thread->letting_go = true;
	let_go(thread);
	thread->letting_go = false;
	/* The supervisor holds these sockets as well: closed here, they would stay in the epoll set and wake this loop for what others
	 * accept. A new set is made before the loop sleeps again. */
	ev_loop_fork(thread->loop.ev);
	if (atomic_fetch_add(&thread->crew->let_go, 1) + 1 == thread->crew->count)
		bell_ring(thread->crew->bell);
	wire_drain(thread->wire);
}

static void on_cut(struct message *message, void *loop)
{
	struct thread *thread = thread_of(loop);
	(void)message;
	let_go(thread);
	wire_stop(thread->wire);
	thread->wire = NULL;
	thread->exchange.disk = NULL; /* the I/O threads end next */
	sem_post(&thread->step);
}

/* Other certificates, on their way to one thread. */
struct tls_order {
	struct message message;
	struct tls_store *store;
};

static void on_tls(struct message *message, void *loop)
{
	struct tls_order *order = container_of(message, struct tls_order, message);
	struct thread *thread = thread_of(loop);
	if (thread->exchange.tls)
		tls_thread_use(thread->exchange.tls, order->store);
	tls_store_put(order->store);
	free(order);
}

static void on_end(struct message *message, void *loop)
{
	struct thread *thread = thread_of(loop);
	(void)message;
	loop_stop(&thread->loop);
}

static void stop_handlers(struct thread *thread)
{
	const struct handler *const *table = thread->crew->table;
	for (unsigned i = thread->handlers; i-- > 0;) {
		if (table[i]->thread_stop)
			table[i]->thread_stop(&thread->exchange, thread->exchange.state[i]);
	}
	thread->handlers = 0;
}

static int start_handlers(struct thread *thread)
{
	const struct handler *const *table = thread->crew->table;
	for (unsigned i = 0; table[i]; i++) {
		if (table[i]->thread_start &&
			table[i]->thread_start(&thread->exchange, &thread->exchange.state[i])) {
			log_error("%s: cannot start on thread %u", table[i]->name, thread->index);
			return -1;
		}
		thread->handlers = i + 1;
	}
	return 0;
}

static int prepare(struct thread *thread)
{
	struct crew *crew = thread->crew;
	if (loop_init(&thread->loop, thread->index)) {
		log_error("cannot make an event loop: %m");
		return -1;
	}
	thread->exchange = (struct exchange_thread){.table = crew->table,
		.loop = &thread->loop,
		.clock = &thread->loop.clock,
		.snapshot = crew->snapshot,
		.counters = tally_slot(crew->tally, crew->place, thread->index + 1),
		.ledger = tally_ledger(crew->tally),
		.lines = tally_lines(crew->tally, crew->place, thread->index + 1),
		.place = crew->place,
		.disk = crew->disk,
		.watch = crew->watch,
		.sniffer = crew->sniffer,
		.access = crew->access,
		.index = thread->index,
		.threads = crew->count,
		.memory = crew->memory};
	if (crew->watch)
		watch_attach(crew->watch, &thread->loop);
	if (crew->signer)
		signer_client_thread(crew->signer, thread->index + 1, thread->exchange.counters);
	if (crew->tls) {
		thread->exchange.tls = tls_thread_new(&thread->loop, crew->tls, crew->tickets);
		if (!thread->exchange.tls)
			return -1;
		tls_thread_kernel(thread->exchange.tls, crew->kernel);
	}
	if (start_handlers(thread))
		return -1;
	exchange_thread_prepare(&thread->exchange);
	thread->wire = wire_start(&thread->exchange, &crew->wire, on_empty, thread);
	return 0;
}

static void *run(void *argument)
{
	struct thread *thread = argument;
	prctl(PR_SET_NAME, "weir-loop");
	if (prepare(thread)) {
		thread->failed = true;
		sem_post(&thread->step);
		return NULL;
	}
	sem_post(&thread->step);
	loop_run(&thread->loop);
	stop_handlers(thread);
	tls_thread_free(thread->exchange.tls);
	thread->exchange.tls = NULL;
	if (thread->crew->watch)
		watch_detach(thread->crew->watch, &thread->loop);
	chunk_trim();
	return NULL;
}

/* --- From the worker's own thread. --- */

/* Sockets of one address go round the threads; where there are fewer than threads, several threads watch one. */
static void deal(struct crew *crew)
{
	for (unsigned first = 0, count; first < crew->listening_count; first += count) {
		const struct listener_settings *settings = crew->listening[first].settings;
		count = 1;
		while (first + count < crew->listening_count &&
			crew->listening[first + count].settings == settings)
			count++;
		unsigned hands = count > crew->count ? count : crew->count;
		for (unsigned i = 0; i < hands; i++) {
			struct thread *thread = &crew->threads[i % crew->count];
			struct listening *socket = &crew->listening[first + i % count];
			thread->sockets[thread->listener_count++] = socket;
			atomic_fetch_add(&socket->users, 1);
		}
	}
}

int crew_start(struct crew *crew)
{
	crew->threads = must_zalloc(sizeof(struct thread) * crew->count);
	bool failed = false;
	for (unsigned i = 0; i < crew->count; i++) {
		struct thread *thread = &crew->threads[i];
		thread->crew = crew;
		thread->index = i;
		thread->listeners =
			must_zalloc(sizeof(struct listener) * (crew->listening_count + 1));
		thread->sockets =
			must_zalloc(sizeof(struct listening *) * (crew->listening_count + 1));
		sem_init(&thread->step, 0, 0);
		thread->listen_message.deliver = on_listen;
		thread->drain_message.deliver = on_drain;
		thread->cut_message.deliver = on_cut;
		thread->end_message.deliver = on_end;
	}
	deal(crew);
	for (unsigned i = 0; i < crew->count; i++) {
		int error = pthread_create(&crew->threads[i].id, NULL, run, &crew->threads[i]);
		if (error) {
			log_error("cannot start a thread: %s", strerror(error));
			return -1;
		}
	}
	for (unsigned i = 0; i < crew->count; i++) {
		while (sem_wait(&crew->threads[i].step) && errno == EINTR)
			;
		failed |= crew->threads[i].failed;
	}
	return failed ? -1 : 0;
}

void crew_use_tls(struct crew *crew, struct tls_store *store)
{
	for (unsigned i = 0; i < crew->count; i++) {
		struct tls_order *order = must_zalloc(sizeof(*order));
		order->message.deliver = on_tls;
		order->store = tls_store_get(store);
		inbox_post(&crew->threads[i].loop.inbox, &order->message);
	}
}

void crew_listen(struct crew *crew)
{
	for (unsigned i = 0; i < crew->count; i++)
		inbox_post(&crew->threads[i].loop.inbox, &crew->threads[i].listen_message);
}

void crew_drain(struct crew *crew)
{
	for (unsigned i = 0; i < crew->count; i++) {
		if (!crew->threads[i].drained)
			inbox_post(&crew->threads[i].loop.inbox, &crew->threads[i].drain_message);
		crew->threads[i].drained = true;
	}
}

bool crew_let_go(const struct crew *crew)
{
	return atomic_load(&crew->let_go) == crew->count;
}

bool crew_empty(const struct crew *crew)
{
	for (unsigned i = 0; i < crew->count; i++) {
		if (!atomic_load(&crew->threads[i].empty))
			return false;
	}
	return true;
}

void crew_cut(struct crew *crew)
{
	for (unsigned i = 0; i < crew->count; i++)
		inbox_post(&crew->threads[i].loop.inbox, &crew->threads[i].cut_message);
	for (unsigned i = 0; i < crew->count; i++)
		while (sem_wait(&crew->threads[i].step) && errno == EINTR)
			;
}

/* The loops themselves are left to the end of the process: whoever sent the last message may still be about to wake one, and so may
 * an I/O thread that is stuck. */
void crew_end(struct crew *crew)
{
	for (unsigned i = 0; i < crew->count; i++)
		inbox_post(&crew->threads[i].loop.inbox, &crew->threads[i].end_message);
	for (unsigned i = 0; i < crew->count; i++)
		pthread_join(crew->threads[i].id, NULL);
}
