/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines that many threads write and one thread puts into a file: gathered, so that a line costs no system call. */
#ifndef WEIR_BASE_LINE_LOG_H
#define WEIR_BASE_LINE_LOG_H

#include <stddef.h>
#include <stdint.h>

#define LINE_LOG_LONGEST (512 * 1024) /* octets of one line */

struct line_log;

/* Begins a log on a descriptor that stays the caller's; `queues` threads write to it. Starts the writing thread: after the process
 * has locked itself in. NULL with errno. */
struct line_log *line_log_start(int fd, unsigned queues);
/* Room for a line of at most `longest` octets in a thread's own queue; NULL when 8 MB wait already (a full or stuck disk): the line
 * is lost and counted. Ends with line_log_commit, on the same thread, without blocking in between. */
char *line_log_reserve(struct line_log *log, unsigned queue, size_t longest);
void line_log_commit(struct line_log *log, unsigned queue, size_t length);
/* Another file has taken the descriptor's place. From any thread. */
void line_log_reopened(struct line_log *log);
/* How many lines were lost so far. */
uint64_t line_log_lost(const struct line_log *log);
/* Writes what waits, ends the thread, frees. No line is added any more. Who does not read a pipe is waited for 0.3 s. Returns how many lines
 * were lost in all. */
uint64_t line_log_stop(struct line_log *log);

#endif
