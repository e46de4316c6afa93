/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages between supervisor and workers, and between supervisor and commands: typed, bounded, with descriptors. */
#ifndef WEIR_PROCESS_CHANNEL_H
#define WEIR_PROCESS_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Raised whenever a message or a struct below changes its form: a command of another version is told so. */
#define CHANNEL_VERSION     4
#define CHANNEL_PAYLOAD_MAX 16384
#define CHANNEL_FDS_MAX     64

/* Descriptors that a worker finds when it starts, and a helper at the same numbers. */
#define WORKER_CHANNEL 3
#define WORKER_BIRTH   4 /* a memory file for what it has to say until it is READY */
#define HELPER_LOG     4 /* where a helper's lines go: its worker's birth file first, then the log */

enum channel_type {
	/* Supervisor to worker. */
	CHANNEL_HELLO = 1, /* struct channel_hello, path of the configuration file */
	CHANNEL_SOCKETS,   /* struct channel_count (more follow), descriptors */
	CHANNEL_KEEPSAKE,  /* no payload; one descriptor, or none when there is no such keepsake */
	CHANNEL_FILE,      /* struct channel_file; one descriptor unless there was an error */
	CHANNEL_DRAIN,     /* struct channel_drain, then addresses, a NUL behind each */
	CHANNEL_HELPER, /* struct channel_ends (more follow), descriptors; once more after a restart */
	/* Worker to supervisor. */
	CHANNEL_WANT_SOCKETS,  /* the address's text; answered by CHANNEL_SOCKETS */
	CHANNEL_KEEP_SOCKETS,  /* the address's text; descriptors */
	CHANNEL_WANT_KEEPSAKE, /* its name; answered by CHANNEL_KEEPSAKE */
	CHANNEL_KEEP_KEEPSAKE, /* its name; one descriptor. Counts from READY on; afterwards KEEPSAKE_RENEWED alone */
	CHANNEL_REGISTER, /* struct channel_register, path; with an error log that is open already its descriptor */
	CHANNEL_OPEN, /* struct channel_count: the number of a registered file; answered by CHANNEL_FILE. After READY: of FILE_CERTIFICATE only */
	CHANNEL_READY, /* struct channel_ready, path of the pid file, what is served; a NUL behind each */
	CHANNEL_RELOAD,      /* no payload: the worker asks for a reload */
	CHANNEL_LET_GO,      /* no payload: a draining worker accepts nothing any more */
	CHANNEL_WANT_HELPER, /* struct channel_want; answered by CHANNEL_HELPER. Before READY */
	CHANNEL_HELPER_STUCK, /* struct channel_count, its kind: a helper that answers no more is replaced */
	/* Supervisor to helper, beside CHANNEL_KEEPSAKE and CHANNEL_FILE. */
	CHANNEL_HELPER_HELLO, /* struct channel_helper_hello */
	CHANNEL_ENDS, /* struct channel_ends (more follow), descriptors: towards the worker */
	CHANNEL_LOG,  /* one descriptor: lines go there from now on */
	/* Helper to supervisor, beside CHANNEL_WANT_KEEPSAKE, CHANNEL_KEEP_KEEPSAKE, CHANNEL_REGISTER, CHANNEL_OPEN. */
	CHANNEL_LOCKED, /* no payload: it has given up its rights */
	/* Worker to helper, at its ends. */
	CHANNEL_PLAN, /* one descriptor: what acme is to obtain (process/acme_plan.h) */
	/* Command to supervisor. */
	CONTROL_RELOAD, /* no payload; answered by CONTROL_TEXT… and CONTROL_DONE */
	CONTROL_STOP,   /* no payload; answered by CONTROL_DONE, then the supervisor ends */
	CONTROL_STATUS, /* no payload; answered by CONTROL_STATE */
	/* Supervisor to command. */
	CONTROL_TEXT,  /* a piece of diagnostics */
	CONTROL_DONE,  /* struct channel_count: exit code; a sentence */
	CONTROL_STATE, /* struct control_state, then struct control_worker for each, struct control_helper for each; the counters and the certificates, if there are any */
	CHANNEL_TYPE_END
};

/* Why a worker is started. */
enum start_kind {
	START_FRESH,  /* the first one: reads the file */
	START_RELOAD, /* beside another: reads the file */
	START_CRASH,  /* in place of one that died: reads what that one had read */
};

struct channel_hello {
	uint32_t kind;  /* enum start_kind */
	uint32_t place; /* of the worker: no other that lives has it */
	uint32_t unprivileged;
};

struct channel_count {
	uint32_t count;
};

struct channel_file {
	uint32_t number;
	int32_t error; /* 0 or an errno */
};

/* What a registered file is for: decides who gets it, and when it is opened anew. Keys are registered by the signer and opened for
 * it alone; certificates at any time, by the worker that has registered them. */
enum file_role { FILE_ERROR_LOG, FILE_ACCESS_LOG, FILE_KEY, FILE_CERTIFICATE };

struct channel_register {
	uint32_t number; /* chosen by the worker, below REGISTRY_FILES_MAX */
	uint32_t role;
	int32_t flags; /* of open() */
	uint32_t mode;
	uint32_t uid, gid; /* of a file that had to be made; (uint32_t)-1: as it comes */
};

struct channel_drain {
	uint32_t
		all; /* every address is emptied before it is closed: nobody else accepts from it any more */
	uint32_t milliseconds;
};

struct channel_ready {
	int64_t drain;
	int64_t linger;
	uint32_t log_level;
	uint32_t threads;
};

/* Helpers: programs of the same binary that do for one worker what its own rights are too small or too large for. A starting worker
 * asks for one; the supervisor makes pairs of sockets, gives one end of each to the helper and the other ones to the worker, and
 * looks at nothing that passes between them. When a helper dies while its worker serves, it is started again and the worker is sent
 * new ends, which take the place of the old ones. The helper's end follows the worker's: it sees that nobody is at the other ends.
 *
 * What a helper may do as root, and with which rights it goes on, is decided while its worker starts, by a worker that has not read
 * from the network: kind, account and sandbox (struct channel_want) and the registered files. A helper that is started again later
 * gets the same ones, whatever worker and helper have become, and has to take nothing from its ends before it is LOCKED.
 * Keepsakes of a helper have names that begin with its kind's, and are shown to no worker. The helper of the next worker finds what was
 * kept by the one of the newest worker that was READY, also afterwards by a kind that reads it when its own rights are gone. */
enum helper_kind { HELPER_SIGNER, HELPER_ACME, HELPER_KINDS };

#define HELPER_ENDS_MAX 257 /* one a thread and one for the rest */

struct channel_want {
	uint32_t kind; /* enum helper_kind */
	uint32_t ends;
	uint32_t sandbox; /* enum sandbox_mode */
	uint32_t log_level;
	uint32_t uid, gid; /* the account that it has to take; (uint32_t)-1: it stays what it is */
};

struct channel_ends {
	uint32_t kind;
	uint32_t left; /* descriptors that follow in further messages */
};

struct channel_helper_hello {
	struct channel_want want;
	uint32_t
		start_kind; /* of its worker; START_CRASH also when the helper itself is started again */
	uint32_t again; /* its worker serves: it is started again */
	uint32_t place; /* of its worker */
	uint32_t unprivileged;
};

enum worker_state { WORKER_STARTING, WORKER_SERVING, WORKER_DRAINING };

struct control_state {
	int64_t pid;
	int64_t uptime;      /* seconds */
	int64_t last_reload; /* seconds since the epoch; 0: none yet */
	uint32_t reload_failed;
	uint32_t restarts; /* workers that died unasked */
	uint32_t stopping;
	uint32_t workers;
	uint32_t helpers;
};

struct control_worker {
	int64_t pid;
	int64_t since; /* seconds in this state */
	uint32_t state;
	uint32_t place;
};

struct control_helper {
	int64_t pid; /* 0: it is not running just now */
	int64_t since;
	int64_t worker;
	uint32_t kind;
	uint32_t restarts;
};

/* A message that was received. The descriptors are the receiver's until it takes them (channel_take) or drops the message. */
struct channel_message {
	uint32_t type;
	size_t length;
	unsigned fd_count;
	int fds[CHANNEL_FDS_MAX];
	char payload[CHANNEL_PAYLOAD_MAX + 1]; /* a NUL behind length */
};

/* A pair of connected ends, close-on-exec. 0, or -1 with errno. */
int channel_pair(int ends[2]);

/* Sends one message; a head of fixed form, a tail of any. Descriptors stay the caller's. `wait` false: EAGAIN when the other side
 * does not read. 0, or -1 with errno. */
int channel_send(int channel, enum channel_type type, const void *head, size_t head_length,
	const void *tail, size_t tail_length, const int *fds, unsigned fd_count, bool wait);

/* Receives one message. 1; 0 when the other side is gone; -1 with errno: EAGAIN, EPROTO for what is no message (dropped),
 * EPROTONOSUPPORT for one of another version. */
int channel_receive(int channel, struct channel_message *message, bool wait);

/* The head of a message, copied to `head` (for alignment), when it is long enough. 0 or -1. */
int channel_head(const struct channel_message *message, void *head, size_t length);

/* Takes descriptor `index` out of the message. */
int channel_take(struct channel_message *message, unsigned index);

/* Closes the descriptors that nobody took. */
void channel_drop(struct channel_message *message);

#endif
