/* SPDX-License-Identifier: BSD-2-Clause */
/* The I/O threads. A dead disk must not stop the others: lanes take turns, one lane never has more than half of the
 * threads, and a thread that is stuck is replaced by a keeper. The kernel cannot be told to give a stuck one back. */
#include "io/disk.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/chunk.h"
#include "base/list.h"
#include "base/log.h"
#include "base/table.h"

#define DISK_LANES   256  /* lane numbers beyond share */
#define DISK_QUEUE   4096 /* jobs that wait; one lane: half */
#define DISK_THREADS 32
#define DISK_STUCK   10000 /* ms */
#define DISK_RETRY   1000  /* ms until a thread is asked for again that could not be had */

struct lane {
	struct link ready; /* in disk->ready while a thread may take a job of it */
	struct disk_job *first;
	struct disk_job **last;
	unsigned waiting;
	unsigned running; /* stuck ones apart */
	unsigned stuck;
};

enum thread_state { THREAD_NONE, THREAD_IDLE, THREAD_RUNS, THREAD_POSTS, THREAD_ENDED };

struct io_thread {
	pthread_t id;
	struct disk *disk;
	struct lane *lane; /* of the job it runs */
	uint64_t since;    /* when that began, in ms */
	enum thread_state state;
	bool stuck;
};

struct disk {
	pthread_mutex_t lock;
	pthread_cond_t work;  /* a lane became ready, or the end */
	pthread_cond_t keep;  /* for the keeper: something runs again, or the end */
	pthread_cond_t ended; /* for disk_stop: a thread ended, or posted */
	pthread_t keeper;
	struct link ready; /* lanes, taking turns */
	struct lane lanes[DISK_LANES];
	struct io_thread threads[DISK_THREADS];
	unsigned wanted;      /* threads that are not stuck */
	unsigned stuck_after; /* ms */
	unsigned idle;
	unsigned waiting;
	bool keeper_sleeps; /* without a time: nothing runs */
	bool stopping;
	bool abandoned; /* what ends now is not told: the loops are gone */
	bool orphaned;  /* disk_stop has returned: the last thread frees */
};

unsigned disk_lane(dev_t device)
{
	return (unsigned)table_hash(&device, sizeof(device), 0);
}

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct timespec at_ms(uint64_t ms)
{
	return (struct timespec){(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
}

static unsigned half_of(unsigned threads)
{
	return threads > 1 ? threads / 2 : 1;
}

/* All below: with the lock held. */

static unsigned count_threads(const struct disk *disk, bool stuck)
{
	unsigned count = 0;
	for (size_t i = 0; i < DISK_THREADS; i++) {
		const struct io_thread *thread = &disk->threads[i];
		if (thread->state != THREAD_NONE && thread->state != THREAD_ENDED &&
			thread->stuck == stuck)
			count++;
	}
	return count;
}

/* Puts a lane in or out of those that threads take from. True: it came in, and there is a thread to be told. */
static bool review_lane(struct disk *disk, struct lane *lane)
{
	bool ready = lane->first && lane->running < half_of(disk->wanted) &&
		     lane->running + lane->stuck < half_of(DISK_THREADS);
	if (!ready) {
		list_remove(&lane->ready);
	} else if (!link_listed(&lane->ready)) {
		list_append(&disk->ready, &lane->ready);
		return disk->idle > 0;
	}
	return false;
}

static struct disk_job *take_job(struct disk *disk, struct io_thread *thread)
{
	struct lane *lane = container_of(disk->ready.next, struct lane, ready);
	list_remove(&lane->ready); /* it goes to the end of the row */
	struct disk_job *job = lane->first;
	lane->first = job->next;
	if (!lane->first)
		lane->last = &lane->first;
	lane->waiting--;
	disk->waiting--;
	lane->running++;
	thread->lane = lane;
	thread->since = now_ms();
	thread->state = THREAD_RUNS;
	if (review_lane(disk, lane))
		pthread_cond_signal(&disk->work);
	if (disk->keeper_sleeps) {
		disk->keeper_sleeps = false;
		pthread_cond_signal(&disk->keep);
	}
	return job;
}

static void deliver(struct message *message, void *receiver)
{
	(void)receiver;
	struct disk_job *job = container_of(message, struct disk_job, message);
	job->done(job);
}

/* Books a finished job and posts its answer; the lock is let go of meanwhile, since posting may be a system call. */
static void finish_job(struct disk *disk, struct io_thread *thread, struct disk_job *job)
{
	struct lane *lane = thread->lane;
	if (thread->stuck)
		lane->stuck--;
	else
		lane->running--;
	thread->lane = NULL;
	thread->stuck = false;
	review_lane(disk, lane); /* this thread is the next to look there */
	if (disk->abandoned)
		return;
	thread->state = THREAD_POSTS;
	pthread_mutex_unlock(&disk->lock);
	inbox_post(&job->loop->inbox, &job->message);
	pthread_mutex_lock(&disk->lock);
}

/* Whether a thread of the given kind is left: any, or one that is just about to post. */
static bool any_left(const struct disk *disk, bool posting)
{
	for (size_t i = 0; i < DISK_THREADS; i++) {
		enum thread_state state = disk->threads[i].state;
		if (state == THREAD_POSTS ||
			(!posting && state != THREAD_NONE && state != THREAD_ENDED))
			return true;
	}
	return false;
}

/* Without the lock, which goes as well. */
static void free_disk(struct disk *disk)
{
	pthread_cond_destroy(&disk->work);
	pthread_cond_destroy(&disk->keep);
	pthread_cond_destroy(&disk->ended);
	pthread_mutex_destroy(&disk->lock);
	free(disk);
}

static void *run_jobs(void *context)
{
	struct io_thread *thread = context;
	struct disk *disk = thread->disk;
	pthread_setname_np(pthread_self(), "weir-io");
	pthread_mutex_lock(&disk->lock);
	/* One that was stuck and came back may be one too many. */
	while (!disk->stopping && count_threads(disk, false) <= disk->wanted) {
		if (list_empty(&disk->ready)) {
			thread->state = THREAD_IDLE;
			disk->idle++;
			pthread_cond_wait(&disk->work, &disk->lock);
			disk->idle--;
			continue;
		}
		struct disk_job *job = take_job(disk, thread);
		pthread_mutex_unlock(&disk->lock);
		job->work(job);
		pthread_mutex_lock(&disk->lock);
		finish_job(disk, thread, job);
	}
	thread->state = THREAD_ENDED;
	/* A signal that this one took may have been meant for work that is still there. */
	if (!list_empty(&disk->ready) && disk->idle > 0)
		pthread_cond_signal(&disk->work);
	pthread_cond_broadcast(&disk->ended);
	bool last = disk->orphaned && !any_left(disk, false);
	pthread_mutex_unlock(&disk->lock);
	if (last)
		free_disk(disk);
	chunk_trim();
	return NULL;
}

/* A thread without signals: those are for the loops. 0 or an errno. */
static int start_thread(pthread_t *id, void *(*run)(void *), void *context)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(id, NULL, run, context);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

/* Starts one more I/O thread where there is a place. 0 or an errno. */
static int add_thread(struct disk *disk)
{
	for (size_t i = 0; i < DISK_THREADS; i++) {
		struct io_thread *thread = &disk->threads[i];
		if (thread->state == THREAD_ENDED) {
			pthread_join(thread->id, NULL); /* it holds no lock any more */
			thread->state = THREAD_NONE;
		}
		if (thread->state != THREAD_NONE)
			continue;
		*thread = (struct io_thread){.disk = disk, .state = THREAD_IDLE};
		int error = start_thread(&thread->id, run_jobs, thread);
		if (error)
			thread->state = THREAD_NONE;
		return error;
	}
	return EAGAIN;
}

/* Marks who has run too long, and says when to look again; 0: nothing runs. */
static uint64_t find_stuck(struct disk *disk, uint64_t now)
{
	uint64_t next = 0;
	for (size_t i = 0; i < DISK_THREADS; i++) {
		struct io_thread *thread = &disk->threads[i];
		if (thread->state != THREAD_RUNS || thread->stuck)
			continue;
		uint64_t limit = thread->since + disk->stuck_after;
		if (now < limit) {
			if (next == 0 || limit < next)
				next = limit;
			continue;
		}
		thread->stuck = true;
		thread->lane->running--;
		thread->lane->stuck++;
		if (review_lane(disk, thread->lane))
			pthread_cond_signal(&disk->work);
		log_at(NULL, LOG_LEVEL_WARN, LOG_FILE,
			"an I/O thread is stuck: a job in lane %td has run for %u ms",
			thread->lane - disk->lanes, disk->stuck_after);
	}
	return next;
}

/* While jobs run it looks when the oldest may be stuck; otherwise it sleeps until one begins. */
static void *keep_threads(void *context)
{
	struct disk *disk = context;
	pthread_setname_np(pthread_self(), "weir-io-keeper");
	pthread_mutex_lock(&disk->lock);
	while (!disk->stopping) {
		uint64_t now = now_ms();
		uint64_t next = find_stuck(disk, now);
		unsigned healthy = count_threads(disk, false);
		while (healthy < disk->wanted && add_thread(disk) == 0)
			healthy++;
		if (healthy < disk->wanted && next == 0)
			next = now + DISK_RETRY;
		if (next == 0) {
			disk->keeper_sleeps = true;
			pthread_cond_wait(&disk->keep, &disk->lock);
			disk->keeper_sleeps = false;
		} else {
			struct timespec until = at_ms(next);
			pthread_cond_timedwait(&disk->keep, &disk->lock, &until);
		}
	}
	pthread_mutex_unlock(&disk->lock);
	return NULL;
}

static void init_condition(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	check(pthread_cond_init(condition, &attributes) == 0);
	pthread_condattr_destroy(&attributes);
}

struct disk *disk_start_with(unsigned threads, unsigned stuck_ms)
{
	if (threads < 1)
		threads = 1;
	if (threads > DISK_THREADS)
		threads = DISK_THREADS;
	struct disk *disk = must_zalloc(sizeof(*disk));
	check(pthread_mutex_init(&disk->lock, NULL) == 0);
	init_condition(&disk->work);
	init_condition(&disk->keep);
	init_condition(&disk->ended);
	list_init(&disk->ready);
	for (size_t i = 0; i < DISK_LANES; i++)
		disk->lanes[i].last = &disk->lanes[i].first;
	disk->wanted = threads;
	disk->stuck_after = stuck_ms;

	pthread_mutex_lock(&disk->lock);
	int error = start_thread(&disk->keeper, keep_threads, disk);
	bool kept = error == 0;
	for (unsigned i = 0; i < threads && !error; i++)
		error = add_thread(disk);
	pthread_mutex_unlock(&disk->lock);
	if (!error)
		return disk;
	if (kept)
		disk_stop(disk, UINT_MAX);
	else
		free(disk);
	errno = error;
	return NULL;
}

struct disk *disk_start(unsigned threads)
{
	return disk_start_with(threads, DISK_STUCK);
}

bool disk_submit(struct disk *disk, struct loop *loop, struct disk_job *job)
{
	job->loop = loop;
	job->next = NULL;
	job->message.deliver = deliver;
	struct lane *lane = &disk->lanes[job->lane % DISK_LANES];
	bool tell = false;
	pthread_mutex_lock(&disk->lock);
	bool taken =
		!disk->stopping && disk->waiting < DISK_QUEUE && lane->waiting < DISK_QUEUE / 2;
	if (taken) {
		*lane->last = job;
		lane->last = &job->next;
		lane->waiting++;
		disk->waiting++;
		tell = review_lane(disk, lane);
	}
	pthread_mutex_unlock(&disk->lock);
	if (tell) /* not before: it would wait for the lock */
		pthread_cond_signal(&disk->work);
	return taken;
}

/* --- Closing. --- */

struct close_job {
	struct disk_job job;
	int fd;
};

static void close_work(struct disk_job *job)
{
	close(container_of(job, struct close_job, job)->fd);
}

static void close_done(struct disk_job *job)
{
	free(container_of(job, struct close_job, job));
}

bool disk_close(struct disk *disk, struct loop *loop, unsigned lane, int fd)
{
	struct close_job *closing = must_zalloc(sizeof *closing);
	*closing = (struct close_job){
		.job = {.work = close_work, .done = close_done, .lane = lane}, .fd = fd};
	bool taken = disk_submit(disk, loop, &closing->job);
	if (!taken)
		free(closing);
	return taken;
}

/* --- The end. --- */

void disk_stop(struct disk *disk, uint64_t ms)
{
	struct timespec until = at_ms(now_ms() + ms);
	pthread_mutex_lock(&disk->lock);
	disk->stopping = true;
	pthread_cond_broadcast(&disk->work);
	pthread_cond_signal(&disk->keep);
	pthread_mutex_unlock(&disk->lock);
	pthread_join(disk->keeper, NULL);

	pthread_mutex_lock(&disk->lock);
	while (any_left(disk, false)) {
		if (pthread_cond_timedwait(&disk->ended, &disk->lock, &until) == ETIMEDOUT)
			break;
	}
	disk->abandoned = true;
	while (any_left(disk, true))
		pthread_cond_wait(&disk->ended, &disk->lock);
	bool left = any_left(disk, false);
	disk->orphaned = left;
	pthread_t ended[DISK_THREADS];
	size_t count = 0;
	for (size_t i = 0; i < DISK_THREADS; i++) {
		if (disk->threads[i].state == THREAD_ENDED)
			ended[count++] = disk->threads[i].id;
		else if (disk->threads[i].state != THREAD_NONE)
			pthread_detach(disk->threads[i].id);
	}
	pthread_mutex_unlock(&disk->lock);

	while (count > 0)
		pthread_join(ended[--count], NULL);
	/* A thread that is stuck still needs it when it comes back. */
	if (!left)
		free_disk(disk);
}
