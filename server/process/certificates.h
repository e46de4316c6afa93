/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known of the certificates in use: in shared memory, written by the worker that serves, read by `weir status`; and what the log is told
 * of those that are about to expire. */
#ifndef WEIR_PROCESS_CERTIFICATES_H
#define WEIR_PROCESS_CERTIFICATES_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct snapshot;
struct tls_store;

#define CERTIFICATES_MAX  4096 /* that are told of */
#define CERTIFICATE_TEXT  248
#define CERTIFICATE_NAMES 504

struct certificate_row {
	char names
		[CERTIFICATE_NAMES]; /* with blanks between them; "…" at the end where there are more */
	char path[CERTIFICATE_TEXT];
	char issuer[CERTIFICATE_TEXT];
	int64_t begins, ends;
	int64_t ocsp_ends; /* 0: does not say, or none is shown */
	uint32_t self_signed, stand_in, obtained, ocsp;
};

struct certificates;

/* A memory file for the certificates of a snapshot. A descriptor, or -1 with errno. */
int certificates_make(const struct snapshot *snapshot);
/* Maps it, for writing or for reading. NULL: it is none. */
struct certificates *certificates_map(int fd, bool write);
void certificates_unmap(struct certificates *certificates);
/* By one writer. `store` may be NULL: there are none. */
void certificates_write(struct certificates *certificates, const struct tls_store *store);
/* How many there are; and one of them, with a NUL in each text and no controls. False: it was just being written. */
uint32_t certificates_count(const struct certificates *certificates);
bool certificates_read(
	const struct certificates *certificates, uint32_t index, struct certificate_row *row);

/* Tells the log which certificates expire soon, or have expired: at first (`last` 0) all of them, later those that have come nearer since
 * `last`: 30, 14 and 7 days before, then each day. Of those that live shorter, or are obtained by weir itself, later. */
void certificates_warn(const struct tls_store *store, time_t last, time_t now);
/* A number that rises each time when it is to be told that a certificate which is valid for that long expires in so many seconds; 0: not yet. */
int certificates_stage(int64_t lifetime, int64_t left, bool obtained);

#endif
