/* SPDX-License-Identifier: BSD-2-Clause */
/* Bells between threads. */
#include "process/bell.h"

#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int bell_new(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void bell_ring(int bell)
{
	uint64_t one = 1;
	if (write(bell, &one, sizeof(one)) < 0) {
		/* it rings already */
	}
}

void bell_still(int bell)
{
	uint64_t rings;
	if (read(bell, &rings, sizeof(rings)) < 0) {
		/* it did not ring, or somebody was quicker */
	}
}

bool bell_join(int gone, pthread_t thread, int ms)
{
	struct pollfd poll_gone = {.fd = gone, .events = POLLIN};
	if (poll(&poll_gone, 1, ms) != 1)
		return false;
	pthread_join(thread, NULL);
	return true;
}
