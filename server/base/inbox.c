/* SPDX-License-Identifier: BSD-2-Clause */
/* A stack that any thread pushes on and one takes whole: no locks, and no ABA, since nobody pops one by one. */
#include "base/inbox.h"

#include <stddef.h>

void inbox_init(struct inbox *inbox, void (*wake)(void *receiver), void *receiver)
{
	atomic_init(&inbox->newest, NULL);
	inbox->wake = wake;
	inbox->receiver = receiver;
}

void inbox_post(struct inbox *inbox, struct message *message)
{
	/* Once the message is in, its receiver may free it, and the inbox with it: what is needed then is read before. */
	void (*wake)(void *) = inbox->wake;
	void *receiver = inbox->receiver;
	struct message *newest = atomic_load_explicit(&inbox->newest, memory_order_relaxed);
	do {
		message->next = newest;
	} while (!atomic_compare_exchange_weak_explicit(
		&inbox->newest, &newest, message, memory_order_release, memory_order_relaxed));
	if (!newest && wake)
		wake(receiver);
}

void inbox_drain(struct inbox *inbox)
{
	struct message *message =
		atomic_exchange_explicit(&inbox->newest, NULL, memory_order_acquire);
	struct message *oldest = NULL;
	while (message) {
		struct message *next = message->next;
		message->next = oldest;
		oldest = message;
		message = next;
	}
	while (oldest) {
		struct message *next = oldest->next;
		oldest->deliver(oldest, inbox->receiver);
		oldest = next;
	}
}
