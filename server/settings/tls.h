/* SPDX-License-Identifier: BSD-2-Clause */
/* What is configured of TLS: `tls:` of the file, and of a site. A site that says nothing has the file's very object, so that
 * rules are told apart by their address. Nothing here knows GnuTLS. */
#ifndef WEIR_SETTINGS_TLS_H
#define WEIR_SETTINGS_TLS_H

#include "settings/option.h"

struct load;
struct snapshot;

enum tls_version { TLS_1_2, TLS_1_3 };
enum client_auth { CLIENT_AUTH_OFF, CLIENT_AUTH_OPTIONAL, CLIENT_AUTH_REQUIRED };

/* One certificate and its key, as written. Bytes are those that were read with the configuration (load_file): a worker after a crash has
 * them again. The key's bytes are never here: whoever holds keys (io/tls_keys.h) reads them. */
struct tls_pair {
	struct slice certificate_path, key_path; /* absolute, a NUL behind */
	struct slice ocsp_path;                  /* { NULL, 0 }: none */
	struct slice certificate; /* PEM, the leaf first; empty: not there yet (acme) */
	struct slice ocsp;        /* DER */
	bool acme; /* obtained by weir: it may be missing, a self-signed one stands in meanwhile */
	struct slice *names; /* acme: the hosts that it is for */
	size_t name_count;
	const struct node *node; /* where it is written; valid until snapshot_load returns */
};

/* `acme:` of the file or of a site. */
struct acme_settings {
	bool on;
	struct slice email;     /* { NULL, 0 }: none given */
	struct slice directory; /* URL */
	struct slice path;      /* of the state, absolute */
	struct option_list
		names; /* the word auto: the hosts of https sites that no certificate covers */
	struct slice
		ca; /* a file of authorities to trust when talking to the directory; { NULL, 0 }: the system's */
};

struct tls_settings {
	struct tls_pair *pairs;
	size_t pair_count;
	int min_version; /* enum tls_version */
	int client_auth; /* enum client_auth */
	struct slice client_ca_path;
	struct slice client_ca;  /* PEM, as read */
	struct slice priorities; /* of GnuTLS, in place of ours; { NULL, 0 }: ours */
	struct acme_settings acme;
	unsigned
		refused; /* versions that `min_version` and `priorities` leave out: 1 << enum tls_version; known once certificates were loaded */
	unsigned index;  /* among snapshot->tls */
	const struct node *
		node; /* the mapping, NULL where there is none; valid until snapshot_load returns */
};

extern const struct option tls_rows[]; /* struct tls_settings */

/* Do they take nothing older than TLS 1.3, by `min_version` or by `priorities`? */
static inline bool tls_newest_only(const struct tls_settings *tls)
{
	return tls->min_version == TLS_1_3 || slice_equal(tls->priorities, SLICE("modern"));
}

/* Reads the files that the mapping names, and looks whether its keys fit each other. `inherited`: what it does not name has another mapping. 0 or -1. */
int tls_settle(struct load *load, const struct node *mapping, struct tls_settings *tls);
/* Presets that depend on how weir was built and who starts it, over those of the rows. */
void tls_preset(struct load *load, struct tls_settings *tls);
/* Nodes end with the load. */
void tls_forget_nodes(struct snapshot *snapshot);
/* Where a key of the rules is written; the mapping where it does not stand there; the site's or file's `fallback` where there is none. */
const struct node *tls_node(
	const struct tls_settings *tls, const char *key, const struct node *fallback);

/* Does the certificate (PEM) cover the host? */
typedef bool tls_covers_fn(struct slice certificate, struct slice host);
/* Once all is read, before nodes become invalid: adds the pairs that weir is to obtain by itself (acme). 0, or -1 after load_error. */
int tls_obtain(struct load *load, struct snapshot *snapshot, tls_covers_fn *covers);
#define TLS_NAMES_MAX 100 /* of a certificate that is obtained: what Let's Encrypt takes */
/* Is it a name that an authority certifies? Letters, digits, hyphens, a dot within: also the name of a folder. */
bool tls_obtainable(struct slice name);

#endif
