/* SPDX-License-Identifier: BSD-2-Clause */
/* The client's role of a session: requests on streams of its own, and what comes on them in which order (RFC 9113, 8.1). nghttp2 opens a stream
 * when it frames its head; until then a part stands in the list of those that are not sent, so that it can be taken back whatever the peer does. */
#include "http/h2_session_priv.h"

#define STATUS_INTERIM  100
#define STATUS_SWITCHED 101 /* does not exist in HTTP/2 (8.6) */
#define STATUS_FINAL    200
#define STATUS_MOST     599
#define PSEUDO_FIELDS   5

/* --- What comes. --- */

/* The stream is reset for what came on it; of what follows nothing is told but its end. */
static void refuse(struct h2_session *s, struct h2_part *part, enum h2_code code)
{
	part->fault = code;
	h2_session_reset(s, part, code);
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	struct h2_part *part = h2_part_of(user, frame->hd.stream_id);
	(void)ng;
	if (!part)
		return 0;
	part->fields_begun = false;
	if (part->section == H2_SECTION_HEAD)
		part->section = H2_SECTION_TRAILERS;
	else
		part->answer = 0;
	return 0;
}

/* Three digits from 100 to 599, or 0. */
static uint16_t parse_status(nghttp2_vec value)
{
	unsigned status = 0;
	for (size_t i = 0; i < value.len && i < 4; i++) {
		if (value.base[i] < '0' || value.base[i] > '9')
			return 0;
		status = status * 10 + (unsigned)(value.base[i] - '0');
	}
	return value.len == 3 && status >= STATUS_INTERIM && status <= STATUS_MOST
		       ? (uint16_t)status
		       : 0;
}

/* The only pseudo-field of an answer, once, before all others, and in no trailers (8.1, 8.3.2). */
static bool take_status(struct h2_part *part, nghttp2_vec name, nghttp2_vec value)
{
	bool first = !part->fields_begun && part->section != H2_SECTION_TRAILERS;
	if (!first || name.len != 7 || memcmp(name.base, ":status", 7) != 0)
		return false;
	part->fields_begun = true;
	part->answer = parse_status(value);
	return part->answer != 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, nghttp2_rcbuf *name,
	nghttp2_rcbuf *value, uint8_t flags, void *user)
{
	struct h2_session *s = user;
	(void)ng, (void)flags;
	struct h2_part *part = h2_part_of(s, frame->hd.stream_id);
	if (!part || part->fault)
		return 0;
	nghttp2_vec n = nghttp2_rcbuf_get_buf(name), v = nghttp2_rcbuf_get_buf(value);
	if (n.len && n.base[0] == ':') {
		if (!take_status(part, n, v))
			refuse(s, part, H2_PROTOCOL_ERROR);
		return 0;
	}
	part->fields_begun = true;
	s->events->field(part, (struct slice){(const char *)n.base, n.len},
		(struct slice){(const char *)v.base, v.len}, nghttp2_rcbuf_is_static(name));
	return 0;
}

/* What section was it? H2_NO_ERROR: one that may come here. */
static enum h2_code judge_section(struct h2_part *part, bool end)
{
	if (part->section == H2_SECTION_TRAILERS)
		return end ? H2_NO_ERROR : H2_PROTOCOL_ERROR;
	if (!part->answer || part->answer == STATUS_SWITCHED)
		return H2_PROTOCOL_ERROR;
	if (part->answer >= STATUS_FINAL) {
		part->section = H2_SECTION_HEAD;
		return H2_NO_ERROR;
	}
	part->section = H2_SECTION_INTERIM;
	if (++part->interim > H2_INTERIM_MOST)
		return H2_ENHANCE_YOUR_CALM;
	return end ? H2_PROTOCOL_ERROR : H2_NO_ERROR;
}

static void take_section(struct h2_session *s, struct h2_part *part, bool end)
{
	enum h2_code code = judge_section(part, end);
	if (code) {
		refuse(s, part, code);
		return;
	}
	part->ended = end;
	s->events->section(part);
}

static bool body_may_come(const struct h2_part *part)
{
	return part->section == H2_SECTION_HEAD;
}

static void take_goaway(struct h2_session *s, const nghttp2_goaway *goaway)
{
	s->last_taken = goaway->last_stream_id;
	list_each_safe (link, &s->unsent)
		h2_session_give_up(
			s, container_of(link, struct h2_part, queued), H2_REFUSED_STREAM);
	s->events->goaway(s->owner, goaway->last_stream_id, h2_known_code(goaway->error_code));
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	struct h2_session *s = user;
	struct h2_part *part;
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		part = h2_part_of(s, frame->hd.stream_id);
		if (part && !part->fault)
			take_section(s, part, end);
		return 0;
	case NGHTTP2_DATA:
		part = h2_part_of(s, frame->hd.stream_id);
		if (!part || part->fault)
			return 0;
		if (!body_may_come(part)) {
			refuse(s, part, H2_PROTOCOL_ERROR);
			return 0;
		}
		break;
	case NGHTTP2_GOAWAY:
		take_goaway(s, &frame->goaway);
		return 0;
	case NGHTTP2_SETTINGS:
		if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
			s->events->settings(s->owner);
		return 0;
	default:
		break;
	}
	return h2_session_on_frame(ng, frame, user);
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *bytes,
	size_t length, void *user)
{
	struct h2_session *s = user;
	struct h2_part *part = h2_part_of(s, id);
	if (!part || (body_may_come(part) && !part->fault))
		return h2_session_on_data(ng, flags, id, bytes, length, user);
	h2_session_consume(s, NULL, length);
	if (!part->fault)
		refuse(s, part, H2_PROTOCOL_ERROR);
	return 0;
}

static int on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *user)
{
	struct h2_session *s = user;
	struct h2_part *part = h2_part_of(s, id);
	if (part) {
		list_remove(&part->queued);
		s->streams--;
	}
	if (part && part->fault)
		code = part->fault; /* also where END_STREAM of both was sooner than RST_STREAM */
	else if (s->unmade == id)
		code = NGHTTP2_INTERNAL_ERROR; /* nghttp2 calls it refused */
	return h2_session_on_close(ng, id, code, user);
}

/* --- What is sent. --- */

static bool begins_stream(const nghttp2_frame *frame)
{
	return frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

/* The first octets of a frame leave: it was made. */
static int on_made(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	struct h2_session *s = user;
	(void)ng;
	if (!begins_stream(frame))
		return 0;
	h2_frames_began(&s->frames, frame->hd.stream_id);
	struct h2_part *part = h2_part_of(s, frame->hd.stream_id);
	if (part)
		list_remove(&part->queued);
	return 0;
}

/* nghttp2 closes the stream of a request that was not sent; the peer never knows of it. */
static int on_not_sent(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *user)
{
	struct h2_session *s = user;
	if (!begins_stream(frame))
		return h2_session_on_not_sent(ng, frame, error, user);
	if (error == NGHTTP2_ERR_FRAME_SIZE_ERROR)
		s->unmade = frame->hd.stream_id;
	return 0;
}

/* nghttp2 has put it into the buffer that sessions share: what others write there would be sent. It is ours from here on. */
static void take_preface(struct h2_session *s)
{
	const uint8_t *preface;
	check(nghttp2_session_mem_send(s->ng, &preface) == H2_PREFACE_LENGTH);
	s->greets = true;
}

struct h2_session *h2_session_client(
	const struct h2_events *events, void *owner, const struct h2_limits *limits)
{
	nghttp2_session_callbacks *c = h2_session_callbacks();
	nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback2(c, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
	nghttp2_session_callbacks_set_before_frame_send_callback(c, on_made);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(c, on_not_sent);
	struct h2_session *s = h2_session_make(events, owner, limits, c, true);
	take_preface(s);
	s->streams_most = limits->streams;
	nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits->window},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits->header_list},
	};
	h2_session_settings(s, limits, settings, COUNT_OF(settings));
	return s;
}

bool h2_session_spent(const struct h2_session *s)
{
	return s->over || s->ending || !nghttp2_session_check_request_allowed(s->ng);
}

uint32_t h2_session_room(const struct h2_session *s)
{
	if (h2_session_spent(s))
		return 0;
	uint32_t most =
		nghttp2_session_get_remote_settings(s->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
	if (most > s->streams_most)
		most = s->streams_most;
	if (s->streams >= most)
		return 0;
	uint32_t ids = (INT32_MAX - nghttp2_session_get_next_stream_id(s->ng)) / 2 + 1;
	return most - s->streams < ids ? most - s->streams : ids;
}

bool h2_session_takes_protocol(const struct h2_session *s)
{
	return nghttp2_session_get_remote_settings(
		       s->ng, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

static void add_pseudo(struct h2_pairs *p, struct slice name, struct slice value)
{
	if (value.len)
		h2_pairs_add(p, name, value, H2_LASTING);
}

int h2_session_request(struct h2_session *s, struct h2_part *part, const struct h2_request *request)
{
	struct h2_pairs p;
	if (h2_session_room(s) == 0 || (request->protocol.len && !h2_session_takes_protocol(s)))
		return -1;
	*part = (struct h2_part){.id = 0};
	chunks_init(&part->out);
	h2_pairs_init(&p, (request->fields ? request->fields->count : 0) + PSEUDO_FIELDS + 1);
	add_pseudo(&p, SLICE(":method"), request->method);
	add_pseudo(&p, SLICE(":scheme"), request->scheme);
	add_pseudo(&p, SLICE(":authority"), request->authority);
	add_pseudo(&p, SLICE(":path"), request->path);
	add_pseudo(&p, SLICE(":protocol"), request->protocol);
	h2_pairs_add_fields(&p, request->fields, H2_LASTING);
	h2_pairs_add_length(&p, part, request->length);
	nghttp2_data_provider body = h2_session_body(part);
	int32_t id = nghttp2_submit_request(
		s->ng, NULL, p.list, p.count, request->end ? NULL : &body, part);
	h2_pairs_done(&p);
	check(id > 0);
	part->id = id;
	s->streams++;
	list_append(&s->unsent, &part->queued);
	return 0;
}

/* What nghttp2 still holds of it is dropped when its turn comes, which may be never. */
void h2_session_give_up(struct h2_session *s, struct h2_part *part, enum h2_code code)
{
	nghttp2_session_set_stream_user_data(s->ng, part->id, NULL);
	nghttp2_submit_rst_stream(s->ng, NGHTTP2_FLAG_NONE, part->id, code);
	part->given_up = true;
	part->fault = code;
	list_remove(&part->queued);
	list_append(&s->given_up, &part->queued);
}

void h2_session_tell_given_up(struct h2_session *s)
{
	while (!list_empty(&s->given_up)) {
		struct h2_part *part = container_of(s->given_up.next, struct h2_part, queued);
		list_remove(&part->queued);
		s->streams--;
		s->events->closed(part, part->fault, part->id > s->last_taken);
	}
}
