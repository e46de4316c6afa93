/* SPDX-License-Identifier: BSD-2-Clause */
/* Files of certificates that change: what is asked for, when, and what becomes of it. The end-to-end tests do it with real processes. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../io/tls_made.h"
#include "base/check.h"
#include "io/tls_cert.h"
#include "process/renewal.h"

static char folder[256];
static struct snapshot *snapshot;
static struct renewal *renewal;
static uint64_t now;

static int begin(void **state)
{
	(void)state;
	made_folder(folder);
	now = 1000000;
	return 0;
}

static int end(void **state)
{
	(void)state;
	renewal_free(renewal);
	snapshot_free(snapshot);
	made_remove(folder);
	return 0;
}

static void save(const char *name, const char *host, const char *common)
{
	struct made made;
	made_make(&made, &(struct made_wish){.names = {host}, .common_name = common});
	made_save(folder, name, &made);
	made_free(&made);
}

static int obtain(struct load *load, struct snapshot *loaded, void *context)
{
	(void)context;
	return tls_obtain(load, loaded, tls_pem_covers);
}

static void start(const char *text, bool all)
{
	struct option_sets sets = {.finish = obtain};
	struct buffer told = {0};
	snapshot = snapshot_load_text(slice_of(text), "weir.yaml", folder, &sets, false, &told);
	buffer_free(&told);
	assert_non_null(snapshot);
	struct tls_store *store =
		tls_store_make_anyhow(snapshot, tls_keys_here(), NULL, 0, NULL, NULL);
	assert_non_null(store);
	renewal = renewal_new(snapshot, tls_keys_here(), store, now, all);
	tls_store_put(store);
}

/* Opens what is asked for until nothing is due; returns whether there is another store. */
static bool serve(void)
{
	bool changed = false;
	for (int number; (number = renewal_next(renewal, now)) >= 0;) {
		assert_int_equal(renewal_next(renewal, now), -1); /* one at a time */
		int fd = open(renewal_file(renewal, (unsigned)number), O_RDONLY | O_CLOEXEC);
		changed |= renewal_take(renewal, fd, fd < 0 ? errno : 0, now);
		if (fd >= 0)
			close(fd);
	}
	return changed;
}

/* Lets the time pass until what events told is due. */
static bool settle(void)
{
	struct pollfd poll_in = {.fd = renewal_descriptor(renewal), .events = POLLIN};
	assert_int_equal(poll(&poll_in, 1, 10000), 1);
	renewal_hear(renewal, now);
	uint64_t due = renewal_due(renewal);
	assert_true(due <= now + 2000);
	now = due;
	return serve();
}

static void first_subject(void *context, const struct tls_certificate_facts *facts)
{
	const char **issuer = context;
	if (!*issuer)
		*issuer = facts->issuer;
}

/* By the issuer, which is the certificate itself and its common name. */
static const char *shown(void)
{
	const char *issuer = NULL;
	tls_store_each(renewal_store(renewal), first_subject, &issuer);
	return issuer;
}

#define ONE                                                                                        \
	"tls: { certificates: { certificate: a.pem, key: a.key } }\n"                              \
	"sites: [ { host: a.test, listen: \"https://:8443\" } ]\n"

static void a_new_pair_is_taken(void **state)
{
	(void)state;
	save("a", "a.test", "one");
	start(ONE, true);
	now += 300;
	assert_false(serve()); /* it is what it was */
	save("a", "a.test", "two");
	assert_true(settle());
	assert_string_equal(shown(), "CN=two");
	now += 300;
	assert_false(serve());
}

/* Whoever replaces two files replaces one first. */
static void half_a_pair_waits_for_the_other_half(void **state)
{
	struct made made;
	(void)state;
	save("a", "a.test", "one");
	start(ONE, false);
	made_make(&made, &(struct made_wish){.names = {"a.test"}, .common_name = "two"});
	made_write(folder, "a.pem", (const char *)made.pem.data, NULL);
	assert_false(settle());
	assert_string_equal(shown(), "CN=one");
	assert_true(
		renewal_due(renewal) <= now + 2000); /* tried again soon, before anybody is told */
	made_write(folder, "a.key", (const char *)made.key_pem.data, NULL);
	assert_true(settle());
	assert_string_equal(shown(), "CN=two");
	made_free(&made);
}

/* The certificate stays: what is shown stays as well, until the key is whole. */
static void a_key_that_comes_back_is_taken(void **state)
{
	struct made made;
	(void)state;
	made_make(&made, &(struct made_wish){.names = {"a.test"}, .common_name = "one"});
	made_save(folder, "a", &made);
	made_write(folder, "a.key", "half of it", NULL);
	start(ONE, true); /* after a crash: another one stands in */
	assert_string_not_equal(shown(), "CN=one");
	now += 300;
	assert_false(serve());
	now += 2000;
	assert_false(serve());
	made_write(folder, "a.key", (const char *)made.key_pem.data, NULL);
	assert_true(settle());
	assert_string_equal(shown(), "CN=one");
	/* lost again, it is missed and nothing else */
	made_write(folder, "a.key", "", NULL);
	assert_false(settle());
	now += 2000;
	assert_false(serve());
	assert_string_equal(shown(), "CN=one");
	made_free(&made);
}

/* What no event told is found by the look. */
static void a_look_finds_what_no_event_told(void **state)
{
	(void)state;
	save("a", "a.test", "one");
	start(ONE, false);
	char buffer[4096];
	now += 60000;
	assert_false(serve());
	now += 2000;
	assert_false(serve());
	save("a", "a.test", "two");
	assert_true(read(renewal_descriptor(renewal), buffer, sizeof(buffer)) > 0);
	assert_false(serve());
	now = renewal_due(renewal);
	serve(); /* the look */
	now = renewal_due(renewal);
	assert_true(serve());
	assert_string_equal(shown(), "CN=two");
}

/* As weir obtains certificates: their folder is not there at first. */
static void a_folder_that_comes_later(void **state)
{
	static const char *const folders[] = {
		"state", "state/a.test", "state/private", "state/private/a.test"};
	char path[400];
	(void)state;
	start("tls: { acme: { path: state, names: [a.test] } }\n"
	      "sites: [ { host: a.test, listen: \"https://:8443\" } ]\n",
		false);
	assert_int_equal(renewal_file_count(renewal), 1);
	for (size_t i = 0; i < COUNT_OF(folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, folders[i]);
		assert_int_equal(mkdir(path, 0700), 0);
		if (i < 2)
			assert_false(settle());
	}
	struct made made;
	made_make(&made, &(struct made_wish){.names = {"a.test"}, .common_name = "obtained"});
	made_write(folder, "state/private/a.test/key.pem", (const char *)made.key_pem.data, NULL);
	made_write(folder, "state/a.test/cert.pem", (const char *)made.pem.data, NULL);
	made_free(&made);
	assert_true(settle());
	assert_string_equal(shown(), "CN=obtained");
	snprintf(path, sizeof(path), "%s/state/a.test/cert.pem", folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/state/private/a.test/key.pem", folder);
	unlink(path);
	for (size_t i = COUNT_OF(folders); i-- > 0;) {
		snprintf(path, sizeof(path), "%s/%s", folder, folders[i]);
		rmdir(path);
	}
}

static void the_supervisor_has_too_much_to_do(void **state)
{
	(void)state;
	save("a", "a.test", "one");
	start(ONE, true);
	now += 300;
	int number = renewal_next(renewal, now);
	assert_int_equal(number, 0);
	assert_false(renewal_take(renewal, -1, EAGAIN, now));
	assert_int_equal(renewal_next(renewal, now), -1);
	now += 2000;
	assert_int_equal(renewal_next(renewal, now), 0);
	assert_false(renewal_take(renewal, -1, EIO, now)); /* what was asked for cannot be read */
	assert_string_equal(shown(), "CN=one");
	/* an answer that nobody waits for */
	assert_false(renewal_take(renewal, -1, EIO, now));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
		CASE(a_new_pair_is_taken),
		CASE(half_a_pair_waits_for_the_other_half),
		CASE(a_key_that_comes_back_is_taken),
		CASE(a_look_finds_what_no_event_told),
		CASE(a_folder_that_comes_later),
		CASE(the_supervisor_has_too_much_to_do),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
