/* SPDX-License-Identifier: BSD-2-Clause */
/* The commands of the program: each is one function that is given its arguments and returns the exit code. */
#ifndef WEIR_COMMAND_H
#define WEIR_COMMAND_H

#include <stdbool.h>

struct program;

/* No room's header but the process's is needed here: getopt.h and settings/option.h each have a `struct option`. */

/* The configuration where no other is named. */
#define COMMAND_FILE WEIR_SYSCONFDIR "/weir/weir.yaml"

/* Exit codes. */
enum { EXIT_GOOD, EXIT_FAILED, EXIT_USAGE };

/* One command, as main's table has it. */
struct command {
	const char *name;
	const char *arguments; /* for the line of usage */
	const char *summary;   /* for --help; NULL: not shown */
	const char *help;      /* for COMMAND --help, lines */
	int (*run)(const struct command *command, const struct program *program, int argc,
		char **argv);
};

typedef int command_fn(
	const struct command *command, const struct program *program, int argc, char **argv);

command_fn command_run, command_serve, command_check, command_explain, command_reload, command_stop,
	command_status;

/* What most commands take. */
struct command_options {
	char *file; /* absolute path of the configuration; free() */
	bool json;
};

/* Reads -c FILE, --help and, if the command's arguments name it, --json. Returns -1 to go on, else the exit code. */
int command_options(
	const struct command *command, int argc, char **argv, struct command_options *options);
/* "usage: weir …" on standard error; returns EXIT_USAGE. */
int command_usage(const struct command *command);
void command_help(const struct command *command);

#endif
