/* SPDX-License-Identifier: BSD-2-Clause */
/* Sending by the kernel's own TLS. GnuTLS makes the connection; when much of a file is to go, the kernel is given the key and the number of
 * the next record. From then on it alone sends: two who count the same records would use a nonce twice. Receiving stays with GnuTLS. */
#include "io/tls_kernel.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <limits.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include "base/check.h"
#include "io/tls_priv.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

#define RECORD_ALERT 21
/* AES-GCM is good for 2^24.5 full records of one key (RFC 8446, 5.5), and the kernel takes no new one: the connection is to end well before,
 * and does so in any case at the second of these. */
#define OCTETS_WELL  ((uint64_t)256 << 30)
#define OCTETS_MOST  ((uint64_t)380 << 30)
#define OCTETS_LEAST 256 /* what a call counts for at least */

const struct tls_kernel tls_kernel = {setsockopt, sendmsg};

/* --- What the kernel is told. --- */

union crypto {
	struct tls_crypto_info info;
	struct tls12_crypto_info_aes_gcm_128 aes128;
	struct tls12_crypto_info_aes_gcm_256 aes256;
};

/* Both of its structs in the one form. `iv` is the nonce's changing part: in TLS 1.2 the record's number, as GnuTLS has it. */
#define FILL(to, type, iv_at)                                                                      \
	do {                                                                                       \
		(to).info.cipher_type = (type);                                                    \
		memcpy((to).key, key.data, sizeof((to).key));                                      \
		memcpy((to).salt, iv.data, sizeof((to).salt));                                     \
		memcpy((to).iv, (iv_at), sizeof((to).iv));                                         \
		memcpy((to).rec_seq, number, sizeof((to).rec_seq));                                \
	} while (0)

/* The state of what is sent next. Its size; 0: not of a kind that the kernel is asked for. */
static socklen_t describe(const struct tls *tls, union crypto *crypto)
{
	gnutls_datum_t iv, key;
	unsigned char number[8];
	gnutls_cipher_algorithm_t cipher = gnutls_cipher_get(tls->session);
	if (gnutls_record_get_state(tls->session, 0, NULL, &iv, &key, number))
		return 0;
	memset(crypto, 0, sizeof(*crypto));
	crypto->info.version = tls->newest ? TLS_1_3_VERSION : TLS_1_2_VERSION;
	if (iv.size < (tls->newest ? 12 : 4))
		return 0;
	const unsigned char *changing = tls->newest ? iv.data + 4 : number;
	if (cipher == GNUTLS_CIPHER_AES_128_GCM && key.size == sizeof(crypto->aes128.key)) {
		FILL(crypto->aes128, TLS_CIPHER_AES_GCM_128, changing);
		return sizeof(crypto->aes128);
	}
	if (cipher == GNUTLS_CIPHER_AES_256_GCM && key.size == sizeof(crypto->aes256.key)) {
		FILL(crypto->aes256, TLS_CIPHER_AES_GCM_256, changing);
		return sizeof(crypto->aes256);
	}
	return 0;
}

/* Where only the second fails, the socket goes on as before. */
static bool hand_over(
	const struct tls_kernel *kernel, int fd, const union crypto *crypto, socklen_t size)
{
	static const char name[] = "tls";
	return kernel->set(fd, IPPROTO_TCP, TCP_ULP, name, sizeof(name)) == 0 &&
	       kernel->set(fd, SOL_TLS, TLS_TX, crypto, size) == 0;
}

void tls_kernel_begin(struct transport *t)
{
	struct tls *tls = t->state;
	union crypto crypto;
	if (!tls->thread->kernel || tls->kernel_tried || !tls->done || tls->failed || tls->bye ||
		tls->error)
		return;
	/* what GnuTLS made must have left, what it still has to say must be said, and what is to be read at once comes in short records */
	if (t->unsent || tls->ticket_due || tls->rekey_due || tls->small_sent < TLS_SMALL_FOR)
		return;
	check(tls->thread->out.len == 0);
	tls->kernel_tried = true;
	socklen_t size = describe(tls, &crypto);
	tls->kernel = size > 0 && hand_over(tls->thread->kernel, t->fd, &crypto, size);
	gnutls_memset(&crypto, 0, sizeof(crypto));
	if (tls->kernel)
		t->caps |= TRANSPORT_SEND_FILE;
}

/* --- Sending. --- */

/* The kernel takes what it is given before it has encrypted and queued it, and on shutdown and close it drops what it has not queued: at most
 * the rest of one record, and that only while the socket is full. The next call queues it first, if there is room. */
static bool has_room(const struct transport *t)
{
	struct pollfd wait = {.fd = t->fd, .events = POLLOUT};
	return poll(&wait, 1, 0) == 1;
}

static ssize_t sent(struct tls *tls, ssize_t n)
{
	struct transport *t = tls->transport;
	if (n <= 0)
		return n;
	tls->kernel_sent += (uint64_t)(n > OCTETS_LEAST ? n : OCTETS_LEAST);
	if (tls->newest && tls->kernel_sent >= OCTETS_WELL)
		t->worn = true;
	t->unsent = !has_room(t);
	return n;
}

/* Whether more may be sent; else what the call comes to. */
static ssize_t may_send(struct tls *tls)
{
	struct transport *t = tls->transport;
	if (tls->error || tls->failed || tls->bye ||
		(tls->newest && tls->kernel_sent >= OCTETS_MOST)) {
		errno = tls->error ? tls->error : EPIPE;
		return IO_ERROR;
	}
	t->wants = TRANSPORT_WRITE;
	return t->unsent ? IO_AGAIN : 1;
}

/* Without MSG_MORE: it would keep a record open for as long as nothing follows. TCP holds segments back for a moment only. */
ssize_t tls_kernel_write(struct tls *tls, const struct iovec *iov, int count, bool more)
{
	struct transport *t = tls->transport;
	struct msghdr message = {0};
	ssize_t n = may_send(tls);
	if (n != 1)
		return n;
	/* sendmsg only reads the vector */
	message.msg_iov = (struct iovec *)(uintptr_t)iov;
	message.msg_iovlen = count > IOV_MAX ? IOV_MAX : (size_t)count;
	if (more)
		transport_cork(t, true);
	do {
		n = tls->thread->kernel->send(t->fd, &message, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (!more && n > 0)
		transport_cork(t, false);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? IO_AGAIN : IO_ERROR;
	return sent(tls, n);
}

ssize_t tls_kernel_send_file(struct transport *t, int fd, off_t offset, size_t length, bool more)
{
	struct tls *tls = t->state;
	ssize_t n = may_send(tls);
	if (n != 1)
		return n;
	return sent(tls, transport_send_file(t, fd, offset, length, more));
}

/* Whom the kernel has no room for does not read: an alert is lost on it. */
void tls_kernel_alert(struct tls *tls, gnutls_alert_level_t level, gnutls_alert_description_t what)
{
	unsigned char octets[2] = {(unsigned char)level, (unsigned char)what};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(1)];
	} control = {0};
	struct iovec iov = {octets, sizeof(octets)};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.space)};
	struct cmsghdr *type = CMSG_FIRSTHDR(&message);
	type->cmsg_level = SOL_TLS;
	type->cmsg_type = TLS_SET_RECORD_TYPE;
	type->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(type) = RECORD_ALERT;
	ssize_t n;
	do {
		n = tls->thread->kernel->send(tls->transport->fd, &message, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	transport_cork(tls->transport, false);
}

int tls_kernel_rest(struct tls *tls)
{
	struct transport *t = tls->transport;
	t->wants = TRANSPORT_WRITE;
	t->unsent = !has_room(t);
	if (!t->unsent && tls->bye_due) {
		tls->bye_due = false;
		tls_kernel_alert(tls, GNUTLS_AL_WARNING, GNUTLS_A_CLOSE_NOTIFY);
		t->unsent = !has_room(t);
	}
	return t->unsent ? IO_AGAIN : 1;
}

/* --- What the client asks of the key. --- */

/* RFC 8446, 4.6.3: whoever asks is to be answered before any more data. GnuTLS does so with what it sends next; the kernel cannot. */
static int on_key_update(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
	const gnutls_datum_t *message)
{
	struct tls *tls = gnutls_session_get_ptr(session);
	(void)type, (void)when;
	if (!incoming || message->size != 1 || message->data[0] != 1)
		return 0;
	tls->rekey_due = true;
	if (!tls->kernel)
		return 0;
	tls->alert = GNUTLS_A_INTERNAL_ERROR;
	return GNUTLS_E_UNIMPLEMENTED_FEATURE;
}

void tls_kernel_init(struct tls *tls)
{
	if (tls->thread->kernel && tls->newest)
		gnutls_handshake_set_hook_function(
			tls->session, GNUTLS_HANDSHAKE_KEY_UPDATE, GNUTLS_HOOK_PRE, on_key_update);
}

/* --- Whether there is one. --- */

/* Two ends of a connection to itself. */
static bool connect_pair(int listener, int fds[2])
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fds[0] < 0 || bind(listener, (struct sockaddr *)&address, size) ||
		listen(listener, 1) || getsockname(listener, (struct sockaddr *)&address, &size) ||
		connect(fds[0], (struct sockaddr *)&address, size))
		return false;
	fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return fds[1] >= 0;
}

bool tls_kernel_works(const struct tls_kernel *kernel)
{
	const union crypto crypto = {.aes128 = {.info = {TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128}}};
	int fds[2] = {-1, -1};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool works = listener >= 0 && connect_pair(listener, fds) &&
		     hand_over(kernel, fds[0], &crypto, sizeof(crypto.aes128));
	int error = errno;
	const int all[] = {listener, fds[1], fds[0]};
	for (size_t i = 0; i < COUNT_OF(all); i++) {
		if (all[i] >= 0)
			close(all[i]);
	}
	errno = error;
	return works;
}

void tls_thread_kernel(struct tls_thread *thread, const struct tls_kernel *kernel)
{
	thread->kernel = kernel;
}
