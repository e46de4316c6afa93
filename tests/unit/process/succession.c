/* SPDX-License-Identifier: BSD-2-Clause */
/* Which worker serves (DESIGN §4), where reloads, crashes and signals come at a bad moment. */
#include "puppets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/ptrace.h>

#include "process/control.h"
#include "process/tally.h"

#define HOUR 3600000

/* A listening socket of the kernel's choice; its port. */
static int listening(unsigned *port)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(any);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &length), 0);
	*port = any.sin_port;
	return fd;
}

/* Makes an address as a worker does; only the supervisor has it afterwards. */
static unsigned keep(struct puppet *puppet, const char *address)
{
	unsigned port;
	int fd = listening(&port);
	puppet_say(puppet, CHANNEL_KEEP_SOCKETS, NULL, 0, address, &fd);
	close(fd);
	return port;
}

static bool is_open(unsigned port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = (in_port_t)port,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int result = connect(fd, (const struct sockaddr *)&to, sizeof(to));
	close(fd);
	return result == 0;
}

static bool is_closed_soon(unsigned port)
{
	for (int ms = PUPPET_MS; ms > 0 && is_open(port); ms -= 10)
		poll(NULL, 0, 10);
	return !is_open(port);
}

/* The order to drain; the addresses that it names, a NUL behind each. */
static struct slice drained(struct puppet *puppet)
{
	struct channel_drain order;
	puppet_hear(puppet, CHANNEL_DRAIN);
	assert_int_equal(channel_head(&puppet_message, &order, sizeof(order)), 0);
	return (struct slice){
		puppet_message.payload + sizeof(order), puppet_message.length - sizeof(order)};
}

static void let_go(struct puppet *puppet)
{
	drained(puppet);
	puppet_say(puppet, CHANNEL_LET_GO, NULL, 0, NULL, NULL);
}

/* All that came before this is done when it returns. */
static struct control_state status(void)
{
	struct control_state state;
	int control = control_ask(show.file, CONTROL_STATUS, NULL);
	assert_true(control >= 0);
	assert_int_equal(channel_receive(control, &puppet_message, true), 1);
	assert_int_equal(channel_head(&puppet_message, &state, sizeof(state)), 0);
	channel_drop(&puppet_message);
	close(control);
	return state;
}

/* --- Reloads. --- */

/* The worker may have read the file before the change for which the reload is asked. */
static void test_a_reload_during_the_first_start_comes_after_it(void **state)
{
	char sentence[128];
	(void)state;
	show_begin(false);
	struct puppet *first = show_worker();
	int control = control_ask(show.file, CONTROL_RELOAD, NULL);
	assert_true(control >= 0);
	status();
	puppet_ready(first, HOUR);
	struct puppet *second = show_worker();
	assert_int_equal(second->kind, START_RELOAD);
	puppet_ready(second, HOUR);
	let_go(first);
	assert_true(show_await(control, PUPPET_MS));
	assert_int_equal(control_await(control, &puppet_message, sentence, sizeof(sentence)), 0);
	close(control);
	show_end();
}

/* Each old worker goes on for an hour. There is a place for the next reload, and for a crash, whatever happens. */
static void test_old_workers_never_take_all_places(void **state)
{
	(void)state;
	show_begin(false);
	struct puppet *now = show_worker();
	puppet_ready(now, HOUR);
	for (int i = 0; i < 40; i++) {
		show_signal(SIGHUP);
		struct puppet *next = show_worker();
		assert_int_equal(next->kind, START_RELOAD);
		puppet_ready(next, HOUR);
		let_go(now);
		now = next;
		assert_true(status().workers <= PLACES_MAX);
	}
	assert_true(status().workers >= PLACES_MAX - 4); /* no more are cut off than has to be */
	assert_true(show_says("too many workers are draining", 0));
	/* a crash while a reload is under way */
	show_signal(SIGHUP);
	struct puppet *reload = show_worker();
	kill(now->pid, SIGKILL);
	struct puppet *crash = show_worker();
	assert_int_equal(crash->kind, START_CRASH);
	puppet_ready(crash, HOUR);
	puppet_ready(reload, HOUR);
	let_go(crash);
	show_end();
}

/* --- Addresses. --- */

/* One worker with two addresses dies while a reload removes the second of them; both others are starting. */
static void crash_during_a_reload(struct puppet **reload, struct puppet **crash, unsigned *port)
{
	show_begin(false);
	struct puppet *first = show_worker();
	keep(first, "stays");
	*port = keep(first, "goes");
	puppet_ready(first, HOUR);
	show_signal(SIGHUP);
	*reload = show_worker();
	assert_int_equal(puppet_wants(*reload, "stays"), 1);
	kill(first->pid, SIGKILL);
	*crash = show_worker();
	assert_int_equal((*crash)->kind, START_CRASH);
}

static void test_a_removed_address_is_closed_after_a_crash(void **state)
{
	struct puppet *reload, *crash;
	unsigned port;
	(void)state;
	crash_during_a_reload(&reload, &crash, &port);
	assert_int_equal(puppet_wants(crash, "stays"), 1);
	assert_int_equal(puppet_wants(crash, "goes"), 1);
	puppet_ready(reload, HOUR);
	status();
	puppet_ready(crash, HOUR);
	/* the worker with the older configuration empties what nobody else accepts from */
	assert_true(slice_equal(drained(crash), SLICE("goes\0")));
	assert_true(is_closed_soon(port));
	show_end();
}

static void test_what_waits_at_a_removed_address_is_kept_for_who_can_serve_it(void **state)
{
	struct puppet *reload, *crash;
	unsigned port;
	(void)state;
	crash_during_a_reload(&reload, &crash, &port);
	puppet_ready(reload, HOUR);
	status();
	assert_true(is_open(port));
	assert_int_equal(puppet_wants(crash, "goes"), 1);
	puppet_ready(crash, HOUR);
	assert_true(slice_equal(drained(crash), SLICE("goes\0")));
	assert_true(is_closed_soon(port));
	show_end();
}

static void test_and_is_closed_when_nobody_can(void **state)
{
	struct puppet *reload, *crash;
	unsigned port;
	(void)state;
	crash_during_a_reload(&reload, &crash, &port);
	puppet_ready(reload, HOUR);
	status();
	kill(crash->pid, SIGKILL);
	assert_true(is_closed_soon(port));
	show_end();
}

/* --- Logs. --- */

static ino_t inode_of(int fd)
{
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	return st.st_ino;
}

static ino_t reopened(struct puppet *puppet)
{
	puppet_hear(puppet, CHANNEL_FILE);
	assert_int_equal(puppet_message.fd_count, 1);
	return inode_of(channel_take(&puppet_message, 0));
}

/* Who starts has the old one open already. */
static void test_usr1_during_a_start_counts_for_who_starts(void **state)
{
	char path[128], renamed[128];
	(void)state;
	show_begin(false);
	snprintf(path, sizeof(path), "%s/a.log", show.folder);
	snprintf(renamed, sizeof(renamed), "%s/a.log.1", show.folder);
	struct puppet *first = show_worker();
	ino_t old = inode_of(puppet_log(first, 1, path));
	puppet_ready(first, HOUR);
	show_signal(SIGHUP);
	struct puppet *second = show_worker();
	assert_int_equal(inode_of(puppet_log(second, 1, path)), old);
	assert_int_equal(rename(path, renamed), 0);
	show_signal(SIGUSR1);
	ino_t new = reopened(first);
	assert_int_not_equal(new, old);
	puppet_ready(second, HOUR);
	assert_int_equal(reopened(second), new);
	show_end();
}

/* --- Signals. --- */

/* weir serve: there is no file to read again, and its terminal is gone. */
static void test_hup_without_a_file_stops(void **state)
{
	(void)state;
	show_begin(true);
	struct puppet *worker = show_worker();
	puppet_ready(worker, HOUR);
	assert_true(show_says("serves", PUPPET_MS));
	show_signal(SIGHUP);
	drained(worker);
	assert_true(show_says("stopping", 0));
	assert_int_equal(show_over(), 0);
}

static void test_hup_that_was_ignored_stays_so_without_a_file(void **state)
{
	(void)state;
	signal(SIGHUP, SIG_IGN);
	show_begin(true);
	signal(SIGHUP, SIG_DFL);
	struct puppet *worker = show_worker();
	puppet_ready(worker, HOUR);
	assert_true(show_says("serves", PUPPET_MS));
	show_signal(SIGHUP);
	show_signal(SIGUSR1);
	assert_true(show_says("logs are opened anew", PUPPET_MS));
	assert_false(show_says("stopping", 0));
	assert_false(show_says("reloading", 0));
	show_end();
}

static uint64_t blocked(pid_t pid)
{
	char path[64], line[256];
	unsigned long long mask = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) && sscanf(line, "SigBlk: %llx", &mask) != 1)
		;
	fclose(file);
	return mask;
}

/* Ctrl-C and the like go to the whole group: no moment may be left in which they end a worker that begins. */
static void test_a_worker_begins_with_signals_blocked(void **state)
{
	static const int all[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
	(void)state;
	show_begin(false);
	struct puppet *worker = show_worker();
	for (size_t i = 0; i < COUNT_OF(all); i++) {
		assert_true(blocked(worker->pid) >> (all[i] - 1) & 1);
		assert_int_equal(kill(worker->pid, all[i]), 0);
	}
	puppet_ready(worker, HOUR);
	assert_true(show_says("serves", PUPPET_MS));
	show_end();
}

/* A dead disk may hold a killed worker for ever. Here it is this test that does not let the supervisor have it. */
static void test_a_stop_does_not_wait_for_what_cannot_be_killed(void **state)
{
	int status;
	(void)state;
	show_begin(false);
	struct puppet *worker = show_worker();
	puppet_ready(worker, 0);
	assert_true(show_says("serves", PUPPET_MS));
	if (ptrace(PTRACE_SEIZE, worker->pid, NULL, NULL)) { /* a machine that forbids it */
		show_end();
		return;
	}
	alarm(20);
	show_signal(SIGTERM);
	assert_true(show_says("it is left behind", PUPPET_MS));
	assert_int_equal(show_over(), 0);
	alarm(0);
	assert_int_equal(waitpid(worker->pid, &status, __WALL), worker->pid);
}

/* --- The service manager. --- */

static void test_a_long_stop_asks_for_time(void **state)
{
	char path[64] = "/tmp/weir-manager-XXXXXX", text[1024];
	unsigned long long time = 0;
	(void)state;
	int file = mkstemp(path);
	unlink(path);
	close(file);
	struct sockaddr_un address = puppet_address(path);
	int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(manager, (const struct sockaddr *)&address, sizeof(address)), 0);
	setenv("NOTIFY_SOCKET", path, 1);
	show_begin(false);
	unsetenv("NOTIFY_SOCKET");
	puppet_ready(show_worker(), HOUR);
	for (bool stopping = false; !stopping;) {
		assert_true(show_await(manager, PUPPET_MS));
		ssize_t length = recv(manager, text, sizeof(text) - 1, 0);
		text[length] = 0;
		if (strstr(text, "READY=1"))
			show_signal(SIGTERM);
		stopping = strstr(text, "STOPPING=1") != NULL;
	}
	const char *extend = strstr(text, "\nEXTEND_TIMEOUT_USEC=");
	assert_non_null(extend);
	assert_int_equal(sscanf(extend, "\nEXTEND_TIMEOUT_USEC=%llu\n", &time), 1);
	assert_true(time > HOUR * 1000ull && time < HOUR * 1000ull + 60000000);
	assert_int_equal(show_over(), 0);
	close(manager);
	unlink(path);
}

/* --- Workers that are not what they were. --- */

static void test_a_file_asked_for_after_ready_breaks_the_rules(void **state)
{
	char path[128];
	struct channel_count wanted = {1};
	(void)state;
	show_begin(false);
	snprintf(path, sizeof(path), "%s/a.log", show.folder);
	struct puppet *worker = show_worker();
	close(puppet_log(worker, 1, path));
	puppet_ready(worker, HOUR);
	puppet_say(worker, CHANNEL_OPEN, &wanted, sizeof(wanted), NULL, NULL);
	assert_int_equal(show_worker()->kind, START_CRASH);
	assert_true(show_says("broke the rules", 0));
	show_end();
}

static void test_a_worker_may_not_speak_at_the_control_socket(void **state)
{
	char path[CONTROL_PATH_MAX];
	int answered = 1;
	(void)state;
	show_begin(false);
	struct puppet *worker = show_worker();
	puppet_ready(worker, HOUR);
	assert_int_equal(control_path(show.file, path), 0);
	assert_int_equal(channel_send(worker->wire, CHANNEL_FILE, NULL, 0, path, strlen(path), NULL,
				 0, true),
		0);
	assert_true(show_await(worker->wire, PUPPET_MS));
	assert_int_equal(channel_receive(worker->wire, &puppet_message, true), 1);
	assert_int_equal(channel_head(&puppet_message, &answered, sizeof(answered)), 0);
	assert_int_equal(answered, 0);
	assert_true(show_says("may not speak here", 0));
	assert_int_equal(status().workers, 1); /* whoever is no worker is answered */
	show_end();
}

int main(int argc, char **argv)
{
	puppet_main(argc, argv);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_reload_during_the_first_start_comes_after_it),
		cmocka_unit_test(test_old_workers_never_take_all_places),
		cmocka_unit_test(test_a_removed_address_is_closed_after_a_crash),
		cmocka_unit_test(test_what_waits_at_a_removed_address_is_kept_for_who_can_serve_it),
		cmocka_unit_test(test_and_is_closed_when_nobody_can),
		cmocka_unit_test(test_usr1_during_a_start_counts_for_who_starts),
		cmocka_unit_test(test_hup_without_a_file_stops),
		cmocka_unit_test(test_hup_that_was_ignored_stays_so_without_a_file),
		cmocka_unit_test(test_a_worker_begins_with_signals_blocked),
		cmocka_unit_test(test_a_stop_does_not_wait_for_what_cannot_be_killed),
		cmocka_unit_test(test_a_long_stop_asks_for_time),
		cmocka_unit_test(test_a_file_asked_for_after_ready_breaks_the_rules),
		cmocka_unit_test(test_a_worker_may_not_speak_at_the_control_socket),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
