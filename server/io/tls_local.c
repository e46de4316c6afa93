/* SPDX-License-Identifier: BSD-2-Clause */
/* A local authority and its one certificate. Whoever gets hold of the authority's key could pretend to be any server that it may name to those who
 * trust it: so it may name this machine and addresses that the Internet does not lead to, and nothing else. */
#include "io/tls_local.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/whole.h"
#include "io/tls.h"
#include "io/tls_cert.h"
#include "io/tls_keys.h"
#include "io/tls_self.h"
#include "settings/value.h"

#ifndef WEIR_LOCALSTATEDIR
#define WEIR_LOCALSTATEDIR "/var"
#endif

enum {
	A_DAY = 24 * 3600,
	AUTHORITY_DAYS = 3650,
	LEAF_DAYS = 365,
	SOON_DAYS = 60, /* what is left of less is made anew */
	NAMES_MAX = 64,
};

/* One preparing. */
struct making {
	struct arena *arena;
	struct slice folder;
	struct buffer *fault;
	struct slice names[NAMES_MAX];
	size_t count;
	char host[256];
};

struct slice tls_local_folder(struct arena *arena, bool unprivileged)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	if (unprivileged && data && data[0] == '/')
		return arena_format(arena, "%s/weir/local", data);
	if (unprivileged && home && home[0] == '/')
		return arena_format(arena, "%s/.local/share/weir/local", home);
	/* never below /tmp, where anybody may have put an authority of their own */
	return SLICE(WEIR_LOCALSTATEDIR "/lib/weir/local");
}

static int fail(struct making *m, const char *what, const char *why)
{
	buffer_format(m->fault, "%s: %s", what, why);
	return -1;
}

/* --- Files. --- */

static struct slice path_of(struct making *m, const char *name)
{
	return arena_format(m->arena, "%s/%s", m->folder.ptr, name);
}

static int make_folder(struct making *m)
{
	char *path = must_strdup(m->folder.ptr);
	int result = 0;
	for (char *at = path + 1; result == 0; at++) {
		at += strcspn(at, "/");
		bool last = *at == 0;
		*at = 0;
		if (mkdir(path, last ? 0700 : 0755) && errno != EEXIST)
			result = fail(m, path, strerror(errno));
		if (last)
			break;
		*at = '/';
	}
	free(path);
	return result;
}

static int write_file(struct making *m, struct slice path, struct slice bytes, mode_t mode)
{
	struct slice new = arena_format(m->arena, "%s.new", path.ptr);
	int error = whole_replace(AT_FDCWD, path.ptr, new.ptr, bytes, mode);
	return error ? fail(m, path.ptr, strerror(error)) : 0;
}

static int write_key(struct making *m, struct slice path, gnutls_x509_privkey_t key)
{
	gnutls_datum_t pem;
	if (gnutls_x509_privkey_export2_pkcs8(
		    key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &pem))
		return fail(m, path.ptr, "the key cannot be written");
	int result = write_file(m, path, (struct slice){(const char *)pem.data, pem.size}, 0600);
	gnutls_memset(pem.data, 0, pem.size);
	gnutls_free(pem.data);
	return result;
}

static int write_certificates(
	struct making *m, struct slice path, gnutls_x509_crt_t first, gnutls_x509_crt_t second)
{
	struct buffer text = {0};
	gnutls_x509_crt_t list[] = {first, second};
	int result = 0;
	for (size_t i = 0; i < COUNT_OF(list) && list[i] && result == 0; i++) {
		gnutls_datum_t pem;
		if (gnutls_x509_crt_export2(list[i], GNUTLS_X509_FMT_PEM, &pem)) {
			result = fail(m, path.ptr, "the certificate cannot be written");
			break;
		}
		buffer_append(&text, pem.data, pem.size);
		gnutls_free(pem.data);
	}
	if (result == 0)
		result = write_file(m, path, (struct slice){text.ptr, text.len}, 0644);
	buffer_free(&text);
	return result;
}

static gnutls_x509_crt_t read_certificate(struct slice path)
{
	struct buffer text = {0};
	gnutls_x509_crt_t certificate = NULL;
	if (tls_file_read(path.ptr, &text) == 0 && gnutls_x509_crt_init(&certificate) == 0) {
		gnutls_datum_t pem = {(unsigned char *)text.ptr, (unsigned)text.len};
		if (gnutls_x509_crt_import(certificate, &pem, GNUTLS_X509_FMT_PEM)) {
			gnutls_x509_crt_deinit(certificate);
			certificate = NULL;
		}
	}
	buffer_free(&text);
	return certificate;
}

static gnutls_x509_privkey_t read_key(struct slice path)
{
	struct buffer text = {0};
	gnutls_x509_privkey_t key = NULL;
	if (tls_file_read(path.ptr, &text) == 0 && gnutls_x509_privkey_init(&key) == 0) {
		gnutls_datum_t pem = {(unsigned char *)text.ptr, (unsigned)text.len};
		if (gnutls_x509_privkey_import(key, &pem, GNUTLS_X509_FMT_PEM)) {
			gnutls_x509_privkey_deinit(key);
			key = NULL;
		}
	}
	if (text.ptr)
		explicit_bzero(text.ptr, text.capacity);
	buffer_free(&text);
	return key;
}

/* --- Certificates. --- */

struct pair {
	gnutls_x509_crt_t certificate;
	gnutls_x509_privkey_t key;
};

static void pair_free(struct pair *pair)
{
	if (pair->certificate)
		gnutls_x509_crt_deinit(pair->certificate);
	if (pair->key)
		gnutls_x509_privkey_deinit(pair->key);
	*pair = (struct pair){NULL, NULL};
}

static bool lasts(gnutls_x509_crt_t certificate)
{
	return gnutls_x509_crt_get_expiration_time(certificate) >
	       time(NULL) + (time_t)SOON_DAYS * A_DAY;
}

static bool belongs(const struct pair *pair)
{
	unsigned char a[64], b[64];
	size_t a_size = sizeof(a), b_size = sizeof(b);
	return pair->certificate && pair->key &&
	       gnutls_x509_crt_get_key_id(pair->certificate, 0, a, &a_size) == 0 &&
	       gnutls_x509_privkey_get_key_id(pair->key, 0, b, &b_size) == 0 && a_size == b_size &&
	       memcmp(a, b, a_size) == 0;
}

/* A new key, and a certificate for it by `issuer`, or by itself. */
static int make_pair(
	struct making *m, struct tls_self *self, const struct pair *issuer, struct pair *pair)
{
	gnutls_privkey_t key = NULL, issuer_key = NULL;
	gnutls_pubkey_t public = NULL;
	int result = gnutls_x509_privkey_init(&pair->key);
	if (result == 0)
		result = gnutls_x509_privkey_generate(pair->key, GNUTLS_PK_ECDSA,
			GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	if (result == 0)
		result = gnutls_privkey_init(&key);
	if (result == 0)
		result = gnutls_privkey_import_x509(key, pair->key, 0);
	if (result == 0)
		result = gnutls_pubkey_init(&public);
	if (result == 0)
		result = gnutls_pubkey_import_privkey(public, key, 0, 0);
	if (result == 0 && issuer)
		result = gnutls_privkey_init(&issuer_key);
	if (result == 0 && issuer)
		result = gnutls_privkey_import_x509(issuer_key, issuer->key, 0);
	if (result == 0) {
		self->issuer = issuer ? issuer->certificate : NULL;
		self->issuer_key = issuer_key;
		result = tls_self_make(self, key, public, &pair->certificate);
	}
	if (issuer_key)
		gnutls_privkey_deinit(issuer_key);
	if (public)
		gnutls_pubkey_deinit(public);
	if (key)
		gnutls_privkey_deinit(key);
	return result ? fail(m, "cannot make a certificate", gnutls_strerror(result)) : 0;
}

static int prepare_authority(struct making *m, struct tls_local *local, struct pair *pair)
{
	struct slice key = path_of(m, "authority.key");
	static const char *const networks[] = {"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12",
		"192.168.0.0/16", "169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10"};
	struct slice names[COUNT_OF(networks) + 3];
	size_t count = 0;
	local->authority = path_of(m, "authority.pem");
	pair->certificate = read_certificate(local->authority);
	pair->key = read_key(key);
	if (belongs(pair) && lasts(pair->certificate))
		return 0;
	pair_free(pair);
	local->made = true;
	names[count++] = SLICE("localhost");
	if (m->host[0]) {
		names[count++] = slice_of(m->host);
		names[count++] = arena_format(m->arena, "%s.local", m->host);
	}
	for (size_t i = 0; i < COUNT_OF(networks); i++)
		names[count++] = slice_of(networks[i]);
	struct tls_self self = {.names = names,
		.name_count = count,
		.common_name = arena_format(
			m->arena, "weir on %.40s", m->host[0] ? m->host : "this machine")
				       .ptr,
		.days = AUTHORITY_DAYS,
		.authority = true};
	if (make_pair(m, &self, NULL, pair) || write_key(m, key, pair->key))
		return -1;
	return write_certificates(m, local->authority, pair->certificate, NULL);
}

static bool is_for_all(const struct making *m, gnutls_x509_crt_t certificate)
{
	for (size_t i = 0; i < m->count; i++)
		if (!gnutls_x509_crt_check_hostname(certificate, m->names[i].ptr))
			return false;
	return true;
}

static int prepare_leaf(struct making *m, struct tls_local *local, const struct pair *authority)
{
	struct pair pair = {NULL, NULL};
	int result = 0;
	local->certificate = path_of(m, "localhost.pem");
	local->key = path_of(m, "localhost.key");
	pair.certificate = read_certificate(local->certificate);
	pair.key = read_key(local->key);
	bool good = belongs(&pair) && lasts(pair.certificate) && is_for_all(m, pair.certificate) &&
		    gnutls_x509_crt_check_issuer(pair.certificate, authority->certificate) &&
		    !local->made;
	if (!good) {
		struct tls_self self = {
			.names = m->names, .name_count = m->count, .days = LEAF_DAYS};
		pair_free(&pair);
		result = make_pair(m, &self, authority, &pair);
		if (result == 0)
			result = write_key(m, local->key, pair.key);
		if (result == 0)
			result = write_certificates(
				m, local->certificate, pair.certificate, authority->certificate);
	}
	pair_free(&pair);
	return result;
}

static void add_name(struct making *m, struct slice name)
{
	for (size_t i = 0; i < m->count; i++)
		if (slice_equal(m->names[i], name))
			return;
	if (m->count < NAMES_MAX && name.len > 0)
		m->names[m->count++] = name;
}

/* The machine's own name, if it is one that a certificate may have. */
static void find_host(struct making *m)
{
	char lower[256];
	const char *expected;
	if (gethostname(m->host, sizeof(m->host) - 1) ||
		value_host(slice_of(m->host), lower, &expected) || lower[0] == '*')
		m->host[0] = 0;
	else
		memcpy(m->host, lower, sizeof(lower));
}

int tls_local_prepare(struct slice folder, const struct slice *names, size_t count,
	struct arena *arena, struct tls_local *local, struct buffer *fault)
{
	struct making m = {.arena = arena, .folder = folder, .fault = fault};
	struct pair authority = {NULL, NULL};
	*local = (struct tls_local){.made = false};
	find_host(&m);
	add_name(&m, SLICE("localhost"));
	add_name(&m, SLICE("127.0.0.1"));
	add_name(&m, SLICE("::1"));
	add_name(&m, slice_of(m.host));
	for (size_t i = 0; i < count; i++)
		add_name(&m, names[i]);
	if (tls_begin() || make_folder(&m))
		return -1;
	/* two that start at once must not mix their files */
	int lock = open(folder.ptr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock < 0 || flock(lock, LOCK_EX)) {
		if (lock >= 0)
			close(lock);
		return fail(&m, folder.ptr, strerror(errno));
	}
	int result =
		prepare_authority(&m, local, &authority) || prepare_leaf(&m, local, &authority);
	pair_free(&authority);
	close(lock);
	return result ? -1 : 0;
}
