/* SPDX-License-Identifier: BSD-2-Clause */
/* The thread that writes log lines. A queue is a buffer under a lock that its one writer seldom has to wait for; the thread
 * takes whole buffers, some milliseconds after the first line. A disk that takes nothing costs lines, never an answer: how many is
 * counted, and told in the error log at once and then once in a while. */
#include "base/line_log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"

#define WAITING_MOST (8 * 1024 * 1024)
#define GATHER_NS    (10 * 1000 * 1000)
#define TELL_MS      10000
#define PIECE        4096 /* of what is no file: a pipe takes so much at once, or says that it does not */
#define LOOK_MS      100 /* how often a stop is looked for while nobody reads a pipe */
#define STOP_MS      300 /* how long a stop waits for who reads it, from one piece to the next */

struct line_queue {
	pthread_mutex_t lock;
	struct buffer lines;
} __attribute__((aligned(64)));

struct line_log {
	pthread_t thread;
	pthread_mutex_t lock; /* of `wake` */
	pthread_cond_t wake;
	_Atomic bool dirty;
	_Atomic bool stop;
	_Atomic uint64_t lost;
	_Atomic bool reopened; /* what stands behind `fd` has not been looked at yet */
	int fd;
	unsigned count;
	struct line_queue *queues;
	/* The thread's own. */
	uint64_t told;       /* of those that were lost */
	uint64_t told_ms;    /* when; 0: never */
	uint64_t stopped_ms; /* since when a stop waits for a reader; 0: it does not */
	int error;           /* why the last line was lost; 0: there was no room to wait in */
	struct stat st;      /* of `fd`, when it was opened */
	bool file;           /* it is one, no pipe and no terminal */
	bool failing;        /* the last write failed */
	bool torn;           /* and left a piece of a line in this file: */
	dev_t torn_device;
	ino_t torn_file;
};

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- Telling. --- */

static uint64_t untold(const struct line_log *log)
{
	return atomic_load_explicit(&log->lost, memory_order_relaxed) - log->told;
}

/* Says how many lines were lost since it was said last, unless that was just now. */
static void tell(struct line_log *log, bool at_once)
{
	uint64_t now = now_ms(), lost = untold(log);
	if (!at_once && log->told_ms && now - log->told_ms < TELL_MS)
		return;
	if (lost)
		log_error("access log: %s; %llu lines are lost",
			log->error == EAGAIN ? "nobody reads it"
			: log->error         ? strerror(log->error)
					     : "it is written too slowly",
			(unsigned long long)lost);
	else if (log->told_ms && !log->failing)
		log_info("access log: lines are written again");
	else
		return;
	log->error = 0;
	log->told += lost;
	log->told_ms = lost ? now : 0;
}

/* --- Writing. --- */

static void lose(struct line_log *log, struct slice lines, int error)
{
	uint64_t lost = 0;
	for (size_t i = 0; i < lines.len; i++)
		lost += lines.ptr[i] == '\n';
	log->error = error;
	log->failing = true;
	atomic_fetch_add_explicit(&log->lost, lost, memory_order_relaxed);
}

/* Waits for who reads a pipe. False: a stop does not wait any longer. */
static bool await_reader(struct line_log *log)
{
	struct pollfd poll_one = {.fd = log->fd, .events = POLLOUT};
	for (;;) {
		if (poll(&poll_one, 1, LOOK_MS) > 0)
			return true;
		tell(log, false);
		if (!atomic_load(&log->stop))
			continue;
		if (!log->stopped_ms)
			log->stopped_ms = now_ms();
		if (now_ms() - log->stopped_ms >= STOP_MS)
			return false;
	}
}

/* Writes once. 0, or an errno where nothing more goes. */
static int write_some(struct line_log *log, struct slice *left)
{
	size_t most = log->file || left->len < PIECE ? left->len : PIECE;
	const char *end = most < left->len ? memrchr(left->ptr, '\n', most) : NULL;
	if (end)
		most = (size_t)(end - left->ptr) + 1;
	if (!log->file && !await_reader(log))
		return EAGAIN;
	ssize_t n = write(log->fd, left->ptr, most);
	if (n < 0)
		return errno == EINTR || (errno == EAGAIN && !log->file && !atomic_load(&log->stop))
			       ? 0
			       : errno;
	*left = slice_from(*left, (size_t)n);
	log->stopped_ms = 0;
	return n ? 0 : EIO;
}

static int write_all(struct line_log *log, struct slice *left)
{
	int error = 0;
	while (left->len && !error)
		error = write_some(log, left);
	return error;
}

static void look(struct line_log *log)
{
	if (fstat(log->fd, &log->st))
		log->st = (struct stat){0};
	log->file = S_ISREG(log->st.st_mode);
}

/* A piece of a line that a full disk took ends before the next one. */
static int mend(struct line_log *log)
{
	struct slice end = SLICE("\n");
	look(log);
	log->torn = false;
	if (log->st.st_dev != log->torn_device || log->st.st_ino != log->torn_file)
		return 0; /* the file was replaced */
	int error = write_all(log, &end);
	log->torn = error != 0;
	return error;
}

static void write_out(struct line_log *log, const struct buffer *lines)
{
	struct slice left = {lines->ptr, lines->len};
	if (!left.len)
		return;
	if (atomic_exchange(&log->reopened, false))
		look(log);
	int error = log->torn ? mend(log) : 0;
	if (!error)
		error = write_all(log, &left);
	if (!error) {
		log->failing = false;
		return;
	}
	if (left.len < lines->len && left.ptr[-1] != '\n') {
		log->torn = log->file;
		log->torn_device = log->st.st_dev;
		log->torn_file = log->st.st_ino;
	}
	lose(log, left, error);
}

static void write_queues(struct line_log *log, struct buffer *spare)
{
	for (unsigned i = 0; i < log->count; i++) {
		struct line_queue *queue = &log->queues[i];
		pthread_mutex_lock(&queue->lock);
		struct buffer lines = queue->lines;
		queue->lines = *spare;
		pthread_mutex_unlock(&queue->lock);
		write_out(log, &lines);
		lines.len = 0;
		*spare = lines;
	}
}

/* --- The thread. --- */

/* Until there are lines, or the end, or it is time to tell of what was lost. True: the end. */
static bool await_lines(struct line_log *log)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += TELL_MS / 1000;
	int timed_out = 0;
	pthread_mutex_lock(&log->lock);
	while (!atomic_load(&log->dirty) && !atomic_load(&log->stop) && !timed_out) {
		if (untold(log))
			timed_out = pthread_cond_timedwait(&log->wake, &log->lock, &until);
		else
			pthread_cond_wait(&log->wake, &log->lock);
	}
	bool stop = atomic_load(&log->stop);
	pthread_mutex_unlock(&log->lock);
	return stop;
}

static void *run(void *argument)
{
	struct line_log *log = argument;
	struct buffer spare = {0};
	bool stop = false;
	while (!stop) {
		stop = await_lines(log);
		if (!stop)
			nanosleep(&(struct timespec){0, GATHER_NS}, NULL);
		atomic_store(&log->dirty, false);
		write_queues(log, &spare);
		tell(log, stop);
	}
	buffer_free(&spare);
	return NULL;
}

/* --- For those who write lines. --- */

static void make_locks(struct line_log *log)
{
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&log->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_init(&log->lock, NULL);
	for (unsigned i = 0; i < log->count; i++)
		pthread_mutex_init(&log->queues[i].lock, NULL);
}

struct line_log *line_log_start(int fd, unsigned queues)
{
	struct line_log *log = must_zalloc(sizeof *log);
	log->fd = fd;
	log->reopened = true;
	log->count = queues;
	log->queues = aligned_alloc(64, sizeof(struct line_queue) * queues);
	check(log->queues);
	memset(log->queues, 0, sizeof(struct line_queue) * queues);
	make_locks(log);
	int error = pthread_create(&log->thread, NULL, run, log);
	if (error) {
		free(log->queues);
		free(log);
		errno = error;
		return NULL;
	}
	return log;
}

static void wake(struct line_log *log)
{
	if (atomic_load_explicit(&log->dirty, memory_order_relaxed))
		return;
	pthread_mutex_lock(&log->lock);
	atomic_store(&log->dirty, true);
	pthread_cond_signal(&log->wake);
	pthread_mutex_unlock(&log->lock);
}

char *line_log_reserve(struct line_log *log, unsigned queue, size_t longest)
{
	check(queue < log->count && longest <= LINE_LOG_LONGEST);
	struct line_queue *q = &log->queues[queue];
	pthread_mutex_lock(&q->lock);
	if (q->lines.len + longest > WAITING_MOST) {
		pthread_mutex_unlock(&q->lock);
		atomic_fetch_add_explicit(&log->lost, 1, memory_order_relaxed);
		return NULL;
	}
	buffer_reserve(&q->lines, longest);
	return q->lines.ptr + q->lines.len;
}

void line_log_commit(struct line_log *log, unsigned queue, size_t length)
{
	struct line_queue *q = &log->queues[queue];
	q->lines.len += length;
	pthread_mutex_unlock(&q->lock);
	wake(log);
}

void line_log_reopened(struct line_log *log)
{
	atomic_store(&log->reopened, true);
}

uint64_t line_log_lost(const struct line_log *log)
{
	return atomic_load_explicit(&log->lost, memory_order_relaxed);
}

uint64_t line_log_stop(struct line_log *log)
{
	pthread_mutex_lock(&log->lock);
	atomic_store(&log->stop, true);
	pthread_cond_signal(&log->wake);
	pthread_mutex_unlock(&log->lock);
	pthread_join(log->thread, NULL);
	uint64_t lost = line_log_lost(log);
	for (unsigned i = 0; i < log->count; i++) {
		buffer_free(&log->queues[i].lines);
		pthread_mutex_destroy(&log->queues[i].lock);
	}
	pthread_mutex_destroy(&log->lock);
	pthread_cond_destroy(&log->wake);
	free(log->queues);
	free(log);
	return lost;
}
