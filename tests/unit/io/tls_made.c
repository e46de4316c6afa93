/* SPDX-License-Identifier: BSD-2-Clause */
/* Certificates that tests make for themselves. */
#include "tls_made.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

static void make_key(struct made *made, const struct made_wish *wish)
{
	gnutls_pk_algorithm_t algorithm = wish->algorithm ? wish->algorithm : GNUTLS_PK_ECDSA;
	unsigned bits = wish->bits ? wish->bits
			: algorithm == GNUTLS_PK_ECDSA
				? GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1)
			: algorithm == GNUTLS_PK_RSA ? 2048
						     : 256;
	check(gnutls_x509_privkey_init(&made->key) == 0);
	check(gnutls_x509_privkey_generate(made->key, algorithm, bits, 0) == 0);
	check(gnutls_x509_privkey_export2_pkcs8(made->key, GNUTLS_X509_FMT_PEM, NULL,
		      GNUTLS_PKCS_PLAIN, &made->key_pem) == 0);
}

void made_make(struct made *made, const struct made_wish *wish)
{
	static unsigned number;
	unsigned char serial[4] = {1, 0, (unsigned char)(number >> 8), (unsigned char)number};
	gnutls_x509_crt_t c;
	time_t now = time(NULL);
	number++;
	make_key(made, wish);
	check(gnutls_x509_crt_init(&c) == 0);
	check(gnutls_x509_crt_set_version(c, 3) == 0);
	check(gnutls_x509_crt_set_serial(c, serial, sizeof(serial)) == 0);
	check(gnutls_x509_crt_set_activation_time(c, wish->begins ? wish->begins : now - 3600) ==
		0);
	check(gnutls_x509_crt_set_expiration_time(c, wish->ends ? wish->ends : now + 86400) == 0);
	check(gnutls_x509_crt_set_key(c, made->key) == 0);
	check(gnutls_x509_crt_set_basic_constraints(c, wish->authority, -1) == 0);
	check(gnutls_x509_crt_set_key_usage(
		      c, wish->authority ? GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN
					 : GNUTLS_KEY_DIGITAL_SIGNATURE) == 0);
	const char *common = wish->common_name ? wish->common_name : wish->names[0];
	if (common)
		check(gnutls_x509_crt_set_dn_by_oid(c, GNUTLS_OID_X520_COMMON_NAME, 0, common,
			      (unsigned)strlen(common)) == 0);
	for (size_t i = 0; i < COUNT_OF(wish->names) && wish->names[i]; i++)
		check(gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_DNSNAME, wish->names[i],
			      (unsigned)strlen(wish->names[i]), GNUTLS_FSAN_APPEND) == 0);
	gnutls_x509_privkey_t signs = wish->issuer ? wish->issuer->key : made->key;
	gnutls_digest_algorithm_t digest =
		gnutls_x509_privkey_get_pk_algorithm(signs) == GNUTLS_PK_EDDSA_ED25519
			? GNUTLS_DIG_SHA512
			: GNUTLS_DIG_SHA256;
	check(gnutls_x509_crt_sign2(
		      c, wish->issuer ? wish->issuer->certificate : c, signs, digest, 0) == 0);
	check(gnutls_x509_crt_export2(c, GNUTLS_X509_FMT_PEM, &made->pem) == 0);
	made->certificate = c;
}

void made_free(struct made *made)
{
	gnutls_x509_crt_deinit(made->certificate);
	gnutls_x509_privkey_deinit(made->key);
	gnutls_free(made->pem.data);
	gnutls_free(made->key_pem.data);
}

void made_folder(char path[256])
{
	const char *temp = getenv("TMPDIR");
	snprintf(path, 256, "%s/weir-tls-XXXXXX", temp && temp[0] == '/' ? temp : "/tmp");
	check(mkdtemp(path));
}

void made_remove(const char *path)
{
	char file[600];
	DIR *folder = opendir(path);
	for (struct dirent *entry; folder && (entry = readdir(folder));) {
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		if (entry->d_name[0] != '.')
			unlink(file);
	}
	if (folder)
		closedir(folder);
	rmdir(path);
}

void made_write(const char *folder, const char *name, ...)
{
	char path[600];
	va_list texts;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	check(fd >= 0);
	va_start(texts, name);
	for (const char *text; (text = va_arg(texts, const char *));)
		check(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	va_end(texts);
	close(fd);
}

void made_save(const char *folder, const char *name, const struct made *made)
{
	char file[64];
	snprintf(file, sizeof(file), "%s.pem", name);
	made_write(folder, file, (const char *)made->pem.data, NULL);
	snprintf(file, sizeof(file), "%s.key", name);
	made_write(folder, file, (const char *)made->key_pem.data, NULL);
}

struct snapshot *made_load(const char *folder, const char *text)
{
	struct option_sets sets = {NULL, NULL, NULL};
	struct buffer diagnostics = {0};
	struct snapshot *snapshot =
		snapshot_load_text(slice_of(text), "weir.yaml", folder, &sets, false, &diagnostics);
	if (!snapshot)
		fprintf(stderr, "%.*s", (int)diagnostics.len, diagnostics.ptr);
	buffer_free(&diagnostics);
	check(snapshot);
	return snapshot;
}
