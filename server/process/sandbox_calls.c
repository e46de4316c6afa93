/* SPDX-License-Identifier: BSD-2-Clause */
/* The lists of system calls. What is not on the list of a process is answered with EPERM. */
#include "process/sandbox_calls.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* A worker's threads. Names, since not every kernel and library knows all of them. */
static const char *const worker_calls[] = {
	/* bytes */
	"read",
	"write",
	"readv",
	"writev",
	"pread64",
	"pwrite64",
	"preadv",
	"preadv2",
	"pwritev",
	"sendfile",
	"splice",
	"tee",
	"copy_file_range",
	"pipe2",
	/* sockets: socket() itself is below; what is listened on was bound before */
	"sendto",
	"sendmsg",
	"sendmmsg",
	"recvfrom",
	"recvmsg",
	"recvmmsg",
	"accept4",
	"accept",
	"connect",
	"listen",
	"shutdown",
	"setsockopt",
	"getsockopt",
	"getsockname",
	"getpeername",
	"close",
	"close_range",
	/* waiting */
	"epoll_create1",
	"epoll_ctl",
	"epoll_wait",
	"epoll_pwait",
	"epoll_pwait2",
	"poll",
	"ppoll",
	"select",
	"pselect6",
	"eventfd2",
	"timerfd_create",
	"timerfd_settime",
	"timerfd_gettime",
	"futex",
	"futex_waitv",
	"nanosleep",
	"clock_nanosleep",
	"sched_yield",
	"restart_syscall",
	/* files */
	"open",
	"openat",
	"openat2",
	"stat",
	"lstat",
	"fstat",
	"newfstatat",
	"statx",
	"statfs",
	"fstatfs",
	"access",
	"faccessat",
	"faccessat2",
	"readlink",
	"readlinkat",
	"getdents64",
	"getcwd",
	"lseek",
	"fadvise64",
	"readahead",
	"cachestat",
	"dup",
	"dup2",
	"dup3",
	"unlink",
	"unlinkat",
	"rename",
	"renameat",
	"renameat2",
	"mkdir",
	"mkdirat",
	"fsync",
	"fdatasync",
	"fchmod",
	"umask",
	"memfd_create",
	"inotify_init1",
	"inotify_add_watch",
	"inotify_rm_watch",
	/* memory: mmap and mprotect are below */
	"munmap",
	"mremap",
	"madvise",
	"brk",
	"mincore",
	"mlock",
	"munlock",
	"membarrier",
	/* threads and signals: no exec; clone and tgkill are below */
	"set_robust_list",
	"get_robust_list",
	"rseq",
	"set_tid_address",
	"gettid",
	"getpid",
	"getppid",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"rt_sigtimedwait",
	"sigaltstack",
	"exit",
	"exit_group",
	"sched_getaffinity",
	"sched_getparam",
	"sched_getscheduler",
	"getpriority",
	"arch_prctl",
	/* the time, and what one may know */
	"clock_gettime",
	"clock_getres",
	"gettimeofday",
	"time",
	"getrandom",
	"getrusage",
	"getrlimit",
	"sysinfo",
	"uname",
	"getuid",
	"geteuid",
	"getgid",
	"getegid",
	"getgroups",
	NULL,
};

#define CLONE_NEW                                                                                  \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
		CLONE_NEWPID | CLONE_NEWNET)

/* fcntl cannot change the flags of an open
 * file, for logs that are appended to must stay so, nor have signals sent to anybody. */
static const struct sandbox_narrow worker_narrow[] = {
	{"socket", 0, UINT32_MAX, AF_INET},
	{"socket", 0, UINT32_MAX, AF_INET6},
	{"mmap", 2, PROT_EXEC, 0},
	{"mprotect", 2, PROT_EXEC, 0},
	{"ioctl", 1, UINT32_MAX, FIONREAD},
	{"ioctl", 1, UINT32_MAX, FIONBIO},
	{"ioctl", 1, UINT32_MAX, TCGETS},
	{"prctl", 0, UINT32_MAX, PR_SET_NAME},
	{"prctl", 0, UINT32_MAX, PR_SET_PDEATHSIG}, /* until it is READY */
	{"clone", 0, CLONE_THREAD | CLONE_NEW, CLONE_THREAD},
	{"prlimit64", 0, UINT32_MAX, 0},
	{"pwritev2", 5, UINT32_MAX, RWF_NOWAIT}, /* the log */
	{"fcntl", 1, UINT32_MAX, F_DUPFD},
	{"fcntl", 1, UINT32_MAX, F_DUPFD_CLOEXEC},
	{"fcntl", 1, UINT32_MAX, F_GETFD},
	{"fcntl", 1, UINT32_MAX, F_SETFD},
	{"fcntl", 1, UINT32_MAX, F_GETFL},
	{"fcntl", 1, UINT32_MAX, F_ADD_SEALS}, /* keepsakes */
	{NULL, 0, 0, 0},
};

/* The signer: packets of its ends, descriptors of the supervisor, memory, threads. It opens nothing and has no sockets of its own. */
static const char *const signer_calls[] = {
	"read",
	"write",
	"writev",
	"sendmsg",
	"sendto",
	"recvmsg",
	"recvfrom",
	"poll",
	"ppoll",
	"close",
	"fstat",
	"newfstatat",
	"statx",
	"lseek",
	"dup3",
	"memfd_create",
	/* memory */
	"munmap",
	"mremap",
	"madvise",
	"brk",
	"mlock",
	/* threads and signals */
	"futex",
	"set_robust_list",
	"rseq",
	"gettid",
	"getpid",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"restart_syscall",
	"sched_yield",
	"exit",
	"exit_group",
	/* what the library asks for */
	"clock_gettime",
	"gettimeofday",
	"time",
	"getrandom",
	"getrusage",
	NULL,
};

static const struct sandbox_narrow signer_narrow[] = {
	{"mmap", 2, PROT_EXEC, 0},
	{"mprotect", 2, PROT_EXEC, 0},
	{"clone", 0, CLONE_THREAD | CLONE_NEW, CLONE_THREAD},
	{"fcntl", 1, UINT32_MAX, F_ADD_SEALS},
	{"fcntl", 1, UINT32_MAX, F_GETFL},
	{"prctl", 0, UINT32_MAX, PR_SET_NAME},
	{NULL, 0, 0, 0},
};

const char *const *sandbox_calls(enum sandbox_kind kind)
{
	return kind == SANDBOX_SIGNER ? signer_calls : worker_calls;
}

const struct sandbox_narrow *sandbox_narrow(enum sandbox_kind kind)
{
	return kind == SANDBOX_SIGNER ? signer_narrow : worker_narrow;
}
