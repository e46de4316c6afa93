/* SPDX-License-Identifier: BSD-2-Clause */
/* The TLS transport's own state, for the files that it is made of. */
#ifndef WEIR_IO_TLS_PRIV_H
#define WEIR_IO_TLS_PRIV_H

#include <gnutls/gnutls.h>

#include "base/bytes.h"
#include "base/chunk.h"
#include "io/tls.h"
#include "io/tls_cred.h"
#include "io/tls_kernel.h"
#include "io/tls_strict.h"

#define TLS_INPUT (64 * 1024) /* octets of ciphertext that one recv may take */
#define TLS_BATCH                                                                                  \
	(128 * 1024) /* octets that one write takes: each wakes the peer; what a slow one's connection may have to keep */
#define TLS_RECORD       16384 /* of plaintext, the most that a record holds */
#define TLS_RECORD_SMALL 1400  /* one that fits a segment: its reader need not wait for the next */
#define TLS_SMALL_FOR                                                                              \
	(16 * 1024) /* so many octets of a connection, or after a pause, go in small ones */
#define TLS_PAUSE_MS   1000
#define TLS_HELLO_MOST (128 * 1024) /* octets of the client in a handshake */
#define TLS_QUIET_MOST (48 * 1024)  /* octets after it that bring no data, one after another */
#define TLS_EMPTY_MOST 32           /* records without data, one after another */
#define TLS_WARN_MOST  8            /* warnings and refused renegotiations of one connection */
#define TLS_NAME_MAX   256

/* What a ticket is good for: octets without holes, of which its key is made. */
struct tls_rules_id {
	unsigned char identity[32]; /* of struct tls_context */
	unsigned char sha384;
};

struct tls_thread {
	struct loop *loop;
	struct tls_store *store;
	const struct tls_kernel *kernel; /* NULL: it has no TLS */
	gnutls_priority_t
		widest; /* until the name is known: nothing that any name allows is refused before */
	unsigned char master[TLS_MASTER_SIZE];
	/* The ticket key of the rules that were asked for last. */
	struct tls_rules_id id;
	unsigned char ticket_key[TLS_MASTER_SIZE];
	bool ticket_key_set;
	/* What was read and not yet decrypted, of one connection while one of its calls lasts. */
	unsigned in_start, in_end;
	struct buffer out; /* what the present call has to send */
	char in[TLS_INPUT];
	char plain[TLS_RECORD]; /* small pieces of one record */
};

/* All that an idle connection owns besides GnuTLS's session and, where the client said one, its name. */
struct tls {
	struct tls_thread *thread;
	gnutls_session_t session;
	struct transport *transport;
	const struct listener_settings *listener;
	struct tls_store *store;
	const struct tls_context *context; /* once the name is known */
	struct chunk_block
		*kept; /* ciphertext that was read ahead and not used, from kept_start on */
	struct chunk_block *unsent; /* what the kernel did not take, from unsent_start on */
	struct tls_facts facts;
	char *name, *subject; /* memory of two of these */
	int error;            /* errno of a call to the kernel that has failed */
	uint32_t kept_start, unsent_start;
	uint32_t small_sent;  /* octets in small records since the beginning or the last pause */
	uint32_t quiet;       /* octets that came since the last data */
	uint64_t kernel_sent; /* octets that the kernel has encrypted */
	uint32_t written_ms;  /* when something was written last; wraps */
	uint8_t empty, warnings;
	struct strict_records records;
	struct strict_hello hello;
	int16_t alert; /* what the peer is refused with, where that is known; -1: what the error leads to */
	bool heard;    /* a hello came */
	bool known;    /* its first octets are a handshake's */
	bool done;     /* the handshake */
	bool received; /* the present call has asked the kernel already */
	bool eof;      /* the peer has closed its half of the socket */
	bool said_bye; /* the peer has sent close_notify */
	bool failed; /* nothing but what was gathered is sent, nothing that is read means anything */
	bool bye;    /* close_notify was sent */
	bool shut;   /* the socket's half is to be closed when all is sent */
	bool ticket_due;  /* with the next write */
	bool newest;      /* TLS 1.3 */
	bool refused;     /* by octets that GnuTLS did not get */
	bool passed_over; /* a renegotiation: what GnuTLS kept of it is next */
	bool rekey_due; /* the client has asked for another key, which GnuTLS takes before it sends more */
	bool kernel_tried;
	bool kernel;  /* sends; GnuTLS must not any more */
	bool bye_due; /* close_notify is to be sent by it */
};

/* --- tls_bytes.c: between GnuTLS and the socket. --- */

void tls_bytes_init(struct tls *tls);
/* Begins and ends a call of the transport: octets that were read ahead stay with the connection. */
void tls_enter(struct tls *tls);
void tls_leave(struct tls *tls);
/* Octets of ciphertext that were read and not yet asked for. */
bool tls_ahead(const struct tls *tls);
/* Reads ahead, once a call. False: nothing came. */
bool tls_fill(struct tls *tls);
/* Makes all that has come stand together in the thread's buffer; at the beginning of a connection, when that is little. */
void tls_look_ahead(struct tls *tls);
/* Sends what was gathered, once; what the kernel does not take is kept. 0, or -1 with tls->error. */
int tls_send(struct tls *tls);
/* Goes on with what was kept. 1, IO_AGAIN or IO_ERROR. */
int tls_send_rest(struct tls *tls);
void tls_bytes_free(struct tls *tls);

/* --- tls_kernel.c: the kernel sends. --- */

/* After the handshake. */
void tls_kernel_init(struct tls *tls);
/* Hands the sending over to it, where that can be. */
void tls_kernel_begin(struct transport *t);
/* As the transport's calls, when it does. */
ssize_t tls_kernel_write(struct tls *tls, const struct iovec *iov, int count, bool more);
ssize_t tls_kernel_send_file(struct transport *t, int fd, off_t offset, size_t length, bool more);
void tls_kernel_alert(struct tls *tls, gnutls_alert_level_t level, gnutls_alert_description_t what);
/* Waits until it holds nothing that shutdown or close would make it drop; then close_notify, if that is due. 1 or IO_AGAIN. */
int tls_kernel_rest(struct tls *tls);

/* --- tls_hello.c: what the client's first message decides. --- */

void tls_hello_init(struct tls *tls);
/* The alert that an error of the handshake or of a record is answered with. */
gnutls_alert_description_t tls_alert(const struct tls *tls, int error);

#endif
