/* SPDX-License-Identifier: BSD-2-Clause */
/* The supervisor's state, for the files that it is made of. One thread; nothing here is shared. */
#ifndef WEIR_PROCESS_SUPERVISOR_PRIV_H
#define WEIR_PROCESS_SUPERVISOR_PRIV_H

#include <sys/types.h>

#include "base/check.h"
#include "base/list.h"
#include "process/channel.h"
#include "process/control.h"
#include "process/keepsake.h"
#include "process/notify.h"
#include "process/registry.h"
#include "process/sockets.h"
#include "process/supervisor.h"

#define START_MS 60000 /* a worker that is not READY by then has failed */
#define GRACE_MS 2000  /* what a worker gets beyond its deadline before it is killed */
#define DEATH_MS                                                                                   \
	1000 /* what a stop waits for one that was killed: a dead disk may hold it for ever */
#define LINGERING_MAX  4     /* workers that may go on for `linger` after a reload */
#define PLACES_SPARE   2     /* of PLACES_MAX: one for a reload and one for a crash */
#define RESTART_MAX    2000  /* ms between two restarts */
#define STEADY_MS      10000 /* a worker that served this long is restarted at once again */
#define OPENINGS_MAX   64
#define RELOAD_ASK_MS  2000 /* between two reloads that a worker asks for */
#define RETIRE_MS      1000 /* how long a reload waits for the old worker to stop accepting */
#define SAME_SIGNAL_MS 100
#define EXTEND_MS                                                                                  \
	5000 /* what the service manager is asked for beyond the last deadline of a stop */

/* A worker process. */
struct child {
	struct link link; /* oldest first */
	pid_t pid;
	int channel;
	int birth; /* -1 once it was READY */
	unsigned place;
	enum start_kind kind;
	enum worker_state state;
	bool hurried;   /* draining, and not by `linger` any more */
	bool killed;    /* by us: its death is no news */
	bool reaped;    /* its pid may be another's already */
	bool rotate;    /* the logs are to be opened anew once it is READY */
	uint64_t since; /* ms, of the state */
	uint64_t
		deadline; /* ms; 0: none. It is killed then; when it was killed already, a stop leaves it behind */
	int log; /* the error log as it was opened for it, or -1 */
	struct registry files;
	struct keepsakes keepsakes; /* count once it is READY */
	struct channel_ready ready;
	char *pid_file;
	char *serving;
};

/* A helper of a worker, running or about to be started again. */
struct helper {
	struct link link;
	struct child *worker; /* NULL once that is gone: then it has to end */
	struct channel_want want;
	pid_t pid; /* 0: not running */
	int channel;
	bool locked; /* it has given up its rights */
	bool killed; /* by us */
	uint64_t since;
	uint64_t deadline;   /* ms; 0: none. It is killed then */
	uint64_t restart_at; /* ms; 0: no restart is due */
	unsigned restart_delay;
	unsigned restarts;
	int ends[HELPER_ENDS_MAX]; /* towards the worker, until they are sent to it; -1 */
	struct registry files;
	struct keepsakes keepsakes;
};

/* Whom a registered file is opened for: a worker or a helper. */
struct asker {
	pid_t pid;
	int channel;
	const struct registry *files;
};

/* A registered file that is being opened. */
struct opening {
	struct link link;
	pid_t pid; /* of the process that opens it */
	unsigned number;
	pid_t asker;
	int result;
	enum file_role role;
	uint64_t deadline;
};

struct supervisor {
	const struct supervisor_options *options;
	int signals;
	struct link children;
	struct link helpers;
	struct child *current;   /* the newest that is READY and not draining */
	struct child *reloading; /* the one that is to take its place, or NULL */
	struct child *retiring;  /* the one whose place it has taken, until that accepts no more */
	uint64_t retiring_until; /* ms: it is not waited for any longer */
	struct buffer said;      /* by the one that took its place, while it started */
	struct link openings;
	unsigned opening_count;
	struct sockets sockets;
	struct keepsakes keepsakes;
	struct control control;
	struct notify notify;
	char *pid_file;
	int log; /* the error log; -1: standard error */
	uint64_t started;
	bool served; /* some worker was READY once */
	bool stopping;
	bool failed;       /* could not start */
	bool reload_again; /* asked for during a reload, or during the first start */
	bool reload_failed;
	time_t last_reload;
	unsigned restarts;
	uint64_t restart_at; /* ms; 0: no restart is due */
	unsigned restart_delay;
	uint64_t reload_at;    /* ms: a worker asked for a reload; 0: none did */
	uint64_t asked_reload; /* ms: when the last of these began */
	uint64_t stop_signal;  /* ms: when the last one came */
};

/* Milliseconds of the monotonic clock. */
uint64_t supervisor_now(void);

/* --- succession.c --- */

/* Starts a worker beside the one that serves; during a reload: another one after it. */
void supervisor_reload(struct supervisor *s);
/* A worker asks for one: not more often than every RELOAD_ASK_MS, for it may not be what it was. */
void supervisor_reload_soon(struct supervisor *s);
/* Does what is due of restarts and reloads; lowers *next to when something will be. */
void supervisor_due(struct supervisor *s, uint64_t now, uint64_t *next);
void supervisor_remove_pid_file(struct supervisor *s);

/* The worker is READY; its values are in child->ready. */
void supervisor_child_ready(struct supervisor *s, struct child *child);
/* A draining worker accepts nothing any more. */
void supervisor_let_go(struct supervisor *s, const struct child *child);
/* The worker is gone; `why` says how, `said` is what it wrote before it was READY. It is freed by the caller. */
void supervisor_child_gone(
	struct supervisor *s, struct child *child, const char *why, struct slice said);
/* A registered error log was opened for a READY worker (or one that becomes it): logs there from now on. */
void supervisor_log_to(struct supervisor *s, struct child *child);

/* --- supervisor.c --- */

/* Begins to stop; `at_once`: nothing under way is waited for. */
void supervisor_stop(struct supervisor *s, bool at_once);
/* For `weir status`. */
struct control_state supervisor_state(const struct supervisor *s);

/* --- child.c --- */

/* Starts a worker. NULL after a message in the log. */
struct child *child_start(struct supervisor *s, enum start_kind kind);
/* Takes messages that wait in its channel, a few a turn. */
void child_receive(struct supervisor *s, struct child *child);
/* It has ended with this status: what it still had said is heard, then it is freed. */
void child_reap(struct supervisor *s, struct child *child, int status);
/* It was killed and does not end: nobody waits for it any more. */
void child_abandon(struct supervisor *s, struct child *child);
/* Tells it to drain within `ms`; `removed`: addresses that it has to empty, a NUL behind each; or all. */
void child_drain(
	struct supervisor *s, struct child *child, uint64_t ms, bool all, struct slice removed);
/* Nothing happens to one that has ended. */
void child_kill(struct child *child);
/* A message could not be sent to it (errno): one that does not read is killed, one that has ended needs nothing more. */
void child_unheard(struct child *child);
struct child *child_find(struct supervisor *s, pid_t pid);
/* Bits of the places of all that live. */
uint32_t child_places(const struct supervisor *s);
/* A new process that becomes a command of the same binary, with these two descriptors at WORKER_CHANNEL and WORKER_BIRTH. Its number, or -1
 * with errno. */
pid_t child_spawn(const char *command, int channel, int birth);
/* How a process ended. */
void child_describe(char to[96], int status);
struct asker child_asker(const struct child *child);

/* --- helper.c --- */

/* A starting worker wants a helper. 0, or -1: it breaks the rules. */
int helper_want(struct supervisor *s, struct child *worker, const struct channel_want *want);
/* Whether a keepsake of this name belongs to helpers of some kind: workers neither get nor make it. */
bool helper_keeps(const char *name);
/* The worker says that one answers no more. */
void helper_stuck(struct supervisor *s, struct child *worker, unsigned kind);
/* Takes messages that wait in its channel, a few a turn. */
void helper_receive(struct supervisor *s, struct helper *helper);
void helper_reap(struct supervisor *s, struct helper *helper, int status);
/* Nothing happens to one that does not run. */
void helper_kill(struct helper *helper);
struct helper *helper_find(struct supervisor *s, pid_t pid);
struct asker helper_asker(const struct helper *helper);
/* The worker is about to be READY: what its helpers said before that is heard before, for their channels are others. */
void helpers_hear(struct supervisor *s, const struct child *worker);
/* The worker is READY: what its helpers have kept is what the next worker's helpers find. */
void helpers_commit(struct supervisor *s, const struct child *worker);
/* The worker does not end: its helpers do. */
void helpers_kill(struct supervisor *s, const struct child *worker);
/* The worker is gone: its helpers have to end. */
void helpers_orphan(struct supervisor *s, const struct child *worker);
/* The log is another one now, for the helpers of all workers that were READY. */
void helpers_log_to(struct supervisor *s, int log);
/* For `weir status`: how many there are, at most `most`. */
unsigned helpers_list(const struct supervisor *s, struct control_helper *to, unsigned most);
/* Kills, abandons and starts again what is due; lowers *next to when something will be. */
void helpers_due(struct supervisor *s, uint64_t now, uint64_t *next);

/* --- opening.c --- */

/* Opens a registered file for a worker or a helper; the answer goes to it as CHANNEL_FILE. */
void opening_start(struct supervisor *s, const struct asker *asker, unsigned number);
/* The child that opens has answered, or died. */
void opening_finish(struct supervisor *s, struct opening *opening);
/* A worker has this error log, which the supervisor writes to as well from now on; it owns the descriptor. */
void opening_take_log(struct supervisor *s, struct child *child, int log);
/* It took too long: the worker keeps what it has. */
void opening_give_up(struct supervisor *s, struct opening *opening);
/* Opens all logs of all workers anew; those of a starting one once it is READY. */
void opening_rotate(struct supervisor *s);
/* All logs of one. */
void opening_rotate_of(struct supervisor *s, struct child *child);

#endif
