/* SPDX-License-Identifier: BSD-2-Clause */
/* A token is base64url (RFC 8555, 8.3) and becomes the name of a file; nothing else does. What uacme hands over came from the network. */
#include "process/acme_hook.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/whole.h"

#define TOKEN_MAX 128

/* A key authorization: the token, a dot, the account key's thumbprint (RFC 8555, 8.1). */
static bool is_authorization(struct slice text, struct slice token)
{
	return text.len <= TOKEN_MAX + 128 && slice_starts(text, token) &&
	       slice_starts(slice_from(text, token.len), SLICE(".")) &&
	       bytes_base64url(slice_from(text, token.len + 1));
}

/* In one step, so that nobody is answered with half of it. */
static int put(int folder, const char *token, struct slice text)
{
	char new[TOKEN_MAX + 16];
	snprintf(new, sizeof(new), ".%s.new", token);
	int error = whole_replace(folder, token, new, text, 0600);
	errno = error;
	return error ? -1 : 0;
}

static int obey(const char *method, int folder, const char *token, const char *authorization)
{
	if (strcmp(method, "begin") == 0)
		return put(folder, token, slice_of(authorization));
	return unlinkat(folder, token, 0) && errno != ENOENT ? -1 : 0;
}

int acme_hook(int argc, char **argv)
{
	const char *path = getenv(ACME_HOOK_FOLDER);
	if (argc != 5 || !path || path[0] != '/') {
		fprintf(stderr, "weir: only uacme runs this, with a challenge\n");
		return 1;
	}
	struct slice token = slice_of(argv[3]);
	if (strcmp(argv[1], "http-01") !=
		0) /* the authority offers several kinds; uacme asks for each */
		return 1;
	if (token.len > TOKEN_MAX || !bytes_base64url(token) ||
		!is_authorization(slice_of(argv[4]), token)) {
		fprintf(stderr, "weir: the authority's token is none\n");
		return 1;
	}
	int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int result = folder < 0 ? -1 : obey(argv[0], folder, argv[3], argv[4]);
	if (result)
		fprintf(stderr, "weir: cannot write the challenge to %s: %s\n", path,
			strerror(errno));
	if (folder >= 0)
		close(folder);
	return result ? 1 : 0;
}
