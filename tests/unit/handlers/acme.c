/* SPDX-License-Identifier: BSD-2-Clause */
/* Challenges: answered from the folder, on whatever site, before all else; what is none is others' business. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../loopback.h"
#include "base/check.h"
#include "handlers/acme.h"
#include "handlers/redirect.h"
#include "http/explain.h"

#define TOKEN "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
#define PATH  "/.well-known/acme-challenge/"

static const struct handler *const table[] = {&acme_handler, &redirect_handler, NULL};
static char folder[64];
static struct loopback *loopback;

static void write_challenge(const char *name, const char *text)
{
	char path[200];
	snprintf(path, sizeof(path), "%s/challenge/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int set_up(void **state)
{
	char path[100];
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/weir-challenge-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/challenge", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	write_challenge(TOKEN, TOKEN ".proof");
	return 0;
}

static int tear_down(void **state)
{
	char path[200];
	(void)state;
	if (loopback)
		loopback_stop(loopback);
	loopback = NULL;
	snprintf(path, sizeof(path), "%s/challenge/" TOKEN, folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/challenge", folder);
	rmdir(path);
	rmdir(folder);
	return 0;
}

static void start(const char *acme, const char *site)
{
	struct buffer yaml = {0};
	buffer_format(
		&yaml, "%s\nsites:\n  - listen: \"http://127.0.0.1:1\"\n    %s\n", acme, site);
	buffer_append(&yaml, "", 1);
	loopback = loopback_start(table, yaml.ptr, folder, false);
	buffer_free(&yaml);
}

#define ON "tls: { acme: { path: . } }"

static void assert_answer(const char *method, const char *target, unsigned status, const char *body)
{
	struct exchange_seen *seen = loopback_ask(loopback, method, target, NULL);
	assert_int_equal(seen->request.response.status, status);
	if (body) {
		assert_int_equal(seen->body.len, strlen(body));
		assert_memory_equal(seen->body.ptr ? seen->body.ptr : "", body, seen->body.len);
		assert_string_equal(
			loopback_field(seen, "Content-Type"), "application/octet-stream");
		assert_string_equal(loopback_field(seen, "Cache-Control"), "no-store");
	}
	loopback_free(seen);
}

static void before_all_else(void **state)
{
	(void)state;
	start(ON, "redirect: \"https://example.org/\"");
	assert_answer("GET", PATH TOKEN, 200, TOKEN ".proof");
	assert_answer("HEAD", PATH TOKEN, 200, "");
	assert_answer("GET", PATH TOKEN "?x", 200, TOKEN ".proof");
}

static void what_is_none_passes(void **state)
{
	(void)state;
	static const char *const targets[] = {PATH "unknown", PATH, PATH "a.b", PATH ".hidden",
		PATH "a/" TOKEN, "/.well-known/acme-challenge", "/" TOKEN, PATH "a%2fb",
		PATH TOKEN "/"};
	char longest[200];
	start(ON, "redirect: \"https://example.org/\"");
	for (size_t i = 0; i < COUNT_OF(targets); i++)
		assert_answer("GET", targets[i], 308, NULL);
	snprintf(longest, sizeof(longest), PATH "%0130d", 0);
	assert_answer("GET", longest, 308, NULL);
	assert_answer("POST", PATH TOKEN, 308, NULL);
}

static void nothing_without_acme(void **state)
{
	(void)state;
	start("", "redirect: \"https://example.org/\"");
	assert_answer("GET", PATH TOKEN, 308, NULL);
}

/* A name that listens for https alone is no site's at port 80. */
static void hosts_of_no_site(void **state)
{
	(void)state;
	start(ON, "host: other.test");
	assert_answer("GET", PATH TOKEN, 200, TOKEN ".proof");
	assert_answer("GET", PATH "unknown", 421, NULL);
	assert_answer("GET", "/", 421, NULL);
	loopback_stop(loopback);
	start("", "host: other.test");
	assert_answer("GET", PATH TOKEN, 421, NULL);
}

static void assert_told(const char *target, unsigned status, const char *first, const char *second)
{
	struct explanation e;
	struct buffer text = {0};
	explain_init(&e);
	loopback->explanation = &e;
	assert_answer("GET", target, status, NULL);
	loopback->explanation = NULL;
	explain_json(&e, &text);
	buffer_append(&text, "", 1);
	explain_free(&e);
	if ((first && !strstr(text.ptr, first)) || (second && !strstr(text.ptr, second)))
		fail_msg("no %s, %s in %s", first, second, text.ptr);
	if (!first && strstr(text.ptr, "steps"))
		fail_msg("steps in %s", text.ptr);
	buffer_free(&text);
}

/* Who asks for an explanation is told what is done, for hosts of no site, too. */
static void what_is_done_is_told(void **state)
{
	(void)state;
	start(ON, "host: other.test");
	assert_told(PATH TOKEN, 200, "{\"name\":\"acme\",\"verdict\":\"answers\"",
		"an authority asks for what is to be heard from us now");
	assert_told(PATH "unknown", 421, "{\"name\":\"acme\",\"verdict\":\"passes\"",
		"no challenge with this token is under way");
	assert_told("/", 421, NULL, NULL);
	loopback_stop(loopback);
	start("", "host: other.test");
	assert_told(PATH TOKEN, 421, NULL, NULL);
}

static void clients_leave(void **state)
{
	(void)state;
	start(ON, "redirect: \"https://example.org/\"");
	struct exchange_seen *seen = loopback_begin(loopback, "GET", PATH TOKEN, NULL);
	loopback_gone(seen);
	loopback_free(seen);
	assert_answer("GET", PATH TOKEN, 200, TOKEN ".proof");
}

static void note_grant(void *context, const char *path, enum grant grant)
{
	assert_int_equal(grant, GRANT_READ);
	snprintf(context, 200, "%s", path);
}

/* The sandbox opens the folder that holds what is named: beside the challenges are keys. */
static void the_folder_alone_is_granted(void **state)
{
	(void)state;
	char granted[200] = "", wanted[200];
	start(ON, "redirect: \"https://example.org/\"");
	acme_handler.grant(loopback->snapshot, note_grant, granted);
	snprintf(wanted, sizeof(wanted), "%s/challenge/", folder);
	assert_memory_equal(granted, wanted, strlen(wanted));
	assert_null(strchr(granted + strlen(wanted), '/'));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(before_all_else),
		TEST(what_is_none_passes),
		TEST(nothing_without_acme),
		TEST(hosts_of_no_site),
		TEST(what_is_done_is_told),
		TEST(clients_leave),
		TEST(the_folder_alone_is_granted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
