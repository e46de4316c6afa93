/* SPDX-License-Identifier: BSD-2-Clause */
/* The server's role of a session: streams that the peer begins, and answers. */
#include "http/h2_session_priv.h"

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	struct h2_session *s = user;
	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	h2_frames_opened(&s->frames, frame->hd.stream_id);
	struct h2_part *part = NULL;
	if (s->streams < s->streams_most)
		part = s->events->open(s->owner, frame->hd.stream_id);
	else
		s->events->refused(s->owner);
	if (!part) {
		h2_frames_forgive(&s->frames, frame->hd.stream_id);
		nghttp2_submit_rst_stream(
			ng, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	part->id = frame->hd.stream_id;
	chunks_init(&part->out);
	nghttp2_session_set_stream_user_data(ng, part->id, part);
	s->last_id = part->id;
	s->last = part;
	s->streams++;
	return 0;
}

static int on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *user)
{
	struct h2_session *s = user;
	if (h2_part_of(s, id))
		s->streams--;
	return h2_session_on_close(ng, id, code, user);
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, nghttp2_rcbuf *name,
	nghttp2_rcbuf *value, uint8_t flags, void *user)
{
	struct h2_session *s = user;
	(void)ng, (void)flags;
	struct h2_part *part = h2_part_of(s, frame->hd.stream_id);
	if (!part)
		return 0;
	nghttp2_vec n = nghttp2_rcbuf_get_buf(name), v = nghttp2_rcbuf_get_buf(value);
	s->events->field(part, (struct slice){(const char *)n.base, n.len},
		(struct slice){(const char *)v.base, v.len}, nghttp2_rcbuf_is_static(name));
	return 0;
}

struct h2_session *h2_session_server(
	const struct h2_events *events, void *owner, const struct h2_limits *limits)
{
	nghttp2_session_callbacks *c = h2_session_callbacks();
	nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback2(c, on_header);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
	struct h2_session *s = h2_session_make(events, owner, limits, c, false);
	s->streams_most = limits->streams;
	s->unsettled = true;
	nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, UINT32_MAX}, /* see put_settings */
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits->window},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits->header_list},
		{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
		{NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
	};
	h2_session_settings(s, limits, settings, COUNT_OF(settings));
	return s;
}

static struct slice status_text(struct h2_part *part, unsigned status)
{
	for (int i = 2; i >= 0; i--, status /= 10)
		part->status[i] = (char)('0' + status % 10);
	return (struct slice){part->status, 3};
}

void h2_session_respond(struct h2_session *s, struct h2_part *part, unsigned status,
	const char *date, const struct fields *fields, uint64_t length, bool end)
{
	struct h2_pairs p;
	h2_pairs_init(&p, fields->count + 3);
	h2_pairs_add(&p, SLICE(":status"), status_text(part, status), H2_LASTING);
	if (date)
		h2_pairs_add(&p, SLICE("date"), (struct slice){date, 29}, H2_LASTING);
	h2_pairs_add_fields(&p, fields, H2_LASTING);
	h2_pairs_add_length(&p, part, length);
	nghttp2_data_provider body = h2_session_body(part);
	nghttp2_submit_response(s->ng, part->id, p.list, p.count, end ? NULL : &body);
	h2_pairs_done(&p);
}

void h2_session_inform(
	struct h2_session *s, struct h2_part *part, unsigned status, const struct fields *fields)
{
	struct h2_pairs p;
	h2_pairs_init(&p, (fields ? fields->count : 0) + 1);
	h2_pairs_add(&p, SLICE(":status"), status_text(part, status), NGHTTP2_NV_FLAG_NONE);
	h2_pairs_add_fields(&p, fields, NGHTTP2_NV_FLAG_NONE);
	nghttp2_submit_headers(s->ng, NGHTTP2_FLAG_NONE, part->id, NULL, p.list, p.count, NULL);
	h2_pairs_done(&p);
}

void h2_session_prioritize(
	struct h2_session *s, struct h2_part *part, const struct priority *priority, bool ours)
{
	nghttp2_extpri place = {priority->urgency, priority->incremental};
	if (!ours && h2_frames_prioritized(&s->frames, part->id))
		return; /* a frame said so already (RFC 9218, 7) */
	nghttp2_session_change_extpri_stream_priority(s->ng, part->id, &place, ours);
}

void h2_session_announce_end(struct h2_session *s)
{
	s->announcing = true; /* the ping comes behind it: it would be sent first otherwise */
	nghttp2_submit_shutdown_notice(s->ng);
}
