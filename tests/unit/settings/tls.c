/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of tls: what a site inherits, https addresses, and what does not fit (DESIGN, 2). What is in the files is another's business. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "sample.h"
#include "settings/tls.h"

static char folder[] = "/tmp/weir-settings-tls-XXXXXX";

static int make_files(void **state)
{
	static const char *const names[] = {"a.pem", "b.pem", "ca.pem", "a.ocsp"};
	(void)state;
	if (!mkdtemp(folder) || chdir(folder))
		return -1;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		FILE *file = fopen(names[i], "w");
		if (!file || fputs(names[i], file) < 0 || fclose(file))
			return -1;
	}
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	unlink("a.pem");
	unlink("b.pem");
	unlink("ca.pem");
	unlink("a.ocsp");
	return rmdir(folder);
}

static struct snapshot *load(const char *text, bool unprivileged, struct buffer *told)
{
	struct option_sets sets = {.sets = sample_list};
	told->len = 0;
	struct snapshot *snapshot =
		snapshot_load_text(slice_of(text), "weir.yaml", folder, &sets, unprivileged, told);
	buffer_append(told, "", 1);
	return snapshot;
}

static struct snapshot *good(const char *text)
{
	struct buffer told = {0};
	struct snapshot *snapshot = load(text, false, &told);
	if (!snapshot || told.ptr[0])
		fail_msg("%s", told.ptr);
	buffer_free(&told);
	return snapshot;
}

static void assert_path(struct slice path, const char *name)
{
	char wanted[256];
	snprintf(wanted, sizeof(wanted), "%s/%s", folder, name);
	assert_string_equal(path.ptr, wanted);
}

static void presets(void **state)
{
	(void)state;
	struct snapshot *snapshot = good("sites: [ { listen: \"http://:80\" } ]\n");
	assert_int_equal(snapshot->tls_count, 1);
	const struct tls_settings *tls = snapshot->tls;
	assert_ptr_equal(snapshot->sites[0].tls, tls);
	assert_int_equal(tls->pair_count, 0);
	assert_int_equal(tls->min_version, TLS_1_2);
	assert_int_equal(tls->client_auth, CLIENT_AUTH_OFF);
	assert_null(tls->priorities.ptr);
	assert_null(tls->client_ca.ptr);
	assert_false(tls->acme.on);
	assert_string_equal(tls->acme.path.ptr, WEIR_LOCALSTATEDIR "/lib/weir/acme");
	assert_string_equal(
		tls->acme.directory.ptr, "https://acme-v02.api.letsencrypt.org/directory");
	snapshot_free(snapshot);
}

static void state_of_another_than_root(void **state)
{
	struct buffer told = {0};
	(void)state;
	setenv("HOME", "/home/me", 1);
	unsetenv("XDG_DATA_HOME");
	struct snapshot *snapshot = load("sites: [ { listen: \"http://:80\" } ]\n", true, &told);
	assert_string_equal(snapshot->tls->acme.path.ptr, "/home/me/.local/share/weir/acme");
	snapshot_free(snapshot);
	setenv("XDG_DATA_HOME", "/data", 1);
	snapshot = load("sites: [ { listen: \"http://:80\" } ]\n", true, &told);
	assert_string_equal(snapshot->tls->acme.path.ptr, "/data/weir/acme");
	snapshot_free(snapshot);
	unsetenv("XDG_DATA_HOME"); /* never in /tmp, where others may have been before */
	unsetenv("HOME");
	snapshot = load("sites: [ { listen: \"http://:80\" } ]\n", true, &told);
	assert_string_equal(snapshot->tls->acme.path.ptr, WEIR_LOCALSTATEDIR "/lib/weir/acme");
	snapshot_free(snapshot);
	buffer_free(&told);
}

static void all_keys(void **state)
{
	(void)state;
	struct snapshot *snapshot = good(
		"tls:\n"
		"  certificates:\n"
		"    - { certificate: a.pem, key: a.key, ocsp: a.ocsp }\n"
		"    - { certificate: b.pem, key: /keys/b.key }\n"
		"  min_version: 1.3\n"
		"  priorities: \"NORMAL:-GROUP-ALL\"\n"
		"  client_auth: required\n"
		"  client_ca: ca.pem\n"
		"  acme: { email: me@a.test, directory: \"https://ca.test/dir\", path: acme, ca: ca.pem, names: [A.test] }\n"
		"sites: [ { listen: \"https://:443\" } ]\n");
	const struct tls_settings *tls = snapshot->tls;
	assert_int_equal(tls->pair_count, 2);
	assert_path(tls->pairs[0].certificate_path, "a.pem");
	assert_path(tls->pairs[0].key_path, "a.key");
	assert_path(tls->pairs[0].ocsp_path, "a.ocsp");
	assert_string_equal(tls->pairs[0].certificate.ptr, "a.pem");
	assert_string_equal(tls->pairs[0].ocsp.ptr, "a.ocsp");
	assert_string_equal(tls->pairs[1].key_path.ptr, "/keys/b.key");
	assert_null(tls->pairs[1].ocsp_path.ptr);
	assert_int_equal(tls->min_version, TLS_1_3);
	assert_string_equal(tls->priorities.ptr, "NORMAL:-GROUP-ALL");
	assert_int_equal(tls->client_auth, CLIENT_AUTH_REQUIRED);
	assert_string_equal(tls->client_ca.ptr, "ca.pem");
	assert_true(tls->acme.on);
	assert_string_equal(tls->acme.email.ptr, "me@a.test");
	assert_string_equal(tls->acme.directory.ptr, "https://ca.test/dir");
	assert_path(tls->acme.path, "acme");
	assert_path(tls->acme.ca, "ca.pem");
	assert_string_equal(tls->acme.names.items[0].ptr, "a.test");
	snapshot_free(snapshot);
}

static void sites_inherit_what_they_do_not_name(void **state)
{
	(void)state;
	struct snapshot *snapshot = good(
		"tls: { certificates: { certificate: a.pem, key: a.key }, min_version: \"1.3\", client_auth: optional, client_ca: ca.pem }\n"
		"sites:\n"
		"  - { host: a, listen: \"https://:443\" }\n"
		"  - { host: b, listen: \"https://:443\", tls: { client_auth: required } }\n"
		"  - { host: c, listen: \"https://:443\", tls: { certificates: [ { certificate: b.pem, key: b.key } ], min_version: \"1.2\" } }\n"
		"  - { host: d, listen: \"https://:443\" }\n");
	const struct site *sites = snapshot->sites;
	assert_int_equal(snapshot->tls_count, 3);
	assert_ptr_equal(sites[0].tls, &snapshot->tls[0]);
	assert_ptr_equal(sites[3].tls, &snapshot->tls[0]);
	assert_ptr_equal(sites[1].tls, &snapshot->tls[1]);
	assert_ptr_equal(sites[2].tls, &snapshot->tls[2]);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(snapshot->tls[i].index, i);
	assert_int_equal(sites[1].tls->client_auth, CLIENT_AUTH_REQUIRED);
	assert_int_equal(sites[1].tls->min_version, TLS_1_3);
	assert_ptr_equal(sites[1].tls->pairs, snapshot->tls[0].pairs);
	assert_ptr_equal(sites[1].tls->client_ca.ptr, snapshot->tls[0].client_ca.ptr);
	assert_int_equal(sites[2].tls->pair_count, 1);
	assert_path(sites[2].tls->pairs[0].certificate_path, "b.pem");
	assert_int_equal(sites[2].tls->min_version, TLS_1_2);
	assert_int_equal(sites[2].tls->client_auth, CLIENT_AUTH_OPTIONAL);
	snapshot_free(snapshot);
}

static void addresses_have_a_port_of_their_scheme(void **state)
{
	static const struct {
		const char *written, *text;
	} rows[] = {{"https://:443", ":443"}, {"https://127.0.0.1", "127.0.0.1:443"},
		{"https://[::1]", "[::1]:443"}, {"https://127.0.0.1:8443", "127.0.0.1:8443"},
		{"https://localhost", "127.0.0.1:443"}, {"https://unix:/run/x", "unix:/run/x"},
		{"http://127.0.0.1", "127.0.0.1:80"}};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char text[256];
		snprintf(text, sizeof(text),
			"tls: { certificates: { certificate: a.pem, key: a.key } }\n"
			"sites: [ { listen: \"%s\" } ]\n",
			rows[i].written);
		struct snapshot *snapshot = good(text);
		const struct listener_settings *listener = &snapshot->listeners[0];
		assert_string_equal(listener->text.ptr, rows[i].text);
		assert_int_equal(
			listener->scheme, rows[i].written[4] == 's' ? SCHEME_HTTPS : SCHEME_HTTP);
		snapshot_free(snapshot);
	}
}

/* --- What does not fit. --- */

#define CERTIFICATE "certificates: { certificate: a.pem, key: a.key }"
#define SITE        "sites: [ { listen: \"https://:443\" } ]\n"

static void faults_are_told(void **state)
{
	static const struct {
		const char *text, *told;
	} rows[] = {
		{SITE, "1:21: error: https needs a certificate: write tls:"},
		{"tls: { " CERTIFICATE " }\n"
		 "sites: [ { host: a, listen: \"https://:80\" }, { host: b, listen: \"http://:80\" } ]\n",
			"2:66: error: :80 is https and http at once (line 2)"},
		{"tls: { " CERTIFICATE " }\nsites: [ { listen: \"https://example.com:443\" } ]\n",
			"2:21: error: \"https://example.com:443\" has a name in it: listen at an address, such as https://:443"},
		{"tls: { " CERTIFICATE " }\nsites: [ { listen: \"https://:443/x\" } ]\n",
			"an address has no path, write https://:443"},
		{"sites: [ { listen: \"443\" } ]\n", "write https://:443"},
		{"tls: { certificate: a.pem }\n" SITE,
			"1:8: error: unknown key \"certificate\": did you mean \"certificates\"?"},
		{"tls: { certifcates: [] }\n" SITE,
			"1:8: error: unknown key \"certifcates\": did you mean \"certificates\"?"},
		{"tls: { certificates: { certificate: a.pem } }\n" SITE,
			"1:22: error: \"key\" is missing here"},
		{"tls: { certificates: { certificate: a.pem, keey: a.key } }\n" SITE,
			"1:44: error: unknown key \"keey\": did you mean \"key\"?"},
		{"tls: { certificates: [] }\n" SITE, "https needs a certificate"},
		{"tls: { certificates: a.pem }\n" SITE,
			"1:22: error: a mapping (key: value) belongs here"},
		{"tls: { " CERTIFICATE ", min_version: \"1.1\" }\n" SITE,
			"\"min_version\" wants one of 1.2, 1.3, not \"1.1\""},
		{"tls: { " CERTIFICATE ", client_auth: on }\n" SITE,
			"\"client_auth\" wants one of off, optional, required"},
		{"tls: { " CERTIFICATE ", client_auth: required }\n" SITE,
			"1:71: error: client_auth needs to know whose clients to let in: write client_ca:"},
		{"tls: { " CERTIFICATE ", client_ca: ca.pem }\n" SITE,
			"warning: client_ca is not used: client_auth is off"},
		{"tls: { " CERTIFICATE ", client_ca: none.pem, client_auth: required }\n" SITE,
			"none.pem: No such file"},
		{"tls: { acme: { directory: \"http://x\" } }\n" SITE,
			"1:28: error: \"directory\" wants a URL that begins with https://"},
		{"tls: { acme: { email: me } }\n" SITE,
			"1:23: error: \"me\" is no address for mail"},
		{"tls: { acme: { names: [a.test, \"*.b.test\"] } }\n" SITE,
			"1:33: error: \"*.b.test\" cannot be had"},
		{"tls: { acme: { names: \"a b\" } }\n" SITE, "1:24: error: \"a b\" is no host"},
		{"tls: { acme: maybe }\n" SITE, "\"acme\" wants a mapping, or on, or off"},
		{"sites: [ { listen: \"http://:80\", hsts: soon } ]\n",
			"\"hsts\" wants a duration such as 365d, or off, or {"},
		{"sites: [ { listen: \"http://:80\", hsts: { include_subdomains: on } } ]\n",
			"\"max_age\" is missing here"},
		{"sites: [ { listen: \"http://:80\", hsts: { max_age: 30d, include_subdomains: on, preload: on } } ]\n",
			"warning: preload is taken by no list of browsers"},
	};
	struct buffer told = {0};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct snapshot *snapshot = load(rows[i].text, false, &told);
		if (!strstr(told.ptr, rows[i].told) ||
			(snapshot != NULL) != (strstr(rows[i].told, "warning: ") != NULL))
			fail_msg("%s\nwanted: %s\ntold: %s", rows[i].text, rows[i].told, told.ptr);
		snapshot_free(snapshot);
	}
	buffer_free(&told);
}

static void hsts_has_three_forms(void **state)
{
	static const struct {
		const char *written, *value;
	} rows[] = {{"365d", "max-age=31536000"}, {"0", "max-age=0"}, {"off", NULL},
		{"{ max_age: 1h }", "max-age=3600"},
		{"{ max_age: 365d, include_subdomains: on, preload: on }",
			"max-age=31536000; includeSubDomains; preload"}};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char text[256];
		snprintf(text, sizeof(text),
			"sites: [ { listen: \"http://:80\", hsts: %s, routes: { /x: {}, /y: { hsts: off } } } ]\n",
			rows[i].written);
		struct snapshot *snapshot = good(text);
		const struct site *site = &snapshot->sites[0];
		assert_null(site->routes[1].scope.core->hsts.ptr);
		for (int k = 0; k < 2; k++) {
			const struct scope *scope = k ? &site->routes[0].scope : &site->scope;
			if (rows[i].value)
				assert_string_equal(scope->core->hsts.ptr, rows[i].value);
			else
				assert_null(scope->core->hsts.ptr);
		}
		snapshot_free(snapshot);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(presets),
		cmocka_unit_test(state_of_another_than_root),
		cmocka_unit_test(all_keys),
		cmocka_unit_test(sites_inherit_what_they_do_not_name),
		cmocka_unit_test(addresses_have_a_port_of_their_scheme),
		cmocka_unit_test(faults_are_told),
		cmocka_unit_test(hsts_has_three_forms),
	};
	return cmocka_run_group_tests(tests, make_files, remove_files);
}
