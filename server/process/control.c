/* SPDX-License-Identifier: BSD-2-Clause */
/* The supervisor's side of the control socket. A lock beside the socket decides who is the running one: it goes with its process,
 * however that ends, so that a socket that was left behind can be told from one that is in use. */
#include "process/control.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "process/supervisor_priv.h"
#include "process/tally.h"

#define ASK_MS     5000 /* how long a client may take to say what it wants */
#define STEM_MAX   24   /* of a configuration file's name, in that of its socket */
#define SWEEP_MOST 1000 /* a start is not to wait for the removal of more */
/* Who sweeps holds a lock for some microseconds: whoever starts asks again for so long before it takes that for one that runs. */
#define LOCK_TRIES 20
#define LOCK_MS    5

/* FNV-1a: only names are made of it. */
static uint64_t name_hash(const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return hash;
}

static int control_folder(char to[CONTROL_PATH_MAX])
{
	const char *own = getenv("XDG_RUNTIME_DIR");
	int length;
	if (geteuid() == 0)
		length = snprintf(to, CONTROL_PATH_MAX, "%s/weir", WEIR_RUNSTATEDIR);
	else if (own && own[0] == '/')
		length = snprintf(to, CONTROL_PATH_MAX, "%s/weir", own);
	else
		length = snprintf(to, CONTROL_PATH_MAX, "/tmp/weir-%u", (unsigned)geteuid());
	return length > 0 && length < CONTROL_PATH_MAX ? 0 : -1;
}

int control_path(const char *file, char to[CONTROL_PATH_MAX])
{
	char folder[CONTROL_PATH_MAX];
	if (control_folder(folder))
		return -1;
	const char *name = strrchr(file, '/');
	name = name ? name + 1 : file;
	const char *dot = strrchr(name, '.');
	int stem = dot && dot > name ? (int)(dot - name) : (int)strlen(name);
	int length = snprintf(to, CONTROL_PATH_MAX, "%s/%.*s-%016llx.sock", folder,
		stem < STEM_MAX ? stem : STEM_MAX, name, (unsigned long long)name_hash(file));
	return length > 0 && length < CONTROL_PATH_MAX ? 0 : -1;
}

char *control_absolute(const char *file)
{
	char *folder = file[0] == '/' ? must_strdup("") : getcwd(NULL, 0);
	if (!folder)
		return NULL;
	struct buffer path = {0};
	struct slice parts[2] = {slice_of(folder), slice_of(file)};
	for (int i = 0; i < 2; i++) {
		for (struct slice rest = parts[i]; rest.len > 0;) {
			const char *slash = memchr(rest.ptr, '/', rest.len);
			struct slice part = {
				rest.ptr, slash ? (size_t)(slash - rest.ptr) : rest.len};
			rest = slice_from(rest, part.len + 1);
			if (part.len == 0 || slice_equal(part, SLICE(".")))
				continue;
			if (slice_equal(part, SLICE(".."))) {
				while (path.len > 0 && path.ptr[--path.len] != '/')
					;
				continue;
			}
			buffer_append(&path, "/", 1);
			buffer_slice(&path, part);
		}
	}
	buffer_append(&path, "", 1);
	free(folder);
	return path.ptr;
}

/* --- The socket. --- */

/* The folder must be ours: in a shared one such as /tmp somebody else could have made it. */
static int make_folder(const char *folder)
{
	struct stat st;
	if (mkdir(folder, geteuid() == 0 ? 0755 : 0700) && errno != EEXIST)
		return -1;
	if (lstat(folder, &st))
		return -1;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid()) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

static const char *advice_for(int error)
{
	switch (error) {
	case EROFS:
		return "; where all is read-only, as in some containers, mount a tmpfs there";
	case ENOENT:
		return "; the folder that is to hold it is missing";
	case EPERM:
		return "; it must be a folder, and belong to this account";
	default:
		return "";
	}
}

/* Opens and locks the file; *held: somebody else has locked it. The one that was locked may have been removed meanwhile by its last
 * holder: then once more. */
static int lock_file(const char *path, bool *held_by_other)
{
	*held_by_other = false;
	for (int tries = 0; tries < 10; tries++) {
		struct stat held, named;
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return -1;
		if (flock(fd, LOCK_EX | LOCK_NB)) {
			*held_by_other = errno == EWOULDBLOCK;
			if (*held_by_other)
				return fd;
			close(fd);
			return -1;
		}
		if (fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino)
			return fd;
		close(fd);
	}
	errno = EAGAIN;
	return -1;
}

static int take_lock(struct control *control, const char *file)
{
	char path[CONTROL_PATH_MAX + 8], pid[24] = "";
	bool held_by_other;
	snprintf(path, sizeof(path), "%s.lock", control->path);
	control->lock = lock_file(path, &held_by_other);
	for (int tries = 0; control->lock >= 0 && held_by_other && tries < LOCK_TRIES; tries++) {
		close(control->lock);
		poll(NULL, 0, LOCK_MS);
		control->lock = lock_file(path, &held_by_other);
	}
	if (control->lock < 0) {
		log_error("control socket %s: %m", path);
		return -1;
	}
	if (held_by_other) {
		ssize_t n = read(control->lock, pid, sizeof(pid) - 1);
		pid[n > 0 ? n : 0] = 0;
		log_error("weir is already running with %s (process %s): see `weir status -c %s`",
			file, pid[0] ? pid : "unknown", file);
		return -1;
	}
	int length = snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (ftruncate(control->lock, 0) || write(control->lock, pid, (size_t)length) != length) {
		/* only what a second one says depends on it */
	}
	return 0;
}

int control_open(struct control *control, const char *file)
{
	char folder[CONTROL_PATH_MAX];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	control->listener = control->lock = -1;
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		control->clients[i].fd = -1;
	if (!file)
		return 0;
	if (control_folder(folder) || control_path(file, control->path)) {
		log_error("control socket: the path of its folder is too long");
		return -1;
	}
	if (make_folder(folder)) {
		const char *fault = strerror(errno), *advice = advice_for(errno);
		log_error("control socket: the folder %s cannot be used: %s%s", folder, fault,
			advice);
		return -1;
	}
	if (take_lock(control, file))
		return -1;
	unlink(control->path);
	memcpy(address.sun_path, control->path, sizeof(address.sun_path));
	control->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask = umask(0177);
	int bound = control->listener < 0
			    ? -1
			    : bind(control->listener, (const struct sockaddr *)&address,
				      sizeof(address));
	umask(mask);
	if (bound || listen(control->listener, CONTROL_CLIENTS_MAX)) {
		log_error("control socket %s: %m", control->path);
		return -1;
	}
	return 0;
}

/* --- What others have left behind. --- */

/* Is it the name of a lock that control_open makes? */
static bool is_lock(const char *name)
{
	static const char tail[] = ".sock.lock";
	size_t length = strlen(name), fixed = 1 + 16 + strlen(tail);
	if (length <= fixed || length > STEM_MAX + fixed)
		return false;
	const char *hash = name + length - fixed + 1;
	return hash[-1] == '-' && strspn(hash, "0123456789abcdef") == 16 &&
	       strcmp(hash + 16, tail) == 0;
}

static bool is_deserted(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	int fd = length < sizeof(address.sun_path)
			 ? socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)
			 : -1;
	if (fd < 0)
		return false;
	memcpy(address.sun_path, path, length);
	bool refused = connect(fd, (const struct sockaddr *)&address, sizeof(address)) &&
		       (errno == ECONNREFUSED || errno == ENOENT);
	close(fd);
	return refused;
}

/* Is the process gone that had the lock? One without a number is being made: who starts must not find it locked. */
static bool is_left(int lock)
{
	char text[24];
	ssize_t length = pread(lock, text, sizeof(text) - 1, 0);
	text[length > 0 ? length : 0] = 0;
	long pid = strtol(text, NULL, 10);
	return pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

/* `path`: of the lock. Under the lock nobody can begin to use the socket. */
static bool sweep_one(char *path)
{
	struct stat held, named;
	bool swept = false;
	char *tail = path + strlen(path) - strlen(".lock");
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return false;
	if (fstat(fd, &held) == 0 && S_ISREG(held.st_mode) && is_left(fd) &&
		flock(fd, LOCK_EX | LOCK_NB) == 0 && lstat(path, &named) == 0 &&
		held.st_ino == named.st_ino) {
		*tail = 0;
		swept = is_deserted(path) && (unlink(path) == 0 || errno == ENOENT);
		*tail = '.';
		if (swept)
			unlink(path);
	}
	close(fd);
	return swept;
}

void control_sweep(const struct control *control)
{
	char folder[CONTROL_PATH_MAX], path[CONTROL_PATH_MAX + 8];
	unsigned swept = 0;
	if (control->listener < 0 || control_folder(folder))
		return;
	DIR *all = opendir(folder);
	if (!all)
		return;
	for (const struct dirent *one; swept < SWEEP_MOST && (one = readdir(all));) {
		if (!is_lock(one->d_name))
			continue;
		int length = snprintf(path, sizeof(path), "%s/%s", folder, one->d_name);
		if (length > 0 && (size_t)length < sizeof(path))
			swept += sweep_one(path);
	}
	closedir(all);
}

void control_close(struct control *control)
{
	char path[CONTROL_PATH_MAX + 8];
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		control_drop(&control->clients[i]);
	if (control->listener < 0)
		return;
	unlink(control->path);
	close(control->listener);
	snprintf(path, sizeof(path), "%s.lock", control->path);
	unlink(path);
	close(control->lock);
	control->listener = control->lock = -1;
}

/* Root and the same account may; workers may not, whatever became of them: they can be of that account. */
static bool may_speak(struct supervisor *s, int fd)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length))
		return false;
	if (child_find(s, peer.pid) || helper_find(s, peer.pid)) {
		log_at(NULL, LOG_LEVEL_WARN, LOG_CLIENT, "control socket: %s %d may not speak here",
			child_find(s, peer.pid) ? "worker" : "helper", (int)peer.pid);
		return false;
	}
	if (peer.uid != 0 && peer.uid != geteuid()) {
		log_at(NULL, LOG_LEVEL_WARN, LOG_CLIENT,
			"control socket: account %u may not speak here", (unsigned)peer.uid);
		return false;
	}
	return true;
}

void control_accept(struct supervisor *s)
{
	struct control *control = &s->control;
	int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	bool may = may_speak(s, fd);
	for (unsigned i = 0; may && i < CONTROL_CLIENTS_MAX; i++) {
		if (control->clients[i].fd >= 0)
			continue;
		control->clients[i] =
			(struct control_client){.fd = fd, .deadline = supervisor_now() + ASK_MS};
		return;
	}
	close(fd);
}

void control_drop(struct control_client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
}

/* --- Answers. --- */

static void done(struct control_client *client, unsigned code, struct slice sentence)
{
	struct channel_count count = {code};
	if (channel_send(client->fd, CONTROL_DONE, &count, sizeof(count), sentence.ptr,
		    sentence.len, NULL, 0, false)) {
		/* it does not listen any more */
	}
}

static void say(struct control_client *client, struct slice text)
{
	while (text.len > 0) {
		size_t length = text.len < CHANNEL_PAYLOAD_MAX ? text.len : CHANNEL_PAYLOAD_MAX;
		if (channel_send(
			    client->fd, CONTROL_TEXT, text.ptr, length, NULL, 0, NULL, 0, false))
			return;
		text = slice_from(text, length);
	}
}

void control_reloaded(struct control *control, bool good, struct slice said)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct control_client *client = &control->clients[i];
		if (client->fd < 0 || client->reload == 0 || client->reload > control->reload)
			continue;
		say(client, said);
		done(client, good ? 0 : 1,
			good ? SLICE("the new configuration is served")
			     : SLICE("reload failed: the old configuration is served on"));
		control_drop(client);
	}
}

void control_stopping(struct control *control)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct control_client *client = &control->clients[i];
		if (client->fd < 0 || client->reload == 0)
			continue;
		done(client, 1, SLICE("weir is stopping"));
		control_drop(client);
	}
}

static void answer_status(struct supervisor *s, struct control_client *client)
{
	struct {
		struct control_worker workers[PLACES_MAX];
		struct control_helper
			helpers[PLACES_MAX *
				HELPER_KINDS]; /* moved behind the workers that there are */
	} tail;
	struct control_state state = supervisor_state(s);
	uint64_t now = supervisor_now();
	unsigned count = 0;
	list_each (link, &s->children) {
		const struct child *child = container_of(link, struct child, link);
		if (count == PLACES_MAX)
			break;
		tail.workers[count++] = (struct control_worker){.pid = child->pid,
			.since = (int64_t)((now - child->since) / 1000),
			.state = (uint32_t)child->state,
			.place = child->place};
	}
	state.workers = count;
	state.helpers = helpers_list(s, tail.helpers, COUNT_OF(tail.helpers));
	size_t workers_size = sizeof(tail.workers[0]) * count,
	       helpers_size = sizeof(tail.helpers[0]) * state.helpers;
	memmove((char *)&tail + workers_size, tail.helpers, helpers_size);
	int fds[] = {keepsakes_find(&s->keepsakes, KEEPSAKE_COUNTERS),
		keepsakes_find(&s->keepsakes, KEEPSAKE_CERTIFICATES)};
	unsigned fd_count = fds[0] < 0 ? 0 : fds[1] < 0 ? 1 : 2;
	if (channel_send(client->fd, CONTROL_STATE, &state, sizeof(state), &tail,
		    workers_size + helpers_size, fds, fd_count, false)) {
		/* it does not listen any more */
	}
	control_drop(client);
}

void control_hear(struct supervisor *s, struct control_client *client)
{
	struct channel_message message;
	int got = channel_receive(client->fd, &message, false);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		if (got < 0 && errno == EPROTONOSUPPORT)
			done(client, 1, SLICE("weir of another version is running: restart it"));
		control_drop(client);
		return;
	}
	channel_drop(&message);
	client->deadline = 0;
	switch (message.type) {
	case CONTROL_RELOAD:
		if (s->stopping) {
			done(client, 1, SLICE("weir is stopping"));
			control_drop(client);
			return;
		}
		/* one that is under way may have read the file already: the next one counts */
		client->reload = s->control.reload + 1;
		supervisor_reload(s);
		return;
	case CONTROL_STOP:
		done(client, 0, SLICE("stopping"));
		supervisor_stop(s, false);
		return;
	case CONTROL_STATUS:
		answer_status(s, client);
		return;
	default:
		control_drop(client);
	}
}
