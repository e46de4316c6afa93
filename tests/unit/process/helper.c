/* SPDX-License-Identifier: BSD-2-Clause */
/* Helpers as the supervisor keeps them (process/channel.h): they live and end with their worker, are started again while it serves, and
 * neither they nor their worker have a say in what they may once they may have been taken over. */
#include "puppets.h"

#include "process/control.h"
#include "process/keepsake.h"

#define HOUR 3600000

static const struct channel_want wants = {
	.kind = HELPER_SIGNER, .ends = 3, .sandbox = 1, .log_level = 2, .uid = 77, .gid = 88};

/* A helper of the worker: its HELLO in *hello, its ends; what the worker was given is in `ends`. */
struct part {
	struct puppet *puppet;
	struct channel_helper_hello hello;
	int far[HELPER_ENDS_MAX];  /* the helper's */
	int ends[HELPER_ENDS_MAX]; /* the worker's */
};

static void take_ends(int channel, enum channel_type type, unsigned most, int *to)
{
	struct channel_ends head;
	unsigned count = 0;
	do {
		assert_true(show_await(channel, PUPPET_MS));
		assert_int_equal(channel_receive(channel, &puppet_message, true), 1);
		assert_int_equal(puppet_message.type, type);
		assert_int_equal(channel_head(&puppet_message, &head, sizeof(head)), 0);
		assert_true(count + puppet_message.fd_count <= most);
		for (unsigned i = 0; i < puppet_message.fd_count; i++)
			to[count++] = channel_take(&puppet_message, i);
	} while (head.left > 0);
	assert_int_equal(count, most);
}

static void helper_comes(struct part *part)
{
	part->puppet = show_process(CHANNEL_HELPER_HELLO);
	assert_int_equal(channel_head(&puppet_message, &part->hello, sizeof(part->hello)), 0);
	take_ends(part->puppet->channel, CHANNEL_ENDS, part->hello.want.ends, part->far);
}

static void ask(struct puppet *worker, const struct channel_want *want, struct part *part)
{
	puppet_say(worker, CHANNEL_WANT_HELPER, want, sizeof(*want), NULL, NULL);
	helper_comes(part);
	take_ends(worker->channel, CHANNEL_HELPER, want->ends, part->ends);
}

static void close_part(struct part *part)
{
	for (unsigned i = 0; i < part->hello.want.ends; i++) {
		close(part->far[i]);
		close(part->ends[i]);
	}
}

/* Whether the process ends: its channel, which the test has as well, tells nothing; its own wire does. */
static bool ends(const struct puppet *puppet)
{
	return show_await(puppet->wire, PUPPET_MS) &&
	       channel_receive(puppet->wire, &puppet_message, true) == 0;
}

static void keep(struct puppet *puppet, const char *name, const char *text)
{
	int fd = keepsake_make(name, (struct slice){text, strlen(text)});
	puppet_say(puppet, CHANNEL_KEEP_KEEPSAKE, NULL, 0, name, &fd);
	close(fd);
}

/* The log may be sent at any time. */
static void hear(struct puppet *puppet, enum channel_type type)
{
	do {
		assert_true(show_await(puppet->channel, PUPPET_MS));
		assert_int_equal(channel_receive(puppet->channel, &puppet_message, true), 1);
		if (puppet_message.type == CHANNEL_LOG)
			channel_drop(&puppet_message);
	} while (puppet_message.type == CHANNEL_LOG);
	assert_int_equal(puppet_message.type, type);
}

/* What it is shown of this name; an empty text: nothing. */
static const char *shown(struct puppet *puppet, const char *name)
{
	static char text[64];
	puppet_say(puppet, CHANNEL_WANT_KEEPSAKE, NULL, 0, name, NULL);
	hear(puppet, CHANNEL_KEEPSAKE);
	text[0] = 0;
	if (puppet_message.fd_count == 1) {
		ssize_t length = pread(puppet_message.fds[0], text, sizeof(text) - 1, 0);
		text[length > 0 ? length : 0] = 0;
	}
	channel_drop(&puppet_message);
	return text;
}

/* The supervisor has heard it when this returns. */
static void locked(struct part *part)
{
	puppet_say(part->puppet, CHANNEL_LOCKED, NULL, 0, NULL, NULL);
	shown(part->puppet, "signer");
}

/* A worker with its helper. */
static struct puppet *begin_helped(struct part *part)
{
	show_begin(false);
	struct puppet *worker = show_worker();
	ask(worker, &wants, part);
	return worker;
}

/* A worker that serves with its helper. */
static struct puppet *begin_served(struct part *part)
{
	struct puppet *worker = begin_helped(part);
	locked(part);
	puppet_ready(worker, HOUR);
	return worker;
}

static void end_helped(struct part *part)
{
	close_part(part);
	show_end();
}

static bool are_connected(int a, int b)
{
	char byte = 0;
	return send(a, "x", 1, MSG_NOSIGNAL) == 1 && recv(b, &byte, 1, MSG_DONTWAIT) == 1 &&
	       byte == 'x';
}

/* --- Life. --- */

static void test_a_helper_and_its_worker_are_connected(void **state)
{
	struct part part;
	(void)state;
	struct puppet *worker = begin_helped(&part);
	assert_memory_equal(&part.hello.want, &wants, sizeof(wants));
	assert_int_equal(part.hello.start_kind, START_FRESH);
	assert_int_equal(part.hello.again, 0);
	assert_int_equal(part.hello.place, worker->place);
	for (unsigned i = 0; i < wants.ends; i++)
		assert_true(are_connected(part.ends[i], part.far[i]));
	end_helped(&part);
}

/* More ends than one message carries descriptors. */
static void test_each_thread_has_an_end(void **state)
{
	struct part part;
	struct channel_want want = wants;
	(void)state;
	want.ends = HELPER_ENDS_MAX;
	show_begin(false);
	struct puppet *worker = show_worker();
	ask(worker, &want, &part);
	for (unsigned i = 0; i < want.ends; i++)
		assert_true(are_connected(part.ends[i], part.far[i]));
	end_helped(&part);
}

static void test_a_helper_that_dies_is_started_again(void **state)
{
	struct part part, again;
	(void)state;
	struct puppet *worker = begin_served(&part);
	for (int i = 0; i < 3; i++) {
		kill(part.puppet->pid, SIGKILL);
		helper_comes(&again);
		assert_memory_equal(&again.hello.want, &wants, sizeof(wants));
		assert_int_equal(again.hello.start_kind, START_CRASH);
		assert_int_equal(again.hello.again, 1);
		/* the worker is told when it can do its work */
		assert_false(show_await(worker->channel, 0));
		locked(&again);
		take_ends(worker->channel, CHANNEL_HELPER, wants.ends, again.ends);
		for (unsigned k = 0; k < wants.ends; k++)
			assert_true(are_connected(again.ends[k], again.far[k]));
		close_part(&part);
		part = again;
	}
	assert_true(show_says("signer", PUPPET_MS) && show_says("died by signal 9", 0));
	end_helped(&part);
}

static void test_a_helper_ends_with_its_worker(void **state)
{
	struct part part;
	(void)state;
	struct puppet *worker = begin_served(&part);
	kill(worker->pid, SIGKILL);
	/* this one does not look at its ends */
	assert_true(ends(part.puppet));
	close_part(&part);
	show_worker();
	show_end();
}

/* Its lines are its worker's until that is READY, then the log's. */
static void test_a_helper_is_given_the_log(void **state)
{
	struct part part;
	(void)state;
	begin_served(&part);
	puppet_hear(part.puppet, CHANNEL_LOG);
	assert_int_equal(puppet_message.fd_count, 1);
	assert_int_equal(write(puppet_message.fds[0], "from the helper\n", 16), 16);
	channel_drop(&puppet_message);
	assert_true(show_says("from the helper", PUPPET_MS));
	end_helped(&part);
}

/* The worker's start fails by itself; there is nobody to be helped. */
static void test_a_helper_that_dies_early_is_not_started_again(void **state)
{
	struct part part, other;
	(void)state;
	struct puppet *worker = begin_helped(&part);
	kill(part.puppet->pid, SIGKILL);
	assert_true(show_says("died by signal 9", PUPPET_MS));
	/* the worker does without, and is READY: then it is */
	puppet_ready(worker, HOUR);
	helper_comes(&other);
	locked(&other);
	take_ends(worker->channel, CHANNEL_HELPER, wants.ends, other.ends);
	close_part(&part);
	end_helped(&other);
}

static void test_a_helper_that_answers_no_more_is_replaced(void **state)
{
	struct part part, again;
	struct channel_count kind = {HELPER_SIGNER};
	(void)state;
	struct puppet *worker = begin_served(&part);
	kill(part.puppet->pid, SIGSTOP);
	puppet_say(worker, CHANNEL_HELPER_STUCK, &kind, sizeof(kind), NULL, NULL);
	helper_comes(&again);
	assert_true(show_says("does not answer", PUPPET_MS));
	locked(&again);
	take_ends(worker->channel, CHANNEL_HELPER, wants.ends, again.ends);
	close_part(&part);
	end_helped(&again);
}

/* --- What each may. --- */

static void register_key(struct puppet *puppet, const char *path)
{
	struct channel_register entry = {.number = 5, .role = FILE_KEY, .flags = O_RDONLY};
	puppet_say(puppet, CHANNEL_REGISTER, &entry, sizeof(entry), path, NULL);
}

static int opened(struct puppet *puppet, unsigned number)
{
	struct channel_count wanted = {number};
	struct channel_file file;
	puppet_say(puppet, CHANNEL_OPEN, &wanted, sizeof(wanted), NULL, NULL);
	hear(puppet, CHANNEL_FILE);
	assert_int_equal(channel_head(&puppet_message, &file, sizeof(file)), 0);
	channel_drop(&puppet_message);
	return file.error;
}

static void test_its_keepsakes_are_shown_to_its_successors(void **state)
{
	struct part part, again, next;
	(void)state;
	struct puppet *worker = begin_helped(&part);
	assert_string_equal(shown(part.puppet, "signer"), "");
	keep(part.puppet, "signer", "first");
	locked(&part);
	puppet_ready(worker, HOUR);
	assert_true(show_says("serves", PUPPET_MS));
	keep(part.puppet, "signer", "later");
	assert_string_equal(shown(part.puppet, "signer"), "later");
	/* the same worker's helper finds what was kept last */
	kill(part.puppet->pid, SIGKILL);
	helper_comes(&again);
	assert_string_equal(shown(again.puppet, "signer"), "later");
	/* and the next worker's, for it may be of what the worker has kept since */
	kill(worker->pid, SIGKILL);
	worker = show_worker();
	ask(worker, &wants, &next);
	assert_int_equal(next.hello.start_kind, START_CRASH);
	assert_string_equal(shown(next.puppet, "signer"), "later");
	close_part(&part);
	end_helped(&next);
}

/* What a worker that serves keeps of renewed certificates is there after its death, and not after a reload. */
static void test_renewed_certificates_are_shown_to_the_next(void **state)
{
	(void)state;
	show_begin(false);
	struct puppet *old = show_worker();
	keep(old, KEEPSAKE_RENEWED, "none");
	puppet_ready(old, HOUR);
	assert_true(show_says("serves", PUPPET_MS));
	keep(old, KEEPSAKE_RENEWED, "some");
	kill(old->pid, SIGKILL);
	struct puppet *worker = show_worker();
	assert_string_equal(shown(worker, KEEPSAKE_RENEWED), "some");
	puppet_ready(worker, HOUR);
	assert_true(show_says("serves", PUPPET_MS));
	show_signal(SIGHUP);
	struct puppet *next = show_worker();
	keep(next, KEEPSAKE_RENEWED, "new");
	puppet_ready(next, HOUR);
	puppet_hear(worker, CHANNEL_DRAIN);
	keep(worker, KEEPSAKE_RENEWED, "late");
	puppet_say(worker, CHANNEL_LET_GO, NULL, 0, NULL, NULL);
	kill(next->pid, SIGKILL);
	next = show_worker();
	assert_string_equal(shown(next, KEEPSAKE_RENEWED), "new");
	show_end();
}

/* Channels are heard one after the other, whichever was spoken to first. */
static void test_what_was_kept_before_ready_is_there(void **state)
{
	struct part part, next;
	(void)state;
	struct puppet *worker = begin_helped(&part);
	show_signal(SIGSTOP);
	register_key(part.puppet, "/proc/self/stat");
	keep(part.puppet, "signer", "first");
	puppet_say(part.puppet, CHANNEL_LOCKED, NULL, 0, NULL, NULL);
	puppet_ready(worker, HOUR);
	show_signal(SIGCONT);
	assert_true(show_says("serves", PUPPET_MS));
	assert_int_equal(opened(part.puppet, 5), 0);
	kill(worker->pid, SIGKILL);
	worker = show_worker();
	ask(worker, &wants, &next);
	assert_string_equal(shown(next.puppet, "signer"), "first");
	close_part(&part);
	end_helped(&next);
}

/* Without a helper of the kind nobody has a use for its secrets. */
static void test_keepsakes_go_with_the_last_helper(void **state)
{
	struct part part;
	(void)state;
	struct puppet *worker = begin_helped(&part);
	keep(part.puppet, "signer", "first");
	assert_string_equal(shown(part.puppet, "signer"), "first"); /* it is heard */
	locked(&part);
	puppet_ready(worker, HOUR);
	show_signal(SIGHUP);
	struct puppet *without = show_worker();
	puppet_ready(without, HOUR);
	puppet_hear(worker, CHANNEL_DRAIN);
	puppet_say(worker, CHANNEL_LET_GO, NULL, 0, NULL, NULL);
	close_part(&part);
	show_signal(SIGHUP);
	worker = show_worker();
	ask(worker, &wants, &part);
	assert_string_equal(shown(part.puppet, "signer"), "");
	end_helped(&part);
}

static void test_registered_files_are_opened_for_it_alone(void **state)
{
	struct part part, again;
	(void)state;
	struct puppet *worker = begin_helped(&part);
	register_key(part.puppet, "/proc/self/stat");
	assert_int_equal(opened(part.puppet, 5), 0);
	assert_int_equal(opened(worker, 5), ENOENT);
	locked(&part);
	puppet_ready(worker, HOUR);
	assert_true(show_says("serves", PUPPET_MS));
	assert_int_equal(opened(part.puppet, 5), 0);
	/* also for one that is started again */
	kill(part.puppet->pid, SIGKILL);
	helper_comes(&again);
	assert_int_equal(opened(again.puppet, 5), 0);
	end_helped(&part);
}

typedef void wrong_fn(struct puppet *worker, struct part *part);

static void registers_when_locked(struct puppet *worker, struct part *part)
{
	(void)worker;
	locked(part);
	register_key(part->puppet, "/etc/shadow");
}

static void keeps_for_others(struct puppet *worker, struct part *part)
{
	(void)worker;
	keep(part->puppet, "configuration", "mine");
}

static void looks_at_others(struct puppet *worker, struct part *part)
{
	(void)worker;
	puppet_say(part->puppet, CHANNEL_WANT_KEEPSAKE, NULL, 0, "configuration", NULL);
}

static void asks_for_sockets(struct puppet *worker, struct part *part)
{
	(void)worker;
	puppet_say(part->puppet, CHANNEL_WANT_SOCKETS, NULL, 0, "127.0.0.1:80", NULL);
}

static void writes_to_a_file(struct puppet *worker, struct part *part)
{
	struct channel_register entry = {.number = 5, .role = FILE_KEY, .flags = O_WRONLY};
	(void)worker;
	puppet_say(part->puppet, CHANNEL_REGISTER, &entry, sizeof(entry), "/dev/null", NULL);
}

static void test_a_helper_that_breaks_the_rules_is_killed(void **state)
{
	static wrong_fn *const wrongs[] = {registers_when_locked, keeps_for_others, looks_at_others,
		asks_for_sockets, writes_to_a_file};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(wrongs); i++) {
		struct part part;
		struct puppet *worker = begin_helped(&part);
		wrongs[i](worker, &part);
		assert_true(ends(part.puppet));
		assert_true(show_says("broke the rules", PUPPET_MS));
		end_helped(&part);
	}
}

static void a_second_one(struct puppet *worker, struct part *part)
{
	(void)part;
	puppet_say(worker, CHANNEL_WANT_HELPER, &wants, sizeof(wants), NULL, NULL);
}

static void another_kind(struct puppet *worker, struct part *part)
{
	struct channel_want want = wants;
	(void)part;
	want.kind = HELPER_KINDS;
	puppet_say(worker, CHANNEL_WANT_HELPER, &want, sizeof(want), NULL, NULL);
}

static void too_many_ends(struct puppet *worker, struct part *part)
{
	struct channel_want want = wants;
	(void)part;
	want.kind = HELPER_ACME;
	want.ends = HELPER_ENDS_MAX + 1;
	puppet_say(worker, CHANNEL_WANT_HELPER, &want, sizeof(want), NULL, NULL);
}

static void one_when_it_is_ready(struct puppet *worker, struct part *part)
{
	struct channel_want want = wants;
	want.kind = HELPER_ACME;
	locked(part);
	puppet_ready(worker, HOUR);
	puppet_say(worker, CHANNEL_WANT_HELPER, &want, sizeof(want), NULL, NULL);
}

static void secrets(struct puppet *worker, struct part *part)
{
	keep(part->puppet, "signer", "secret");
	puppet_say(worker, CHANNEL_WANT_KEEPSAKE, NULL, 0, "signer", NULL);
}

static void other_secrets(struct puppet *worker, struct part *part)
{
	(void)part;
	keep(worker, "signer", "mine");
}

static void keys(struct puppet *worker, struct part *part)
{
	(void)part;
	register_key(worker, "/etc/shadow");
}

static void keeps_something_late(struct puppet *worker, struct part *part)
{
	locked(part);
	puppet_ready(worker, HOUR);
	keep(worker, KEEPSAKE_TICKETS, "mine");
}

static void keeps_what_can_change(struct puppet *worker, struct part *part)
{
	int fd = keepsake_share("renewed", 10);
	locked(part);
	puppet_ready(worker, HOUR);
	puppet_say(worker, CHANNEL_KEEP_KEEPSAKE, NULL, 0, KEEPSAKE_RENEWED, &fd);
	close(fd);
}

static void test_a_worker_that_breaks_the_rules_is_killed(void **state)
{
	static wrong_fn *const wrongs[] = {a_second_one, another_kind, too_many_ends, secrets,
		other_secrets, keys, /* and ones that serve: */ one_when_it_is_ready,
		keeps_something_late, keeps_what_can_change};
	enum { SERVING = 6 };
	(void)state;
	for (size_t i = 0; i < COUNT_OF(wrongs); i++) {
		struct part part;
		struct puppet *worker = begin_helped(&part);
		wrongs[i](worker, &part);
		assert_true(ends(worker));
		assert_true(show_says("broke the rules", PUPPET_MS));
		close_part(&part);
		if (i >= SERVING) {
			show_end();
		} else {
			show_over();
		}
	}
}

/* Helpers belong to the account that may ask at the control socket. */
static void test_a_helper_is_not_answered_at_the_control_socket(void **state)
{
	struct part part;
	char path[CONTROL_PATH_MAX];
	int answered = 1;
	(void)state;
	begin_helped(&part);
	assert_int_equal(control_path(show.file, path), 0);
	assert_int_equal(channel_send(part.puppet->wire, CHANNEL_FILE, path, strlen(path), NULL, 0,
				 NULL, 0, true),
		0);
	assert_true(show_await(part.puppet->wire, PUPPET_MS));
	assert_int_equal(channel_receive(part.puppet->wire, &puppet_message, true), 1);
	assert_int_equal(channel_head(&puppet_message, &answered, sizeof(answered)), 0);
	assert_int_equal(answered, 0);
	end_helped(&part);
}

int main(int argc, char **argv)
{
	puppet_main(argc, argv);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_helper_and_its_worker_are_connected),
		cmocka_unit_test(test_each_thread_has_an_end),
		cmocka_unit_test(test_a_helper_that_dies_is_started_again),
		cmocka_unit_test(test_a_helper_ends_with_its_worker),
		cmocka_unit_test(test_a_helper_is_given_the_log),
		cmocka_unit_test(test_a_helper_that_dies_early_is_not_started_again),
		cmocka_unit_test(test_a_helper_that_answers_no_more_is_replaced),
		cmocka_unit_test(test_its_keepsakes_are_shown_to_its_successors),
		cmocka_unit_test(test_what_was_kept_before_ready_is_there),
		cmocka_unit_test(test_renewed_certificates_are_shown_to_the_next),
		cmocka_unit_test(test_keepsakes_go_with_the_last_helper),
		cmocka_unit_test(test_registered_files_are_opened_for_it_alone),
		cmocka_unit_test(test_a_helper_that_breaks_the_rules_is_killed),
		cmocka_unit_test(test_a_worker_that_breaks_the_rules_is_killed),
		cmocka_unit_test(test_a_helper_is_not_answered_at_the_control_socket),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
