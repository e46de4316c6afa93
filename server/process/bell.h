/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors (eventfd) by which one thread wakes another that polls. */
#ifndef WEIR_PROCESS_BELL_H
#define WEIR_PROCESS_BELL_H

#include <pthread.h>
#include <stdbool.h>

/* One that does not ring. -1 with errno. */
int bell_new(void);
/* From any thread. It rings until it is stilled. */
void bell_ring(int bell);
/* It rings no more, if it did. */
void bell_still(int bell);
/* Waits, at most so many ms, for a thread that rings `gone` as the last thing it does, and joins it. False: it hangs. */
bool bell_join(int gone, pthread_t thread, int ms);

#endif
