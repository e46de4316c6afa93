/* SPDX-License-Identifier: BSD-2-Clause */
/* weir explain: its arguments. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "process/control.h"
#include "question.h"

/* What the command line says. -1 to go on, else the exit code. */
static int read_arguments(const struct command *command, int argc, char **argv,
	struct question *question, const char **fields)
{
	static const struct option known[] = {
		{"from", required_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},
		{"json", no_argument, NULL, 'j'},
		{NULL, 0, NULL, 0},
	};
	for (int option; (option = getopt_long(argc, argv, "+c:hH:X:", known, NULL)) != -1;) {
		switch (option) {
		case 'c':
			question->file = optarg;
			break;
		case 'f':
			question->from = optarg;
			break;
		case 'h':
			command_help(command);
			return EXIT_GOOD;
		case 'H':
			fields[question->field_count++] = optarg;
			break;
		case 'j':
			question->json = true;
			break;
		case 'X':
			question->method = optarg;
			break;
		default:
			return command_usage(command);
		}
	}
	if (argc - optind != 1 || !question->file[0])
		return command_usage(command);
	question->url = argv[optind];
	question->fields = fields;
	return -1;
}

int command_explain(
	const struct command *command, const struct program *program, int argc, char **argv)
{
	struct question question = {.file = COMMAND_FILE, .method = "GET"};
	const char **fields = calloc((size_t)argc, sizeof *fields);
	char *file = NULL;
	int result = fields ? read_arguments(command, argc, argv, &question, fields) : EXIT_FAILED;
	if (result < 0) {
		file = control_absolute(question.file);
		question.file = file;
		if (!file)
			perror("weir: the working folder");
		result = file ? question_ask(&question, program) : EXIT_FAILED;
	}
	free(fields);
	free(file);
	return result;
}
