/* SPDX-License-Identifier: BSD-2-Clause */
/* What comes from disk and from clients about certificates: chains in PEM, OCSP responses, server names, names of fields. The first octet says
 * which. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "handlers/proxy/identity.h"
#include "io/tls_cert.h"
#include "io/tls_index.h"
#include "io/tls_self.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static gnutls_privkey_t key;
static struct slice own; /* PEM of a certificate for the key */

static void prepare(void)
{
	static const struct slice names[] = {{"a.test", 6}, {"*.b.test", 8}};
	struct tls_self self = {.names = names, .name_count = 2, .days = 3};
	gnutls_pubkey_t public;
	gnutls_x509_crt_t made;
	gnutls_datum_t pem;
	if (key)
		return;
	check(gnutls_privkey_init(&key) == 0 &&
		gnutls_privkey_generate(key, GNUTLS_PK_ECDSA,
			GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) == 0);
	check(gnutls_pubkey_init(&public) == 0 &&
		gnutls_pubkey_import_privkey(public, key, 0, 0) == 0);
	check(tls_self_make(&self, key, public, &made) == 0);
	check(gnutls_x509_crt_export2(made, GNUTLS_X509_FMT_PEM, &pem) == 0);
	gnutls_x509_crt_deinit(made);
	gnutls_pubkey_deinit(public);
	own = (struct slice){(char *)pem.data, pem.size};
}

static const struct tls_pair pair = {
	.certificate_path = {"c", 1}, .key_path = {"k", 1}, .ocsp_path = {"o", 1}};

/* Whatever stands before or behind it, the certificate of the key is the first, or there is a fault. */
static void chain(struct slice text)
{
	gnutls_x509_crt_t list[TLS_CHAIN_MAX];
	for (int behind = 0; behind < 2; behind++) {
		struct buffer pem = {0};
		struct tls_telling telling = {.pair = &pair};
		buffer_slice(&pem, behind ? text : own);
		buffer_slice(&pem, behind ? own : text);
		unsigned count =
			tls_chain_read((struct slice){pem.ptr, pem.len}, key, list, &telling);
		check(count <= TLS_CHAIN_MAX && telling.failed == (count == 0));
		check(count == 0 || gnutls_x509_crt_check_hostname(list[0], "a.test"));
		for (unsigned i = 0; i < count; i++)
			gnutls_x509_crt_deinit(list[i]);
		tls_pem_covers((struct slice){pem.ptr, pem.len}, SLICE("x.b.test"));
		buffer_free(&pem);
	}
}

/* Nothing that a fuzzer writes is signed. */
static void response(struct slice bytes)
{
	struct tls_cert cert = {.pair = &pair};
	struct tls_telling telling = {.pair = &pair};
	gnutls_datum_t pem = {(unsigned char *)(uintptr_t)own.ptr, (unsigned)own.len};
	arena_init(&cert.arena, NULL, 0);
	check(gnutls_x509_crt_init(&cert.leaf) == 0 &&
		gnutls_x509_crt_import(cert.leaf, &pem, GNUTLS_X509_FMT_PEM) == 0);
	tls_ocsp_take(&cert, bytes, cert.leaf, &telling);
	check(cert.ocsp.len == 0);
	gnutls_x509_crt_deinit(cert.leaf);
	arena_reset(&cert.arena);
}

/* A name finds itself, or a star that stands for as many labels as are allowed. */
static void name(struct slice text)
{
	static const struct slice names[] = {
		{"a.test", 6}, {"*.a.test", 8}, {"*.x.a.test", 10}, {"*", 1}, {"", 0}};
	struct tls_index index = {.entries = {0}};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		tls_index_add(&index, names[i], &names[i]);
	tls_index_sort(&index);
	const struct slice *any = tls_index_find(&index, text, 0);
	const struct slice *one = tls_index_find(&index, text, 1);
	check(!one || any);
	if (any && !slice_equal(*any, text))
		check(any->len > 1 && any->ptr[0] == '*' && slice_ends(text, slice_from(*any, 1)));
	if (one && !slice_equal(*one, text))
		check(one == any && !memchr(text.ptr, '.', text.len - one->len + 1));
	tls_index_free(&index);
}

/* What a gateway would take for one of ours is never passed on. */
static void field(struct slice text)
{
	static const char *const ours[] = {
		"clientcert", "xclientsubject", "xclientverify", "forwarded", "xrealip"};
	struct field one = {.name = text, .id = field_identify(text)};
	char letters[64];
	size_t length = 0;
	for (size_t i = 0; i < text.len && length < sizeof(letters) - 1; i++) {
		if (isalnum((unsigned char)text.ptr[i]))
			letters[length++] = (char)tolower((unsigned char)text.ptr[i]);
	}
	letters[length] = 0;
	for (size_t i = 0; i < COUNT_OF(ours); i++) {
		/* with one sign in each place of a hyphen */
		static const struct slice known[] = {{"Client-Cert", 11}, {"X-Client-Subject", 16},
			{"X-Client-Verify", 15}, {"Forwarded", 9}, {"X-Real-IP", 9}};
		bool alike = text.len == known[i].len && strcmp(letters, ours[i]) == 0;
		for (size_t k = 0; alike && k < text.len; k++)
			alike = (known[i].ptr[k] == '-') == !isalnum((unsigned char)text.ptr[k]);
		check(!alike || identity_claimed(&one));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = {(const char *)data + 1, size > 0 ? size - 1 : 0};
	prepare();
	if (size == 0)
		return 0;
	switch (data[0] & 3) {
	case 0:
		chain(rest);
		break;
	case 1:
		response(rest);
		break;
	case 2:
		name(rest);
		break;
	default:
		field(rest);
	}
	return 0;
}
