/* SPDX-License-Identifier: BSD-2-Clause */
/* uacme is run in a group of its own, with an environment, descriptors and limits of its own, and may write nowhere but in the folder of the
 * state. Nothing that it starts outlives the run. */
#include "process/acme_job.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "process/acme_hook.h"
#include "process/sandbox.h"
#include "settings/tls.h"

#define SELF        3
#define SELF_PATH   "/proc/self/fd/3"
#define WORDS_MAX   (16 + TLS_NAMES_MAX)
#define ENVIRONMENT 16
#define OUTPUT_MAX  (1024 * 1024) /* octets that are looked at */
#define TOUCH_MS    30000

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- In the new process. --- */

struct image {
	char *words[WORDS_MAX];
	char *environment[ENVIRONMENT];
	char folder[PATH_MAX + 64];
};

static char *word(const char *text)
{
	return (char *)(uintptr_t)text;
}

static void add(char **list, unsigned *count, const char *text)
{
	list[(*count)++] = word(text);
}

/* An account is made with the terms agreed to. A certificate is asked for whatever stands there: that it is due was decided before. No question
 * is put to an OCSP responder. Names are no options, and, since the working folder holds no file of theirs, no files. */
static void make_words(struct image *image, const struct acme_job *job)
{
	static const char *const actions[] = {[ACME_NEW_ACCOUNT] = "new",
		[ACME_UPDATE_ACCOUNT] = "update",
		[ACME_ISSUE] = "issue"};
	const struct acme_certificate *c = job->certificate;
	static const char *const always[] = {"-v", "-y", "-t", "EC"};
	unsigned n = 0;
	add(image->words, &n, "uacme");
	for (size_t i = 0; i < COUNT_OF(always); i++)
		add(image->words, &n, always[i]);
	add(image->words, &n, "-a");
	add(image->words, &n, c->directory);
	add(image->words, &n, "-c");
	add(image->words, &n, c->state);
	if (job->action == ACME_ISSUE) {
		add(image->words, &n, "-f");
		add(image->words, &n, "-o");
		add(image->words, &n, "-h");
		add(image->words, &n, SELF_PATH);
	}
	add(image->words, &n, "--");
	add(image->words, &n, actions[job->action]);
	if (job->action != ACME_ISSUE && c->email[0])
		add(image->words, &n, c->email);
	for (unsigned i = 0; job->action == ACME_ISSUE && i < c->count; i++)
		add(image->words, &n, c->names[i]);
}

/* Of ours only what leads through a proxy. */
static void make_environment(struct image *image, const struct acme_job *job)
{
	static const char *const passed[] = {"http_proxy", "https_proxy", "HTTPS_PROXY",
		"all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"};
	unsigned n = 0;
	snprintf(image->folder, sizeof(image->folder), "%s=%s/%s", ACME_HOOK_FOLDER,
		job->certificate->state, ACME_CHALLENGES);
	add(image->environment, &n, image->folder);
	add(image->environment, &n, "PATH=/usr/local/bin:/usr/bin:/bin");
	add(image->environment, &n, "LC_ALL=C");
	add(image->environment, &n, "TZ=UTC");
	for (size_t i = 0; i < COUNT_OF(passed); i++) {
		size_t length = strlen(passed[i]);
		for (char **e = environ; *e; e++)
			if (strncmp(*e, passed[i], length) == 0 && (*e)[length] == '=')
				add(image->environment, &n, *e);
	}
}

static void limit(int which, rlim_t most)
{
	struct rlimit now;
	if (getrlimit((__rlimit_resource_t)which, &now) == 0 && now.rlim_max > most) {
		now.rlim_cur = now.rlim_max = most;
		setrlimit((__rlimit_resource_t)which, &now);
	}
}

static void set_limits(void)
{
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_CPU, 120);
#ifndef WEIR_SANITIZERS /* the hook is weir itself, with their shadow of all memory */
	limit(RLIMIT_AS, (rlim_t)2 << 30);
#endif
	limit(RLIMIT_FSIZE, 16 << 20);
	limit(RLIMIT_NOFILE, 256);
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = write(fd, text, strlen(text));
	return close(fd) || n != (ssize_t)strlen(text) ? -1 : 0;
}

/* uacme trusts whom libcurl was built to trust, and nothing that it is told changes that. So it is shown another file in that place. */
static int trust(const char *ca)
{
	static const char *const places[] = {"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};
	char map[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();
	prctl(PR_SET_DUMPABLE,
		1); /* else its own files in /proc are root's, since it took another account */
	if (uid == 0 ? unshare(CLONE_NEWNS) : unshare(CLONE_NEWNS | CLONE_NEWUSER))
		return -1;
	if (uid != 0) {
		snprintf(map, sizeof(map), "%u %u 1\n", (unsigned)uid, (unsigned)uid);
		if (write_text("/proc/self/uid_map", map) ||
			write_text("/proc/self/setgroups", "deny"))
			return -1;
		snprintf(map, sizeof(map), "%u %u 1\n", (unsigned)gid, (unsigned)gid);
		if (write_text("/proc/self/gid_map", map))
			return -1;
	}
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	bool any = false;
	for (size_t i = 0; i < COUNT_OF(places); i++)
		any |= mount(ca, places[i], NULL, MS_BIND, NULL) == 0;
	return any ? 0 : -1;
}

static _Noreturn void fail(const char *what)
{
	dprintf(STDERR_FILENO, "uacme: %s: %s\n", what, strerror(errno));
	_exit(127);
}

static _Noreturn void become(
	const struct acme_job *job, const struct image *image, int out, pid_t parent)
{
	sigset_t none;
	const char *const writable[] = {job->certificate->state, "/dev/null", NULL};
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int high = fcntl(out, F_DUPFD_CLOEXEC, SELF + 1);
	int self = fcntl(job->self, F_DUPFD_CLOEXEC, SELF + 1);
	if (dup2(null, 0) < 0 || dup2(high, 1) < 0 || dup2(high, 2) < 0 || dup2(self, SELF) < 0)
		_exit(127);
	close_range(SELF + 1, ~0u, 0);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(077);
	if (chdir("/"))
		fail("cannot go to /");
	if (job->certificate->ca[0] && trust(job->certificate->ca))
		fail("cannot be made to trust `ca` (user namespaces may be forbidden here: put the "
		     "authority among the system's instead)");
	set_limits();
	if (sandbox_writes(job->sandbox, writable))
		fail("cannot be locked in");
	execve(job->program, image->words, image->environment);
	fail(job->program);
}

/* --- Here. --- */

bool acme_leash_wait(struct acme_leash *leash, int ms)
{
	struct pollfd polls[2] = {{leash->fds[0], POLLIN, 0}, {leash->fds[1], POLLIN, 0}};
	poll(polls, COUNT_OF(polls), ms); /* what waits to be heard ends it at once */
	return leash->pulled(leash);
}

struct watched_run {
	const struct acme_job *job;
	pid_t pid;
	int out;
	int64_t deadline;
	size_t left;    /* octets of its output that are still looked at */
	bool leash_off; /* the end was asked for */
};

static void take_output(struct watched_run *run, struct acme_report *report)
{
	char bytes[4096];
	for (;;) {
		ssize_t n = read(run->out, bytes, sizeof(bytes));
		if (n <= 0)
			return;
		size_t taken = (size_t)n < run->left ? (size_t)n : run->left;
		acme_report_add(report, bytes, taken);
		if (run->job->transcript >= 0 && write(run->job->transcript, bytes, taken) < 0) {
			/* the disk is full: it is only for whoever wants to know more */
		}
		run->left -= taken;
	}
}

static bool has_ended(pid_t pid)
{
	siginfo_t info = {0};
	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == pid;
}

/* Until the process has ended by itself (ACME_DONE), or has to be ended. */
static enum acme_outcome attend(struct watched_run *run, struct acme_report *report)
{
	int64_t touched = now_ms();
	for (;;) {
		struct pollfd output = {run->out, POLLIN, 0};
		poll(&output, 1,
			200); /* its end is seen by looking: the output may have been closed before */
		take_output(run, report);
		if (has_ended(run->pid))
			return ACME_DONE;
		int64_t now = now_ms();
		if (!run->leash_off && run->job->leash->pulled(run->job->leash)) {
			run->leash_off = true;
			if (run->deadline > now + ACME_END_SECONDS * 1000)
				run->deadline = now + ACME_END_SECONDS * 1000;
		}
		if (run->job->lock && now - touched >= TOUCH_MS) {
			acme_lock_touch(run->job->lock);
			touched = now;
		}
		if (now >= run->deadline)
			return run->leash_off ? ACME_LEFT : ACME_LATE;
		if (report->busy > 0 && (int64_t)report->busy * 1000 > run->deadline - now)
			return ACME_LATE; /* it would only sleep until then */
	}
}

static enum acme_outcome finish(struct watched_run *run, struct acme_report *report)
{
	int status = 0;
	enum acme_outcome outcome = attend(run, report);
	kill(-run->pid, SIGKILL); /* with what it may have started; its number is not free yet */
	waitpid(run->pid, &status, 0);
	take_output(run, report);
	acme_report_end(report);
	if (outcome != ACME_DONE)
		return outcome;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? ACME_DONE : ACME_FAILED;
}

enum acme_outcome acme_job_run(const struct acme_job *job, struct acme_report *report)
{
	struct image image = {0};
	int ends[2];
	pid_t parent = getpid();
	*report = (struct acme_report){0};
	make_words(&image, job);
	make_environment(&image, job);
	if (pipe2(ends, O_CLOEXEC))
		return ACME_NOT_RUN;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	struct watched_run run = {.job = job, .out = ends[0], .left = OUTPUT_MAX};
	run.deadline = now_ms() + ACME_JOB_SECONDS * 1000;
	run.pid = fork();
	if (run.pid == 0)
		become(job, &image, ends[1], parent);
	int error = errno;
	close(ends[1]);
	if (run.pid > 0)
		setpgid(run.pid, run.pid);
	enum acme_outcome outcome = run.pid < 0 ? ACME_NOT_RUN : finish(&run, report);
	close(ends[0]);
	errno = error;
	return outcome;
}
