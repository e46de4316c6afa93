/* SPDX-License-Identifier: BSD-2-Clause */
/* weir serve: a folder, and what it lacks from a backend, without a configuration. A small one is written and run as any other. */
#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "io/tls_local.h"
#include "process/control.h"
#include "process/supervisor.h"
#include "settings/value.h"

#define TEXTS_MAX 32

struct serve {
	char *folder; /* absolute */
	const char *listen[TEXTS_MAX];
	unsigned listen_count;
	const char *backends[TEXTS_MAX];
	unsigned backend_count;
	char user[64]; /* the worker's account, when root starts it */
	bool tls;
	struct arena arena;
	struct tls_local local;
};

/* --- The configuration. --- */

/* A scalar in double quotes; octets of UTF-8 stand for themselves. */
static void put_quoted(struct buffer *to, const char *text)
{
	buffer_append(to, "\"", 1);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '"' || c == '\\')
			buffer_format(to, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			buffer_format(to, "\\x%02x", c);
		else
			buffer_append(to, text, 1);
	}
	buffer_append(to, "\"", 1);
}

static bool is_number(const char *text)
{
	uint64_t number;
	return slice_number(slice_of(text), &number) == 0;
}

static void put_address(struct buffer *to, const char *scheme, const char *text)
{
	char *whole = NULL;
	if (is_number(text)) {
		if (asprintf(&whole, "%s://localhost:%s", scheme, text) < 0)
			abort();
	} else if (!strstr(text, "://")) {
		if (asprintf(&whole, "%s://%s", scheme, text) < 0)
			abort();
	}
	put_quoted(to, whole ? whole : text);
	free(whole);
}

/* "8080", ":8080", "localhost:8080" and "127.0.0.1:8080" are taken with and without their scheme. */
static void put_listen(struct buffer *to, const char *text)
{
	put_address(to, "http", text);
}

static void put_listen_tls(struct buffer *to, const char *text)
{
	put_address(to, "https", text);
}

/* "3000" and "localhost:3000" are on this machine. */
static void put_backend(struct buffer *to, const char *text)
{
	char *whole = NULL;
	const char *port = is_number(text) ? text : NULL;
	if (strncmp(text, "http://", 7) == 0)
		text += 7;
	if (strncmp(text, "localhost:", 10) == 0)
		port = text + 10;
	else if (text[0] == ':')
		port = text + 1;
	if (port && asprintf(&whole, "127.0.0.1:%s", port) < 0)
		abort();
	put_quoted(to, whole ? whole : text);
	free(whole);
}

static void put_list(struct buffer *to, const char *key, const char *const *texts, unsigned count,
	void (*put)(struct buffer *to, const char *text))
{
	buffer_format(to, "    %s: [", key);
	for (unsigned i = 0; i < count; i++) {
		if (i > 0)
			buffer_append(to, ", ", 2);
		put(to, texts[i]);
	}
	buffer_append(to, "]\n", 2);
}

/* Whether everybody may enter the folder and all above it, and read it. */
static bool is_open_to_all(const char *folder)
{
	char *path = must_strdup(folder);
	struct stat st;
	mode_t need = S_IROTH | S_IXOTH;
	bool open = true;
	while (open) {
		open = stat(path[0] ? path : "/", &st) == 0 && (st.st_mode & need) == need;
		need = S_IXOTH;
		char *slash = strrchr(path, '/');
		if (!slash || !path[0])
			break;
		*slash = 0;
	}
	free(path);
	return open;
}

/* Started by root, the worker becomes nobody; where nobody may not read the folder, the folder's owner. */
static void choose_user(struct serve *serve, const struct stat *st)
{
	const struct passwd *owner = NULL;
	if (geteuid() != 0)
		return;
	if (!is_open_to_all(serve->folder))
		owner = getpwuid(st->st_uid);
	snprintf(serve->user, sizeof(serve->user), "%s", owner ? owner->pw_name : "nobody");
}

static void write_configuration(const struct serve *serve, struct buffer *to)
{
	if (serve->user[0]) {
		buffer_format(to, "user: ");
		put_quoted(to, serve->user);
		buffer_append(to, "\n", 1);
	}
	if (serve->tls) {
		buffer_format(to, "tls: { certificates: { certificate: ");
		put_quoted(to, serve->local.certificate.ptr);
		buffer_format(to, ", key: ");
		put_quoted(to, serve->local.key.ptr);
		buffer_format(to, " } }\n");
	}
	buffer_format(to, "sites:\n  - root: ");
	put_quoted(to, serve->folder);
	buffer_append(to, "\n", 1);
	put_list(to, "listen", serve->listen, serve->listen_count,
		serve->tls ? put_listen_tls : put_listen);
	if (serve->backend_count == 1) {
		buffer_format(to, "    proxy: ");
		put_backend(to, serve->backends[0]);
		buffer_append(to, "\n", 1);
	} else if (serve->backend_count > 1) {
		put_list(to, "proxy", serve->backends, serve->backend_count, put_backend);
	}
}

/* --- TLS. --- */

/* Addresses that are listened at are hosts of the certificate. */
static int prepare_tls(struct serve *serve)
{
	struct slice names[TEXTS_MAX];
	size_t count = 0;
	struct buffer fault = {0};
	for (unsigned i = 0; i < serve->listen_count; i++) {
		const char *text = strstr(serve->listen[i], "://");
		text = text ? text + 3 : serve->listen[i];
		struct slice host = {text, strcspn(text, "/")};
		struct address address;
		if (host.len > 0 && text[0] == '[')
			host = (struct slice){text + 1, strcspn(text + 1, "]")};
		else if (memrchr(host.ptr, ':', host.len))
			host.len = (size_t)((const char *)memrchr(host.ptr, ':', host.len) - text);
		if (value_ip(host, &address) == 0)
			names[count++] = arena_slice(&serve->arena, host);
	}
	int result = tls_local_prepare(tls_local_folder(&serve->arena, geteuid() != 0), names,
		count, &serve->arena, &serve->local, &fault);
	if (result)
		fprintf(stderr, "weir: %.*s\n", (int)fault.len, fault.ptr);
	buffer_free(&fault);
	return result;
}

static void tell_authority(const struct serve *serve)
{
	const char *path = serve->local.authority.ptr;
	printf("its certificate is by an authority that weir has made for this machine%s: %s\n",
		serve->local.made ? " just now" : "", path);
	printf("  curl:      curl --cacert %s\n", path);
	printf("  all of it: sudo cp %s /usr/local/share/ca-certificates/weir.crt && sudo "
	       "update-ca-certificates\n",
		path);
	printf("  browsers:  certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n weir -i %s\n", path);
}

/* --- The command. --- */

static void tell(const char *serving, void *context)
{
	const struct serve *serve = context;
	printf("weir serves %s at %s\n", serve->folder, serving);
	if (serve->backend_count > 0) {
		printf("what it lacks falls through to");
		for (unsigned i = 0; i < serve->backend_count; i++)
			printf(" %s", serve->backends[i]);
		printf("\n");
	} else {
		printf("what it lacks is answered with 404 (-p 127.0.0.1:3000: falls through to an application)\n");
	}
	if (serve->tls)
		tell_authority(serve);
	if (strcmp(serve->user, "root") == 0)
		printf("as root, for nobody else may read the folder\n");
	printf("Ctrl-C ends it\n");
	fflush(stdout);
}

static int add_text(const char **list, unsigned *count, const char *text)
{
	if (*count == TEXTS_MAX || !text[0])
		return -1;
	list[(*count)++] = text;
	return 0;
}

/* -1 to go on, else the exit code. */
static int read_arguments(const struct command *command, int argc, char **argv, struct serve *serve)
{
	static const struct option known[] = {
		{"help", no_argument, NULL, 'h'},
		{"tls", no_argument, NULL, 't'},
		{NULL, 0, NULL, 0},
	};
	int failed = 0;
	for (int option; (option = getopt_long(argc, argv, "l:p:h", known, NULL)) != -1;) {
		switch (option) {
		case 'h':
			command_help(command);
			return EXIT_GOOD;
		case 'l':
			serve->tls |= strncmp(optarg, "https:", 6) == 0;
			failed |= add_text(serve->listen, &serve->listen_count, optarg);
			break;
		case 'p':
			failed |= add_text(serve->backends, &serve->backend_count, optarg);
			break;
		case 't':
			serve->tls = true;
			break;
		default:
			return command_usage(command);
		}
	}
	bool encrypted = false;
	for (unsigned i = 0; i < serve->listen_count; i++)
		encrypted |= strncmp(serve->listen[i], "http:", 5) != 0;
	if (serve->listen_count == 0 || (serve->tls && !encrypted))
		failed |= add_text(serve->listen, &serve->listen_count,
			serve->tls ? "https://localhost:8443" : "http://localhost:8080");
	if (failed || argc - optind > 1 || (optind < argc && argv[optind][0] == 0))
		return command_usage(command);
	serve->folder = control_absolute(optind < argc ? argv[optind] : ".");
	return -1;
}

int command_serve(
	const struct command *command, const struct program *program, int argc, char **argv)
{
	struct serve serve = {0};
	struct buffer text = {0};
	struct stat st;
	(void)program;
	int result = read_arguments(command, argc, argv, &serve);
	if (result >= 0)
		return result;
	if (!serve.folder || stat(serve.folder, &st) ||
		(!S_ISDIR(st.st_mode) && (errno = ENOTDIR))) {
		fprintf(stderr, "weir: %s: %s\n",
			serve.folder ? serve.folder : "the working folder", strerror(errno));
		free(serve.folder);
		return EXIT_FAILED;
	}
	arena_init(&serve.arena, NULL, 0);
	if (serve.tls && prepare_tls(&serve)) {
		free(serve.folder);
		return EXIT_FAILED;
	}
	choose_user(&serve, &st);
	write_configuration(&serve, &text);
	result = supervisor_run(&(struct supervisor_options){.file = "weir serve",
		.text = {text.ptr, text.len},
		.folder = serve.folder,
		.unprivileged = true,
		.ready = tell,
		.context = &serve});
	buffer_free(&text);
	arena_reset(&serve.arena);
	free(serve.folder);
	return result;
}
