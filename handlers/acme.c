/* SPDX-License-Identifier: BSD-2-Clause */
/* It stands before all others: policy, redirects and applications of a site must not keep its own certificate from being had. An authority asks
 * several times, from several places, for any of our names; the folder may be shared with other machines, so that each of them
 * can answer for what one of them began. Nothing is kept: a token lives for seconds. */
#include "handlers/acme.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "http/explain.h"
#include "http/respond.h"
#include "io/disk.h"
#include "settings/tls.h"

#define TOKEN_MAX  128
#define ANSWER_MAX 1024
#define LANE       7 /* of the I/O threads: a folder that hangs takes no more than half of them */

static const struct slice place = {"/.well-known/acme-challenge/", 28};

/* --- The folders. --- */

/* The next folder of challenges that no settings before it have; `at` counts settings. */
static bool next_folder(const struct snapshot *snapshot, size_t *at, struct slice *path)
{
	for (; *at < snapshot->tls_count; ++*at) {
		const struct acme_settings *acme = &snapshot->tls[*at].acme;
		bool seen = !acme->on;
		for (size_t i = 0; i < *at && !seen; i++)
			seen = snapshot->tls[i].acme.on &&
			       slice_equal(snapshot->tls[i].acme.path, acme->path);
		if (!seen) {
			*path = acme->path;
			++*at;
			return true;
		}
	}
	return false;
}

static int acme_configure(
	struct load *load, struct snapshot *snapshot, const struct scope *scope, void *settings)
{
	size_t at = 0;
	struct slice path;
	(void)load;
	(void)scope;
	(void)settings;
	return next_folder(snapshot, &at, &path) ? 1 : 0;
}

/* The folder of challenges alone: beside it are keys. */
static void acme_grant(const struct snapshot *snapshot, grant_fn *add, void *context)
{
	size_t at = 0;
	struct slice path;
	while (next_folder(snapshot, &at, &path)) {
		struct buffer name = {0};
		buffer_format(&name, "%s/challenge/any", path.ptr);
		buffer_append(&name, "", 1);
		add(context, name.ptr, GRANT_READ);
		buffer_free(&name);
	}
}

/* --- A look. --- */

struct look {
	struct disk_job job;
	struct request *request; /* NULL: it is gone */
	const struct snapshot *snapshot;
	char token[TOKEN_MAX + 1];
	size_t length; /* of the answer; 0: there is none */
	char answer[ANSWER_MAX];
};

static size_t read_answer(struct slice folder, const char *token, char *to, size_t room)
{
	struct buffer path = {0};
	buffer_format(&path, "%s/challenge/%s", folder.ptr, token);
	buffer_append(&path, "", 1);
	int fd = open(path.ptr, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	buffer_free(&path);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, to, room);
	close(fd);
	return n > 0 ? (size_t)n : 0;
}

static void work(struct disk_job *job)
{
	struct look *look = container_of(job, struct look, job);
	size_t at = 0;
	struct slice path;
	while (look->length == 0 && next_folder(look->snapshot, &at, &path))
		look->length = read_answer(path, look->token, look->answer, sizeof(look->answer));
}

static void answer(struct request *request, const struct look *look)
{
	explain_text(request->explanation, "why",
		SLICE("an authority asks for what is to be heard from us now"));
	respond_field(request, FIELD_CONTENT_TYPE, SLICE("application/octet-stream"));
	respond_field(request, FIELD_CACHE_CONTROL, SLICE("no-store"));
	request->response.status = 200;
	request->response.length = look->length;
	exchange_respond(request, respond_memory(request, look->answer, look->length));
}

static void done(struct disk_job *job)
{
	struct look *look = container_of(job, struct look, job);
	struct request *request = look->request;
	if (request && look->length > 0) {
		answer(request, look);
	} else if (request) {
		explain_text(request->explanation, "why",
			SLICE("no challenge with this token is under way"));
		exchange_pass(request);
	}
	free(look);
}

static void cancel(struct request *request)
{
	struct look *look = request_state(request);
	look->request = NULL;
}

/* --- The handler. --- */

static bool asks(const struct request *request)
{
	struct slice path = request->target.path, token = slice_from(path, place.len);
	bool reads = request->method == METHOD_GET || request->method == METHOD_HEAD;
	return reads && slice_starts(path, place) && token.len <= TOKEN_MAX &&
	       bytes_base64url(token) && request->thread->disk;
}

static enum verdict look_for(struct request *request)
{
	struct slice token = slice_from(request->target.path, place.len);
	struct look *look = must_zalloc(sizeof(*look));
	look->request = request;
	look->snapshot = request->thread->snapshot;
	look->job.work = work;
	look->job.done = done;
	look->job.lane = LANE;
	memcpy(look->token, token.ptr, token.len);
	if (!disk_submit(request->thread->disk, request->thread->loop, &look->job)) {
		free(look);
		return PASS;
	}
	exchange_hold(request, cancel, look);
	return TAKEN;
}

static enum verdict acme_handle(struct request *request)
{
	if (asks(request))
		return look_for(request);
	explain_text(request->explanation, "why", SLICE("no challenge is asked for"));
	return PASS;
}

/* Names are certified that listen for https alone: at port 80 they are whoever's. */
static enum verdict acme_stray(struct request *request)
{
	size_t at = 0;
	struct slice path;
	return asks(request) && next_folder(request->thread->snapshot, &at, &path)
		       ? look_for(request)
		       : PASS;
}

const struct handler acme_handler = {
	.name = "acme",
	.configure = acme_configure,
	.handle = acme_handle,
	.stray = acme_stray,
	.grant = acme_grant,
};
