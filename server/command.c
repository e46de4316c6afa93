/* SPDX-License-Identifier: BSD-2-Clause */
/* What the commands have in common: their options, usage, help. */
#include "command.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process/control.h"

int command_usage(const struct command *command)
{
	fprintf(stderr, "usage: weir %s%s%s\n", command->name, command->arguments[0] ? " " : "",
		command->arguments);
	return EXIT_USAGE;
}

void command_help(const struct command *command)
{
	printf("usage: weir %s%s%s\n\n%s", command->name, command->arguments[0] ? " " : "",
		command->arguments, command->help);
}

int command_options(
	const struct command *command, int argc, char **argv, struct command_options *options)
{
	static const struct option known[] = {
		{"help", no_argument, NULL, 'h'},
		{"json", no_argument, NULL, 'j'},
		{NULL, 0, NULL, 0},
	};
	const char *file = COMMAND_FILE;
	*options = (struct command_options){0};
	for (int option; (option = getopt_long(argc, argv, "+c:h", known, NULL)) != -1;) {
		if (option == 'h') {
			command_help(command);
			return EXIT_GOOD;
		} else if (option == 'c') {
			file = optarg;
		} else if (option == 'j' && strstr(command->arguments, "--json")) {
			options->json = true;
		} else {
			return command_usage(command);
		}
	}
	if (optind < argc || !file[0])
		return command_usage(command);
	options->file = control_absolute(file);
	if (!options->file) {
		perror("weir: the working folder");
		return EXIT_FAILED;
	}
	/* no file can have it, and no message to a worker would hold it */
	if (strlen(options->file) >= PATH_MAX) {
		fprintf(stderr, "weir: the path of the configuration is too long\n");
		free(options->file);
		options->file = NULL;
		return EXIT_USAGE;
	}
	return -1;
}
