/* SPDX-License-Identifier: BSD-2-Clause */
/* What the TLS connections of one loop thread share: buffers, the certificates in use, keys of session tickets. */
#include <gnutls/crypto.h>
#include <stdlib.h>

#include "base/log.h"
#include "io/tls_priv.h"

/* Versions alone matter: the rules of the name take its place before anything else is chosen. */
#define WIDEST "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct tls_thread *tls_thread_new(
	struct loop *loop, struct tls_store *store, const unsigned char master[TLS_MASTER_SIZE])
{
	struct tls_thread *thread = must_alloc(sizeof(*thread));
	memset(thread, 0, offsetof(struct tls_thread, in));
	const char *at;
	int error = gnutls_priority_init2(&thread->widest, WIDEST, &at, 0);
	if (error) {
		log_error("TLS: GnuTLS does not offer TLS 1.2 and 1.3 here: %s",
			gnutls_strerror(error));
		free(thread);
		return NULL;
	}
	thread->loop = loop;
	thread->store = tls_store_get(store);
	memcpy(thread->master, master, sizeof(thread->master));
	return thread;
}

void tls_thread_use(struct tls_thread *thread, struct tls_store *store)
{
	struct tls_store *old = thread->store;
	thread->store = tls_store_get(store);
	tls_store_put(old);
}

void tls_thread_free(struct tls_thread *thread)
{
	if (!thread)
		return;
	tls_store_put(thread->store);
	gnutls_priority_deinit(thread->widest);
	gnutls_memset(thread->master, 0, sizeof(thread->master));
	gnutls_memset(thread->ticket_key, 0, sizeof(thread->ticket_key));
	buffer_free(&thread->out);
	free(thread);
}

int tls_begin(void)
{
	int error = gnutls_global_init();
	if (error)
		log_error("TLS: GnuTLS does not start: %s", gnutls_strerror(error));
	return error ? -1 : 0;
}

const char *tls_library(void)
{
	return gnutls_check_version(NULL);
}
