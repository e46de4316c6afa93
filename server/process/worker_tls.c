/* SPDX-License-Identifier: BSD-2-Clause */
/* What a worker needs for https before it gives up its rights: certificates, keys, and the key of session tickets that all workers have
 * in common. */
#include <errno.h>
#include <gnutls/crypto.h>
#include <unistd.h>

#include "base/log.h"
#include "io/tls_load.h"
#include "process/keepsake.h"
#include "process/worker_priv.h"

/* A keepsake of another length is of another weir, whose tickets mean nothing here. */
static bool take_master(struct worker *w, int fd)
{
	struct slice kept = keepsake_map(fd);
	bool fits = kept.len == sizeof(w->tickets);
	if (fits)
		memcpy(w->tickets, kept.ptr, kept.len);
	keepsake_unmap(kept);
	return fits;
}

static int make_master(struct worker *w)
{
	if (gnutls_rnd(GNUTLS_RND_KEY, w->tickets, sizeof(w->tickets))) {
		log_error("TLS: no random numbers are to be had");
		return -1;
	}
	int fd = keepsake_make(
		"weir-tickets", (struct slice){(const char *)w->tickets, sizeof(w->tickets)});
	int result = worker_keep(w, KEEPSAKE_TICKETS, fd);
	if (fd >= 0)
		close(fd);
	return result;
}

static int master(struct worker *w)
{
	int fd = worker_want_keepsake(w, KEEPSAKE_TICKETS);
	if (fd == -2)
		return -1;
	bool taken = fd >= 0 && take_master(w, fd);
	if (fd >= 0)
		close(fd);
	return taken ? 0 : make_master(w);
}

int worker_tls_load(struct worker *w, struct load *load, struct snapshot *snapshot)
{
	w->keys = tls_keys_here();
	return tls_load(load, snapshot, w->keys, &w->crew.tls);
}

int worker_tls(struct worker *w)
{
	w->crew.tickets = w->tickets;
	return w->crew.tls ? master(w) : 0;
}
