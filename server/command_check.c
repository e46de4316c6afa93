/* SPDX-License-Identifier: BSD-2-Clause */
/* weir check: is the configuration good? */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "command.h"
#include "process/worker.h"

static const char *plural(size_t count)
{
	return count == 1 ? "" : "s";
}

int command_check(
	const struct command *command, const struct program *program, int argc, char **argv)
{
	struct command_options options;
	struct buffer said = {0};
	int result = command_options(command, argc, argv, &options);
	if (result >= 0)
		return result;
	struct snapshot *snapshot = snapshot_load(
		options.file, (struct slice){NULL, 0}, program->check_sets, geteuid() != 0, &said);
	if (said.len > 0)
		fwrite(said.ptr, 1, said.len, stderr);
	buffer_free(&said);
	if (!snapshot) {
		free(options.file);
		return EXIT_FAILED;
	}
	size_t routes = 0;
	for (size_t i = 0; i < snapshot->site_count; i++)
		routes += snapshot->sites[i].route_count;
	printf("%s is good: %zu site%s, %zu route%s, listening on", options.file,
		snapshot->site_count, plural(snapshot->site_count), routes, plural(routes));
	for (size_t i = 0; i < snapshot->listener_count; i++) {
		const struct listener_settings *listener = &snapshot->listeners[i];
		printf(" %s://%.*s", listener->scheme == SCHEME_HTTPS ? "https" : "http",
			(int)listener->text.len, listener->text.ptr);
	}
	printf("\n");
	snapshot_free(snapshot);
	free(options.file);
	return EXIT_GOOD;
}
