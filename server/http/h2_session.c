/* SPDX-License-Identifier: BSD-2-Clause */
/* nghttp2 behind h2_session.h: what both roles have in common. What messages mean is checked by who owns the session, by the same functions as
 * HTTP/1's, so that nghttp2's own checks of them are off. */
#include "http/h2_session_priv.h"

#define ACKS_WAITING    100   /* of settings and pings, that the peer does not take */
#define SETTINGS_MOST   32    /* in one frame */
#define RESETS_BURST    20000 /* the owner weighs what they cost; this is what may never be */
#define RESETS_A_SECOND 1000
#define FRAME_BUFFER    (H2_FRAME_HEAD + 1 + 16384) /* of nghttp2, in which a frame is made */
#define COPIED_MOST     2048
#define HEAD_MOST       (256 * 1024) /* of a message that is sent */

/* --- What comes. --- */

static enum h2_code code_of(ssize_t error)
{
	switch (error) {
	case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
		return H2_PROTOCOL_ERROR;
	case NGHTTP2_ERR_FLOODED:
		return H2_ENHANCE_YOUR_CALM;
	default:
		return H2_INTERNAL_ERROR;
	}
}

static enum h2_code give(struct h2_session *s, const void *bytes, size_t length)
{
	ssize_t took = nghttp2_session_mem_recv(s->ng, bytes, length);
	return took < 0 ? code_of(took) : H2_NO_ERROR;
}

/* Tells what was seen in a frame. */
static enum h2_code tell(struct h2_session *s)
{
	struct h2_frames *f = &s->frames;
	enum h2_code code = H2_NO_ERROR;
	if (f->hollow)
		code = s->events->hollow(s->owner);
	f->hollow = false;
	if (!code && f->window && f->left == 0) {
		code = s->events->window(s->owner, f->window);
		f->window = 0;
	}
	return code;
}

/* A frame's head is whole. */
static enum h2_code begin_frame(struct h2_session *s, const struct h2_frame_head *head)
{
	enum h2_code code = s->events->frame(s->owner, head);
	if (!code)
		code = h2_frames_judge(&s->frames, head, h2_part_of(s, head->stream) != NULL);
	if (s->frames.refused)
		s->events->refused(s->owner);
	s->frames.refused = false;
	return code ? code : tell(s);
}

/* One frame, or what there is of it. A head that comes in pieces is given to nghttp2 as a whole: it takes each piece of CONTINUATION's for another
 * frame. */
static enum h2_code take(struct h2_session *s, const char *bytes, size_t length, size_t *used)
{
	size_t begun = 0;
	if (s->frames.left == 0) {
		struct h2_frame_head head;
		bool pieces = s->frames.have > 0;
		if (!h2_frames_head(&s->frames, bytes, length, &begun, &head)) {
			*used = begun;
			return H2_NO_ERROR;
		}
		enum h2_code code = begin_frame(s, &head);
		if (!code && pieces)
			code = give(s, s->frames.head, H2_FRAME_HEAD);
		if (code || pieces) {
			*used = begun;
			return code;
		}
	}
	uint32_t left = s->frames.left;
	size_t payload = length - begun < left ? length - begun : left;
	enum h2_code code = h2_frames_payload(&s->frames, bytes + begun, payload);
	*used = begun + payload;
	if (!code)
		code = tell(s);
	return code ? code : give(s, bytes, *used);
}

int h2_session_receive(struct h2_session *s, const char *bytes, size_t length)
{
	while (length > 0 && !s->over) {
		size_t used = 0;
		enum h2_code code = take(s, bytes, length, &used);
		if (code) {
			h2_session_end(s, code);
			return -1;
		}
		bytes += used;
		length -= used;
	}
	return s->over ? -1 : 0;
}

bool h2_session_amid(const struct h2_session *s)
{
	return h2_frames_amid(&s->frames);
}

bool h2_session_in_head(const struct h2_session *s)
{
	return h2_frames_in_head(&s->frames);
}

/* --- nghttp2's calls. --- */

int h2_session_on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	struct h2_session *s = user;
	(void)ng;
	if (frame->hd.type == NGHTTP2_PING) {
		if (frame->hd.flags & NGHTTP2_FLAG_ACK)
			s->events->pong(s->owner);
		return 0;
	}
	if (frame->hd.type == NGHTTP2_RST_STREAM)
		s->reset_by_peer = frame->hd.stream_id;
	if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	struct h2_part *part = h2_part_of(s, frame->hd.stream_id);
	if (!part)
		return 0;
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	part->ended = part->ended || end;
	if (frame->hd.type == NGHTTP2_HEADERS)
		s->events->section(part);
	else if (end)
		s->events->end(part);
	return 0;
}

int h2_session_on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *bytes,
	size_t length, void *user)
{
	struct h2_session *s = user;
	(void)flags;
	struct h2_part *part = h2_part_of(s, id);
	if (part)
		s->events->data(part, (const char *)bytes, length);
	else
		nghttp2_session_consume_connection(ng, length);
	return 0;
}

int h2_session_on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *user)
{
	struct h2_session *s = user;
	struct h2_part *part = h2_part_of(s, id);
	bool by_peer = s->reset_by_peer == id || id > s->last_taken;
	if (!by_peer && (code || (part && !part->ended)))
		h2_frames_forgive(&s->frames, id);
	if (!part)
		return 0;
	nghttp2_session_set_stream_user_data(ng, id, NULL);
	s->last_id = 0;
	s->last = NULL;
	s->events->closed(part, h2_known_code(code), by_peer);
	return 0;
}

static int on_sent(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	struct h2_session *s = user;
	if (frame->hd.type == NGHTTP2_GOAWAY && s->announcing) {
		s->announcing = false;
		nghttp2_submit_ping(ng, NGHTTP2_FLAG_NONE, NULL);
	}
	if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
		(frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS))
		return 0;
	struct h2_part *part = h2_part_of(s, frame->hd.stream_id);
	if (part) {
		part->sent = true;
		s->events->framed(part, 0);
	}
	return 0;
}

/* A head that is larger than nghttp2 makes: nobody would be answered. */
int h2_session_on_not_sent(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *user)
{
	(void)error;
	if (frame->hd.type == NGHTTP2_HEADERS && h2_part_of(user, frame->hd.stream_id))
		nghttp2_submit_rst_stream(
			ng, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
	return 0;
}

/* --- What is sent. --- */

/* Heads of frames share a block: a span each would be dear. */
static void put(struct h2_session *s, const void *bytes, size_t length)
{
	if (length <= CHUNK_WRITE_MOST)
		chunks_write(s->out, &s->tail, bytes, length);
	else
		chunks_copy(s->out, bytes, length);
}

static bool full(const struct h2_session *s)
{
	return s->out->memory >= s->memory_most || s->out->length - s->out->memory >= s->file_most;
}

/* A span of its own costs as much as copying a little. */
static void move_body(struct h2_session *s, struct chunks *body, size_t length)
{
	const struct chunk *span = body->first;
	if (length > 0 && length <= COPIED_MOST && span->ptr && span->length >= length) {
		put(s, span->ptr, length);
		chunks_consume(body, length);
	} else {
		chunks_move_some(s->out, body, length);
	}
}

static int send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head, size_t length,
	nghttp2_data_source *source, void *user)
{
	struct h2_session *s = user;
	struct h2_part *part = source->ptr;
	(void)ng, (void)frame;
	put(s, head, H2_FRAME_HEAD);
	move_body(s, &part->out, length);
	s->events->framed(part, length);
	/* no frame may be left half-way in the buffer, which is not this session's alone */
	return full(s) ? NGHTTP2_ERR_PAUSE : 0;
}

static ssize_t read_data(nghttp2_session *ng, int32_t id, uint8_t *to, size_t length,
	uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct h2_part *part = source->ptr;
	struct h2_session *s = user;
	(void)to;
	if (part->out.length == 0 && !part->out_end) {
		part->idle = true;
		s->events->framed(part, 0);
		return NGHTTP2_ERR_DEFERRED;
	}
	if (part->out.length && !part->out.first->ptr &&
		!chunk_stands(part->out.first, CHUNK_AHEAD)) {
		part->stale = true;
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (part->out.length > length)
		return (ssize_t)length;
	if (part->out_end) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (part->trailers && part->trailers->count) {
			struct h2_pairs p;
			h2_pairs_init(&p, part->trailers->count);
			h2_pairs_add_fields(&p, part->trailers, H2_LASTING);
			if (nghttp2_submit_trailer(ng, id, p.list, p.count) == 0)
				*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			h2_pairs_done(&p);
		}
	}
	return (ssize_t)part->out.length;
}

nghttp2_data_provider h2_session_body(struct h2_part *part)
{
	return (nghttp2_data_provider){.source.ptr = part, .read_callback = read_data};
}

/* nghttp2 ends the connection where a stream too many is begun; RFC 9113, 5.1.2, has that stream refused. So nghttp2 knows of no limit,
 * and the peer of ours: from the first frame of a server. */
static void put_settings(struct h2_session *s, const uint8_t *bytes, size_t length)
{
	uint8_t frame[128];
	check(length <= sizeof frame && bytes[3] == H2_SETTINGS);
	memcpy(frame, bytes, length);
	for (size_t at = H2_FRAME_HEAD; at + 6 <= length; at += 6)
		if (frame[at] == 0 && frame[at + 1] == NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
			for (unsigned i = 0; i < 4; i++)
				frame[at + 2 + i] = (uint8_t)(s->streams_most >> (24 - 8 * i));
	put(s, frame, length);
	s->unsettled = false;
}

bool h2_session_send(struct h2_session *s, struct chunks *out, uint64_t memory, uint64_t file)
{
	uint64_t before = out->length;
	if (s->client)
		h2_session_tell_given_up(s);
	s->out = out;
	s->memory_most = memory;
	s->file_most = file;
	if (s->greets)
		put(s, H2_PREFACE, H2_PREFACE_LENGTH);
	s->greets = false;
	while (!full(s)) {
		const uint8_t *bytes;
		ssize_t n = nghttp2_session_mem_send(s->ng, &bytes);
		if (n < 0)
			s->over = true;
		if (n <= 0)
			break;
		if (s->unsettled)
			put_settings(s, bytes, (size_t)n);
		else
			put(s, bytes, (size_t)n);
	}
	s->out = NULL;
	if (s->tail)
		ref_put(&s->tail->ref);
	s->tail = NULL;
	return out->length > before;
}

bool h2_session_over(const struct h2_session *s)
{
	return s->over || (!nghttp2_session_want_read(s->ng) && !nghttp2_session_want_write(s->ng));
}

bool h2_session_window_fits(const struct h2_session *s, const struct h2_part *part, uint32_t size)
{
	/* one below zero is told as zero, and fits, whatever the size */
	int64_t window = nghttp2_session_get_stream_remote_window_size(s->ng, part->id);
	int64_t initial =
		nghttp2_session_get_remote_settings(s->ng, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE);
	return window - initial + size <= H2_WINDOW_MOST;
}

bool h2_session_window_open(const struct h2_session *s, const struct h2_part *part)
{
	return nghttp2_session_get_stream_remote_window_size(s->ng, part->id) > 0;
}

void h2_session_resume(struct h2_session *s, struct h2_part *part)
{
	if (!part->idle)
		return;
	part->idle = false;
	nghttp2_session_resume_data(s->ng, part->id);
}

void h2_session_reset(struct h2_session *s, struct h2_part *part, enum h2_code code)
{
	if (!link_listed(&part->queued))
		nghttp2_submit_rst_stream(s->ng, NGHTTP2_FLAG_NONE, part->id, code);
	else if (!part->given_up)
		h2_session_give_up(s, part, code);
}

void h2_session_consume(struct h2_session *s, struct h2_part *part, size_t length)
{
	if (length > 0)
		nghttp2_session_consume_connection(s->ng, length);
	/* of a stream also none: what it gave back before may be worth a frame by now, in a window that was narrowed */
	if (part)
		nghttp2_session_consume_stream(s->ng, part->id, length);
}

void h2_session_narrow(struct h2_session *s, const struct h2_part *part, uint32_t window)
{
	nghttp2_session_set_local_window_size(s->ng, NGHTTP2_FLAG_NONE, part->id, (int32_t)window);
}

void h2_session_widen(
	struct h2_session *s, const struct h2_part *part, uint32_t window, size_t length)
{
	nghttp2_session_set_local_window_size(s->ng, NGHTTP2_FLAG_NONE, part->id, (int32_t)window);
	nghttp2_session_consume_stream(s->ng, part->id, length);
}

/* --- The connection. --- */

void h2_session_end(struct h2_session *s, enum h2_code code)
{
	nghttp2_session_terminate_session(s->ng, code);
}

void h2_session_end_gently(struct h2_session *s)
{
	s->ending = true;
	nghttp2_submit_goaway(s->ng, NGHTTP2_FLAG_NONE,
		nghttp2_session_get_last_proc_stream_id(s->ng), NGHTTP2_NO_ERROR, NULL, 0);
}

static nghttp2_option *options(const struct h2_limits *limits)
{
	nghttp2_option *o;
	check(nghttp2_option_new(&o) == 0);
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_no_http_messaging(o, 1);
	nghttp2_option_set_no_closed_streams(o, 1);
	nghttp2_option_set_max_outbound_ack(o, ACKS_WAITING);
	nghttp2_option_set_max_send_header_block_length(o, HEAD_MOST);
	nghttp2_option_set_max_settings(o, SETTINGS_MOST);
	nghttp2_option_set_max_deflate_dynamic_table_size(o, limits->table);
	nghttp2_option_set_builtin_recv_extension_type(o, NGHTTP2_PRIORITY_UPDATE);
#ifdef HAVE_NGHTTP2_OPTION_SET_STREAM_RESET_RATE_LIMIT
	nghttp2_option_set_stream_reset_rate_limit(o, RESETS_BURST, RESETS_A_SECOND);
#endif
#ifdef HAVE_NGHTTP2_OPTION_SET_MAX_CONTINUATIONS
	nghttp2_option_set_max_continuations(o, H2_CONTINUATIONS + 1);
#endif
	return o;
}

nghttp2_session_callbacks *h2_session_callbacks(void)
{
	nghttp2_session_callbacks *c;
	check(nghttp2_session_callbacks_new(&c) == 0);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, h2_session_on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, h2_session_on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, h2_session_on_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(c, on_sent);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(c, h2_session_on_not_sent);
	nghttp2_session_callbacks_set_send_data_callback(c, send_data);
	return c;
}

struct h2_session *h2_session_make(const struct h2_events *events, void *owner,
	const struct h2_limits *limits, nghttp2_session_callbacks *callbacks, bool client)
{
	struct h2_session *s = must_zalloc(sizeof *s);
	s->events = events;
	s->owner = owner;
	s->client = client;
	s->last_taken = INT32_MAX;
	list_init(&s->unsent);
	list_init(&s->given_up);
	h2_frames_init(&s->frames, client);
	nghttp2_option *o = options(limits);
	nghttp2_mem memory = {
		&s->memory, h2_memory_alloc, h2_memory_free, h2_memory_zalloc, h2_memory_realloc};
	s->memory.shared_size = FRAME_BUFFER;
	int made = client ? nghttp2_session_client_new3(&s->ng, callbacks, s, o, &memory)
			  : nghttp2_session_server_new3(&s->ng, callbacks, s, o, &memory);
	check(made == 0);
	s->memory.shared_size = 0;
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_option_del(o);
	return s;
}

void h2_session_settings(struct h2_session *s, const struct h2_limits *limits,
	const nghttp2_settings_entry *settings, size_t count)
{
	nghttp2_submit_settings(s->ng, NGHTTP2_FLAG_NONE, settings, count);
	nghttp2_session_set_local_window_size(
		s->ng, NGHTTP2_FLAG_NONE, 0, (int32_t)limits->connection_window);
}

const char *h2_session_library(void)
{
	return nghttp2_version(0)->version_str;
}

void h2_session_free(struct h2_session *s)
{
	nghttp2_session_del(s->ng);
	free(s);
}
