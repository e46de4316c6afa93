/* SPDX-License-Identifier: BSD-2-Clause */
/* Sending by the kernel's TLS, with a kernel of the test's own, that encrypts nothing: when it is handed over, with which keys and numbers, and
 * that GnuTLS says nothing any more. */
#include "tls_peer.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "io/tls_priv.h"

#define SMALL_FOR (20 * 1024) /* enough that records are long */

static struct peer_pair p;

/* What the kernel was asked for, and what it is to say. */
static struct {
	int ulp, tx;       /* errno of each call; 0: it succeeds */
	unsigned asked;    /* calls of setsockopt */
	unsigned alerts;   /* records of another type than data */
	int refuse_alerts; /* errno of them */
	unsigned char alert[2];
	socklen_t size;
	union {
		struct tls_crypto_info info;
		struct tls12_crypto_info_aes_gcm_128 aes128;
		struct tls12_crypto_info_aes_gcm_256 aes256;
	} crypto;
} seen;

static int fake_set(int fd, int level, int name, const void *value, socklen_t size)
{
	(void)fd;
	seen.asked++;
	if (level == IPPROTO_TCP) {
		assert_int_equal(name, TCP_ULP);
		assert_string_equal(value, "tls");
		errno = seen.ulp;
		return seen.ulp ? -1 : 0;
	}
	assert_int_equal(level, 282);
	assert_int_equal(name, TLS_TX);
	assert_true(size <= sizeof(seen.crypto));
	memcpy(&seen.crypto, value, size);
	seen.size = size;
	errno = seen.tx;
	return seen.tx ? -1 : 0;
}

static ssize_t fake_send(int fd, const struct msghdr *message, int flags)
{
	const struct cmsghdr *type = CMSG_FIRSTHDR(message);
	if (!type)
		return sendmsg(fd, message, flags);
	assert_int_equal(type->cmsg_level, 282);
	assert_int_equal(type->cmsg_type, TLS_SET_RECORD_TYPE);
	assert_int_equal(type->cmsg_len, CMSG_LEN(1));
	assert_int_equal(*CMSG_DATA(type), 21);
	assert_int_equal(message->msg_iovlen, 1);
	assert_int_equal(message->msg_iov[0].iov_len, 2);
	errno = seen.refuse_alerts;
	if (seen.refuse_alerts)
		return -1;
	memcpy(seen.alert, message->msg_iov[0].iov_base, 2);
	seen.alerts++;
	return 2;
}

static const struct tls_kernel fake = {fake_set, fake_send};

static int begin(void **state)
{
	(void)state;
	stage_set_up(state);
	tls_thread_kernel(stage.thread, &fake);
	return 0;
}

static ssize_t write_some(const char *bytes, size_t size)
{
	struct iovec iov = {(void *)(uintptr_t)bytes, size};
	return p.t.ops->write(&p.t, &iov, 1, false);
}

/* A connection that has sent enough to be handed over, but was not. */
static void greet(const char *priorities)
{
	static char text[SMALL_FOR];
	memset(&seen, 0, sizeof(seen));
	pair_open(&p, &(struct wish){.priorities = priorities, .stream = true});
	pair_greet(&p);
	memset(text, 'g', sizeof(text));
	p.t.ops->offload(&p.t); /* too early: what a client waits for comes in short records */
	assert_int_equal(write_some(text, sizeof(text)), sizeof(text));
	assert_int_equal(strlen(pair_hear(&p)), sizeof(text));
	assert_int_equal(seen.asked, 0);
	assert_false(p.t.caps & TRANSPORT_SEND_FILE);
}

static void hand_over(void)
{
	p.t.ops->offload(&p.t);
	assert_int_equal(seen.asked, 2);
	assert_true(p.t.caps & TRANSPORT_SEND_FILE);
	pair_take(&p);
	p.raw.len = p.in.len = 0;
}

/* All that the server sent since, in clear. */
static void assert_came(const char *text)
{
	pair_take(&p);
	assert_int_equal(p.raw.len, strlen(text));
	assert_memory_equal(p.raw.ptr, text, p.raw.len);
	p.raw.len = p.in.len = 0;
}

static void assert_alert(int level, int what)
{
	assert_int_equal(seen.alerts, 1);
	assert_int_equal(seen.alert[0], level);
	assert_int_equal(seen.alert[1], what);
}

/* --- What it is told. --- */

/* The next record as the kernel would make it, by what it was told: the client must be able to read it. */
static void encrypt_by(bool newest, const unsigned char *key, size_t key_size,
	const unsigned char *salt, const unsigned char *iv, const unsigned char *number)
{
	static const char text[] = "by the kernel";
	const size_t length = sizeof(text) - 1;
	unsigned char nonce[12], plain[64], record[128], aad[13];
	size_t head = 5, size = 64;
	gnutls_aead_cipher_hd_t cipher;
	gnutls_datum_t secret = {(unsigned char *)(uintptr_t)key, (unsigned)key_size};
	assert_int_equal(
		gnutls_aead_cipher_init(&cipher,
			key_size == 16 ? GNUTLS_CIPHER_AES_128_GCM : GNUTLS_CIPHER_AES_256_GCM,
			&secret),
		0);
	memcpy(nonce, salt, 4);
	memcpy(nonce + 4, iv, 8);
	memcpy(plain, text, length);
	plain[length] = 23;
	size_t inner = newest ? length + 1 : length;
	size_t body = inner + 16 + (newest ? 0 : 8);
	memcpy(record, (unsigned char[]){23, 3, 3, 0, (unsigned char)body}, head);
	if (newest) {
		for (int i = 0; i < 8; i++)
			nonce[4 + i] ^= number[i];
	} else {
		memcpy(record + head, iv, 8);
		head += 8;
		memcpy(aad, number, 8);
		memcpy(aad + 8, (unsigned char[]){23, 3, 3, 0, (unsigned char)length}, 5);
	}
	assert_int_equal(gnutls_aead_cipher_encrypt(cipher, nonce, 12, newest ? record : aad,
				 newest ? 5 : 13, 16, plain, inner, record + head, &size),
		0);
	gnutls_aead_cipher_deinit(cipher);
	buffer_append(&p.in, record, head + size);
	assert_string_equal(pair_hear(&p), text);
}

static void tells(const char *priorities, bool newest, bool longer)
{
	greet(priorities);
	hand_over();
	assert_int_equal(seen.crypto.info.version, newest ? TLS_1_3_VERSION : TLS_1_2_VERSION);
	if (longer) {
		assert_int_equal(seen.size, sizeof(seen.crypto.aes256));
		assert_int_equal(seen.crypto.info.cipher_type, TLS_CIPHER_AES_GCM_256);
		encrypt_by(newest, seen.crypto.aes256.key, 32, seen.crypto.aes256.salt,
			seen.crypto.aes256.iv, seen.crypto.aes256.rec_seq);
	} else {
		assert_int_equal(seen.size, sizeof(seen.crypto.aes128));
		assert_int_equal(seen.crypto.info.cipher_type, TLS_CIPHER_AES_GCM_128);
		encrypt_by(newest, seen.crypto.aes128.key, 16, seen.crypto.aes128.salt,
			seen.crypto.aes128.iv, seen.crypto.aes128.rec_seq);
	}
	pair_close(&p);
}

static void knows_keys_and_numbers(void **state)
{
	(void)state;
	tells("NORMAL:-CIPHER-ALL:+AES-128-GCM", true, false);
	tells("NORMAL:-CIPHER-ALL:+AES-256-GCM", true, true);
	tells("NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM", false, false);
	tells("NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-256-GCM", false, true);
}

/* --- When it is not. --- */

/* As ever; and it is not asked again. */
static void assert_not(unsigned asked)
{
	p.t.ops->offload(&p.t);
	p.t.ops->offload(&p.t);
	assert_int_equal(seen.asked, asked);
	assert_false(p.t.caps & TRANSPORT_SEND_FILE);
	assert_int_equal(write_some("as ever", 7), 7);
	assert_string_equal(pair_hear(&p), "as ever");
	assert_int_equal(p.t.ops->finish(&p.t), 1);
	char octet;
	pair_take(&p);
	assert_int_equal(gnutls_record_recv(p.client, &octet, 1), 0);
	assert_int_equal(seen.alerts, 0);
	pair_close(&p);
}

static void goes_on_without(void **state)
{
	(void)state;
	greet(NULL);
	seen.ulp = ENOENT;
	assert_not(1);
	greet(NULL);
	seen.tx = ENOENT;
	assert_not(2);
	greet("NORMAL:-CIPHER-ALL:+CHACHA20-POLY1305");
	assert_not(0);
	tls_thread_kernel(stage.thread, NULL);
	greet(NULL);
	assert_not(0);
	tls_thread_kernel(stage.thread, &fake);
}

/* Not before all that GnuTLS made has left. */
static void waits_until_all_is_sent(void **state)
{
	(void)state;
	static char text[1 << 16];
	greet(NULL);
	int small = 4096;
	setsockopt(p.t.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	while (!p.t.unsent)
		assert_true(write_some(text, sizeof(text)) > 0);
	p.t.ops->offload(&p.t);
	assert_int_equal(seen.asked, 0);
	while (p.t.unsent) {
		pair_take(&p);
		p.t.ops->flush(&p.t);
	}
	hand_over();
	pair_close(&p);
}

/* --- Sending. --- */

static void sends_memory_and_files(void **state)
{
	(void)state;
	char octet;
	FILE *file = tmpfile();
	fputs("0123456789", file);
	fflush(file);
	greet(NULL);
	hand_over();
	assert_int_equal(write_some("head ", 5), 5);
	assert_int_equal(p.t.ops->send_file(&p.t, fileno(file), 2, 5, false), 5);
	assert_int_equal(p.t.ops->send_file(&p.t, fileno(file), 10, 5, false), IO_EOF);
	assert_came("head 23456");
	assert_int_equal(gnutls_record_send(p.client, "heard", 5), 5);
	pair_let(&p, SIZE_MAX);
	char text[8];
	assert_int_equal(p.t.ops->read(&p.t, text, sizeof(text)), 5);
	assert_memory_equal(text, "heard", 5);
	assert_int_equal(p.t.ops->finish(&p.t), 1);
	assert_alert(1, 0);
	assert_int_equal(write_some("more", 4), IO_ERROR);
	assert_int_equal(p.t.ops->send_file(&p.t, fileno(file), 0, 5, false), IO_ERROR);
	assert_came("");
	assert_int_equal(recv(p.fd, &octet, 1, MSG_DONTWAIT), 0);
	p.t.ops->close(&p.t, false);
	assert_int_equal(seen.alerts, 1);
	pair_close(&p);
	fclose(file);
}

/* Short segments at the ends of records wait while more follows, and no longer. */
static void holds_back_what_more_follows(void **state)
{
	(void)state;
	struct iovec iov = {(void *)(uintptr_t) "head", 4};
	FILE *file = tmpfile();
	fputs("0123456789", file);
	fflush(file);
	greet(NULL);
	hand_over();
	assert_int_equal(p.t.ops->write(&p.t, &iov, 1, true), 4);
	assert_true(p.t.corked);
	assert_int_equal(p.t.ops->send_file(&p.t, fileno(file), 0, 5, true), 5);
	assert_int_equal(p.t.ops->send_file(&p.t, fileno(file), 5, 6, false), 5);
	assert_true(p.t.corked); /* it took less than was asked */
	assert_int_equal(p.t.ops->send_file(&p.t, fileno(file), 9, 1, false), 1);
	assert_false(p.t.corked);
	assert_int_equal(p.t.ops->send_file(&p.t, fileno(file), 0, 5, true), 5);
	assert_int_equal(p.t.ops->write(&p.t, &iov, 1, false), 4); /* the end of parts */
	assert_false(p.t.corked);
	assert_int_equal(p.t.ops->send_file(&p.t, fileno(file), 0, 5, true), 5);
	assert_int_equal(p.t.ops->finish(&p.t), 1);
	assert_false(p.t.corked);
	p.t.ops->close(&p.t, false);
	pair_close(&p);
	fclose(file);
}

/* A full socket: the kernel may hold what it has not queued, so nothing is said to be sent before there is room, and only then is the end. */
static void ends_when_there_is_room(void **state)
{
	(void)state;
	static char text[1 << 16];
	greet(NULL);
	hand_over();
	int small = 4096;
	setsockopt(p.t.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	while (!p.t.unsent)
		assert_true(write_some(text, sizeof(text)) > 0);
	assert_int_equal(write_some(text, 1), IO_AGAIN);
	assert_int_equal(p.t.wants, TRANSPORT_WRITE);
	assert_int_equal(p.t.ops->flush(&p.t), IO_AGAIN);
	assert_int_equal(p.t.ops->finish(&p.t), IO_AGAIN);
	assert_int_equal(seen.alerts, 0);
	assert_false(p.eof);
	for (int i = 0; i < 1000 && p.t.ops->flush(&p.t) != 1; i++)
		pair_take(&p);
	pair_take(&p);
	assert_false(p.t.unsent);
	assert_alert(1, 0);
	assert_true(p.eof);
	pair_close(&p);
}

/* The key is good for so much and the kernel takes no other: the connection is told to end in time, and at last it is cut. */
static void ends_before_the_key_is_worn(void **state)
{
	(void)state;
	greet(NULL);
	hand_over();
	struct tls *tls = p.t.state;
	tls->kernel_sent = ((uint64_t)256 << 30) - 300;
	assert_int_equal(write_some("octets", 6), 6); /* each record counts for some */
	assert_false(p.t.worn);
	assert_int_equal(write_some("octets", 6), 6);
	assert_true(p.t.worn);
	assert_int_equal(write_some("octets", 6), 6);
	tls->kernel_sent = (uint64_t)380 << 30;
	assert_int_equal(write_some("octets", 6), IO_ERROR);
	assert_came("octetsoctetsoctets");
	pair_close(&p);
}

static void closing_says_so(void **state)
{
	(void)state;
	greet(NULL);
	hand_over();
	p.t.ops->close(&p.t, false);
	assert_alert(1, 0);
	pair_close(&p);
	greet(NULL);
	hand_over();
	p.t.ops->close(&p.t, true);
	assert_int_equal(seen.alerts, 0);
	pair_close(&p);
}

/* --- What GnuTLS would say. --- */

static void assert_told(int what)
{
	char text[64];
	pair_let(&p, SIZE_MAX);
	assert_int_equal(p.t.ops->read(&p.t, text, sizeof(text)), IO_ERROR);
	assert_int_equal(errno, EPROTO);
	assert_alert(2, what);
	assert_int_equal(write_some("more", 4), IO_ERROR);
	assert_came("");
	pair_close(&p);
}

static void alerts_go_by_the_kernel(void **state)
{
	(void)state;
	greet(NULL);
	hand_over();
	buffer_append(&p.out, "\x17\x03\x03\x00\x20________________________________", 37);
	assert_told(GNUTLS_A_BAD_RECORD_MAC);
}

/* The client changes its own key: that is read. It wants another of the server: nobody could make it. */
static void another_key_is_refused(void **state)
{
	(void)state;
	char text[8];
	greet(NULL);
	hand_over();
	assert_int_equal(gnutls_session_key_update(p.client, 0), 0);
	assert_int_equal(gnutls_record_send(p.client, "heard", 5), 5);
	pair_let(&p, SIZE_MAX);
	assert_int_equal(p.t.ops->read(&p.t, text, sizeof(text)), 5);
	assert_int_equal(write_some("said", 4), 4);
	assert_came("said");
	assert_int_equal(gnutls_session_key_update(p.client, GNUTLS_KU_PEER), 0);
	assert_told(GNUTLS_A_INTERNAL_ERROR);
}

/* One that was asked for before is made before. */
static void another_key_comes_first(void **state)
{
	(void)state;
	char text[8];
	greet("NORMAL:-CIPHER-ALL:+AES-128-GCM");
	assert_int_equal(gnutls_session_key_update(p.client, GNUTLS_KU_PEER), 0);
	pair_let(&p, SIZE_MAX);
	assert_int_equal(p.t.ops->read(&p.t, text, sizeof(text)), IO_AGAIN);
	p.t.ops->offload(&p.t);
	assert_int_equal(seen.asked, 0);
	assert_int_equal(write_some("key", 3), 3);
	assert_string_equal(pair_hear(&p), "key");
	hand_over();
	encrypt_by(true, seen.crypto.aes128.key, 16, seen.crypto.aes128.salt, seen.crypto.aes128.iv,
		seen.crypto.aes128.rec_seq);
	pair_close(&p);
}

/* --- Whether there is one. --- */

static void looks_for_it(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	assert_true(tls_kernel_works(&fake));
	assert_int_equal(seen.asked, 2);
	seen.tx = ENOENT;
	assert_false(tls_kernel_works(&fake));
	assert_int_equal(errno, ENOENT);
	seen.ulp = EPERM;
	assert_false(tls_kernel_works(&fake));
	assert_int_equal(errno, EPERM);
	tls_kernel_works(&tls_kernel); /* whatever it says */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_keys_and_numbers),
		cmocka_unit_test(goes_on_without),
		cmocka_unit_test(waits_until_all_is_sent),
		cmocka_unit_test(sends_memory_and_files),
		cmocka_unit_test(holds_back_what_more_follows),
		cmocka_unit_test(ends_when_there_is_room),
		cmocka_unit_test(ends_before_the_key_is_worn),
		cmocka_unit_test(closing_says_so),
		cmocka_unit_test(alerts_go_by_the_kernel),
		cmocka_unit_test(another_key_is_refused),
		cmocka_unit_test(another_key_comes_first),
		cmocka_unit_test(looks_for_it),
	};
	return cmocka_run_group_tests(tests, begin, stage_tear_down);
}
