/* SPDX-License-Identifier: BSD-2-Clause */
/* How an exchange ended and who ended it: the reasons of the access log, once for all. */
#ifndef WEIR_HTTP_END_H
#define WEIR_HTTP_END_H

/* A new one gets its row in end.c, from which the manual is made. */
enum exchange_end {
	END_COMPLETE,
	/* the client */
	END_CLIENT_GONE,
	END_CLIENT_HEADER,
	END_CLIENT_BODY,
	END_CLIENT_SEND,
	END_CLIENT_RATE,
	/* refused */
	END_BAD_HEAD,
	END_BAD_BODY,
	END_BODY_SIZE,
	END_TARGET_SIZE,
	END_HEAD_SIZE,
	END_EXPECTATION,
	END_MISDIRECTED,
	END_UNSUPPORTED,
	END_CONNECTIONS,
	/* the backend */
	END_BACKEND_CONNECT,
	END_BACKEND_TIMEOUT,
	END_BACKEND_MALFORMED,
	END_BACKEND_CLOSED,
	END_BACKEND_BUSY,
	END_BACKEND_DOWN,
	END_TUNNEL_IDLE,
	END_CIRCLE,
	/* this machine */
	END_FILE_CHANGED,
	END_DISK_ERROR,
	END_SHUTDOWN,
	END_INTERNAL,
	END_COUNT
};

/* What stands in logs, and one sentence for the manual. */
struct end_row {
	const char *code;
	const char *meaning;
};
const struct end_row *end_row(enum exchange_end end);

/* Why a head was refused with this status. */
enum exchange_end end_of_head(unsigned status);
/* Why a request's body was refused with this status. */
enum exchange_end end_of_body(unsigned status);

#endif
