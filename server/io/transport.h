/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes to and from one peer. Everything above is blind to whether they are encrypted. */
#ifndef WEIR_IO_TRANSPORT_H
#define WEIR_IO_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Results of read, write, send_file, start and finish besides counts of bytes. */
enum { IO_EOF = 0, IO_AGAIN = -1, IO_ERROR = -2 /* errno says which */ };

/* What a transport waits for after IO_AGAIN. */
enum { TRANSPORT_READ = 1, TRANSPORT_WRITE = 2 };
/* What it can do. */
enum {
	TRANSPORT_SEND_FILE = 1,
	TRANSPORT_PACED = 2, /* its congestion control paces: each short segment costs a timer */
};

struct transport;

struct transport_ops {
	/* Handshake, if any: 1 when done, IO_AGAIN, IO_ERROR. */
	int (*start)(struct transport *t);
	/* > 0 bytes, IO_EOF, IO_AGAIN or IO_ERROR. */
	ssize_t (*read)(struct transport *t, void *to, size_t size);
	/* Bytes taken (maybe fewer than given), IO_AGAIN or IO_ERROR. `more`: more follows at once (MSG_MORE). */
	ssize_t (*write)(struct transport *t, const struct iovec *iov, int count, bool more);
	/* Only with TRANSPORT_SEND_FILE: bytes sent from `offset`; IO_EOF when the file ends there; IO_AGAIN, IO_ERROR. `more`: other
	 * octets follow at once, for which the last segment waits, for 200 ms at most. */
	ssize_t (*send_file)(struct transport *t, int fd, off_t offset, size_t length, bool more);
	/* Much of a file is to be sent: a transport may gain TRANSPORT_SEND_FILE by this. NULL where it is there, or never. */
	void (*offload)(struct transport *t);
	/* Says that nothing more is written: close_notify, shutdown(SHUT_WR). 1 when said, IO_AGAIN, IO_ERROR. */
	int (*finish)(struct transport *t);
	/* Goes on sending what was taken and not yet sent (`unsent`). 1 when all is sent, IO_AGAIN, IO_ERROR. NULL where nothing is held back. */
	int (*flush)(struct transport *t);
	/* Closes the descriptor and frees what belongs to it; `reset`: the peer sees a reset. */
	void (*close)(struct transport *t, bool reset);
};

struct transport {
	const struct transport_ops *ops;
	void *state; /* of TLS; plain has none */
	int fd;
	uint8_t caps;
	bool corked;  /* short segments are held back until a piece without `more` */
	bool pending; /* bytes for read() stand inside, of which the kernel will not tell */
	bool unsent;  /* bytes that write() took wait for the kernel: see flush */
	bool worn;    /* so much was sent that it should end: what is under way may be the last */
	/* After IO_AGAIN. So far each call waits for what its name says, and nobody need look: what reading makes TLS send does not wait, but
	 * stands behind what is `unsent`. */
	uint8_t wants;
};

/* Takes over a connected, non-blocking descriptor. */
void plain_init(struct transport *t, int fd, bool paced);

/* Short segments are held back, for 200 ms at most, or let go. Nothing comes of it on Unix sockets. */
void transport_cork(struct transport *t, bool on);
/* send_file, where the socket can. sendfile has no MSG_MORE: with `more` the transport is corked. */
ssize_t transport_send_file(struct transport *t, int fd, off_t offset, size_t length, bool more);

/* Turns the first bytes of a file span into memory where a transport cannot send files: at most `size` bytes at `to`.
 * > 0, IO_EOF at the end of the file, IO_AGAIN when the pages are not in memory (ask io/disk to read them), IO_ERROR. */
ssize_t transport_file_bytes(int fd, off_t offset, void *to, size_t size);

/* Lets the kernel hold little that is not yet on its way: where what is queued first need not be what is to be sent first. */
void transport_hold_little(const struct transport *t);

/* How many bytes the peer has acknowledged so far, modulo 2^32: the kernel may hold megabytes that were written but that nobody
 * has taken. 0 where it does not say (Unix sockets). */
uint32_t transport_acked(const struct transport *t);

/* Has the peer reset the connection? Of one that is not read from any more, no event tells. */
bool transport_lost(const struct transport *t);

#endif
