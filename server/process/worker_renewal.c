/* SPDX-License-Identifier: BSD-2-Clause */
/* The thread of a worker that renews certificates. Their files may lie on a disk that hangs, and then it hangs with that, at a look or in
 * the middle of one: the worker's own thread hears orders all the while, and hands it what comes of the files that it asks for. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "process/bell.h"
#include "process/certificates.h"
#include "process/keepsake.h"
#include "process/registry.h"
#include "process/renewal.h"
#include "process/signer_client.h"
#include "process/worker_priv.h"

enum { AN_HOUR = 3600, LOOK_MS = 30000, PAUSE_MS = 50 };

/* Between the two threads. What else the renewal has of the worker, from worker_renewal_begin on, is its own. */
struct renewing {
	struct worker *worker;
	pthread_t id;
	bool begun;
	int bell;             /* rung with every change of what is below */
	int gone;             /* rung by the thread as the last thing it does */
	pthread_mutex_t lock; /* around all of the following */
	bool over;            /* nothing is put to use any more */
	bool came;            /* what was asked for: */
	int fd, error;
};

/* --- Before there is the thread. --- */

/* Those of a worker before count with what that had read. */
static int keep_none_renewed(struct worker *w)
{
	if (w->hello.kind == START_CRASH)
		return 0;
	return worker_keep_bytes(w, KEEPSAKE_RENEWED, SLICE(""));
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

int worker_renewal(struct worker *w, uint64_t now)
{
	if (keep_certificates(w) || keep_none_renewed(w))
		return -1;
	if (!w->crew.tls)
		return 0;
	struct renewing *r = must_zalloc(sizeof(*r));
	r->worker = w;
	r->bell = bell_new();
	pthread_mutex_init(&r->lock, NULL);
	w->renewing = r;
	r->gone = bell_new();
	if (r->bell < 0 || r->gone < 0) {
		log_error("certificates cannot be renewed: %m");
		return -1;
	}
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

/* --- On the thread. --- */

/* Hourly is enough: what is told has steps of days. */
static void look_at_expiry(struct worker *w)
{
	time_t now = time(NULL);
	if (w->expiry_told != 0 && now >= w->expiry_told && now - w->expiry_told < AN_HOUR)
		return;
	certificates_warn(w->crew.tls, w->expiry_told, now);
	w->expiry_told = now;
}

/* Keeps what was renewed, for the next worker should this one die. It is kept again with the next change, if it cannot be now. */
static void keep_renewed(struct worker *w)
{
	struct buffer list = {0};
	renewal_newer(w->renewal, &list);
	int fd = keepsake_make(KEEPSAKE_RENEWED, (struct slice){list.ptr, list.len});
	if (fd < 0 || channel_send(WORKER_CHANNEL, CHANNEL_KEEP_KEEPSAKE, NULL, 0, KEEPSAKE_RENEWED,
			      strlen(KEEPSAKE_RENEWED), &fd, 1, false))
		log_warn("renewed certificates cannot be kept: %m");
	if (fd >= 0)
		close(fd);
	buffer_free(&list);
}

static void put_to_use(struct worker *w)
{
	w->crew.tls = renewal_store(w->renewal);
	crew_use_tls(&w->crew, w->crew.tls);
	keep_renewed(w);
	if (w->certificates)
		certificates_write(w->certificates, w->crew.tls);
}

static void take(struct renewing *r, int fd, int error)
{
	struct worker *w = r->worker;
	bool changed = renewal_take(w->renewal, fd, error, worker_now());
	if (fd >= 0)
		close(fd);
	signer_client_forget(w->crew.signer); /* keys that did not fit: none is to be kept */
	pthread_mutex_lock(&r->lock);
	if (changed && !r->over)
		put_to_use(w);
	pthread_mutex_unlock(&r->lock);
}

/* What came since the last time. False: it is over. */
static bool hear(struct renewing *r)
{
	bell_still(r->bell);
	pthread_mutex_lock(&r->lock);
	bool over = r->over, came = r->came;
	int fd = r->fd, error = r->error;
	r->came = false;
	pthread_mutex_unlock(&r->lock);
	if (came && !over)
		take(r, fd, error);
	return !over;
}

static void ask(struct worker *w)
{
	uint64_t now = worker_now();
	int number = renewal_next(w->renewal, now);
	struct channel_count wanted = {WORKER_FILE_COUNT + (uint32_t)number};
	if (number >= 0 && channel_send(WORKER_CHANNEL, CHANNEL_OPEN, &wanted, sizeof(wanted), NULL,
				   0, NULL, 0, false))
		renewal_take(w->renewal, -1, EAGAIN, now);
}

/* How long there is nothing to do. */
static int idle_ms(const struct worker *w)
{
	uint64_t now = worker_now(), due = renewal_due(w->renewal);
	return due <= now ? 0 : due - now < LOOK_MS ? (int)(due - now) : LOOK_MS;
}

static void *run(void *argument)
{
	struct renewing *r = argument;
	struct worker *w = r->worker;
	struct pollfd polls[2] = {{.fd = renewal_descriptor(w->renewal), .events = POLLIN},
		{.fd = r->bell, .events = POLLIN}};
	prctl(PR_SET_NAME, "weir-renewal");
	while (hear(r)) {
		if (polls[0].revents)
			renewal_hear(w->renewal, worker_now());
		ask(w);
		look_at_expiry(w);
		/* what stands beside certificates, and comes and goes, is not to wake it each time */
		int idle = idle_ms(w), first = polls[0].revents ? 1 : 0;
		polls[0].revents = 0;
		poll(polls + first, COUNT_OF(polls) - first,
			first && idle > PAUSE_MS ? PAUSE_MS : idle);
	}
	bell_ring(r->gone);
	return NULL;
}

/* --- From the worker's own thread. --- */

void worker_renewal_begin(struct worker *w)
{
	struct renewing *r = w->renewing;
	int error = r ? pthread_create(&r->id, NULL, run, r) : 0;
	if (error)
		log_error(
			"certificates are not renewed: cannot start a thread: %s", strerror(error));
	else if (r)
		r->begun = true;
}

void worker_renewal_file(struct worker *w)
{
	struct renewing *r = w->renewing;
	struct channel_file file;
	if (!r || channel_head(&w->message, &file, sizeof(file)))
		return;
	int fd = file.error == 0 && w->message.fd_count == 1 ? channel_take(&w->message, 0) : -1;
	pthread_mutex_lock(&r->lock);
	bool wanted = !r->came && !r->over; /* one is asked for at a time */
	if (wanted) {
		r->came = true;
		r->fd = fd;
		r->error = fd < 0 && file.error == 0 ? EIO : file.error;
	}
	pthread_mutex_unlock(&r->lock);
	if (!wanted && fd >= 0)
		close(fd);
	bell_ring(r->bell);
}

void worker_renewal_end(struct worker *w)
{
	struct renewing *r = w->renewing;
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->over = true;
	pthread_mutex_unlock(&r->lock);
	bell_ring(r->bell);
}

bool worker_renewal_join(struct worker *w, int ms)
{
	struct renewing *r = w->renewing;
	return !r || !r->begun || bell_join(r->gone, r->id, ms);
}
