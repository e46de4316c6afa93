/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys that belong to no handler: processes, logs, limits, sites. */
#include "settings/core.h"

#include <stdlib.h>

#define AT(member) offsetof(struct core_settings, member)

static const char *const sandbox_words[] = {"off", "on", "require", NULL};
static const char *const level_words[] = {"error", "warn", "info", "debug", NULL};
static const char *const format_words[] = {"common", "combined", "json", NULL};

static const char PATH_SCHEMA[] = "{\"type\":\"string\",\"minLength\":1}";

static const struct option error_log_rows[] = {
	{.name = "path",
		.type = OPTION_CUSTOM,
		.offset = AT(error_log.path),
		.preset = "stderr",
		.parse = core_log_path,
		.schema = PATH_SCHEMA,
		.example = "/var/log/weir/error.log",
		.prose = "A file, or stderr or stdout."},
	{.name = "level",
		.type = OPTION_ENUM,
		.offset = AT(error_log.level),
		.preset = "info",
		.words = level_words,
		.example = "warn",
		.prose = "The least that is written."},
	{0},
};

static const struct option access_log_rows[] = {
	{.name = "path",
		.type = OPTION_CUSTOM,
		.offset = AT(access_log.path),
		.preset = "/var/log/weir/access.log",
		.parse = core_log_path,
		.schema = PATH_SCHEMA,
		.example = "/var/log/weir/access.log",
		.prose = "A file, or stdout or stderr. Started by another than root: stdout."},
	{.name = "format",
		.type = OPTION_ENUM,
		.offset = AT(access_log.format),
		.preset = "combined",
		.words = format_words,
		.example = "json",
		.prose = "The form of a line: common and combined as other servers write them, or "
			 "one JSON object a line."},
	{0},
};

static const struct option log_rows[] = {
	{.name = "error",
		.type = OPTION_GROUP,
		.rows = error_log_rows,
		.example = "{ path: stderr, level: info }",
		.prose = "What weir has to say about itself, its backends and its peers."},
	{.name = "access",
		.type = OPTION_GROUP,
		.flags = OPTION_ON | OPTION_OFF,
		.switch_offset = AT(access_log.on),
		.preset = "on",
		.rows = access_log_rows,
		.example = "{ path: /var/log/weir/access.log, format: combined }",
		.prose = "One line a request."},
	{0},
};

static const struct option timeout_rows[] = {
	{.name = "header",
		.type = OPTION_DURATION,
		.offset = AT(limits.header_timeout),
		.min = 1,
		.preset = "10s",
		.example = "10s",
		.prose = "How long a client may take to send a request's head, all of it."},
	{.name = "body",
		.type = OPTION_DURATION,
		.offset = AT(limits.body_timeout),
		.min = 1,
		.preset = "30s",
		.example = "30s",
		.prose = "How long a client may pause between two octets of a request's body."},
	{.name = "idle",
		.type = OPTION_DURATION,
		.offset = AT(limits.idle_timeout),
		.min = 1,
		.preset = "75s",
		.example = "75s",
		.prose = "How long a connection is kept that waits for its next request."},
	{.name = "send",
		.type = OPTION_DURATION,
		.offset = AT(limits.send_timeout),
		.min = 1,
		.preset = "30s",
		.example = "30s",
		.prose = "How long a client may pause between two octets that it takes."},
	{0},
};

static const struct option limit_rows[] = {
	{.name = "connections",
		.type = OPTION_INTEGER,
		.offset = AT(limits.connections),
		.min = 1,
		.max = 10000000,
		.preset = "60000",
		.example = "60000",
		.prose = "Client connections open at one time."},
	{.name = "header_size",
		.type = OPTION_SIZE,
		.offset = AT(limits.header_size),
		.min = 1024,
		.max = 1 << 20,
		.preset = "32k",
		.example = "32k",
		.prose = "The most octets that a request's head may have; beyond it 431 is "
			 "answered."},
	{.name = "body_size",
		.type = OPTION_SIZE,
		.offset = AT(limits.body_size),
		.preset = "1G",
		.example = "1G",
		.prose =
			"The most octets that a request's body may have; beyond it 413 is answered. "
			"0: as many as it likes."},
	{.name = "timeouts",
		.type = OPTION_GROUP,
		.rows = timeout_rows,
		.example = "{ header: 10s, idle: 75s }",
		.prose = "How long a client is waited for."},
	{.name = "min_rate",
		.type = OPTION_SIZE,
		.offset = AT(limits.min_rate),
		.preset = "240",
		.example = "240",
		.prose = "Octets a second, over ten seconds, below which a client is dropped; "
			 "counted only while weir waits for it. 0: as slow as it likes."},
	{0},
};

static const struct option client_rows[] = {
	{.name = "trusted_proxies",
		.type = OPTION_CUSTOM,
		.offset = AT(trusted),
		.parse = core_trusted,
		.schema = "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"items\":{"
			  "\"type\":\"string\"}}]}",
		.example = "[\"10.0.0.0/8\", \"2001:db8::/32\", unix]",
		.prose =
			"Addresses and networks of proxies in front of weir that are believed; "
			"unix: whoever comes by a Unix socket. Of what they say in "
			"X-Forwarded-For, or in Forwarded where there is no such field, the "
			"rightmost address that is not trusted itself is the client's: for "
			"logs and backends. A list that is malformed is believed as far "
			"as it can be read from the right. X-Forwarded-Proto and "
			"X-Forwarded-Host (their last members), or what Forwarded says there, are passed on likewise. "
			"A trusted proxy must itself write or remove X-Forwarded-For, or clients "
			"could say what they like. What others say is removed."},
	{0},
};

const struct option core_top_rows[] = {
	{.name = "threads",
		.type = OPTION_INTEGER,
		.flags = OPTION_AUTO,
		.offset = AT(threads),
		.min = 1,
		.max = 256, /* THREADS_MAX (process/tally.h) */
		.preset = "auto",
		.example = "auto",
		.prose = "Event loops. auto: as many as the CPUs that this process may use: "
			 "those it is bound to, and no more than the quota of its control group "
			 "(a container's) lets run at a time."},
	{.name = "user",
		.type = OPTION_STRING,
		.offset = AT(user),
		.preset = "weir",
		.example = "weir",
		.prose = "The account that the worker takes when weir is started by root. Where "
			 "there is no such account, nobody is taken, with a warning."},
	{.name = "pid_file",
		.type = OPTION_PATH,
		.flags = OPTION_OFF,
		.offset = AT(pid_file),
		.preset = "/run/weir.pid",
		.example = "/run/weir.pid",
		.prose = "Where the supervisor's process number is written. Started by another "
			 "than root: nowhere."},
	{.name = "drain",
		.type = OPTION_DURATION,
		.offset = AT(drain),
		.preset = "30s",
		.example = "30s",
		.prose = "How long a stop waits for exchanges under way."},
	{.name = "linger",
		.type = OPTION_DURATION,
		.offset = AT(linger),
		.preset = "1h",
		.example = "1h",
		.prose = "How long the old worker may go on with what is under way after a "
			 "reload."},
	{.name = "sandbox",
		.type = OPTION_ENUM,
		.offset = AT(sandbox),
		.preset = "on",
		.words = sandbox_words,
		.example = "on",
		.prose = "Whether the worker locks itself in with Landlock and seccomp. require: "
			 "refuse to start where the kernel lacks a part. off: for debugging."},
	{.name = "temp_dir",
		.type = OPTION_PATH,
		.offset = AT(temp_dir),
		.preset = "/var/lib/weir/tmp",
		.example = "/var/lib/weir/tmp",
		.prose = "Where large bodies spill. Started by another than root: $TMPDIR, or "
			 "/tmp."},
	{.name = "log",
		.type = OPTION_GROUP,
		.rows = log_rows,
		.example = "{ error: { level: warn }, access: off }",
		.prose = "The two logs."},
	{.name = "limits",
		.type = OPTION_GROUP,
		.rows = limit_rows,
		.example = "{ connections: 60000, body_size: 1G }",
		.prose = "What clients may take."},
	{.name = "clients",
		.type = OPTION_GROUP,
		.rows = client_rows,
		.example = "{ trusted_proxies: [\"10.0.0.0/8\"] }",
		.prose = "Who clients are."},
	{0},
};

const struct option core_file_rows[] = {
	{.name = "tls",
		.type = OPTION_GROUP,
		.offset = offsetof(struct file_written, tls),
		.rows = tls_rows,
		.example = "{ certificates: [{ certificate: example.pem, key: example.key }] }",
		.prose = "How addresses that begin with https:// speak TLS, and with which "
			 "certificates; for all sites that do not say otherwise."},
	{.name = "include",
		.type = OPTION_CUSTOM,
		.parse = core_keep_node,
		.offset = offsetof(struct file_written, include),
		.schema = "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"items\":{"
			  "\"type\":\"string\"}}]}",
		.example = "[sites/*.yaml]",
		.prose = "Further files, each with a list of sites. * and ? stand for parts of "
			 "names; the files are read in the order of their names. An item of such "
			 "a list may be an include of its own."},
	{.name = "sites",
		.type = OPTION_CUSTOM,
		.parse = core_keep_node,
		.offset = offsetof(struct file_written, sites),
		.schema = "{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/site\"}}",
		.example = "[{ listen: \"http://:8080\", root: www }]",
		.prose = "What is served."},
	{0},
};

const struct option core_site_rows[] = {
	{.name = "host",
		.type = OPTION_CUSTOM,
		.parse = core_keep_node,
		.offset = offsetof(struct site_written, host),
		.schema = "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"items\":{"
			  "\"type\":\"string\"}}]}",
		.example = "[example.com, \"*.example.com\"]",
		.prose = "The names under which the site is known; a star stands for any labels "
			 "in front. A site without it is the default of its addresses."},
	{.name = "listen",
		.type = OPTION_CUSTOM,
		.parse = core_keep_node,
		.offset = offsetof(struct site_written, listen),
		.flags = OPTION_REQUIRED,
		.schema = "{\"anyOf\":[{\"$ref\":\"#/$defs/listen\"},{\"type\":\"array\","
			  "\"minItems\":1,\"items\":{\"$ref\":\"#/$defs/listen\"}}]}",
		.example = "[\"http://:80\"]",
		.prose = "The addresses at which the site is served: \"http://:80\" (all "
			 "addresses of the machine), \"http://127.0.0.1:80\", \"http://[::1]:80\", "
			 "\"http://localhost:8080\" (both loopback addresses), "
			 "\"http://unix:/run/weir.sock\"; with https:// in front they speak TLS. "
			 "Without a port it is 80, or 443. Sites may share them."},
	{.name = "tls",
		.type = OPTION_GROUP,
		.offset = offsetof(struct site_written, tls),
		.rows = tls_rows,
		.example = "{ certificates: { certificate: example.pem, key: example.key } }",
		.prose = "As the key of the file, for this site alone: what it does not name is as "
			 "the file says."},
	{.name = "routes",
		.type = OPTION_CUSTOM,
		.parse = core_keep_node,
		.offset = offsetof(struct site_written, routes),
		.schema = "{\"type\":\"object\",\"propertyNames\":{\"pattern\":"
			  "\"^(/.*|\\\\*\\\\.[^/]+)$\"},\"additionalProperties\":{\"$ref\":"
			  "\"#/$defs/route\"}}",
		.example = "{ /api/: { root: off, proxy: api } }",
		.prose = "Parts of the site that differ: \"/x/\" is all below that path, \"/x\" "
			 "that path alone, \"*.php\" an extension. An exact path wins, then the "
			 "longest prefix, then an extension. A route inherits the keys of its "
			 "site and may change them."},
	{0},
};

const struct option core_listen_rows[] = {
	{.name = "address",
		.type = OPTION_CUSTOM,
		.parse = core_keep_node,
		.offset = 0,
		.flags = OPTION_REQUIRED,
		.schema = "{\"type\":\"string\"}",
		.example = "\"http://:80\"",
		.prose = "An address as in the short form."},
	{0},
};

const struct option core_scope_rows[] = {
	{.name = "headers",
		.type = OPTION_CUSTOM,
		.parse = core_headers,
		.offset = offsetof(struct scope_core, headers),
		.schema =
			"{\"type\":\"object\",\"properties\":{\"set\":{\"type\":\"object\","
			"\"additionalProperties\":{\"type\":[\"string\",\"number\",\"boolean\"]}},"
			"\"remove\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\","
			"\"items\":{\"type\":\"string\"}}]}},\"additionalProperties\":false}",
		.example = "{ set: { X-Frame-Options: DENY }, remove: [X-Powered-By] }",
		.prose = "Fields of the answers that are set, in place of others of that name, or "
			 "removed. A route adds to what its site says."},
	{.name = "errors",
		.type = OPTION_CUSTOM,
		.parse = core_errors,
		.offset = offsetof(struct scope_core, errors),
		.schema =
			"{\"type\":\"object\",\"properties\":{\"intercept\":{\"enum\":[true,false,"
			"\"on\",\"off\",\"true\",\"false\",\"yes\",\"no\"]}},\"patternProperties\":{"
			"\"^[45]([0-9][0-9]|xx)$\":{\"type\":\"string\",\"pattern\":\"^/\"}},"
			"\"additionalProperties\":false}",
		.example = "{ 404: /404.html, 5xx: /50x.html, intercept: off }",
		.prose =
			"The pages of the site that are shown in place of weir's own error "
			"pages. A status wins over its class. A route adds to what its site says. "
			"intercept: on shows them in place of a backend's own error answers as "
			"well: status, cookies and fields such as WWW-Authenticate and Retry-After "
			"stay the backend's. A page is never asked of the upstream that failed."},
	{.name = "hsts",
		.type = OPTION_CUSTOM,
		.parse = core_hsts,
		.offset = offsetof(struct scope_core, hsts),
		.schema =
			"{\"anyOf\":[{\"type\":[\"string\",\"integer\",\"boolean\"]},{\"type\":"
			"\"object\",\"properties\":{\"max_age\":{\"type\":[\"string\",\"integer\"]},"
			"\"include_subdomains\":{\"enum\":[true,false,\"on\",\"off\",\"true\",\"false\","
			"\"yes\",\"no\"]},\"preload\":{\"enum\":[true,false,\"on\",\"off\",\"true\","
			"\"false\",\"yes\",\"no\"]}},\"required\":[\"max_age\"],"
			"\"additionalProperties\":false}]}",
		.example = "365d",
		.prose =
			"How long browsers are to ask for this host by https only, whatever a link "
			"says (Strict-Transport-Security, RFC 6797): said in answers over TLS. Off "
			"by default; it cannot be taken back before that time is over, but by a new "
			"answer with 0. { max_age: 365d, include_subdomains: on, preload: on } says "
			"more."},
	{0},
};

#ifndef WEIR_USER
#define WEIR_USER "weir"
#endif
#ifndef WEIR_RUNSTATEDIR
#define WEIR_RUNSTATEDIR "/run"
#endif
#ifndef WEIR_LOCALSTATEDIR
#define WEIR_LOCALSTATEDIR "/var"
#endif

void core_presets(struct load *load, struct core_settings *core)
{
	rows_preset(load, core_top_rows, core);
	core->user = SLICE(WEIR_USER);
	core->pid_file = SLICE(WEIR_RUNSTATEDIR "/weir.pid");
	core->temp_dir = SLICE(WEIR_LOCALSTATEDIR "/lib/weir/tmp");
	core->access_log.path = SLICE(WEIR_LOCALSTATEDIR "/log/weir/access.log");
	if (!load->unprivileged)
		return;
	const char *temp = getenv("TMPDIR");
	core->pid_file = (struct slice){NULL, 0};
	core->access_log.path = SLICE("stdout");
	core->temp_dir = arena_slice(
		load_arena(load), temp && temp[0] == '/' ? slice_of(temp) : SLICE("/tmp"));
}
