/* SPDX-License-Identifier: BSD-2-Clause */
/* The sandbox of a process. Landlock is called by number and with structs of our own, since the headers of the system that weir is
 * built on may be older than the kernel that it runs on; rights that the kernel does not know are masked out by its version.
 * seccomp answers EPERM to what is not on the list: what a library then does without is seen in tests, and the process lives on. */
#include "process/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "process/sandbox_filters.h"

/* --- Landlock. --- */

#define LANDLOCK_CREATE  444 /* the same on all architectures */
#define LANDLOCK_ADD     445
#define LANDLOCK_ENTER   446
#define LANDLOCK_BENEATH 1 /* a rule of a path */
#define LANDLOCK_VERSION 1u

enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8,
	FS_ALL_1 = (1 << 13) - 1,
	FS_REFER = 1 << 13,      /* from version 2 */
	FS_TRUNCATE = 1 << 14,   /* 3 */
	FS_IOCTL_DEV = 1 << 15,  /* 5 */
	NET_BIND_TCP = 1 << 0,   /* 4 */
	SCOPE_ABSTRACT = 1 << 0, /* 6: Unix sockets without a file */
	SCOPE_SIGNAL = 1 << 1,   /* 6 */
};

struct ruleset {
	uint64_t fs, net, scoped;
};

struct __attribute__((packed)) rule {
	uint64_t allowed;
	int32_t folder;
};

static struct ruleset handled(long version)
{
	struct ruleset set = {.fs = FS_ALL_1};
	if (version >= 2)
		set.fs |= FS_REFER;
	if (version >= 3)
		set.fs |= FS_TRUNCATE;
	if (version >= 4)
		set.net = NET_BIND_TCP; /* all that is listened on was bound before */
	if (version >= 5)
		set.fs |= FS_IOCTL_DEV;
	if (version >= 6)
		set.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
	return set;
}

/* What a version does not hold back, for a message; NULL: all that is asked for is. Older ones without FS_REFER forbid more, and
 * what FS_IOCTL_DEV is for seccomp does as well. */
static const char *not_held_back(long version)
{
	if (version < 3)
		return "truncating files, binding ports, signals and abstract sockets";
	if (version < 4)
		return "binding ports, signals and abstract sockets";
	if (version < 6)
		return "signals and abstract sockets";
	return NULL;
}

static size_t ruleset_size(long version)
{
	return version >= 6 ? 24 : version >= 4 ? 16 : 8;
}

/* A path that is not there is no error: what is looked for beneath it is not there either. */
static int add_rule(int ruleset, const char *path, uint64_t allowed)
{
	struct stat st;
	int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
		allowed &= FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE;
	struct rule rule = {allowed, fd};
	int result = (int)syscall(LANDLOCK_ADD, ruleset, LANDLOCK_BENEATH, &rule, 0);
	close(fd);
	return result;
}

static int make_ruleset(const struct grants *grants, long version)
{
	if (version < 1)
		return -1;
	struct ruleset set = handled(version);
	int ruleset = (int)syscall(LANDLOCK_CREATE, &set, ruleset_size(version), 0);
	int result = ruleset < 0 ? -1 : 0;
	for (unsigned i = 0; i < grants->count && result == 0; i++) {
		uint64_t allowed = FS_READ_FILE | FS_READ_DIR;
		if (grants->list[i].writable)
			allowed |= FS_WRITE_FILE | FS_REMOVE_FILE | FS_REMOVE_DIR | FS_MAKE_REG |
				   FS_MAKE_DIR | FS_TRUNCATE | FS_REFER;
		result = add_rule(ruleset, grants->list[i].path, allowed & set.fs);
	}
	if (result == 0)
		return ruleset;
	int error = errno;
	if (ruleset >= 0)
		close(ruleset);
	errno = error;
	return -1;
}

static int landlock(const struct grants *grants, long version, int ruleset)
{
	int own = ruleset < 0 ? make_ruleset(grants, version) : -1;
	if (ruleset < 0 && own < 0)
		return -1;
	int result = (int)syscall(LANDLOCK_ENTER, ruleset < 0 ? own : ruleset, 0);
	int error = errno;
	if (own >= 0)
		close(own);
	errno = error;
	return result;
}

int sandbox_writes(enum sandbox_mode mode, const char *const *paths)
{
	const uint64_t writes = FS_WRITE_FILE | FS_REMOVE_FILE | FS_REMOVE_DIR | FS_MAKE_REG |
				FS_MAKE_DIR | FS_TRUNCATE | FS_REFER;
	if (mode == SANDBOX_OFF)
		return 0;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	long version = syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_VERSION);
	struct ruleset set = handled(version);
	set.fs &= ~(uint64_t)(FS_EXECUTE | FS_READ_FILE | FS_READ_DIR | FS_IOCTL_DEV);
	int ruleset =
		version < 1 ? -1 : (int)syscall(LANDLOCK_CREATE, &set, ruleset_size(version), 0);
	int result = ruleset < 0 ? -1 : 0;
	for (; *paths && result == 0; paths++)
		result = add_rule(ruleset, *paths, writes & set.fs);
	if (result == 0)
		result = (int)syscall(LANDLOCK_ENTER, ruleset, 0);
	if (ruleset >= 0)
		close(ruleset);
	return mode == SANDBOX_REQUIRE ? result : 0;
}

/* --- seccomp. --- */

/* TSYNC: threads that a library may have started already are bound as well. */
static int seccomp_enter(enum sandbox_kind kind, bool local)
{
	struct sock_filter list[BPF_MAXINSNS];
	struct sandbox_filter made = sandbox_filter(kind, local);
	struct sock_fprog program = {made.count, list};
	check(made.count <= BPF_MAXINSNS);
	memcpy(list, made.list, made.count * sizeof(*list));
	for (unsigned i = 0; i < made.count; i++) {
		if (list[i].k == SANDBOX_OWN_ID)
			list[i].k = (uint32_t)getpid();
	}
	long result =
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
	if (result <= 0)
		return (int)result;
	errno = ESRCH; /* a thread that has a filter of its own */
	return -1;
}

/* --- Both. --- */

/* Sanitizers and coverage read and write what no worker should: such builds are locked in only when that is required. */
#if defined(WEIR_SANITIZERS) || defined(WEIR_COVERAGE)
#define INSTRUMENTED 1
#else
#define INSTRUMENTED 0
#endif

static int lacking(enum sandbox_mode mode, const char *what, const char *why)
{
	if (mode == SANDBOX_REQUIRE) {
		log_error("sandbox: %s: %s; `sandbox: require` refuses to go on", what, why);
		return -1;
	}
	log_warn("sandbox: this kernel lacks a part, it is done without: %s: %s", what, why);
	return 0;
}

static int landlock_enter(enum sandbox_mode mode, const struct grants *grants, int ruleset)
{
	char why[128];
	long version = syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_VERSION);
	if (landlock(grants, version, ruleset))
		return lacking(mode, "Landlock", strerror(errno));
	if (!not_held_back(version))
		return 0;
	snprintf(why, sizeof(why), "version %ld does not hold back %s", version,
		not_held_back(version));
	return lacking(mode, "Landlock", why);
}

static bool is_wanted(enum sandbox_mode mode)
{
	return mode != SANDBOX_OFF && !(INSTRUMENTED && mode == SANDBOX_ON);
}

int sandbox_ruleset(enum sandbox_mode mode, const struct grants *grants)
{
	return is_wanted(mode)
		       ? make_ruleset(grants, syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_VERSION))
		       : -1;
}

int sandbox_enter(
	enum sandbox_mode mode, enum sandbox_kind kind, const struct grants *grants, int ruleset)
{
	if (!is_wanted(mode))
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
		lacking(mode, "no_new_privs", strerror(errno)))
		return -1;
	if (landlock_enter(mode, grants, ruleset))
		return -1;
	if (seccomp_enter(kind, grants->local) && lacking(mode, "seccomp", strerror(errno)))
		return -1;
	return 0;
}
