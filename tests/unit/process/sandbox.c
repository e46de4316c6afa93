/* SPDX-License-Identifier: BSD-2-Clause */
/* The sandbox (DESIGN §4): what is granted can be reached, all else cannot, and no rights or programs can be had any more. Each case
 * locks in a child of its own. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "process/sandbox.h"

#define LANDLOCK_CREATE 444

/* What sandbox.c takes for the version of Landlock; 0: what the kernel says. */
static long pretended;

/* In place of the library's, for a kernel that is older than this one. */
long syscall(long number, ...)
{
	static long (*next)(long, ...);
	long a[6];
	va_list arguments;
	va_start(arguments, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(arguments, long);
	va_end(arguments);
	if (number == LANDLOCK_CREATE && a[0] == 0 && pretended != 0)
		return pretended;
	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "syscall");
	return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static long landlock_version(void)
{
	return syscall(LANDLOCK_CREATE, NULL, 0, 1);
}

static char folder[] = "/tmp/weir-sandbox-XXXXXX";
static struct grants grants;

static void name(char to[128], const char *file)
{
	snprintf(to, 128, "%s/%s", folder, file);
}

static void make_file(const char *file)
{
	char path[128];
	name(path, file);
	close(open(path, O_WRONLY | O_CREAT, 0644));
}

static void make_folder(const char *file)
{
	char path[128];
	name(path, file);
	mkdir(path, 0755);
}

/* releases/1/index, live/root -> ../releases/1, other/secret, temp */
static int set_up(void **state)
{
	char path[128];
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	make_folder("releases");
	make_folder("releases/1");
	make_folder("releases/2");
	make_folder("live");
	make_folder("other");
	make_folder("temp");
	make_file("releases/1/index");
	make_file("releases/2/index");
	make_file("other/secret");
	name(path, "live/root");
	return symlink("../releases/1", path);
}

static int tear_down(void **state)
{
	char command[160];
	(void)state;
	grants_clear(&grants);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

static int opens(const char *file, int flags)
{
	char path[128];
	name(path, file);
	int fd = open(path, flags, 0600);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static enum sandbox_kind kind = SANDBOX_WORKER;
static bool by_ruleset; /* by one that was made before, and no list */

/* Runs a case in a locked child, which ends with the number of the first expectation that failed. */
static void locked(int (*body)(void))
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		char path[128];
		name(path, "live/root");
		grants_add(&grants, path, false);
		name(path, "temp");
		grants_add(&grants, path, true);
		log_open(2, LOG_LEVEL_ERROR, NULL); /* what an older kernel lacks is no news here */
		int ruleset = by_ruleset ? sandbox_ruleset(SANDBOX_ON, &grants) : -1;
		if (ruleset >= 0)
			grants_clear(&grants);
		if (sandbox_enter(SANDBOX_ON, kind, &grants, ruleset))
			_exit(100);
		_exit(body());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int files_body(void)
{
	if (!opens("releases/1/index", O_RDONLY) || !opens("live/root/index", O_RDONLY))
		return 1;
	if (!opens("releases/2/index", O_RDONLY)) /* a deploy may switch the link */
		return 2;
	if (opens("other/secret", O_RDONLY) || open("/etc/passwd", O_RDONLY) >= 0)
		return 3;
	if (opens("releases/1/index", O_WRONLY) || opens("releases/1/new", O_WRONLY | O_CREAT))
		return 4;
	if (!opens("temp/new", O_RDWR | O_CREAT) || opens("temp/../other/new", O_RDWR | O_CREAT))
		return 5;
	return 0;
}

static void test_files(void **state)
{
	(void)state;
	locked(files_body);
}

static void test_files_by_a_ruleset_that_was_kept(void **state)
{
	(void)state;
	by_ruleset = true;
	locked(files_body);
	by_ruleset = false;
}

static int rights_body(void)
{
	char program[] = "/bin/true";
	char *const arguments[] = {program, NULL};
	execv(program, arguments);
	if (errno != EPERM && errno != EACCES)
		return 1;
	if (kill(getppid(), 0) == 0)
		return 2;
	if (socket(AF_NETLINK, SOCK_RAW, 0) >= 0 || socket(AF_PACKET, SOCK_RAW, 0) >= 0)
		return 3;
	if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
		MAP_FAILED)
		return 4;
	if (setuid(1) == 0 && getuid() == 1)
		return 5;
	return 0;
}

/* What a call answers: 0, or the errno. */
static int answer(long result)
{
	return result < 0 ? errno : 0;
}

static long new_process(long (*begin)(void))
{
	long pid = begin();
	if (pid == 0)
		_exit(0);
	return pid;
}

static long by_fork(void)
{
	return fork();
}

static long by_clone_into_a_namespace(void)
{
	return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0L, 0L, 0L, 0L);
}

static long by_clone_as_a_thread_with_a_namespace(void)
{
	/* the kernel would refuse this one itself, with EINVAL */
	return syscall(SYS_clone,
		CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWUSER | CLONE_NEWNS, 0L, 0L, 0L,
		0L);
}

static int processes_body(void)
{
	uint64_t flags[11] = {0, [4] = SIGCHLD};
	if (answer(new_process(by_fork)) != EPERM)
		return 1;
	if (answer(new_process(by_clone_into_a_namespace)) != EPERM)
		return 2;
	if (answer(new_process(by_clone_as_a_thread_with_a_namespace)) != EPERM)
		return 3;
	long pid = syscall(SYS_clone3, flags, sizeof(flags));
	if (pid == 0)
		_exit(0);
	if (answer(pid) != ENOSYS)
		return 4;
	return answer(unshare(CLONE_NEWUSER)) != EPERM ? 5 : 0;
}

static void test_no_processes_and_no_namespaces(void **state)
{
	(void)state;
	locked(processes_body);
}

static int others_body(void)
{
	struct rlimit limit;
	struct f_owner_ex owner = {F_OWNER_PID, getppid()};
	cpu_set_t cpus;
	pid_t other = getppid();
	int fd = eventfd(0, 0);
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	if (answer(syscall(SYS_tgkill, (long)other, (long)other, 0L)) != EPERM)
		return 1;
	if (syscall(SYS_tgkill, (long)getpid(), (long)gettid(), 0L)) /* abort() does so */
		return 2;
	if (answer(prlimit(other, RLIMIT_NOFILE, NULL, &limit)) != EPERM)
		return 3;
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 4;
	if (answer(fcntl(fd, F_SETOWN, other)) != EPERM ||
		answer(fcntl(fd, F_SETOWN_EX, &owner)) != EPERM ||
		answer(fcntl(fd, F_SETSIG, SIGKILL)) != EPERM)
		return 5;
	if (answer(sched_setaffinity(other, sizeof(cpus), &cpus)) != EPERM ||
		answer(setpriority(PRIO_PROCESS, (id_t)other, 19)) != EPERM)
		return 6;
	return 0;
}

static void test_nothing_is_done_to_others(void **state)
{
	(void)state;
	locked(others_body);
}

static int appended;

/* A log that is open stays one that is appended to, and keeps what it holds. */
static int log_body(void)
{
	if (fcntl(appended, F_SETFL, 0) == 0 || ftruncate(appended, 0) == 0 ||
		fallocate(appended, 0, 0, 1 << 20) == 0)
		return 1;
	if (!(fcntl(appended, F_GETFL) & O_APPEND))
		return 2;
	/* 0x20: RWF_NOAPPEND */
	return syscall(SYS_pwritev2, (long)appended, &(struct iovec){(char[]){'x'}, 1}, 1L, 0L, 0L,
		       0x20L) == 1
		       ? 3
		       : 0;
}

static void test_a_log_is_appended_to_and_no_more(void **state)
{
	char path[128];
	(void)state;
	name(path, "a.log");
	appended = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	assert_int_equal(write(appended, "line\n", 5), 5);
	locked(log_body);
	close(appended);
}

/* --- Unix sockets. --- */

static struct sockaddr_un with_file = {.sun_family = AF_UNIX}, abstract = {.sun_family = AF_UNIX};

static int connects(const struct sockaddr_un *to, int type)
{
	int fd = socket(AF_UNIX, type, 0);
	if (fd < 0)
		return errno;
	int error = connect(fd, (const struct sockaddr *)to, sizeof(*to)) ? errno : 0;
	close(fd);
	return error;
}

static int no_local_body(void)
{
	int pair[2];
	if (connects(&with_file, SOCK_STREAM) != EPERM)
		return 1;
	/* one of datagrams could speak to any other */
	return socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0 ? 2 : 0;
}

static int local_body(void)
{
	int pair[2];
	if (connects(&with_file, SOCK_STREAM | SOCK_CLOEXEC) != 0)
		return 1;
	if (connects(&with_file, SOCK_SEQPACKET) != EPERM || /* as the control socket is */
		connects(&with_file, SOCK_DGRAM) != EPERM)
		return 2;
	if (landlock_version() >= 6 && connects(&abstract, SOCK_STREAM) != EPERM)
		return 3;
	return socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0 ? 4 : 0;
}

static int listener(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)address, sizeof(*address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void test_unix_sockets_only_where_a_backend_has_one(void **state)
{
	(void)state;
	snprintf(with_file.sun_path, sizeof(with_file.sun_path), "%s/other/socket", folder);
	snprintf(abstract.sun_path + 1, sizeof(abstract.sun_path) - 1, "weir-sandbox-%d",
		(int)getpid());
	int fds[] = {listener(&with_file), listener(&abstract)};
	assert_int_equal(connects(&abstract, SOCK_STREAM), 0);
	locked(no_local_body);
	grants.local = true;
	locked(local_body);
	grants.local = false;
	close(fds[0]);
	close(fds[1]);
}

/* --- Older kernels. --- */

/* Enters as on a kernel with this version of Landlock; what it said is in `said`. */
static int enters(enum sandbox_mode mode, long version, char said[1024])
{
	static struct grants none;
	int status, fd = memfd_create("log", MFD_CLOEXEC);
	pid_t pid = fork();
	if (pid == 0) {
		pretended = version;
		log_open(fd, LOG_LEVEL_INFO, NULL);
		_exit(sandbox_enter(mode, SANDBOX_WORKER, &none, -1) ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	ssize_t length = pread(fd, said, 1023, 0);
	assert_true(length >= 0 && WIFEXITED(status));
	said[length] = 0;
	close(fd);
	return WEXITSTATUS(status);
}

static void test_an_old_landlock_lacks_a_part(void **state)
{
	static const char *const lacks[] = {[1] = "truncating",
		[2] = "truncating",
		[3] = "ports",
		[4] = "signals",
		[5] = "signals"};
	char said[1024];
	(void)state;
	long newest = landlock_version();
	for (long version = 1; version <= 5 && version <= newest; version++) {
		assert_int_equal(enters(SANDBOX_REQUIRE, version, said), 1);
		assert_non_null(strstr(said, lacks[version]));
		assert_int_equal(enters(SANDBOX_ON, version, said), 0);
		assert_non_null(strstr(said, " warn"));
		assert_non_null(strstr(said, lacks[version]));
	}
	if (newest >= 6) {
		assert_int_equal(enters(SANDBOX_REQUIRE, 0, said), 0);
		assert_string_equal(said, "");
	}
	assert_int_equal(enters(SANDBOX_REQUIRE, -1, said), 1);
}

static void test_no_programs_and_no_rights(void **state)
{
	(void)state;
	locked(rights_body);
}

static int bind_body(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		return 1;
	any.sin_port = htons(1);
	/* from version 4 on; before it the worker has no rights to low ports anyway */
	return bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0;
}

static void test_no_port_can_be_bound(void **state)
{
	(void)state;
	locked(bind_body);
}

static void *nothing(void *argument)
{
	return argument;
}

static int threads_body(void)
{
	pthread_t thread;
	void *result = NULL;
	int fds[2];
	if (pthread_create(&thread, NULL, nothing, fds) || pthread_join(thread, &result) ||
		result != fds)
		return 1;
	if (pipe2(fds, O_CLOEXEC) || write(fds[1], "x", 1) != 1)
		return 2;
	free(malloc(1 << 22));
	return 0;
}

static void test_what_a_worker_does_still_works(void **state)
{
	(void)state;
	locked(threads_body);
}

static int signer_body(void)
{
	int fds[2];
	char program[] = "/bin/true";
	char *const arguments[] = {program, NULL};
	/* also what is granted to it by mistake */
	if (opens("releases/1/index", O_RDONLY) || opens("temp/new", O_WRONLY | O_CREAT))
		return 1;
	if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ||
		socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0 || pipe2(fds, 0) == 0)
		return 2;
	if (answer(new_process(by_fork)) != EPERM || execv(program, arguments) == 0)
		return 3;
	if (kill(getppid(), 0) == 0 || kill(getpid(), 0) == 0)
		return 4;
	if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
		MAP_FAILED)
		return 5;
	if (dup(2) >= 0 || syscall(SYS_process_vm_readv, (long)getppid(), 0L, 0L, 0L, 0L, 0L) == 0)
		return 6;
	return 0;
}

static int signer_works_body(void)
{
	pthread_t thread;
	void *result = NULL;
	char octet;
	if (pthread_create(&thread, NULL, nothing, &octet) || pthread_join(thread, &result) ||
		result != &octet)
		return 1;
	int fd = memfd_create("kept", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	if (fd < 0 || write(fd, "x", 1) != 1 || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE))
		return 2;
	free(malloc(1 << 22));
	return 0;
}

static void test_a_signer_may_do_next_to_nothing(void **state)
{
	(void)state;
	kind = SANDBOX_SIGNER;
	locked(signer_body);
	locked(signer_works_body);
	kind = SANDBOX_WORKER;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#if !defined(WEIR_SANITIZERS) && !defined(WEIR_COVERAGE)
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_files_by_a_ruleset_that_was_kept),
		cmocka_unit_test(test_no_programs_and_no_rights),
		cmocka_unit_test(test_no_processes_and_no_namespaces),
		cmocka_unit_test(test_nothing_is_done_to_others),
		cmocka_unit_test(test_a_log_is_appended_to_and_no_more),
		cmocka_unit_test(test_unix_sockets_only_where_a_backend_has_one),
		cmocka_unit_test(test_an_old_landlock_lacks_a_part),
		cmocka_unit_test(test_no_port_can_be_bound),
		cmocka_unit_test(test_what_a_worker_does_still_works),
		cmocka_unit_test(test_a_signer_may_do_next_to_nothing),
#endif
	};
	(void)files_body, (void)test_files, (void)test_files_by_a_ruleset_that_was_kept,
		(void)test_no_programs_and_no_rights, (void)test_no_port_can_be_bound,
		(void)test_what_a_worker_does_still_works,
		(void)test_a_signer_may_do_next_to_nothing,
		(void)test_no_processes_and_no_namespaces, (void)test_nothing_is_done_to_others,
		(void)test_a_log_is_appended_to_and_no_more,
		(void)test_unix_sockets_only_where_a_backend_has_one,
		(void)test_an_old_landlock_lacks_a_part;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
