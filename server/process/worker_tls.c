/* SPDX-License-Identifier: BSD-2-Clause */
/* What a worker needs for https before it gives up its rights: certificates, keys, and the key of session tickets that all workers have
 * in common. */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <unistd.h>

#include "base/log.h"
#include "io/tls_kernel.h"
#include "io/tls_load.h"
#include "process/keepsake.h"
#include "process/registry.h"
#include "process/signer_client.h"
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
	return worker_keep_bytes(
		w, KEEPSAKE_TICKETS, (struct slice){(const char *)w->tickets, sizeof(w->tickets)});
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

/* Any thread may say so: one packet is never mixed with another. */
static void on_stuck(void *context)
{
	struct channel_count kind = {HELPER_SIGNER};
	(void)context;
	if (channel_send(WORKER_CHANNEL, CHANNEL_HELPER_STUCK, &kind, sizeof(kind), NULL, 0, NULL,
		    0, false)) {
		/* it is said again, if there is still somebody to hear it */
	}
}

/* One end a thread, and one for all that is done on other ones. */
static int start_signer(struct worker *w)
{
	struct worker_helper *helper = &w->helpers[HELPER_SIGNER];
	if (worker_account(w) || worker_helper(w, HELPER_SIGNER, w->crew.count + 1, &w->account))
		return -1;
	w->crew.signer = signer_client_new(helper->ends, helper->count, on_stuck, w);
	helper->renewed = signer_client_renewed;
	helper->context = w->crew.signer;
	w->keys = signer_client_keys(w->crew.signer);
	if (w->hello.kind == START_CRASH)
		signer_client_choose(w->crew.signer);
	return 0;
}

/* Also those that are not there yet, for they cannot be named later. */
static void name_keys(struct worker *w, const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->tls_count; i++) {
		const struct tls_settings *rules = &snapshot->tls[i];
		bool inherited = i > 0 && rules->pairs == snapshot->tls[0].pairs;
		for (size_t k = 0; !inherited && k < rules->pair_count; k++)
			signer_client_name(w->crew.signer, rules->pairs[k].key_path);
	}
}

/* Whoever wrote it may have been taken over: it is looked at as files are, and goes no further than the signer has its keys, nor longer than
 * until the files themselves are read. */
static int take_renewed(struct worker *w)
{
	int fd = w->hello.kind == START_CRASH ? worker_want_keepsake(w, KEEPSAKE_RENEWED) : -1;
	if (fd < 0)
		return fd == -1 ? 0 : -1;
	if (keepsake_is_sound(fd, KEEPSAKE_RENEWED_MAX))
		w->kept = keepsake_map(fd);
	if (renewed_read(w->kept, &w->newer))
		log_warn("what was kept of renewed certificates cannot be read");
	close(fd);
	return 0;
}

int worker_tls_load(struct worker *w, struct load *load, struct snapshot *snapshot)
{
	w->keys =
		tls_keys_here(); /* where nobody listens for https keys are looked at, and let go */
	if (tls_wanted(snapshot) && (start_signer(w) || take_renewed(w)))
		return -1;
	int result =
		tls_load(load, snapshot, w->keys, w->newer.files, w->newer.count, &w->crew.tls);
	if (w->crew.signer &&
		result == 0) /* by now also the pairs that are to be obtained are there */
		name_keys(w, snapshot);
	return result;
}

/* Before the sandbox, and with the rights to have its module loaded. */
static void look_for_kernel(struct worker *w)
{
	if (tls_kernel_works(&tls_kernel)) {
		w->crew.kernel = &tls_kernel;
		log_info("TLS: the kernel encrypts large files");
	} else {
		log_debug("TLS: the kernel does not encrypt: %m");
	}
}

int worker_tls(struct worker *w)
{
	w->crew.tickets = w->tickets;
	if (!w->crew.tls)
		return 0;
	look_for_kernel(w);
	return signer_client_go(w->crew.signer) || master(w) ? -1 : 0;
}
