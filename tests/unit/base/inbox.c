/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages between threads: all arrive, once, in each sender's order, and an empty inbox wakes its receiver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "base/inbox.h"

#define SENDERS  4
#define MESSAGES 20000

struct note {
	struct message message;
	unsigned sender;
	unsigned number;
};

struct receiver {
	sem_t woken;
	struct inbox inbox;
	unsigned next[SENDERS];
	unsigned total;
	unsigned out_of_order;
};

static void wake(void *context)
{
	struct receiver *receiver = context;
	sem_post(&receiver->woken);
}

static void deliver(struct message *message, void *context)
{
	struct receiver *receiver = context;
	struct note *note = (struct note *)message;
	if (receiver->next[note->sender]++ != note->number)
		receiver->out_of_order++;
	receiver->total++;
	free(note);
}

struct sender {
	struct receiver *receiver;
	unsigned number;
};

static void *send_all(void *context)
{
	struct sender *sender = context;
	for (unsigned i = 0; i < MESSAGES; i++) {
		struct note *note = malloc(sizeof(*note));
		*note = (struct note){
			.message.deliver = deliver, .sender = sender->number, .number = i};
		inbox_post(&sender->receiver->inbox, &note->message);
	}
	return NULL;
}

static void several_senders(void **state)
{
	(void)state;
	static struct receiver receiver;
	sem_init(&receiver.woken, 0, 0);
	inbox_init(&receiver.inbox, wake, &receiver);
	pthread_t threads[SENDERS];
	struct sender senders[SENDERS];
	for (unsigned i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){&receiver, i};
		assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
	}
	/* Only drained when woken: a missing wake would hang here. */
	while (receiver.total < SENDERS * MESSAGES) {
		while (sem_wait(&receiver.woken) != 0)
			;
		inbox_drain(&receiver.inbox);
	}
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	inbox_drain(&receiver.inbox);
	assert_int_equal(receiver.total, SENDERS * MESSAGES);
	assert_int_equal(receiver.out_of_order, 0);
	sem_destroy(&receiver.woken);
}

static unsigned wakes;

static void count_wake(void *context)
{
	(void)context;
	wakes++;
}

static struct inbox looped;
static struct message second;
static unsigned delivered[2];

static void deliver_second(struct message *message, void *context)
{
	(void)message, (void)context;
	delivered[1]++;
}

static void deliver_first(struct message *message, void *context)
{
	(void)message, (void)context;
	delivered[0]++;
	second.deliver = deliver_second;
	inbox_post(&looped, &second);
}

/* What is posted during delivery wakes again and comes with the next drain, so that a drain ends. */
static void posting_while_delivering(void **state)
{
	(void)state;
	inbox_init(&looped, count_wake, NULL);
	struct message first = {.deliver = deliver_first}, also = {.deliver = deliver_second};
	inbox_post(&looped, &first);
	inbox_post(&looped, &also);
	assert_int_equal(wakes, 1);
	inbox_drain(&looped);
	assert_int_equal(delivered[0], 1);
	assert_int_equal(delivered[1], 1);
	assert_int_equal(wakes, 2);
	inbox_drain(&looped);
	assert_int_equal(delivered[1], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_senders),
		cmocka_unit_test(posting_while_delivering),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
