/* SPDX-License-Identifier: BSD-2-Clause */
/* Heads of HTTP/2's frames, and what they may say of which stream. */
#include "http/h2_frame.h"

#include <string.h>

#include "base/check.h"

#define SETTING             6 /* octets */
#define INITIAL_WINDOW_SIZE 4 /* RFC 9113, 6.5.2 */

void h2_frames_init(struct h2_frames *f, bool client)
{
	*f = (struct h2_frames){.left = client ? 0 : H2_PREFACE_LENGTH, .client = client};
}

bool h2_frames_head(struct h2_frames *f, const char *bytes, size_t length, size_t *used,
	struct h2_frame_head *head)
{
	size_t missing = (size_t)(H2_FRAME_HEAD - f->have);
	*used = missing < length ? missing : length;
	memcpy(f->head + f->have, bytes, *used);
	f->have += (uint8_t)*used;
	if (f->have < H2_FRAME_HEAD)
		return false;
	const uint8_t *h = f->head;
	*head = (struct h2_frame_head){
		.length = (uint32_t)h[0] << 16 | (uint32_t)h[1] << 8 | h[2],
		.type = h[3],
		.flags = h[4],
		.stream = (h[5] & 0x7f) << 24 | h[6] << 16 | h[7] << 8 | h[8],
	};
	f->have = 0;
	f->left = head->length;
	f->type = head->type;
	f->stream = head->stream;
	return true;
}

static enum h2_code judge_closed(
	const struct h2_frames *f, const struct h2_frame_head *head, bool open)
{
	if (open || head->stream % 2 == 0 || head->stream > f->last_open ||
		head->stream <= f->forgiven)
		return H2_NO_ERROR;
	if (head->type == H2_HEADERS && head->stream >= f->skipped_from &&
		head->stream <= f->skipped_to)
		return H2_PROTOCOL_ERROR; /* RFC 9113, 5.1.1 */
	return H2_STREAM_CLOSED;          /* 5.1 */
}

static void note_new(struct h2_frames *f, int32_t stream)
{
	f->refused = f->last_seen > f->last_open;
	if (f->refused)
		f->forgiven = f->last_seen;
	int32_t next = f->last_seen ? f->last_seen + 2 : 1;
	if (stream > next) {
		if (!f->skipped_from)
			f->skipped_from = next;
		f->skipped_to = stream - 2;
	}
	f->last_seen = stream;
}

/* Where it is padded, the first octet of the payload says how much of it is content. */
static void note_content(struct h2_frames *f, const struct h2_frame_head *head)
{
	if (head->flags & H2_FLAG_END_STREAM)
		return;
	f->hollow = head->length == 0;
	f->sought = head->flags & H2_FLAG_PADDED ? 1 : 0;
}

enum h2_code h2_frames_judge(struct h2_frames *f, const struct h2_frame_head *head, bool open)
{
	f->peeked = f->sought = 0;
	f->window = 0;
	switch (head->type) {
	case H2_HEADERS:
		f->continuations = 0;
		f->block = !(head->flags & H2_FLAG_END_HEADERS);
		if (head->stream % 2 == 0 || head->stream <= f->last_seen)
			return judge_closed(f, head, open);
		if (f->client)
			return H2_PROTOCOL_ERROR; /* 5.1: a server begins none */
		note_new(f, head->stream);
		return H2_NO_ERROR;
	case H2_DATA:
		note_content(f, head);
		return judge_closed(f, head, open);
	case H2_PUSH_PROMISE:
		/* 8.4: our settings, which refuse it, came before any request */
		return f->client ? H2_PROTOCOL_ERROR : H2_NO_ERROR;
	case H2_CONTINUATION:
		f->block = !(head->flags & H2_FLAG_END_HEADERS);
		if (head->length > H2_FRAME_MOST)
			return H2_FRAME_SIZE_ERROR; /* 4.2; nghttp2 looks at the other types only */
		return ++f->continuations > H2_CONTINUATIONS ? H2_ENHANCE_YOUR_CALM : H2_NO_ERROR;
	case H2_PRIORITY:
		f->sought = 4;
		return head->stream == 0 ? H2_PROTOCOL_ERROR : H2_NO_ERROR; /* 6.3 */
	case H2_PRIORITY_UPDATE:
		f->sought = 4;
		return H2_NO_ERROR;
	case H2_SETTINGS:
		f->sought = SETTING;
		return H2_NO_ERROR;
	default:
		return H2_NO_ERROR;
	}
}

static uint32_t number32(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* The first four octets of PRIORITY and PRIORITY_UPDATE name a stream. */
static enum h2_code judge_named(struct h2_frames *f)
{
	int32_t named = (int32_t)(number32(f->peek) & H2_WINDOW_MOST);
	if (f->type == H2_PRIORITY)
		return named == f->stream ? H2_PROTOCOL_ERROR : H2_NO_ERROR; /* RFC 7540, 5.3.1 */
	if (named == 0)
		return H2_PROTOCOL_ERROR; /* RFC 9218, 7.1 */
	if (named > f->last_seen)
		f->prioritized[named / 2 % (int)COUNT_OF(f->prioritized)] = named;
	return H2_NO_ERROR;
}

static void note_setting(struct h2_frames *f, int id, uint32_t value)
{
	/* values beyond their top are nghttp2's to judge */
	if (id == INITIAL_WINDOW_SIZE && value > f->window && value <= H2_WINDOW_MOST)
		f->window = value;
}

static enum h2_code judge_peeked(struct h2_frames *f)
{
	f->peeked = 0;
	switch (f->type) {
	case H2_DATA:
		f->sought = 0;
		f->hollow = f->left == 1U + f->peek[0];
		return H2_NO_ERROR;
	case H2_SETTINGS:
		note_setting(f, f->peek[0] << 8 | f->peek[1], number32(f->peek + 2));
		return H2_NO_ERROR;
	default:
		f->sought = 0;
		return judge_named(f);
	}
}

enum h2_code h2_frames_payload(struct h2_frames *f, const char *bytes, size_t length)
{
	enum h2_code code = H2_NO_ERROR;
	for (size_t i = 0; i < length && f->sought; i++) {
		f->peek[f->peeked++] = (uint8_t)bytes[i];
		if (f->peeked == f->sought)
			code = judge_peeked(f);
	}
	f->left -= (uint32_t)length;
	return code;
}

void h2_frames_opened(struct h2_frames *f, int32_t stream)
{
	f->last_open = stream;
}

void h2_frames_began(struct h2_frames *f, int32_t stream)
{
	f->last_seen = f->last_open = stream;
}

void h2_frames_forgive(struct h2_frames *f, int32_t stream)
{
	if (stream > f->forgiven)
		f->forgiven = stream;
}

bool h2_frames_prioritized(const struct h2_frames *f, int32_t stream)
{
	return f->prioritized[stream / 2 % (int)COUNT_OF(f->prioritized)] == stream;
}

bool h2_frames_in_head(const struct h2_frames *f)
{
	return f->block || (f->left > 0 && (f->type == H2_HEADERS || f->type == H2_CONTINUATION));
}

bool h2_frames_amid(const struct h2_frames *f)
{
	return f->left > 0 || f->have > 0 || f->block;
}
