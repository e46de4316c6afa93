/* SPDX-License-Identifier: BSD-2-Clause */
/* The error log. A line is one write, so that lines of threads and workers never mix. Nobody waits for who reads the log: where a pipe
 * is full the line is lost, and how many were is said with the next. The lock keeps the descriptor alive until the write has returned,
 * and nobody of this process writes between the look and the write; O_NONBLOCK would be set for all that share the stream. */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

#define LOG_TEXT         2048 /* of a message before octets are escaped */
#define LOG_LINE         4096 /* what a pipe takes in one piece: PIPE_BUF */
#define LOG_A_SECOND     10
#define LOG_PROCESS_NAME 32

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int descriptor = 2;
static unsigned lost; /* lines that could not be written and were not told of; with the lock */
static char process_name[LOG_PROCESS_NAME];
static int process_id;
static _Atomic int least = LOG_LEVEL_INFO;

/* What was written under a cause: the second in the upper half, how many in it in the lower one. */
static struct {
	_Atomic uint64_t second_and_count;
	_Atomic unsigned left_out;
} causes[LOG_CAUSE_COUNT];

void log_open(int fd, enum log_level level, const char *process)
{
	pthread_mutex_lock(&lock);
	descriptor = fd;
	snprintf(process_name, sizeof(process_name), "%s", process ? process : "");
	process_id = (int)getpid();
	pthread_mutex_unlock(&lock);
	atomic_store_explicit(&least, (int)level, memory_order_relaxed);
}

void log_reopen(int fd)
{
	pthread_mutex_lock(&lock);
	descriptor = fd;
	pthread_mutex_unlock(&lock);
}

int log_descriptor(void)
{
	pthread_mutex_lock(&lock);
	int fd = descriptor;
	pthread_mutex_unlock(&lock);
	return fd;
}

/* Whether one more of a cause may be written in this second; *left_out is how many were not before it. */
static bool admit(enum log_cause cause, time_t second, unsigned *left_out)
{
	*left_out = 0;
	if (cause == LOG_ALWAYS)
		return true;
	check((unsigned)cause < LOG_CAUSE_COUNT);
	uint64_t now = (uint64_t)(uint32_t)second << 32;
	uint64_t old = atomic_load_explicit(&causes[cause].second_and_count, memory_order_relaxed);
	uint64_t new;
	do {
		bool same = (old >> 32) == (now >> 32);
		if (same && (uint32_t)old >= LOG_A_SECOND) {
			atomic_fetch_add_explicit(&causes[cause].left_out, 1, memory_order_relaxed);
			return false;
		}
		new = same ? old + 1 : now + 1;
	} while (!atomic_compare_exchange_weak_explicit(&causes[cause].second_and_count, &old, new,
		memory_order_relaxed, memory_order_relaxed));
	*left_out = atomic_exchange_explicit(&causes[cause].left_out, 0, memory_order_relaxed);
	return true;
}

/* The length of the valid UTF-8 sequence at p that is no control (C1, line and paragraph separators), or 0. */
static size_t printable_utf8(const unsigned char *p, size_t len)
{
	unsigned c = p[0];
	size_t need = c >= 0xf0 && c <= 0xf4  ? 4
		      : c >= 0xe0 && c < 0xf0 ? 3
		      : c >= 0xc2 && c < 0xe0 ? 2
					      : 0;
	if (need == 0 || need > len)
		return 0;
	unsigned point = c & (0x7fU >> need);
	for (size_t i = 1; i < need; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (p[i] & 0x3fU);
	}
	static const unsigned least_point[] = {0, 0, 0x80, 0x800, 0x10000};
	if (point < least_point[need] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
		return 0;
	/* C1 controls; directional marks and overrides, which show a line other than it is; separators of lines. */
	if (point < 0xa0 || (point >= 0x200b && point <= 0x200f) ||
		(point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) ||
		point == 0xfeff)
		return 0;
	return need;
}

/* Appends text in a form that cannot forge a line; returns the new length, at most `room`. */
static size_t append_escaped(char *line, size_t at, size_t room, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	const unsigned char *end = p + len;
	while (p < end) {
		size_t whole = *p >= 0x20 && *p < 0x7f ? 1
			       : *p < 0x80             ? 0
						       : printable_utf8(p, (size_t)(end - p));
		size_t need = whole ? whole : 4;
		if (room - at < need)
			break;
		if (whole) {
			memcpy(line + at, p, whole);
			p += whole;
		} else {
			static const char digits[] = "0123456789ABCDEF";
			line[at] = '\\';
			line[at + 1] = 'x';
			line[at + 2] = digits[*p >> 4];
			line[at + 3] = digits[*p & 15];
			p++;
		}
		at += need;
	}
	return at;
}

static size_t append_format(char *line, size_t at, size_t room, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static size_t append_format(char *line, size_t at, size_t room, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int len = vsnprintf(line + at, room - at, format, arguments);
	va_end(arguments);
	if (len < 0)
		return at;
	return (size_t)len < room - at ? at + (size_t)len : room - 1;
}

static size_t append_time(char *line, size_t room, const struct timespec *now)
{
	struct tm tm;
	if (!gmtime_r(&now->tv_sec, &tm))
		memset(&tm, 0, sizeof(tm));
	return append_format(line, 0, room, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
		tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		(int)(now->tv_nsec / 1000000));
}

static size_t append_scope(char *line, size_t at, size_t room, const struct log_scope *scope)
{
	if (!scope)
		return at;
	if (scope->connection)
		at = append_format(
			line, at, room, " connection %llu", (unsigned long long)scope->connection);
	if (scope->request)
		at = append_format(line, at, room, " request %u", scope->request);
	if (scope->what) {
		at = append_format(line, at, room, " ");
		at = append_escaped(line, at, room, scope->what, strnlen(scope->what, 256));
	}
	return at;
}

/* Whether a piece of at most PIPE_BUF can be written without waiting. */
static bool is_writable(void)
{
	struct pollfd poll_one = {.fd = descriptor, .events = POLLOUT};
	int got;
	do
		got = poll(&poll_one, 1, 0);
	while (got < 0 && errno == EINTR);
	return got == 1 && (poll_one.revents & POLLOUT);
}

/* Another process may have taken the last page of a pipe since the look: newer kernels can be told not to wait for the next one. */
static ssize_t write_at_once(const char *piece, size_t len)
{
	struct stat st;
	struct iovec part = {(void *)(uintptr_t)piece, len};
	if (fstat(descriptor, &st) == 0 && S_ISFIFO(st.st_mode)) {
		ssize_t written = pwritev2(descriptor, &part, 1, -1, RWF_NOWAIT);
		if (written >= 0 || errno == EAGAIN)
			return written;
	}
	return write(descriptor, piece, len);
}

/* With the lock held. Returns false when not all of it was written: a full disk, a slow reader. */
static bool write_piece(const char *piece, size_t len)
{
	while (len > 0) {
		if (!is_writable())
			return false;
		ssize_t written = write_at_once(piece, len);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		piece += written;
		len -= (size_t)written;
	}
	return true;
}

/* Likewise. Adds how many were lost before to a line that has room for it, and ends it. */
static void write_line(char *line, size_t at, size_t room)
{
	unsigned before = lost;
	if (before)
		at = append_format(line, at, room, " (%u lines before this one were lost)", before);
	line[at++] = '\n';
	lost = write_piece(line, at) ? lost - before : lost + 1;
}

static size_t piece_of(const char *text, size_t len)
{
	if (len <= LOG_LINE)
		return len;
	const char *end = memrchr(text, '\n', LOG_LINE);
	return end ? (size_t)(end - text) + 1 : LOG_LINE;
}

void log_lines(const char *text, size_t len)
{
	pthread_mutex_lock(&lock);
	while (len > 0) {
		size_t piece = piece_of(text, len);
		if (!write_piece(text, piece))
			break;
		text += piece;
		len -= piece;
	}
	for (size_t i = 0; i < len; i++)
		lost += text[i] == '\n' || i + 1 == len;
	pthread_mutex_unlock(&lock);
}

void log_at(const struct log_scope *scope, enum log_level level, enum log_cause cause,
	const char *format, ...)
{
	static const char *const levels[] = {"error", "warn", "info", "debug"};
	if ((int)level > atomic_load_explicit(&least, memory_order_relaxed))
		return;
	int saved = errno;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	unsigned left_out;
	if (!admit(cause, now.tv_sec, &left_out)) {
		errno = saved;
		return;
	}
	char text[LOG_TEXT];
	va_list arguments;
	va_start(arguments, format);
	errno = saved; /* for %m */
	int len = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	bool cut = len >= (int)sizeof(text);
	size_t text_len = len < 0 ? 0 : cut ? sizeof(text) - 1 : (size_t)len;

	char line[LOG_LINE];
	const size_t room = sizeof(line) - 128; /* the rest is for what stands behind the text */
	pthread_mutex_lock(&lock);
	size_t at = append_time(line, room, &now);
	at = append_format(line, at, room, " %s", levels[level]);
	if (process_name[0])
		at = append_format(line, at, room, " %s[%d]", process_name, process_id);
	at = append_scope(line, at, room, scope);
	at = append_format(line, at, room, ": ");
	at = append_escaped(line, at, room, text, text_len);
	if (cut || at + 4 > room)
		at = append_format(line, at, sizeof(line), " ...");
	if (left_out)
		at = append_format(
			line, at, sizeof(line), " (%u more like this left out)", left_out);
	write_line(line, at, sizeof(line) - 1);
	pthread_mutex_unlock(&lock);
	errno = saved;
}
