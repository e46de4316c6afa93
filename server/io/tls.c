/* SPDX-License-Identifier: BSD-2-Clause */
/* The transport over GnuTLS. Each of its calls reads and sends at most once: what GnuTLS makes of it is gathered (tls_bytes.c). A
 * peer that breaks the protocol hears the alert and is then only listened to, so that no reset takes the alert away from it. */
#include "io/tls.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "io/tls_priv.h"

static uint32_t now_ms(const struct tls *tls)
{
	return (uint32_t)tls->thread->loop->clock.monotonic_ms;
}

/* --- Ends. --- */

static void say(struct tls *tls, gnutls_alert_level_t level, gnutls_alert_description_t what)
{
	if (tls->kernel)
		tls_kernel_alert(tls, level, what);
	else
		gnutls_alert_send(tls->session, level, what);
}

/* The peer broke the protocol. errno of what follows is EPROTO: it was told. */
static int fail(struct tls *tls, int error)
{
	if (!tls->failed && error != GNUTLS_E_FATAL_ALERT_RECEIVED)
		say(tls, GNUTLS_AL_FATAL, tls_alert(tls, error));
	tls->failed = true;
	tls->facts.fault = error == GNUTLS_E_FATAL_ALERT_RECEIVED
				   ? gnutls_alert_get_name(gnutls_alert_get(tls->session))
				   : gnutls_strerror(error);
	tls->facts.ours = tls_alert(tls, error) == GNUTLS_A_INTERNAL_ERROR;
	return IO_ERROR;
}

/* Sends what was gathered and tells what else there is. `result` is what the call comes to, if the kernel has nothing against it. */
static ssize_t leave(struct tls *tls, ssize_t result)
{
	struct transport *t = tls->transport;
	tls_leave(tls);
	tls_send(tls);
	bool ended = tls->failed || tls->said_bye || tls->eof || tls->error;
	t->pending = (!ended && (tls->kept || gnutls_record_check_pending(tls->session) > 0)) ||
		     (ended && result > 0);
	if (tls->error && result <= 0) {
		errno = tls->error;
		return IO_ERROR;
	}
	if (result == IO_ERROR)
		errno = EPROTO;
	return result;
}

/* --- The handshake. --- */

#define METHOD_MOST 20

static void answer_in_clear(struct tls *tls)
{
	static const char text[] = "This port speaks HTTPS: ask for https:// here, not http://.\n";
	buffer_format(&tls->thread->out,
		"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
		sizeof(text) - 1, text);
	tls->failed = true;
	tls->facts.fault = "HTTP in clear on a port of HTTPS";
}

/* No record begins with a letter, every request in clear does. 1: it may be a handshake. */
static int look_at_first(struct tls *tls)
{
	const struct tls_thread *thread = tls->thread;
	tls_look_ahead(tls);
	if (thread->in_end == 0)
		return IO_AGAIN;
	tls->facts.begun = true;
	unsigned i = 0;
	while (i < thread->in_end && i < METHOD_MOST && thread->in[i] >= 'A' &&
		thread->in[i] <= 'Z')
		i++;
	if (i > 0 && i == thread->in_end && i < METHOD_MOST)
		return IO_AGAIN;
	if (i > 0 && thread->in[i] == ' ') {
		answer_in_clear(tls);
		return IO_ERROR;
	}
	tls->known = true;
	return 1;
}

/* An RFC 4514 name; one that cannot be written that way is none. */
static void name_client(struct tls *tls, const gnutls_datum_t *certificate)
{
	gnutls_x509_crt_t parsed;
	gnutls_datum_t name = {NULL, 0};
	tls->facts.certificate = (struct slice){(const char *)certificate->data, certificate->size};
	if (gnutls_x509_crt_init(&parsed))
		return;
	if (gnutls_x509_crt_import(parsed, certificate, GNUTLS_X509_FMT_DER) == 0 &&
		gnutls_x509_crt_get_dn3(parsed, &name, 0) == 0) {
		tls->subject = must_alloc(name.size + 1);
		memcpy(tls->subject, name.data, name.size);
		tls->facts.subject = (struct slice){tls->subject, name.size};
		gnutls_free(name.data);
	}
	gnutls_x509_crt_deinit(parsed);
}

static void note_facts(struct tls *tls)
{
	gnutls_datum_t protocol;
	bool newest = gnutls_protocol_get_version(tls->session) == GNUTLS_TLS1_3;
	tls->done = true;
	tls->newest = newest;
	tls_kernel_init(tls);
	tls->quiet = 0;
	tls->facts.newest = newest;
	tls->facts.version = newest ? "tls1.3" : "tls1.2";
	tls->facts.resumed = gnutls_session_is_resumed(tls->session) != 0;
	tls->facts.h2 = gnutls_alpn_get_selected_protocol(tls->session, &protocol) == 0 &&
			protocol.size == 2 && memcmp(protocol.data, "h2", 2) == 0;
	tls->ticket_due =
		newest && tls->hello.psk_modes && tls->facts.rules->client_auth == CLIENT_AUTH_OFF;
	if (tls->facts.rules->client_auth == CLIENT_AUTH_OFF)
		return;
	unsigned count = 0;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(tls->session, &count);
	if (chain && count > 0)
		name_client(tls, chain);
}

static int shake_hands(struct tls *tls)
{
	for (;;) {
		int error = gnutls_handshake(tls->session);
		if (error == 0) {
			note_facts(tls);
			return 1;
		}
		if (tls->refused || gnutls_error_is_fatal(error))
			return fail(tls, tls->refused ? GNUTLS_E_UNEXPECTED_PACKET : error);
		if (error == GNUTLS_E_WARNING_ALERT_RECEIVED && ++tls->warnings > TLS_WARN_MOST)
			return fail(tls, GNUTLS_E_UNEXPECTED_PACKET);
		if (!tls_ahead(tls))
			return IO_AGAIN;
	}
}

/* Nothing is sent to a client that has not asked for anything yet; one that waits for the acknowledgement of its last message before it
 * sends a request (Nagle) would wait for the delay of that. */
static void acknowledge(const struct tls *tls)
{
	int on = 1;
	if (!tls_ahead(tls))
		setsockopt(tls->transport->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

static int tls_start(struct transport *t)
{
	struct tls *tls = t->state;
	tls_enter(tls);
	t->wants = TRANSPORT_READ;
	int result = tls->known ? 1 : look_at_first(tls);
	if (result == 1)
		result = shake_hands(tls);
	if (result == 1)
		acknowledge(tls);
	if (result == IO_AGAIN && tls->eof)
		result = IO_EOF;
	return (int)leave(tls, result);
}

/* --- Reading. --- */

/* A renegotiation is refused; the hello that asked for it stays in GnuTLS's hands until the next call, which stumbles over it. */
static int refuse_renegotiation(struct tls *tls)
{
	if (++tls->warnings > TLS_WARN_MOST)
		return fail(tls, GNUTLS_E_UNEXPECTED_PACKET);
	tls->passed_over = true;
	say(tls, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION);
	return 1;
}

/* What came instead of data. 1: look for more, IO_AGAIN: there is no more, IO_EOF, IO_ERROR. */
static int no_data(struct tls *tls, ssize_t error)
{
	if (tls->refused)
		return fail(tls, GNUTLS_E_UNEXPECTED_PACKET);
	if (error == 0) {
		tls->said_bye = true;
		return IO_EOF;
	}
	if (error == GNUTLS_E_REHANDSHAKE)
		return refuse_renegotiation(tls);
	if (error == GNUTLS_E_UNEXPECTED_PACKET && tls->passed_over) {
		tls->passed_over = false;
		return 1;
	}
	if (error == GNUTLS_E_WARNING_ALERT_RECEIVED)
		return ++tls->warnings > TLS_WARN_MOST ? fail(tls, GNUTLS_E_UNEXPECTED_PACKET) : 1;
	if (gnutls_error_is_fatal((int)error))
		return fail(tls, (int)error);
	if (!tls_ahead(tls))
		return tls->eof ? IO_EOF : IO_AGAIN;
	return ++tls->empty > TLS_EMPTY_MOST ? fail(tls, GNUTLS_E_UNEXPECTED_PACKET) : 1;
}

/* Whatever comes after an alert is taken from the socket and means nothing. */
static ssize_t discard(struct transport *t, void *to, size_t size)
{
	ssize_t got;
	do {
		got = recv(t->fd, to, size, 0);
	} while (got < 0 && errno == EINTR);
	if (got >= 0)
		return got;
	t->wants = TRANSPORT_READ;
	return errno == EAGAIN || errno == EWOULDBLOCK ? IO_AGAIN : IO_ERROR;
}

static ssize_t tls_read(struct transport *t, void *to, size_t size)
{
	struct tls *tls = t->state;
	size_t taken = 0;
	int result = 1;
	if (tls->failed && !t->pending)
		return discard(t, to, size);
	tls_enter(tls);
	t->wants = TRANSPORT_READ;
	if (t->pending && tls->failed)
		result = IO_ERROR; /* what came before it was given already */
	else if (tls->said_bye)
		result = IO_EOF;
	while (taken < size && result == 1) {
		if (taken > 0 && !tls_ahead(tls) && gnutls_record_check_pending(tls->session) == 0)
			break;
		ssize_t got = gnutls_record_recv(tls->session, (char *)to + taken, size - taken);
		if (got > 0) {
			taken += (size_t)got;
			tls->empty = 0;
			tls->quiet = 0;
		} else {
			result = no_data(tls, got);
		}
	}
	return leave(tls, taken > 0 ? (ssize_t)taken : result);
}

/* --- Writing. --- */

/* How long the next record is: what a peer reads first, or after a pause, it is not to wait for; and never more than was agreed by
 * max_fragment_length (RFC 6066 §4), which GnuTLS obeys when it reads, but not when it writes. */
static size_t record_room(const struct tls *tls)
{
	size_t room = tls->small_sent < TLS_SMALL_FOR ? TLS_RECORD_SMALL : TLS_RECORD;
	size_t agreed = gnutls_record_get_max_size(tls->session);
	return room < agreed ? room : agreed;
}

/* Where the octets of a write stand. */
struct cursor {
	const struct iovec *iov;
	int count;
	size_t offset; /* in the first of them */
};

static void advance(struct cursor *at, size_t length)
{
	at->offset += length;
	while (at->count > 0 && at->offset >= at->iov->iov_len) {
		at->offset -= at->iov->iov_len;
		at->iov++;
		at->count--;
	}
}

/* The octets of one record: where they stand if they stand together, else gathered. */
static const char *gather(struct tls *tls, const struct cursor *at, size_t room, size_t *length)
{
	size_t there = at->iov->iov_len - at->offset;
	const char *first = (const char *)at->iov->iov_base + at->offset;
	*length = there < room ? there : room;
	if (there >= room || at->count == 1)
		return first;
	struct cursor from = *at;
	size_t used = 0;
	while (from.count > 0 && used < room) {
		size_t piece = from.iov->iov_len - from.offset;
		if (piece > room - used)
			piece = room - used;
		memcpy(tls->thread->plain + used, (const char *)from.iov->iov_base + from.offset,
			piece);
		used += piece;
		advance(&from, piece);
	}
	*length = used;
	return tls->thread->plain;
}

/* One ticket, beside what is sent anyway. */
static void send_ticket(struct tls *tls)
{
	tls->ticket_due = false;
	gnutls_session_ticket_send(tls->session, 1, 0);
}

static ssize_t encrypt(struct tls *tls, struct cursor *at)
{
	size_t taken = 0;
	while (at->count > 0 && taken < TLS_BATCH) {
		size_t length;
		const char *bytes = gather(tls, at, record_room(tls), &length);
		ssize_t sent = gnutls_record_send(tls->session, bytes, length);
		if (sent <= 0) {
			errno = EPIPE;
			return taken > 0 ? (ssize_t)taken : IO_ERROR;
		}
		if (tls->small_sent < TLS_SMALL_FOR)
			tls->small_sent += (uint32_t)sent;
		taken += (size_t)sent;
		advance(at, (size_t)sent);
	}
	return (ssize_t)taken;
}

static ssize_t tls_write(struct transport *t, const struct iovec *iov, int count, bool more)
{
	struct tls *tls = t->state;
	struct cursor at = {iov, count, 0};
	if (tls->kernel)
		return tls_kernel_write(tls, iov, count, more);
	if (tls->error || tls->failed || tls->bye) {
		errno = tls->error ? tls->error : EPIPE;
		return IO_ERROR;
	}
	if (tls->unsent) {
		t->wants = TRANSPORT_WRITE;
		return IO_AGAIN;
	}
	advance(&at, 0);
	if (now_ms(tls) - tls->written_ms >= TLS_PAUSE_MS)
		tls->small_sent = 0;
	tls->written_ms = now_ms(tls);
	if (tls->ticket_due)
		send_ticket(tls);
	tls->rekey_due = false;
	ssize_t taken = encrypt(tls, &at);
	if (tls_send(tls)) {
		errno = tls->error;
		return IO_ERROR;
	}
	return taken;
}

static int tls_flush(struct transport *t)
{
	struct tls *tls = t->state;
	int result = tls->error ? IO_ERROR : tls_send_rest(tls);
	if (result == IO_ERROR)
		errno = tls->error;
	return result;
}

/* --- The end. --- */

static void say_bye(struct tls *tls)
{
	bool due = tls->done && !tls->failed && !tls->bye && !tls->error;
	tls->bye = true;
	if (tls->kernel) {
		tls->bye_due |= due;
		tls_kernel_rest(tls);
		return;
	}
	if (due)
		gnutls_bye(tls->session, GNUTLS_SHUT_WR);
	tls_send(tls);
}

/* close_notify, and the socket's half behind it. */
static int tls_finish(struct transport *t)
{
	struct tls *tls = t->state;
	say_bye(tls);
	if (tls->error) {
		errno = tls->error;
		return IO_ERROR;
	}
	tls->shut = true;
	return tls_send_rest(tls);
}

static void tls_close(struct transport *t, bool reset)
{
	struct tls *tls = t->state;
	if (!reset && !tls->eof)
		say_bye(tls);
	gnutls_deinit(tls->session);
	tls_store_put(tls->store);
	tls_bytes_free(tls);
	free(tls->name);
	free(tls->subject);
	free(tls);
	if (reset) {
		struct linger linger = {.l_onoff = 1, .l_linger = 0};
		setsockopt(t->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	}
	close(t->fd);
	t->fd = -1;
	t->state = NULL;
}

/* --- The beginning. --- */

/* A client that offers protocols and none of these is refused (RFC 7301, 3.2). */
static int offer_protocols(gnutls_session_t session)
{
	static const char http2[] = "h2", http1[] = "http/1.1";
	const gnutls_datum_t protocols[] = {
		{(unsigned char *)(uintptr_t)http2, sizeof(http2) - 1},
		{(unsigned char *)(uintptr_t)http1, sizeof(http1) - 1},
	};
	return gnutls_alpn_set_protocols(session, protocols, COUNT_OF(protocols),
		GNUTLS_ALPN_MANDATORY | GNUTLS_ALPN_SERVER_PRECEDENCE);
}

int tls_init(struct transport *t, int fd, bool paced, struct tls_thread *thread,
	const struct listener_settings *listener)
{
	static const struct transport_ops ops = {
		.start = tls_start,
		.read = tls_read,
		.write = tls_write,
		.send_file = tls_kernel_send_file,
		.offload = tls_kernel_begin,
		.finish = tls_finish,
		.flush = tls_flush,
		.close = tls_close,
	};
	check(fd >= 0);
	gnutls_session_t session;
	if (gnutls_init(&session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL |
					  GNUTLS_NO_AUTO_SEND_TICKET))
		return -1;
	if (gnutls_priority_set(session, thread->widest) || offer_protocols(session)) {
		gnutls_deinit(session);
		return -1;
	}
	struct tls *tls = must_zalloc(sizeof(*tls));
	tls->thread = thread;
	tls->session = session;
	tls->transport = t;
	tls->listener = listener;
	tls->store = tls_store_get(thread->store);
	tls->written_ms = now_ms(tls);
	tls->alert = -1;
	tls_bytes_init(tls);
	tls_hello_init(tls);
	*t = (struct transport){.ops = &ops, .state = tls, .fd = fd};
	if (paced)
		t->caps |= TRANSPORT_PACED;
	return 0;
}

const struct tls_facts *tls_facts(const struct transport *t)
{
	const struct tls *tls = t->state;
	return &tls->facts;
}
