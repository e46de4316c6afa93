/* SPDX-License-Identifier: BSD-2-Clause */
/* What a worker needs for https before it gives up its rights: certificates, keys, and the key of session tickets that all workers have
 * in common. */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "io/tls_kernel.h"
#include "io/tls_load.h"
#include "process/certificates.h"
#include "process/keepsake.h"
#include "process/registry.h"
#include "process/renewal.h"
#include "process/signer_client.h"
#include "process/worker_priv.h"

enum { AN_HOUR = 3600 };

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

/* Keeps what was renewed, for the next worker should this one die. It is kept again with the next change, if it cannot be now. */
static void keep_renewed(struct worker *w)
{
	struct buffer list = {0};
	renewal_newer(w->renewal, &list);
	int fd = keepsake_make("weir-renewed", (struct slice){list.ptr, list.len});
	if (fd < 0 || channel_send(WORKER_CHANNEL, CHANNEL_KEEP_KEEPSAKE, NULL, 0, KEEPSAKE_RENEWED,
			      strlen(KEEPSAKE_RENEWED), &fd, 1, false))
		log_warn("renewed certificates cannot be kept: %m");
	if (fd >= 0)
		close(fd);
	buffer_free(&list);
}

/* Those of a worker before count with what that had read. */
static int keep_none_renewed(struct worker *w)
{
	if (w->hello.kind == START_CRASH)
		return 0;
	int fd = keepsake_make("weir-renewed", SLICE(""));
	int result = worker_keep(w, KEEPSAKE_RENEWED, fd);
	if (fd >= 0)
		close(fd);
	return result;
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

/* Also where there are none: those of the worker before are not ours. */
static int keep_certificates(struct worker *w)
{
	int fd = certificates_make(w->snapshot);
	int result = worker_keep(w, KEEPSAKE_CERTIFICATES, fd);
	if (fd < 0)
		return result;
	w->certificates = certificates_map(fd, true);
	close(fd);
	if (w->certificates)
		certificates_write(w->certificates, w->crew.tls);
	return result;
}

/* Hourly is enough: what is told has steps of days. */
static void look_at_expiry(struct worker *w)
{
	time_t now = time(NULL);
	if (w->expiry_told != 0 && now >= w->expiry_told && now - w->expiry_told < AN_HOUR)
		return;
	certificates_warn(w->crew.tls, w->expiry_told, now);
	w->expiry_told = now;
}

int worker_renewal(struct worker *w, uint64_t now)
{
	if (keep_certificates(w) || keep_none_renewed(w))
		return -1;
	if (!w->crew.tls)
		return 0;
	w->renewal =
		renewal_new(w->snapshot, w->keys, w->crew.tls, now, w->hello.kind == START_CRASH);
	tls_store_put(w->crew.tls); /* from here on it is the renewal's */
	renewal_remember(w->renewal, &w->newer);
	renewed_free(&w->newer);
	keepsake_unmap(w->kept);
	for (unsigned i = 0; i < renewal_file_count(w->renewal); i++) {
		struct channel_register entry = {.number = WORKER_FILE_COUNT + i,
			.role = FILE_CERTIFICATE,
			.flags = O_RDONLY,
			.uid = (uint32_t)-1,
			.gid = (uint32_t)-1};
		if (entry.number < REGISTRY_FILES_MAX &&
			worker_send(w, CHANNEL_REGISTER, &entry, sizeof(entry),
				renewal_file(w->renewal, i), NULL, 0))
			return -1;
	}
	return 0;
}

void worker_renewal_turn(struct worker *w, uint64_t now)
{
	int number = renewal_next(w->renewal, now);
	look_at_expiry(w);
	struct channel_count wanted = {WORKER_FILE_COUNT + (uint32_t)number};
	if (number >= 0 && channel_send(WORKER_CHANNEL, CHANNEL_OPEN, &wanted, sizeof(wanted), NULL,
				   0, NULL, 0, false))
		renewal_take(w->renewal, -1, EAGAIN, now);
}

void worker_renewal_file(struct worker *w, uint64_t now)
{
	struct channel_file file;
	if (!w->renewal || channel_head(&w->message, &file, sizeof(file)))
		return;
	int fd = file.error == 0 && w->message.fd_count == 1 ? w->message.fds[0] : -1;
	bool changed =
		renewal_take(w->renewal, fd, fd < 0 && file.error == 0 ? EIO : file.error, now);
	signer_client_forget(w->crew.signer); /* keys that did not fit: none is to be kept */
	if (!changed)
		return;
	w->crew.tls = renewal_store(w->renewal);
	crew_use_tls(&w->crew, w->crew.tls);
	keep_renewed(w);
	if (w->certificates)
		certificates_write(w->certificates, w->crew.tls);
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
