/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages with descriptors (DESIGN §4): whole or not at all, of this version, never more than a message may carry. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/channel.h"

static struct channel_message message;

static int open_ends(int ends[2])
{
	return channel_pair(ends);
}

static void test_head_and_tail_arrive(void **state)
{
	int ends[2];
	struct channel_file head = {7, -3}, got;
	(void)state;
	assert_int_equal(open_ends(ends), 0);
	assert_int_equal(
		channel_send(ends[0], CHANNEL_FILE, &head, sizeof(head), "tail", 4, NULL, 0, true),
		0);
	assert_int_equal(channel_receive(ends[1], &message, true), 1);
	assert_int_equal(message.type, CHANNEL_FILE);
	assert_int_equal(message.length, sizeof(head) + 4);
	assert_int_equal(channel_head(&message, &got, sizeof(got)), 0);
	assert_int_equal(got.number, 7);
	assert_int_equal(got.error, -3);
	assert_string_equal(message.payload + sizeof(head), "tail");
	close(ends[0]);
	assert_int_equal(channel_receive(ends[1], &message, true), 0);
	close(ends[1]);
}

static void test_a_short_message_has_no_head(void **state)
{
	int ends[2];
	struct channel_file got;
	(void)state;
	assert_int_equal(open_ends(ends), 0);
	assert_int_equal(channel_send(ends[0], CHANNEL_FILE, "abc", 3, NULL, 0, NULL, 0, true), 0);
	assert_int_equal(channel_receive(ends[1], &message, true), 1);
	assert_int_equal(channel_head(&message, &got, sizeof(got)), -1);
	close(ends[0]);
	close(ends[1]);
}

static void test_descriptors_arrive_and_are_closed_unless_taken(void **state)
{
	int ends[2], pipes[2];
	char byte;
	(void)state;
	assert_int_equal(open_ends(ends), 0);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(
		channel_send(ends[0], CHANNEL_SOCKETS, NULL, 0, NULL, 0, pipes, 2, true), 0);
	assert_int_equal(channel_receive(ends[1], &message, true), 1);
	assert_int_equal(message.fd_count, 2);
	int kept = channel_take(&message, 0), dropped = message.fds[1];
	assert_int_not_equal(fcntl(kept, F_GETFD) & FD_CLOEXEC, 0);
	channel_drop(&message);
	assert_int_equal(fcntl(dropped, F_GETFD), -1);
	assert_int_equal(write(pipes[1], "x", 1), 1);
	assert_int_equal(read(kept, &byte, 1), 1);
	close(kept);
	close(pipes[0]);
	close(pipes[1]);
	close(ends[0]);
	close(ends[1]);
}

static void test_the_largest_message_passes(void **state)
{
	static char bytes[CHANNEL_PAYLOAD_MAX];
	int ends[2], fds[CHANNEL_FDS_MAX];
	(void)state;
	assert_int_equal(open_ends(ends), 0);
	memset(bytes, 'y', sizeof(bytes));
	for (unsigned i = 0; i < CHANNEL_FDS_MAX; i++)
		fds[i] = ends[0];
	assert_int_equal(channel_send(ends[0], CHANNEL_SOCKETS, bytes, sizeof(bytes), NULL, 0, fds,
				 CHANNEL_FDS_MAX, true),
		0);
	assert_int_equal(channel_receive(ends[1], &message, true), 1);
	assert_int_equal(message.length, CHANNEL_PAYLOAD_MAX);
	assert_int_equal(message.fd_count, CHANNEL_FDS_MAX);
	assert_int_equal(message.payload[CHANNEL_PAYLOAD_MAX], 0);
	channel_drop(&message);
	close(ends[0]);
	close(ends[1]);
}

static void expect_refused(const void *bytes, size_t length, int error)
{
	int ends[2];
	assert_int_equal(open_ends(ends), 0);
	assert_int_equal(send(ends[0], bytes, length, 0), (ssize_t)length);
	assert_int_equal(channel_receive(ends[1], &message, true), -1);
	assert_int_equal(errno, error);
	close(ends[0]);
	close(ends[1]);
}

static void test_what_is_no_message_is_refused(void **state)
{
	struct {
		uint32_t magic;
		uint16_t version, type;
		uint32_t length;
		char payload[CHANNEL_PAYLOAD_MAX + 8];
	} m = {0x77656972, CHANNEL_VERSION, CHANNEL_OPEN, 4, "abcd"};
	int ends[2];
	(void)state;
	assert_int_equal(open_ends(ends), 0);
	assert_int_equal(send(ends[0], &m, 16, 0), 16);
	assert_int_equal(channel_receive(ends[1], &message, true), 1); /* this one is good */
	close(ends[0]);
	close(ends[1]);
	expect_refused("x", 1, EPROTO);
	expect_refused(&m, 11, EPROTO);
	expect_refused(&m, 15, EPROTO); /* shorter than it says */
	expect_refused(&m, 17, EPROTO); /* longer */
	m.length = UINT32_MAX;
	expect_refused(&m, 16, EPROTO);
	m.length = sizeof(m.payload);
	expect_refused(&m, sizeof(m), EPROTO); /* longer than any may be */
	m.length = 4;
	m.type = CHANNEL_TYPE_END;
	expect_refused(&m, 16, EPROTO);
	m.type = 0;
	expect_refused(&m, 16, EPROTO);
	m.type = CHANNEL_OPEN;
	m.version = CHANNEL_VERSION + 1;
	expect_refused(&m, 16, EPROTONOSUPPORT);
	m.version = CHANNEL_VERSION;
	m.magic++;
	expect_refused(&m, 16, EPROTO);
}

static void test_nobody_waits_for_a_full_channel(void **state)
{
	static char bytes[CHANNEL_PAYLOAD_MAX];
	int ends[2], sent = 0;
	(void)state;
	assert_int_equal(open_ends(ends), 0);
	while (channel_send(ends[0], CHANNEL_OPEN, bytes, sizeof(bytes), NULL, 0, NULL, 0, false) ==
		0)
		assert_true(++sent < 10000);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(channel_receive(ends[0], &message, false), -1);
	assert_int_equal(errno, EAGAIN);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_head_and_tail_arrive),
		cmocka_unit_test(test_a_short_message_has_no_head),
		cmocka_unit_test(test_descriptors_arrive_and_are_closed_unless_taken),
		cmocka_unit_test(test_the_largest_message_passes),
		cmocka_unit_test(test_what_is_no_message_is_refused),
		cmocka_unit_test(test_nobody_waits_for_a_full_channel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
