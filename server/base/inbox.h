/* SPDX-License-Identifier: BSD-2-Clause */
/* The way of one thread to another: messages from any thread, taken by one. */
#ifndef WEIR_BASE_INBOX_H
#define WEIR_BASE_INBOX_H

#include <stdatomic.h>

/* First member of what is sent. The receiver owns it from `deliver` on. */
struct message {
	struct message *next;
	void (*deliver)(
		struct message *message, void *receiver); /* called on the receiver's thread */
};

struct inbox {
	_Atomic(struct message *) newest;
	void (*wake)(void *receiver); /* any thread may call it; called when the inbox was empty */
	void *receiver;
};

void inbox_init(struct inbox *inbox, void (*wake)(void *receiver), void *receiver);
/* From any thread. The message is the receiver's afterwards. */
void inbox_post(struct inbox *inbox, struct message *message);
/* On the receiver's thread: delivers what is there, in the order of posting. */
void inbox_drain(struct inbox *inbox);

#endif
