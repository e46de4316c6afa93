/* SPDX-License-Identifier: BSD-2-Clause */
/* The folder of the state: certificates and keys as uacme lays them out, and what weir remembers beside them, for starts to come and for other
 * machines that share the folder:
 *   NAME/cert.pem, private/NAME/key.pem, private/key.pem    uacme's
 *   challenge/TOKEN      what an authority may ask for just now
 *   weir/NAME.state      what was tried
 *   weir/lock, lease     who works here */
#ifndef WEIR_PROCESS_ACME_STATE_H
#define WEIR_PROCESS_ACME_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "process/acme_plan.h"

#define ACME_CHALLENGES "challenge"
#define ACME_OWN        "weir"
#define RECORD_TEXT     480

/* Makes the folder (0700) with its parents (0755), and what belongs in it, for an account; `uid` -1: for whoever calls. 0, or -1 after a
 * message that says what to do. */
int acme_state_make(const char *path, uid_t uid, gid_t gid);

/* Makes the folders of one certificate there, so that they can be watched before uacme makes files in them. Nothing is said: uacme makes what
 * is not there. */
void acme_state_make_name(const char *path, const char *name, uid_t uid, gid_t gid);

/* --- What was tried. --- */

struct acme_record {
	uint64_t
		about; /* of what it was: a record of other names or of another directory holds nothing back */
	unsigned failures;      /* in a row */
	int64_t last, next;     /* times: of the last attempt, and before which there is none */
	bool good;              /* the last one */
	char text[RECORD_TEXT]; /* how it went */
};

/* Of a certificate, or of an account: by the name of its file. A record that is not there or of something else is all zero but for `about`;
 * 0 asks for one of whatever it may be. */
void acme_record_read(int state, const char *name, uint64_t about, struct acme_record *record);
/* What was tried last for the certificate at this path (STATE/NAME/cert.pem), or for the account where that is what fails. False: nothing is known,
 * or it may not be read. */
bool acme_record_of(const char *certificate_path, struct acme_record *record);
/* 0, or -1 with errno. */
int acme_record_write(int state, const char *name, const struct acme_record *record);

/* --- One at a time. --- */

struct acme_lock {
	int state; /* borrowed */
	int file;  /* that is locked; -1: none is */
};

enum acme_locked { ACME_LOCKED, ACME_BUSY, ACME_LOCK_FAILED };

/* Takes the folder, without waiting. Locks bind processes of one machine and, as a rule, those of a shared file system; where they do not, the
 * lease does: a file with an owner, that is touched as long as he works. ACME_LOCK_FAILED: errno. */
enum acme_locked acme_lock_take(struct acme_lock *lock, int state);
/* Says that work goes on; at least once a minute. */
void acme_lock_touch(const struct acme_lock *lock);
void acme_lock_release(struct acme_lock *lock);

/* Removes tokens that were left behind; by who holds the lock. */
void acme_state_sweep(int state);
/* Removes the certificates that uacme put aside for this name, but for the last one. */
void acme_state_prune(int state, const char *name);

#endif
