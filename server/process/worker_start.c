/* SPDX-License-Identifier: BSD-2-Clause */
/* The start of a worker, in the one order that is safe: what needs rights first, then the rights go, then the sandbox, then threads,
 * and listening last. A configuration that is wrong anywhere ends here, while the old worker serves on. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/line_log.h"
#include "base/log.h"
#include "io/disk.h"
#include "io/watch.h"
#include "process/begin.h"
#include "process/bell.h"
#include "process/cpus.h"
#include "process/keepsake.h"
#include "process/magic.h"
#include "process/memory.h"
#include "process/registry.h"
#include "process/worker_priv.h"

#define DISK_THREADS 4

/* --- The channel. --- */

int worker_answer(struct worker *w, enum channel_type type)
{
	int got = channel_receive(WORKER_CHANNEL, &w->message, true);
	if (got == 1 && w->message.type == (uint32_t)type)
		return 0;
	if (got == 1)
		channel_drop(&w->message);
	log_error("the supervisor does not answer: %s", got < 0 ? strerror(errno) : "it is gone");
	return -1;
}

int worker_send(struct worker *w, enum channel_type type, const void *head, size_t length,
	const char *text, const int *fds, unsigned count)
{
	(void)w;
	size_t text_length = text ? strlen(text) : 0;
	if (length + text_length > CHANNEL_PAYLOAD_MAX) {
		log_error("a name is too long: %.100s", text);
		return -1;
	}
	if (channel_send(WORKER_CHANNEL, type, head, length, text, text_length, fds, count, true)) {
		log_error("the supervisor does not listen: %m");
		return -1;
	}
	return 0;
}

int worker_want_keepsake(struct worker *w, const char *name)
{
	if (worker_send(w, CHANNEL_WANT_KEEPSAKE, NULL, 0, name, NULL, 0) ||
		worker_answer(w, CHANNEL_KEEPSAKE))
		return -2;
	return w->message.fd_count > 0 ? channel_take(&w->message, 0) : -1;
}

/* --- The configuration. --- */

static unsigned thread_count(const struct core_settings *core)
{
	int64_t count = core->threads ? core->threads : cpus_usable();
	return count > THREADS_MAX ? THREADS_MAX : (unsigned)count;
}

/* When all is read. From here on it is the worker's configuration, if it is good: certificates are looked at while it is known where they
 * are written. */
static int finish(struct load *load, struct snapshot *snapshot, void *context)
{
	struct worker *w = context;
	const struct option_sets *sets = w->program->sets;
	w->snapshot = snapshot;
	w->crew.count = thread_count(&snapshot->core);
	w->crew.memory = memory_usable(); /* its files are out of reach later */
	int result = sets->finish ? sets->finish(load, snapshot, sets->context) : 0;
	return worker_tls_load(w, load, snapshot) ? -1 : result;
}

static struct snapshot *load_kept(
	struct worker *w, const struct option_sets *sets, int fd, struct buffer *said)
{
	struct slice kept = keepsake_map(fd);
	struct snapshot *snapshot = snapshot_load(w->file, kept, sets, w->hello.unprivileged, said);
	keepsake_unmap(kept);
	return snapshot;
}

/* A text that stands in no file comes as its folder, a NUL, and the text. */
static struct snapshot *load_text(
	struct worker *w, const struct option_sets *sets, int fd, struct buffer *said)
{
	struct slice bytes = keepsake_map(fd);
	size_t folder = strnlen(bytes.ptr, bytes.len);
	struct snapshot *snapshot = snapshot_load_text(slice_from(bytes, folder + 1), w->file,
		bytes.ptr, sets, w->hello.unprivileged, said);
	keepsake_unmap(bytes);
	return snapshot;
}

static int load(struct worker *w)
{
	struct option_sets sets = *w->program->sets;
	struct buffer said = {0};
	sets.finish = finish;
	sets.context = w;
	int kept =
		w->hello.kind == START_CRASH ? worker_want_keepsake(w, KEEPSAKE_CONFIGURATION) : -1;
	int text = kept == -1 ? worker_want_keepsake(w, KEEPSAKE_TEXT) : -1;
	if (kept == -2 || text == -2)
		return -1;
	if (kept >= 0)
		w->snapshot = load_kept(w, &sets, kept, &said);
	else if (text >= 0)
		w->snapshot = load_text(w, &sets, text, &said);
	else
		w->snapshot = snapshot_load(
			w->file, (struct slice){NULL, 0}, &sets, w->hello.unprivileged, &said);
	if (said.len > 0 && write(WORKER_BIRTH, said.ptr, said.len) < 0) {
		/* memory is short: there is no other way to tell */
	}
	buffer_free(&said);
	if (kept >= 0)
		close(kept);
	if (text >= 0)
		close(text);
	return w->snapshot ? 0 : -1;
}

int worker_keep(struct worker *w, const char *name, int fd)
{
	if (fd < 0) {
		log_error("keepsake %s: %m", name);
		return -1;
	}
	return worker_send(w, CHANNEL_KEEP_KEEPSAKE, NULL, 0, name, &fd, 1);
}

int worker_keep_bytes(struct worker *w, const char *name, struct slice bytes)
{
	int fd = keepsake_make(name, bytes);
	int result = worker_keep(w, name, fd);
	if (fd >= 0)
		close(fd);
	return result;
}

static int keep_configuration(struct worker *w)
{
	if (w->hello.kind == START_CRASH)
		return 0;
	return worker_keep_bytes(w, KEEPSAKE_CONFIGURATION, w->snapshot->text);
}

static int open_counters(struct worker *w)
{
	int fd = worker_want_keepsake(w, KEEPSAKE_COUNTERS);
	if (fd == -2)
		return -1;
	w->crew.tally = fd >= 0 ? tally_map(fd, true) : NULL;
	if (!w->crew.tally) { /* the first worker, or counters of another form: they begin anew */
		if (fd >= 0)
			close(fd);
		fd = tally_make();
		if (worker_keep(w, KEEPSAKE_COUNTERS, fd))
			return -1;
		w->crew.tally = tally_map(fd, true);
	}
	close(fd);
	if (!w->crew.tally) {
		log_error("counters: %m");
		return -1;
	}
	w->crew.place = w->hello.place;
	tally_clear_open(w->crew.tally, w->crew.place);
	tally_enter_ledger(w->crew.tally, w->crew.place);
	for (size_t i = 0; i < w->snapshot->site_count; i++) {
		struct site *site = &w->snapshot->sites[i];
		site->row = ledger_row(
			tally_ledger(w->crew.tally), LEDGER_SITE, site->name, w->crew.place);
	}
	return 0;
}

/* --- Logs. --- */

/* A log that cannot be opened is an error where somebody starts it or asks for a reload. After a crash there must be somebody who
 * serves: standard error takes the lines, by a number of its own, so that USR1 can put the log in its place. */
static int without_log(struct worker *w, unsigned number, const char *path, int error)
{
	log_error("cannot open the log %s: %s", path, strerror(error));
	if (w->hello.kind != START_CRASH)
		return -1;
	w->files[number] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	return w->files[number] < 0 ? -1 : 0;
}

/* By the supervisor, which waits for no disk for ever: a worker that hangs in place of a dead one would serve nobody. */
static int open_registered(struct worker *w, unsigned number)
{
	struct channel_count wanted = {number};
	struct channel_file file;
	if (worker_send(w, CHANNEL_OPEN, &wanted, sizeof(wanted), NULL, NULL, 0) ||
		worker_answer(w, CHANNEL_FILE) || channel_head(&w->message, &file, sizeof(file)))
		return -2;
	if (file.error == 0 && w->message.fd_count == 1)
		return channel_take(&w->message, 0);
	channel_drop(&w->message);
	errno = file.error;
	return -1;
}

/* The first worker does it itself, for that is quicker. Whenever the log is to be opened anew the supervisor does, for the worker has no
 * rights any more then. */
static int open_log(struct worker *w, unsigned number, enum file_role role, const char *path)
{
	struct channel_register entry = {.number = number,
		.role = (uint32_t)role,
		.flags = O_WRONLY | O_APPEND | O_CREAT,
		.mode = 0640,
		.uid = (uint32_t)-1,
		.gid = (uint32_t)-1};
	w->files[number] = -1;
	if (strcmp(path, "stdout") == 0 || strcmp(path, "stderr") == 0) {
		w->files[number] = strcmp(path, "stdout") == 0 ? STDOUT_FILENO : STDERR_FILENO;
		return 0;
	}
	bool first = w->hello.kind == START_FRESH;
	int log = first ? registry_open_here(&entry, path) : -1;
	int error = errno;
	bool told = role == FILE_ERROR_LOG && log >= 0; /* it is the supervisor's as well */
	if (worker_send(w, CHANNEL_REGISTER, &entry, sizeof(entry), path, &log, told))
		return -1;
	if (!first) {
		log = open_registered(w, number);
		error = errno;
	}
	w->files[number] = log >= 0 ? log : -1;
	return log >= 0 ? 0 : log == -1 ? without_log(w, number, path, error) : -1;
}

static int open_logs(struct worker *w)
{
	const struct core_settings *core = &w->snapshot->core;
	w->files[WORKER_ACCESS_LOG] = -1;
	int result = open_log(w, WORKER_ERROR_LOG, FILE_ERROR_LOG, core->error_log.path.ptr);
	if (core->access_log.on)
		result |=
			open_log(w, WORKER_ACCESS_LOG, FILE_ACCESS_LOG, core->access_log.path.ptr);
	return result;
}

/* --- Rights. --- */

static void add_grant(void *context, const char *path, enum grant grant)
{
	struct worker *w = context;
	grants_add(&w->grants, path, grant == GRANT_WRITE);
	if (grant == GRANT_ROOT)
		grants_add_one(&w->roots, path);
}

static void collect_grants(struct worker *w)
{
	const struct handler *const *table = w->program->table;
	for (unsigned i = 0; table[i]; i++) {
		if (table[i]->grant)
			table[i]->grant(w->snapshot, add_grant, w);
	}
	if (w->snapshot->core.temp_dir.len > 0)
		grants_add(&w->grants, w->snapshot->core.temp_dir.ptr, true);
	/* where names are resolved: both files are replaced while weir runs */
	grants_add(&w->grants, "/etc/resolv.conf", false);
	grants_add(&w->grants, "/etc/hosts", false);
}

/* A root that the worker may not read is an error where somebody starts it or asks for a reload. */
static int look_at_roots(struct worker *w)
{
	int result = 0;
	for (unsigned i = 0; i < w->roots.count; i++) {
		const char *path = w->roots.list[i].path;
		struct stat st;
		int need = stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? R_OK | X_OK : R_OK;
		if (faccessat(AT_FDCWD, path, need, AT_EACCESS) == 0)
			continue;
		if (geteuid() == 0 || w->account.name[0] == 0)
			log_error("cannot read the root %s: %m", path);
		else
			log_error(
				"cannot read the root %s: %m for the account %s, which serves it (`user`)",
				path, w->account.name);
		result = -1;
	}
	return result;
}

int worker_account(struct worker *w)
{
	if (geteuid() != 0 || w->account.name[0])
		return 0;
	return account_find(w->snapshot->core.user.ptr, &w->account);
}

static int keep_grants(struct worker *w, int ruleset)
{
	struct buffer text = {0};
	grants_pack(&w->grants, &text);
	grants_pack(&w->roots, &text);
	int result = worker_keep_bytes(w, KEEPSAKE_GRANTS, (struct slice){text.ptr, text.len});
	buffer_free(&text);
	return result || ruleset < 0 ? result : worker_keep(w, KEEPSAKE_RULESET, ruleset);
}

/* What a worker that died had open is open to its successor, which looks nothing up: a disk may hang, and the rest is to be served. 1, 0 where
 * nothing is known of it, or -1 after a message. */
static int recall_grants(struct worker *w, int *ruleset)
{
	int fd = w->hello.kind == START_CRASH ? worker_want_keepsake(w, KEEPSAKE_GRANTS) : -1;
	if (fd < 0)
		return fd == -1 ? 0 : -1;
	struct slice text = keepsake_map(fd), rest = text;
	bool whole = text.ptr && grants_unpack(&w->grants, &rest) == 0 &&
		     grants_unpack(&w->roots, &rest) == 0;
	keepsake_unmap(text);
	close(fd);
	if (!whole) {
		grants_clear(&w->grants);
		grants_clear(&w->roots);
		return 0;
	}
	*ruleset = worker_want_keepsake(w, KEEPSAKE_RULESET);
	return *ruleset == -2 ? -1 : 1;
}

/* Collects what is to stay open, and takes the account. */
static int take_account(struct worker *w, int *ruleset)
{
	int recalled = recall_grants(w, ruleset);
	if (recalled < 0)
		return -1;
	if (!recalled)
		collect_grants(w);
	w->grants.local =
		w->program->has_local_backend && w->program->has_local_backend(w->snapshot);
	if (geteuid() == 0 && account_take(&w->account))
		return -1;
	process_follow(true);
	if (recalled)
		return 0;
	if (look_at_roots(w) && w->hello.kind != START_CRASH)
		return -1;
	*ruleset = sandbox_ruleset((enum sandbox_mode)w->snapshot->core.sandbox, &w->grants);
	return keep_grants(w, *ruleset);
}

static int give_up_rights(struct worker *w)
{
	int ruleset = -1;
	if (worker_account(w) || worker_acme_start(w) || take_account(w, &ruleset))
		return -1;
	int result = sandbox_enter(
		(enum sandbox_mode)w->snapshot->core.sandbox, SANDBOX_WORKER, &w->grants, ruleset);
	if (ruleset >= 0)
		close(ruleset);
	return result;
}

/* --- Threads. --- */

static int open_handlers(struct worker *w)
{
	const struct handler *const *table = w->program->table;
	for (unsigned i = 0; table[i]; i++) {
		if (table[i]->open && table[i]->open(w->snapshot))
			return -1;
	}
	return 0;
}

static int start_threads(struct worker *w)
{
	struct crew *crew = &w->crew;
	crew->table = w->program->table;
	crew->snapshot = w->snapshot;
	crew->bell = bell_new();
	crew->disk = disk_start(DISK_THREADS);
	crew->watch = watch_new();
	if (crew->bell < 0 || !crew->disk) {
		log_error("cannot start the I/O threads: %m");
		return -1;
	}
	if (!crew->watch)
		log_warn("no inotify (%m): files are checked by time");
	else
		watch_follow_mounts(crew->watch, w->mounts);
	if (w->files[WORKER_ACCESS_LOG] >= 0) {
		crew->access = line_log_start(w->files[WORKER_ACCESS_LOG], crew->count);
		if (!crew->access) {
			log_error("cannot start the log's thread: %m");
			return -1;
		}
	}
	return crew_start(crew);
}

/* --- READY. --- */

static int say_ready(struct worker *w)
{
	const struct core_settings *core = &w->snapshot->core;
	struct channel_ready ready = {.drain = core->drain,
		.linger = core->linger,
		.log_level = (uint32_t)core->error_log.level,
		.threads = w->crew.count};
	struct buffer text = {0};
	struct buffer serving = {0};
	buffer_slice(&text, core->pid_file);
	buffer_append(&text, "", 1);
	worker_serving(w, &serving);
	buffer_append(&text, serving.ptr, serving.len);
	buffer_append(&text, "", 1);
	/* from here on everything is said in the log */
	log_open(w->files[WORKER_ERROR_LOG], (enum log_level)core->error_log.level, "worker");
	close(WORKER_BIRTH);
	process_follow(false);
	int result = text.len + sizeof(ready) > CHANNEL_PAYLOAD_MAX
			     ? -1
			     : channel_send(WORKER_CHANNEL, CHANNEL_READY, &ready, sizeof(ready),
				       text.ptr, text.len, NULL, 0, true);
	buffer_free(&serving);
	buffer_free(&text);
	return result;
}

int worker_start(struct worker *w)
{
	tzset(); /* reads a file that is out of reach later */
	privilege_raise_files();
	if (load(w))
		return -1;
	/* these fail for reasons of their own: whoever starts weir is told all of them at once */
	int failed = worker_sockets(w);
	failed |= open_logs(w);
	failed |= open_handlers(w);
	failed |= worker_tls(w);
	w->crew.sniffer = magic_sniffer();
	if (!w->crew.sniffer)
		log_warn("no database of libmagic (%m): media types come from names alone");
	w->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (failed || keep_configuration(w) || open_counters(w) ||
		worker_renewal(w, worker_now()) || give_up_rights(w))
		return -1;
	if (start_threads(w) || worker_listen(w))
		return -1;
	return say_ready(w);
}
