/* SPDX-License-Identifier: BSD-2-Clause */
/* Configurations that are wrong, and what is said of them: place, words, advice (DESIGN, 2). Each fault is told with its line
 * and a mark under it, and none is told that is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "sample.h"

#define SITE "sites:\n  - listen: \"http://:80\"\n"

/* `faults`: "LINE:COLUMN words" of each error in the order in which they are told; the words are the beginning of what
 * follows "error: ", and a part of it behind a '|'. */
struct wrong {
	const char *name;
	const char *text;
	const char *faults[8];
};

static const struct wrong wrongs[] = {
	/* keys */
	{"unknown key of the file", "threds: 2\n" SITE,
		{"1:1 unknown key \"threds\": did you mean \"threads\"?"}},
	{"unknown key of a site", SITE "    rooot: /srv\n",
		{"3:5 unknown key \"rooot\": did you mean \"root\"?"}},
	{"unknown key in a group", SITE "limits: { conections: 5 }\n",
		{"3:11 unknown key \"conections\": did you mean \"connections\"?"}},
	{"unknown key in a group in a group", SITE "limits:\n  timeouts:\n    idel: 5s\n",
		{"5:5 unknown key \"idel\": did you mean \"idle\"?"}},
	{"unknown key without a near one", SITE "log: { quux: 5 }\n",
		{"3:8 unknown key \"quux\": the keys here are error, access"}},
	{"key of a feature that is not built in", "cache: {}\n" SITE,
		{"1:1 unknown key \"cache\": the keys here are threads, user,"}},
	{"key of a site in the file", "root: /srv\n" SITE,
		{"1:1 \"root\" does not belong here: it belongs in a site or route"}},
	{"key of the file in a site", SITE "    drain: 5s\n",
		{"3:5 \"drain\" does not belong here: it belongs in the outermost mapping of the file"}},
	{"key of a site in a route", SITE "    routes:\n      /x/: { listen: \"http://:81\" }\n",
		{"4:14 \"listen\" does not belong here: it belongs in a site, not in a route"}},
	{"key outside of its group", "body_size: 1G\n" SITE,
		{"1:1 \"body_size\" does not belong here: it belongs below limits:"}},
	{"key of a member outside of it", "weight: 1\n" SITE,
		{"1:1 \"weight\" does not belong here: it belongs below members: NAME:"}},
	{"missing key of a member", "members: { a: { waight: 1 } }\n" SITE,
		{"1:15 \"weight\" is missing here",
			"1:17 unknown key \"waight\": did you mean \"weight\"?"}},
	{"another server's word", SITE "    server_name: example.com\n",
		{"3:5 unknown key \"server_name\": here it is called \"host\""}},
	{"another server's word elsewhere", "worker_connections: 5\n" SITE,
		{"1:1 unknown key \"worker_connections\": here it is called \"connections\", and it belongs below limits:"}},
	{"key twice", "drain: 5s\nlinger: 5s\ndrain: 6s\n" SITE,
		{"3:1 \"drain\" stands here twice: it is in line 1 already"}},
	{"key thrice", "limits: { min_rate: 1, min_rate: 2, min_rate: 3 }\n" SITE,
		{"1:24 \"min_rate\" stands here twice", "1:37 \"min_rate\" stands here twice"}},
	{"no space behind a colon", "log:\n  error: { level:info }\n" SITE,
		{"2:12 \"level:info\" is one word: a space is missing behind the colon"}},
	/* values */
	{"no unit", "drain: 30\n" SITE,
		{"1:8 \"drain\" wants a duration such as 250ms, 5s, 2m, 1h or 7d, not \"30\"|write 30s"}},
	{"wrong unit", "drain: 30sec\n" SITE, {"1:8 \"drain\" wants a duration such as"}},
	{"negative duration", "drain: -5s\n" SITE, {"1:8 \"drain\" wants a duration such as"}},
	{"duration that overflows", "drain: 99999999999999999d\n" SITE,
		{"1:8 \"drain\" wants a duration"}},
	{"wrong size", SITE "limits: { body_size: 1 GB }\n",
		{"3:22 \"body_size\" wants a size such as 512, 64k, 10M or 1G, not \"1 GB\""}},
	{"no number", "threads: many\n" SITE,
		{"1:10 \"threads\" wants a whole number, or auto, not \"many\""}},
	{"number out of range", "threads: 0\n" SITE,
		{"1:10 \"threads\" must be from 1 to 256, not 0"}},
	{"size out of range", SITE "limits: { header_size: 2M }\n",
		{"3:24 \"header_size\" must be from 1k to 1M, not 2M"}},
	{"duration out of range", SITE "    compress: { deep: { age: 2d } }\n",
		{"3:30 \"age\" must be from 1s to 1d, not 2d"}},
	{"too small", SITE "limits: { timeouts: { idle: 0 } }\n",
		{"3:29 \"idle\" must be at least 1ms, not 0"}},
	{"no boolean", SITE "    listing: maybe\n",
		{"3:14 \"listing\" wants on or off, not \"maybe\""}},
	{"unknown word", "log: { error: { level: warning } }\n" SITE,
		{"1:24 \"level\" wants one of error, warn, info, debug, not \"warning\": did you mean \"warn\"?"}},
	{"word far from all", SITE "    symlinks: xyzzy\n",
		{"3:15 \"symlinks\" wants one of inside, off, anywhere, not \"xyzzy\""}},
	{"dangling name", SITE "    proxy: applicaton\n",
		{"3:12 there is no upstream \"applicaton\": did you mean \"application\"?"}},
	{"missing value", "user:\n" SITE,
		{"1:1 the value of \"user\" is missing; for example user: weir"}},
	{"null", "user: ~\n" SITE, {"1:7 the value of \"user\" is missing"}},
	{"list for a value", SITE "    root: [/a, /b]\n",
		{"3:11 \"root\" takes one value, not a list; for example root: /srv/www"}},
	{"mapping for a value", "drain: { a: b }\n" SITE,
		{"1:8 \"drain\" takes one value, not a mapping"}},
	{"value for a group", "limits: 5\n" SITE,
		{"1:9 \"limits\" wants a mapping; for example limits: { connections"}},
	{"value for a group with a switch", SITE "    compress: fast\n",
		{"3:15 \"compress\" wants a mapping, or on, or off; for example"}},
	{"empty path", SITE "    root: \"\"\n",
		{"3:12 \"root\" wants a path; for example root: /srv/www"}},
	{"off for what is always there", "drain: off\n" SITE, {"1:8 \"drain\" wants a duration"}},
	/* sites */
	{"nothing", "", {"1:1 there is no site; the smallest configuration is"}},
	{"only a comment", "# nothing\n", {"1:1 there is no site"}},
	{"no sites", "drain: 5s\n", {"1:1 there is no site; the smallest configuration is"}},
	{"sites without their key", "- listen: \"http://:80\"\n",
		{"1:1 a mapping (key: value) belongs here, not a list: does \"sites:\" lack above?"}},
	{"sites as a mapping", "sites:\n  listen: \"http://:80\"\n",
		{"2:3 a list of sites belongs here: begin each with a dash"}},
	{"site without address", "sites:\n  - host: a.example\n",
		{"2:5 \"listen\" is missing here; for example listen: [\"http://:80\"]"}},
	{"site that is a word", "sites: [www]\n",
		{"1:9 a mapping (key: value) belongs here, not \"www\""}},
	{"host with a port", SITE "    host: a.example:80\n",
		{"3:11 \"a.example:80\" is no host: the port goes into listen, write a.example"}},
	{"host with a scheme", SITE "    host: http://a.example\n",
		{"3:11 \"http://a.example\" is no host: leave out http://, that goes into listen"}},
	{"host with a space", SITE "    host: [ok.example, \"a b\"]\n",
		{"3:25 \"a b\" is no host: write a host such as"}},
	{"star inside of a host", SITE "    host: a.*.example\n",
		{"3:11 \"a.*.example\" is no host"}},
	{"host in other letters",
		SITE "    host: b\xc3\xbc"
		     "cher.example\n",
		{"3:11 \"b\xc3\xbc"
		 "cher.example\" is no host as clients send it: write its ASCII form, which begins with xn--"}},
	{"no host in the list", SITE "    host: []\n", {"3:11 the list of hosts is empty"}},
	{"the same host twice at an address",
		"sites:\n  - { host: a.example, listen: \"http://:80\" }\n  - { host: A.example, listen: \"http://:80\" }\n",
		{"2:13 \"a.example\" at :80 is named again in line 3",
			"3:13 \"a.example\" at :80 is named already in line 2"}},
	{"two default sites", SITE "  - listen: [\"http://:80\"]\n",
		{"2:5 two sites without host share :80, this one and that of line 3",
			"3:5 two sites without host share :80, this one and that of line 2"}},
	/* addresses */
	{"https without a certificate", "sites:\n  - listen: https://:443\n",
		{"2:13 https needs a certificate: write tls: { certificates: [{ certificate:"}},
	{"https and http at one address",
		"tls: { acme: on }\nsites:\n  - { host: a, listen: \"http://:443\" }\n"
		"  - { host: b, listen: https }\n  - { host: c, listen: \"https://:443\" }\n",
		{"4:24 \"https\" is no address", "5:25 :443 is https and http at once (line 3)"}},
	{"port alone", "sites:\n  - listen: 8080\n",
		{"2:13 \"8080\" is no address to listen at: write http://:8080"}},
	{"address without scheme", "sites:\n  - listen: 127.0.0.1:80\n",
		{"2:13 \"127.0.0.1:80\" lacks its scheme: write http://127.0.0.1:80"}},
	{"address with a path", "sites:\n  - listen: http://:80/x\n",
		{"2:13 \"http://:80/x\": an address has no path, write http://:80"}},
	{"address with a name", "sites:\n  - listen: http://www.example:80\n",
		{"2:13 \"http://www.example:80\" has a name in it|write the name under host"}},
	{"star for all addresses", "sites:\n  - listen: \"http://*:80\"\n",
		{"2:14 \"http://*:80\": for all addresses of the machine write http://:80"}},
	{"port too large", "sites:\n  - listen: http://:65536\n",
		{"2:13 \"http://:65536\" is no address to listen at: write http:// and an address such as"}},
	{"address twice in a site", "sites:\n  - listen: [\"http://:80\", \"http://:80\"]\n",
		{"2:29 :80 is named twice in this site"}},
	{"address within another",
		"sites:\n  - listen: [\"http://:80\", \"http://127.0.0.1:80\"]\n",
		{"2:29 127.0.0.1:80 is a part of :80 (line 2), and a port cannot be opened twice"}},
	{"unknown key of an address", "sites:\n  - listen: { adress: \"http://:80\" }\n",
		{"2:13 \"address\" is missing here",
			"2:15 unknown key \"adress\": did you mean \"address\"?"}},
	/* routes */
	{"route without slash", SITE "    routes: { api/: {} }\n",
		{"3:15 \"api/\" is no route: a path begins with a slash: write \"/api/\""}},
	{"route with a star", SITE "    routes: { /api/*: {} }\n",
		{"3:15 \"/api/*\" is no route: a path that ends with a slash holds for all below it: write \"/api/\""}},
	{"route by expression", SITE "    routes: { \"~ [.]php$\": {} }\n",
		{"3:16 \"~ [.]php$\" is no route: regular expressions are not supported"}},
	{"extension without dot", SITE "    routes: { \"*php\": {} }\n",
		{"3:16 \"*php\" is no route: an extension is written \"*.php\""}},
	{"extension without star", SITE "    routes: { .php: {} }\n",
		{"3:15 \".php\" is no route: an extension is written \"*.php\""}},
	{"route with a query", SITE "    routes: { \"/a?b\": {} }\n",
		{"3:16 \"/a?b\" is no route: routes look at the path alone"}},
	{"route that is never met", SITE "    routes: { /a/../b/: {} }\n",
		{"3:15 \"/a/../b/\" is no route: dot segments are removed"}},
	{"route with a space", SITE "    routes: { /a b/: {} }\n",
		{"3:15 \"/a b/\" is no route: spaces,"}},
	{"route twice", SITE "    routes:\n      /x/: {}\n      /x/: {}\n",
		{"5:7 \"/x/\" stands here twice: it is in line 4"}},
	/* headers, errors */
	{"field that weir writes", SITE "    headers: { set: { content-length: 5 } }\n",
		{"3:23 content-length is for weir to write"}},
	{"removal of a field that weir writes", SITE "    headers: { remove: [Date] }\n",
		{"3:25 Date is for weir to write"}},
	{"bad name of a field", SITE "    headers: { set: { \"X Y\": a } }\n",
		{"3:24 \"X Y\" is no field's name"}},
	{"line break in a field", SITE "    headers: { set: { X: \"a\\nSet-Cookie: b\" } }\n",
		{"3:27 the value of X has a line break in it"}},
	{"control in a field", SITE "    headers: { set: { X: \"a\\x01\" } }\n",
		{"3:27 the value of X has a control character in it"}},
	{"field set twice", SITE "    headers: { set: { X-A: a, x-a: b } }\n",
		{"3:31 x-a is set twice"}},
	{"field set and removed", SITE "    headers: { set: { X-A: a }, remove: x-a }\n",
		{"3:41 x-a is set and removed at once"}},
	{"bad status", SITE "    errors: { 200: /x, 6xx: /y }\n",
		{"3:15 \"200\" is no status of an error: write one from 400 to 599",
			"3:24 \"6xx\" is no status"}},
	{"error page without slash", SITE "    errors: { 404: 404.html }\n",
		{"3:20 \"404.html\" is no path of a page|write /404.html"}},
	{"intercept that is no switch", SITE "    errors: { 404: /404.html, intercept: maybe }\n",
		{"3:42 on or off belongs here: intercept: on"}},
	/* proxies in front */
	{"bad networks",
		"clients:\n  trusted_proxies: [10.0.0.0/8, 10.0.0.1/8, 10.0.0.0/33, proxy.example, 10.0.0.1:80, unix]\n" SITE,
		{"2:33 \"10.0.0.1/8\" is none of the proxies' addresses|a network whose address ends where its prefix does",
			"2:45 \"10.0.0.0/33\" is none of the proxies' addresses: write an address or a network such as",
			"2:58 \"proxy.example\" is none", "2:73 \"10.0.0.1:80\" is none"}},
	{"a mapping of networks", "clients: { trusted_proxies: { 10.0.0.0/8: on } }\n" SITE,
		{"1:29 a list of addresses and networks belongs here"}},
	{"no networks", "clients: { trusted_proxies: }\n" SITE,
		{"1:12 a list of addresses and networks belongs here"}},
	{"clients' keys of later", "clients: { deny: [10.0.0.0/8] }\n" SITE,
		{"1:12 unknown key \"deny\": the keys here are trusted_proxies"}},
	/* YAML */
	{"star without quotes", SITE "    host: *.example.com\n",
		{"3:11 YAML takes a word that begins with * for an alias: write it in quotes, \"*.example.com\""}},
	{"star without quotes as a key", SITE "    routes:\n      *.php: { root: off }\n",
		{"4:7 YAML takes a word that begins with * for an alias: write it in quotes, \"*.php\""}},
	{"anchor", "user: &me weir\n" SITE, {"1:11 anchors and aliases are not supported"}},
	{"alias bomb", "a: &a [x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n",
		{"1:1 unknown key", "1:7 anchors and aliases", "2:1 unknown", "2:7 anchors",
			"2:8 anchors", "2:12 anchors", "2:16 anchors", "3:1 unknown"}},
	{"tag", "user: !!str weir\n" SITE, {"1:13 tags are not supported"}},
	{"tab", "log:\n\terror: { level: info }\n" SITE,
		{"2:1 tab character may not be used as indentation: indent with spaces"}},
	{"open list", "sites: [ { listen: \"http://:80\" }\n",
		{"1:34 flow sequence without a closing bracket|the [ of line 1, column 8 is still open"}},
	{"open quotes", "user: \"weir\n",
		{"1:8 double-quoted scalar without closing quote: close the quotes"}},
	{"mapping in a line", "sites: listen: x\n",
		{"1:14 invalid nested block mapping on the same line"}},
	{"reserved sign", "user: @weir\n" SITE,
		{"1:7 plain scalar cannot start with '@': write the value in quotes"}},
	{"no colon", SITE "    root /srv\n",
		{"3:5 invalid value after mapping: a key wants a colon and a space behind it"}},
	{"key in another column", SITE "   root: /srv\n",
		{"3:4 did not find expected '-' indicator: the keys of one mapping begin in one column"}},
	{"key left of its mapping", SITE "  root: /srv\n",
		{"3:3 invalid scalar at the end of block sequence: the keys of one mapping begin in one column"}},
	{"site that is empty", "sites:\n  -\n", {"2:3 a mapping (key: value) is missing here"}},
	{"fields in a list", SITE "    headers: [X-A]\n",
		{"3:14 a mapping with set and remove belongs here; for example headers:"}},
	{"two documents", SITE "---\n" SITE, {"3:1 a second document begins behind ---"}},
	{"control character", "user: a\001b\n", {"1:8 the octet 0x01 is a control character"}},
	{"no UTF-8", "user: a\n# \xff\n", {"2:3 the octet 0xff is no UTF-8"}},
	{"key that is a list", "? [a]\n: b\n" SITE, {"1:3 a key must be one word"}},
	{"nested too deep",
		"a: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]\n",
		{"1:35 lists and mappings are nested more than 32 deep"}},
	/* files */
	{"included file that is not there", "include: sites/no-such-file.yaml\n" SITE,
		{"1:10 cannot read sites/no-such-file.yaml: No such file or directory"}},
	{"folder of includes that is not there", "include: [no-such-folder/*.yaml]\n" SITE,
		{"1:11 cannot look into /etc/weir/no-such-folder: No such file or directory"}},
	{"file that cannot be read", "list: /nowhere/deny.list\n" SITE,
		{"1:7 cannot read /nowhere/deny.list: No such file or directory"}},
	{"file that is a folder", "list: /usr\n" SITE, {"1:7 cannot read /usr: Is a directory"}},
};

/* The line of the text, from 1. */
static struct slice line_of(const char *text, unsigned number)
{
	while (--number > 0)
		text = strchr(text, '\n') + 1;
	return (struct slice){text, strcspn(text, "\n")};
}

/* Under the words stand the line and a mark below the column. */
static void assert_mark(const char *shown, const char *text, unsigned line, unsigned column)
{
	char wanted[512];
	struct slice source = line_of(text, line);
	int length = snprintf(wanted, sizeof(wanted), "%5u | ", line);
	for (size_t i = 0; i < source.len; i++) {
		unsigned char c = (unsigned char)source.ptr[i];
		wanted[length++] = (char)(c == '\t' ? ' ' : c < ' ' || c == 0xff ? '?' : c);
	}
	snprintf(wanted + length, sizeof(wanted) - (size_t)length, "\n      | %*s^",
		(int)column - 1, "");
	if (source.len > 0 && strncmp(shown, wanted, strlen(wanted)) != 0)
		fail_msg("shown:\n%s\nwanted:\n%s", shown, wanted);
}

/* The fault "LINE:COLUMN beginning|part" is what is told at `told`. Returns what is told behind it. */
static const char *assert_fault(const char *told, const char *fault, const char *text)
{
	unsigned line, column;
	int place;
	char wanted[512];
	assert_int_equal(sscanf(fault, "%u:%u %n", &line, &column, &place), 2);
	const char *words = fault + place, *part = strchr(words, '|');
	snprintf(wanted, sizeof(wanted), "weir.yaml:%u:%u: error: %.*s", line, column,
		part ? (int)(part - words) : (int)strlen(words), words);
	if (strncmp(told, wanted, strlen(wanted)) != 0)
		fail_msg("told:\n%s\nwanted:\n%s", told, wanted);
	const char *end = strchr(told, '\n');
	assert_non_null(end);
	if (part && !memmem(told, (size_t)(end - told), part + 1, strlen(part + 1)))
		fail_msg("told:\n%s\nwanted in it: %s", told, part + 1);
	assert_mark(end + 1, text, line, column);
	const char *next = strstr(end, "\nweir.yaml:");
	return next ? next + 1 : "";
}

static void is_told(void **state)
{
	const struct wrong *wrong = *state;
	struct buffer diagnostics = {0};
	assert_null(sample_load(wrong->text, &diagnostics));
	buffer_append(&diagnostics, "", 1);
	const char *told = diagnostics.ptr;
	size_t i = 0;
	for (; i < COUNT_OF(wrong->faults) && wrong->faults[i]; i++)
		told = assert_fault(told, wrong->faults[i], wrong->text);
	if (i < COUNT_OF(wrong->faults) && told[0])
		fail_msg("told besides:\n%s", told);
	buffer_free(&diagnostics);
}

static void all_at_once(void **state)
{
	static const char text[] = "threads: x\nuser:\nsites:\n  - listen: https://:1\n    rot: x\n"
				   "    routes: { a: { root: [] } }\n";
	static const char *const places[] = {"1:10", "2:1", "4:13", "5:5", "6:15", "6:26"};
	struct buffer diagnostics = {0};
	(void)state;
	assert_null(sample_load(text, &diagnostics));
	buffer_append(&diagnostics, "", 1);
	const char *told = diagnostics.ptr;
	for (size_t i = 0; i < COUNT_OF(places); i++) {
		char wanted[64];
		snprintf(wanted, sizeof(wanted), "weir.yaml:%s: error: ", places[i]);
		told = strstr(told, wanted); /* in the order of the file */
		assert_non_null(told);
	}
	buffer_free(&diagnostics);
}

static void many_are_cut(void **state)
{
	struct buffer text = {0}, diagnostics = {0};
	(void)state;
	for (int i = 0; i < 5000; i++)
		buffer_format(&text, "key%d: x\n", i);
	buffer_append(&text, "", 1);
	assert_null(sample_load(text.ptr, &diagnostics));
	buffer_append(&diagnostics, "", 1);
	assert_non_null(strstr(diagnostics.ptr, "weir.yaml:50:1:"));
	assert_null(strstr(diagnostics.ptr, "weir.yaml:51:1:"));
	assert_non_null(strstr(diagnostics.ptr, "and 4950 more\n"));
	buffer_free(&text);
	buffer_free(&diagnostics);
}

static void long_lines_are_cut(void **state)
{
	struct buffer text = {0}, diagnostics = {0};
	(void)state;
	buffer_format(&text, "user: { %03000d: x }\n", 1);
	buffer_append(&text, "", 1);
	assert_null(sample_load(text.ptr, &diagnostics));
	assert_true(diagnostics.len < 1000);
	buffer_free(&text);
	buffer_free(&diagnostics);
}

static void values_do_not_reach_the_terminal_raw(void **state)
{
	struct buffer diagnostics = {0};
	(void)state;
	assert_null(sample_load("threads: \"\\e[31m\\r\"\n" SITE, &diagnostics));
	assert_null(memchr(diagnostics.ptr, 033, diagnostics.len));
	assert_null(memchr(diagnostics.ptr, '\r', diagnostics.len));
	buffer_free(&diagnostics);
}

static void main_file_that_is_not_there(void **state)
{
	struct option_sets sets = {.sets = sample_list};
	struct buffer diagnostics = {0};
	(void)state;
	assert_null(snapshot_load(
		"/no/such/weir.yaml", (struct slice){NULL, 0}, &sets, false, &diagnostics));
	buffer_append(&diagnostics, "", 1);
	assert_string_equal(diagnostics.ptr,
		"error: cannot read /no/such/weir.yaml: No such file or directory\n");
	buffer_free(&diagnostics);
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(all_at_once),
		cmocka_unit_test(many_are_cut),
		cmocka_unit_test(long_lines_are_cut),
		cmocka_unit_test(values_do_not_reach_the_terminal_raw),
		cmocka_unit_test(main_file_that_is_not_there),
	};
	static struct CMUnitTest tests[COUNT_OF(wrongs) + COUNT_OF(others)];
	for (size_t i = 0; i < COUNT_OF(wrongs); i++) {
		tests[i].name = wrongs[i].name;
		tests[i].test_func = is_told;
		tests[i].initial_state = (void *)(uintptr_t)&wrongs[i];
	}
	memcpy(&tests[COUNT_OF(wrongs)], others, sizeof(others));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
