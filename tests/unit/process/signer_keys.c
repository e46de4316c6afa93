/* SPDX-License-Identifier: BSD-2-Clause */
/* The signer's keys: numbers that are given once, bounds, and what is kept of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "../io/tls_made.h"
#include "base/check.h"
#include "process/signer_keys.h"

static struct made made[12];

static struct slice text_of(unsigned i)
{
	return (struct slice){(const char *)made[i].key_pem.data, made[i].key_pem.size};
}

static int make_all(void **state)
{
	static const struct made_wish wish = {.names = {"localhost"}};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(made); i++)
		made_make(&made[i], &wish);
	return 0;
}

static int free_all(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(made); i++)
		made_free(&made[i]);
	return 0;
}

static int file(struct signer_keys *keys, const char *path)
{
	bool before;
	return signer_keys_file(keys, slice_of(path), true, &before);
}

static uint32_t add(struct signer_keys *keys, const char *path, unsigned i)
{
	struct buffer fault = {0};
	uint32_t key = signer_keys_add(keys, file(keys, path), text_of(i), &fault);
	assert_int_equal(fault.len, 0);
	return key;
}

/* Whether there is such a key, and it is this one. */
static bool is(struct signer_keys *keys, uint32_t key, unsigned i)
{
	unsigned char octets[32] = {7};
	struct signer_request request = {
		.operation = SIGNER_SIGN_HASH, .key = key, .algorithm = GNUTLS_SIGN_ECDSA_SHA256};
	gnutls_datum_t signature, hash = {octets, sizeof(octets)};
	const char *fault;
	gnutls_pubkey_t public;
	if (signer_keys_sign(keys, &request, (struct slice){(char *)octets, sizeof(octets)},
		    &signature, &fault))
		return false;
	assert_int_equal(gnutls_pubkey_init(&public), 0);
	assert_int_equal(gnutls_pubkey_import_x509(public, made[i].certificate, 0), 0);
	bool result = gnutls_pubkey_verify_hash2(
			      public, GNUTLS_SIGN_ECDSA_SHA256, 0, &hash, &signature) == 0;
	gnutls_pubkey_deinit(public);
	gnutls_free(signature.data);
	return result;
}

static void test_a_number_is_one_key_for_ever(void **state)
{
	struct signer_keys *keys = signer_keys_new();
	(void)state;
	uint32_t a = add(keys, "/a", 0), b = add(keys, "/b", 1);
	assert_int_not_equal(a, b);
	assert_int_equal(add(keys, "/a", 0), a);
	assert_true(is(keys, a, 0) && is(keys, b, 1));
	signer_keys_forget(keys, a);
	assert_false(is(keys, a, 0));
	assert_int_equal(signer_keys_of(keys, file(keys, "/a")), 0);
	uint32_t again = add(keys, "/a", 0);
	assert_int_not_equal(again, a);
	assert_int_not_equal(again, b);
	assert_true(is(keys, again, 0));
	signer_keys_forget(keys, 12345);
	signer_keys_free(keys);
}

static struct slice id_of(unsigned i, char id[SIGNER_ID_SIZE])
{
	size_t size = SIGNER_ID_SIZE;
	assert_int_equal(gnutls_x509_crt_get_key_id(made[i].certificate, GNUTLS_KEYID_USE_SHA256,
				 (unsigned char *)id, &size),
		0);
	return (struct slice){id, size};
}

/* Whatever was tried after it. */
static void test_the_key_of_a_certificate_is_found(void **state)
{
	struct signer_keys *keys = signer_keys_new();
	char id[SIGNER_ID_SIZE];
	(void)state;
	uint32_t a = add(keys, "/a", 0), b = add(keys, "/a", 1), other = add(keys, "/b", 0);
	assert_int_equal(signer_keys_choose(keys, 0, id_of(0, id)), a);
	assert_int_equal(signer_keys_choose(keys, 0, id_of(1, id)), b);
	assert_int_equal(signer_keys_choose(keys, 0, id_of(2, id)), 0);
	assert_int_equal(signer_keys_choose(keys, 0, SLICE("short")), 0);
	assert_int_equal(signer_keys_choose(keys, 1, id_of(0, id)), other);
	/* what is forgotten leaves the one before */
	signer_keys_forget(keys, b);
	assert_int_equal(signer_keys_of(keys, 0), a);
	assert_int_equal(signer_keys_choose(keys, 0, id_of(1, id)), 0);
	signer_keys_free(keys);
}

/* A worker that forgets nothing. */
static void test_of_one_file_a_few_are_held(void **state)
{
	struct signer_keys *keys = signer_keys_new();
	uint32_t numbers[COUNT_OF(made)];
	(void)state;
	uint32_t other = add(keys, "/b", 0);
	for (unsigned i = 0; i < COUNT_OF(made); i++)
		numbers[i] = add(keys, "/a", i);
	for (unsigned i = 0; i < COUNT_OF(made); i++)
		assert_int_equal(is(keys, numbers[i], i), i >= COUNT_OF(made) - 8);
	assert_true(is(keys, other, 0));
	signer_keys_free(keys);
}

static void test_files_have_a_bound(void **state)
{
	struct signer_keys *keys = signer_keys_new();
	char path[32];
	(void)state;
	for (int i = 0; i < SIGNER_FILES_MAX; i++) {
		snprintf(path, sizeof(path), "/%d", i);
		assert_int_equal(file(keys, path), i);
	}
	assert_int_equal(file(keys, "/more"), -1);
	assert_int_equal(file(keys, "/0"), 0);
	signer_keys_free(keys);
}

static void test_fresh_keys_have_a_bound(void **state)
{
	struct signer_keys *keys = signer_keys_new();
	struct buffer fault = {0}, facts = {0};
	(void)state;
	uint32_t first = signer_keys_fresh(keys, &fault);
	assert_int_equal(signer_keys_facts(keys, first, &facts), 0);
	for (int i = 0; i < 256; i++)
		assert_int_not_equal(signer_keys_fresh(keys, &fault), 0);
	assert_int_equal(signer_keys_facts(keys, first, &facts), -1);
	buffer_free(&facts);
	signer_keys_free(keys);
}

/* --- What is kept. --- */

static struct buffer kept(uint32_t *a, uint32_t *b)
{
	struct signer_keys *keys = signer_keys_new();
	struct buffer bytes = {0};
	add(keys, "/a", 2);
	*a = add(keys, "/a", 0);
	*b = add(keys, "/b", 1);
	signer_keys_write(keys, &bytes);
	signer_keys_free(keys);
	return bytes;
}

static void test_what_was_kept_is_taken_up(void **state)
{
	uint32_t a, b;
	bool before;
	struct buffer bytes = kept(&a, &b);
	struct slice all = {bytes.ptr, bytes.len};
	(void)state;
	/* for the same worker: all of it */
	struct signer_keys *keys = signer_keys_new();
	assert_int_equal(signer_keys_read(keys, all, true), 0);
	assert_true(is(keys, a, 0) && is(keys, b, 1));
	assert_int_equal(signer_keys_file(keys, SLICE("/a"), false, &before), 0);
	assert_int_equal(signer_keys_file(keys, SLICE("/c"), false, &before), -1);
	uint32_t new = add(keys, "/a", 3);
	assert_true(new != a &&new != b &&is(keys, new, 3) && is(keys, a, 0));
	signer_keys_free(keys);
	/* for another: what it asks for */
	keys = signer_keys_new();
	assert_int_equal(signer_keys_read(keys, all, false), 0);
	assert_int_equal(signer_keys_file(keys, SLICE("/a"), false, &before), -1);
	assert_int_equal(signer_keys_of(keys, file(keys, "/a")), a);
	signer_keys_sweep(keys);
	assert_true(is(keys, a, 0));
	assert_false(is(keys, b, 1));
	signer_keys_free(keys);
	buffer_free(&bytes);
}

static void test_what_is_kept_badly_is_refused(void **state)
{
	uint32_t a, b;
	unsigned whole = 0;
	struct buffer bytes = kept(&a, &b);
	(void)state;
	for (size_t length = 0; length <= bytes.len; length++) {
		struct signer_keys *keys = signer_keys_new();
		char *part = must_alloc(length + 1); /* so that a reader beyond it is seen */
		memcpy(part, bytes.ptr, length);
		whole += signer_keys_read(keys, (struct slice){part, length}, true) == 0;
		signer_keys_free(keys);
		free(part);
	}
	assert_int_equal(whole, 4); /* files alone, and behind each key */
	for (size_t at = 0; at < 24; at++) {
		struct signer_keys *keys = signer_keys_new();
		char old = bytes.ptr[at];
		bytes.ptr[at] = (char)~old;
		signer_keys_read(keys, (struct slice){bytes.ptr, bytes.len}, true);
		bytes.ptr[at] = old;
		signer_keys_free(keys);
	}
	buffer_free(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_number_is_one_key_for_ever),
		cmocka_unit_test(test_the_key_of_a_certificate_is_found),
		cmocka_unit_test(test_of_one_file_a_few_are_held),
		cmocka_unit_test(test_files_have_a_bound),
		cmocka_unit_test(test_fresh_keys_have_a_bound),
		cmocka_unit_test(test_what_was_kept_is_taken_up),
		cmocka_unit_test(test_what_is_kept_badly_is_refused),
	};
	return cmocka_run_group_tests(tests, make_all, free_all);
}
