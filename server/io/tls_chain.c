/* SPDX-License-Identifier: BSD-2-Clause */
/* The certificates of a file, and the order in which they lead from the one that is shown to an authority. */
#include <string.h>

#include "io/tls_cert.h"

static bool has(struct slice text, const char *what)
{
	return text.len > 0 && memmem(text.ptr, text.len, what, strlen(what));
}

/* Why there is no certificate in a file. */
static const char *pem_fault(struct slice pem)
{
	if (pem.len == 0)
		return "is empty";
	if (has(pem, "PRIVATE KEY-----"))
		return "holds a key, not a certificate: are certificate and key exchanged?";
	if (has(pem, "BEGIN CERTIFICATE REQUEST-----") || has(pem, "NEW CERTIFICATE REQUEST-----"))
		return "holds a request, not the certificate that an authority made of it";
	if (has(pem, "BEGIN CERTIFICATE-----") || has(pem, "BEGIN X509 CERTIFICATE-----"))
		return "cannot be read: a certificate in it is damaged";
	if (pem.ptr[0] == 0x30)
		return "is DER: write it in PEM, by openssl x509 -inform DER -in FILE -out NEW";
	return "holds no certificate: a line -----BEGIN CERTIFICATE----- is missing";
}

static void take_out(gnutls_x509_crt_t *list, unsigned *count, unsigned at)
{
	for (unsigned i = at + 1; i < *count; i++)
		list[i - 1] = list[i];
	(*count)--;
}

/* Does the key fit? By a signature, for the key may be somewhere else. */
static bool fits(gnutls_x509_crt_t certificate, gnutls_privkey_t key)
{
	unsigned char text[] = "weir: does this key fit?";
	gnutls_datum_t data = {text, sizeof(text)}, signature = {NULL, 0};
	gnutls_sign_algorithm_t algorithm;
	gnutls_digest_algorithm_t digest;
	gnutls_pubkey_t public;
	bool result = false;
	if (gnutls_pubkey_init(&public))
		return false;
	if (gnutls_pubkey_import_x509(public, certificate, 0) == 0 &&
		gnutls_pubkey_get_pk_algorithm(public, NULL) ==
			gnutls_privkey_get_pk_algorithm(key, NULL) &&
		gnutls_pubkey_get_preferred_hash_algorithm(public, &digest, NULL) == 0) {
		algorithm = gnutls_pk_to_sign(gnutls_pubkey_get_pk_algorithm(public, NULL), digest);
		if (gnutls_privkey_sign_data2(key, algorithm, 0, &data, &signature) == 0) {
			result = gnutls_pubkey_verify_data2(
					 public, algorithm, 0, &data, &signature) == 0;
			gnutls_free(signature.data);
		}
	}
	gnutls_pubkey_deinit(public);
	return result;
}

/* A file that is being written, or was cut off. */
static bool is_whole(struct slice pem)
{
	size_t begins = 0, ends = 0;
	while (pem.len > 0) {
		const char *at = memmem(pem.ptr, pem.len, "-----", 5);
		if (!at)
			break;
		struct slice rest = slice_from(pem, (size_t)(at - pem.ptr) + 5);
		begins += slice_starts(rest, SLICE("BEGIN "));
		ends += slice_starts(rest, SLICE("END "));
		pem = rest;
	}
	return begins == ends;
}

/* Moves the certificate that fits the key to the front. */
static int leaf_first(
	gnutls_x509_crt_t *list, unsigned count, gnutls_privkey_t key, struct tls_telling *telling)
{
	unsigned at = 0;
	while (at < count && !fits(list[at], key))
		at++;
	if (at == count) {
		tls_tell(telling, "key", false, "the key %s does not belong to the certificate %s",
			telling->pair->key_path.ptr, telling->pair->certificate_path.ptr);
		return -1;
	}
	if (at > 0)
		tls_tell(telling, "certificate", true,
			"%s begins with another certificate than the one of the key: that should stand "
			"first, then those that lead from it to an authority",
			telling->pair->certificate_path.ptr);
	gnutls_x509_crt_t leaf = list[at];
	memmove(list + 1, list, at * sizeof(list[0]));
	list[0] = leaf;
	return 0;
}

/* Puts each behind the one that it signed. What leads nowhere is left out. */
static unsigned order(gnutls_x509_crt_t *list, unsigned count, struct tls_telling *telling)
{
	bool moved = false;
	unsigned length = 1;
	for (; length < count; length++) {
		unsigned next = length;
		while (next < count && !gnutls_x509_crt_check_issuer(list[length - 1], list[next]))
			next++;
		if (next == count)
			break;
		moved |= next > length;
		gnutls_x509_crt_t issuer = list[next];
		memmove(list + length + 1, list + length, (next - length) * sizeof(list[0]));
		list[length] = issuer;
	}
	if (moved)
		tls_tell(telling, "certificate", true,
			"the certificates in %s stand in another order than each before the one that "
			"signed it: they are shown in that order",
			telling->pair->certificate_path.ptr);
	if (length < count)
		tls_tell(telling, "certificate", true,
			"%u of the %u certificates in %s lead%s nowhere from the first one, and %s left "
			"out",
			count - length, count, telling->pair->certificate_path.ptr,
			count - length == 1 ? "s" : "", count - length == 1 ? "is" : "are");
	for (unsigned i = length; i < count; i++)
		gnutls_x509_crt_deinit(list[i]);
	return length;
}

unsigned tls_chain_read(struct slice pem, gnutls_privkey_t key,
	gnutls_x509_crt_t chain[TLS_CHAIN_MAX], struct tls_telling *telling)
{
	gnutls_datum_t text = {(unsigned char *)(uintptr_t)pem.ptr, (unsigned)pem.len};
	unsigned count = TLS_CHAIN_MAX;
	int result = gnutls_x509_crt_list_import(chain, &count, &text, GNUTLS_X509_FMT_PEM,
		GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
	if (result == GNUTLS_E_SHORT_MEMORY_BUFFER)
		tls_tell(telling, "certificate", false, "%s holds more than %d certificates",
			telling->pair->certificate_path.ptr, TLS_CHAIN_MAX);
	else if (result > 0 && !is_whole(pem))
		tls_tell(telling, "certificate", false,
			"%s is cut off: a certificate in it has a beginning and no end",
			telling->pair->certificate_path.ptr);
	else if (result > 0 && has(pem, "PRIVATE KEY-----"))
		tls_tell(telling, "certificate", false,
			"%s holds the private key as well, and is read by who must never see it: put it "
			"in a file of its own",
			telling->pair->certificate_path.ptr);
	else if (result <= 0)
		tls_tell(telling, "certificate", false, "%s %s",
			telling->pair->certificate_path.ptr, pem_fault(pem));
	if (result <= 0)
		return 0;
	count = (unsigned)result;
	if (is_whole(pem) && !has(pem, "PRIVATE KEY-----") &&
		leaf_first(chain, count, key, telling) == 0)
		return order(chain, count, telling);
	while (count > 0) {
		gnutls_x509_crt_deinit(chain[0]);
		take_out(chain, &count, 0);
	}
	return 0;
}
