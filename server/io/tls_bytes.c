/* SPDX-License-Identifier: BSD-2-Clause */
/* Ciphertext between GnuTLS and the socket: read ahead by one recv a call, gathered and sent by one send a call. Both buffers are the
 * thread's; a connection owns one only while its peer is in the middle of something. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "io/tls_priv.h"

#define OUT_KEPT (256 * 1024) /* what the thread's buffer may hold on to */

/* --- In. --- */

bool tls_ahead(const struct tls *tls)
{
	return tls->kept || tls->thread->in_start != tls->thread->in_end;
}

bool tls_fill(struct tls *tls)
{
	struct tls_thread *thread = tls->thread;
	if (tls->received || tls->eof || tls->error)
		return false;
	tls->received = true;
	if (thread->in_start == thread->in_end)
		thread->in_start = thread->in_end = 0;
	ssize_t got;
	do {
		got = recv(tls->transport->fd, thread->in + thread->in_end,
			sizeof(thread->in) - thread->in_end, 0);
	} while (got < 0 && errno == EINTR);
	if (got > 0)
		thread->in_end += (unsigned)got;
	else if (got == 0)
		tls->eof = true;
	else if (errno != EAGAIN && errno != EWOULDBLOCK)
		tls->error = errno;
	return got > 0;
}

static size_t take_kept(struct tls *tls, void *to, size_t size)
{
	size_t there = tls->kept->used - tls->kept_start;
	if (size > there)
		size = there;
	memcpy(to, tls->kept->bytes + tls->kept_start, size);
	tls->kept_start += (uint32_t)size;
	if (tls->kept_start == tls->kept->used) {
		ref_put(&tls->kept->ref);
		tls->kept = NULL;
	}
	return size;
}

void tls_look_ahead(struct tls *tls)
{
	struct tls_thread *thread = tls->thread;
	if (tls->kept)
		thread->in_end = (unsigned)take_kept(tls, thread->in, sizeof(thread->in));
	check(!tls->kept);
	tls_fill(tls);
}

/* Octets that GnuTLS takes are looked at in its stead where it is lenient. Refused ones it does not get. */
static ssize_t judged(struct tls *tls, const void *bytes, size_t length)
{
	enum strict_phase phase = !tls->heard   ? STRICT_HELLO
				  : !tls->done  ? STRICT_HANDSHAKE
				  : tls->newest ? STRICT_DATA_1_3
						: STRICT_DATA_1_2;
	int alert = strict_records_take(&tls->records, phase, (struct slice){bytes, length});
	tls->quiet += (uint32_t)length;
	if (alert == STRICT_GOOD && tls->quiet > (tls->done ? TLS_QUIET_MOST : TLS_HELLO_MOST))
		alert = tls->done ? STRICT_UNEXPECTED_MESSAGE : STRICT_DECODE_ERROR;
	if (alert == STRICT_GOOD)
		return (ssize_t)length;
	tls->alert = (int16_t)alert;
	tls->refused = true;
	gnutls_transport_set_errno(tls->session, EAGAIN);
	return -1;
}

/* Neither the end nor an error is told to GnuTLS, which would send nothing afterwards: both are judged when its call is over. */
static ssize_t pull(gnutls_transport_ptr_t pointer, void *to, size_t size)
{
	struct tls *tls = pointer;
	struct tls_thread *thread = tls->thread;
	if (tls->kept)
		return judged(tls, to, take_kept(tls, to, size));
	if (thread->in_start == thread->in_end && !tls_fill(tls)) {
		gnutls_transport_set_errno(tls->session, EAGAIN);
		return -1;
	}
	size_t there = thread->in_end - thread->in_start;
	if (size > there)
		size = there;
	memcpy(to, thread->in + thread->in_start, size);
	thread->in_start += (unsigned)size;
	return judged(tls, to, size);
}

static int pull_timeout(gnutls_transport_ptr_t pointer, unsigned ms)
{
	(void)ms;
	return tls_ahead(pointer);
}

void tls_enter(struct tls *tls)
{
	check(tls->thread->in_start == tls->thread->in_end && tls->thread->out.len == 0);
	tls->thread->in_start = tls->thread->in_end = 0;
	tls->received = false;
}

void tls_leave(struct tls *tls)
{
	struct tls_thread *thread = tls->thread;
	size_t left = thread->in_end - thread->in_start;
	if (left > 0 && !tls->failed) {
		check(!tls->kept);
		tls->kept = chunk_block(left);
		memcpy(tls->kept->bytes, thread->in + thread->in_start, left);
		tls->kept->used = (uint32_t)left;
		tls->kept_start = 0;
	}
	thread->in_start = thread->in_end = 0;
}

/* --- Out. --- */

static ssize_t push(gnutls_transport_ptr_t pointer, const giovec_t *iov, int count)
{
	struct tls *tls = pointer;
	if (tls->kernel) { /* it counts the records: another with a number of its own would give the key away */
		tls->error = EPROTO;
		gnutls_transport_set_errno(tls->session, EPROTO);
		return -1;
	}
	size_t before = tls->thread->out.len;
	for (int i = 0; i < count; i++)
		buffer_append(&tls->thread->out, iov[i].iov_base, iov[i].iov_len);
	return (ssize_t)(tls->thread->out.len - before);
}

/* Octets that the kernel takes: 0 when it is full. */
static ssize_t give(struct tls *tls, const char *bytes, size_t length)
{
	ssize_t sent;
	do {
		sent = send(tls->transport->fd, bytes, length, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return sent;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return 0;
	tls->error = errno;
	return -1;
}

/* Behind what is kept already. */
static void keep_unsent(struct tls *tls, const char *bytes, size_t length)
{
	size_t old = tls->unsent ? tls->unsent->used - tls->unsent_start : 0;
	struct chunk_block *block = chunk_block(old + length);
	if (old)
		memcpy(block->bytes, tls->unsent->bytes + tls->unsent_start, old);
	memcpy(block->bytes + old, bytes, length);
	block->used = (uint32_t)(old + length);
	if (tls->unsent)
		ref_put(&tls->unsent->ref);
	tls->unsent = block;
	tls->unsent_start = 0;
	tls->transport->unsent = true;
}

int tls_send(struct tls *tls)
{
	struct buffer *out = &tls->thread->out;
	if (out->len == 0)
		return 0;
	ssize_t sent = tls->error ? -1 : tls->unsent ? 0 : give(tls, out->ptr, out->len);
	if (sent >= 0 && (size_t)sent < out->len)
		keep_unsent(tls, out->ptr + sent, out->len - (size_t)sent);
	out->len = 0;
	if (out->capacity > OUT_KEPT)
		buffer_free(out);
	return sent < 0 ? -1 : 0;
}

int tls_send_rest(struct tls *tls)
{
	struct chunk_block *block = tls->unsent;
	if (block) {
		ssize_t sent = give(
			tls, block->bytes + tls->unsent_start, block->used - tls->unsent_start);
		if (sent < 0)
			return IO_ERROR;
		tls->unsent_start += (uint32_t)sent;
		if (tls->unsent_start < block->used) {
			tls->transport->wants = TRANSPORT_WRITE;
			return IO_AGAIN;
		}
		ref_put(&block->ref);
		tls->unsent = NULL;
		tls->transport->unsent = false;
	}
	if (tls->kernel && tls_kernel_rest(tls) == IO_AGAIN)
		return IO_AGAIN;
	if (tls->shut) {
		tls->shut = false;
		shutdown(tls->transport->fd, SHUT_WR);
	}
	return 1;
}

void tls_bytes_init(struct tls *tls)
{
	gnutls_transport_set_ptr(tls->session, tls);
	gnutls_transport_set_pull_function(tls->session, pull);
	gnutls_transport_set_pull_timeout_function(tls->session, pull_timeout);
	gnutls_transport_set_vec_push_function(tls->session, push);
}

void tls_bytes_free(struct tls *tls)
{
	if (tls->kept)
		ref_put(&tls->kept->ref);
	if (tls->unsent)
		ref_put(&tls->unsent->ref);
	tls->kept = tls->unsent = NULL;
	tls->transport->unsent = tls->transport->pending = false;
}
