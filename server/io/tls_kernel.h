/* SPDX-License-Identifier: BSD-2-Clause */
/* Sending by the kernel's own TLS, where it has one: files then go from its cache to the socket without coming here. */
#ifndef WEIR_IO_TLS_KERNEL_H
#define WEIR_IO_TLS_KERNEL_H

#include <stdbool.h>
#include <sys/socket.h>

/* What is asked of the kernel: tests put their own in its place. */
struct tls_kernel {
	int (*set)(int fd, int level, int name, const void *value, socklen_t size);
	ssize_t (*send)(int fd, const struct msghdr *message, int flags);
};
extern const struct tls_kernel tls_kernel;

/* Tries it on a connection to itself. Before the sandbox; with CAP_NET_ADMIN the kernel loads its module for it. */
bool tls_kernel_works(const struct tls_kernel *kernel);

struct tls_thread;
/* New connections of this thread may send that way. NULL: none does. */
void tls_thread_kernel(struct tls_thread *thread, const struct tls_kernel *kernel);

#endif
