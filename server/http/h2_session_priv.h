/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two roles of a session share: the session itself, and fields as nghttp2 takes them. For h2_session*.c, and tests. */
#ifndef WEIR_HTTP_H2_SESSION_PRIV_H
#define WEIR_HTTP_H2_SESSION_PRIV_H

#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "base/check.h"
#include "http/h2_memory.h"
#include "http/h2_session.h"
#include "http/request.h"

#define H2_FIELDS_ON_STACK 32

struct h2_session {
	nghttp2_session *ng;
	const struct h2_events *events;
	void *owner;
	struct h2_frames frames;
	int32_t last_id; /* the stream that was looked for last; 0: none */
	struct h2_part *last;
	struct h2_memory memory;
	bool client;
	bool over;
	bool announcing;
	bool ending; /* a GOAWAY was asked for that lets streams end */
	int32_t reset_by_peer;
	int32_t last_taken; /* the highest stream that the peer's GOAWAY has left */
	/* while frames are taken out */
	struct chunks *out;
	struct chunk_block *tail;
	uint64_t memory_most, file_most;
	uint32_t streams; /* that are not closed; a client's sent or not */
	uint32_t streams_most;
	bool unsettled; /* a server's: its SETTINGS are to be sent */
	/* a client's */
	bool greets;          /* the preface is to be sent */
	struct link unsent;   /* parts of requests of which nothing was framed */
	struct link given_up; /* those of them that will not be sent: to be told */
	int32_t unmade;       /* the stream whose head was too large to be made */
};

/* Many calls in a row are about one stream. */
static inline struct h2_part *h2_part_of(struct h2_session *s, int32_t id)
{
	if (id != s->last_id) {
		s->last = nghttp2_session_get_stream_user_data(s->ng, id);
		s->last_id = s->last ? id : 0;
	}
	return s->last;
}

static inline enum h2_code h2_known_code(uint32_t code)
{
	return code <= H2_HTTP_1_1_REQUIRED ? (enum h2_code)code : H2_INTERNAL_ERROR;
}

/* A session with the callbacks that both roles have, and in `callbacks` its role's. It takes the list over. */
struct h2_session *h2_session_make(const struct h2_events *events, void *owner,
	const struct h2_limits *limits, nghttp2_session_callbacks *callbacks, bool client);
/* A list of nghttp2's callbacks with those that both roles have; a role sets its own. */
nghttp2_session_callbacks *h2_session_callbacks(void);
/* The first SETTINGS, and the connection's window. */
void h2_session_settings(struct h2_session *s, const struct h2_limits *limits,
	const nghttp2_settings_entry *settings, size_t count);

/* nghttp2's callbacks, for a role that does more than both. */
int h2_session_on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user);
int h2_session_on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *bytes,
	size_t length, void *user);
int h2_session_on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *user);
int h2_session_on_not_sent(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *user);

/* A body that is pulled from part->out. */
nghttp2_data_provider h2_session_body(struct h2_part *part);

/* A client's request of which nothing was framed will not be sent; h2_session_tell_given_up says so to its owner. */
void h2_session_give_up(struct h2_session *s, struct h2_part *part, enum h2_code code);
void h2_session_tell_given_up(struct h2_session *s);

/* --- Fields, for nghttp2. --- */

enum { H2_LASTING = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE };

/* An array for nghttp2: on the stack where that is enough. */
struct h2_pairs {
	nghttp2_nv *list;
	size_t count;
	nghttp2_nv few[H2_FIELDS_ON_STACK];
};

static inline void h2_pairs_init(struct h2_pairs *p, size_t most)
{
	p->count = 0;
	p->list = most <= H2_FIELDS_ON_STACK ? p->few : must_alloc(most * sizeof(p->few[0]));
}

static inline void h2_pairs_add(
	struct h2_pairs *p, struct slice name, struct slice value, uint8_t flags)
{
	/* nghttp2 only reads them */
	p->list[p->count++] = (nghttp2_nv){(uint8_t *)(uintptr_t)name.ptr,
		(uint8_t *)(uintptr_t)value.ptr, name.len, value.len, flags};
}

static inline void h2_pairs_add_fields(
	struct h2_pairs *p, const struct fields *fields, uint8_t flags)
{
	for (unsigned i = 0; fields && i < fields->count; i++)
		h2_pairs_add(p, fields->list[i].name, fields->list[i].value, flags);
}

/* Where it is said; the digits stand in the part. */
static inline void h2_pairs_add_length(struct h2_pairs *p, struct h2_part *part, uint64_t length)
{
	if (length != LENGTH_UNKNOWN)
		h2_pairs_add(p, SLICE("content-length"),
			(struct slice){part->length, bytes_decimal(part->length, length)},
			H2_LASTING);
}

static inline void h2_pairs_done(struct h2_pairs *p)
{
	if (p->list != p->few)
		free(p->list);
}

#endif
