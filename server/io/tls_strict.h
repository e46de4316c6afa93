/* SPDX-License-Identifier: BSD-2-Clause */
/* What RFC 8446 demands of a ClientHello and GnuTLS does not look at. Pure functions on what came. */
#ifndef WEIR_IO_TLS_STRICT_H
#define WEIR_IO_TLS_STRICT_H

#include "base/bytes.h"

/* Alerts, by their numbers in RFC 8446, 6.2. */
enum {
	STRICT_GOOD = -1,
	STRICT_UNEXPECTED_MESSAGE = 10,
	STRICT_ILLEGAL_PARAMETER = 47,
	STRICT_DECODE_ERROR = 50,
	STRICT_MISSING_EXTENSION = 109,
};

/* A ClientHello, as far as its version does not matter. */
struct strict_hello {
	bool groups, shares, signatures, psk, psk_modes; /* extensions that it has */
	bool sha384; /* of the suites of TLS 1.3 that are preferred here, the first that it has is with SHA-384 */
	bool plain; /* its one compression method is none at all */
};
/* Reads the body of the message. STRICT_GOOD or the alert that it is answered with; what it lacks otherwise is GnuTLS's to say. */
int strict_hello_read(struct strict_hello *hello, struct slice body);
/* And now TLS 1.3 is spoken. */
int strict_hello_newest(const struct strict_hello *hello);

/* The records of one direction, from their headers alone, as they come in pieces. All zero at the beginning. */
struct strict_records {
	unsigned char header[5];
	uint8_t have;  /* octets of the header */
	uint16_t left; /* of the record's body */
};
/* Where the connection is. */
enum strict_phase { STRICT_HELLO, STRICT_HANDSHAKE, STRICT_DATA_1_2, STRICT_DATA_1_3 };
/* Takes the next octets. STRICT_GOOD or the alert. */
int strict_records_take(
	struct strict_records *records, enum strict_phase phase, struct slice bytes);

#endif
