/* SPDX-License-Identifier: BSD-2-Clause */
/* What a connection has queued, into its transport: memory and files, as far as the peer takes them and others have their turn, too. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/counters.h"
#include "io/disk.h"
#include "wire/wire_priv.h"

#define IOV_MOST 64
#define SHORT    512 /* octets that are copied to stand beside others */
#define PAGE     4096
#define HELD_BACK_MOST                                                                             \
	(15 * PAGE) /* octets of head and body that are one part, wherever the file is begun */
#define OFFLOAD_FROM                                                                               \
	(64 * 1024) /* octets of a file: with fewer, handing over costs more than it saves */

size_t conn_room(const struct conn *c)
{
	if (c->broken || c->dead)
		return 0;
	if (c->out.length - c->out.memory >= CHUNK_SPAN || c->out.memory >= CONN_HIGH_WATER)
		return 0;
	return CONN_HIGH_WATER - c->out.memory;
}

static void account_write(struct conn *c, size_t n)
{
	chunks_consume(&c->out, n);
	c->progress = conn_now_ms(c);
	c->rate_bytes += (uint32_t)n;
	counter_add(c->wire->thread->counters, COUNTER_BYTES_OUT, (int64_t)n);
}

/* May a head wait for the file that is next? The kernel takes files by 16 pages. Where sending is paced it costs a timer if the first of
 * such parts, with the head, is not a whole segment of the loopback, and others follow. */
static bool may_hold_back(const struct conn *c, const struct chunk *file)
{
	return !(c->transport.caps & TRANSPORT_PACED) || file->offset % PAGE == 0 ||
	       c->out.length <= HELD_BACK_MOST;
}

static ssize_t write_memory(struct conn *c)
{
	struct iovec iov[IOV_MOST];
	int count = 0;
	const struct chunk *span = c->out.first;
	for (; span && span->ptr && count < IOV_MOST; span = span->next)
		iov[count++] = (struct iovec){(void *)(uintptr_t)span->ptr, span->length};
	return c->transport.ops->write(&c->transport, iov, count, span && may_hold_back(c, span));
}

/* Notes that octets of a file go in this turn of the loop. True: the first ones. */
static bool begin_piece(struct conn *c)
{
	uint32_t turn = loop_turn(c->wire->loop);
	bool first = c->file_turn != turn;
	c->file_turn = turn;
	return first;
}

/* May that be sent? Between two pieces a file becomes another version, and what is mixed must not end as if it were whole. What happened to
 * files is taken up as a turn of the loop begins: behind another piece of this turn the file itself is asked. Who has written since the turn
 * began is not noticed, nor who writes behind the last piece: the pages stay the file's own until the peer has them. */
static bool piece_stands(struct conn *c, const struct chunk *span, bool last)
{
	bool first = begin_piece(c);
	return chunk_stands(span, last ? CHUNK_AT_END : CHUNK_AHEAD) &&
	       (first || !last || chunk_stands(span, CHUNK_BEHIND));
}

static size_t quantum_of(const struct conn *c)
{
	return c->transport.caps & TRANSPORT_PACED ? CHUNK_QUANTUM_PACED : CHUNK_QUANTUM;
}

/* Shall a short segment wait for what follows a piece? In a long answer that saves acknowledgments, over the loopback a sixth of all that it costs,
 * for two calls; but not where sending is paced. */
static bool more_follows(const struct conn *c, const struct chunk *span, size_t length)
{
	if (length == span->length && span->next)
		return true;
	return !(c->transport.caps & TRANSPORT_PACED) &&
	       (c->more || (c->transport.corked && length < span->length));
}

static ssize_t write_file(struct conn *c)
{
	const struct chunk *span = c->out.first;
	size_t length = chunk_piece(span, quantum_of(c));
	if (piece_stands(c, span, length == span->length && !span->cut))
		return c->transport.ops->send_file(&c->transport, span->fd, span->offset, length,
			more_follows(c, span, length));
	errno = ESTALE;
	return IO_ERROR;
}

/* The octets at the beginning of a span of a file, in memory. */
static ssize_t read_file(const struct chunk *span, char *to, size_t size)
{
	ssize_t n = IO_ERROR;
	bool stands = chunk_stands(span, CHUNK_AHEAD);
	if (stands)
		n = transport_file_bytes(span->fd, span->offset, to,
			span->length < size ? (size_t)span->length : size);
	if (n > 0 && !span->cut)
		stands = chunk_stands(span, CHUNK_BEHIND);
	if (stands)
		return n;
	errno = ESTALE;
	return IO_ERROR;
}

/* Octets for one write: short ones and those of files stand together in the loop's scratch, so that nobody gathers them again. */
struct mixture {
	struct iovec iov[IOV_MOST];
	int count;
	char *bytes;
	size_t used;
};

static void mix(struct mixture *m, const void *at, size_t length)
{
	struct iovec *last = m->count > 0 ? &m->iov[m->count - 1] : NULL;
	if (at == m->bytes + m->used)
		m->used += length;
	if (last && (const char *)last->iov_base + last->iov_len == at)
		last->iov_len += length;
	else
		m->iov[m->count++] = (struct iovec){(void *)(uintptr_t)at, length};
}

/* Where the transport cannot send files: what comes next of either kind, so that a head and the beginning of its body leave together.
 * What is wrong with a file, or cold, counts when it is the first. */
static ssize_t write_mixed(struct conn *c)
{
	struct mixture m = {.bytes = c->wire->loop->scratch};
	const struct chunk *span = c->out.first;
	for (; span && m.count < IOV_MOST && m.used < LOOP_SCRATCH; span = span->next) {
		char *to = m.bytes + m.used;
		if (span->ptr && (span->length > SHORT || span->length > LOOP_SCRATCH - m.used)) {
			mix(&m, span->ptr, (size_t)span->length);
			continue;
		}
		if (span->ptr) {
			memcpy(to, span->ptr, (size_t)span->length);
			mix(&m, to, (size_t)span->length);
			continue;
		}
		begin_piece(c);
		ssize_t n = read_file(span, to, LOOP_SCRATCH - m.used);
		if (n <= 0 && m.count == 0)
			return n;
		if (n <= 0)
			break;
		mix(&m, to, (size_t)n);
		if ((uint64_t)n < span->length)
			break;
	}
	return c->transport.ops->write(&c->transport, m.iov, m.count, span != NULL);
}

/* --- Cold pages. --- */

/* Pages of a file that are read into memory by an I/O thread. Its file is held; the connection may end before. */
struct conn_cold {
	struct disk_job job;
	struct conn *conn; /* NULL: nobody waits any more */
	struct ref *owner;
	int fd;
	off_t offset;
	size_t length;
	int error;
};

static void cold_work(struct disk_job *job)
{
	struct conn_cold *cold = container_of(job, struct conn_cold, job);
	char page[PAGE];
	for (size_t at = 0; at < cold->length && !cold->error; at += sizeof(page)) {
		if (pread(cold->fd, page, sizeof(page), cold->offset + (off_t)at) < 0)
			cold->error = errno;
	}
}

static void cold_done(struct disk_job *job)
{
	struct conn_cold *cold = container_of(job, struct conn_cold, job);
	struct conn *c = cold->conn;
	if (c) {
		c->cold = NULL;
		if (cold->error) {
			c->fault = END_DISK_ERROR;
			conn_break(c, true);
		}
		conn_touch(c);
	}
	ref_put(cold->owner);
	free(cold);
}

void conn_cold_forget(struct conn *c)
{
	if (c->cold)
		c->cold->conn = NULL;
	c->cold = NULL;
}

/* The first span's pages are not in memory. True: the connection waits for them. Only files of local disks and of memory stand in spans
 * (handlers/file), so that asking for the device does not block. */
static bool fetch_cold(struct conn *c)
{
	const struct chunk *span = c->out.first;
	if (!c->wire->thread->disk)
		return false;
	struct stat s;
	struct conn_cold *cold = must_zalloc(sizeof(*cold));
	cold->conn = c;
	cold->fd = span->fd;
	cold->offset = span->offset;
	cold->length = span->length < LOOP_SCRATCH ? (size_t)span->length : LOOP_SCRATCH;
	cold->job.work = cold_work;
	cold->job.done = cold_done;
	if (fstat(span->fd, &s) == 0)
		cold->job.lane = disk_lane(s.st_dev);
	if (!disk_submit(c->wire->thread->disk, c->wire->loop, &cold->job)) {
		free(cold);
		return false;
	}
	cold->owner = span->owner;
	if (cold->owner)
		ref_get(cold->owner);
	c->cold = cold;
	return true;
}

/* Too much to do for the I/O threads: the loop reads a page itself. */
static bool read_cold(struct conn *c)
{
	char octet;
	const struct chunk *span = c->out.first;
	return pread(span->fd, &octet, 1, span->offset) >= 0;
}

/* What is announced cannot be sent any more: by the file's fault, or the client has gone. */
static enum exchange_end write_fault(bool file, ssize_t n)
{
	if (!file)
		return END_CLIENT_GONE;
	if (n == 0 || errno == ESTALE)
		return END_FILE_CHANGED;
	return errno == EIO ? END_DISK_ERROR : END_CLIENT_GONE;
}

static void spend(size_t *budget, size_t cost)
{
	*budget -= cost < *budget ? cost : *budget;
}

bool conn_spend(struct conn *c, size_t *budget, size_t cost)
{
	spend(budget, cost);
	if (*budget > 0)
		return true;
	loop_defer(c->wire->loop, &c->task);
	return false;
}

/* What was taken earlier and not sent. True: it is gone. */
static bool flush_transport(struct conn *c)
{
	int result = c->transport.ops->flush(&c->transport);
	if (result == 1) {
		c->progress = conn_now_ms(c);
		return true;
	}
	if (result == IO_AGAIN)
		c->blocked = true;
	else
		conn_break(c, true);
	return false;
}

/* Nothing was written. True: try again. */
static bool not_written(struct conn *c, bool file, ssize_t n)
{
	if (n == IO_AGAIN && file && !(c->transport.caps & TRANSPORT_SEND_FILE) &&
		!c->transport.unsent) {
		if (fetch_cold(c))
			return false;
		if (read_cold(c))
			return true;
		n = IO_ERROR;
	}
	if (n == IO_AGAIN) {
		c->blocked = true;
		return false;
	}
	c->fault = (uint8_t)write_fault(file, n);
	conn_break(c, true);
	return false;
}

/* Whether the transport sends files itself; where much of one is next, it may learn to. In frames of HTTP/2 it never is: there each would
 * cost two calls and two records, more than is saved. */
static bool sends_files(struct conn *c)
{
	struct transport *t = &c->transport;
	const struct chunk *span = c->out.first;
	if (!(t->caps & TRANSPORT_SEND_FILE) && t->ops->offload && !span->ptr &&
		span->length >= OFFLOAD_FROM)
		t->ops->offload(t);
	return t->caps & TRANSPORT_SEND_FILE;
}

bool conn_flush(struct conn *c, size_t *budget)
{
	if (c->transport.unsent && !flush_transport(c))
		return false;
	while (!chunks_empty(&c->out)) {
		const struct chunk *span = c->out.first;
		bool file = !span->ptr;
		bool by_kernel = sends_files(c);
		size_t quantum = quantum_of(c);
		size_t asked = file && by_kernel ? chunk_piece(span, quantum) : 0;
		ssize_t n = !by_kernel ? write_mixed(c) : file ? write_file(c) : write_memory(c);
		if (n <= 0) {
			if (!not_written(c, file, n))
				return false;
			continue;
		}
		account_write(c, (size_t)n);
		if (c->transport.unsent) {
			c->blocked = true;
			return false;
		}
		/* The socket is full, or the file was cut: asked again when what happened to files was taken up. Behind a whole quantum it is the
		 * others' turn; the peer takes meanwhile, so that sockets seldom get full. */
		if ((size_t)n < asked ||
			(asked == quantum && (c->more || !chunks_empty(&c->out)))) {
			loop_postpone(c->wire->loop, &c->task);
			return false;
		}
		if (chunks_empty(&c->out)) /* maybe the end of an answer, which waits for nobody */
			spend(budget, (size_t)n);
		else if (!conn_spend(c, budget, (size_t)n))
			return false;
	}
	return true;
}
