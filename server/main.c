/* SPDX-License-Identifier: BSD-2-Clause */
/* The program: the table of commands, and the one place where the handlers meet the rest. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "advice.h"
#include "base/check.h"
#include "command.h"
#include "handlers/proxy/names_check.h"
#include "handlers/proxy/upstream.h"
#include "handlers/table.h"
#include "http/h2_session.h"
#include "http/route.h"
#include "io/loop.h"
#include "io/resolve.h"
#include "io/tls.h"
#include "io/tls_load.h"
#include "process/acme_check.h"
#include "process/acme_helper.h"
#include "process/acme_hook.h"
#include "process/magic.h"
#include "process/sandbox_filters.h"
#include "process/signer.h"
#include "process/worker.h"
#include "settings/library.h"

#define FILE_HELP                                                                                  \
	"  -c FILE   the configuration; " WEIR_SYSCONFDIR "/weir/weir.yaml if it is not given\n"

/* GnuTLS would begin by itself, in each process that is started, and most commands have no need of it: those that have call tls_begin.
 * It looks for this function by its name. */
int _gnutls_global_init_skip(void);
int _gnutls_global_init_skip(void)
{
	return 1;
}

static int run_worker(
	const struct command *command, const struct program *program, int argc, char **argv)
{
	(void)command;
	(void)argc;
	(void)argv;
	return tls_begin() ? 1 : worker_run(program);
}

static int run_signer(
	const struct command *command, const struct program *program, int argc, char **argv)
{
	(void)command;
	(void)program;
	(void)argc;
	(void)argv;
	return tls_begin() ? 1 : signer_run();
}

static int run_acme(
	const struct command *command, const struct program *program, int argc, char **argv)
{
	(void)command;
	(void)program;
	(void)argc;
	(void)argv;
	return tls_begin() ? 1 : acme_helper_run();
}

static int run_acme_hook(
	const struct command *command, const struct program *program, int argc, char **argv)
{
	(void)command;
	(void)program;
	return acme_hook(argc, argv);
}

static const struct command commands[] = {
	{"run", "[-c FILE]", "runs in the foreground",
		"Runs with a configuration until it is told to stop: by `weir stop` or a signal.\n\n" FILE_HELP
		"\nSignals: HUP reload; TERM, QUIT stop gracefully; INT, or a second TERM, stop at once;\n"
		"USR1 open the logs anew.\n",
		command_run},
	{"serve", "[DIR] [-l ADDRESS]... [-p BACKEND]... [--tls]",
		"serves a folder without a configuration",
		"Serves DIR (the working folder if it is not given); what it lacks goes to BACKEND.\n\n"
		"  -l ADDRESS   where to listen: 8080, localhost:8080, :8080, http://127.0.0.1:8080\n"
		"               (http://localhost:8080 if it is not given); https:// speaks TLS\n"
		"  -p BACKEND   an application: 3000, 127.0.0.1:3000, unix:/run/app.sock\n"
		"  --tls        https://localhost:8443 if -l is not given, with a certificate that weir makes\n"
		"               for this machine; tells how to trust it\n",
		command_serve},
	{"check", "[-c FILE]", "tells whether a configuration is good",
		"Reads a configuration as `weir run` would, and tells all that is wrong with it; names of\n"
		"backends that do not resolve are warned of.\n"
		"Exit code 0: it is good; 1: it is not.\n\n" FILE_HELP,
		command_check},
	{"explain", "[-c FILE] [-X METHOD] [-H 'FIELD: VALUE']... [--from IP] [--json] URL",
		"tells who would answer a request, and why",
		"Tells what becomes of a request with a configuration: the listener, the site, the route, each\n"
		"handler that is asked, the names that are tried on disk, the variant that is chosen, the backend\n"
		"that would be asked, and the answer. Sends nothing to anybody; weir need not run.\n\n" FILE_HELP
		"  -X METHOD           GET if it is not given\n"
		"  -H 'FIELD: VALUE'   a field of the request; Host takes the place of the URL's\n"
		"  --from IP           the client's address; 127.0.0.1 if it is not given\n"
		"  --json              for scripts\n"
		"\nExit code 0: it is told, whatever the status; 1: the configuration is not good.\n",
		command_explain},
	{"reload", "[-c FILE]", "makes the running one take up its configuration",
		"Makes the weir that runs with FILE read it again, and tells what became of it: 0 it is served,\n"
		"1 it is not good and the old one is served on.\n\n" FILE_HELP,
		command_reload},
	{"stop", "[-c FILE]", "stops the running one",
		"Stops the weir that runs with FILE: what is under way is finished, within `drain`.\n"
		"Returns when it is gone.\n\n" FILE_HELP,
		command_stop},
	{"status", "[-c FILE] [--json]", "tells how the running one does",
		"Tells processes, connections and requests of the weir that runs with FILE.\n\n" FILE_HELP
		"  --json    for scripts\n",
		command_status},
	{"worker", "", NULL, "", run_worker},
	{"signer", "", NULL, "", run_signer},
	{"acme", "", NULL, "", run_acme},
	/* the hook of uacme is named by a path alone: these are the methods that it calls it with */
	{"begin", "", NULL, "", run_acme_hook},
	{"done", "", NULL, "", run_acme_hook},
	{"failed", "", NULL, "", run_acme_hook},
};

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(commands); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static int unknown(const char *name)
{
	const char *names[COUNT_OF(commands)];
	size_t count = 0;
	for (size_t i = 0; i < COUNT_OF(commands); i++) {
		if (commands[i].summary)
			names[count++] = commands[i].name;
	}
	const char *near = value_nearest(slice_of(name), names, count);
	fprintf(stderr, "weir: there is no command %s%s%s%s: see weir --help\n", name,
		near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
	return EXIT_USAGE;
}

static void help(FILE *to)
{
	fprintf(to, "usage: weir COMMAND [OPTION]...\n\n");
	for (size_t i = 0; i < COUNT_OF(commands); i++) {
		if (commands[i].summary)
			fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].summary);
	}
	fprintf(to, "\nweir COMMAND --help tells more; weir --version tells version and features.\n"
		    "To begin with: weir serve DIR\n");
}

static void version(void)
{
	printf("weir %s\n", PACKAGE_VERSION);
	printf("libraries: libev %d.%d, c-ares %s, libfyaml %s, libmagic %d.%02d, libseccomp %s, "
	       "GnuTLS %s, nghttp2 %s\n",
		ev_version_major(), ev_version_minor(), resolve_library(), settings_library(),
		magic_library() / 100, magic_library() % 100, sandbox_filter_library(),
		tls_library(), h2_session_library());
	printf("features: http1 static proxy logs explain tls acme h2 signer\n");
}

static bool is_local(const struct upstream *upstream)
{
	for (size_t i = 0; upstream && i < upstream->server_count; i++) {
		if (upstream->servers[i].addresses[0].any.sa_family == AF_UNIX)
			return true;
	}
	return false;
}

static bool asks_local(const struct snapshot *snapshot, const struct scope *scope)
{
	const struct proxy_settings *proxy = scope_settings(snapshot, scope, &proxy_options);
	return proxy->target && is_local(proxy->target->upstream);
}

/* For the sandbox: whether any site or route passes on to a backend at a Unix socket. */
static bool has_local_backend(const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->site_count; i++) {
		const struct site *site = &snapshot->sites[i];
		if (asks_local(snapshot, &site->scope))
			return true;
		for (size_t j = 0; j < site->route_count; j++) {
			if (asks_local(snapshot, &site->routes[j].scope))
				return true;
		}
	}
	return false;
}

/* What follows when all is read. */
static int prepare(struct load *load, struct snapshot *snapshot, void *context)
{
	int result = route_prepare(load, snapshot, context);
	return acme_check(load, snapshot) ? -1 : result;
}

/* What `weir check` does besides; a worker does not ask DNS before it serves, and reads certificates with its own keys. */
static int check_prepare(struct load *load, struct snapshot *snapshot, void *context)
{
	struct tls_store *store = NULL;
	int result = prepare(load, snapshot, context);
	if (tls_begin() || tls_load(load, snapshot, tls_keys_here(), NULL, 0, &store))
		result = -1;
	tls_store_put(store);
	if (result == 0) {
		advise(load, snapshot);
		acme_advise(load, snapshot);
	}
	names_check(load, snapshot, NULL);
	return result;
}

/* A standard stream that is closed would be the next socket's number, and its peer would get to read messages. */
static void open_standard_streams(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
			return;
	}
}

int main(int argc, char **argv)
{
	open_standard_streams();
	const struct option_set *sets[2 * HANDLERS_MAX + 1] = {NULL};
	if (argc < 2) {
		help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		help(stdout);
		return EXIT_GOOD;
	}
	if (strcmp(argv[1], "--version") == 0) {
		version();
		return EXIT_GOOD;
	}
	const struct command *command = find(argv[1]);
	if (!command)
		return unknown(argv[1]);
	route_option_sets(handler_table, sets);
	const struct option_sets all = {
		.sets = sets, .finish = prepare, .context = (void *)(uintptr_t)handler_table};
	struct option_sets further = all;
	further.finish = check_prepare;
	const struct program program = {.table = handler_table,
		.sets = &all,
		.check_sets = &further,
		.has_local_backend = has_local_backend};
	return command->run(command, &program, argc - 1, argv + 1);
}
