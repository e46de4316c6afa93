/* SPDX-License-Identifier: BSD-2-Clause */
/* Sends a body back. */
#include "echo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/respond.h"

struct echo {
	struct source *body;
	struct request *request;
	struct buffer gathered;
	size_t room;
};

static void end(struct echo *e)
{
	source_cancel(&e->body);
	buffer_free(&e->gathered);
}

static void refuse(struct echo *e)
{
	struct request *request = e->request;
	unsigned status = request->body_fault;
	end(e);
	if (status)
		respond_builtin(request, status);
	else
		exchange_abort(request, END_CLIENT_GONE);
}

static void answer(struct echo *e)
{
	struct request *request = e->request;
	const struct fields *trailers = e->body->trailers;
	for (unsigned i = 0; trailers && i < trailers->count; i++)
		fields_add_named(&request->response.fields, &request->arena,
			arena_format(&request->arena, "T-%.*s", (int)trailers->list[i].name.len,
				trailers->list[i].name.ptr),
			trailers->list[i].value);
	request->response.status = 200;
	request->response.length = e->gathered.len;
	struct source *body = respond_memory(request, e->gathered.ptr, e->gathered.len);
	end(e);
	exchange_respond(request, body);
}

static void pull(struct source *source)
{
	struct echo *e = source->taker;
	struct chunks spans;
	enum pull verdict;
	do {
		char bytes[4096];
		chunks_init(&spans);
		verdict = e->body->ops->pull(e->body, &spans, e->room);
		assert_true(spans.memory <= e->room);
		buffer_append(&e->gathered, bytes, chunks_peek(&spans, bytes, sizeof bytes));
		chunks_clear(&spans);
	} while (verdict == PULL_MORE);
	if (verdict == PULL_FAILED)
		refuse(e);
	else if (verdict == PULL_END)
		answer(e);
}

static void gone(struct request *request)
{
	end(request_state(request));
}

void echo(struct request *request, size_t room)
{
	struct echo *e = arena_zalloc(&request->arena, sizeof *e);
	assert_true(room <= 4096);
	e->body = request->body;
	request->body = NULL;
	e->request = request;
	e->room = room;
	e->body->wake = pull;
	e->body->taker = e;
	exchange_hold(request, gone, e);
	pull(e->body);
}
