/* SPDX-License-Identifier: BSD-2-Clause */
/* The commands that speak to the running weir: reload, stop, status. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "command.h"
#include "process/control_client.h"
#include "process/tally.h"

int command_reload(
	const struct command *command, const struct program *program, int argc, char **argv)
{
	struct command_options options;
	struct channel_message message;
	char sentence[256];
	(void)program;
	int result = command_options(command, argc, argv, &options);
	if (result >= 0)
		return result;
	int control = control_ask(options.file, CONTROL_RELOAD, NULL);
	result = EXIT_FAILED;
	if (control >= 0) {
		result = control_await(control, &message, sentence, sizeof(sentence));
		fprintf(result ? stderr : stdout, "weir: %s\n", sentence);
		close(control);
	}
	free(options.file);
	return result;
}

/* Until the process is gone, not only its socket. */
static void await_end(int control, int process)
{
	struct channel_message message;
	while (channel_receive(control, &message, true) == 1)
		channel_drop(&message);
	if (process >= 0)
		poll(&(struct pollfd){.fd = process, .events = POLLIN}, 1, -1);
}

int command_stop(
	const struct command *command, const struct program *program, int argc, char **argv)
{
	struct command_options options;
	struct channel_message message;
	char sentence[256];
	pid_t pid = 0;
	(void)program;
	int result = command_options(command, argc, argv, &options);
	if (result >= 0)
		return result;
	int control = control_ask(options.file, CONTROL_STOP, &pid);
	result = EXIT_FAILED;
	if (control >= 0) {
		int process = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
		result = control_await(control, &message, sentence, sizeof(sentence));
		if (result == EXIT_GOOD) {
			await_end(control, process);
			printf("weir: stopped\n");
		} else {
			fprintf(stderr, "weir: %s\n", sentence);
		}
		if (process >= 0)
			close(process);
		close(control);
	}
	free(options.file);
	return result;
}
