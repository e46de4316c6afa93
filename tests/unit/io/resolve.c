/* SPDX-License-Identifier: BSD-2-Clause */
/* Names to addresses: what DNS and the hosts file say, in every manner in which a server can fail, and cancelled in every state. */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <dirent.h>

#include "../dns.h"
#include "io/resolve.h"
#include "io_test.h"

static struct loop loop;
static struct dns dns;
static struct resolver *resolver;
static struct resolver_options options;
static struct resolved got;
static unsigned told;
static bool starting, frees_resolver;
static const char *folder;
static char hosts[128], resolv_conf[128];
static unsigned descriptors;

static unsigned open_descriptors(void)
{
	unsigned count = 0;
	DIR *all = opendir("/proc/self/fd");
	while (readdir(all))
		count++;
	closedir(all);
	return count;
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(loop_init(&loop, 0), 0);
	dns_start(&dns, &loop);
	folder = new_folder();
	snprintf(hosts, sizeof hosts, "%s/hosts", folder);
	snprintf(resolv_conf, sizeof resolv_conf, "%s/resolv.conf", folder);
	write_file(resolv_conf, "search .\n");
	options = (struct resolver_options){.servers = dns.servers,
		.hosts = hosts,
		.resolv_conf = resolv_conf,
		.timeout_ms = 60};
	resolver = resolver_new(&loop, &options);
	told = 0;
	frees_resolver = false;
	descriptors = open_descriptors();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (resolver)
		resolver_free(resolver);
	dns_stop(&dns);
	loop_done(&loop);
	remove_folder(folder);
	return 0;
}

static void on_done(void *user, const struct resolved *answer)
{
	assert_false(starting);
	assert_ptr_equal(user, &told);
	assert_true(answer->status == RESOLVE_FOUND ? answer->count > 0
						    : answer->count + answer->ttl == 0);
	got = *answer;
	told++;
	if (frees_resolver) {
		resolver_free(resolver);
		resolver = NULL;
	}
	loop_stop(&loop);
}

static struct lookup *start(const char *name)
{
	starting = true;
	struct lookup *lookup = resolve_start(resolver, slice_of(name), 3000, on_done, &told);
	starting = false;
	return lookup;
}

static enum resolve_status look_up(const char *name)
{
	told = 0;
	start(name);
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(told, 1);
	assert_int_equal(open_descriptors() - ev_is_active(&dns.stream), descriptors);
	return got.status;
}

static void assert_address(unsigned which, const char *text)
{
	char written[128];
	assert_true(which < got.count);
	address_text(&got.addresses[which], written);
	assert_string_equal(written, text);
}

/* --- What is found. --- */

static void both_families(void **state)
{
	(void)state;
	static const struct dns_rule rules[] = {
		{.name = "both.test", .type = T_A, .ttl = 60, .count = 2},
		{.name = "both.test", .type = T_AAAA, .ttl = 30, .count = 1},
		{0},
	};
	dns.rules = rules;
	assert_int_equal(look_up("both.test"), RESOLVE_FOUND);
	assert_int_equal(got.count, 3);
	assert_address(0, "192.0.2.1:3000");
	assert_address(1, "192.0.2.2:3000");
	assert_address(2, "[2001:db8::1]:3000");
	assert_int_equal(got.ttl, 30);
	assert_int_equal(dns.asked, 2);
	assert_int_equal(look_up("BOTH.Test."), RESOLVE_FOUND);
	assert_int_equal(got.count, 3);
}

static void one_family(void **state)
{
	(void)state;
	static const struct dns_rule rules[] = {
		{.name = "four.test", .type = T_A, .ttl = 60, .count = 1},
		{.name = "six.test", .type = T_AAAA, .ttl = 60, .count = 1},
		{.name = "half.test", .type = T_A, .ttl = 60, .count = 1},
		{.name = "half.test", .type = T_AAAA, .rcode = SERVFAIL},
		{.name = "torn.test", .type = T_A, .ttl = 60, .count = 1},
		{.name = "torn.test", .type = T_AAAA, .manner = DNS_CUT, .count = 1},
		{0},
	};
	dns.rules = rules;
	assert_int_equal(look_up("four.test"), RESOLVE_FOUND);
	assert_int_equal(got.count, 1);
	assert_int_equal(look_up("six.test"), RESOLVE_FOUND);
	assert_int_equal(got.count, 1);
	assert_address(0, "[2001:db8::1]:3000");
	/* what is wrong with one does not cost the other */
	assert_int_equal(look_up("half.test"), RESOLVE_FOUND);
	assert_int_equal(look_up("torn.test"), RESOLVE_FOUND);
	assert_int_equal(got.count, 1);
}

/* Some servers never answer a question for AAAA: it is not waited for. */
static void one_family_is_silent(void **state)
{
	(void)state;
	static const struct dns_rule rules[] = {
		{.name = "mute.test", .type = T_A, .ttl = 60, .count = 1},
		{.name = "mute.test", .type = T_AAAA, .manner = DNS_SILENT},
		{0},
	};
	dns.rules = rules;
	options.timeout_ms = 4000;
	resolver_free(resolver);
	resolver = resolver_new(&loop, &options);
	double begun = ev_time();
	assert_int_equal(look_up("mute.test"), RESOLVE_FOUND);
	assert_int_equal(got.count, 1);
	assert_true(ev_time() - begun < 3.);
}

static void aliases(void **state)
{
	(void)state;
	static const struct dns_rule rules[] = {
		{.name = "alias.test",
			.type = T_A,
			.ttl = 60,
			.alias = "real.test",
			.alias_ttl = 7,
			.count = 1},
		{.name = "alias.test",
			.type = T_AAAA,
			.ttl = 60,
			.alias = "real.test",
			.alias_ttl = 90},
		{0},
	};
	dns.rules = rules;
	assert_int_equal(look_up("alias.test"), RESOLVE_FOUND);
	assert_int_equal(got.count, 1);
	assert_address(0, "192.0.2.1:3000");
	assert_int_equal(
		got.ttl, 7); /* the name is looked up again when the alias may be another one */
}

static void bounds(void **state)
{
	(void)state;
	static const struct dns_rule rules[] = {
		{.name = "many.test", .type = T_A, .ttl = 100000, .count = 20},
		{.name = "many.test", .type = T_AAAA, .ttl = 100000, .count = 3},
		{.name = "zero.test", .type = T_A, .ttl = 0, .count = 1},
		{.name = "wrapped.test", .type = T_A, .ttl = 0x80000001, .count = 1},
		{0},
	};
	dns.rules = rules;
	assert_int_equal(look_up("many.test"), RESOLVE_FOUND);
	assert_int_equal(got.count, RESOLVE_ADDRESSES);
	assert_int_equal(got.ttl, RESOLVE_TTL_MAX);
	assert_int_equal(look_up("zero.test"), RESOLVE_FOUND);
	assert_int_equal(got.ttl, RESOLVE_TTL_MIN);
	assert_int_equal(look_up("wrapped.test"), RESOLVE_FOUND);
	assert_int_equal(got.ttl, RESOLVE_TTL_MIN);
}

static void truncated_is_asked_by_tcp(void **state)
{
	(void)state;
	static const struct dns_rule rules[] = {
		{.name = "big.test", .type = T_A, .manner = DNS_TRUNCATED, .ttl = 60, .count = 16},
		{0},
	};
	dns.rules = rules;
	assert_int_equal(look_up("big.test"), RESOLVE_FOUND);
	assert_int_equal(got.count, 16);
	assert_true(dns.asked_by_tcp > 0);
}

/* Nothing is cached: an answer that changes is seen by the next lookup. */
static void changes(void **state)
{
	(void)state;
	static struct dns_rule rules[] = {
		{.name = "moving.test", .type = T_A, .ttl = 60, .addresses = "192.0.2.7"}, {0}};
	dns.rules = rules;
	assert_int_equal(look_up("moving.test"), RESOLVE_FOUND);
	assert_address(0, "192.0.2.7:3000");
	rules[0].addresses = "192.0.2.8";
	assert_int_equal(look_up("moving.test"), RESOLVE_FOUND);
	assert_address(0, "192.0.2.8:3000");
	rules[0].name = "moved.test";
	assert_int_equal(look_up("moving.test"), RESOLVE_NO_NAME);
}

/* --- What is not. --- */

static void failures(void **state)
{
	(void)state;
	static const struct dns_rule rules[] = {
		{.name = "empty.test", .type = T_MX},
		{.name = "failing.test", .type = T_A, .rcode = SERVFAIL},
		{.name = "failing.test", .type = T_AAAA, .rcode = SERVFAIL},
		{.name = "refused.test", .type = T_A, .rcode = REFUSED},
		{.name = "silent.test", .type = T_A, .manner = DNS_SILENT},
		{.name = "silent.test", .type = T_AAAA, .manner = DNS_SILENT},
		{.name = "other.test", .type = T_A, .manner = DNS_OTHER_ID, .count = 1},
		{.name = "cut.test", .type = T_A, .manner = DNS_CUT, .count = 1},
		{.name = "overlong.test", .type = T_A, .manner = DNS_OVERLONG, .count = 1},
		{.name = "looping.test", .type = T_A, .manner = DNS_LOOPING},
		{.name = "short.test", .type = T_A, .manner = DNS_SHORT},
		{.name = "garbage.test", .type = T_A, .manner = DNS_GARBAGE},
		{.name = "formerr.test", .type = T_A, .rcode = FORMERR},
		{0},
	};
	static const struct {
		const char *name;
		enum resolve_status status;
	} cases[] = {
		{"missing.test", RESOLVE_NO_NAME},
		{"empty.test", RESOLVE_NO_ADDRESS},
		{"failing.test", RESOLVE_FAILED},
		{"refused.test", RESOLVE_FAILED},
		{"silent.test", RESOLVE_SILENT},
		{"other.test", RESOLVE_SILENT},
		{"cut.test", RESOLVE_MALFORMED},
		{"overlong.test", RESOLVE_MALFORMED},
		{"looping.test", RESOLVE_MALFORMED},
		{"short.test", RESOLVE_SILENT},
		{"garbage.test", RESOLVE_MALFORMED},
		{"formerr.test", RESOLVE_MALFORMED},
	};
	dns.rules = rules;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		enum resolve_status status = look_up(cases[i].name);
		if (status != cases[i].status)
			fail_msg("%s: %s", cases[i].name, resolve_status_text(status));
		assert_true(strlen(resolve_status_text(status)) > 0);
	}
}

static void odd_address_is_none(void **state)
{
	(void)state;
	static const struct dns_rule rules[] = {
		{.name = "odd.test", .type = T_A, .manner = DNS_ODD, .count = 1}, {0}};
	dns.rules = rules;
	assert_int_not_equal(look_up("odd.test"), RESOLVE_FOUND);
}

static void no_server(void **state)
{
	(void)state;
	char closed[32];
	struct dns other;
	dns_start(&other, &loop);
	snprintf(closed, sizeof closed, "%s", other.servers);
	dns_stop(&other);
	options.servers = closed;
	resolver_free(resolver);
	resolver = resolver_new(&loop, &options);
	assert_int_equal(look_up("a.test"), RESOLVE_UNREACHABLE);
}

/* --- Files. --- */

static void hosts_file(void **state)
{
	(void)state;
	write_file(hosts, "# 192.0.2.66 app.test\n"
			  "192.0.2.50\tother app.test # app2.test\n"
			  "nonsense app.test\n"
			  "\n   \n192.0.2.51 App.Test\r\n"
			  "2001:db8::50 app.test\n"
			  "fe80::1%eth0 app.test\n"
			  "192.0.2.52 notapp.test app.test.\n"
			  "192.0.2.53");
	assert_int_equal(look_up("app.test"), RESOLVE_FOUND);
	assert_int_equal(got.count, 3);
	assert_address(0, "192.0.2.50:3000");
	assert_address(1, "192.0.2.51:3000");
	assert_address(2, "[2001:db8::50]:3000");
	assert_int_equal(got.ttl, RESOLVE_TTL_HOSTS);
	assert_int_equal(look_up("app.test."), RESOLVE_FOUND);
	assert_int_equal(dns.asked, 0);
	assert_int_equal(look_up("app2.test"), RESOLVE_NO_NAME);
	/* the file may be replaced */
	write_file(hosts, "192.0.2.54 app.test\n");
	assert_int_equal(look_up("app.test"), RESOLVE_FOUND);
	assert_int_equal(got.count, 1);
	assert_address(0, "192.0.2.54:3000");
}

/* RFC 6761, 6.3 */
static void localhost_is_never_asked_for(void **state)
{
	(void)state;
	assert_int_equal(look_up("app.localhost"), RESOLVE_FOUND);
	assert_int_equal(got.count, 2);
	assert_address(0, "127.0.0.1:3000");
	assert_address(1, "[::1]:3000");
	assert_int_equal(dns.asked, 0);
}

/* resolv.conf(5): search and ndots; the file may be replaced as well. */
static void search_list(void **state)
{
	(void)state;
	static const struct dns_rule rules[] = {
		{.name = "app.b.test", .type = T_A, .ttl = 60, .count = 1},
		{.name = "x.y", .type = T_A, .ttl = 60, .count = 2},
		{.name = "x.y.a.test", .type = T_A, .ttl = 60, .count = 3},
		{0},
	};
	dns.rules = rules;
	write_file(resolv_conf, "search a.test b.test\n");
	assert_int_equal(look_up("app"), RESOLVE_FOUND);
	assert_string_equal(dns.last, "app.b.test");
	assert_int_equal(dns.asked, 4);
	assert_int_equal(look_up("x.y"), RESOLVE_FOUND);
	assert_int_equal(got.count, 2);
	write_file(resolv_conf, "search a.test\noptions ndots:2\n");
	assert_int_equal(look_up("x.y"), RESOLVE_FOUND);
	assert_int_equal(got.count, 3);
	assert_int_equal(look_up("x.y."), RESOLVE_FOUND);
	assert_int_equal(got.count, 2);
	assert_int_equal(look_up("app."), RESOLVE_NO_NAME);
	assert_string_equal(dns.last, "app");
}

/* --- Cancelling. --- */

static void run_until_asked(void)
{
	dns.one_then_stop = true;
	assert_int_equal(run_loop(&loop), 0);
}

static void stop_loop(struct task *task)
{
	(void)task;
	loop_stop(&loop);
}

static void run_one_turn(void)
{
	struct task task = {.run = stop_loop};
	loop_defer(&loop, &task);
	assert_int_equal(run_loop(&loop), 0);
}

static void cancelled(void **state)
{
	(void)state;
	static const struct dns_rule rules[] = {
		{.name = "mute.test", .type = T_A, .manner = DNS_SILENT},
		{.name = "mute.test", .type = T_AAAA, .manner = DNS_SILENT},
		{.name = "half.test", .type = T_A, .ttl = 60, .count = 1},
		{.name = "half.test", .type = T_AAAA, .manner = DNS_SILENT},
		{.name = "tcp.test", .type = T_A, .manner = DNS_TRUNCATED, .ttl = 60, .count = 1},
		{.name = "tcp.test", .type = T_AAAA, .manner = DNS_SILENT},
		{0},
	};
	dns.rules = rules;
	resolve_cancel(start("mute.test")); /* before it began */
	struct lookup *lookup = start("mute.test");
	run_one_turn(); /* the queries are on their way */
	resolve_cancel(lookup);
	lookup = start("mute.test");
	run_until_asked();
	resolve_cancel(lookup);
	for (unsigned turns = 1; turns < 12; turns++) { /* within an answer, by UDP and by TCP */
		lookup = start(turns % 2 ? "half.test" : "tcp.test");
		for (unsigned i = 0; i < turns; i++)
			run_one_turn();
		resolve_cancel(lookup);
	}
	assert_int_equal(told, 0);
	/* with several under way the others go on */
	options.timeout_ms = 4000;
	resolver_free(resolver);
	resolver = resolver_new(&loop, &options);
	lookup = start("mute.test");
	start("half.test");
	start("mute.test");
	run_until_asked();
	resolve_cancel(lookup);
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(told, 1);
	resolver_free(resolver);
	resolver = NULL;
	run_one_turn();
	assert_int_equal(told, 1);
	run_one_turn(); /* the server sees the end of a connection */
	assert_true(open_descriptors() <= descriptors + 1);
}

static void freed_when_told(void **state)
{
	(void)state;
	static const struct dns_rule rules[] = {
		{.name = "a.test", .type = T_A, .ttl = 60, .count = 1},
		{.name = "mute.test", .type = T_A, .manner = DNS_SILENT},
		{.name = "mute.test", .type = T_AAAA, .manner = DNS_SILENT},
		{0},
	};
	dns.rules = rules;
	frees_resolver = true;
	start("mute.test");
	start("a.test");
	start("mute.test");
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(told, 1);
	assert_null(resolver);
	run_one_turn();
	assert_int_equal(told, 1);
	assert_int_equal(open_descriptors(), descriptors);
}

/* --- Names. --- */

static void valid_names(void **state)
{
	(void)state;
	static const char *const good[] = {"a", "app.internal", "app.internal.", "my_app-1.x", "1a",
		"1.2.3.a", "xn--bcher-kva.example", "_x._y"};
	static const char *const bad[] = {"", ".", "a..b", ".a", "a/b", "a b", "-a", "a.-b",
		"1.2.3.4", "300", "a.1", "b\303\274cher", "a:b", "a%b", "*.a", "a..",
		"a123456789012345678901234567890123456789012345678901234567890123"};
	for (size_t i = 0; i < COUNT_OF(good); i++)
		if (!resolve_name_valid(slice_of(good[i])))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		if (resolve_name_valid(slice_of(bad[i])))
			fail_msg("taken: %s", bad[i]);
	char longest[300];
	memset(longest, 'a', sizeof longest);
	for (size_t i = 50; i < sizeof longest; i += 50)
		longest[i] = '.';
	assert_true(resolve_name_valid((struct slice){longest, 253}));
	assert_false(resolve_name_valid((struct slice){longest, 254}));
	assert_int_equal(look_up("missing"), RESOLVE_NO_NAME);
	told = 0;
	resolve_start(resolver, (struct slice){longest, 253}, 1, on_done, &told);
	assert_int_equal(run_loop(&loop), 0);
	assert_int_equal(got.status, RESOLVE_NO_NAME);
}

/* Who does not see the queries must not be able to guess their numbers: these are not counted up, nor the same each time. */
static void numbers_are_random(void **state)
{
	(void)state;
	unsigned near = 0, equal = 0;
	for (unsigned i = 0; i < 60; i++)
		look_up("missing.test");
	assert_int_equal(dns.asked, 120);
	for (unsigned i = 2; i < 120; i++) {
		uint16_t step = (uint16_t)(dns.ids[i] - dns.ids[i - 2]);
		near += step < 256 || step > 65535 - 256;
		equal += dns.ids[i] == dns.ids[i % 2];
	}
	assert_true(near < 10);
	assert_true(equal < 4);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_families),
		TEST(one_family),
		TEST(one_family_is_silent),
		TEST(aliases),
		TEST(bounds),
		TEST(truncated_is_asked_by_tcp),
		TEST(changes),
		TEST(failures),
		TEST(odd_address_is_none),
		TEST(no_server),
		TEST(hosts_file),
		TEST(localhost_is_never_asked_for),
		TEST(search_list),
		TEST(cancelled),
		TEST(freed_when_told),
		TEST(valid_names),
		TEST(numbers_are_random),
	};
	return cmocka_run_group_tests_name("io/resolve", tests, NULL, NULL);
}
