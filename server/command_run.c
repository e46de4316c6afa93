/* SPDX-License-Identifier: BSD-2-Clause */
/* weir run: the configuration in a file, in the foreground. */
#include <stdlib.h>
#include <unistd.h>

#include "command.h"
#include "process/supervisor.h"

int command_run(const struct command *command, const struct program *program, int argc, char **argv)
{
	struct command_options options;
	(void)program; /* the worker's business */
	int result = command_options(command, argc, argv, &options);
	if (result >= 0)
		return result;
	result = supervisor_run(&(struct supervisor_options){
		.file = options.file, .unprivileged = geteuid() != 0, .control = true});
	free(options.file);
	return result;
}
