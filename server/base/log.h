/* SPDX-License-Identifier: BSD-2-Clause */
/* The error log: levels, scopes, and a limit for what a peer can provoke. Nobody waits for a full pipe: what cannot be written is lost,
 * and how many lines were is said with the next one. */
#ifndef WEIR_BASE_LOG_H
#define WEIR_BASE_LOG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* What a message that a peer can provoke is counted under: at most ten of one cause a second are written,
 * and how many were left out is said with the next. */
enum log_cause {
	LOG_ALWAYS, /* not limited: what only the operator or the machine causes */
	LOG_CLIENT,
	LOG_BACKEND,
	LOG_FILE,
	LOG_ACCEPT,
	LOG_TLS,
	LOG_CAUSE_COUNT
};

/* Whom a message is about; zero fields are left out of the line. */
struct log_scope {
	uint64_t connection;
	uint32_t request;
	const char *what; /* "worker", "site example.com"; may be NULL */
};

/* Sets where messages go (a descriptor that stays the caller's, 2 before) and what is the least that is written. */
void log_open(int fd, enum log_level level, const char *process);
/* Replaces the descriptor: after a rotation. Once it returns nobody writes to the old one, which may be closed. */
void log_reopen(int fd);
/* Where messages go. */
int log_descriptor(void);
/* Lines that somebody else has made, each with its end, as they are. */
void log_lines(const char *text, size_t len);

/* One line: time, level, process, scope, text. Octets outside of printable ASCII and valid UTF-8, and all
 * controls, are written as \xNN, so that no peer can forge a line. Safe from any thread. */
void log_at(const struct log_scope *scope, enum log_level level, enum log_cause cause,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Without a scope and never limited. */
#define log_error(...) log_at(NULL, LOG_LEVEL_ERROR, LOG_ALWAYS, __VA_ARGS__)
#define log_warn(...)  log_at(NULL, LOG_LEVEL_WARN, LOG_ALWAYS, __VA_ARGS__)
#define log_info(...)  log_at(NULL, LOG_LEVEL_INFO, LOG_ALWAYS, __VA_ARGS__)
#define log_debug(...) log_at(NULL, LOG_LEVEL_DEBUG, LOG_ALWAYS, __VA_ARGS__)

#endif
