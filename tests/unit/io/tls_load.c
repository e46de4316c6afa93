/* SPDX-License-Identifier: BSD-2-Clause */
/* What is wrong with certificates, told where it is written; and the certificates that weir is to obtain by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "base/check.h"
#include "io/tls_load.h"
#include "tls_made.h"

static char folder[256];
static struct made authority, middle;

#define DAY 86400

static void save(const char *name, struct made_wish wish)
{
	struct made made;
	made_make(&made, &wish);
	made_save(folder, name, &made);
	made_free(&made);
}

/* All files that the cases name. */
static int make_files(void **state)
{
	static const char one[] = "a.test";
	time_t now = time(NULL);
	struct made leaf;
	gnutls_datum_t der, encrypted;
	char path[600];
	(void)state;
	made_folder(folder);
	made_make(&authority, &(struct made_wish){.common_name = "Root", .authority = true});
	made_make(
		&middle, &(struct made_wish){
				 .common_name = "Middle", .authority = true, .issuer = &authority});
	save("a", (struct made_wish){.names = {one}});
	save("star", (struct made_wish){.names = {"*.a.test"}});
	save("other", (struct made_wish){.names = {"other.test", "two.test"}});
	save("old", (struct made_wish){.names = {one}, .begins = now - 9 * DAY, .ends = now - DAY});
	save("early",
		(struct made_wish){.names = {one}, .begins = now + DAY, .ends = now + 9 * DAY});
	save("weak", (struct made_wish){.names = {one}, .algorithm = GNUTLS_PK_RSA, .bits = 1024});
	save("p521", (struct made_wish){.names = {one},
			     .bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP521R1)});
	save("unnamed", (struct made_wish){.common_name = one});
	made_make(&leaf, &(struct made_wish){.names = {one}, .issuer = &middle});
	made_save(folder, "leaf", &leaf);
	const char *l = (const char *)leaf.pem.data, *m = (const char *)middle.pem.data,
		   *r = (const char *)authority.pem.data, *k = (const char *)leaf.key_pem.data;
	made_write(folder, "chain.pem", l, m, r, NULL);
	made_write(folder, "turned.pem", l, r, m, NULL);
	made_write(folder, "last.pem", m, l, NULL);
	made_write(folder, "stranger.pem", l, r, NULL);
	made_write(folder, "with_key.pem", l, k, NULL);
	made_write(folder, "empty.pem", NULL);
	made_write(folder, "text.pem", "hello\n", NULL);
	made_write(folder, "damaged.pem",
		"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", NULL);
	made_write(folder, "cut.pem", l, "-----BEGIN CERTIFICATE-----\nMIIB\n", NULL);
	made_write(folder, "request.pem",
		"-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n",
		NULL);
	check(gnutls_x509_crt_export2(leaf.certificate, GNUTLS_X509_FMT_DER, &der) == 0);
	snprintf(path, sizeof(path), "%s/der.pem", folder);
	FILE *file = fopen(path, "w");
	check(file && fwrite(der.data, 1, der.size, file) == der.size && fclose(file) == 0);
	check(chmod(path, 0600) == 0);
	gnutls_free(der.data);
	check(gnutls_x509_privkey_export2_pkcs8(leaf.key, GNUTLS_X509_FMT_PEM, "secret",
		      GNUTLS_PKCS_PBES2_AES_256, &encrypted) == 0);
	made_write(folder, "locked.key", (const char *)encrypted.data, NULL);
	gnutls_free(encrypted.data);
	made_write(folder, "open.key", k, NULL);
	snprintf(path, sizeof(path), "%s/open.key", folder);
	check(chmod(path, 0644) == 0);
	made_free(&leaf);
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	made_free(&authority);
	made_free(&middle);
	made_remove(folder);
	return 0;
}

/* --- Loading. --- */

static int finish(struct load *load, struct snapshot *snapshot, void *context)
{
	return tls_load(load, snapshot, tls_keys_here(), NULL, 0, context);
}

static struct snapshot *load(const char *text, struct tls_store **store, struct buffer *told)
{
	struct option_sets sets = {.finish = finish, .context = store};
	told->len = 0;
	struct snapshot *snapshot =
		snapshot_load_text(slice_of(text), "weir.yaml", folder, &sets, false, told);
	buffer_append(told, "", 1);
	return snapshot;
}

/* --- Faults. --- */

#define SITE "sites: [ { host: a.test, listen: \"https://:8443\" } ]\n"
#define PAIR(certificate, key)                                                                     \
	"tls: { certificates: { certificate: " certificate ", key: " key " } }\n" SITE
#define AT_CERTIFICATE "1:37: "

static const struct {
	const char *text;
	const char *
		told; /* the beginning of what stands behind "weir.yaml:", and behind a | a part of it; NULL: nothing */
	bool good;
} cases[] = {
	{PAIR("a.pem", "a.key"), NULL, true},
	{PAIR("chain.pem", "leaf.key"), NULL, true},
	{PAIR("leaf.pem", "leaf.key"), NULL, true},
	{PAIR("none.pem", "a.key"), AT_CERTIFICATE "error: cannot read |none.pem: No such file",
		false},
	{PAIR("a.pem", "none.key"), "1:49: error: cannot read the key |none.key: No such file",
		false},
	{PAIR("a.pem", "other.key"),
		"1:49: error: the key |other.key does not belong to the certificate", false},
	{PAIR("a.key", "a.pem"),
		"1:49: error: |holds a certificate, not a key: are certificate and key exchanged?",
		false},
	{PAIR("a.key", "a.key"), AT_CERTIFICATE "error: |holds a key, not a certificate", false},
	{PAIR("empty.pem", "a.key"), AT_CERTIFICATE "error: |is empty", false},
	{PAIR("a.pem", "empty.pem"), "1:49: error: |is empty", false},
	{PAIR("text.pem", "a.key"),
		AT_CERTIFICATE "error: |a line -----BEGIN CERTIFICATE----- is missing", false},
	{PAIR("a.pem", "text.pem"), "1:49: error: |a line -----BEGIN PRIVATE KEY----- is missing",
		false},
	{PAIR("damaged.pem", "a.key"), AT_CERTIFICATE "error: |a certificate in it is damaged",
		false},
	{PAIR("cut.pem", "leaf.key"), AT_CERTIFICATE "error: |", false},
	{PAIR("request.pem", "a.key"), AT_CERTIFICATE "error: |holds a request", false},
	{PAIR("der.pem", "leaf.key"),
		AT_CERTIFICATE "error: |is DER: write it in PEM, by openssl x509", false},
	{PAIR("leaf.pem", "der.pem"), "1:52: error: |is DER", false},
	{PAIR("leaf.pem", "locked.key"), "1:52: error: |is encrypted", false},
	{PAIR("with_key.pem", "leaf.key"), AT_CERTIFICATE "error: |put it in a file of its own",
		false},
	{PAIR("weak.pem", "weak.key"), AT_CERTIFICATE "error: |1024 bits", false},
	{PAIR("old.pem", "old.key"), AT_CERTIFICATE "warning: |expired on", true},
	{PAIR("early.pem", "early.key"), AT_CERTIFICATE "warning: |is not valid before", true},
	{PAIR("p521.pem", "p521.key"), AT_CERTIFICATE "warning: |SECP521R1", true},
	{PAIR("unnamed.pem", "unnamed.key"),
		AT_CERTIFICATE "warning: |names no host in subjectAltName", true},
	{PAIR("turned.pem", "leaf.key"), AT_CERTIFICATE "warning: |stand in another order", true},
	{PAIR("last.pem", "leaf.key"), AT_CERTIFICATE "warning: |begins with another certificate",
		true},
	{PAIR("stranger.pem", "leaf.key"),
		AT_CERTIFICATE "warning: 1 of the 2 certificates in |leads nowhere", true},
	{PAIR("leaf.pem", "open.key"),
		"1:52: warning: the key |may be read by others than its owner: chmod 600", true},
	{"tls: { certificates: [ { certificate: a.pem, key: a.key }, { certificate: other.pem, key: other.key } ] }\n" SITE,
		"1:75: warning: the certificate |is for no host of the sites that have it: it is for other.test and others",
		true},
	{"tls: { certificates: { certificate: a.pem, key: a.key } }\n"
	 "sites: [ { host: [a.test, b.test], listen: \"https://:8443\" } ]\n",
		"2:27: warning: no certificate of this site is for \"b.test\"|", true},
	{"tls: { certificates: { certificate: a.pem, key: a.key } }\n"
	 "sites: [ { host: b.test, listen: \"http://:8080\" }, { host: a.test, listen: \"https://:8443\" } ]\n",
		NULL, true},
	{"tls: { certificates: { certificate: other.pem, key: other.key } }\n"
	 "sites: [ { listen: \"https://:8443\" } ]\n",
		NULL, true},
	{"tls: { priorities: NORML, certificates: { certificate: a.pem, key: a.key } }\n" SITE,
		"1:20: error: \"NORML\" is no priority string of GnuTLS|", false},
	{"tls: { priorities: \"NORMAL:-VERS-ALL:+VERS-TLS1.1\", certificates: { certificate: a.pem, key: a.key } }\n" SITE,
		"1:21: error: |leaves nothing that can be spoken, for weir knows TLS 1.2 and 1.3 alone",
		false},
	{"tls: { min_version: 1.3, priorities: \"NORMAL:-VERS-TLS1.3\", certificates: { certificate: a.pem, key: a.key } }\n" SITE,
		"1:39: error: |leaves nothing that can be spoken beside min_version 1.3", false},
	{"tls: { client_auth: optional, client_ca: text.pem, certificates: { certificate: a.pem, key: a.key } }\n" SITE,
		"1:42: error: |holds no certificate of an authority", false},
	{"tls: { certificates: { certificate: a.pem, key: a.key, ocsp: text.pem } }\n" SITE,
		"1:62: error: |is no OCSP response", false},
	{"tls: { certificates: { certificate: a.pem, key: a.key, ocsp: none.ocsp } }\n" SITE,
		"1:62: warning: |none.ocsp is not there yet", true},
	/* what two sites inherit is told once */
	{"tls: { certificates: { certificate: old.pem, key: old.key } }\n"
	 "sites:\n"
	 "  - { host: a.test, listen: \"https://:8443\", tls: { min_version: \"1.3\" } }\n"
	 "  - { host: a.test, listen: \"https://:8444\", tls: { min_version: \"1.3\" } }\n",
		AT_CERTIFICATE "warning: |expired on", true},
};

/* The number of messages. */
static unsigned count_told(const char *told)
{
	unsigned count = 0;
	for (const char *at = told; (at = strstr(at, "weir.yaml:")); at++)
		count++;
	return count;
}

static void faults_are_told_where_they_are(void **state)
{
	struct buffer told = {0};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct tls_store *store = NULL;
		struct snapshot *snapshot = load(cases[i].text, &store, &told);
		const char *wanted = cases[i].told ? cases[i].told : "";
		const char *bar = strchr(wanted, '|');
		size_t length = bar ? (size_t)(bar - wanted) : strlen(wanted);
		bool as_told = !cases[i].told
				       ? told.ptr[0] == 0
				       : count_told(told.ptr) == 1 &&
						 strncmp(told.ptr, "weir.yaml:", 10) == 0 &&
						 strncmp(told.ptr + 10, wanted, length) == 0 &&
						 (!bar || strstr(told.ptr, bar + 1));
		if (!as_told || (snapshot != NULL) != cases[i].good ||
			(store != NULL) != cases[i].good)
			fail_msg("%s\nwanted: %s\ntold: %s", cases[i].text, wanted, told.ptr);
		tls_store_put(store);
		snapshot_free(snapshot);
	}
	buffer_free(&told);
}

/* --- What is to be obtained. --- */

static void assert_pair(const struct tls_pair *pair, const char *names, const char *certificate)
{
	char list[256] = "", path[600];
	assert_true(pair->acme);
	for (size_t i = 0; i < pair->name_count; i++) {
		strcat(list, i > 0 ? " " : "");
		strcat(list, pair->names[i].ptr);
	}
	assert_string_equal(list, names);
	snprintf(path, sizeof(path), "%s/acme/%s/cert.pem", folder, certificate);
	assert_string_equal(pair->certificate_path.ptr, path);
	snprintf(path, sizeof(path), "%s/acme/private/%s/key.pem", folder, certificate);
	assert_string_equal(pair->key_path.ptr, path);
}

static void hosts_that_nothing_covers_are_obtained(void **state)
{
	struct buffer told = {0};
	struct tls_store *store;
	(void)state;
	struct snapshot *snapshot = load(
		"tls: { acme: { path: acme }, certificates: { certificate: star.pem, key: star.key } }\n"
		"sites:\n"
		"  - { host: [x.a.test, a.test, www.b.test], listen: [\"https://:8443\", \"http://:8080\"] }\n"
		"  - { host: clear.test, listen: \"http://:8080\" }\n"
		"  - { host: [\"*.c.test\", c.test], listen: \"https://:8443\" }\n"
		"  - { host: own.test, listen: \"https://:8443\", tls: { acme: { names: [p.test, q.test] } } }\n"
		"  - { host: y.a.test, listen: \"https://:8443\" }\n",
		&store, &told);
	assert_non_null(snapshot);
	assert_int_equal(snapshot->tls_count, 2);
	assert_int_equal(snapshot->tls[0].pair_count, 3);
	assert_false(snapshot->tls[0].pairs[0].acme);
	assert_pair(&snapshot->tls[0].pairs[1], "a.test www.b.test", "a.test");
	assert_pair(&snapshot->tls[0].pairs[2], "c.test", "c.test");
	assert_pair(&snapshot->tls[1].pairs[1], "p.test q.test", "p.test");
	assert_non_null(strstr(told.ptr, "no certificate for \"*.c.test\" is obtained"));
	/* until they are there, something stands in */
	const struct tls_context *context =
		tls_store_find(store, &snapshot->listeners[0], SLICE("www.b.test"));
	assert_non_null(context);
	assert_true(tls_store_covers(store, snapshot->tls, SLICE("www.b.test")));
	tls_store_put(store);
	snapshot_free(snapshot);
	assert_null(load(
		"tls: { acme: on }\nsites: [ { listen: \"https://:8443\" } ]\n", &store, &told));
	assert_non_null(strstr(told.ptr, "there is no name for which acme could obtain"));
	buffer_free(&told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults_are_told_where_they_are),
		cmocka_unit_test(hosts_that_nothing_covers_are_obtained),
	};
	return cmocka_run_group_tests(tests, make_files, remove_files);
}
