/* SPDX-License-Identifier: BSD-2-Clause */
/* The transport on sockets, and bytes of files. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/transport.h"
#include "io_test.h"

static struct transport a, b;

static int start(void **state)
{
	(void)state;
	int fds[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	plain_init(&a, fds[0], false);
	plain_init(&b, fds[1], false);
	return 0;
}

static int end(void **state)
{
	(void)state;
	if (a.fd >= 0)
		a.ops->close(&a, false);
	if (b.fd >= 0)
		b.ops->close(&b, false);
	return 0;
}

static void reads_what_was_written(void **state)
{
	(void)state;
	char text[32];
	assert_int_equal(a.ops->start(&a), 1);
	assert_int_equal(b.ops->read(&b, text, sizeof(text)), IO_AGAIN);
	assert_int_equal(b.wants, TRANSPORT_READ);
	char hello[] = "hello", world[] = " world";
	struct iovec iov[] = {{hello, 5}, {world, 6}};
	assert_int_equal(a.ops->write(&a, iov, 2, true), 11);
	assert_int_equal(a.ops->write(&a, iov, 1, false), 5);
	assert_int_equal(b.ops->read(&b, text, sizeof(text)), 16);
	assert_memory_equal(text, "hello worldhello", 16);
	assert_int_equal(a.ops->finish(&a), 1);
	assert_int_equal(b.ops->read(&b, text, sizeof(text)), IO_EOF);
	assert_int_equal(b.ops->write(&b, iov, 1, false), 5);
	assert_int_equal(a.ops->read(&a, text, sizeof(text)), 5);
}

/* More pieces than the kernel takes in one call are not an error. */
static void many_pieces(void **state)
{
	(void)state;
	static struct iovec iov[3000];
	char piece[] = "x";
	for (size_t i = 0; i < COUNT_OF(iov); i++)
		iov[i] = (struct iovec){piece, 1};
	ssize_t sent = a.ops->write(&a, iov, (int)COUNT_OF(iov), false);
	assert_true(sent > 0 && sent <= 3000);
}

static void full_pipe_says_again(void **state)
{
	(void)state;
	static char large[1 << 20];
	struct iovec iov = {large, sizeof(large)};
	ssize_t sent, total = 0;
	while ((sent = a.ops->write(&a, &iov, 1, false)) > 0)
		total += sent;
	assert_int_equal(sent, IO_AGAIN);
	assert_int_equal(a.wants, TRANSPORT_WRITE);
	assert_true(total > 0);
}

/* No signal, whatever the process does with SIGPIPE. */
static void gone_peer_is_an_error(void **state)
{
	(void)state;
	b.ops->close(&b, false);
	char byte[] = "x";
	struct iovec iov[] = {{byte, 1}, {byte, 1}};
	assert_int_equal(a.ops->write(&a, iov, 1, false), IO_ERROR);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(a.ops->write(&a, iov, 2, false), IO_ERROR);
}

static void sends_files(void **state)
{
	(void)state;
	int fd = memfd_create("file", MFD_CLOEXEC);
	assert_int_equal(write(fd, "0123456789", 10), 10);
	assert_true(a.caps & TRANSPORT_SEND_FILE);
	assert_int_equal(a.ops->send_file(&a, fd, 3, 4, false), 4);
	char text[16];
	assert_int_equal(b.ops->read(&b, text, sizeof(text)), 4);
	assert_memory_equal(text, "3456", 4);
	assert_int_equal(a.ops->send_file(&a, fd, 8, 100, false), 2);
	/* A file that became shorter: never padded, never endless. */
	assert_int_equal(a.ops->send_file(&a, fd, 10, 5, false), IO_EOF);
	close(fd);
}

static void bytes_of_files(void **state)
{
	(void)state;
	char path[] = "/tmp/weir-file-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write(fd, "0123456789", 10), 10);
	char text[16];
	assert_int_equal(transport_file_bytes(fd, 2, text, 4), 4);
	assert_memory_equal(text, "2345", 4);
	assert_int_equal(transport_file_bytes(fd, 10, text, 4), IO_EOF);
	assert_int_equal(transport_file_bytes(-1, 0, text, 4), IO_ERROR);
	assert_int_equal(errno, EBADF);
	/* Pages that are not in memory are asked for elsewhere. */
	static char large[1 << 20];
	assert_int_equal(pwrite(fd, large, sizeof(large), 0), sizeof(large));
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	ssize_t got = transport_file_bytes(fd, 512 * 1024, large, 4096);
	assert_true(got == IO_AGAIN || got > 0); /* where a page stayed in memory, it is read */
	assert_int_equal(pread(fd, large, 4096, 512 * 1024), 4096);
	assert_int_equal(transport_file_bytes(fd, 512 * 1024, large, 4096), 4096);
	close(fd);
	/* A pipe cannot be read at an offset. */
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(transport_file_bytes(ends[0], 0, text, 4), IO_ERROR);
	close(ends[0]);
	close(ends[1]);
}

/* A connected pair over TCP on the loopback. */
static void tcp_pair(int fds[2])
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&address, length), 0);
	fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fds[1] >= 0);
	assert_int_equal(setsockopt(fds[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
	close(listener);
}

static int waiting(int fd)
{
	int octets = -1;
	assert_int_equal(ioctl(fd, FIONREAD, &octets), 0);
	return octets;
}

static int is_corked(int fd)
{
	int value = -1;
	socklen_t length = sizeof value;
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CORK, &value, &length), 0);
	return value;
}

/* Bytes that more follows wait for it, and what nothing follows takes all with it. */
static void test_holds_back_what_more_follows(void **state)
{
	(void)state;
	struct iovec iov = {(void *)(uintptr_t) "head", 4};
	int file = memfd_create("test", MFD_CLOEXEC);
	assert_int_equal(write(file, "0123456789", 10), 10);
	struct transport t;
	int fds[2];
	tcp_pair(fds);
	plain_init(&t, fds[0], false);
	assert_int_equal(t.ops->write(&t, &iov, 1, true), 4);
	assert_int_equal(waiting(fds[1]), 0);
	assert_int_equal(t.ops->send_file(&t, file, 0, 10, true), 10);
	assert_true(is_corked(fds[0]));
	assert_int_equal(t.ops->send_file(&t, file, 0, 10, false), 10);
	assert_false(is_corked(fds[0]));
	assert_int_equal(waiting(fds[1]), 24);
	assert_int_equal(t.ops->send_file(&t, file, 0, 10, true), 10);
	assert_int_equal(t.ops->write(&t, &iov, 1, false), 4); /* the end of parts */
	assert_false(is_corked(fds[0]));
	assert_int_equal(waiting(fds[1]), 38);
	t.ops->close(&t, false);
	close(fds[1]);
	close(file);
}

int main(void)
{
	signal(SIGPIPE, SIG_DFL);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_what_was_written, start, end),
		cmocka_unit_test_setup_teardown(many_pieces, start, end),
		cmocka_unit_test_setup_teardown(full_pipe_says_again, start, end),
		cmocka_unit_test_setup_teardown(gone_peer_is_an_error, start, end),
		cmocka_unit_test_setup_teardown(sends_files, start, end),
		cmocka_unit_test(bytes_of_files),
		cmocka_unit_test(test_holds_back_what_more_follows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
