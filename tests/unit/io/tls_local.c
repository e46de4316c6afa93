/* SPDX-License-Identifier: BSD-2-Clause */
/* The certificate of weir serve --tls: by an authority that is good for this machine and nothing else, kept until it expires soon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "io/tls_cert.h"
#include "io/tls_local.h"
#include "io/tls_self.h"
#include "tls_made.h"

static char top[256], folder[300];

static int begin(void **state)
{
	(void)state;
	made_folder(top);
	snprintf(folder, sizeof(folder), "%s/a/b", top);
	return 0;
}

static int end(void **state)
{
	char middle[300];
	(void)state;
	snprintf(middle, sizeof(middle), "%s/a", top);
	made_remove(folder);
	rmdir(middle);
	made_remove(top);
	return 0;
}

static void prepare(
	const struct slice *names, size_t count, struct arena *arena, struct tls_local *local)
{
	struct buffer fault = {0};
	if (tls_local_prepare(slice_of(folder), names, count, arena, local, &fault))
		fail_msg("%.*s", (int)fault.len, fault.ptr);
	buffer_free(&fault);
}

static struct slice contents(struct slice path, struct arena *arena)
{
	struct buffer text = {0};
	assert_int_equal(tls_file_read(path.ptr, &text), 0);
	struct slice result = arena_slice(arena, (struct slice){text.ptr, text.len});
	buffer_free(&text);
	return result;
}

/* Does a client that trusts the authority believe the certificate for the name? */
static bool believed(const struct tls_local *local, struct slice certificate, const char *name)
{
	gnutls_x509_trust_list_t list;
	gnutls_x509_crt_t chain[4];
	unsigned count = COUNT_OF(chain), verdict = 1;
	struct slice pem = certificate;
	gnutls_datum_t text = {(unsigned char *)(uintptr_t)pem.ptr, (unsigned)pem.len};
	gnutls_typed_vdata_st data[] = {
		{GNUTLS_DT_DNS_HOSTNAME, (unsigned char *)(uintptr_t)name, 0},
		{GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_SERVER,
			0}};
	check(gnutls_x509_trust_list_init(&list, 0) == 0);
	assert_int_equal(gnutls_x509_trust_list_add_trust_file(
				 list, local->authority.ptr, NULL, GNUTLS_X509_FMT_PEM, 0, 0),
		1);
	check(gnutls_x509_crt_list_import(chain, &count, &text, GNUTLS_X509_FMT_PEM, 0) > 0);
	int result = gnutls_x509_trust_list_verify_crt2(
		list, chain, count, data, COUNT_OF(data), 0, &verdict, NULL);
	for (unsigned i = 0; i < count; i++)
		gnutls_x509_crt_deinit(chain[i]);
	gnutls_x509_trust_list_deinit(list, 1);
	return result == 0 && verdict == 0;
}

static mode_t mode_of(const char *path)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void it_is_made_once_and_believed(void **state)
{
	struct arena arena;
	struct tls_local first, second;
	struct slice name = SLICE("127.0.0.7");
	char path[400];
	(void)state;
	arena_init(&arena, NULL, 0);
	prepare(&name, 1, &arena, &first);
	assert_true(first.made);
	struct slice made = contents(first.certificate, &arena);
	assert_true(believed(&first, made, "localhost"));
	assert_true(believed(&first, made, "127.0.0.1"));
	assert_true(believed(&first, made, "127.0.0.7"));
	assert_false(believed(&first, made, "example.com"));
	assert_int_equal(mode_of(folder), 0700);
	assert_int_equal(mode_of(first.key.ptr), 0600);
	snprintf(path, sizeof(path), "%s/authority.key", folder);
	assert_int_equal(mode_of(path), 0600);
	prepare(NULL, 0, &arena, &second);
	assert_false(second.made);
	assert_true(slice_equal(contents(second.certificate, &arena), made));
	arena_reset(&arena);
}

/* Another name, or what is damaged: a new certificate, by the same authority. */
static void what_does_not_do_is_made_anew(void **state)
{
	struct arena arena;
	struct tls_local local;
	struct slice name = SLICE("10.1.2.3");
	(void)state;
	arena_init(&arena, NULL, 0);
	prepare(NULL, 0, &arena, &local);
	struct slice authority = contents(local.authority, &arena);
	struct slice first = contents(local.certificate, &arena);
	prepare(&name, 1, &arena, &local);
	assert_false(local.made);
	assert_true(slice_equal(contents(local.authority, &arena), authority));
	struct slice second = contents(local.certificate, &arena);
	assert_false(slice_equal(first, second));
	assert_true(believed(&local, second, "10.1.2.3"));
	made_write(folder, "localhost.key", "nothing", NULL);
	prepare(NULL, 0, &arena, &local);
	assert_false(slice_equal(contents(local.certificate, &arena), second));
	made_write(folder, "authority.pem", "nothing", NULL);
	prepare(NULL, 0, &arena, &local);
	assert_true(local.made);
	assert_true(believed(&local, contents(local.certificate, &arena), "localhost"));
	arena_reset(&arena);
}

/* Whoever steals the authority's key can be nobody on the Internet. */
static void the_authority_is_good_for_nothing_else(void **state)
{
	static const char *const foreign[] = {"example.com", "93.184.216.34", "com"};
	struct arena arena;
	struct tls_local local;
	char path[400];
	(void)state;
	arena_init(&arena, NULL, 0);
	prepare(NULL, 0, &arena, &local);
	snprintf(path, sizeof(path), "%s/authority.key", folder);
	struct buffer fault = {0};
	gnutls_privkey_t issuer_key, key;
	gnutls_pubkey_t public;
	gnutls_x509_crt_t issuer, forged;
	assert_int_equal(tls_keys_here()->key(
				 tls_keys_here(), slice_of(path), SLICE(""), &issuer_key, &fault),
		0);
	struct slice pem = contents(local.authority, &arena);
	gnutls_datum_t text = {(unsigned char *)(uintptr_t)pem.ptr, (unsigned)pem.len};
	check(gnutls_x509_crt_init(&issuer) == 0 &&
		gnutls_x509_crt_import(issuer, &text, GNUTLS_X509_FMT_PEM) == 0);
	check(gnutls_privkey_init(&key) == 0 &&
		gnutls_privkey_generate(key, GNUTLS_PK_ECDSA,
			GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) == 0);
	check(gnutls_pubkey_init(&public) == 0 &&
		gnutls_pubkey_import_privkey(public, key, 0, 0) == 0);
	for (size_t i = 0; i < COUNT_OF(foreign); i++) {
		struct slice name = slice_of(foreign[i]);
		struct tls_self self = {.names = &name,
			.name_count = 1,
			.days = 3,
			.issuer = issuer,
			.issuer_key = issuer_key};
		gnutls_datum_t out;
		check(tls_self_make(&self, key, public, &forged) == 0);
		check(gnutls_x509_crt_export2(forged, GNUTLS_X509_FMT_PEM, &out) == 0);
		assert_false(believed(
			&local, (struct slice){(const char *)out.data, out.size}, foreign[i]));
		gnutls_free(out.data);
		gnutls_x509_crt_deinit(forged);
	}
	gnutls_x509_crt_deinit(issuer);
	gnutls_pubkey_deinit(public);
	gnutls_privkey_deinit(key);
	gnutls_privkey_deinit(issuer_key);
	buffer_free(&fault);
	arena_reset(&arena);
}

static void a_folder_that_cannot_be_is_told(void **state)
{
	struct arena arena;
	struct tls_local local;
	struct buffer fault = {0};
	(void)state;
	arena_init(&arena, NULL, 0);
	made_write(top, "a", "a file", NULL);
	assert_int_equal(tls_local_prepare(slice_of(folder), NULL, 0, &arena, &local, &fault), -1);
	buffer_append(&fault, "", 1);
	assert_non_null(strstr(fault.ptr, "Not a directory"));
	buffer_free(&fault);
	arena_reset(&arena);
}

static void folders(void **state)
{
	struct arena arena;
	(void)state;
	arena_init(&arena, NULL, 0);
	setenv("HOME", "/home/me", 1);
	unsetenv("XDG_DATA_HOME");
	assert_string_equal(tls_local_folder(&arena, true).ptr, "/home/me/.local/share/weir/local");
	setenv("XDG_DATA_HOME", "/data", 1);
	assert_string_equal(tls_local_folder(&arena, true).ptr, "/data/weir/local");
	assert_string_equal(
		tls_local_folder(&arena, false).ptr, WEIR_LOCALSTATEDIR "/lib/weir/local");
	unsetenv("XDG_DATA_HOME"); /* never in /tmp, where others may have been before */
	unsetenv("HOME");
	assert_string_equal(
		tls_local_folder(&arena, true).ptr, WEIR_LOCALSTATEDIR "/lib/weir/local");
	arena_reset(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
		CASE(it_is_made_once_and_believed),
		CASE(what_does_not_do_is_made_anew),
		CASE(the_authority_is_good_for_nothing_else),
		CASE(a_folder_that_cannot_be_is_told),
		CASE(folders),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
