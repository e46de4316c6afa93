/* SPDX-License-Identifier: BSD-2-Clause */
/* The answer of an HTTP/1.1 backend: read strictly, since what can be understood in two ways must not reach a client, and into
 * counted blocks, of which the body's spans are handed on without copying. An answer that is not whole never looks whole. */
#include "base/check.h"
#include "base/log.h"
#include "handlers/proxy/origin_h1_priv.h"
#include "http/h1_syntax.h"

#define HEAD_READ    16384 /* the first read: head and all of a small body */
#define HEAD_MAX     65536
#define HEADS_MAX    (4 * HEAD_MAX) /* interim ones included */
#define TRAILER_MAX  16384
#define BURST        (4 * ORIGIN_WINDOW) /* bytes read before others have their turn */
#define SMALL_CHUNK  2048 /* pieces below this are moved together, since a span costs more */
#define REUSE_MARGIN 750  /* thousandths of the time that a backend says it keeps connections */

/* --- The block that is read into. --- */

void origin_receive_drop(struct origin *o)
{
	if (o->block)
		ref_put(&o->block->ref);
	o->block = NULL;
	o->from = o->to = 0;
}

/* Makes room for `want` bytes behind what is unread. */
static void reserve(struct origin *o, size_t want)
{
	size_t unread = o->to - o->from;
	if (o->block && o->block->capacity - o->to >= want)
		return;
	struct chunk_block *block = chunk_block(unread + want);
	if (unread)
		memcpy(block->bytes, o->block->bytes + o->from, unread);
	origin_receive_drop(o);
	o->block = block;
	o->to = (uint32_t)unread;
}

/* Reads once, at most `want` bytes. */
static ssize_t fill(struct origin *o, size_t want)
{
	reserve(o, want);
	struct transport *t = &o->conn->transport;
	ssize_t n = t->ops->read(t, o->block->bytes + o->to, want);
	if (n > 0)
		o->to += (uint32_t)n;
	else if (o->from == o->to)
		origin_receive_drop(o);
	o->readable = n > 0 && (size_t)n == want;
	return n;
}

/* --- The body. --- */

static void give(struct origin *o, struct chunks *out, const char *bytes, size_t length)
{
	if (length == 0)
		return;
	ref_get(&o->block->ref);
	chunks_memory(out, &o->block->ref, bytes, length);
}

static void whole(struct origin *o)
{
	o->receiving = RECEIVING_DONE;
	o->extra = o->from < o->to;
	o->from = o->to;
}

static void digest_length(struct origin *o, struct chunks *out)
{
	size_t length = o->to - o->from;
	if (length > o->framing.length)
		length = (size_t)o->framing.length;
	give(o, out, o->block->bytes + o->from, length);
	o->from += (uint32_t)length;
	o->framing.length -= length;
	if (o->framing.length == 0)
		whole(o);
}

static int digest_trailers(struct origin *o)
{
	const char *bytes = o->block->bytes + o->from;
	size_t unread = o->to - o->from;
	size_t length = h1_trailer_length(bytes, unread, &o->seen);
	if (length > TRAILER_MAX || (length == 0 && unread > TRAILER_MAX))
		return -1;
	if (length == 0)
		return 0;
	if (length > 2) {
		char *copy = arena_alloc(o->arena, length);
		memcpy(copy, bytes, length);
		if (h1_parse_trailers(copy, length, o->arena, &o->trailers))
			return -1;
		o->answer.trailers = &o->trailers;
	}
	o->from += (uint32_t)length;
	whole(o);
	return 0;
}

static int digest_chunks(struct origin *o, struct chunks *out)
{
	char *run = NULL;
	size_t run_length = 0;
	enum chunked_event event = CHUNKED_DATA;
	while (event == CHUNKED_DATA && o->from < o->to) {
		char *bytes = o->block->bytes + o->from;
		struct slice data = {NULL, 0};
		size_t used = 0;
		event = chunked_next(&o->chunked, bytes, o->to - o->from, &used, &data);
		o->from += (uint32_t)used;
		if (event != CHUNKED_DATA)
			break;
		if (run && data.len < SMALL_CHUNK) {
			memmove(run + run_length, data.ptr, data.len);
			run_length += data.len;
			continue;
		}
		give(o, out, run, run_length);
		run = bytes + (data.ptr - bytes);
		run_length = data.len;
	}
	give(o, out, run, run_length);
	if (event == CHUNKED_ERROR)
		return -1;
	if (event != CHUNKED_TRAILERS)
		return 0;
	o->receiving = RECEIVING_TRAILERS;
	o->seen = 0;
	return digest_trailers(o);
}

/* Decodes what stands in the block. -1: it is malformed. */
static int digest(struct origin *o, struct chunks *out)
{
	int result = 0;
	if (o->from == o->to && o->framing.kind != FRAMING_LENGTH)
		result = 0;
	else if (o->receiving == RECEIVING_TRAILERS)
		result = digest_trailers(o);
	else if (o->framing.kind == FRAMING_CHUNKED)
		result = digest_chunks(o, out);
	else if (o->framing.kind == FRAMING_LENGTH)
		digest_length(o, out);
	else {
		give(o, out, o->block->bytes + o->from, o->to - o->from);
		o->from = o->to;
	}
	if (o->from == o->to)
		origin_receive_drop(o);
	return result;
}

static void broken(struct origin *o, enum origin_failure why, const char *what)
{
	struct slice server = o->backend->upstream->servers[o->server].text;
	log_at(&(struct log_scope){.what = "proxy"}, LOG_LEVEL_WARN, LOG_BACKEND,
		"%.*s: the body of an answer %s", (int)server.len, server.ptr, what);
	origin_fail(o, why);
}

static enum pull pause_answer(struct origin *o)
{
	o->answer_paused = true;
	o->readable = false;
	o->stalled = false;
	origin_watch(o);
	origin_expect(o);
	return PULL_PAUSED;
}

static enum pull at_end(struct origin *o, ssize_t n)
{
	bool closes = o->tunnel || o->framing.kind == FRAMING_CLOSE;
	if (n != IO_EOF || !closes) {
		broken(o, ORIGIN_CLOSED,
			n == IO_EOF ? "ended before it was whole" : "was cut off by a reset");
		return PULL_FAILED;
	}
	o->receiving = RECEIVING_DONE;
	origin_settle(o);
	return PULL_END;
}

static enum pull read_body(struct origin *o, struct chunks *out, size_t room)
{
	size_t want = room < ORIGIN_WINDOW ? room : ORIGIN_WINDOW;
	/* one more than is left shows what comes behind the answer */
	if (o->framing.kind == FRAMING_LENGTH && o->framing.length < want)
		want = (size_t)o->framing.length + 1;
	ssize_t n = fill(o, want);
	if (n == IO_AGAIN)
		return pause_answer(o);
	if (n <= 0)
		return at_end(o, n);
	o->burst += (size_t)n;
	if (digest(o, out)) {
		broken(o, ORIGIN_MALFORMED, "is malformed");
		return PULL_FAILED;
	}
	if (o->receiving == RECEIVING_DONE) {
		origin_settle(o);
		return PULL_END;
	}
	return o->readable && o->burst < BURST ? PULL_MORE : pause_answer(o);
}

static enum pull answer_pull(struct source *source, struct chunks *out, size_t room)
{
	struct origin *o = container_of(source, struct origin, answer);
	o->answer_paused = false;
	bool had = !chunks_empty(&o->ready);
	if (had) {
		chunks_move_some(out, &o->ready, room);
		if (!chunks_empty(&o->ready))
			return PULL_MORE;
	}
	if (o->receiving == RECEIVING_DONE)
		return PULL_END;
	if (o->receiving == RECEIVING_FAILED)
		return had ? PULL_MORE : PULL_FAILED;
	if (had)
		return o->readable ? PULL_MORE : pause_answer(o);
	return o->readable ? read_body(o, out, room) : pause_answer(o);
}

static void answer_cancel(struct source *source)
{
	/* the memory is the origin's, which is cancelled next */
	chunks_clear(&container_of(source, struct origin, answer)->ready);
}

const struct source_ops origin_answer_ops = {answer_pull, answer_cancel};

/* --- The head. --- */

/* Keep-Alive: timeout=5 (RFC 2068, 19.7.1.1; Node says it): a request must not cross the closing of the connection. */
static uint64_t stated_idle(const struct fields *fields, struct arena *arena)
{
	struct slice list = fields_joined(fields, arena, FIELD_KEEP_ALIVE), member;
	while (list_next(&list, &member)) {
		uint64_t seconds;
		if (member.len > 8 && strncasecmp(member.ptr, "timeout=", 8) == 0 &&
			slice_number(slice_from(member, 8), &seconds) == 0 && seconds < 86400)
			return seconds * REUSE_MARGIN + 1;
	}
	return 0;
}

/* How long the body is that GET would have had. */
static uint64_t told_length(const struct fields *fields)
{
	const struct field *field = fields_find(fields, FIELD_CONTENT_LENGTH);
	uint64_t length;
	return field && slice_number(field->value, &length) == 0 ? length : LENGTH_UNKNOWN;
}

static bool is_event_stream(const struct fields *fields)
{
	const struct field *type = fields_find(fields, FIELD_CONTENT_TYPE);
	struct slice name = SLICE("text/event-stream");
	return type && type->value.len >= name.len &&
	       slice_equal_nocase((struct slice){type->value.ptr, name.len}, name);
}

static uint64_t answer_length(const struct origin *o, unsigned status, const struct fields *fields)
{
	if (o->framing.kind == FRAMING_LENGTH)
		return o->framing.length;
	if (o->framing.kind == FRAMING_NONE)
		return o->request->method_id == METHOD_HEAD || status == 304 ? told_length(fields)
									     : 0;
	return LENGTH_UNKNOWN;
}

/* The body that stands behind the head already. -1: it is malformed, or more came than the answer. */
static int digest_first(struct origin *o)
{
	if (o->framing.kind == FRAMING_NONE) {
		whole(o);
		origin_receive_drop(o);
		return 0; /* bytes behind an answer without a body only cost the connection */
	}
	if (digest(o, &o->ready) || o->extra)
		return -1;
	return 0;
}

static void tell_head(struct origin *o, const struct h1_response *line)
{
	o->response.status = line->status;
	o->response.reason = line->reason;
	o->response.body = &o->answer;
	o->response.upgraded = o->tunnel;
	o->request = NULL;
	if (o->receiving == RECEIVING_DONE)
		origin_settle(o);
	else if (o->sending == SENDING_HELD && !o->tunnel)
		origin_send_stop(o); /* refused before it was sent */
	else if (o->sending == SENDING_BODY && line->status >= 300)
		origin_send_stop(o);
	origin_watch(o);
	o->events->head(o->owner, &o->response);
	if (!o->dead && o->tunnel)
		origin_release_body(o);
}

static int judge_framing(
	struct origin *o, const struct h1_response *line, const struct fields *fields)
{
	if (line->status == 101) {
		if (!framing_upgrade_among(o->response.upgrade, o->request->upgrade))
			return -1; /* switches to what nobody asked for */
		o->tunnel = true;
		o->framing.kind = FRAMING_CLOSE;
		return 0;
	}
	return framing_response(
		       fields, line->minor, line->status, o->request->method_id, &o->framing)
		       ? -1
		       : 0;
}

static void final_head(struct origin *o, const struct h1_response *line, struct fields *fields)
{
	o->response.upgrade = framing_upgrade(fields, o->arena);
	if (line->status == 426 &&
		o->response.upgrade.len == 0) /* must say it: RFC 9110, 15.5.22 */
		o->response.upgrade = fields_joined(fields, o->arena, FIELD_UPGRADE);
	if (judge_framing(o, line, fields)) {
		origin_fail(o, ORIGIN_MALFORMED);
		return;
	}
	if (line->minor >= 1)
		o->keep = !fields_have_token(fields, FIELD_CONNECTION, SLICE("close"));
	else
		o->keep = fields_have_token(fields, FIELD_CONNECTION, SLICE("keep-alive"));
	if (o->framing.kind == FRAMING_CLOSE)
		o->keep = false;
	if (o->keep)
		o->idle_ms = stated_idle(fields, o->arena);
	o->quiet = is_event_stream(fields);
	o->response.length = answer_length(o, line->status, fields);
	o->receiving = RECEIVING_BODY;
	if (digest_first(o)) {
		o->receiving = RECEIVING_HEAD; /* nothing was told yet */
		chunks_clear(&o->ready);
		origin_fail(o, ORIGIN_MALFORMED);
		return;
	}
	framing_remove_hop(fields, o->arena);
	fields_remove(fields, FIELD_CONTENT_LENGTH);
	o->response.fields = *fields;
	tell_head(o, line);
}

static void interim_head(struct origin *o, const struct h1_response *line, struct fields *fields)
{
	origin_expect(o);
	framing_remove_hop(fields, o->arena);
	fields_remove(fields, FIELD_CONTENT_LENGTH);
	if (line->status != 100) {
		o->events->info(o->owner, line->status, fields);
		return;
	}
	if (o->told_continue || !o->request->expect_continue)
		return; /* nobody asked */
	o->told_continue = true;
	o->events->info(o->owner, 100, fields);
	if (!o->dead)
		origin_release_body(o);
}

/* Does it begin like an answer? What does not is refused at once, not after its first empty line. */
static bool plausible(const char *bytes, size_t length)
{
	struct slice begin = SLICE("HTTP/1.");
	return memcmp(bytes, begin.ptr, length < begin.len ? length : begin.len) == 0;
}

/* Takes one head from the block. False: no other one follows, or not yet. */
static bool take_head(struct origin *o)
{
	const char *bytes = o->block->bytes + o->from;
	size_t unread = o->to - o->from;
	size_t length = h1_head_length(bytes, unread, &o->seen);
	if (!plausible(bytes, unread) || length > HEAD_MAX || (length == 0 && unread > HEAD_MAX) ||
		o->heads + length > HEADS_MAX) {
		origin_fail(o, ORIGIN_MALFORMED);
		return false;
	}
	if (length == 0)
		return false;
	char *copy = arena_alloc(o->arena, length);
	memcpy(copy, bytes, length);
	o->from += (uint32_t)length;
	o->seen = 0;
	o->heads += length;
	struct h1_response line;
	struct fields fields = {0};
	if (h1_parse_response(copy, length, o->arena, &line, &fields)) {
		origin_fail(o, ORIGIN_MALFORMED);
		return false;
	}
	if (line.status >= 200 || line.status == 101) {
		final_head(o, &line, &fields);
		return false;
	}
	interim_head(o, &line, &fields);
	if (o->dead || !o->conn || o->receiving != RECEIVING_HEAD)
		return false;
	if (o->from == o->to)
		origin_receive_drop(o);
	return o->block != NULL;
}

static void receive_head(struct origin *o)
{
	size_t unread = o->to - o->from;
	ssize_t n = fill(o, unread ? unread : HEAD_READ);
	if (n == IO_AGAIN)
		return;
	if (n <= 0) {
		origin_lost(o);
		return;
	}
	struct backend_seen *seen = o->request->seen;
	if (seen && !seen->answered_us)
		seen->answered_us = o->backend->backends->thread->clock->monotonic_us;
	if (o->holding)
		origin_send_let_go(o);
	while (take_head(o))
		;
}

void origin_receive(struct origin *o)
{
	if (o->receiving == RECEIVING_HEAD) {
		receive_head(o);
		return;
	}
	bool body = o->receiving == RECEIVING_BODY || o->receiving == RECEIVING_TRAILERS;
	o->readable = true;
	if (body && o->answer_paused) {
		o->answer_paused = false;
		source_wake(&o->answer);
		return;
	}
	o->stalled = true; /* nobody has room: not looked at again before somebody pulls */
	origin_watch(o);
}
