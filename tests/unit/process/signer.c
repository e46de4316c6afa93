/* SPDX-License-Identifier: BSD-2-Clause */
/* The signer and its client (process/signer.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <gnutls/crypto.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../io/tls_made.h"
#include "base/check.h"
#include "base/counters.h"
#include "base/log.h"
#include "io/tls.h"
#include "process/signer.h"
#include "signer_world.h"

/* --- Keys. --- */

static struct slice path_of(char to[300], const char *name)
{
	snprintf(to, 300, "%s/%s.key", folder, name);
	return slice_of(to);
}

/* Makes a key and its certificate, and asks the signer for it. */
static gnutls_privkey_t load(struct made *made, const struct made_wish *wish, const char *name)
{
	char path[300];
	struct buffer fault = {0};
	gnutls_privkey_t key;
	made_make(made, wish);
	made_save(folder, name, made);
	if (stage.keys->key(stage.keys, path_of(path, name), SLICE(""), &key, &fault))
		fail_msg("%.*s", (int)fault.len, fault.ptr);
	return key;
}

static gnutls_privkey_t load_again(const char *name)
{
	char path[300];
	struct buffer fault = {0};
	gnutls_privkey_t key = NULL;
	if (stage.keys->key(stage.keys, path_of(path, name), SLICE(""), &key, &fault))
		key = NULL;
	buffer_free(&fault);
	return key;
}

static bool refuses(const char *name, const char *why)
{
	char path[300];
	struct buffer fault = {0};
	gnutls_privkey_t key;
	bool result = stage.keys->key(stage.keys, path_of(path, name), SLICE(""), &key, &fault) &&
		      memmem(fault.ptr, fault.len, why, strlen(why)) &&
		      memmem(fault.ptr, fault.len, path, strlen(path));
	if (!result)
		print_message("%.*s\n", (int)fault.len, fault.ptr);
	buffer_free(&fault);
	return result;
}

/* Whether the key signs, for this certificate. */
static bool signs(gnutls_privkey_t key, const struct made *made, gnutls_sign_algorithm_t algorithm)
{
	gnutls_datum_t data = {(unsigned char *)(uintptr_t) "some octets", 11}, signature;
	gnutls_pubkey_t public;
	assert_int_equal(gnutls_pubkey_init(&public), 0);
	assert_int_equal(gnutls_pubkey_import_x509(public, made->certificate, 0), 0);
	bool result = gnutls_privkey_sign_data2(key, algorithm, 0, &data, &signature) == 0;
	if (result) {
		result = gnutls_pubkey_verify_data2(public, algorithm, 0, &data, &signature) == 0;
		gnutls_free(signature.data);
	}
	gnutls_pubkey_deinit(public);
	return result;
}

static const struct made_wish ecdsa = {.names = {"localhost"}};

static void test_each_kind_of_key_signs(void **state)
{
	static const struct {
		gnutls_pk_algorithm_t kind;
		gnutls_sign_algorithm_t algorithms[4];
	} kinds[] = {
		{GNUTLS_PK_ECDSA, {GNUTLS_SIGN_ECDSA_SHA256, GNUTLS_SIGN_ECDSA_SHA384}},
		{GNUTLS_PK_RSA, {GNUTLS_SIGN_RSA_SHA256, GNUTLS_SIGN_RSA_SHA384,
					GNUTLS_SIGN_RSA_SHA512, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256}},
		{GNUTLS_PK_EDDSA_ED25519, {GNUTLS_SIGN_EDDSA_ED25519}},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		struct made made;
		struct made_wish wish = {.names = {"localhost"}, .algorithm = kinds[i].kind};
		char name[8];
		snprintf(name, sizeof(name), "%zu", i);
		gnutls_privkey_t key = load(&made, &wish, name);
		assert_int_equal(gnutls_privkey_get_pk_algorithm(key, NULL), kinds[i].kind);
		for (size_t k = 0; k < 4 && kinds[i].algorithms[k]; k++)
			assert_true(signs(key, &made, kinds[i].algorithms[k]));
		gnutls_privkey_deinit(key);
		made_free(&made);
	}
	assert_int_equal(signer_client_go(stage.client), 0);
}

/* SHA-1, hashes of a wrong length, and numbers that no key has. */
static void test_what_nobody_verifies_is_not_signed(void **state)
{
	struct made made;
	(void)state;
	gnutls_privkey_t key = load(&made, &ecdsa, "a");
	unsigned char octets[64] = {1};
	gnutls_datum_t hash = {octets, 20}, signature;
	assert_int_not_equal(
		gnutls_privkey_sign_hash2(key, GNUTLS_SIGN_ECDSA_SHA1, 0, &hash, &signature), 0);
	struct signer_request request = {
		.operation = SIGNER_SIGN_HASH, .key = 1, .algorithm = GNUTLS_SIGN_ECDSA_SHA256};
	struct {
		struct signer_request request;
		char bytes[64];
	} packet = {.request = request};
	struct {
		struct signer_answer answer;
		char bytes[256];
	} reply;
	for (unsigned length = 0; length <= 64; length++) {
		packet.request.sequence = 1000 + length;
		assert_true(send(stage.near[0], &packet, sizeof(request) + length, 0) > 0);
		assert_true(recv(stage.near[0], &reply, sizeof(reply), 0) > 0);
		assert_int_equal(reply.answer.sequence, 1000 + length);
		assert_int_equal(reply.answer.failed, length != 32);
	}
	packet.request.key = 77;
	assert_true(send(stage.near[0], &packet, sizeof(request) + 32, 0) > 0);
	assert_true(recv(stage.near[0], &reply, sizeof(reply), 0) > 0);
	assert_int_equal(reply.answer.failed, 1);
	/* what is no request is passed over */
	assert_true(send(stage.near[0], "x", 1, 0) == 1);
	assert_true(signs(key, &made, GNUTLS_SIGN_ECDSA_SHA256));
	gnutls_privkey_deinit(key);
	made_free(&made);
}

static void test_faults_are_told(void **state)
{
	(void)state;
	assert_true(refuses("none", "No such file"));
	made_write(folder, "empty.key", NULL);
	assert_true(refuses("empty", "is empty"));
	made_write(folder, "text.key", "hello\n", NULL);
	assert_true(refuses("text", "holds no private key"));
	made_write(folder, "half.key", "-----BEGIN PRIVATE KEY-----\nMIG", NULL);
	assert_true(refuses("half", "damaged"));
	/* none of this is in the way of a good one */
	struct made made;
	gnutls_privkey_t key = load(&made, &ecdsa, "text");
	assert_true(signs(key, &made, GNUTLS_SIGN_ECDSA_SHA256));
	gnutls_privkey_deinit(key);
	made_free(&made);
}

static void test_a_fresh_key_comes_with_its_public_key(void **state)
{
	gnutls_privkey_t key;
	gnutls_pubkey_t public;
	struct buffer fault = {0};
	gnutls_datum_t data = {(unsigned char *)(uintptr_t) "some octets", 11}, signature;
	(void)state;
	assert_int_equal(stage.keys->fresh(stage.keys, &key, &public, &fault), 0);
	assert_int_equal(
		gnutls_privkey_sign_data2(key, GNUTLS_SIGN_ECDSA_SHA256, 0, &data, &signature), 0);
	assert_int_equal(
		gnutls_pubkey_verify_data2(public, GNUTLS_SIGN_ECDSA_SHA256, 0, &data, &signature),
		0);
	gnutls_free(signature.data);
	/* also from its successor's hands */
	assert_int_equal(signer_client_go(stage.client), 0);
	world_renew();
	assert_int_equal(
		gnutls_privkey_sign_data2(key, GNUTLS_SIGN_ECDSA_SHA256, 0, &data, &signature), 0);
	gnutls_free(signature.data);
	gnutls_pubkey_deinit(public);
	gnutls_privkey_deinit(key);
}

/* --- Files that change. --- */

static void test_a_file_is_read_again(void **state)
{
	struct made first, second;
	(void)state;
	gnutls_privkey_t old = load(&first, &ecdsa, "a");
	assert_int_equal(signer_client_go(stage.client), 0);
	for (int ms = 0; ms < 10000 && !atomic_load(&stage.locked); ms++)
		poll(NULL, 0, 1);
	assert_int_equal(atomic_load(&stage.locked), 1);
	gnutls_privkey_t same = load_again("a");
	assert_non_null(same);
	assert_true(signs(same, &first, GNUTLS_SIGN_ECDSA_SHA256));
	gnutls_privkey_t new = load(&second, &ecdsa, "a");
	assert_true(signs(new, &second, GNUTLS_SIGN_ECDSA_SHA256));
	assert_true(signs(old, &first, GNUTLS_SIGN_ECDSA_SHA256));
	/* a half-written file: both stay */
	made_write(folder, "a.key", "-----BEGIN", NULL);
	assert_null(load_again("a"));
	assert_true(signs(new, &second, GNUTLS_SIGN_ECDSA_SHA256));
	/* and after it died */
	world_renew();
	assert_true(signs(new, &second, GNUTLS_SIGN_ECDSA_SHA256));
	assert_true(signs(old, &first, GNUTLS_SIGN_ECDSA_SHA256));
	made_save(folder, "a", &second);
	gnutls_privkey_t again = load_again("a");
	assert_true(signs(again, &second, GNUTLS_SIGN_ECDSA_SHA256));
	gnutls_privkey_deinit(again);
	gnutls_privkey_deinit(same);
	gnutls_privkey_deinit(old);
	gnutls_privkey_deinit(new);
	made_free(&first);
	made_free(&second);
}

static void test_no_other_file_is_read_later(void **state)
{
	struct made made;
	(void)state;
	char path[300];
	assert_true(refuses("later", "No such file")); /* named, though it is not there yet */
	signer_client_name(stage.client, path_of(path, "much later"));
	assert_int_equal(signer_client_go(stage.client), 0);
	gnutls_privkey_t key = load(&made, &ecdsa, "later");
	assert_true(signs(key, &made, GNUTLS_SIGN_ECDSA_SHA256));
	made_save(folder, "much later", &made);
	gnutls_privkey_deinit(load_again("much later"));
	made_save(folder, "other", &made);
	assert_true(refuses("other", "not named"));
	world_renew();
	gnutls_privkey_deinit(load_again("much later"));
	assert_true(refuses("other", "not named"));
	assert_int_equal(stage.registered_late, 0);
	gnutls_privkey_deinit(key);
	made_free(&made);
}

/* What the worker uses no more is forgotten: a file that changes for ever fills nothing, and takes nothing from others. */
static void test_a_file_that_changes_often(void **state)
{
	struct made first, made;
	(void)state;
	gnutls_privkey_t kept = load(&first, &ecdsa, "a");
	assert_int_equal(signer_client_go(stage.client), 0);
	for (int i = 0; i < 20; i++) {
		gnutls_privkey_t key = load(&made, &ecdsa, "a");
		assert_true(signs(key, &made, GNUTLS_SIGN_ECDSA_SHA256));
		gnutls_privkey_deinit(key);
		made_free(&made);
	}
	assert_true(signs(kept, &first, GNUTLS_SIGN_ECDSA_SHA256));
	gnutls_privkey_deinit(kept);
	made_free(&first);
}

static void test_after_a_crash_of_the_worker_the_first_keys_are_back(void **state)
{
	struct made first, second;
	(void)state;
	gnutls_privkey_t key = load(&first, &ecdsa, "a");
	assert_int_equal(signer_client_go(stage.client), 0);
	gnutls_privkey_deinit(key);
	world_end();
	/* what the supervisor has kept is what there was; the file is another one */
	made_make(&second, &ecdsa);
	made_save(folder, "a", &second);
	world_begin(START_CRASH, false);
	world_connect();
	for (int i = 0; i < 2; i++) {
		key = load_again("a");
		assert_true(signs(key, &first, GNUTLS_SIGN_ECDSA_SHA256));
		gnutls_privkey_deinit(key);
	}
	assert_int_equal(signer_client_go(stage.client), 0);
	key = load_again("a");
	assert_true(signs(key, &second, GNUTLS_SIGN_ECDSA_SHA256));
	gnutls_privkey_deinit(key);
	made_free(&first);
	made_free(&second);
}

/* --- Its loss. --- */

static void test_a_signer_that_is_gone_fails_at_once(void **state)
{
	struct made made;
	(void)state;
	gnutls_privkey_t key = load(&made, &ecdsa, "a");
	assert_int_equal(signer_client_go(stage.client), 0);
	kill(stage.pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)stage.pid, NULL, WEXITED | WNOWAIT), 0);
	for (int i = 0; i < 100; i++)
		assert_false(signs(key, &made, GNUTLS_SIGN_ECDSA_SHA256));
	world_renew();
	assert_true(signs(key, &made, GNUTLS_SIGN_ECDSA_SHA256));
	gnutls_privkey_deinit(key);
	made_free(&made);
}

/* The answer that comes late is not the next one's. */
static void test_late_answers_are_dropped(void **state)
{
	struct made made;
	(void)state;
	gnutls_privkey_t key = load(&made, &ecdsa, "a");
	assert_int_equal(signer_client_go(stage.client), 0);
	kill(stage.pid, SIGSTOP);
	assert_int_equal(waitpid(stage.pid, NULL, WUNTRACED), stage.pid); /* all its threads */
	for (int i = 0; i < 50; i++)
		assert_false(signs(key, &made, GNUTLS_SIGN_ECDSA_SHA256));
	kill(stage.pid, SIGCONT);
	for (int ms = 0; ms < 10000 && !signs(key, &made, GNUTLS_SIGN_ECDSA_SHA256); ms++)
		poll(NULL, 0, 1);
	for (int i = 0; i < 50; i++)
		assert_true(signs(key, &made, GNUTLS_SIGN_ECDSA_SHA256));
	assert_int_equal(atomic_load(&stage.stuck), 0);
	gnutls_privkey_deinit(key);
	made_free(&made);
}

struct hand {
	pthread_t thread;
	atomic_bool asks;
	unsigned end; /* 0: none of its own */
	gnutls_privkey_t key;
	const struct made *made;
	struct counters counters;
	unsigned good;
};

static void *sign_often(void *argument)
{
	struct hand *hand = argument;
	if (hand->end > 0)
		signer_client_thread(stage.client, hand->end, &hand->counters);
	for (int i = 0; i < 100; i++)
		hand->good += signs(hand->key, hand->made, GNUTLS_SIGN_ECDSA_SHA256);
	return NULL;
}

/* Two have ends of their own, two share one; meanwhile keys come and go. */
static void test_many_threads_sign(void **state)
{
	struct made made, other;
	struct hand hands[4];
	(void)state;
	gnutls_privkey_t key = load(&made, &ecdsa, "a");
	gnutls_privkey_deinit(load(&other, &ecdsa, "b"));
	made_free(&other);
	assert_int_equal(signer_client_go(stage.client), 0);
	memset(hands, 0, sizeof(hands));
	for (unsigned i = 0; i < COUNT_OF(hands); i++) {
		hands[i].end = i < ENDS ? i : 0;
		hands[i].key = key;
		hands[i].made = &made;
		pthread_create(&hands[i].thread, NULL, sign_often, &hands[i]);
	}
	for (int i = 0; i < 20; i++) {
		gnutls_privkey_deinit(load(&other, &ecdsa, "b"));
		made_free(&other);
	}
	for (unsigned i = 0; i < COUNT_OF(hands); i++) {
		pthread_join(hands[i].thread, NULL);
		assert_int_equal(hands[i].good, 100);
		assert_int_equal(counter_read(&hands[i].counters, COUNTER_SIGNATURES_FAILED), 0);
	}
	gnutls_privkey_deinit(key);
	made_free(&made);
}

static void *sign_once(void *argument)
{
	struct hand *hand = argument;
	signer_client_thread(stage.client, hand->end, &hand->counters);
	atomic_store(&hand->asks, true);
	hand->good = signs(hand->key, hand->made, GNUTLS_SIGN_ECDSA_SHA256);
	return NULL;
}

/* What is under way when the signer dies, and what is asked before there is another one. */
static void test_a_successor_is_asked_again(void **state)
{
	struct made made;
	(void)state;
	gnutls_privkey_t key = load(&made, &ecdsa, "a");
	assert_int_equal(signer_client_go(stage.client), 0);
	for (int early = 0; early < 2; early++) {
		struct hand hand = {.end = 1, .key = key, .made = &made};
		kill(stage.pid, early ? SIGSTOP : SIGKILL);
		assert_int_equal(
			waitid(P_PID, (id_t)stage.pid, NULL, WEXITED | WSTOPPED | WNOWAIT), 0);
		pthread_create(&hand.thread, NULL, sign_once, &hand);
		while (!atomic_load(&hand.asks))
			poll(NULL, 0, 1);
		world_renew();
		pthread_join(hand.thread, NULL);
		assert_int_equal(hand.good, 1);
		assert_int_equal(counter_read(&hand.counters, COUNTER_SIGNATURES_FAILED), 0);
	}
	gnutls_privkey_deinit(key);
	made_free(&made);
}

static void *sign_in_vain(void *argument)
{
	struct hand *hand = argument;
	signer_client_thread(stage.client, hand->end, &hand->counters);
	for (int i = 0; i < 200; i++)
		hand->good += signs(hand->key, hand->made, GNUTLS_SIGN_ECDSA_SHA256);
	return NULL;
}

/* Where none comes a thread has other things to do: it waits once, and not for each of these. */
static void test_a_successor_is_not_waited_for_again_and_again(void **state)
{
	struct made made;
	(void)state;
	gnutls_privkey_t key = load(&made, &ecdsa, "a");
	assert_int_equal(signer_client_go(stage.client), 0);
	struct hand hand = {.end = 1, .key = key, .made = &made};
	kill(stage.pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)stage.pid, NULL, WEXITED | WNOWAIT), 0);
	pthread_create(&hand.thread, NULL, sign_in_vain, &hand);
	pthread_join(hand.thread, NULL);
	assert_int_equal(hand.good, 0);
	assert_int_equal(counter_read(&hand.counters, COUNTER_SIGNATURES_FAILED), 200);
	world_renew();
	assert_true(signs(key, &made, GNUTLS_SIGN_ECDSA_SHA256));
	gnutls_privkey_deinit(key);
	made_free(&made);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(int count, char **arguments)
{
	if (count == 1 && strcmp(arguments[0], WORLD_SIGNER) == 0)
		return tls_begin() ? 1 : signer_run();
	const struct CMUnitTest tests[] = {
		CASE(test_each_kind_of_key_signs),
		CASE(test_what_nobody_verifies_is_not_signed),
		CASE(test_faults_are_told),
		CASE(test_a_fresh_key_comes_with_its_public_key),
		CASE(test_a_file_is_read_again),
		CASE(test_no_other_file_is_read_later),
		CASE(test_a_file_that_changes_often),
		CASE(test_after_a_crash_of_the_worker_the_first_keys_are_back),
		CASE(test_a_signer_that_is_gone_fails_at_once),
		CASE(test_a_successor_is_asked_again),
		CASE(test_a_successor_is_not_waited_for_again_and_again),
		CASE(test_late_answers_are_dropped),
		CASE(test_many_threads_sign),
	};
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	log_open(null, LOG_LEVEL_ERROR, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
