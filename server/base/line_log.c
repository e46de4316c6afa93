/* SPDX-License-Identifier: BSD-2-Clause */
/* The thread that writes log lines. A queue is a buffer under a lock that its one writer seldom has to wait for; the thread
 * takes whole buffers, some milliseconds after the first line. A disk that takes nothing costs lines, never an answer. */
#include "base/line_log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"

#define WAITING_MOST (8 * 1024 * 1024)
#define GATHER_NS    (10 * 1000 * 1000)

struct line_queue {
	pthread_mutex_t lock;
	struct buffer lines;
} __attribute__((aligned(64)));

struct line_log {
	pthread_t thread;
	pthread_mutex_t lock; /* of `dirty` and `stop` */
	pthread_cond_t wake;
	_Atomic bool dirty;
	bool stop;
	_Atomic uint64_t lost;
	int fd;
	unsigned count;
	struct line_queue *queues;
};

static void write_out(struct line_log *log, const struct buffer *lines)
{
	size_t done = 0;
	while (done < lines->len) {
		ssize_t n = write(log->fd, lines->ptr + done, lines->len - done);
		if (n > 0) {
			done += (size_t)n;
		} else if (errno != EINTR) {
			uint64_t lost = 0;
			for (size_t i = done; i < lines->len; i++)
				lost += lines->ptr[i] == '\n';
			atomic_fetch_add_explicit(&log->lost, lost, memory_order_relaxed);
			log_at(NULL, LOG_LEVEL_ERROR, LOG_FILE,
				"access log: %s; %llu lines are lost",
				errno == EAGAIN ? "nobody reads it" : strerror(errno),
				(unsigned long long)lost);
			return;
		}
	}
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

static void *run(void *argument)
{
	struct line_log *log = argument;
	struct buffer spare = {0};
	bool stop = false;
	while (!stop) {
		pthread_mutex_lock(&log->lock);
		while (!atomic_load(&log->dirty) && !log->stop)
			pthread_cond_wait(&log->wake, &log->lock);
		stop = log->stop;
		pthread_mutex_unlock(&log->lock);
		if (!stop)
			nanosleep(&(struct timespec){0, GATHER_NS}, NULL);
		atomic_store(&log->dirty, false);
		write_queues(log, &spare);
	}
	buffer_free(&spare);
	return NULL;
}

struct line_log *line_log_start(int fd, unsigned queues)
{
	struct line_log *log = must_zalloc(sizeof *log);
	log->fd = fd;
	log->count = queues;
	log->queues = aligned_alloc(64, sizeof(struct line_queue) * queues);
	check(log->queues);
	memset(log->queues, 0, sizeof(struct line_queue) * queues);
	pthread_mutex_init(&log->lock, NULL);
	pthread_cond_init(&log->wake, NULL);
	for (unsigned i = 0; i < queues; i++)
		pthread_mutex_init(&log->queues[i].lock, NULL);
	int error = pthread_create(&log->thread, NULL, run, log);
	if (error) {
		free(log->queues);
		free(log);
		errno = error;
		return NULL;
	}
	return log;
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
	if (atomic_load_explicit(&log->dirty, memory_order_relaxed))
		return;
	pthread_mutex_lock(&log->lock);
	atomic_store(&log->dirty, true);
	pthread_cond_signal(&log->wake);
	pthread_mutex_unlock(&log->lock);
}

uint64_t line_log_lost(const struct line_log *log)
{
	return atomic_load_explicit(&log->lost, memory_order_relaxed);
}

void line_log_stop(struct line_log *log)
{
	pthread_mutex_lock(&log->lock);
	log->stop = true;
	pthread_cond_signal(&log->wake);
	pthread_mutex_unlock(&log->lock);
	pthread_join(log->thread, NULL);
	for (unsigned i = 0; i < log->count; i++) {
		buffer_free(&log->queues[i].lines);
		pthread_mutex_destroy(&log->queues[i].lock);
	}
	pthread_mutex_destroy(&log->lock);
	pthread_cond_destroy(&log->wake);
	free(log->queues);
	free(log);
}
