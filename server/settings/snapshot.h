/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration as the program uses it: read once, never changed, shared by all threads. */
#ifndef WEIR_SETTINGS_SNAPSHOT_H
#define WEIR_SETTINGS_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "settings/option.h"
#include "settings/value.h"

struct tls_settings;

enum scheme { SCHEME_HTTP, SCHEME_HTTPS };
enum access_format { ACCESS_COMMON, ACCESS_COMBINED, ACCESS_JSON };
enum sandbox_mode { SANDBOX_OFF, SANDBOX_ON, SANDBOX_REQUIRE };

/* `clients: { trusted_proxies: … }`: whose word about clients is believed. */
struct trusted_proxies {
	struct network *networks;
	size_t count;
	bool local; /* whoever comes by a Unix socket */
};

/* Core keys of the file. Durations in milliseconds, sizes in bytes. */
struct core_settings {
	int64_t threads; /* 0: auto */
	struct slice user;
	struct slice pid_file; /* { NULL, 0 }: none */
	int64_t drain;
	int64_t linger;
	int sandbox; /* enum sandbox_mode */
	struct slice temp_dir;
	struct {
		struct slice path; /* a path, or "stderr" */
		int level;         /* enum log_level */
	} error_log;
	struct {
		bool on;
		struct slice path; /* a path, or "stdout" */
		int format;        /* enum access_format */
	} access_log;
	struct {
		int64_t connections;
		int64_t header_size;
		int64_t body_size;
		int64_t header_timeout, body_timeout, idle_timeout, send_timeout;
		int64_t min_rate;
	} limits;
	struct trusted_proxies trusted;
};

/* One header rule list of a site or route: `headers: { set: …, remove: … }`. */
struct header_rules {
	struct {
		struct slice name, value;
	} * set;
	size_t set_count;
	struct slice *remove;
	size_t remove_count;
};

/* One line of `errors`: statuses low to high are answered with the page at `path`. */
struct error_page {
	unsigned low, high;
	struct slice path;
};

/* Core keys of sites and routes; inherited like all others. A route's headers and errors add to those of its site: a field
 * stands in one of the two lists of `headers`, what the route says of it counts; of `errors` the first line that fits counts. */
struct scope_core {
	struct header_rules headers;
	struct error_page *errors;
	size_t error_count;
	bool intercept;    /* also in place of a backend's own */
	struct slice hsts; /* Strict-Transport-Security of answers over TLS; empty: none */
};

/* What a request is judged by: the settings of a site, or of one of its routes, for everybody who declared keys there. */
struct scope {
	const struct site *site;
	const struct scope_core *core;
	const void **settings; /* by the set's index among those given to snapshot_load */
	const struct handler *const
		*chain; /* made by http/route's route_prepare after loading; the last is NULL */
	unsigned id;    /* different for each scope of the snapshot, from 0 */
	const struct node *node; /* where it is written; valid until snapshot_load returns */
};

enum route_kind { ROUTE_PREFIX, ROUTE_EXACT, ROUTE_EXTENSION };

struct route {
	enum route_kind kind;
	struct slice pattern; /* "/x/", "/x", or ".php" */
	struct scope scope;
};

struct site {
	unsigned
		row; /* of its counters (base/ledger.h): set once, by the worker, before its threads start */
	struct slice name;   /* the first host, or "default": for logs */
	struct slice *hosts; /* lower case; none: the default of its addresses */
	size_t host_count;
	struct scope scope;
	const struct tls_settings *tls; /* settings/tls.h: its own, or the file's; never NULL */
	struct route *
		routes; /* longest pattern first within a kind: exact, then prefix, then extension */
	size_t route_count;
	const struct route_index
		*index; /* of the routes (http/route_index.h), where they are many */
};

/* One address to listen on, with the sites that named it. */
struct listener_settings {
	struct address address;
	bool wildcard; /* ":80": IPv6 and IPv4 on one socket, or IPv4 alone where there is no IPv6 */
	bool optional; /* localhost's IPv6 address: a system without IPv6 does without it */
	enum scheme scheme;
	struct slice
		text; /* as written, without the scheme: "127.0.0.1:80"; for localhost the one of its addresses */
	const struct site **sites;
	size_t site_count;
	const struct site *fallback; /* the site without host, or NULL */
	const struct host_index
		*index; /* of the sites' hosts (http/route_index.h), where they are many */
};

struct snapshot {
	struct arena arena;
	struct slice file; /* absolute path of the main file */
	struct slice text; /* every byte that was read as configuration: see snapshot_load */
	struct core_settings core;
	const struct option_set *const *sets; /* those given to snapshot_load, ended by NULL */
	const void **
		top; /* settings of the OPTION_TOP sets, by index among those given to snapshot_load */
	struct site *sites;
	size_t site_count;
	struct listener_settings *listeners;
	size_t listener_count;
	const struct tls_settings *tls; /* the file's, and each site's own behind it */
	size_t tls_count;
	unsigned scope_count;
	time_t loaded; /* when */
};

/* Everybody's rows, in one array ended by NULL; made by main from the handler table. */
struct option_sets {
	const struct option_set *const *sets;
	/* Called once when all is read, also where errors were found, before nodes become invalid: looks through what belongs
	 * together (names of upstreams, chains). 0, or -1 after load_error. May be NULL. */
	int (*finish)(struct load *load, struct snapshot *snapshot, void *context);
	void *context;
};

/* Reads a configuration. `source`: the main file's path; `kept`: { NULL, 0 }, or the bytes that an earlier snapshot had in
 * `text`, which are then read instead of any file (a worker after a crash). Diagnostics are appended to `diagnostics`.
 * With `kept` no file is touched; file, name and folder are then those of the earlier load, and `source` is not used.
 * `unprivileged`: presets for another than root (no pid file, logs to stderr and stdout, $TMPDIR).
 * Returns the snapshot, or NULL when there was an error. */
struct snapshot *snapshot_load(const char *source, struct slice kept,
	const struct option_sets *sets, bool unprivileged, struct buffer *diagnostics);
/* Likewise from a text instead of a file (weir serve); `name` stands in diagnostics, `folder` is what relative paths count from. */
struct snapshot *snapshot_load_text(struct slice text, const char *name, const char *folder,
	const struct option_sets *sets, bool unprivileged, struct buffer *diagnostics);
void snapshot_free(struct snapshot *snapshot);

/* Is the site one of this address? */
bool listener_has_site(const struct listener_settings *listener, const struct site *site);
/* Has the site an address with https? */
bool site_has_https(const struct snapshot *snapshot, const struct site *site);

/* The settings struct of a set in a scope, and of a set in the file. */
const void *scope_settings(
	const struct snapshot *snapshot, const struct scope *scope, const struct option_set *set);
const void *top_settings(const struct snapshot *snapshot, const struct option_set *set);

#endif
